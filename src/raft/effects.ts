/** What goes into the core and what comes out of it. */

import type { Message, Outgoing, VoteRefusal } from "./messages.ts";
import type { Entry, HardState, LogIndex, NodeId, Term } from "./types.ts";

/** Something that happened to this server. */
export type RaftEvent =
  /** A message came in from another server, or one of this server's own from `messagesAfterPersist`. */
  | { readonly type: "message"; readonly from: NodeId; readonly message: Message }
  /** The clock was read and nothing else happened; due when `Effects.deadlineMs` has come. */
  | { readonly type: "tick" }
  /** A command to replicate. Its fate is in `Effects.proposals` under the same ticket. */
  | { readonly type: "propose"; readonly ticket: number; readonly payload: Uint8Array }
  /** A linearizable read that wants to know when it may be served. Its fate is in `Effects.reads`. */
  | { readonly type: "read"; readonly ticket: number }
  /** `Persist` number `seq`, and every one before it, is durable. */
  | { readonly type: "persisted"; readonly seq: number }
  /** The state machine has applied every entry up to `index`. */
  | { readonly type: "applied"; readonly index: LogIndex }
  /** The entries that a `Fetch` asked for. */
  | { readonly type: "fetched"; readonly to: NodeId; readonly entries: readonly Entry[] }
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
  readonly hardState: HardState | null;
  /** Consecutive. The first may replace an entry that was persisted before: that one and its successors are void. */
  readonly entries: readonly Entry[];
}

/** Where a proposal went: its place in the log, or why it was not taken. Taken is not committed. */
export type ProposalOutcome =
  | { readonly ticket: number; readonly index: LogIndex; readonly term: Term }
  | { readonly ticket: number; readonly refusal: ProposalRefusal };

export type ProposalRefusal = "not-leader" | "transferring";

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

export type StepDownReason = "higher-term" | "quorum-lost" | "transferred";
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
  | { readonly event: "transfer-failed"; readonly term: Term; readonly to: NodeId | null };

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
  readonly reads: readonly ReadOutcome[];
  readonly fetches: readonly Fetch[];
  readonly story: readonly RaftStory[];
  /** When to come back with a tick, in the time of the clock readings passed in. */
  readonly deadlineMs: number;
}

/** Effects while a batch of events is being worked through. */
export interface Draft {
  readonly messages: Outgoing[];
  readonly messagesAfterPersist: Outgoing[];
  readonly proposals: ProposalOutcome[];
  readonly reads: ReadOutcome[];
  readonly fetches: Fetch[];
  readonly story: RaftStory[];
}
