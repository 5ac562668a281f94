/** `Disk` over the file system of Node, Deno and Bun. */

import * as fs from "node:fs";
import * as fsp from "node:fs/promises";
import * as path from "node:path";
import type { Disk, DiskFile, OpenMode } from "../environment.ts";
import { lockFolder } from "./lock.ts";

/** The system takes at most this many buffers in one write (IOV_MAX). */
const CHUNKS_PER_WRITE = 1024;

async function syncFolder(folder: string): Promise<void> {
  const handle = await fsp.open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function makeFolder(folder: string): Promise<void> {
  const first = await fsp.mkdir(folder, { recursive: true });
  if (first === undefined) return;
  // Each new folder is an entry in its parent, from the innermost up to the one that was there before.
  for (let made = path.resolve(folder); made !== path.dirname(path.resolve(first)); made = path.dirname(made)) {
    await syncFolder(path.dirname(made));
  }
}

/** A write of so little goes to the system's cache in less time than it takes another thread to hear of it. */
const AT_ONCE_BYTES_MAX = 64 * 1024;

async function writeAll(handle: fsp.FileHandle, offset: number, chunks: readonly Uint8Array[]): Promise<void> {
  let position = offset;
  let rest = chunks.filter((chunk) => chunk.byteLength > 0);
  const atOnce = rest.reduce((sum, chunk) => sum + chunk.byteLength, 0) <= AT_ONCE_BYTES_MAX;
  while (rest.length > 0) {
    const some = rest.slice(0, CHUNKS_PER_WRITE);
    const written = atOnce
      ? fs.writevSync(handle.fd, some, position)
      : (await handle.writev(some, position)).bytesWritten;
    position += written;
    rest = after(rest, written);
  }
}

/**
 * Makes files durable, and waits for that in the way that costs least. A disk that is quick is waited for right here:
 * another thread would have to be woken for it, and wake this one. One that takes its time must not hold up everything
 * else meanwhile.
 */
class Flusher {
  /** How long it took lately. */
  #usualMs = 0;

  async flush(handle: fsp.FileHandle): Promise<void> {
    const startMs = performance.now();
    if (this.#usualMs < WAIT_HERE_MS_MAX) fs.fdatasyncSync(handle.fd);
    else await handle.datasync();
    this.#usualMs += (performance.now() - startMs - this.#usualMs) * WEIGHT;
  }
}

const WAIT_HERE_MS_MAX = 0.5;
/** Of the newest flush, against those before it. */
const WEIGHT = 1 / 8;

/** What is left of the chunks once the first `bytes` of them are written: a write may be short. */
function after(chunks: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes;
  let i = 0;
  while (i < chunks.length && skip >= (chunks[i]?.byteLength ?? 0)) skip -= chunks[i++]?.byteLength ?? 0;
  const rest = chunks.slice(i);
  const first = rest[0];
  if (skip > 0 && first !== undefined) rest[0] = first.subarray(skip);
  return rest;
}

const FLAGS: Readonly<Record<OpenMode, string>> = { existing: "r+", create: "wx+", reading: "r" };

async function open(file: string, mode: OpenMode): Promise<DiskFile> {
  const handle = await fsp.open(file, FLAGS[mode]);
  const flusher = new Flusher();
  return {
    size: async () => (await handle.stat()).size,
    read: async (offset, length) => {
      const buffer = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return buffer.subarray(0, filled);
    },
    write: (offset, chunks) => writeAll(handle, offset, chunks),
    truncate: (length) => handle.truncate(length),
    sync: () => flusher.flush(handle),
    close: () => handle.close(),
  };
}

export const disk: Disk = {
  makeFolder,
  list: async (folder) => (await fsp.readdir(folder)).sort(),
  open,
  rename: (from, to) => fsp.rename(from, to),
  remove: (file) => fsp.rm(file),
  syncFolder,
  lock: lockFolder,
};
