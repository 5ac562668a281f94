/**
 * Brings machines that have names into use: a leader proposes one, or a newer version of one, as soon as every member
 * that can be reached says that it can run it. One that was down then, and can't, finds out from the log, and stops. The
 * leader tries it out before: a mistake in an upgrade must not stop all of them.
 */

import type { Peer } from "../actor/index.ts";
import { messageOf } from "../errors.ts";
import type { MachineVersion, Replica } from "../machine/index.ts";
import { NODE_ACTOR, nodeProtocol } from "../protocol/node.ts";
import { configurationOf, type Raft } from "../raft/index.ts";
import type { Peers } from "./peers.ts";

export interface ActivatorParts {
  readonly raft: Raft;
  readonly replica: Replica;
  readonly peers: Peers;
  tell(story: ActivatorStory): void;
}

/** A machine was not brought into use, since that would have stopped every node: its first state, or its upgrade, fails. */
export type ActivatorStory = MachineVersion & { readonly event: "activation-failed"; readonly reason: string };

/** What others can run: the versions, by name of the machine. */
type Supported = ReadonlyMap<string, readonly number[]>;

export class Activator {
  readonly #parts: ActivatorParts;
  /** What each node that a link stands to has told, for as long as somebody knows it. */
  readonly #told = new WeakMap<Peer, Supported>();
  /** What was proposed already; it takes a while to come true. */
  readonly #proposed = new Set<string>();
  /** Something may have changed since it was last looked whether there is anything to propose. */
  #isNews = true;

  constructor(parts: ActivatorParts) {
    this.#parts = parts;
  }

  /** A link has come up. */
  greet(peer: Peer): void {
    const machines = this.#parts.replica.supported.map(({ name, versions }) => ({ name, versions: [...versions] }));
    if (machines.length > 0) peer.ref(NODE_ACTOR, nodeProtocol).tell({ type: "machines", machines });
    this.look();
  }

  /** A node says what it can run. */
  learn(peer: Peer, machines: readonly { readonly name: string; readonly versions: readonly number[] }[]): void {
    this.#told.set(peer, new Map(machines.map(({ name, versions }) => [name, versions])));
    this.look();
  }

  /** Leadership, links or members may be others than before. */
  look(): void {
    this.#isNews = true;
  }

  /** What was proposed and is not in the log yet may never come there. */
  startOver(): void {
    this.#proposed.clear();
    this.look();
  }

  /** What a leader is to propose. */
  due(): MachineVersion[] {
    if (!this.#isNews) return [];
    this.#isNews = false;
    const { raft, replica, peers } = this.#parts;
    const others = configurationOf(raft).members.filter(({ id }) => id !== raft.config.id && peers.isLinked(id));
    return replica.supported.flatMap(({ name, versions: [version = 0], active }) => {
      const canRun = (id: string): boolean => this.#toldBy(id)?.get(name)?.includes(version) === true;
      const key = `${name} ${version}`;
      if (version <= (active ?? 0) || this.#proposed.has(key) || !others.every(({ id }) => canRun(id))) return [];
      this.#proposed.add(key);
      return this.#isSound({ name, version }) ? [{ name, version }] : [];
    });
  }

  #isSound(machine: MachineVersion): boolean {
    const { replica, tell } = this.#parts;
    try {
      replica.rehearse(machine);
      return true;
    } catch (error) {
      tell({ event: "activation-failed", ...machine, reason: messageOf(error) });
      return false;
    }
  }

  #toldBy(id: string): Supported | undefined {
    const peer = this.#parts.peers.get(id);
    return peer === null ? undefined : this.#told.get(peer);
  }
}
