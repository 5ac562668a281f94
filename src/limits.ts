/** Every bound in one place, with its default. Sizes in bytes, times in milliseconds. */

export interface Limits {
  /** The longest key that clients accept. */
  readonly keyBytesMax: number;
  /** The largest value that clients accept. */
  readonly valueBytesMax: number;
  /** The largest message on a link. A batch of commands, and an AppendEntries, stay well below it. */
  readonly messageBytesMax: number;
  /** What one link may hold back for a slow reader before it is closed. */
  readonly sendBufferBytesMax: number;
  /** Deliveries waiting for one actor. */
  readonly mailboxMax: number;
  /** Links that one process accepts. */
  readonly connectionsMax: number;
  /** Sessions in the replicated state. */
  readonly sessionsMax: number;
  /** A session without a link ends after this long. */
  readonly sessionTimeoutMs: number;
  /** Commands of one session that may be unanswered. */
  readonly sessionWindowMax: number;
  /** Proposals that a leader holds uncommitted, and their bytes; beyond, callers get `BUSY`. */
  readonly proposalsMax: number;
  readonly proposalBytesMax: number;
  /** Reads that wait on one node; beyond, callers get `BUSY`. */
  readonly readsMax: number;
  /** One AppendEntries, and how much of them may be on the way to one follower. */
  readonly appendBytesMax: number;
  readonly appendsInFlightMax: number;
  /** Log entries kept in memory. */
  readonly logCacheBytesMax: number;
  /** A log file that has grown past this is followed by a new one. */
  readonly segmentBytesMax: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;

/** What holds where a configuration says nothing. */
export const DEFAULT_LIMITS: Limits = {
  keyBytesMax: KiB,
  valueBytesMax: MiB,
  messageBytesMax: 8 * MiB,
  sendBufferBytesMax: 64 * MiB,
  mailboxMax: 65_536,
  connectionsMax: 20_000,
  sessionsMax: 100_000,
  sessionTimeoutMs: 60_000,
  sessionWindowMax: 4_096,
  proposalsMax: 16_384,
  proposalBytesMax: 64 * MiB,
  readsMax: 65_536,
  appendBytesMax: MiB,
  appendsInFlightMax: 64,
  logCacheBytesMax: 64 * MiB,
  segmentBytesMax: 64 * MiB,
};
