/** What survives a crash. */

export { Identity } from "./identity.ts";
export { Wal, type WalOptions } from "./wal.ts";
export type { Batch, Replay, StoredEntry, StoredState } from "./wal-format.ts";
