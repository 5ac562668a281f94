/**
 * A snapshot on its way from another replica. It is kept chunk by chunk, so that after an interruption, be it the end
 * of this process, only the rest has to come.
 */

import { crc32 } from "node:zlib";
import type { Disk, DiskFile } from "../environment.ts";
import { ConclaveError, hasCode, messageOf } from "../errors.ts";
import { asOurs } from "./disk-errors.ts";
import { stepsOf } from "./snapshot-file.ts";
import { chunkAt, follow, isConsistent, type Progress, type SnapshotInfo, START } from "./snapshot-format.ts";
import type { EntryId } from "./wal-format.ts";

/** A snapshot that somebody is about to send. */
export interface Announcement extends EntryId {
  /** How large its file is. */
  readonly bytes: number;
  /** Tells it from other snapshots of the same entry: what was received before goes on only under the same one. */
  readonly id: string;
}

/** The names that a received snapshot has, one after the other. */
export interface ReceivedPaths {
  readonly folder: string;
  /** While it comes. */
  readonly partial: string;
  /** While it is made durable. It is never gone on with under this name. */
  readonly draft: string;
  readonly whole: string;
}

/** For the name of a partial file. */
export const tagOf = ({ term, bytes, id }: Announcement): string =>
  crc32(JSON.stringify([term, bytes, id]))
    .toString(16)
    .padStart(8, "0");

interface Parts {
  readonly disk: Disk;
  readonly salt: number;
  readonly announced: Announcement;
  readonly paths: ReceivedPaths;
  readonly onFinished: (info: SnapshotInfo) => void;
}

export class SnapshotReceiver {
  readonly #parts: Parts;
  readonly #file: DiskFile;
  #progress: Progress;
  #offset: number;
  #isOver = false;
  /** One thing is done after the other. */
  #busy: Promise<unknown> = Promise.resolve();

  private constructor(parts: Parts, file: DiskFile, progress: Progress, offset: number) {
    this.#parts = parts;
    this.#file = file;
    this.#progress = progress;
    this.#offset = offset;
  }

  /** @internal Goes on with a partial file if there is one: what is whole of it is kept. */
  static async open(parts: Parts, isThere: boolean): Promise<SnapshotReceiver> {
    const { disk, paths } = parts;
    const file = await disk.open(paths.partial, isThere ? "existing" : "create");
    try {
      const [progress, offset] = await soundPart(file, parts);
      if ((await file.size()) > offset) await file.truncate(offset);
      return new SnapshotReceiver(parts, file, progress, offset);
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
  }

  /** From where on it still has to come. */
  get offset(): number {
    return this.#offset;
  }

  /**
   * Adds what `readChunks` gave for `offset`.
   *
   * @throws ConclaveError `DATA_CORRUPT` if any of it is damaged or out of place: nothing of it is kept, and it can be
   * asked for again from `offset`, which is the start if what came before does not belong to it. `DISK_FULL`,
   * `DISK_FAILED`, and then it can be tried again, too. `CLOSED`
   */
  write(bytes: Uint8Array): Promise<void> {
    return this.#next(async () => {
      const progress = this.#followed(bytes);
      if (progress.end !== null && !isConsistent(progress)) {
        await this.#startOver();
        throw this.#refused(0, "it is put together from several snapshots");
      }
      await this.#file.write(this.#offset, [bytes]);
      this.#progress = progress;
      this.#offset += bytes.byteLength;
    });
  }

  /**
   * Makes it one of this replica's snapshots, durably. If that fails on the disk, it is given up.
   *
   * @throws ConclaveError `DATA_CORRUPT` if it has not come to its end, `DISK_FULL`, `DISK_FAILED`, `CLOSED`
   */
  finish(): Promise<SnapshotInfo> {
    return this.#next(async () => {
      const { disk, paths, announced, onFinished } = this.#parts;
      const { header, end, checksum } = this.#progress;
      if (header === null || end === null || this.#offset !== announced.bytes) {
        throw this.#refused(this.#offset, "its end has not come");
      }
      this.#isOver = true;
      let path = paths.partial;
      try {
        // What a failed flush leaves in the system's cache looks whole, and must not be gone on with.
        await disk.rename(paths.partial, paths.draft);
        path = paths.draft;
        await this.#file.sync();
        await this.#file.close();
        await disk.rename(paths.draft, paths.whole);
        await disk.syncFolder(paths.folder);
      } catch (error) {
        await this.#file.close().catch(() => {});
        await disk.remove(path).catch(() => {});
        throw error;
      }
      const info = { ...header, bytes: this.#offset, checksum };
      onFinished(info);
      return info;
    });
  }

  /** Gives it up, and removes what has come of it. */
  async abandon(): Promise<void> {
    const wasOver = this.#isOver;
    await this.close();
    if (wasOver) return;
    const { disk, paths } = this.#parts;
    await disk.remove(paths.partial).catch((error: unknown) => {
      throw asOurs(error, `${paths.partial} can't be removed`);
    });
  }

  /** Keeps what has come, for another time. */
  async close(): Promise<void> {
    await this.#busy;
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#file.close().catch((error: unknown) => {
      throw asOurs(error, `${this.#parts.paths.partial} can't be closed`);
    });
  }

  #next<T>(act: () => Promise<T>): Promise<T> {
    const { partial } = this.#parts.paths;
    const done = this.#busy.then(async () => {
      if (this.#isOver) throw new ConclaveError("CLOSED", `${partial} takes nothing any more.`);
      return await act();
    });
    const reported = done.catch((error: unknown) => {
      throw asOurs(error, `${partial} can't be written`);
    });
    this.#busy = reported.catch(() => {});
    return reported;
  }

  #followed(bytes: Uint8Array): Progress {
    const { salt, announced } = this.#parts;
    let progress = this.#progress;
    let at = 0;
    while (at < bytes.byteLength) {
      const found = chunkAt(salt, bytes, at);
      if (found.type !== "chunk") throw this.#refused(this.#offset + at, "a chunk is damaged");
      try {
        progress = follow(progress, found.chunk);
        if (!isOf(progress, announced)) throw new RangeError("it is of another entry than was announced");
      } catch (error) {
        throw this.#refused(this.#offset + at, messageOf(error));
      }
      at = found.end;
    }
    const size = this.#offset + bytes.byteLength;
    if (size > announced.bytes || (progress.end !== null && size < announced.bytes)) {
      throw this.#refused(announced.bytes, "it is not as long as was announced");
    }
    return progress;
  }

  async #startOver(): Promise<void> {
    await this.#file.truncate(0);
    this.#progress = START;
    this.#offset = 0;
  }

  #refused(offset: number, why: string): ConclaveError {
    const { index, term } = this.#parts.announced;
    const file = this.#parts.paths.whole;
    const what = `What came of the snapshot of entry ${index} of term ${term} is not right at offset ${offset}`;
    return new ConclaveError("DATA_CORRUPT", `${what}: ${why}.`, { details: { file, offset, why } });
  }
}

const isOf = ({ header }: Progress, { index, term }: EntryId): boolean =>
  header?.index === index && header.term === term;

/** How far a partial file can be gone on with: it may have been torn by a crash, or damaged since. */
async function soundPart(file: DiskFile, { salt, announced, paths }: Parts): Promise<[Progress, number]> {
  let sound: [Progress, number] = [START, 0];
  try {
    for await (const { progress, end } of stepsOf(file, paths.partial, salt)) {
      if (!isOf(progress, announced) || end > announced.bytes) break;
      sound = [progress, end];
    }
  } catch (error) {
    if (!hasCode(error, "DATA_CORRUPT")) throw error;
  }
  return sound;
}
