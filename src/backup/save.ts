/** Writes a backup to a file. Under the file's own name there is a whole one or none. */

import type { BackupOptions, Client } from "../client/index.ts";
import type { Disk, DiskFile } from "../environment.ts";
import { asOurs, folderOf, isNoFile, type VerifiedBackup, verifyBackup } from "../storage/index.ts";

/**
 * Has the cluster give a backup, and writes it to a file, which replaces one of that name once the new one is durable
 * and was read back.
 *
 * @example
 * ```ts
 * import { realEnvironment, saveBackup } from "conclave";
 *
 * const { index, bytes } = await saveBackup(realEnvironment.disk, `${folder}/demo.backup`, client);
 * console.log(`${bytes} bytes hold everything up to entry ${index}`);
 * ```
 *
 * @throws ConclaveError `DISK_FULL`, `DISK_FAILED`, `DATA_CORRUPT` if it is not what was written; and as `Client.backup`
 */
export async function saveBackup(
  disk: Disk,
  path: string,
  client: Pick<Client, "backup">,
  options: BackupOptions = {},
): Promise<VerifiedBackup> {
  const draft = `${path}.new`;
  try {
    await removeIfThere(disk, draft);
    await fill(await disk.open(draft, "create"), client, options);
    const verified = await verifyBackup(disk, draft);
    await disk.rename(draft, path);
    await disk.syncFolder(folderOf(path));
    return verified;
  } catch (error) {
    await removeIfThere(disk, draft).catch(() => {});
    throw asOurs(error, `${path} can't be written`);
  }
}

async function fill(file: DiskFile, client: Pick<Client, "backup">, options: BackupOptions): Promise<void> {
  try {
    for await (const { offset, bytes } of client.backup(options)) {
      if (offset === 0) await file.truncate(0); // Whatever another node had given is none of this one's.
      await file.write(offset, [bytes]);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

async function removeIfThere(disk: Disk, path: string): Promise<void> {
  await disk.remove(path).catch((error: unknown) => {
    if (!isNoFile(error)) throw error;
  });
}
