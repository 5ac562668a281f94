/** May anybody be answered from this node's state? It is compared with the others', and replaced if it is wrong. */

import type { Peer } from "../actor/index.ts";
import type { Clock } from "../environment.ts";
import type { ConclaveError } from "../errors.ts";
import type { Applied } from "../machine/commands.ts";
import type { Replica } from "../machine/index.ts";
import { NODE_ACTOR, type NodeAnswer, type NodeMessage, type NodeStatus, nodeProtocol } from "../protocol/node.ts";
import { configurationOf, type Entry, knownLeader, type Offer, type Raft, type RaftEvent } from "../raft/index.ts";
import type { SnapshotStore } from "../storage/index.ts";
import { type ComparisonEvent, type ComparisonStory, Comparisons } from "./comparisons.ts";
import { Divergence, type DivergenceEvent, type DivergenceStory } from "./divergence.ts";
import type { Peers } from "./peers.ts";

export type IntegrityStory = ComparisonStory | DivergenceStory;
export type IntegrityEvent = ComparisonEvent | DivergenceEvent;

export interface IntegrityParts {
  readonly clock: Clock;
  readonly raft: Raft;
  readonly replica: Replica;
  readonly store: SnapshotStore;
  readonly peers: Peers;
  readonly logBytesMax: number;
  ask(id: string, message: NodeMessage, timeoutMs: number): Promise<NodeAnswer>;
  /** See `Snapshots.replaceBy`. */
  replaceBy(offer: Offer, isNeeded: () => boolean): Promise<boolean>;
  /** Puts it into the node's own mailbox. */
  post(event: IntegrityEvent): void;
  /** From here on nobody is to get anything of the state. */
  onDiverged(why: ConclaveError): void;
  /** Takes a snapshot of the state as it is now, and tells of which entry that is. @throws ConclaveError */
  takeSnapshot(): Promise<number>;
  readonly tell: (story: IntegrityStory) => void;
}

export class Integrity {
  readonly #raft: Raft;
  readonly #peers: Peers;
  readonly comparisons: Comparisons;
  readonly divergence: Divergence;

  constructor(parts: IntegrityParts) {
    const { raft, peers, onDiverged } = parts;
    this.#raft = raft;
    this.#peers = peers;
    this.divergence = new Divergence({
      ...parts,
      lenders: () => this.#lenders(),
      tellTo: (id, message) => this.#tell(peers.get(id), message),
      onFound: (why) => {
        this.comparisons.startAnew();
        onDiverged(why);
      },
    });
    this.comparisons = new Comparisons({
      ...parts,
      tellAll: (message) => {
        for (const id of this.#others) this.#tell(peers.get(id), message);
      },
      send: (peer, message) => this.#tell(peer, message),
      onDiverged: (index, others) => this.divergence.found(index, others),
      onAgreed: (index) => this.divergence.agreed(index),
    });
  }

  get state(): NodeStatus["state"] {
    if (!this.divergence.isSound) return "diverged";
    return this.comparisons.isDisputed ? "disputed" : "sound";
  }

  applied(entry: Entry, applied: Applied | null): void {
    this.comparisons.applied(entry, applied?.type === "comparing");
  }

  take(event: IntegrityEvent, events: RaftEvent[]): void {
    if (event.type === "digested") this.comparisons.take(event);
    else this.divergence.take(event, events);
  }

  /** The state is that of a snapshot of another node. */
  restored(index: number): void {
    this.comparisons.startAnew();
    this.divergence.replaced(index);
  }

  keepHouse(): void {
    this.comparisons.startOver();
    this.comparisons.look();
  }

  stop(): void {
    this.comparisons.stop();
    this.divergence.stop();
  }

  get #others(): string[] {
    const { id: own } = this.#raft.config;
    return configurationOf(this.#raft).members.flatMap(({ id }) => (id === own ? [] : [id]));
  }

  /** The leader has enough to do. */
  #lenders(): string[] {
    const leader = knownLeader(this.#raft);
    const linked = this.#others.filter((id) => this.#peers.isLinked(id));
    return linked.sort((a, b) => Number(a === leader) - Number(b === leader));
  }

  #tell(peer: Peer | null, message: NodeMessage): void {
    peer?.ref(NODE_ACTOR, nodeProtocol).tell(message);
  }
}
