/**
 * The durable log. Writes gather while a flush is on its way, and leave together with the next one (group commit).
 * Nothing is ever overwritten: an entry at an index that the log already has makes the older one, and all after it,
 * void.
 */

import type { Disk, DiskFile } from "../environment.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import { ADVICE } from "./identity.ts";
import { findFrames, missingSegment, type SegmentPlace, segmentName, segmentsAmong } from "./segment.ts";
import {
  type Batch,
  encodeFrame,
  encodeSegmentHeader,
  FRAME_HEADER_BYTES,
  type FrameAt,
  frameAt,
  missingBytes,
  type Replay,
  replayBody,
  SEGMENT_HEADER_BYTES,
  type StoredEntry,
} from "./wal-format.ts";

export interface WalOptions {
  /** A segment that has grown past this is followed by a new one. */
  readonly segmentBytesMax: number;
  /** Ties the checksums to this replica; any 32-bit number, the same at every start. */
  readonly salt: number;
}

/** How far apart the places are from which reading may start. */
const MARK_EVERY_BYTES = 64 * 1024;
const READ_BYTES = 256 * 1024;

/** The frame at this place has this entry first. */
interface Mark {
  readonly index: number;
  readonly segment: number;
  readonly offset: number;
}

interface Waiting {
  readonly batch: Batch;
  resolve(): void;
  reject(error: ConclaveError): void;
}

export class Wal {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #options: WalOptions;
  /** Ascending by index and by place. */
  readonly #marks: Mark[] = [];
  #segment = 0;
  #file: DiskFile | null = null;
  /** Where the next frame goes. */
  #end = 0;
  #nextFrame = 1;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | null = null;
  #failure: ConclaveError | null = null;
  #tornBytes = 0;
  /** The last frame holds something, and nothing shields it yet. */
  #hasNews = false;

  private constructor(disk: Disk, folder: string, options: WalOptions) {
    this.#disk = disk;
    this.#folder = folder;
    this.#options = options;
  }

  /**
   * Opens the log in a folder, which must be there, and replays what it holds. A torn last frame is cut off.
   *
   * @throws ConclaveError `DATA_CORRUPT` with file and offset if anything else is damaged; `DISK_FAILED`
   */
  static async open(disk: Disk, folder: string, options: WalOptions, replay: Replay): Promise<Wal> {
    const wal = new Wal(disk, folder, options);
    try {
      await wal.#recover(replay);
    } catch (error) {
      throw error instanceof ConclaveError ? error : diskFailed(`The log in ${folder} can't be opened`, error);
    }
    return wal;
  }

  /** How much of a torn frame was cut off when the log was opened. */
  get tornBytes(): number {
    return this.#tornBytes;
  }

  /**
   * Adds a batch; the promise resolves once it is durable, in the order of the calls.
   *
   * @throws ConclaveError `DISK_FAILED`; after one failure every later call fails too, since what the system's cache
   * holds after a failed flush can't be trusted
   */
  append(batch: Batch): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /**
   * Entries from `from` through `through`: as many as fit in `bytesMax` with their overhead, but at least one.
   *
   * @param termAt tells which of several entries ever written at an index is the valid one
   * @throws ConclaveError `DATA_CORRUPT`, `DISK_FAILED`
   */
  async read(
    from: number,
    through: number,
    bytesMax: number,
    termAt: (index: number) => number | null,
  ): Promise<StoredEntry[]> {
    const start = this.#marks.findLast((mark) => mark.index <= from);
    if (start === undefined) throw this.#corrupt(this.#segment, 0, `entry ${from} is not in the log`);
    const entries: StoredEntry[] = [];
    let bytes = 0;
    let full = false;
    const take: Replay = {
      state: () => {},
      entry: (entry) => {
        const wanted = from + entries.length;
        if (full || entry.index !== wanted || wanted > through || entry.term !== termAt(wanted)) return;
        bytes += entry.payload.byteLength + FRAME_HEADER_BYTES;
        full = bytes > bytesMax && entries.length > 0;
        if (!full) entries.push(entry);
      },
    };
    try {
      let { offset } = start;
      for (let segment = start.segment; segment <= this.#segment; segment++) {
        await this.#readSegment(segment, offset, take, () => full || from + entries.length > through);
        if (full || from + entries.length > through) break;
        offset = SEGMENT_HEADER_BYTES;
      }
    } catch (error) {
      throw error instanceof ConclaveError ? error : diskFailed(`The log in ${this.#folder} can't be read`, error);
    }
    if (entries.length === 0) throw this.#corrupt(start.segment, start.offset, `entry ${from} is not in the log`);
    return entries;
  }

