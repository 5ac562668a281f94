/** What survives a crash. */

export { encodeOrigin, readBackup, type VerifiedBackup, verifyBackup } from "./backup-file.ts";
export { asOurs, isNoFile } from "./disk-errors.ts";
export { type Founder, Identity, isNodeFolder, ownerOf } from "./identity.ts";
export { type Inspection, inspect, type SnapshotReport } from "./inspect.ts";
export type { Damage, Range, SegmentReport, TermReport } from "./inspect-log.ts";
export { enterLife, prepareLife } from "./new-life.ts";
export { folderOf } from "./small-file.ts";
export {
  type Chunks,
  type Pieces,
  readSnapshot,
  type VerifiedSnapshot,
  verifySnapshot,
} from "./snapshot-file.ts";
export type { SnapshotHeader, SnapshotInfo } from "./snapshot-format.ts";
export type { Announcement, SnapshotReceiver } from "./snapshot-receiver.ts";
export { type SnapshotOptions, SnapshotStore } from "./snapshots.ts";
export { RESERVE_BYTES, Wal, type WalOptions } from "./wal.ts";
export type { Batch, EntryId, Records, Replay, StoredEntry, StoredState } from "./wal-format.ts";
