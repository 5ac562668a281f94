/**
 * One process per folder. Node has no advisory file locks, so a file names the owner; it is stale once that process
 * is gone, which a process number alone can't tell, since the system reuses it: the start time goes with it.
 */

import * as fsp from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import type { FolderLock } from "../environment.ts";
import { ConclaveError } from "../errors.ts";

/** The file that holds the owner's name. Others that begin with it and a dot come and go beside it. */
export const LOCK_FILE = "lock";
const ATTEMPTS = 5;
/** Tells concurrent calls of this process apart. */
let calls = 0;

interface Owner {
  readonly host: string;
  readonly pid: number;
  /** When the process started, in the system's own unit; "" where the system does not tell. */
  readonly started: string;
}

/**
 * Field 22 of /proc/PID/stat; the second field may hold spaces and ends at the last parenthesis. Nothing for one that has
 * ended and that its parent has not asked after yet: it uses no folder any more.
 */
async function startOf(pid: number): Promise<string> {
  const stat = await fsp.readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" ? "" : (fields[19] ?? "");
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

async function isAlive(owner: Owner): Promise<boolean> {
  if (owner.host !== os.hostname()) return true; // Nobody here can tell.
  if (!isRunning(owner.pid)) return false;
  return owner.started === "" || (await startOf(owner.pid)) === owner.started;
}

function parse(text: string): Owner | null {
  try {
    const { host, pid, started }: Partial<Owner> = JSON.parse(text);
    return typeof host === "string" && typeof pid === "number" && typeof started === "string"
      ? { host, pid, started }
      : null;
  } catch {
    return null;
  }
}

/** @throws ConclaveError `DATA_LOCKED` */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const file = path.join(folder, LOCK_FILE);
  const own: Owner = { host: os.hostname(), pid: process.pid, started: await startOf(process.pid) };
  const text = JSON.stringify(own);
  // The file appears with its content or not at all, so that a rival never reads half an owner.
  const draft = `${file}.${process.pid}.${calls++}`;
  await fsp.writeFile(draft, text);
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      try {
        await fsp.link(draft, file);
        return { release: () => release(file, text) };
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      }
      await evictStale(folder, file);
    }
    throw new ConclaveError("DATA_LOCKED", `Another process is taking the data directory ${folder}.`);
  } finally {
    await fsp.rm(draft, { force: true });
  }
}

async function evictStale(folder: string, file: string): Promise<void> {
  const found = await fsp.readFile(file, "utf8").catch(() => null);
  if (found === null) return; // Released in the meantime.
  const owner = parse(found);
  if (owner !== null && (await isAlive(owner))) {
    throw new ConclaveError(
      "DATA_LOCKED",
      `The data directory ${folder} is used by process ${owner.pid} on ${owner.host}: stop it first, or, if that ` +
        `machine is gone for good, remove ${file}.`,
    );
  }
  // Only one of several rivals gets to move the stale file away; it must still be the one that was examined.
  const aside = `${file}.stale.${process.pid}.${calls++}`;
  await fsp.rename(file, aside).catch(() => {});
  const moved = await fsp.readFile(aside, "utf8").catch(() => found);
  if (moved !== found) await fsp.link(aside, file).catch(() => {});
  await fsp.rm(aside, { force: true });
}

async function release(file: string, text: string): Promise<void> {
  const found = await fsp.readFile(file, "utf8").catch(() => null);
  if (found === text) await fsp.rm(file, { force: true });
}
