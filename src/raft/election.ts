/** Leader election: pre-vote, vote, and the ways into and out of each role (paper 5.2 and 5.4.1, thesis 9.6 and 3.10). */

import { newProgress } from "./adoption.ts";
import { appendOwn } from "./append.ts";
import { isVoter, votersOf } from "./configuration.ts";
import type { Draft, PreVoteReason, StepDownReason } from "./effects.ts";
import type { TimeoutNow, VoteRefusal, VoteRequest, VoteResponse } from "./messages.ts";
import { isQuorum, type Tally, tally } from "./quorum.ts";
import { abandonReads } from "./reads.ts";
import {
  type Candidate,
  canCampaign,
  canPromise,
  configurationOf,
  knownLeader,
  type Leader,
  newFollower,
  otherVotersOf,
  peersOf,
  type Raft,
  random,
  randomElectionTimeoutMs,
  randomEvidenceDelayMs,
} from "./state.ts";
import { PREFERENCE_TIMEOUTS } from "./transfer.ts";
import { EntryKind, logIndex, NO_INDEX, type NodeId, type Term, term } from "./types.ts";

/**
 * The election timeout ran out, or evidence shortened it: ask whether an election could be won before disturbing
 * anybody with a new term.
 */
export function startPreVote(raft: Raft, draft: Draft, reason: PreVoteReason): void {
  const { id } = raft.config;
  raft.stalls = 0;
  if (!canCampaign(raft)) {
    // It has no vote to win with. What it followed is silent, and that is all there is to say.
    raft.role = newFollower(null, raft.nowMs + randomElectionTimeoutMs(raft));
    return;
  }
  const configuration = configurationOf(raft);
  if (!isQuorum(configuration, (voter) => voter === id || raft.linked.has(voter))) {
    loseQuorum(raft, draft, [id, ...otherVotersOf(raft).filter((voter) => raft.linked.has(voter))]);
    raft.role = newFollower(null, raft.nowMs + randomElectionTimeoutMs(raft));
    return;
  }
  draft.story.push({ event: "pre-vote", term: raft.term, reason });
  raft.role = {
    name: "pre-candidate",
    transfer: false,
    votes: new Map([[id, true]]),
    electionDeadlineMs: raft.nowMs + randomElectionTimeoutMs(raft),
  };
  for (const voter of otherVotersOf(raft)) requestVote(raft, draft, voter);
  count(raft, draft, raft.role);
}

/** Starts a real election in a new term. The vote for oneself counts, like any other, once it is durable. */
function campaign(raft: Raft, draft: Draft, transfer: boolean): void {
  raft.term = term(raft.term + 1);
  raft.vote = raft.config.id;
  raft.agreedIndex = NO_INDEX;
  raft.role = {
    name: "candidate",
    transfer,
    votes: new Map(),
    electionDeadlineMs: raft.nowMs + randomElectionTimeoutMs(raft),
  };
  draft.story.push({ event: "candidate", term: raft.term, transfer });
  const own: VoteResponse = { type: "vote-response", term: raft.term, preVote: false, refusal: null };
  draft.messagesAfterPersist.push({ to: raft.config.id, message: own });
  for (const voter of otherVotersOf(raft)) requestVote(raft, draft, voter);
}

/** Sends this candidate's request to one server, if there is a link to it. */
function requestVote(raft: Raft, draft: Draft, to: NodeId): void {
  const { role, log } = raft;
  if ((role.name !== "candidate" && role.name !== "pre-candidate") || !raft.linked.has(to)) return;
  const preVote = role.name === "pre-candidate";
  const message: VoteRequest = {
    type: "vote-request",
    term: preVote ? term(raft.term + 1) : raft.term,
    preVote,
    transfer: role.transfer,
    lastLogIndex: log.lastIndex,
    lastLogTerm: log.lastTerm,
  };
  (preVote ? draft.messages : draft.messagesAfterPersist).push({ to, message });
}

