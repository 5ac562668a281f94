/** What survives a crash. */

export { type Founder, Identity, isNodeFolder, saltOfCluster } from "./identity.ts";
export { type Inspection, inspect, type Range, type SegmentReport, type TermReport } from "./inspect.ts";
export { Wal, type WalOptions } from "./wal.ts";
export type { Batch, EntryId, Records, Replay, StoredEntry, StoredState } from "./wal-format.ts";
