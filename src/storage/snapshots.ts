/**
 * The snapshots of one replica: states of the machine as of an entry, each in a file of its own, which is there whole
 * or not at all.
 */

import type { Disk, DiskFile } from "../environment.ts";
import { ConclaveError, hasCode } from "../errors.ts";
import { asOurs, isNoFile } from "./disk-errors.ts";
import { ADVICE } from "./identity.ts";
import {
  type Chunks,
  damaged,
  describeSnapshot,
  type Pieces,
  readChunks,
  readSnapshot,
  verifySnapshot,
  writeSnapshot,
} from "./snapshot-file.ts";
import type { SnapshotHeader, SnapshotInfo } from "./snapshot-format.ts";
import { type Announcement, SnapshotReceiver, tagOf } from "./snapshot-receiver.ts";

export interface SnapshotOptions {
  /** Ties the checksums to the cluster; any 32-bit number, the same on all its replicas and at every start. */
  readonly salt: number;
}

const WHOLE = /^snapshot-(\d{16})\.snap$/;
const DRAFT = /^snapshot-\d{16}\.snap\.new$/;
const PARTIAL = /^snapshot-(\d{16})-[0-9a-f]{8}\.part$/;

/** An empty file, whose name says from which entry on the snapshots beside it are not to be trusted. */
const DISTRUST = /^distrusted-(\d{16})$/;

/** The name of a snapshot's file. */
export const snapshotName = (index: number): string => `snapshot-${String(index).padStart(16, "0")}.snap`;

/** The indices of the snapshots among the files of a folder, in the order of the names. */
export const snapshotsAmong = (names: readonly string[]): number[] =>
  names.flatMap((name) => WHOLE.exec(name)?.[1] ?? []).map(Number);

/** Is this the name of a snapshot, or of what is to become one? */
export const isOfSnapshots = (name: string): boolean =>
  [WHOLE, DRAFT, PARTIAL, DISTRUST].some((pattern) => pattern.test(name));

/** The entry at which the state of a folder's snapshots was found to be wrong; null if it never was. */
export const distrustAmong = (names: readonly string[]): number | null =>
  names
    .map((name) => DISTRUST.exec(name)?.[1])
    .flatMap((index) => (index === undefined ? [] : [Number(index)]))
    .at(-1) ?? null;

export class SnapshotStore {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #salt: number;
  readonly #infos = new Map<number, SnapshotInfo>();
  #receiver: SnapshotReceiver | null = null;
  #distrustedAt: number | null = null;

  private constructor(disk: Disk, folder: string, salt: number) {
    this.#disk = disk;
    this.#folder = folder;
    this.#salt = salt;
  }

  /**
   * Finds the snapshots in a folder, which must be there, and clears away what a crash has left of one that was being
   * written. What was received of one stays. Of each file only the start and the end are looked at; reading it finds
   * what is wrong in between.
   *
   * @throws ConclaveError `DATA_CORRUPT` with file and offset if the newest is damaged: an older one would not do, since
   * the log between them may be gone. `DISK_FAILED`
   */
  static async open(disk: Disk, folder: string, { salt }: SnapshotOptions): Promise<SnapshotStore> {
    const store = new SnapshotStore(disk, folder, salt);
    try {
      await store.#find();
    } catch (error) {
      throw asOurs(error, `The snapshots in ${folder} can't be opened`);
    }
    return store;
  }