/**
 * A leader was heard from within the shortest election timeout, or this server is the leader (thesis, 4.2.3). Where
 * leaders serve reads under a lease, nothing else but time lets go of it.
 */
export function leaderIsAlive(raft: Raft): boolean {
  const { role } = raft;
  if (role.name === "leader") return true;
  const isFollowing = role.name === "follower" && role.leader !== null;
  return (isFollowing || usesLeases(raft)) && raft.nowMs - raft.leaderHeardMs < raft.config.electionTimeoutMinMs;
}

const usesLeases = ({ config }: Raft): boolean => config.clockDriftMax !== null;

/** The election restriction (paper, 5.4.1): the candidate's log must be at least as up-to-date as this one. */
function isUpToDate(raft: Raft, { lastLogTerm, lastLogIndex }: VoteRequest): boolean {
  const { lastTerm, lastIndex } = raft.log;
  return lastLogTerm > lastTerm || (lastLogTerm === lastTerm && lastLogIndex >= lastIndex);
}

function reasonToRefuse(raft: Raft, from: NodeId, request: VoteRequest): VoteRefusal | null {
  if (!request.transfer && leaderIsAlive(raft)) return "leader-is-alive";
  if (request.preVote) {
    if (request.term <= raft.term) return "term-behind";
  } else if (raft.vote !== null && raft.vote !== from) {
    return "voted-for-another";
  }
  return isUpToDate(raft, request) ? null : "log-behind";
}

/** A request in this server's term, or a pre-vote. Lower terms were answered and higher ones adopted before. */
export function answerVoteRequest(raft: Raft, draft: Draft, from: NodeId, request: VoteRequest): void {
  if (!canPromise(raft)) return; // It may have given its vote before, and have forgotten.
  const { preVote } = request;
  const refusal = reasonToRefuse(raft, from, request);
  draft.story.push({ event: "vote-sent", term: request.term, to: from, preVote, refusal });
  const granted = refusal === null;
  const response: VoteResponse = {
    type: "vote-response",
    term: preVote && granted ? request.term : raft.term,
    preVote,
    refusal,
  };
  if (preVote || !granted) {
    draft.messages.push({ to: from, message: response });
    // Give the one who asked first a head start, so that two do not split the vote.
    if (granted && raft.role.name === "follower") {
      const headStartMs = raft.nowMs + raft.config.evidenceDelayMaxMs;
      raft.role.electionDeadlineMs = Math.max(raft.role.electionDeadlineMs, headStartMs);
    }
    return;
  }
  raft.vote = from;
  raft.role = newFollower(null, raft.nowMs + randomElectionTimeoutMs(raft));
  draft.messagesAfterPersist.push({ to: from, message: response });
}

/** Counts the vote of a member, if it answers the question that this server is asking now. */
export function takeVote(raft: Raft, draft: Draft, from: NodeId, response: VoteResponse): void {
  const { role } = raft;
  const { refusal, preVote } = response;
  if (role.name !== "candidate" && role.name !== "pre-candidate") return;
  if (!isVoter(configurationOf(raft), from)) return;
  if (preVote !== (role.name === "pre-candidate")) return;
  const expected = preVote && refusal === null ? raft.term + 1 : raft.term;
  if (response.term !== expected || role.votes.has(from)) return;
  role.votes.set(from, refusal === null);
  if (from !== raft.config.id) {
    draft.story.push({ event: "vote-received", term: response.term, from, preVote, refusal });
  }
  count(raft, draft, role);
}

