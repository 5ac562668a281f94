/** What goes into the core and what comes out of it. */

import type { ChangeRefusal, Configuration, Wish } from "./configuration.ts";
import type { Position } from "./log.ts";
import type { Message, Outgoing, VoteRefusal } from "./messages.ts";
import type { Entry, HardState, LogIndex, NodeId, Term } from "./types.ts";

/** A snapshot that is durable on this server's disk: the state after the entry at `index`, and who the members were. */
export interface Snapshot extends Position {
  readonly configuration: Configuration;
}

/** Something that happened to this server. */
export type RaftEvent =
  /** A message came in from another server, or one of this server's own from `messagesAfterPersist`. */
  | { readonly type: "message"; readonly from: NodeId; readonly message: Message }
  /** The clock was read and nothing else happened; due when `Effects.deadlineMs` has come. */
  | { readonly type: "tick" }
  /** This server was held up for a while: what the others said meanwhile may still be unread. */
  | { readonly type: "stalled" }
  /** A command to replicate. Its fate is in `Effects.proposals` under the same ticket. */
  | { readonly type: "propose"; readonly ticket: number; readonly payload: Uint8Array }
  /** A request to change the members. Its fate is in `Effects.changes` under the same ticket. */
  | { readonly type: "change"; readonly ticket: number; readonly wishes: readonly Wish[] }
  /**
   * A linearizable read that wants to know when it may be served. Its fate is in `Effects.reads`. One that trusts in
   * the leader's lease need not wait for a round of heartbeats (thesis, section 6.4.1), if leases are in use.
   */
  | { readonly type: "read"; readonly ticket: number; readonly lease: boolean }
  /** `Persist` number `seq`, and every one before it, is durable. */
  | { readonly type: "persisted"; readonly seq: number }
  /** The state machine has applied every entry up to `index`. */
  | { readonly type: "applied"; readonly index: LogIndex }
  /** The entries that a `Fetch` asked for. */
  | { readonly type: "fetched"; readonly to: NodeId; readonly entries: readonly Entry[] }
  /** A snapshot of this server's own state machine is durable. */
  | { readonly type: "snapshot-taken"; readonly snapshot: Snapshot }
  /** A snapshot that another server had offered is durable here. */
  | { readonly type: "snapshot-received"; readonly snapshot: Snapshot }
  /** A snapshot that was offered to followers is found to be damaged, or gone: they are to be offered another one. */
  | { readonly type: "snapshot-lost"; readonly index: LogIndex }
  /** Entries up to `index` leave the disk: a snapshot stands for them, and they are applied. See `compactableThrough`. */
  | { readonly type: "compact"; readonly index: LogIndex }
  /** Every other server has taken note of this one. */
  | { readonly type: "admitted" }
  | { readonly type: "link-up"; readonly peer: NodeId }
  /** The link to a server is lost. A crashed process loses its links at once, so this is evidence of its death. */
  | { readonly type: "link-lost"; readonly peer: NodeId }
  /** Hand leadership to `to`, or to the server that is furthest along (thesis, section 3.10). */
  | { readonly type: "transfer"; readonly to: NodeId | null };

/** One atomic addition to the durable log: the entries, then the hard state. */
export interface Persist {
  /** Grows by one with every `Persist`. */
  readonly seq: number;
  /** Everything in the log before is void: it goes on behind a snapshot that has been received. */
  readonly reset: Position | null;
  readonly hardState: HardState | null;
  /** Consecutive. The first may replace an entry that was persisted before: that one and its successors are void. */
  readonly entries: readonly Entry[];
}

/** Where a proposal went: its place in the log, or why it was not taken. Taken is not committed. */
export type ProposalOutcome =
  | { readonly ticket: number; readonly index: LogIndex; readonly term: Term }
  | { readonly ticket: number; readonly refusal: ProposalRefusal };

export type ProposalRefusal = "not-leader" | "transferring";

/** Where a change of the members went, or why it was not made. Taken is not committed. */
export type ChangeOutcome =
  /** `index`: of the entry that begins it; null if there was nothing to change. */
  | { readonly ticket: number; readonly index: LogIndex | null; readonly term: Term }
  | { readonly ticket: number; readonly refusal: ProposalRefusal | ChangeRefusal };

