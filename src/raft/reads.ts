/**
 * Linearizable reads without writing to the log (ReadIndex; thesis, section 6.4): remember the commit index, confirm
 * by a round of heartbeats that nobody else leads, and serve the read once that index is applied. One round answers
 * every read that waited for it; reads that come while it is on its way share the next.
 */

import type { Draft } from "./effects.ts";
import type { HeartbeatRequest } from "./messages.ts";
import { agreedByMajority } from "./quorum.ts";
import type { Leader, Raft } from "./state.ts";
import type { LogIndex } from "./types.ts";

export function requestRead(raft: Raft, draft: Draft, ticket: number): void {
  if (raft.role.name === "leader") raft.role.readsWaiting.push(ticket);
  else draft.reads.push({ ticket, refusal: "not-leader" });
}

/** Starts a round for the reads that wait, unless one is on its way or the term's no-op is not committed yet. */
export function startReadRound(raft: Raft, draft: Draft): void {
  const { role } = raft;
  if (role.name !== "leader" || role.readsWaiting.length === 0 || role.readsConfirming.length > 0) return;
  if (raft.commitIndex < role.firstIndex) return;
  sendHeartbeats(raft, draft, role);
  role.readsConfirming.push({ round: role.round, index: raft.commitIndex, tickets: role.readsWaiting.splice(0) });
  releaseReads(raft, draft, role);
}

/** One round of heartbeats to every follower that can be reached. */
export function sendHeartbeats(raft: Raft, draft: Draft, leader: Leader): void {
  leader.round++;
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
}

/** Serves the reads whose round, or a later one, a majority has answered. */
export function releaseReads(raft: Raft, draft: Draft, leader: Leader): void {
  if (leader.readsConfirming.length === 0) return;
  const rounds = raft.config.voters.map((voter) =>
    voter === raft.config.id ? leader.round : (leader.followers.get(voter)?.round ?? 0),
  );
  const confirmed = agreedByMajority(rounds);
  leader.readsConfirming = leader.readsConfirming.filter(({ round, index, tickets }) => {
    if (round > confirmed) return true;
    for (const ticket of tickets) draft.reads.push({ ticket, index });
    return false;
  });
}

/** This server leads no more and can't answer for the reads it was asked. */
export function abandonReads(raft: Raft, draft: Draft): void {
  const { role } = raft;
  if (role.name !== "leader") return;
  const tickets = [...role.readsConfirming.flatMap((waiting) => waiting.tickets), ...role.readsWaiting];
  for (const ticket of tickets) draft.reads.push({ ticket, refusal: "not-leader" });
}
