/**
 * The durable log. Writes gather while a flush is on its way, and leave together with the next one (group commit).
 * Nothing is ever overwritten: an entry at an index that the log already has makes the older one, and all after it,
 * void. Its oldest segments are removed once a snapshot has what is in them.
 */

import type { Clock, Disk, DiskFile } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import { asOurs, diskFailed, diskFull, isDiskFull, isNoFile, isNoSpace } from "./disk-errors.ts";
import type { LogContents } from "./log-contents.ts";
import { LogFolder } from "./log-folder.ts";
import {
  type Batch,
  encodeFrame,
  encodeSegmentHeader,
  type Replay,
  recordsBytes,
  replayBatch,
  type StoredEntry,
} from "./wal-format.ts";
import { readEntries } from "./wal-read.ts";
import { type RecoveredLog, recoverLog } from "./wal-recovery.ts";

export interface WalOptions {
  /** A segment that has grown past this is followed by a new one. */
  readonly segmentBytesMax: number;
  /**
   * How much room is made for small frames at once. A write that makes its file longer costs the disk twice: the bytes,
   * and then the length. For a large one the length matters little, and writing all of it twice would matter more.
   */
  readonly reserveBytes: number;
  /** Ties the checksums to this replica; any 32-bit number, the same at every start. */
  readonly salt: number;
  /** To wait by while the disk is full. */
  readonly clock: Pick<Clock, "setTimer">;
  /** Told when the disk has no room for what is to be written, and when it has again. */
  readonly onFull?: (isFull: boolean) => void;
}

/** Batches share a frame up to this size, so that nobody waits long for it to be put together. */
const SHARED_FRAME_BYTES_MAX = 4 * 1024 * 1024;
/** What suits a disk: so much room costs some tenths of a millisecond, and does for many hundred small frames. */
export const RESERVE_BYTES = 256 * 1024;
/** A larger frame needs no room made for it. */
const SMALL_FRAME_BYTES_MAX = 16 * 1024;
/** How long a full disk is left alone before it is tried again. */
const FULL_PAUSE_MS = 500;

interface Waiting {
  readonly batch: Batch;
  resolve(): void;
  reject(error: ConclaveError): void;
}

export class Wal {
  readonly #log: LogFolder;
  readonly #options: WalOptions;
  readonly #contents: LogContents;
  readonly #tornBytes: number;
  /** The newest segment. */
  #file: DiskFile | null;
  /** The one to come, if a full disk has kept it from being finished. */
  #unborn: DiskFile | null = null;
  /** Up to here the newest segment is as long as it need be. */
  #reservedTo: number;
  /** The index of the last entry that was ever given to it. */
  #lastGiven: number;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | null = null;
  #compacting: Promise<void> = Promise.resolve();
  #failure: ConclaveError | null = null;
  #isFull = false;
  #endPause: () => void = () => {};
  /** The last frame holds something, and nothing shields it yet. */
  #hasNews: boolean;

  private constructor(log: LogFolder, options: WalOptions, { contents, file, tornBytes, hasNews }: RecoveredLog) {
    this.#log = log;
    this.#options = options;
    this.#contents = contents;
    this.#file = file;
    this.#tornBytes = tornBytes;
    this.#hasNews = hasNews;
    this.#reservedTo = contents.end;
    this.#lastGiven = contents.start.base.index;
  }

  /**
   * Opens the log in a folder, which must be there, and replays what it holds. A torn last frame is cut off.
   *
   * @throws ConclaveError `DATA_CORRUPT` with file and offset if anything else is damaged; `DISK_FAILED`; `DISK_FULL`
   * if there is no room for the first segment
   */
  static async open(disk: Disk, folder: string, options: WalOptions, replay: Replay): Promise<Wal> {
    const log = new LogFolder(disk, folder, options.salt);
    const what = `The log in ${folder} can't be opened`;
    const recovered = await recoverLog(log, replay).catch((error: unknown) => {
      throw asOurs(error, what);
    });
    const wal = new Wal(log, options, recovered);
    try {
      if (recovered.file === null) await wal.#startSegment(1);
    } catch (error) {
      await wal.#unborn?.close().catch(() => {});
      throw asOurs(error, what);
    }
    return wal;
  }

  /** How much of a torn frame was cut off when the log was opened. */
  get tornBytes(): number {
    return this.#tornBytes;
  }

