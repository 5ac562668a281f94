/** Log replication and commitment (paper, 5.3 and 5.4.2). */

import { overwrite } from "./append.ts";
import type { Draft } from "./effects.ts";
import type { AppendAccepted, AppendRejected, AppendRequest } from "./messages.ts";
import { agreedByQuorum } from "./quorum.ts";
import { offerSnapshot } from "./snapshots.ts";
import { configurationOf, type Leader, type Progress, type Raft } from "./state.ts";
import { type Entry, entryBytes, type LogIndex, logIndex, NO_INDEX, NO_TERM, type NodeId, type Term } from "./types.ts";

/** The receiver's side of AppendEntries (paper, Figure 2). The sender is this term's leader. */
export function receiveEntries(raft: Raft, draft: Draft, from: NodeId, request: AppendRequest): void {
  const { log } = raft;
  const { prevLogIndex, entries } = request;
  const prevTerm = log.termAt(prevLogIndex);
  // What lies before the base is in a snapshot, and so committed: the leader has the same.
  if (prevLogIndex >= log.base.index && prevTerm !== request.prevLogTerm) {
    const rejected: AppendRejected = {
      type: "append-rejected",
      term: raft.term,
      prevLogIndex,
      conflictTerm: (prevTerm ?? 0) as Term,
      conflictIndex: prevTerm === null ? logIndex(log.lastIndex + 1) : log.firstIndexOfTermAt(prevLogIndex),
    };
    draft.messages.push({ to: from, message: rejected });
    return;
  }
  // Entries that match stay, even past the last one sent: a late message must not shorten the log.
  const fresh = entries.findIndex(({ index, term }) => index > log.base.index && log.termAt(index) !== term);
  if (fresh !== -1) {
    const first = entries[fresh];
    if (first === undefined || first.index <= raft.commitIndex) return; // No leader would: committed entries are final.
    for (const entry of entries.slice(fresh)) overwrite(raft, draft, entry);
  }
  const matchIndex = logIndex(prevLogIndex + entries.length);
  if (matchIndex > raft.agreedIndex) raft.agreedIndex = matchIndex;
  followCommit(raft, request.leaderCommit, matchIndex);
  const accepted: AppendAccepted = { type: "append-accepted", term: raft.term, matchIndex };
  draft.messagesAfterPersist.push({ to: from, message: accepted });
}

/** Entries are only known to be the leader's up to `matchIndex`, so no commit index is believed past it. */
export function followCommit(raft: Raft, leaderCommit: LogIndex, matchIndex: LogIndex): void {
  const commitIndex = Math.min(leaderCommit, matchIndex) as LogIndex;
  if (commitIndex > raft.commitIndex) raft.commitIndex = commitIndex;
}

export function acceptedBy(raft: Raft, draft: Draft, leader: Leader, from: NodeId, response: AppendAccepted): void {
  const follower = leader.followers.get(from);
  const { matchIndex } = response;
  if (follower === undefined || matchIndex > raft.log.lastIndex) return;
  while (follower.inFlight[0] !== undefined && follower.inFlight[0].lastIndex <= matchIndex) {
    follower.inFlightBytes -= follower.inFlight.shift()?.bytes ?? 0;
  }
  if (matchIndex > follower.match) follower.match = matchIndex;
  if (follower.next <= matchIndex) follower.next = logIndex(matchIndex + 1);
  // A late answer does not spare it the snapshot.
  if (follower.next > raft.log.base.index) follower.mode = "replicate";
  if (follower.offered !== null && follower.match >= follower.offered.index) follower.offered = null;
  noteRound(raft, follower);
  if (!follower.caughtUp && follower.match >= raft.commitIndex && follower.match >= leader.firstIndex) {
    follower.caughtUp = true;
    draft.story.push({ event: "follower-caught-up", term: raft.term, follower: from, index: follower.match });
  }
  advanceCommit(raft);
}

/** Catching up goes in rounds: each brings over what the leader had at its start (thesis, section 4.2.1). */
function noteRound(raft: Raft, follower: Progress): void {
  if (follower.match < follower.target) return;
  const tookMs = raft.nowMs - follower.targetMs;
  follower.keepsUp = follower.match === raft.log.lastIndex || tookMs < raft.config.electionTimeoutMinMs;
  follower.target = raft.log.lastIndex;
  follower.targetMs = raft.nowMs;
}

/** Steps back to where the logs may agree, a term at a time (paper, end of 5.3). */
export function rejectedBy(raft: Raft, leader: Leader, from: NodeId, response: AppendRejected): void {
  const follower = leader.followers.get(from);
  if (follower === undefined || response.prevLogIndex <= follower.match) return;
  if (follower.mode === "snapshot") return; // It has been answered with the snapshot.
  if (follower.mode === "probe" && response.prevLogIndex !== follower.next - 1) return; // To an older question.
  const { conflictTerm, conflictIndex } = response;
  const last = raft.log.lastIndexUpToTerm(conflictTerm);
  const sameTerm = conflictTerm !== NO_TERM && raft.log.termAt(last) === conflictTerm;
  const next = sameTerm ? last + 1 : conflictIndex;
  startProbing(follower);
  follower.next = logIndex(Math.max(follower.match + 1, Math.min(next, response.prevLogIndex)));
}

