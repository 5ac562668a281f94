/**
 * Takes snapshots of the replicated state when the log has grown, and lets go of the log that they stand for (paper,
 * section 7). Everything else goes on meanwhile: the state is captured at once and written piece by piece.
 */

import type { Clock } from "../environment.ts";
import { ConclaveError, hasCode, messageOf } from "../errors.ts";
import type { Replica } from "../machine/index.ts";
import {
  compactableThrough,
  configurationAt,
  encodeConfiguration,
  type LogIndex,
  logIndex,
  type Raft,
  type Snapshot,
  wantedSnapshots,
} from "../raft/index.ts";
import type { SnapshotInfo, SnapshotStore, Wal } from "../storage/index.ts";

export type SnapshotterStory =
  | { readonly event: "snapshot-taken"; readonly index: number; readonly bytes: number; readonly tookMs: number }
  /** It is tried again later; until then the log grows on. */
  | { readonly event: "snapshot-failed"; readonly reason: string }
  | { readonly event: "compacted"; readonly through: number; readonly logBytes: number };

export interface SnapshotterOptions {
  readonly clock: Clock;
  readonly raft: Raft;
  readonly replica: Replica;
  readonly wal: Pick<Wal, "bytes" | "bytesBehind" | "compact">;
  readonly store: Pick<SnapshotStore, "latest" | "write" | "keepOnly">;
  /** Is the state not known to be wrong? */
  isSound(): boolean;
  /** Snapshots that others than the core want to stay. */
  held(): readonly number[];
  /** What the log may take on disk. */
  readonly logBytesMax: number;
  readonly tell: (story: SnapshotterStory) => void;
  /** It is durable; to be told to the core. */
  onTaken(snapshot: Snapshot): void;
  /** The log is to begin behind this entry, for the core first and then, by `compact`, on disk. */
  onCompactable(index: LogIndex): void;
}

/** A snapshot is begun when the log behind the last one has come to this share of what it may take. */
const LOG_SHARE = 0.75;
/** After one that failed, the next try comes when the log has grown by this share of what it may take. */
const RETRY_SHARE = 1 / 16;

interface Waiting {
  resolve(info: SnapshotInfo): void;
  reject(error: unknown): void;
}

export class Snapshotter {
  readonly #options: SnapshotterOptions;
  /** The one that is being taken; null if none is. */
  #taking: Promise<void> | null = null;
  /** How often what was being taken turned out to be wrong. */
  #discarded = 0;
  #isForced = false;
  /** Those who want one that is taken after they have asked. */
  #waiting: Waiting[] = [];
  /** The size of the log below which it is not worth while to look again. */
  #notBelow = 0;
  #stopped = false;

  constructor(options: SnapshotterOptions) {
    this.#options = options;
  }

  /** Takes a snapshot if it is time for one. */
  tend(): void {
    const { wal, raft, replica, logBytesMax, isSound } = this.#options;
    if (this.#taking !== null || this.#stopped || replica.appliedIndex === 0 || !isSound()) return;
    if (!this.#isForced && this.#waiting.length === 0) {
      if (wal.bytes < this.#notBelow || replica.appliedIndex <= raft.snapshot.index) return;
      const behind = wal.bytesBehind(raft.snapshot.index);
      if (behind < logBytesMax * LOG_SHARE) {
        // As many bytes have to come at the least.
        this.#notBelow = wal.bytes + logBytesMax * LOG_SHARE - behind;
        return;
      }
    }
    // A newcomer knows who the members were only from the first entry on that says so.
    if (configurationAt(raft, logIndex(replica.appliedIndex)).members.length === 0) return;
    this.#isForced = false;
    this.#taking = this.#take().finally(() => {
      this.#taking = null;
    });
  }

  /** Takes a new one whatever the size of the log: the last one is of no use. */
  force(): void {
    this.#isForced = true;
    this.tend();
  }

  /** One that is no older than this moment: the next `tend` takes it. @throws ConclaveError, or what the machine throws */
  next(): Promise<SnapshotInfo> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (this.#stopped) this.stop();
    });
  }

  /** The state is wrong, and so is what is being taken of it: it counts for nothing, nor does anybody wait for another. */
  discard(why: ConclaveError): void {
    this.#discarded++;
    for (const { reject } of this.#waiting.splice(0)) reject(why);
  }

  /** Ends once nothing is being taken. */
  async settled(): Promise<void> {
    await this.#taking;
  }

  stop(): void {
    this.#stopped = true;
    for (const { reject } of this.#waiting.splice(0)) reject(stopped());
  }

  /** Asks for the log to be compacted as far as nobody who is reached needs it, and not too much of it is kept. */
  propose(): void {
    const { raft, wal, store, logBytesMax, onCompactable } = this.#options;
    // Whoever lacks more log than a snapshot would take is better off with a new snapshot.
    const keptMax = Math.max(logBytesMax, 2 * (store.latest?.bytes ?? 0));
    const wanted = compactableThrough(raft);
    const through = wal.bytesBehind(wanted) <= keptMax ? wanted : raft.snapshot.index;
    if (through > raft.log.base.index) onCompactable(through);
  }

  /** The core has let go of the log up to here: now the disk does. */
  async compact(through: LogIndex): Promise<void> {
    const { wal, store, raft, held, tell } = this.#options;
    try {
      await store.keepOnly(new Set([...wantedSnapshots(raft), ...held()]));
      const before = wal.bytes;
      await wal.compact(through);
      if (wal.bytes < before) tell({ event: "compacted", through, logBytes: wal.bytes });
    } catch (error) {
      // What could not be removed takes room, and nothing else: the next time it is tried again.
      if (!hasCode(error, "CLOSED")) tell({ event: "snapshot-failed", reason: messageOf(error) });
    } finally {
      this.#notBelow = 0; // What was reckoned with the log as it was before does not hold any more.
    }
  }

  async #take(): Promise<void> {
    const { clock, raft, replica, wal, store, logBytesMax, tell, onTaken } = this.#options;
    const waiting = this.#waiting.splice(0);
    const startMs = clock.nowMs();
    const before = this.#discarded;
    const checkRight = (): void => {
      if (this.#discarded !== before) throw new ConclaveError("DIVERGED", "The state has turned out to be wrong.");
    };
    try {
      const { index: at, pieces } = replica.snapshot();
      const index = logIndex(at);
      const term = raft.log.termAt(index);
      if (term === null) throw new RangeError(`the term of entry ${index} is not known`);
      const configuration = configurationAt(raft, index);
      const right = checked(pieces, checkRight);
      const info = await store.write({ index, term, configuration: encodeConfiguration(configuration) }, right);
      if (this.#stopped) throw stopped();
      checkRight();
      tell({ event: "snapshot-taken", index, bytes: info.bytes, tookMs: clock.nowMs() - startMs });
      onTaken({ index, term, configuration });
      for (const { resolve } of waiting) resolve(info);
    } catch (error) {
      for (const { reject } of waiting) reject(error);
      this.#notBelow = wal.bytes + logBytesMax * RETRY_SHARE;
      if (!this.#stopped) tell({ event: "snapshot-failed", reason: messageOf(error) });
    }
  }
}

/** The pieces, for as long as the check throws nothing. */
function* checked(pieces: Iterable<Uint8Array>, check: () => void): Generator<Uint8Array> {
  for (const piece of pieces) {
    check();
    yield piece;
  }
}

const stopped = (): ConclaveError => new ConclaveError("CLOSED", "The node has stopped.");
