/**
 * One process per folder. Node has no advisory file locks, so a file names the owner; it is stale once that process
 * is gone, which a process number alone can't tell, since the system reuses it: the start time goes with it.
 *
 * Nobody ever moves or removes a file that may be a living owner's: who takes the folder over from one that is gone makes
 * the file of the next generation, which only one of several rivals can, and removes what is stale afterwards. Whoever has
 * made a file looks around once more before it believes that it owns the folder: of two that take it at the same time,
 * the later one sees the other.
 */

import * as fsp from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import type { FolderLock } from "../environment.ts";
import { ConclaveError } from "../errors.ts";

/** The file that holds the owner's name, in the first generation. Those of later ones begin with it and a dot. */
export const LOCK_FILE = "lock";
const GENERATION = /^lock(?:\.g(\d+))?$/;
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

const nameOf = (generation: number): string => (generation === 0 ? LOCK_FILE : `${LOCK_FILE}.g${generation}`);

/** @throws ConclaveError `DATA_LOCKED` */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const own: Owner = { host: os.hostname(), pid: process.pid, started: await startOf(process.pid) };
  // The file appears with its content or not at all, so that a rival never reads half an owner.
  const draft = path.join(folder, `${LOCK_FILE}.${process.pid}.${calls++}`);
  await fsp.writeFile(draft, JSON.stringify(own));
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const before = await generationsIn(folder);
      await checkStale(folder, before);
      const generation = Math.max(-1, ...before) + 1;
      const file = path.join(folder, nameOf(generation));
      if (!(await madeLink(draft, file))) continue;
      const release = (): Promise<void> => fsp.rm(file, { force: true });
      try {
        const others = (await generationsIn(folder)).filter((other) => other !== generation);
        await checkStale(folder, others);
        for (const stale of others) await fsp.rm(path.join(folder, nameOf(stale)), { force: true });
        return { release: onceOnly(release) };
      } catch (error) {
        await release();
        if (!(error instanceof ConclaveError)) throw error;
      }
    }
    throw new ConclaveError("DATA_LOCKED", `Another process is taking the data directory ${folder}.`);
  } finally {
    await fsp.rm(draft, { force: true });
  }
}

/** A name that was given up is another's, from then on. */
function onceOnly(release: () => Promise<void>): () => Promise<void> {
  let released: Promise<void> | null = null;
  return () => {
    released ??= release();
    return released;
  };
}

/** False if there is such a file already. */
async function madeLink(draft: string, file: string): Promise<boolean> {
  try {
    await fsp.link(draft, file);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

async function generationsIn(folder: string): Promise<number[]> {
  const names = await fsp.readdir(folder);
  return names.flatMap((name) => {
    const match = GENERATION.exec(name);
    return match === null ? [] : [Number(match[1] ?? 0)];
  });
}

/** @throws ConclaveError `DATA_LOCKED` if the owner of one of these is alive */
async function checkStale(folder: string, generations: readonly number[]): Promise<void> {
  for (const generation of generations) {
    const file = path.join(folder, nameOf(generation));
    const found = await fsp.readFile(file, "utf8").catch(() => null);
    const owner = found === null ? null : parse(found); // Released in the meantime, or garbage.
    if (owner === null || !(await isAlive(owner))) continue;
    throw new ConclaveError(
      "DATA_LOCKED",
      `The data directory ${folder} is used by process ${owner.pid} on ${owner.host}: stop it first, or, if that ` +
        `machine is gone for good, remove ${file}.`,
    );
  }
}
