/**
 * Takes snapshots of the replicated state when the log has grown, and lets go of the log that they stand for (paper,
 * section 7). Everything else goes on meanwhile: the state is captured at once and written piece by piece.
 */

import type { Clock } from "../environment.ts";
import { hasCode, messageOf } from "../errors.ts";
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
import type { SnapshotStore, Wal } from "../storage/index.ts";

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

export class Snapshotter {
  readonly #options: SnapshotterOptions;
  #isTaking = false;
  #isForced = false;
  /** The size of the log below which it is not worth while to look again. */
  #notBelow = 0;
  #stopped = false;

  constructor(options: SnapshotterOptions) {
    this.#options = options;
  }

  /** Takes a snapshot if it is time for one. */
  tend(): void {
    const { wal, raft, replica, logBytesMax } = this.#options;
    if (this.#isTaking || this.#stopped || replica.appliedIndex === 0) return;
    if (!this.#isForced) {
      if (wal.bytes < this.#notBelow || replica.appliedIndex <= raft.snapshot.index) return;
      const behind = wal.bytesBehind(raft.snapshot.index);
      if (behind < logBytesMax * LOG_SHARE) {
        // As many bytes have to come at the least.
        this.#notBelow = wal.bytes + logBytesMax * LOG_SHARE - behind;
        return;
      }
    }
    this.#isForced = false;
    void this.#take();
  }

  /** Takes a new one whatever the size of the log: the last one is of no use. */
  force(): void {
    this.#isForced = true;
    this.tend();
  }

  stop(): void {
    this.#stopped = true;
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
    const { wal, store, raft, tell } = this.#options;
    this.#notBelow = 0;
    try {
      await store.keepOnly(new Set(wantedSnapshots(raft)));
      const before = wal.bytes;
      await wal.compact(through);
      if (wal.bytes < before) tell({ event: "compacted", through, logBytes: wal.bytes });
    } catch (error) {
      // What could not be removed takes room, and nothing else: the next time it is tried again.
      if (!hasCode(error, "CLOSED")) tell({ event: "snapshot-failed", reason: messageOf(error) });
    }
  }

  async #take(): Promise<void> {
    const { clock, raft, replica, wal, store, logBytesMax, tell, onTaken } = this.#options;
    this.#isTaking = true;
    const startMs = clock.nowMs();
    try {
      const { index: at, pieces } = replica.snapshot();
      const index = logIndex(at);
      const term = raft.log.termAt(index);
      if (term === null) throw new RangeError(`the term of entry ${index} is not known`);
      const configuration = configurationAt(raft, index);
      const { bytes } = await store.write({ index, term, configuration: encodeConfiguration(configuration) }, pieces);
      if (this.#stopped) return;
      tell({ event: "snapshot-taken", index, bytes, tookMs: clock.nowMs() - startMs });
      onTaken({ index, term, configuration });
    } catch (error) {
      this.#notBelow = wal.bytes + logBytesMax * RETRY_SHARE;
      if (!this.#stopped) tell({ event: "snapshot-failed", reason: messageOf(error) });
    } finally {
      this.#isTaking = false;
    }
  }
}