/** What is on its way to the follower is lost, or in doubt: find out again where the logs agree. */
export function startProbing(follower: Progress): void {
  follower.mode = "probe";
  follower.inFlight = [];
  follower.inFlightBytes = 0;
  follower.fetching = false;
  follower.keepsUp = false;
  follower.next = logIndex(Math.max(follower.match + 1, follower.next));
}

/**
 * An entry is committed once a majority holds it durably, but only one of the leader's own term is ever counted: the
 * earlier ones follow from it (paper, 5.4.2 and Figure 8).
 */
export function advanceCommit(raft: Raft): void {
  const { role } = raft;
  if (role.name !== "leader") return;
  const agreed = agreedByQuorum(configurationOf(raft), (voter) =>
    voter === raft.config.id ? raft.durableIndex : (role.followers.get(voter)?.match ?? NO_INDEX),
  ) as LogIndex;
  if (agreed > raft.commitIndex && raft.log.termAt(agreed) === raft.term) raft.commitIndex = agreed;
}

/** Sends every follower what it lacks, as far as its window allows. */
export function replicate(raft: Raft, draft: Draft): void {
  const { role } = raft;
  if (role.name !== "leader") return;
  for (const [peer, follower] of role.followers) {
    if (raft.linked.has(peer)) feed(raft, draft, peer, follower);
  }
}

function feed(raft: Raft, draft: Draft, peer: NodeId, follower: Progress): void {
  const { appendsInFlightMax, appendBytesInFlightMax, appendBytesMax } = raft.config;
  if (follower.next <= raft.log.base.index) {
    offerSnapshot(raft, draft, peer, follower);
    return;
  }
  while (!follower.fetching) {
    const windowMax = follower.mode === "probe" ? 1 : appendsInFlightMax;
    if (follower.inFlight.length >= windowMax || follower.inFlightBytes >= appendBytesInFlightMax) return;
    if (follower.mode === "replicate" && follower.next > raft.log.lastIndex) return;
    const entries = raft.log.slice(follower.next, appendBytesMax);
    if (entries === null) {
      follower.fetching = true;
      draft.fetches.push({ to: peer, from: follower.next, through: raft.log.lastIndex, bytesMax: appendBytesMax });
      return;
    }
    sendEntries(raft, draft, peer, follower, entries);
  }
}

function sendEntries(raft: Raft, draft: Draft, to: NodeId, follower: Progress, entries: readonly Entry[]): void {
  const prevLogIndex = logIndex(follower.next - 1);
  const prevLogTerm = raft.log.termAt(prevLogIndex);
  if (prevLogTerm === null) throw new RangeError(`next index ${follower.next} of ${to} is past the end of the log`);
  const message: AppendRequest = {
    type: "append-request",
    term: raft.term,
    prevLogIndex,
    prevLogTerm,
    leaderCommit: raft.commitIndex,
    entries,
  };
  draft.messages.push({ to, message });
  const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
  const lastIndex = logIndex(prevLogIndex + entries.length);
  follower.inFlight.push({ lastIndex, bytes, sentMs: raft.nowMs });
  follower.inFlightBytes += bytes;
  // A probe leaves `next` where it is until an answer shows that the logs agree there.
  if (follower.mode === "replicate") follower.next = logIndex(lastIndex + 1);
}

/**
 * Entries from the disk have come; they are sent if the follower still needs them. A read may have been asked for in an
 * earlier term of office, and what it brings may have been replaced since: only what is in the log now goes out.
 */
export function sendFetched(raft: Raft, draft: Draft, to: NodeId, fetched: readonly Entry[]): void {
  const { role } = raft;
  const follower = role.name === "leader" ? role.followers.get(to) : undefined;
  if (follower === undefined || !follower.fetching) return;
  follower.fetching = false;
  // The log may also have been compacted since: an entry without one before it is no place to go on from.
  const replaced = fetched.findIndex(
    ({ index, term }) => index <= raft.log.base.index || raft.log.termAt(index) !== term,
  );
  const entries = replaced === -1 ? fetched : fetched.slice(0, replaced);
  if (entries[0]?.index === follower.next) sendEntries(raft, draft, to, follower, entries);
}

/** Probes again where an answer is overdue by an election timeout, in case the question was lost. */
export function remindSilent(raft: Raft, leader: Leader): void {
  for (const follower of leader.followers.values()) {
    const oldest = follower.inFlight[0];
    if (oldest === undefined || raft.nowMs - oldest.sentMs < raft.config.electionTimeoutMaxMs) continue;
    startProbing(follower);
    follower.next = logIndex(follower.match + 1);
  }
}
