/**
 * The core's one door: a batch of events goes in, what has to be done about it comes out. No clock, no socket, no
 * disk, no randomness: the same state, events and clock readings give the same effects.
 */

import type { Draft, Effects, Persist, RaftEvent } from "./effects.ts";
import {
  adoptTerm,
  answerVoteRequest,
  checkQuorum,
  hearLeader,
  leaderIsAlive,
  linkLost,
  linkUp,
  obeyTimeoutNow,
  startPreVote,
  takeVote,
} from "./election.ts";
import type { Message } from "./messages.ts";
import { releaseReads, requestRead, sendHeartbeats, startReadRound } from "./reads.ts";
import {
  acceptedBy,
  advanceCommit,
  appendOwn,
  followCommit,
  receiveEntries,
  rejectedBy,
  remindSilent,
  replicate,
  sendFetched,
  startProbing,
  startTransfer,
} from "./replication.ts";
import { isVoter, newDraft, newFollower, type Raft, randomElectionTimeoutMs } from "./state.ts";
import { EntryKind, type HardState, type LogIndex, logIndex, type NodeId } from "./types.ts";

/**
 * Works a batch of events into the state.
 *
 * @param nowMs a reading of a monotonic clock, in milliseconds; never less than the one before
 */
export function step(raft: Raft, events: readonly RaftEvent[], nowMs: number): Effects {
  if (nowMs < raft.nowMs) throw new RangeError(`the clock went back from ${raft.nowMs} to ${nowMs}`);
  raft.nowMs = nowMs;
  const draft = newDraft();
  for (const event of events) handle(raft, draft, event);
  startReadRound(raft, draft); // Before a heartbeat falls due: the reads' own round is one.
  watchClock(raft, draft);
  replicate(raft, draft);
  raft.log.evict(Math.min(raft.appliedIndex, raft.durableIndex) as LogIndex, raft.config.logCacheBytesMax);
  return { ...draft, persist: nextPersist(raft), commitIndex: raft.commitIndex, deadlineMs: deadlineMs(raft) };
}

function handle(raft: Raft, draft: Draft, event: RaftEvent): void {
  switch (event.type) {
    case "message":
      if (raft.isAdmitted && isVoter(raft, event.from)) receive(raft, draft, event.from, event.message);
      return;
    case "tick":
      return;
    case "propose":
      propose(raft, draft, event.ticket, event.payload);
      return;
    case "read":
      requestRead(raft, draft, event.ticket);
      return;
    case "persisted":
      persisted(raft, event.seq);
      return;
    case "applied":
      raft.appliedIndex = event.index;
      return;
    case "fetched":
      sendFetched(raft, draft, event.to, event.entries);
      return;
    case "admitted":
      raft.isAdmitted = true;
      raft.role = newFollower(raft, null, raft.nowMs + randomElectionTimeoutMs(raft));
      return;
    case "link-up":
      raft.linked.add(event.peer);
      resetFollower(raft, event.peer);
      linkUp(raft, draft, event.peer);
      return;
    case "link-lost":
      raft.linked.delete(event.peer);
      resetFollower(raft, event.peer);
      linkLost(raft, draft, event.peer);
      return;
    case "transfer":
      startTransfer(raft, draft, event.to);
      return;
  }
}

function propose(raft: Raft, draft: Draft, ticket: number, payload: Uint8Array): void {
  if (raft.role.name !== "leader") {
    draft.proposals.push({ ticket, refusal: "not-leader" });
  } else if (raft.role.transfer !== null) {
    draft.proposals.push({ ticket, refusal: "transferring" });
  } else {
    const index = appendOwn(raft, EntryKind.command, payload);
    draft.proposals.push({ ticket, index, term: raft.term });
  }
}

/** Rules for all servers first (paper, Figure 2): terms are compared before anything in the message is believed. */
function receive(raft: Raft, draft: Draft, from: NodeId, message: Message): void {
  if (message.term < raft.term) {
    correctTerm(raft, draft, from, message);
    return;
  }
  if (message.term > raft.term && raisesTerm(raft, message)) adoptTerm(raft, draft, message.term);
  switch (message.type) {
    case "vote-request":
      answerVoteRequest(raft, draft, from, message);
      return;
    case "vote-response":
      takeVote(raft, draft, from, message);
      return;
    case "append-request":
      if (hearLeader(raft, draft, from)) receiveEntries(raft, draft, from, message);
      return;
    case "heartbeat-request":
      if (hearLeader(raft, draft, from)) {
        followCommit(raft, message.commitIndex, raft.log.lastIndex);
        const { term, round } = message;
        draft.messages.push({ to: from, message: { type: "heartbeat-response", term, round } });
      }
      return;
    case "timeout-now":
      obeyTimeoutNow(raft, draft, from, message);
      return;
    case "append-accepted":
    case "append-rejected":
    case "heartbeat-response":
      answered(raft, draft, from, message);
      return;
  }
}

