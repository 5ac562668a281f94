/** Reading entries back from a log that is in use: it grows, and loses its oldest segments, meanwhile. */

import { ConclaveError, messageOf } from "../errors.ts";
import { diskFailed } from "./disk-errors.ts";
import type { Extent, LogContents, Mark } from "./log-contents.ts";
import type { LogFolder } from "./log-folder.ts";
import { FRAME_HEADER_BYTES, frameAt, missingBytes, type Records, replayBody, type StoredEntry } from "./wal-format.ts";

const READ_BYTES = 256 * 1024;

/** Which entries are wanted. */
export interface Wanted {
  readonly from: number;
  readonly through: number;
  /** How much they may take with their overhead; the first is given whatever it takes. */
  readonly bytesMax: number;
  /** Tells which of several entries ever written at an index is the valid one; null if none is. */
  readonly termAt: (index: number) => number | null;
}

/** @throws ConclaveError `COMPACTED`, `DATA_CORRUPT`, `DISK_FAILED` */
export async function readEntries(log: LogFolder, contents: LogContents, wanted: Wanted): Promise<StoredEntry[]> {
  const { from, termAt } = wanted;
  const start = contents.find(from);
  const term = termAt(from);
  const taker = new Taker(wanted);
  try {
    if (start !== null) await readFrom(log, contents, start, taker);
  } catch (error) {
    if (contents.isCompacted(from)) throw compacted(from);
    throw error instanceof ConclaveError ? error : diskFailed(`The log in ${log.folder} can't be read`, error);
  }
  if (taker.entries.length > 0) return taker.entries;
  if (contents.isCompacted(from)) throw compacted(from);
  // Nobody wants any more what was valid when it was asked for.
  if (termAt(from) !== term) return [];
  throw log.corrupt(start?.segment ?? contents.newest, start?.offset ?? 0, `entry ${from} is not in the log`);
}

const compacted = (index: number): ConclaveError =>
  new ConclaveError("COMPACTED", `Entry ${index} is not in the log any more: a snapshot has what was in it.`);

async function readFrom(log: LogFolder, contents: LogContents, start: Mark, taker: Taker): Promise<void> {
  let from: number | null = start.offset;
  for (let segment = start.segment; segment <= contents.newest && !taker.isDone; segment++) {
    const extent = contents.extentOf(segment);
    // It was removed meanwhile.
    if (extent === null) return;
    await readSegment(log, { ...extent, start: from ?? extent.start }, taker);
    from = null;
  }
}

async function readSegment(log: LogFolder, { segment, start, end }: Extent, taker: Taker): Promise<void> {
  const { salt } = log;
  const file = await log.disk.open(log.pathOf(segment), "reading");
  try {
    let at = start;
    let want = READ_BYTES;
    while (at < end && !taker.isDone) {
      const asked = Math.min(want, end - at);
      const bytes = await file.read(at, asked);
      let offset = 0;
      for (let found = frameAt(salt, bytes, 0); found !== null && !taker.isDone; found = frameAt(salt, bytes, offset)) {
        try {
          replayBody(found.body, taker);
        } catch (error) {
          throw log.corrupt(segment, at + offset, messageOf(error));
        }
        offset = found.end;
      }
      if (offset === 0 && (bytes.byteLength < asked || asked === end - at)) {
        throw log.corrupt(segment, at, "its checksum does not match");
      }
      // The frame is longer than what was read, or ended before a whole header was.
      want = offset > 0 ? READ_BYTES : Math.max(bytes.byteLength * 2, bytes.byteLength + missingBytes(salt, bytes, 0));
      at += offset;
    }
  } finally {
    await file.close();
  }
}

/** Takes the valid entries that are wanted, one after the other. */
class Taker implements Records {
  readonly entries: StoredEntry[] = [];
  readonly #wanted: Wanted;
  #bytes = 0;
  #isFull = false;

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
  }

  get isDone(): boolean {
    return this.#isFull || this.#next > this.#wanted.through;
  }

  get #next(): number {
    return this.#wanted.from + this.entries.length;
  }

  entry(entry: StoredEntry): void {
    const { bytesMax, termAt } = this.#wanted;
    if (this.isDone || entry.index !== this.#next || entry.term !== termAt(entry.index)) return;
    this.#bytes += entry.payload.byteLength + FRAME_HEADER_BYTES;
    this.#isFull = this.#bytes > bytesMax && this.entries.length > 0;
    if (!this.#isFull) this.entries.push(entry);
  }

  state(): void {}

  reset(): void {}
}
