/** What a node's folder holds, found out without changing anything in it, and without a node. */

import type { Disk } from "../environment.ts";
import { ConclaveError, hasCode } from "../errors.ts";
import { asOurs, isNoFile } from "./disk-errors.ts";
import { clusterSaltOf, type Owner, ownerOf, saltOf } from "./identity.ts";
import { type Damage, inspectLog, type LogInspection, type LogReport } from "./inspect-log.ts";
import { verifySnapshot } from "./snapshot-file.ts";
import { distrustAmong, snapshotName, snapshotsAmong } from "./snapshots.ts";

/** What one snapshot is of. */
export interface SnapshotReport {
  readonly file: string;
  readonly index: number;
  /** The others are known only of one that is whole. */
  readonly term: number | null;
  readonly bytes: number | null;
  readonly pieces: number | null;
  /** Where the first chunk is that is bad; null if all is well. */
  readonly damage: Omit<Damage, "file"> | null;
}

/** What a node's folder holds. */
export interface Inspection extends LogReport {
  readonly owner: Owner;
  /** The oldest first. */
  readonly snapshots: readonly SnapshotReport[];
  /** The entry at which the node's state was found to be another than the majority's, if it has not got theirs yet. */
  readonly divergedAt: number | null;
  /**
   * The first thing that is wrong with the log, or else with the newest snapshot, or else between the two; what comes
   * after it in the log was not looked at. Null if nothing keeps a node from starting.
   */
  readonly damage: Damage | null;
}

/** A running node may remove a file that is about to be read; then all is looked at anew, so often at most. */
const TRIES_MAX = 5;

/**
 * Looks through a node's folder. Nothing is written, so it may be called on one that is in use; what is being written
 * then looks torn.
 *
 * @throws ConclaveError `INVALID_ARGUMENT` if the folder is no node's, `DATA_CORRUPT` if it can't be told whose it is,
 * `DISK_FAILED` if it can't be read
 */
export async function inspect(disk: Disk, folder: string): Promise<Inspection> {
  for (let tries = 1; ; tries++) {
    try {
      return await inspectOnce(disk, folder);
    } catch (error) {
      const isRemoved = isNoFile(error) || (error instanceof Error && isNoFile(error.cause));
      if (!isRemoved || tries === TRIES_MAX) throw asOurs(error, `${folder} can't be read`);
    }
  }
}

async function inspectOnce(disk: Disk, folder: string): Promise<Inspection> {
  const owner = await ownerOf(disk, folder);
  if (owner === null) throw new ConclaveError("INVALID_ARGUMENT", `${folder} is not the folder of a node.`);
  // In this order: a running node removes a part of the log only once there is a snapshot of it.
  const log = await inspectLog(disk, folder, saltOf(owner));
  const snapshots: SnapshotReport[] = [];
  const names = await disk.list(folder);
  for (const index of snapshotsAmong(names)) {
    snapshots.push(await inspectSnapshot(disk, folder, index, clusterSaltOf(owner)));
  }
  const newest = snapshots.at(-1) ?? null;
  const damage = log.report.damage ?? damageOf(newest) ?? gapBetween(newest, log);
  return { owner, ...log.report, snapshots, divergedAt: distrustAmong(names), damage };
}

async function inspectSnapshot(disk: Disk, folder: string, index: number, salt: number): Promise<SnapshotReport> {
  const file = snapshotName(index);
  try {
    const found = await verifySnapshot(disk, `${folder}/${file}`, salt);
    const { term, bytes, pieces } = found;
    const damage = found.index === index ? null : { offset: 0, why: `it is of entry ${found.index}` };
    return { file, index, term, bytes, pieces, damage };
  } catch (error) {
    if (!hasCode(error, "DATA_CORRUPT")) throw error;
    const damage = { offset: Number(error.details["offset"]), why: String(error.details["why"]) };
    return { file, index, term: null, bytes: null, pieces: null, damage };
  }
}

const damageOf = (snapshot: SnapshotReport | null): Damage | null =>
  snapshot === null || snapshot.damage === null ? null : { file: snapshot.file, ...snapshot.damage };

/** What is in neither is lost. */
function gapBetween(newest: SnapshotReport | null, { report, baseAt }: LogInspection): Damage | null {
  const covered = newest?.index ?? 0;
  if (report.base <= covered) return null;
  const end = newest === null ? "there is no snapshot" : `the newest snapshot ends with entry ${covered}`;
  return { ...baseAt, why: `it begins behind entry ${report.base}, and ${end}` };
}