  /** How much of the disk it takes, the room for frames to come included. */
  get bytes(): number {
    const { bytes, end } = this.#contents;
    return bytes + Math.max(0, this.#reservedTo - end);
  }

  /** About how many bytes of it lie behind an entry. */
  bytesBehind(index: number): number {
    return this.#contents.bytesBehind(index);
  }

  /**
   * Adds a batch; the promise resolves once it is durable, in the order of the calls. While the disk is full it waits.
   *
   * @throws ConclaveError `DISK_FAILED`; after one failure every later call fails too, since what the system's cache
   * holds after a failed flush can't be trusted. `DISK_FULL` if the log was closed before there was room. RangeError if
   * an entry would leave a gap, which no later start could make sense of
   */
  append(batch: Batch): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    try {
      this.#lastGiven = lastAfter(batch, this.#lastGiven);
    } catch (error) {
      return Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /**
   * Entries from `from` through `through`: as many as fit in `bytesMax` with their overhead, but at least one. None if
   * the first was overwritten before it was read.
   *
   * @param termAt tells which of several entries ever written at an index is the valid one
   * @throws ConclaveError `COMPACTED` if the first was removed, even while it was to be read; `DATA_CORRUPT`,
   * `DISK_FAILED`
   */
  read(
    from: number,
    through: number,
    bytesMax: number,
    termAt: (index: number) => number | null,
  ): Promise<StoredEntry[]> {
    return readEntries(this.#log, this.#contents, { from, through, bytesMax, termAt });
  }

  /**
   * Removes what holds no entry behind `through`: whole segments, the oldest first, and never the newest. A snapshot
   * that covers the entry at `through` must be durable before.
   *
   * @throws ConclaveError `DISK_FAILED`, which does the log no harm: the next call tries again
   */
  compact(through: number): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    this.#contents.drop(through);
    this.#compacting = this.#compacting.catch(() => {}).then(() => this.#removeDropped());
    return this.#compacting;
  }

  /**
   * Waits for what was appended, and closes. Later calls of `append` fail. A last, empty frame shields the one before
   * it: damage to that can then be told from a write that a crash has torn. A full disk is not waited for: what it has
   * no room for fails, and a shield that it has no room for is left out.
   *
   * @throws ConclaveError `DISK_FAILED`; what was appended and resolved is durable all the same
   */
  async close(): Promise<void> {
    const failed = this.#failure;
    this.#failure ??= new ConclaveError("CLOSED", "The log is closed.");
    this.#endPause();
    await this.#flushing;
    await this.#compacting.catch(() => {});
    const { code } = this.#failure;
    try {
      if (failed === null && code === "CLOSED") {
        if (this.#hasNews) await this.#writeShield();
        if (this.#file !== null) await this.#trim(this.#file);
      }
      await this.#unborn?.close();
      await this.#file?.close();
    } catch (error) {
      throw diskFailed(`The log in ${this.#log.folder} can't be closed in order`, error);
    } finally {
      this.#hasNews = false;
      this.#unborn = null;
      this.#file = null;
    }
  }

  async #flush(): Promise<void> {
    // Let the rest of this turn's batches join.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup();
      try {
        await this.#writeInTime(group.map(({ batch }) => batch));
        for (const waiting of group) waiting.resolve();
      } catch (error) {
        const failure = isDiskFull(error)
          ? error
          : diskFailed(`A write to ${this.#log.pathOf(this.#contents.newest)} failed`, error);
        if (failure !== error) this.#failure = failure;
        for (const waiting of [...group, ...this.#waiting]) waiting.reject(failure);
        this.#waiting = [];
      }
    }
    this.#flushing = null;
  }

  /** Of what waits, the oldest batches that can share a frame. */
  #takeGroup(): Waiting[] {
    let bytes = 0;
    const end = this.#waiting.findIndex(({ batch }, i) => {
      bytes += recordsBytes(batch);
      return i > 0 && bytes > SHARED_FRAME_BYTES_MAX;
    });
    const group = end < 0 ? this.#waiting : this.#waiting.slice(0, end);
    this.#waiting = end < 0 ? [] : this.#waiting.slice(end);
    return group;
  }

  /** Now, or once there is room. @throws ConclaveError `DISK_FULL` if there was none when the log was closed */
  async #writeInTime(batches: readonly Batch[]): Promise<void> {
    for (;;) {
      try {
        await this.#write(batches);
        this.#setFull(false);
        return;
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        this.#setFull(true);
        await this.#pause();
        if (this.#failure !== null) throw error;
      }
    }
  }

  #setFull(isFull: boolean): void {
    if (isFull !== this.#isFull) this.#options.onFull?.(isFull);
    this.#isFull = isFull;
  }

  /** Until it is worth while to try again, or the log is closed. */
  #pause(): Promise<void> {
    if (this.#failure !== null) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#options.clock.setTimer(FULL_PAUSE_MS, resolve);
      this.#endPause = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  async #writeShield(): Promise<void> {
    try {
      await this.#write([]);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
  }

  /** @throws ConclaveError `DISK_FULL`, and then nothing has changed; or what the disk throws */
  async #write(batches: readonly Batch[]): Promise<void> {
    const contents = this.#contents;
    if (contents.end >= this.#options.segmentBytesMax) await this.#startSegment(contents.newest + 1);
    const file = this.#file;
    if (file === null) throw new Error("the log is closed");
    const { end } = contents;
    const frame = encodeFrame(this.#options.salt, contents.nextFrame, batches);
    await this.#writeIfRoom(file, end, frame);
    await this.#reserveBehind(file, end + frame.byteLength, frame.byteLength);
    await file.sync();
    for (const batch of batches) {
      replayBatch(batch, {
        reset: (index, term) => contents.reset({ index, term }),
        entry: (entry) => contents.entry(entry, end),
        state: (state) => contents.state(state),
      });
    }
    contents.endFrame(end + frame.byteLength);
    this.#hasNews = true;
  }

  /** Zeros, which are no frame. Where there is no room for them there may be some for frames. */
  async #reserveBehind(file: DiskFile, end: number, frameBytes: number): Promise<void> {
    const { reserveBytes, segmentBytesMax } = this.#options;
    const bytes = Math.min(reserveBytes, segmentBytesMax - end);
    if (end <= this.#reservedTo || frameBytes > SMALL_FRAME_BYTES_MAX || bytes <= 0) return;
    try {
      await file.write(end, [new Uint8Array(bytes)]);
      this.#reservedTo = end + bytes;
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      await file.truncate(end);
    }
  }

  /** Gives back what was reserved and not needed. Should a crash undo that, zeros are no frame. */
  async #trim(file: DiskFile): Promise<void> {
    const { end } = this.#contents;
    if (this.#reservedTo > end) await file.truncate(end);
    this.#reservedTo = end;
  }

  /** The new file counts only once its header, and its name in the folder, are durable. */
  async #startSegment(segment: number): Promise<void> {
    const { disk, folder, salt } = this.#log;
    const header = { segment, ...this.#contents.start };
    const bytes = encodeSegmentHeader(salt, header);
    this.#unborn ??= await disk.open(this.#log.pathOf(segment), "create").catch(fullOrThrow);
    const file = this.#unborn;
    await this.#writeIfRoom(file, 0, bytes);
    await file.sync();
    await disk.syncFolder(folder);
    const previous = this.#file;
    if (previous !== null) await this.#trim(previous);
    this.#file = file;
    this.#unborn = null;
    this.#contents.beginSegment(header, bytes.byteLength);
    this.#reservedTo = bytes.byteLength;
    await previous?.close();
  }

  /** Cuts off again what a full disk took of it: nobody was promised any of that. */
  async #writeIfRoom(file: DiskFile, offset: number, bytes: Uint8Array): Promise<void> {
    try {
      await file.write(offset, [bytes]);
    } catch (error) {
      if (isNoSpace(error)) {
        await file.truncate(offset);
        this.#reservedTo = Math.min(this.#reservedTo, offset);
      }
      fullOrThrow(error);
    }
  }

  async #removeDropped(): Promise<void> {
    const { disk, folder } = this.#log;
    for (let segment = this.#contents.dropped; segment !== null; segment = this.#contents.dropped) {
      if (this.#failure !== null) throw this.#failure;
      const path = this.#log.pathOf(segment);
      try {
        await disk.remove(path).catch((error: unknown) => {
          // An earlier try got as far as this.
          if (!isNoFile(error)) throw error;
        });
        // Before the next one goes: a crash must not leave a gap.
        await disk.syncFolder(folder);
      } catch (error) {
        throw diskFailed(`${path} can't be removed`, error);
      }
      this.#contents.forgetDropped();
    }
  }
}

function fullOrThrow(error: unknown): never {
  throw isNoSpace(error) ? diskFull("There is no room for the log to grow", error) : error;
}

/** The index of the last entry once a batch was added. */
function lastAfter({ reset, entries }: Batch, lastBefore: number): number {
  let last = reset?.index ?? lastBefore;
  for (const { index } of entries) {
    if (index < 1 || index > last + 1) throw new RangeError(`entry ${index} would leave a gap behind entry ${last}`);
    last = index;
  }
  return last;
}
