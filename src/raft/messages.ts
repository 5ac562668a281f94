/** The messages of the protocol. Each carries its sender's term, as Figure 2 of the paper asks. */

import type { Entry, LogIndex, NodeId, Term } from "./types.ts";

/**
 * Asks for a vote (paper, section 5.2), or in a pre-vote whether a vote would be granted (thesis, section 9.6): `term`
 * is then the term that the sender would campaign in.
 */
export interface VoteRequest {
  readonly type: "vote-request";
  readonly term: Term;
  readonly preVote: boolean;
  /** The leader itself asked for this election (thesis, section 3.10): having heard from it lately is no objection. */
  readonly transfer: boolean;
  readonly lastLogIndex: LogIndex;
  readonly lastLogTerm: Term;
}

/** Why a vote was refused; the story of an election is told with these. */
export type VoteRefusal = "leader-is-alive" | "voted-for-another" | "log-behind" | "term-behind";

export interface VoteResponse {
  readonly type: "vote-response";
  /** The responder's own term, or, for a granted pre-vote, the term that was asked about. */
  readonly term: Term;
  readonly preVote: boolean;
  readonly refusal: VoteRefusal | null;
}

/** AppendEntries (paper, section 5.3). An acknowledgement of it is a promise of durability. */
export interface AppendRequest {
  readonly type: "append-request";
  readonly term: Term;
  readonly prevLogIndex: LogIndex;
  readonly prevLogTerm: Term;
  readonly leaderCommit: LogIndex;
  readonly entries: readonly Entry[];
}

/** Entries up to `matchIndex` are durable at the follower and equal to the leader's. */
export interface AppendAccepted {
  readonly type: "append-accepted";
  readonly term: Term;
  readonly matchIndex: LogIndex;
}

/**
 * The log did not hold the previous entry. The hint lets the leader skip a whole term at a time (paper, end of 5.3):
 * `conflictTerm` is the term found there (0 if the log is too short) and `conflictIndex` the first index of it, or the
 * index after the last entry.
 */
export interface AppendRejected {
  readonly type: "append-rejected";
  readonly term: Term;
  readonly prevLogIndex: LogIndex;
  readonly conflictTerm: Term;
  readonly conflictIndex: LogIndex;
}

/**
 * Keeps the leader in office and confirms that it still is (thesis, section 6.4). It is not an empty AppendEntries, so
 * that its response need not queue behind the follower's disk: it acknowledges leadership and nothing else.
 */
export interface HeartbeatRequest {
  readonly type: "heartbeat-request";
  readonly term: Term;
  /** Counts the leader's rounds of heartbeats in its term; the response repeats it. */
  readonly round: number;
  /** Never past what the leader knows this follower to hold. */
  readonly commitIndex: LogIndex;
}

export interface HeartbeatResponse {
  readonly type: "heartbeat-response";
  readonly term: Term;
  readonly round: number;
}

/** The leader's order to start an election at once (thesis, section 3.10). */
export interface TimeoutNow {
  readonly type: "timeout-now";
  readonly term: Term;
}

/**
 * What the follower needs next is in a snapshot (paper, section 7, InstallSnapshot). The follower draws its bytes from
 * the leader at its own pace, outside of this protocol, and answers with `AppendAccepted` once it has it.
 */
export interface SnapshotOffer {
  readonly type: "snapshot-offer";
  readonly term: Term;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
}

/** A follower asks the leader when it may serve reads of its own callers (ReadIndex; thesis, end of section 6.4). */
export interface ReadRequest {
  readonly type: "read-request";
  readonly term: Term;
  /** Never used twice by a server, so that no answer can be taken for that to another question. */
  readonly id: number;
}

export interface ReadResponse {
  readonly type: "read-response";
  readonly term: Term;
  readonly id: number;
  /** Once this is applied they may be served. */
  readonly index: LogIndex;
}

export type Message =
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendAccepted
  | AppendRejected
  | HeartbeatRequest
  | HeartbeatResponse
  | TimeoutNow
  | SnapshotOffer
  | ReadRequest
  | ReadResponse;

/**
 * Answers count only from who they are thought to come from: a server that has lost its disk, and with it what it had
 * promised, must not speak for the one that it was (thesis, section 4.1: requests are handled whoever they come from).
 */
export const isAnswer = ({ type }: Message): boolean =>
  type === "vote-response" ||
  type === "append-accepted" ||
  type === "append-rejected" ||
  type === "heartbeat-response" ||
  type === "read-response";

export interface Outgoing {
  readonly to: NodeId;
  readonly message: Message;
}
