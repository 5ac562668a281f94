/** How configurations come into effect and go out of it again: with the entries that hold them (thesis, 4.1). */

import { type Configuration, find, isSame, isSameServer } from "./configuration.ts";
import type { Draft } from "./effects.ts";
import { type Configured, configurationOf, newestOf, type Progress, peersOf, type Raft } from "./state.ts";
import { type LogIndex, logIndex, NO_INDEX } from "./types.ts";

/** A configuration takes effect as it enters the log, committed or not. */
export function adopt(raft: Raft, draft: Draft, configured: Configured): void {
  const { index, configuration } = configured;
  change(raft, () => raft.configurations.push(configured));
  if (index > raft.commitIndex) {
    draft.story.push({ event: "configuration", term: raft.term, index, configuration, committed: false });
  }
}

/** Entries behind `kept` leave the log, and with them the changes that they made. */
export function rollBackTo(raft: Raft, draft: Draft, kept: LogIndex): void {
  for (let newest = newestOf(raft); newest.index > kept; newest = newestOf(raft)) {
    change(raft, () => raft.configurations.pop());
    draft.story.push({ event: "configuration-rolled-back", term: raft.term, index: newest.index });
  }
}

function change(raft: Raft, act: () => void): void {
  const before = configurationOf(raft);
  act();
  const { role } = raft;
  if (role.name !== "leader") return;
  const after = configurationOf(raft);
  const peers = peersOf(raft);
  for (const id of [...role.followers.keys()]) {
    // What one of that name has said before binds another one to nothing.
    if (!isSameServer(find(before, id), find(after, id))) role.followers.delete(id);
  }
  for (const id of peers) {
    if (!role.followers.has(id)) role.followers.set(id, newProgress(raft, logIndex(raft.log.lastIndex + 1)));
  }
}

/** What a leader knows of a follower that it has not heard from in its term (paper, Figure 2). */
export const newProgress = (raft: Raft, next: LogIndex): Progress => ({
  match: NO_INDEX,
  next,
  mode: "probe",
  inFlight: [],
  inFlightBytes: 0,
  fetching: false,
  heardMs: raft.nowMs,
  round: 0,
  caughtUp: false,
  offered: null,
  offeredMs: -Infinity,
  target: raft.log.lastIndex,
  targetMs: raft.nowMs,
  keepsUp: false,
});

/** Tells of the changes that have become final since the commit index was `before`, and the members were `settled`. */
export function noteCommitted(raft: Raft, draft: Draft, before: LogIndex, settled: Configuration): void {
  if (raft.commitIndex === before) return;
  for (const { index, configuration } of raft.configurations) {
    // A snapshot says who the members are, whether or not these are others.
    if (index <= before || index > raft.commitIndex || isSame(configuration, settled)) continue;
    draft.story.push({ event: "configuration", term: raft.term, index, configuration, committed: true });
  }
}
