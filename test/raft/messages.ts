/** The messages of the protocol, short to write, and what a test looks for among those sent. */

import * as assert from "uvu/assert";
import {
  type AppendAccepted,
  type AppendRejected,
  type AppendRequest,
  type Entry,
  EntryKind,
  type HeartbeatRequest,
  type HeartbeatResponse,
  logIndex,
  type Message,
  type NodeId,
  type Outgoing,
  type ReadRequest,
  type ReadResponse,
  type SnapshotOffer,
  type TimeoutNow,
  term,
  type VoteRefusal,
  type VoteRequest,
  type VoteResponse,
} from "../../src/raft/index.ts";

/** The first element; the test fails if there is none. */
export function first<T>(list: readonly T[]): T {
  const [element] = list;
  if (element === undefined) throw new Error("there is nothing");
  return element;
}

/** The one message that was sent. */
export function single(sent: readonly Outgoing[]): Message {
  assert.is(sent.length, 1, `one message was expected, not ${JSON.stringify(sent)}`);
  return first(sent).message;
}

type MessageOf<Type extends Message["type"]> = Extract<Message, { type: Type }>;

/** The messages of one type, of those sent to `to`, or to anybody. */
export function ofType<Type extends Message["type"]>(
  sent: readonly Outgoing[],
  type: Type,
  to?: NodeId,
): MessageOf<Type>[] {
  return sent
    .filter((outgoing) => to === undefined || outgoing.to === to)
    .map(({ message }) => message)
    .filter((message): message is MessageOf<Type> => message.type === type);
}

/** Whom a message of this type went to. */
export const receiversOf = (sent: readonly Outgoing[], type: Message["type"]): NodeId[] =>
  sent.filter(({ message }) => message.type === type).map(({ to }) => to);

/** Entries with these terms, the first of them at `from`. */
export const entriesOf = (terms: readonly number[], from = 1): Entry[] =>
  terms.map((value, i) => ({
    index: logIndex(from + i),
    term: term(value),
    kind: EntryKind.command,
    payload: new TextEncoder().encode(`entry ${from + i} of term ${value}`),
  }));

export const textOf = (entry: Entry): string => new TextDecoder().decode(entry.payload);

export function voteRequest(fields: {
  readonly term: number;
  readonly last: readonly [index: number, term: number];
  readonly preVote?: boolean;
  readonly transfer?: boolean;
}): VoteRequest {
  const { preVote = false, transfer = false } = fields;
  const [lastLogIndex, lastLogTerm] = [logIndex(fields.last[0]), term(fields.last[1])];
  return { type: "vote-request", term: term(fields.term), preVote, transfer, lastLogIndex, lastLogTerm };
}

export function vote(fields: {
  readonly term: number;
  readonly preVote?: boolean;
  readonly refusal?: VoteRefusal | null;
}): VoteResponse {
  const { preVote = false, refusal = null } = fields;
  return { type: "vote-response", term: term(fields.term), preVote, refusal };
}

export function append(fields: {
  readonly term: number;
  readonly prev: readonly [index: number, term: number];
  /** The terms of the entries, which follow `prev`. */
  readonly entries?: readonly number[];
  readonly commit?: number;
}): AppendRequest {
  const [index, prevTerm] = fields.prev;
  return {
    type: "append-request",
    term: term(fields.term),
    prevLogIndex: logIndex(index),
    prevLogTerm: term(prevTerm),
    leaderCommit: logIndex(fields.commit ?? 0),
    entries: entriesOf(fields.entries ?? [], index + 1),
  };
}

export const accepted = (termValue: number, matchIndex: number): AppendAccepted => ({
  type: "append-accepted",
  term: term(termValue),
  matchIndex: logIndex(matchIndex),
});

export const rejected = (
  termValue: number,
  prevLogIndex: number,
  conflictIndex: number,
  conflictTerm = 0,
): AppendRejected => ({
  type: "append-rejected",
  term: term(termValue),
  prevLogIndex: logIndex(prevLogIndex),
  conflictTerm: term(conflictTerm),
  conflictIndex: logIndex(conflictIndex),
});

export const heartbeat = (termValue: number, round = 1, commitIndex = 0): HeartbeatRequest => ({
  type: "heartbeat-request",
  term: term(termValue),
  round,
  commitIndex: logIndex(commitIndex),
});

export const heartbeatResponse = (termValue: number, round: number): HeartbeatResponse => ({
  type: "heartbeat-response",
  term: term(termValue),
  round,
});

export const timeoutNow = (termValue: number): TimeoutNow => ({ type: "timeout-now", term: term(termValue) });

export const snapshotOffer = (termValue: number, last: readonly [index: number, term: number]): SnapshotOffer => ({
  type: "snapshot-offer",
  term: term(termValue),
  lastIndex: logIndex(last[0]),
  lastTerm: term(last[1]),
});

export const readRequest = (termValue: number, id: number): ReadRequest => ({
  type: "read-request",
  term: term(termValue),
  id,
});

export const readResponse = (termValue: number, id: number, index: number): ReadResponse => ({
  type: "read-response",
  term: term(termValue),
  id,
  index: logIndex(index),
});
