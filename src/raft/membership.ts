/**
 * Changes of the members (thesis, chapter 4), always by joint consensus where votes change hands (4.3). A request names
 * what is wanted; whoever leads sees it through, since all that is left to do stands in the configuration itself.
 */

import { appendConfiguration } from "./append.ts";
import { changed, isJoint, isVoter, left, promoted, type Wish } from "./configuration.ts";
import type { Draft } from "./effects.ts";
import { stepDown } from "./election.ts";
import {
  configurationOf,
  heirsOf,
  keepsUp,
  type Leader,
  newestOf,
  newFollower,
  type Raft,
  randomElectionTimeoutMs,
} from "./state.ts";
import { orderElection } from "./transfer.ts";
import type { NodeId } from "./types.ts";

/** Begins a change, if this server leads and no other change is under way. */
export function proposeChange(raft: Raft, draft: Draft, ticket: number, wishes: readonly Wish[]): void {
  const { role, term } = raft;
  if (role.name !== "leader") draft.changes.push({ ticket, refusal: "not-leader" });
  else if (role.transfer !== null) draft.changes.push({ ticket, refusal: "transferring" });
  else if (!isSettled(raft, role)) {
    const reason = raft.commitIndex < role.firstIndex ? "not-ready" : "in-progress";
    draft.changes.push({ ticket, refusal: { reason } });
  } else {
    const before = configurationOf(raft);
    const after = changed(before, wishes);
    if ("reason" in after) draft.changes.push({ ticket, refusal: after });
    else if (after === before) draft.changes.push({ ticket, index: null, term });
    else draft.changes.push({ ticket, index: appendConfiguration(raft, draft, after), term });
  }
}

/**
 * A leader may change the members once it knows what is committed, its own term's first entry included, and who they are
 * for certain (thesis, 4.1 and its erratum of 2015).
 */
const isSettled = (raft: Raft, leader: Leader): boolean =>
  raft.commitIndex >= leader.firstIndex && newestOf(raft).index <= raft.commitIndex;

/** Takes whatever step is due: out of a joint configuration, promotions, and the leader's own way out. */
export function tendMembership(raft: Raft, draft: Draft, leader: Leader): void {
  if (!isSettled(raft, leader)) return;
  const configuration = configurationOf(raft);
  if (isJoint(configuration)) {
    appendConfiguration(raft, draft, left(configuration));
  } else if (!isVoter(configuration, raft.config.id)) {
    resign(raft, draft, leader);
  } else if (leader.transfer === null) {
    const after = promoted(configuration, (id) => keepsUp(raft, leader, id));
    if (after !== configuration) appendConfiguration(raft, draft, after);
  }
}

/** The members without this leader are committed: its work is done, and another one takes over (thesis, 4.2.2). */
function resign(raft: Raft, draft: Draft, leader: Leader): void {
  const matchOf = (id: NodeId): number => leader.followers.get(id)?.match ?? 0;
  const [heir] = heirsOf(raft)
    .filter((id) => raft.linked.has(id))
    .sort((a, b) => matchOf(b) - matchOf(a));
  if (heir !== undefined) orderElection(raft, draft, leader, heir);
  stepDown(raft, draft, "removed");
  raft.role = newFollower(null, raft.nowMs + randomElectionTimeoutMs(raft));
}