/**
 * A pre-vote asks about a term that nobody is in yet, and a vote is not even considered while the leader lives
 * (thesis, 4.2.3); neither moves this server to a new term.
 */
function raisesTerm(raft: Raft, message: Message): boolean {
  if (message.type === "vote-request") return !message.preVote && (message.transfer || !leaderIsAlive(raft));
  if (message.type === "vote-response") return !(message.preVote && message.refusal === null);
  return true;
}

/** Tells the sender of an outdated request which term it is, so that it steps down or catches up. */
function correctTerm(raft: Raft, draft: Draft, from: NodeId, message: Message): void {
  const { term } = raft;
  switch (message.type) {
    case "vote-request": {
      const { preVote } = message;
      draft.messages.push({ to: from, message: { type: "vote-response", term, preVote, refusal: "term-behind" } });
      return;
    }
    case "append-request":
    case "heartbeat-request":
      draft.messages.push({ to: from, message: { type: "heartbeat-response", term, round: 0 } });
      return;
    case "vote-response":
    case "append-accepted":
    case "append-rejected":
    case "heartbeat-response":
    case "timeout-now":
      return;
  }
}

/** A follower's answer to this term's leader. */
function answered(
  raft: Raft,
  draft: Draft,
  from: NodeId,
  message: Extract<Message, { type: "append-accepted" | "append-rejected" | "heartbeat-response" }>,
): void {
  const { role } = raft;
  const follower = role.name === "leader" ? role.followers.get(from) : undefined;
  if (role.name !== "leader" || follower === undefined) return;
  follower.heardMs = raft.nowMs;
  switch (message.type) {
    case "append-accepted":
      acceptedBy(raft, draft, role, from, message);
      return;
    case "append-rejected":
      rejectedBy(raft, role, from, message);
      return;
    case "heartbeat-response":
      if (message.round > follower.round && message.round <= role.round) follower.round = message.round;
      releaseReads(raft, draft, role);
      return;
  }
}

/** A new link has lost whatever the old one carried. */
function resetFollower(raft: Raft, peer: NodeId): void {
  const follower = raft.role.name === "leader" ? raft.role.followers.get(peer) : undefined;
  if (follower !== undefined) startProbing(follower);
}

function persisted(raft: Raft, seq: number): void {
  for (let oldest = raft.persistsInFlight[0]; oldest !== undefined && oldest.seq <= seq; ) {
    raft.durableIndex = oldest.lastIndex;
    raft.persistsInFlight.shift();
    oldest = raft.persistsInFlight[0];
  }
  advanceCommit(raft);
}

/** Whatever the clock has made due. */
function watchClock(raft: Raft, draft: Draft): void {
  if (!raft.isAdmitted) return;
  const { role, nowMs } = raft;
  if (role.name !== "leader") {
    if (nowMs >= role.electionDeadlineMs) {
      startPreVote(raft, draft, role.name === "follower" ? role.evidence : "timer-ran-out");
    }
    return;
  }
  if (role.transfer !== null && nowMs >= role.transfer.deadlineMs) {
    draft.story.push({ event: "transfer-failed", term: raft.term, to: role.transfer.to });
    role.transfer = null;
  }
  // Before it shows signs of life: a leader that was paused for too long must not hold up those who replace it.
  if (nowMs >= role.quorumDeadlineMs && !checkQuorum(raft, draft, role)) return;
  if (nowMs >= role.heartbeatDeadlineMs) sendHeartbeats(raft, draft, role);
  remindSilent(raft, role);
}

function deadlineMs(raft: Raft): number {
  const { role } = raft;
  if (!raft.isAdmitted) return Number.POSITIVE_INFINITY;
  if (role.name !== "leader") return role.electionDeadlineMs;
  return Math.min(role.heartbeatDeadlineMs, role.quorumDeadlineMs, role.transfer?.deadlineMs ?? Infinity);
}

/**
 * Everything not handed to the disk yet, as one atomic record. A new commit index alone is not worth a write; it
 * travels with the next.
 */
function nextPersist(raft: Raft): Persist | null {
  const { log, persistedState, term, vote, commitIndex } = raft;
  const entries = log.slice(raft.unpersistedFrom, Number.POSITIVE_INFINITY);
  if (entries === null) throw new RangeError(`entry ${raft.unpersistedFrom} left memory before it was persisted`);
  const moved = term !== persistedState.term || vote !== persistedState.vote;
  if (!moved && entries.length === 0) return null;
  const changed = moved || commitIndex !== persistedState.commitIndex;
  const hardState: HardState | null = changed ? { term, vote, commitIndex } : null;
  if (hardState !== null) raft.persistedState = hardState;
  raft.unpersistedFrom = logIndex(log.lastIndex + 1);
  const seq = ++raft.persistSeq;
  raft.persistsInFlight.push({ seq, lastIndex: log.lastIndex });
  return { seq, hardState, entries };
}
