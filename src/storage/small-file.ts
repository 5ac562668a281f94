/** Small files that are replaced whole: after a crash there is the old content or the new, never a mixture. */

import type { Disk } from "../environment.ts";

/** The content of a file; null if it is not there. */
export async function readSmallFile(disk: Disk, folder: string, name: string): Promise<Uint8Array | null> {
  const names = await disk.list(folder);
  if (!names.includes(name)) return null;
  const file = await disk.open(`${folder}/${name}`, "reading");
  try {
    return await file.read(0, await file.size());
  } finally {
    await file.close();
  }
}

/** Writes beside, flushes, renames over, and makes the renaming durable. */
export async function replaceSmallFile(disk: Disk, folder: string, name: string, content: Uint8Array): Promise<void> {
  const draft = `${folder}/${name}.new`;
  if ((await disk.list(folder)).includes(`${name}.new`)) await disk.remove(draft);
  const file = await disk.open(draft, "create");
  try {
    await file.write(0, [content]);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(draft, `${folder}/${name}`);
  await disk.syncFolder(folder);
}

/** The folder that a file is in. */
export function folderOf(path: string): string {
  const end = path.lastIndexOf("/");
  return end === -1 ? "." : end === 0 ? "/" : path.slice(0, end);
}
