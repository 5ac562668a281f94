/** Every bound in one place, with its default. Sizes in bytes, times in milliseconds. */

/**
 * What is bounded, and by how much. Sizes in bytes, times in milliseconds.
 *
 * @example
 * ```ts
 * import { DEFAULT_LIMITS, type Limits } from "conclave";
 *
 * const limits: Limits = { ...DEFAULT_LIMITS, connectionsMax: 100, logBytesMax: 256 * 1024 * 1024 };
 * ```
 */
export interface Limits {
  /** The longest key that clients accept. */
  readonly keyBytesMax: number;
  /** The largest value that clients accept. */
  readonly valueBytesMax: number;
  /** The largest message on a link. A batch of commands, and an AppendEntries, stay well below it. */
  readonly messageBytesMax: number;
  /** What one link may hold back for a slow reader before it is closed. */
  readonly sendBufferBytesMax: number;
  /** Deliveries waiting for one actor. Those that came over one link may take an eighth of what is free. */
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
  /** How many of those one link may hold, and how many bytes of them. */
  readonly linkProposalsMax: number;
  readonly linkProposalBytesMax: number;
  /** Where a command would wait for longer than this to be committed and applied, it gets `BUSY` at once. */
  readonly proposalWaitMsMax: number;
  /** Reads that wait on one node for a majority, and as many that wait for its own time; beyond, callers get `BUSY`. */
  readonly readsMax: number;
  /** Questions that wait on one node for something to happen: those of watches. Beyond, callers get `BUSY`. */
  readonly pollsMax: number;
  /** How large the questions of those reads may be, together, of either kind; and those of watches, for themselves. */
  readonly readBytesMax: number;
  /** How many of those one link may hold, and how many bytes of them. */
  readonly linkReadsMax: number;
  readonly linkReadBytesMax: number;
  /** One AppendEntries, and how many of them, and bytes of them, may be on the way to one follower. */
  readonly appendBytesMax: number;
  readonly appendsInFlightMax: number;
  /** A follower that has far to catch up gets so much in one go, which holds up everybody else meanwhile. */
  readonly appendBytesInFlightMax: number;
  /** Log entries kept in memory. */
  readonly logCacheBytesMax: number;
  /** What the log may take on disk: in time before it has grown to this, a snapshot takes its place. */
  readonly logBytesMax: number;
  /** A log file that has grown past this is followed by a new one; whole files are removed. */
  readonly segmentBytesMax: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;

/** How many commands a client has unanswered at most; nodes must allow as many to a session. */
export const CLIENT_WINDOW_MAX = 2_048;
/** The most bytes of commands, or queries, that share a message; a larger single one travels alone. */
export const CLIENT_BATCH_BYTES_MAX = 512 * KiB;
/** A client that has this many bytes of commands unanswered sends no more of them; the same goes for queries. */
export const CLIENT_WINDOW_BYTES_MAX = 4 * MiB;
/** How many messages of queries a client has unanswered at most. */
export const CLIENT_READS_MAX = 256;
/** What a batch adds to the only command in it, generously. */
const BATCH_OVERHEAD_BYTES = 64;
/** What messages and batches add to what they carry, generously. */
const HEADROOM_BYTES = 64 * KiB;

/** The fewest files that the log may be made of, if it is to be cut back in time. */
const SEGMENTS_MIN = 4;

/** The largest command that there is room for, whatever the settings: a compare-and-swap carries two values. */
export const commandBytesMax = ({
  keyBytesMax,
  valueBytesMax,
}: Pick<Limits, "keyBytesMax" | "valueBytesMax">): number =>
  Math.max(keyBytesMax + 2 * valueBytesMax, CLIENT_BATCH_BYTES_MAX);

/** What is wrong with the limits as a whole: which one, and the least that would do. */
export function limitTooLow(
  limits: Limits,
): { readonly limit: keyof Limits; readonly least: number; readonly why: string } | null {
  const { messageBytesMax } = limits;
  const largestBytes = commandBytesMax(limits) + HEADROOM_BYTES;
  if (messageBytesMax < largestBytes) {
    return { limit: "messageBytesMax", least: largestBytes, why: "the largest command has to fit" };
  }
  if (limits.sendBufferBytesMax < 2 * messageBytesMax) {
    return { limit: "sendBufferBytesMax", least: 2 * messageBytesMax, why: "two messages have to fit" };
  }
  if (limits.sendBufferBytesMax < 4 * limits.appendBytesInFlightMax) {
    const why = "what is on the way to a follower has to fit, and what is sent again because it is late";
    return { limit: "sendBufferBytesMax", least: 4 * limits.appendBytesInFlightMax, why };
  }
  if (limits.sessionWindowMax < CLIENT_WINDOW_MAX) {
    return { limit: "sessionWindowMax", least: CLIENT_WINDOW_MAX, why: "clients have that many commands unanswered" };
  }
  if (limits.logBytesMax < SEGMENTS_MIN * limits.segmentBytesMax) {
    return {
      limit: "logBytesMax",
      least: SEGMENTS_MIN * limits.segmentBytesMax,
      why: "it is removed a file at a time",
    };
  }
  return shareTooLow(limits);
}

/** What a link may hold has to do for one client that keeps to its windows, whatever it batches. */
function shareTooLow(limits: Limits): ReturnType<typeof limitTooLow> {
  const bytes = CLIENT_WINDOW_BYTES_MAX + CLIENT_WINDOW_MAX * BATCH_OVERHEAD_BYTES;
  const why = "a client has that much unanswered";
  const needs = [
    { limit: "linkProposalsMax", least: CLIENT_WINDOW_MAX, why },
    { limit: "linkProposalBytesMax", least: bytes, why },
    { limit: "linkReadsMax", least: CLIENT_READS_MAX, why },
    { limit: "linkReadBytesMax", least: bytes, why },
  ] as const;
  return needs.find(({ limit, least }) => limits[limit] < least) ?? null;
}

/**
 * What holds where a configuration says nothing.
 *
 * @example
 * ```ts
 * import { DEFAULT_LIMITS } from "conclave";
 *
 * console.log(DEFAULT_LIMITS.keyBytesMax, DEFAULT_LIMITS.valueBytesMax); // 1024 1048576
 * ```
 */
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
  linkProposalsMax: 2_048,
  linkProposalBytesMax: 8 * MiB,
  proposalWaitMsMax: 2_000,
  readsMax: 65_536,
  pollsMax: 16_384,
  readBytesMax: 64 * MiB,
  linkReadsMax: 8_192,
  linkReadBytesMax: 8 * MiB,
  appendBytesMax: MiB,
  appendsInFlightMax: 64,
  appendBytesInFlightMax: 4 * MiB,
  logCacheBytesMax: 4 * MiB,
  logBytesMax: 64 * MiB,
  segmentBytesMax: 8 * MiB,
};
