/** The data of all nodes on this machine, looked after as a whole before any of them starts. */

import { rm } from "node:fs/promises";
import * as path from "node:path";
import { LOCK_FILE } from "../environment/lock.ts";
import { realEnvironment } from "../environment/real.ts";
import type { FolderLock } from "../environment.ts";
import { ConclaveError, messageOf } from "../errors.ts";

const { disk } = realEnvironment;

/** The lock and its drafts; they go with the lock, not with the data. */
const isLock = (name: string): boolean => name === LOCK_FILE || name.startsWith(`${LOCK_FILE}.`);

/**
 * Makes sure that nobody uses any of these folders, and, if asked to, empties them. All are locked before the first
 * file is removed: a cluster that runs, even one with a single node left, keeps everything. The nodes that are started
 * next lock their folders themselves.
 *
 * @throws ConclaveError `DATA_LOCKED`, `DISK_FAILED`
 */
export async function prepareData(folders: readonly string[], { empty }: { readonly empty: boolean }): Promise<void> {
  const locks: FolderLock[] = [];
  try {
    for (const folder of folders) {
      await disk.makeFolder(folder);
      locks.push(await disk.lock(folder));
    }
    if (empty) for (const folder of folders) await removeContents(folder);
  } catch (error) {
    if (error instanceof ConclaveError) throw error;
    throw new ConclaveError("DISK_FAILED", `The data folders can't be made ready: ${messageOf(error)}`);
  } finally {
    for (const lock of locks) await lock.release();
  }
}

/** In the order of their names, so that the identity goes before the log: a node refuses a log without one. */
async function removeContents(folder: string): Promise<void> {
  for (const name of await disk.list(folder)) {
    if (!isLock(name)) await rm(path.join(folder, name), { recursive: true });
  }
}