  /**
   * Waits for what was appended, and closes. Later calls of `append` fail. A last, empty frame shields the one before
   * it: damage to that can then be told from a write that a crash has torn.
   *
   * @throws ConclaveError `DISK_FAILED`; what was appended and resolved is durable all the same
   */
  async close(): Promise<void> {
    const failed = this.#failure;
    this.#failure ??= new ConclaveError("CLOSED", "The log is closed.");
    await this.#flushing;
    const { code } = this.#failure;
    try {
      if (failed === null && code === "CLOSED" && this.#hasNews) await this.#write([]);
      await this.#file?.close();
    } catch (error) {
      throw diskFailed(`The log in ${this.#folder} can't be closed in order`, error);
    } finally {
      this.#hasNews = false;
      this.#file = null;
    }
  }

  async #flush(): Promise<void> {
    // Let the rest of this turn's batches join.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#write(group.map(({ batch }) => batch));
        for (const waiting of group) waiting.resolve();
      } catch (error) {
        const failure = diskFailed(`A write to ${this.#pathOf(this.#segment)} failed`, error);
        this.#failure = failure;
        for (const waiting of [...group, ...this.#waiting]) waiting.reject(failure);
        this.#waiting = [];
      }
    }
    this.#flushing = null;
  }

  async #write(batches: readonly Batch[]): Promise<void> {
    if (this.#end >= this.#options.segmentBytesMax) await this.#startSegment(this.#segment + 1);
    const file = this.#file;
    if (file === null) throw new Error("the log is closed");
    const frame = encodeFrame(this.#options.salt, this.#nextFrame, batches);
    await file.write(this.#end, [frame]);
    await file.sync();
    for (const { entries } of batches) for (const entry of entries) this.#mark(entry.index, this.#segment, this.#end);
    this.#nextFrame++;
    this.#end += frame.byteLength;
    this.#hasNews = true;
  }

  /** The new file counts only once its header, and its name in the folder, are durable. */
  async #startSegment(segment: number): Promise<void> {
    const file = await this.#disk.open(this.#pathOf(segment), "create");
    try {
      await file.write(0, [encodeSegmentHeader(this.#options.salt, segment, this.#nextFrame)]);
      await file.sync();
      await this.#disk.syncFolder(this.#folder);
      await this.#file?.close();
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
    this.#file = file;
    this.#segment = segment;
    this.#end = SEGMENT_HEADER_BYTES;
  }

  #mark(index: number, segment: number, offset: number): void {
    while ((this.#marks.at(-1)?.index ?? 0) >= index) this.#marks.pop();
    const last = this.#marks.at(-1);
    if (last === undefined || last.segment !== segment || offset - last.offset >= MARK_EVERY_BYTES) {
      this.#marks.push({ index, segment, offset });
    }
  }

  async #recover(replay: Replay): Promise<void> {
    const segments = segmentsAmong(await this.#disk.list(this.#folder));
    const missing = missingSegment(segments);
    if (missing !== null) throw this.#corrupt(missing, 0, "the file is missing");
    for (const [i, segment] of segments.entries()) {
      const firstFrame = i === 0 ? null : this.#nextFrame;
      await this.#recoverSegment({ segment, firstFrame, isNewest: i === segments.length - 1 }, replay);
    }
    if (this.#file === null) await this.#startSegment(this.#segment + 1);
  }

  async #recoverSegment(place: SegmentPlace, replay: Replay): Promise<void> {
    const { segment, isNewest } = place;
    const file = await this.#disk.open(this.#pathOf(segment), "existing");
    try {
      const bytes = await file.read(0, await file.size());
      const found = findFrames(this.#options.salt, bytes, place);
      if (found.type === "foreign") throw this.#corrupt(segment, 0, found.damage);
      if (found.type === "unborn") {
        await file.close();
        await this.#disk.remove(this.#pathOf(segment));
        await this.#disk.syncFolder(this.#folder);
        this.#segment = segment - 1;
        this.#end = Number.POSITIVE_INFINITY;
        return;
      }
      if (found.damage !== null) throw this.#corrupt(segment, found.end, found.damage);
      for (const frame of found.frames) this.#replayMarked(segment, frame, replay);
      this.#nextFrame = found.nextFrame;
      this.#tornBytes = found.restBytes;
      if (found.restBytes > 0) await file.truncate(found.end);
      if (isNewest) {
        const last = found.frames.at(-1);
        this.#hasNews = last !== undefined && last.body.byteLength > 0;
        // A process that was killed, or whose flush failed, may have left these bytes in the system's cache alone.
        // A flush alone may report success for what an earlier one failed to write: hence the same bytes again.
        const lastFrame = last?.offset ?? 0;
        await file.write(lastFrame, [bytes.subarray(lastFrame, found.end)]);
        await file.sync();
        await this.#disk.syncFolder(this.#folder);
      }
      this.#segment = segment;
      this.#end = found.end;
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
    if (isNewest) this.#file = file;
    else await file.close();
  }

  #replayMarked(segment: number, frame: FrameAt, replay: Replay): void {
    this.#replayFrame(segment, frame, {
      state: (state) => replay.state(state),
      entry: (entry) => {
        this.#mark(entry.index, segment, frame.offset);
        replay.entry(entry);
      },
    });
  }

  #replayFrame(segment: number, { offset, body }: FrameAt, replay: Replay): void {
    try {
      replayBody(body, replay);
    } catch (error) {
      throw this.#corrupt(segment, offset, messageOf(error));
    }
  }

  async #readSegment(segment: number, from: number, take: Replay, done: () => boolean): Promise<void> {
    const { salt } = this.#options;
    const file = await this.#disk.open(this.#pathOf(segment), "reading");
    try {
      const end = segment === this.#segment ? this.#end : await file.size();
      let at = from;
      let want = READ_BYTES;
      while (at < end && !done()) {
        const bytes = await file.read(at, Math.min(want, end - at));
        let offset = 0;
        for (let found = frameAt(salt, bytes, 0); found !== null && !done(); found = frameAt(salt, bytes, offset)) {
          this.#replayFrame(segment, found, take);
          offset = found.end;
        }
        if (offset === 0 && bytes.byteLength >= end - at) {
          throw this.#corrupt(segment, at, "its checksum does not match");
        }
        // The frame is longer than what was read, or ended before a whole header was.
        want =
          offset > 0 ? READ_BYTES : Math.max(bytes.byteLength * 2, bytes.byteLength + missingBytes(salt, bytes, 0));
        at += offset;
      }
    } finally {
      await file.close();
    }
  }

  #pathOf(segment: number): string {
    return `${this.#folder}/${segmentName(segment)}`;
  }

  #corrupt(segment: number, offset: number, why: string): ConclaveError {
    const file = this.#pathOf(segment);
    const message = `The log is damaged in ${file} at offset ${offset}: ${why}. ${ADVICE}`;
    return new ConclaveError("DATA_CORRUPT", message, { details: { file, offset } });
  }
}

const diskFailed = (what: string, cause: unknown): ConclaveError =>
  new ConclaveError("DISK_FAILED", `${what}: ${messageOf(cause)}`, { cause });
