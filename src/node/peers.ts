/**
 * The other nodes, as far as links stand to them: which of them the core counts on, and whose answers count. A node that
 * has lost its disk comes under its old name; until the members say that it is the one, what it says in answer to
 * anything is not what the one with its disk would have said (thesis, 4.1: requests are handled whoever they come from).
 */

import type { Peer } from "../actor/index.ts";
import { type Configuration, memberNamed, type RaftEvent } from "../raft/index.ts";

export interface PeersOptions {
  /** This node's own name. */
  readonly id: string;
  configuration(): Configuration;
  /** The incarnation under which a member was first met, for those of whom the configuration does not say. */
  firstMet(id: string): string | null;
}

export class Peers {
  readonly #options: PeersOptions;
  /** Every process that a link stands to, by the name it goes by, the newest last. */
  readonly #standing = new Map<string, Peer[]>();
  /** Those that the core has been told of. */
  readonly #linked = new Map<string, Peer>();

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Whether a link stands to the member, and not to one that has taken its name. */
  isLinked(id: string): boolean {
    return this.#linked.has(id);
  }

  /** Everybody that a link stands to. */
  get all(): Peer[] {
    return [...this.#standing.values()].flat();
  }

  /** Whom to send what is meant for that node: who answers to its name, the right one if there is a choice. */
  get(id: string): Peer | null {
    return this.#linked.get(id) ?? this.#standing.get(id)?.at(-1) ?? null;
  }

  /** One that runs on the same disk as another takes its place: the other has died, whether its link knows or not. */
  add(peer: Peer): void {
    const { name, incarnation } = peer.hello;
    const others = (this.#standing.get(name) ?? []).filter(({ hello }) => hello.incarnation !== incarnation);
    this.#standing.set(name, [...others, peer]);
  }

  /** False if it was not known. */
  remove(peer: Peer): boolean {
    const { name } = peer.hello;
    const before = this.#standing.get(name) ?? [];
    const rest = before.filter((other) => other !== peer);
    if (rest.length > 0) this.#standing.set(name, rest);
    else this.#standing.delete(name);
    return rest.length < before.length;
  }

  /** The links to that address were let go. */
  forget(url: string): void {
    for (const peer of this.all) if (peer.hello.url === url) this.remove(peer);
  }

  /** Has this process, or another one on the same disk, been met? */
  knows({ hello: { name, incarnation } }: Peer): boolean {
    return this.#standing.get(name)?.some(({ hello }) => hello.incarnation === incarnation) === true;
  }

  /** Does a link stand to this process? */
  has(peer: Peer): boolean {
    return this.#standing.get(peer.hello.name)?.includes(peer) === true;
  }

  /** Is this the member of its name? Null if there is no member of that name, or nobody has met it yet. */
  isGenuine({ hello }: Peer): boolean | null {
    const member = memberNamed(this.#options.configuration(), hello.name);
    if (member === undefined) return null;
    const incarnation = member.incarnation ?? this.#options.firstMet(hello.name);
    return incarnation === null ? null : incarnation === hello.incarnation;
  }

  /** Do this process's answers count as those of the node whose name it bears? */
  speaksFor(peer: Peer): boolean {
    return this.#linked.get(peer.hello.name) === peer && this.isGenuine(peer) === true;
  }

  /** Tells the core what links have changed, or changed their meaning because the members have. */
  reconcile(events: RaftEvent[]): void {
    for (const id of new Set([...this.#standing.keys(), ...this.#linked.keys()])) {
      const before = this.#linked.get(id);
      const after = this.#standing.get(id)?.findLast((peer) => this.isGenuine(peer) !== false);
      if (before === after) continue;
      if (before !== undefined) events.push({ type: "link-lost", peer: id });
      if (after === undefined) this.#linked.delete(id);
      else {
        this.#linked.set(id, after);
        events.push({ type: "link-up", peer: id });
      }
    }
  }
}
