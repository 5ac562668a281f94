/** Puts what is in a backup into a cluster. */

import type { Client, RestoreOptions } from "../client/index.ts";
import type { Disk } from "../environment.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import { machinePieces } from "../machine/index.ts";
import { readBackup, type VerifiedBackup, verifyBackup } from "../storage/index.ts";

/**
 * Reads a backup from end to end, and then gives what the state machine held to a cluster, which may have another name
 * than the one that the backup is from. Sessions stay behind: they are those of the other cluster's clients.
 *
 * @example
 * ```ts
 * import { realEnvironment, restoreBackup, saveBackup } from "conclave";
 * import { testCluster } from "conclave/testing";
 *
 * const file = `${folder}/demo.backup`;
 * await saveBackup(realEnvironment.disk, file, client);
 * await using empty = await testCluster();
 * await restoreBackup(realEnvironment.disk, file, empty.client);
 * ```
 *
 * @throws ConclaveError `DATA_CORRUPT` with file and offset if it is damaged: then nothing was sent; `DISK_FAILED`; and
 * as `Client.restore`
 */
export async function restoreBackup(
  disk: Disk,
  path: string,
  client: Pick<Client, "restore">,
  options: RestoreOptions = {},
): Promise<VerifiedBackup> {
  const verified = await verifyBackup(disk, path);
  await client.restore(piecesOf(disk, path, verified.index), options);
  return verified;
}

async function* piecesOf(disk: Disk, path: string, index: number): AsyncGenerator<Uint8Array> {
  try {
    yield* machinePieces(readBackup(disk, path), index);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const message = `What ${path} holds was written by no node that this version knows: ${messageOf(error)}`;
    throw new ConclaveError("DATA_CORRUPT", message, { cause: error });
  }
}