/** When a read may be served: once the state machine has applied `index`; or that this server can't tell. */
export type ReadOutcome =
  | { readonly ticket: number; readonly index: LogIndex }
  | { readonly ticket: number; readonly refusal: "not-leader" };

/** Entries that a follower needs and that are no longer in memory. */
export interface Fetch {
  readonly to: NodeId;
  readonly from: LogIndex;
  readonly through: LogIndex;
  readonly bytesMax: number;
}

/**
 * A snapshot that a leader offers; whoever is behind draws it from there. This very one: a newer one may hold what was
 * committed in a term that the two have not come to yet.
 */
export interface Offer {
  readonly from: NodeId;
  readonly snapshot: Position;
}

export type StepDownReason = "higher-term" | "quorum-lost" | "transferred" | "removed";
export type PreVoteReason = "timer-ran-out" | "leader-link-lost" | "vote-split";

/** The plot points of an election, for logs that a person reads. */
export type RaftStory =
  | { readonly event: "pre-vote"; readonly term: Term; readonly reason: PreVoteReason }
  | { readonly event: "candidate"; readonly term: Term; readonly transfer: boolean }
  | {
      readonly event: "vote-sent";
      readonly term: Term;
      readonly to: NodeId;
      readonly preVote: boolean;
      readonly refusal: VoteRefusal | null;
    }
  | {
      readonly event: "vote-received";
      readonly term: Term;
      readonly from: NodeId;
      readonly preVote: boolean;
      readonly refusal: VoteRefusal | null;
    }
  | { readonly event: "leader-elected"; readonly term: Term; readonly votes: readonly NodeId[] }
  | { readonly event: "stepped-down"; readonly term: Term; readonly reason: StepDownReason }
  | { readonly event: "following"; readonly term: Term; readonly leader: NodeId }
  | { readonly event: "follower-caught-up"; readonly term: Term; readonly follower: NodeId; readonly index: LogIndex }
  | { readonly event: "quorum-lost"; readonly term: Term; readonly reachable: readonly NodeId[] }
  | { readonly event: "quorum-regained"; readonly term: Term }
  | { readonly event: "transfer-started"; readonly term: Term; readonly to: NodeId }
  | { readonly event: "transfer-failed"; readonly term: Term; readonly to: NodeId | null }
  /** The leader has nothing left in its log that this follower could go on from. */
  | { readonly event: "snapshot-offered"; readonly term: Term; readonly to: NodeId; readonly index: LogIndex }
  | { readonly event: "snapshot-installed"; readonly term: Term; readonly index: LogIndex }
  /** The members are others from here on; `committed` tells that they are so for good. */
  | {
      readonly event: "configuration";
      readonly term: Term;
      readonly index: LogIndex;
      readonly configuration: Configuration;
      readonly committed: boolean;
    }
  /** The entry that changed the members was replaced by another leader's, and the change with it. */
  | { readonly event: "configuration-rolled-back"; readonly term: Term; readonly index: LogIndex };

/** Everything the driver has to do after a batch of events. */
export interface Effects {
  readonly persist: Persist | null;
  /** May go out at once. */
  readonly messages: readonly Outgoing[];
  /**
   * Promise what `persist`, or an earlier one that is still on its way to the disk, makes durable: these go out only
   * after it. One that is addressed to this server itself comes back in as a message event.
   */
  readonly messagesAfterPersist: readonly Outgoing[];
  /** Entries up to here may be applied. */
  readonly commitIndex: LogIndex;
  readonly proposals: readonly ProposalOutcome[];
  readonly changes: readonly ChangeOutcome[];
  readonly reads: readonly ReadOutcome[];
  readonly fetches: readonly Fetch[];
  /** What is offered is needed; the last offer counts. */
  readonly offer: Offer | null;
  /** The state machine is to go on from this snapshot, which was received, and not from what it has applied. */
  readonly restore: Snapshot | null;
  readonly story: readonly RaftStory[];
  /** When to come back with a tick, in the time of the clock readings passed in. */
  readonly deadlineMs: number;
}

/** Effects while a batch of events is being worked through. */
export interface Draft {
  readonly messages: Outgoing[];
  readonly messagesAfterPersist: Outgoing[];
  readonly proposals: ProposalOutcome[];
  readonly changes: ChangeOutcome[];
  readonly reads: ReadOutcome[];
  readonly fetches: Fetch[];
  offer: Offer | null;
  restore: Snapshot | null;
  readonly story: RaftStory[];
}
