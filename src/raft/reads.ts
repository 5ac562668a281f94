/**
 * Linearizable reads without writing to the log (ReadIndex; thesis, section 6.4): remember the commit index, confirm
 * by a round of heartbeats that nobody else leads, and serve the read once that index is applied. One round answers
 * every read that waited for it; reads that come while it is on its way share the next. Followers ask the leader for
 * the index and serve what they have applied. Under a lease the last round is confirmation enough (section 6.4.1).
 */

import type { Draft } from "./effects.ts";
import type { HeartbeatRequest, ReadResponse } from "./messages.ts";
import { agreedByQuorum } from "./quorum.ts";
import { configurationOf, type Leader, type Raft, type Reader } from "./state.ts";
import { type LogIndex, NO_INDEX, type NodeId } from "./types.ts";

/** A caller of this server wants to read. */
export function requestRead(raft: Raft, draft: Draft, ticket: number, lease: boolean): void {
  const { role } = raft;
  if (role.name === "leader") {
    if (lease && holdsLease(raft, role)) draft.reads.push({ ticket, index: raft.commitIndex });
    else role.readsWaiting.push({ ticket });
  } else {
    raft.readsToAsk.push(ticket);
  }
}

/** May the leader take for granted that nobody else has been elected? Never once it has told another one to stand. */
const holdsLease = (raft: Raft, leader: Leader): boolean =>
  raft.nowMs < leader.leaseUntilMs && !leader.leaseForfeited && raft.commitIndex >= leader.firstIndex;

/** A follower asks for its own callers. */
export function answerReadRequest(raft: Raft, from: NodeId, id: number): void {
  if (raft.role.name === "leader") raft.role.readsWaiting.push({ from, id });
}

/**
 * The link to a server is another one. Whatever was asked over the old one is to get no answer over the new one: the
 * server may have started again meanwhile, and be counting its questions from the beginning.
 */
export function forgetQuestions(raft: Raft, peer: NodeId): void {
  const { role } = raft;
  if (role.name !== "leader") return;
  const isAnothers = (reader: Reader): boolean => !("from" in reader) || reader.from !== peer;
  role.readsWaiting = role.readsWaiting.filter(isAnothers);
  role.readsConfirming = role.readsConfirming.map((round) => ({ ...round, readers: round.readers.filter(isAnothers) }));
}

/** Asks the leader, in one question, for all reads that have come to this server, if it follows one. */
export function askForReads(raft: Raft, draft: Draft): void {
  const { role, readsToAsk } = raft;
  if (readsToAsk.length === 0) return;
  raft.readsToAsk = [];
  if (role.name !== "follower" || role.leader === null || !raft.linked.has(role.leader)) {
    refuse(draft, readsToAsk);
    return;
  }
  const id = ++raft.readId;
  raft.readsAsked.set(id, { tickets: readsToAsk, askedMs: raft.nowMs });
  draft.messages.push({ to: role.leader, message: { type: "read-request", term: raft.term, id } });
}

/** The leader has told from which index on the reads of that question may be served. */
export function takeReadResponse(raft: Raft, draft: Draft, { id, index }: ReadResponse): void {
  for (const ticket of raft.readsAsked.get(id)?.tickets ?? []) draft.reads.push({ ticket, index });
  raft.readsAsked.delete(id);
}

/** Whom this follower has asked will not answer any more. */
export function abandonAsked(raft: Raft, draft: Draft): void {
  for (const { tickets } of raft.readsAsked.values()) refuse(draft, tickets);
  raft.readsAsked.clear();
}

/** Nor is there an answer to be expected where one is overdue: question or answer may have been lost. */
export function abandonOverdue(raft: Raft, draft: Draft): void {
  for (const [id, { tickets }] of raft.readsAsked) {
    if (raft.nowMs < answerDueMs(raft)) return;
    refuse(draft, tickets);
    raft.readsAsked.delete(id);
  }
}