  /** Those that there are, the oldest first. */
  get all(): readonly SnapshotInfo[] {
    return [...this.#infos.values()].sort((a, b) => a.index - b.index);
  }

  /** The newest; null if there is none. */
  get latest(): SnapshotInfo | null {
    return this.all.at(-1) ?? null;
  }

  /** See `distrust`; null if there is no reason to. */
  get distrustedAt(): number | null {
    return this.#distrustedAt;
  }

  /**
   * The state was found to be wrong at that entry, and so may be what the snapshots here hold; where they end, and what
   * they say of the members, is right all the same. Once this has ended every later start knows, until `trust`.
   *
   * @throws ConclaveError `DISK_FULL`, `DISK_FAILED`; it can be tried again
   */
  async distrust(index: number): Promise<void> {
    const path = `${this.#folder}/distrusted-${String(index).padStart(16, "0")}`;
    try {
      await this.#removeIfThere(path);
      await (await this.#disk.open(path, "create")).close();
      await this.#disk.syncFolder(this.#folder);
      this.#distrustedAt = index;
    } catch (error) {
      throw asOurs(error, `${path} can't be written`);
    }
  }

  /**
   * The snapshot of that entry has come since, and is right, as is any that is newer. Those before it are removed, and only
   * then are the rest trusted.
   *
   * @returns which were removed
   * @throws ConclaveError `DISK_FAILED`; it can be tried again
   */
  async trust(index: number): Promise<number[]> {
    const old = this.all.map((info) => info.index).filter((one) => one < index);
    await this.#clear((one) => one < index);
    try {
      const names = await this.#disk.list(this.#folder);
      for (const name of names) if (DISTRUST.test(name)) await this.#remove(name);
      await this.#disk.syncFolder(this.#folder);
      this.#distrustedAt = null;
    } catch (error) {
      throw asOurs(error, `What stands for the distrust of the snapshots in ${this.#folder} can't be removed`);
    }
    return old;
  }

  /**
   * Writes a snapshot, a bounded part at a time; nothing else has to wait. A failure harms nothing that was there.
   *
   * @throws ConclaveError `DISK_FULL`, `DISK_FAILED`, `INVALID_ARGUMENT` if the configuration is too large; and whatever
   * the pieces throw
   */
  async write(header: SnapshotHeader, pieces: Pieces): Promise<SnapshotInfo> {
    const whole = this.#pathOf(header.index);
    const draft = `${whole}.new`;
    let isTheirs = false;
    try {
      await this.#removeIfThere(draft);
      const info = await this.#writeDraft(
        draft,
        header,
        watched(pieces, () => {
          isTheirs = true;
        }),
      );
      await this.#disk.rename(draft, whole);
      await this.#disk.syncFolder(this.#folder);
      this.#infos.set(info.index, info);
      return info;
    } catch (error) {
      await this.#removeIfThere(draft).catch(() => {});
      throw isTheirs ? error : asOurs(error, `${whole} can't be written`);
    }
  }

  /**
   * The pieces of a snapshot, as the machine gave them. They are all there only if this comes to its end.
   *
   * @throws ConclaveError `COMPACTED` if there is no such snapshot, `DATA_CORRUPT`, `DISK_FAILED`
   */
  read(index: number): AsyncIterable<Uint8Array> {
    return readSnapshot(this.#disk, this.#known(index), this.#salt);
  }

  /**
   * Whole chunks of a snapshot's file, for another replica: as many as fit in `bytesMax`, but at least one.
   *
   * @param offset where a chunk starts: 0, or `next` of what was read before
   * @throws ConclaveError `COMPACTED` if there is no such snapshot, `DATA_CORRUPT` if it is damaged, and of no use any
   * more; `INVALID_ARGUMENT` if it is sound, and no chunk starts there; `DISK_FAILED`
   */
  async readChunks(index: number, offset: number, bytesMax: number): Promise<Chunks> {
    const path = this.#known(index);
    if (offset >= (this.#infos.get(index)?.bytes ?? 0)) {
      throw new ConclaveError("INVALID_ARGUMENT", `${path} has nothing at offset ${offset}.`);
    }
    try {
      return await readChunks(this.#disk, path, this.#salt, offset, bytesMax);
    } catch (error) {
      if (!hasCode(error, "DATA_CORRUPT")) throw error;
      // A snapshot must not be given up because somebody asks for the wrong place.
      await verifySnapshot(this.#disk, path, this.#salt);
      throw new ConclaveError("INVALID_ARGUMENT", `In ${path} no chunk starts at offset ${offset}.`, { cause: error });
    }
  }

  /**
   * Makes ready to take a snapshot from another replica. What came of the same one before is gone on with, also after a
   * restart; what came of any other is removed. One is received at a time: the receiver before is closed.
   *
   * @throws ConclaveError `DISK_FULL`, `DISK_FAILED`
   */
  async receive(announced: Announcement): Promise<SnapshotReceiver> {
    const whole = this.#pathOf(announced.index);
    const name = `${snapshotName(announced.index).replace(".snap", "")}-${tagOf(announced)}.part`;
    const paths = { folder: this.#folder, partial: `${this.#folder}/${name}`, draft: `${whole}.new`, whole };
    try {
      await this.#receiver?.close();
      const names = await this.#disk.list(this.#folder);
      for (const other of names) if (PARTIAL.test(other) && other !== name) await this.#remove(other);
      const onFinished = (info: SnapshotInfo): void => void this.#infos.set(info.index, info);
      const parts = { disk: this.#disk, salt: this.#salt, announced, paths, onFinished };
      this.#receiver = await SnapshotReceiver.open(parts, names.includes(name));
      return this.#receiver;
    } catch (error) {
      throw asOurs(error, `${paths.partial} can't be written`);
    }
  }

  /** Removes a snapshot if it is there. @throws ConclaveError `DISK_FAILED`; it can be tried again */
  remove(index: number): Promise<void> {
    return this.#clear((one) => one === index);
  }

  /**
   * Removes all snapshots but these, and any that is newer than them: it has come since, and whoever chose these had yet
   * to hear of it.
   *
   * @throws ConclaveError `DISK_FAILED`; it can be tried again
   */
  keepOnly(indices: ReadonlySet<number>): Promise<void> {
    const newest = indices.size === 0 ? Number.POSITIVE_INFINITY : Math.max(...indices);
    return this.#clear((one) => !indices.has(one) && one < newest);
  }

  async #find(): Promise<void> {
    // A process that was killed may have left names in the system's cache alone.
    await this.#disk.syncFolder(this.#folder);
    const names = await this.#disk.list(this.#folder);
    for (const name of names) if (DRAFT.test(name)) await this.#remove(name);
    this.#distrustedAt = distrustAmong(names);
    const indices = snapshotsAmong(names);
    const newest = indices.at(-1);
    for (const index of indices) {
      try {
        this.#infos.set(index, await this.#describe(index));
      } catch (error) {
        if (!hasCode(error, "DATA_CORRUPT")) throw error;
        // An older one is of no use any more, and goes with the next that are removed.
        if (index !== newest) continue;
        throw new ConclaveError("DATA_CORRUPT", `${error.message} ${ADVICE}`, { details: error.details });
      }
    }
    for (const name of names) {
      const index = PARTIAL.exec(name)?.[1];
      if (index !== undefined && Number(index) <= (newest ?? 0)) await this.#remove(name);
    }
  }

  async #describe(index: number): Promise<SnapshotInfo> {
    const path = this.#pathOf(index);
    const info = await describeSnapshot(this.#disk, path, this.#salt);
    if (info.index !== index) throw damaged(path, 0, `it is of entry ${info.index}`);
    return info;
  }

  /** The file counts only once its content, and then its name in the folder, are durable. */
  async #writeDraft(draft: string, header: SnapshotHeader, pieces: Pieces): Promise<SnapshotInfo> {
    const file: DiskFile = await this.#disk.open(draft, "create");
    try {
      return await writeSnapshot(file, this.#salt, header, pieces);
    } finally {
      await file.close();
    }
  }

  async #clear(isUnwanted: (index: number) => boolean): Promise<void> {
    try {
      const names = await this.#disk.list(this.#folder);
      for (const index of snapshotsAmong(names).filter(isUnwanted)) {
        this.#infos.delete(index);
        await this.#removeIfThere(this.#pathOf(index)); // Somebody else may be clearing away, too.
      }
      await this.#disk.syncFolder(this.#folder);
    } catch (error) {
      throw asOurs(error, `A snapshot in ${this.#folder} can't be removed`);
    }
  }

  async #removeIfThere(path: string): Promise<void> {
    await this.#disk.remove(path).catch((error: unknown) => {
      if (!isNoFile(error)) throw error;
    });
  }

  #remove(name: string): Promise<void> {
    return this.#disk.remove(`${this.#folder}/${name}`);
  }

  #pathOf(index: number): string {
    return `${this.#folder}/${snapshotName(index)}`;
  }

  #known(index: number): string {
    if (this.#infos.has(index)) return this.#pathOf(index);
    throw new ConclaveError("COMPACTED", `There is no snapshot of entry ${index} any more.`);
  }
}

/** Says if it was what gives the pieces that failed. */
async function* watched(pieces: Pieces, onFailure: () => void): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch (error) {
    onFailure();
    throw error;
  }
}
