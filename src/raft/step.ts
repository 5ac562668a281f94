/**
 * The core's one door: a batch of events goes in, what has to be done about it comes out. No clock, no socket, no
 * disk, no randomness: the same state, events and clock readings give the same effects.
 */

import { noteCommitted } from "./adoption.ts";
import { appendOwn } from "./append.ts";
import type { Draft, Effects, Persist, RaftEvent } from "./effects.ts";
import {
  adoptTerm,
  answerVoteRequest,
  checkQuorum,
  hearLeader,
  leaderIsAlive,
  linkLost,
  linkUp,
  listenFirst,
  obeyTimeoutNow,
  startPreVote,
  takeVote,
} from "./election.ts";
import { proposeChange, tendMembership } from "./membership.ts";
import type { Message } from "./messages.ts";
import {
  abandonAsked,
  abandonOverdue,
  answerDueMs,
  answerReadRequest,
  askForReads,
  forgetQuestions,
  noteRounds,
  requestRead,
  sendHeartbeats,
  startReadRound,
  takeReadResponse,
} from "./reads.ts";
import {
  acceptedBy,
  advanceCommit,
  followCommit,
  receiveEntries,
  rejectedBy,
  remindSilent,
  replicate,
  sendFetched,
  startProbing,
} from "./replication.ts";
import { compact, considerOffer, noteSnapshot, receiveSnapshot, snapshotLost } from "./snapshots.ts";
import { configurationAt, knownLeader, newDraft, newFollower, type Raft, randomElectionTimeoutMs } from "./state.ts";
import { orderTransfer, prefer, startTransfer, watchTransfer } from "./transfer.ts";
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
  const { commitIndex, term } = raft;
  const settled = configurationAt(raft, commitIndex);
  const leader = knownLeader(raft);
  for (const event of events) handle(raft, draft, event);
  startReadRound(raft, draft); // Before a heartbeat falls due: the reads' own round is one.
  watchClock(raft, draft);
  if (knownLeader(raft) !== leader || raft.term !== term) abandonAsked(raft, draft);
  askForReads(raft, draft);
  noteCommitted(raft, draft, commitIndex, settled);
  if (raft.role.name === "leader") tendMembership(raft, draft, raft.role);
  replicate(raft, draft);
  if (raft.role.name === "leader") orderTransfer(raft, draft, raft.role);
  raft.log.evict(Math.min(raft.appliedIndex, raft.durableIndex) as LogIndex, raft.config.logCacheBytesMax);
  return { ...draft, persist: nextPersist(raft), commitIndex: raft.commitIndex, deadlineMs: deadlineMs(raft) };
}

function handle(raft: Raft, draft: Draft, event: RaftEvent): void {
  switch (event.type) {
    case "message":
      receive(raft, draft, event.from, event.message);
      return;
    case "tick":
      return;
    case "stalled":
      listenFirst(raft);
      return;
    case "propose":
      propose(raft, draft, event.ticket, event.payload);
      return;
    case "change":
      proposeChange(raft, draft, event.ticket, event.wishes);
      return;
    case "read":
      requestRead(raft, draft, event.ticket, event.lease);
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
    case "snapshot-taken":
      noteSnapshot(raft, event.snapshot);
      return;
    case "snapshot-received":
      receiveSnapshot(raft, draft, event.snapshot);
      return;
    case "snapshot-lost":
      snapshotLost(raft, event.index);
      return;
    case "compact":
      compact(raft, event.index);
      return;
    case "admitted":
      raft.isAdmitted = true;
      if (raft.role.name === "follower" && raft.role.leader === null) {
        raft.role = newFollower(null, raft.nowMs + randomElectionTimeoutMs(raft));
      }
      return;
    case "link-up":
      raft.linked.add(event.peer);
      renewLink(raft, event.peer);
      linkUp(raft, draft, event.peer);
      return;
    case "link-lost":
      raft.linked.delete(event.peer);
      renewLink(raft, event.peer);
      if (knownLeader(raft) === event.peer) abandonAsked(raft, draft);
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
        followCommit(raft, message.commitIndex, raft.agreedIndex);
        const { term, round } = message;
        draft.messages.push({ to: from, message: { type: "heartbeat-response", term, round } });
      }
      return;
    case "snapshot-offer":
      if (hearLeader(raft, draft, from)) considerOffer(raft, draft, from, message);
      return;
    case "read-request":
      answerReadRequest(raft, from, message.id);
      return;
    case "read-response":
      if (knownLeader(raft) === from) takeReadResponse(raft, draft, message);
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
    case "snapshot-offer":
      draft.messages.push({ to: from, message: { type: "heartbeat-response", term, round: 0 } });
      return;
    case "vote-response":
    case "append-accepted":
    case "append-rejected":
    case "heartbeat-response":
    case "timeout-now":
    case "read-request":
    case "read-response":
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
      noteRounds(raft, draft, role);
      return;
  }
}

/** A new link has lost whatever the old one carried. */
function renewLink(raft: Raft, peer: NodeId): void {
  const follower = raft.role.name === "leader" ? raft.role.followers.get(peer) : undefined;
  if (follower !== undefined) startProbing(follower);
  forgetQuestions(raft, peer);
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
  const { role, nowMs } = raft;
  abandonOverdue(raft, draft);
  if (role.name !== "leader") {
    if (nowMs >= role.electionDeadlineMs) {
      startPreVote(raft, draft, role.name === "follower" ? role.evidence : "timer-ran-out");
    }
    return;
  }
  watchTransfer(raft, draft, role);
  // Before it shows signs of life: a leader that was paused for too long must not hold up those who replace it.
  if (nowMs >= role.quorumDeadlineMs && !checkQuorum(raft, draft, role)) return;
  if (nowMs >= role.heartbeatDeadlineMs) sendHeartbeats(raft, draft, role);
  remindSilent(raft, role);
  prefer(raft, draft, role);
}

function deadlineMs(raft: Raft): number {
  const { role } = raft;
  if (role.name !== "leader") return Math.min(role.electionDeadlineMs, answerDueMs(raft));
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
  const { reset } = raft;
  if (!moved && reset === null && entries.length === 0) return null;
  const changed = moved || commitIndex !== persistedState.commitIndex;
  const hardState: HardState | null = changed ? { term, vote, commitIndex } : null;
  if (hardState !== null) raft.persistedState = hardState;
  raft.reset = null;
  raft.unpersistedFrom = logIndex(log.lastIndex + 1);
  const seq = ++raft.persistSeq;
  raft.persistsInFlight.push({ seq, lastIndex: log.lastIndex });
  return { seq, reset, hardState, entries };
}