/** Draws the conclusion from the votes at hand: a vote that no link can bring any more is as good as refused. */
export function count(raft: Raft, draft: Draft, role: Candidate): void {
  const silent = otherVotersOf(raft).filter((voter) => !role.votes.has(voter) && !raft.linked.has(voter));
  const votes = new Map([...role.votes, ...silent.map((voter): [NodeId, boolean] => [voter, false])]);
  const result: Tally = tally(configurationOf(raft), votes);
  if (result === "open") return;
  if (role.name === "pre-candidate") {
    if (result === "won") campaign(raft, draft, false);
    else raft.role = newFollower(null, role.electionDeadlineMs);
    return;
  }
  if (result === "won") {
    becomeLeader(
      raft,
      draft,
      votersOf(configurationOf(raft)).filter((voter) => votes.get(voter) === true),
    );
    return;
  }
  raft.splitVotes++;
  raft.role = newFollower(null, raft.nowMs + randomEvidenceDelayMs(raft));
  raft.role.evidence = "vote-split";
}

/** Opens the term with a no-op, whose commitment commits everything before it (paper, 5.4.2 and section 8). */
function becomeLeader(raft: Raft, draft: Draft, votes: NodeId[]): void {
  const next = logIndex(raft.log.lastIndex + 1);
  raft.splitVotes = 0;
  raft.role = {
    name: "leader",
    firstIndex: next,
    followers: new Map(),
    heartbeatDeadlineMs: raft.nowMs + raft.config.heartbeatMs,
    quorumDeadlineMs: raft.nowMs + raft.config.electionTimeoutMinMs,
    round: 0,
    readsWaiting: [],
    readsConfirming: [],
    roundsSent: [],
    leaseUntilMs: -Infinity,
    leaseForfeited: false,
    transfer: null,
    preferenceDeadlineMs: raft.nowMs + PREFERENCE_TIMEOUTS * raft.config.electionTimeoutMaxMs,
  };
  for (const peer of peersOf(raft)) raft.role.followers.set(peer, newProgress(raft, next));
  draft.story.push({ event: "leader-elected", term: raft.term, votes });
  regainQuorum(raft, draft);
  appendOwn(raft, EntryKind.noop, new Uint8Array(0));
}

/** A message showed a term above this server's own (paper, 5.1). */
export function adoptTerm(raft: Raft, draft: Draft, newTerm: Term): void {
  const { role } = raft;
  const deadlineMs =
    role.name === "leader"
      ? raft.nowMs + randomElectionTimeoutMs(raft)
      : role.name === "follower"
        ? role.electionDeadlineMs
        : // A candidate learned that its term was behind: try again soon, with a better one.
          Math.min(role.electionDeadlineMs, raft.nowMs + randomEvidenceDelayMs(raft));
  if (role.name === "leader") stepDown(raft, draft, role.transfer?.ordered ? "transferred" : "higher-term");
  raft.term = newTerm;
  raft.vote = null;
  raft.agreedIndex = NO_INDEX;
  raft.role = newFollower(null, deadlineMs);
}

/** The leader of this server's term was heard from. False if it can't be: this server leads the term itself. */
export function hearLeader(raft: Raft, draft: Draft, leader: NodeId): boolean {
  const { role } = raft;
  if (role.name === "leader") return false;
  raft.stalls = 0;
  const electionDeadlineMs = raft.nowMs + randomElectionTimeoutMs(raft);
  raft.leaderHeardMs = raft.nowMs;
  if (role.name === "follower" && role.leader === leader) {
    role.electionDeadlineMs = electionDeadlineMs;
    role.evidence = "timer-ran-out";
    return true;
  }
  raft.role = newFollower(leader, electionDeadlineMs);
  raft.splitVotes = 0;
  draft.story.push({ event: "following", term: raft.term, leader });
  regainQuorum(raft, draft);
  return true;
}

/** A server that is held up again and again would else listen for ever. */
const STALLS_MAX = 8;

/**
 * After a stall, silence is no evidence: what the leader, or a voter, has said may still lie in a socket. Whoever is alive
 * is heard within two heartbeats, and before that this server asks for no votes. A link that was lost is evidence all the
 * same: whatever came over it was read before.
 */
