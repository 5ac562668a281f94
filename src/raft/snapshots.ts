/**
 * Snapshots in place of the log (paper, section 7; thesis, chapter 5). The core says who needs one and what follows from
 * one that has come; the bytes take another way, and are none of its business.
 */

import type { Draft, Snapshot } from "./effects.ts";
import { adoptTerm } from "./election.ts";
import type { Position } from "./log.ts";
import type { SnapshotOffer } from "./messages.ts";
import type { Progress, Raft } from "./state.ts";
import { type LogIndex, logIndex, type NodeId } from "./types.ts";

/** What the follower needs next is not in the log any more. */
export function offerSnapshot(raft: Raft, draft: Draft, to: NodeId, follower: Progress): void {
  const isReminder = follower.mode === "snapshot";
  if (isReminder && raft.nowMs - follower.offeredMs < raft.config.electionTimeoutMaxMs) return;
  // One that was offered before may be half there: as long as the log goes on behind it, it will do.
  if (follower.offered === null || follower.offered.index < raft.log.base.index) {
    const { index, term } = raft.snapshot;
    follower.offered = { index, term };
  }
  const { index, term: lastTerm } = follower.offered;
  follower.mode = "snapshot";
  follower.offeredMs = raft.nowMs;
  draft.messages.push({ to, message: { type: "snapshot-offer", term: raft.term, lastIndex: index, lastTerm } });
  if (!isReminder) draft.story.push({ event: "snapshot-offered", term: raft.term, to, index });
}

/** The leader has offered a snapshot: it is needed if it holds anything that is not known to be committed here. */
export function considerOffer(raft: Raft, draft: Draft, from: NodeId, offer: SnapshotOffer): void {
  if (offer.lastIndex > raft.commitIndex) {
    draft.offer = { from, snapshot: { index: offer.lastIndex, term: offer.lastTerm } };
  } else {
    acknowledge(raft, draft, from, raft.commitIndex);
  }
}

/** What is committed here is what the leader has, and once it is durable the leader may count on it. */
function acknowledge(raft: Raft, draft: Draft, to: NodeId, matchIndex: LogIndex): void {
  draft.messagesAfterPersist.push({ to, message: { type: "append-accepted", term: raft.term, matchIndex } });
}

/** A snapshot of this server's own is durable. */
export function noteSnapshot(raft: Raft, snapshot: Snapshot): void {
  if (snapshot.index <= raft.snapshot.index) return;
  raft.snapshot = snapshot;
  forgetConfigurationsBefore(raft);
}

/**
 * A snapshot that was offered is durable here (paper, Figure 13, steps 6 to 8). Whoever sent it, it holds only what is
 * committed. If the log goes on where it ends, what follows is kept; otherwise the log starts anew behind it.
 */
export function receiveSnapshot(raft: Raft, draft: Draft, snapshot: Snapshot): void {
  const { index, term, configuration } = snapshot;
  // Nobody holds an entry of a term that he has not come to: who has yet to hear of it may have started again since.
  if (term > raft.term) adoptTerm(raft, draft, term);
  if (index > raft.commitIndex) {
    const goesOn = raft.log.termAt(index) === term;
    if (goesOn) forgetThrough(raft, index);
    else beginBehind(raft, { index, term });
    raft.snapshot = snapshot;
    raft.commitIndex = index;
    if (goesOn) forgetConfigurationsBefore(raft);
    else raft.configurations = [{ index, configuration }];
    draft.restore = snapshot;
    draft.story.push({ event: "snapshot-installed", term: raft.term, index });
  } else {
    noteSnapshot(raft, snapshot);
  }
  const { role } = raft;
  if (role.name === "follower" && role.leader !== null) acknowledge(raft, draft, role.leader, index);
}

/** The log begins behind a snapshot: it does not go so far, or it goes another way. */
function beginBehind(raft: Raft, position: Position): void {
  raft.log.reset(position);
  resetDisk(raft, position);
}

/** What the log holds up to there is in a snapshot. What no disk has been given yet need not be written any more. */
function forgetThrough(raft: Raft, index: LogIndex): void {
  raft.log.compact(index);
  if (raft.unpersistedFrom <= index) resetDisk(raft, raft.log.base);
}

/** The log on the disk is to begin behind the snapshot, and what follows is to be written after that. */
function resetDisk(raft: Raft, position: Position): void {
  raft.reset = position;
  raft.unpersistedFrom = logIndex(position.index + 1);
  raft.durableIndex = position.index;
  for (const persist of raft.persistsInFlight) persist.lastIndex = position.index;
}

/** A snapshot that was offered can't be had any more: those who need one are offered the newest there is. */
export function snapshotLost(raft: Raft, index: LogIndex): void {
  if (raft.role.name !== "leader") return;
  for (const follower of raft.role.followers.values()) {
    if (follower.offered?.index !== index) continue;
    follower.offered = null;
    follower.offeredMs = raft.nowMs;
  }
}

/** Entries up to `index` leave the disk; a snapshot must stand for them, and the state machine have no use for them. */
export function compact(raft: Raft, index: LogIndex): void {
  if (index > raft.snapshot.index) throw new RangeError(`no snapshot stands for entry ${index}`);
  if (index > raft.appliedIndex) throw new RangeError(`entry ${index} has yet to be applied`);
  forgetThrough(raft, index);
}

/** For so many election timeouts a follower that has fallen silent may expect to go on where it was. */
const PATIENCE_TIMEOUTS = 10;

/**
 * Up to where the log may be compacted, as far as this server itself and its followers are concerned: one that is
 * reached goes on from what it has, and one that draws a snapshot goes on from there. Nobody who is gone, or whose
 * answers do not count, holds the log up for long.
 */
export function compactableThrough(raft: Raft): LogIndex {
  const { role, snapshot, appliedIndex, config } = raft;
  let through: number = Math.min(snapshot.index, appliedIndex);
  const followers = role.name === "leader" ? role.followers : [];
  for (const [id, { offered, match, heardMs }] of followers) {
    if (raft.nowMs - heardMs > PATIENCE_TIMEOUTS * config.electionTimeoutMaxMs) continue;
    if (offered !== null) through = Math.min(through, offered.index);
    else if (raft.linked.has(id)) through = Math.min(through, match);
  }
  return Math.max(through, raft.log.base.index) as LogIndex;
}

/** The snapshots that are still wanted: the newest, and those that followers have been offered. */
export function wantedSnapshots({ role, snapshot }: Raft): LogIndex[] {
  const offered = role.name === "leader" ? [...role.followers.values()].map((follower) => follower.offered) : [];
  return [snapshot.index, ...offered.flatMap((position) => (position === null ? [] : [position.index]))];
}

/** The one in effect where the snapshot ends is where the story of the members begins. */
function forgetConfigurationsBefore(raft: Raft): void {
  const first = raft.configurations.findLastIndex(({ index }) => index <= raft.snapshot.index);
  if (first > 0) raft.configurations.splice(0, first);
}
