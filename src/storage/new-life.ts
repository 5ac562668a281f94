/**
 * Where a cluster is begun anew from one replica's data, everything that this replica had goes into one snapshot, and
 * the log begins behind it. The snapshot is written under a name that means nothing to anybody; then the identity, in
 * one write, says in which life of the cluster the folder is; and from there on the snapshot whose name tells that life
 * is what counts, and the rest is cleared away. A crash leaves the life before as it was, or the new one.
 */

import type { Disk, DiskFile } from "../environment.ts";
import { asOurs } from "./disk-errors.ts";
import { segmentName, segmentsAmong } from "./segment.ts";
import {
  describeSnapshot,
  type Pieces,
  type VerifiedSnapshot,
  verifySnapshot,
  writeSnapshot,
} from "./snapshot-file.ts";
import type { SnapshotHeader } from "./snapshot-format.ts";
import { isOfSnapshots, snapshotName } from "./snapshots.ts";

const DRAFT = /^life-.+\.snap$/;
const draftName = (epoch: string): string => `life-${epoch}.snap`;

/** A folder, and what its snapshots' checksums are salted with. */
export interface LifePlace {
  readonly disk: Disk;
  readonly folder: string;
  readonly salt: number;
}

/**
 * Writes what a life is to begin with, durably, and reads it back. Nothing comes of it unless the identity names it.
 *
 * @throws ConclaveError `DISK_FULL`, `DISK_FAILED`, `DATA_CORRUPT` if it can't be read back; and whatever the pieces throw
 */
export async function prepareLife(
  { disk, folder, salt }: LifePlace,
  epoch: string,
  header: SnapshotHeader,
  pieces: Pieces,
): Promise<VerifiedSnapshot> {
  const path = `${folder}/${draftName(epoch)}`;
  try {
    for (const name of await disk.list(folder)) if (DRAFT.test(name)) await disk.remove(`${folder}/${name}`);
    const file: DiskFile = await disk.open(path, "create");
    try {
      await writeSnapshot(file, salt, header, pieces);
    } finally {
      await file.close();
    }
    await disk.syncFolder(folder);
    return await verifySnapshot(disk, path, salt);
  } catch (error) {
    throw asOurs(error, `${path} can't be written`);
  }
}

/**
 * Makes of a folder whose identity names a life what its snapshot says, if that was not done yet: the files of the life
 * before go, and those that they are replaced by get their names. It is done again if it was cut short.
 *
 * @throws ConclaveError `DATA_CORRUPT`, `DISK_FAILED`
 */
export async function enterLife({ disk, folder, salt }: LifePlace, epoch: string): Promise<void> {
  const draft = `${folder}/${draftName(epoch)}`;
  try {
    const names = await disk.list(folder);
    if (!names.includes(draftName(epoch))) return;
    const { index } = await describeSnapshot(disk, draft, salt);
    const old = [...segmentsAmong(names).map(segmentName), ...names.filter(isOfSnapshots)];
    for (const name of old) await disk.remove(`${folder}/${name}`);
    // None of them may come back once the draft is no draft any more.
    await disk.syncFolder(folder);
    await disk.rename(draft, `${folder}/${snapshotName(index)}`);
    await disk.syncFolder(folder);
  } catch (error) {
    throw asOurs(error, `${folder} can't be made ready for a new life of its cluster`);
  }
}