export function listenFirst(raft: Raft): void {
  const { role, config } = raft;
  if (role.name === "leader") {
    // Whatever held it up may have held up its clock, too: it does not know how long ago it sent what it has sent.
    role.leaseUntilMs = -Infinity;
    role.roundsSent = [];
  }
  if (role.name === "leader" || raft.stalls >= STALLS_MAX) return;
  if (role.name === "follower" && role.evidence === "leader-link-lost") return;
  raft.stalls++;
  // Those who were held up together, by a machine that stood still, do not ask all at once.
  const untilMs = raft.nowMs + (2 + random(raft)) * config.heartbeatMs;
  role.electionDeadlineMs = Math.max(role.electionDeadlineMs, untilMs);
}

/** The leader lays down its office: whatever waited for its word is told so. */
export function stepDown(raft: Raft, draft: Draft, reason: StepDownReason): void {
  abandonReads(raft, draft);
  draft.story.push({ event: "stepped-down", term: raft.term, reason });
}

/**
 * Check-quorum (thesis, 6.2): a leader that has not heard from a majority within an election timeout can't commit
 * anything and may have been replaced, so it must not go on as if it led.
 *
 * @returns whether it still leads
 */
export function checkQuorum(raft: Raft, draft: Draft, role: Leader): boolean {
  const sinceMs = raft.nowMs - raft.config.electionTimeoutMinMs;
  const { id } = raft.config;
  const isReached = (voter: NodeId): boolean =>
    voter === id || (role.followers.get(voter)?.heardMs ?? -Infinity) >= sinceMs;
  if (isQuorum(configurationOf(raft), isReached)) {
    role.quorumDeadlineMs = raft.nowMs + raft.config.electionTimeoutMinMs;
    return true;
  }
  loseQuorum(raft, draft, [id, ...otherVotersOf(raft).filter(isReached)]);
  stepDown(raft, draft, "quorum-lost");
  raft.role = newFollower(null, raft.nowMs + randomElectionTimeoutMs(raft));
  return false;
}

function loseQuorum(raft: Raft, draft: Draft, reachable: NodeId[]): void {
  if (raft.quorumLost) return;
  raft.quorumLost = true;
  draft.story.push({ event: "quorum-lost", term: raft.term, reachable });
}

function regainQuorum(raft: Raft, draft: Draft): void {
  if (!raft.quorumLost) return;
  raft.quorumLost = false;
  draft.story.push({ event: "quorum-regained", term: raft.term });
}

/** A link came up: a candidate asks its new neighbour, and a server that had no quorum looks again soon. */
export function linkUp(raft: Raft, draft: Draft, peer: NodeId): void {
  if (otherVotersOf(raft).includes(peer)) requestVote(raft, draft, peer);
  const { role } = raft;
  if (role.name === "follower" && role.leader === null && raft.quorumLost) {
    role.electionDeadlineMs = Math.min(role.electionDeadlineMs, raft.nowMs + randomEvidenceDelayMs(raft));
  }
}

/** A link was lost: if it led to the leader, the leader may be dead; if to a voter, its vote will not come. */
export function linkLost(raft: Raft, draft: Draft, peer: NodeId): void {
  const { role } = raft;
  if (role.name === "follower" && role.leader === peer) {
    if (!usesLeases(raft)) raft.leaderHeardMs = -Infinity;
    role.evidence = "leader-link-lost";
    // Under a lease the leader may still be serving reads, link or no link.
    const fromMs = Math.max(raft.nowMs, raft.leaderHeardMs + raft.config.electionTimeoutMinMs);
    role.electionDeadlineMs = Math.min(role.electionDeadlineMs, fromMs + randomEvidenceDelayMs(raft));
  } else if (role.name === "candidate" || role.name === "pre-candidate") {
    count(raft, draft, role);
  }
}

/** The leader asked this server to take over (thesis, 3.10): no pre-vote, for the leader knows that it is alive. */
export function obeyTimeoutNow(raft: Raft, draft: Draft, from: NodeId, message: TimeoutNow): void {
  if (message.term === raft.term && knownLeader(raft) === from && canCampaign(raft)) campaign(raft, draft, true);
}
