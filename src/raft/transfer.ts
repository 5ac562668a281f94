/** The hand-over of leadership (thesis, 3.10): on request, when a leader stops, and to a server that is to be preferred. */

import { find } from "./configuration.ts";
import type { Draft } from "./effects.ts";
import { configurationOf, heirsOf, keepsUp, type Leader, type Raft } from "./state.ts";
import type { NodeId } from "./types.ts";

/** A leader looks for one that is to be preferred every so many election timeouts. */
export const PREFERENCE_TIMEOUTS = 4;

/** Chooses the heir, if the leader may have one, and takes no more proposals until it is over. */
export function startTransfer(raft: Raft, draft: Draft, to: NodeId | null): void {
  const { role } = raft;
  if (role.name !== "leader" || role.transfer !== null) return;
  const candidates = heirsOf(raft).filter((heir) => raft.linked.has(heir) && (to === null || heir === to));
  const heir = candidates.sort((a, b) => matchOf(role, b) - matchOf(role, a))[0];
  if (heir === undefined) {
    draft.story.push({ event: "transfer-failed", term: raft.term, to });
    return;
  }
  role.transfer = { to: heir, deadlineMs: raft.nowMs + raft.config.electionTimeoutMinMs, ordered: false };
  draft.story.push({ event: "transfer-started", term: raft.term, to: heir });
}

const matchOf = (leader: Leader, id: NodeId): number => leader.followers.get(id)?.match ?? 0;

/** Tells the heir to start its election, once it has everything. From then on it may come at any time. */
export function orderTransfer(raft: Raft, draft: Draft, leader: Leader): void {
  const { transfer } = leader;
  if (transfer === null || transfer.ordered || matchOf(leader, transfer.to) !== raft.log.lastIndex) return;
  transfer.ordered = true;
  orderElection(raft, draft, leader, transfer.to);
}

/** Has a server start an election at once; nothing that relied on there being none holds any more. */
export function orderElection(raft: Raft, draft: Draft, leader: Leader, to: NodeId): void {
  leader.leaseForfeited = true;
  draft.messages.push({ to, message: { type: "timeout-now", term: raft.term } });
}

/** One that has not worked out by an election timeout is given up: the leader goes on. */
export function watchTransfer(raft: Raft, draft: Draft, leader: Leader): void {
  const { transfer } = leader;
  if (transfer === null || raft.nowMs < transfer.deadlineMs) return;
  draft.story.push({ event: "transfer-failed", term: raft.term, to: transfer.to });
  leader.transfer = null;
}

/**
 * Hands over to a server of a higher priority that holds everything and is reached. Priority has no say in elections,
 * where it could only delay them.
 */
export function prefer(raft: Raft, draft: Draft, leader: Leader): void {
  if (raft.nowMs < leader.preferenceDeadlineMs) return;
  leader.preferenceDeadlineMs = raft.nowMs + PREFERENCE_TIMEOUTS * raft.config.electionTimeoutMaxMs;
  const priorityOf = (id: NodeId): number => find(configurationOf(raft), id)?.priority ?? 0;
  const [best] = heirsOf(raft)
    .filter((id) => keepsUp(raft, leader, id))
    .sort((a, b) => priorityOf(b) - priorityOf(a));
  if (best !== undefined && priorityOf(best) > priorityOf(raft.config.id)) startTransfer(raft, draft, best);
}
