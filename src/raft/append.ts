/** How entries enter the log, at the leader and at a follower. */

import { adopt, rollBackTo } from "./adoption.ts";
import { type Configuration, decodeConfiguration, encodeConfiguration } from "./configuration.ts";
import type { Draft } from "./effects.ts";
import type { Raft } from "./state.ts";
import { type Entry, EntryKind, type LogIndex, logIndex } from "./types.ts";

/** The leader appends to its own log (paper, Figure 2, "Leaders"). It is sent and persisted with the batch. */
export function appendOwn(raft: Raft, kind: EntryKind, payload: Uint8Array): LogIndex {
  const index = logIndex(raft.log.lastIndex + 1);
  raft.log.append({ index, term: raft.term, kind, payload });
  return index;
}

/** The leader changes the members (thesis, 4.1). */
export function appendConfiguration(raft: Raft, draft: Draft, configuration: Configuration): LogIndex {
  const index = appendOwn(raft, EntryKind.configuration, encodeConfiguration(configuration));
  adopt(raft, draft, { index, configuration });
  return index;
}

/** A follower takes an entry; one that is in the way of it goes, and was then never durable as far as anyone may ask. */
export function overwrite(raft: Raft, draft: Draft, entry: Entry): void {
  const kept = logIndex(entry.index - 1);
  if (entry.index <= raft.log.lastIndex) {
    rollBackTo(raft, draft, kept);
    if (raft.unpersistedFrom > entry.index) raft.unpersistedFrom = entry.index;
    if (raft.durableIndex > kept) raft.durableIndex = kept;
    for (const persist of raft.persistsInFlight) {
      if (persist.lastIndex > kept) persist.lastIndex = kept;
    }
  }
  raft.log.append(entry);
  if (entry.kind === EntryKind.configuration) {
    adopt(raft, draft, { index: entry.index, configuration: decodeConfiguration(entry.payload) });
  }
}