/** When the oldest question ought to have been answered. */
export function answerDueMs({ readsAsked, config }: Raft): number {
  const [oldest] = readsAsked.values();
  return oldest === undefined ? Infinity : oldest.askedMs + config.electionTimeoutMaxMs;
}

function refuse(draft: Draft, tickets: readonly number[]): void {
  for (const ticket of tickets) draft.reads.push({ ticket, refusal: "not-leader" });
}

/** Starts a round for the reads that wait, unless one is on its way or the term's no-op is not committed yet. */
export function startReadRound(raft: Raft, draft: Draft): void {
  const { role } = raft;
  if (role.name !== "leader" || role.readsWaiting.length === 0 || role.readsConfirming.length > 0) return;
  if (raft.commitIndex < role.firstIndex) return;
  role.readsConfirming.push({ round: role.round + 1, index: raft.commitIndex, readers: role.readsWaiting.splice(0) });
  sendHeartbeats(raft, draft, role);
}

/** One round of heartbeats to every follower that can be reached. */
export function sendHeartbeats(raft: Raft, draft: Draft, leader: Leader): void {
  leader.round++;
  leader.roundsSent.push({ round: leader.round, sentMs: raft.nowMs });
  leader.heartbeatDeadlineMs = raft.nowMs + raft.config.heartbeatMs;
  for (const [peer, follower] of leader.followers) {
    if (!raft.linked.has(peer)) continue;
    const message: HeartbeatRequest = {
      type: "heartbeat-request",
      term: raft.term,
      round: leader.round,
      commitIndex: Math.min(raft.commitIndex, follower.match) as LogIndex,
    };
    draft.messages.push({ to: peer, message });
  }
  noteRounds(raft, draft, leader); // It may be the only voter, or have become so since it asked the others.
}

/** A round, or a later one, that a quorum has answered confirms the reads that waited for it, and renews the lease. */
export function noteRounds(raft: Raft, draft: Draft, leader: Leader): void {
  const confirmed = agreedByQuorum(configurationOf(raft), (voter) =>
    voter === raft.config.id ? leader.round : (leader.followers.get(voter)?.round ?? NO_INDEX),
  );
  renewLease(raft, leader, confirmed);
  leader.readsConfirming = leader.readsConfirming.filter(({ round, index, readers }) => {
    if (round > confirmed) return true;
    for (const reader of readers) release(raft, draft, reader, index);
    return false;
  });
}

/**
 * Whoever answered a round had heard the leader when it was sent, or later, and elects nobody for an election timeout
 * after that, by a clock that may be somewhat faster than the leader's.
 */
function renewLease(raft: Raft, leader: Leader, confirmed: number): void {
  const { clockDriftMax, electionTimeoutMinMs } = raft.config;
  let sentMs = -Infinity;
  while (leader.roundsSent[0] !== undefined && leader.roundsSent[0].round <= confirmed) {
    sentMs = leader.roundsSent.shift()?.sentMs ?? sentMs;
  }
  if (clockDriftMax === null) return;
  leader.leaseUntilMs = Math.max(leader.leaseUntilMs, sentMs + electionTimeoutMinMs * (1 - clockDriftMax));
}

function release(raft: Raft, draft: Draft, reader: Reader, index: LogIndex): void {
  if ("ticket" in reader) {
    draft.reads.push({ ticket: reader.ticket, index });
  } else {
    const { from, id } = reader;
    draft.messages.push({ to: from, message: { type: "read-response", term: raft.term, id, index } });
  }
}

/** This server leads no more and can't answer for the reads it was asked; followers find out by themselves. */
export function abandonReads(raft: Raft, draft: Draft): void {
  const { role } = raft;
  if (role.name !== "leader") return;
  for (const reader of [...role.readsConfirming.flatMap(({ readers }) => readers), ...role.readsWaiting]) {
    if ("ticket" in reader) draft.reads.push({ ticket: reader.ticket, refusal: "not-leader" });
  }
}
