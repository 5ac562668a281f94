/** Snapshots for tests, and what is found of them. */

import { ConclaveError, hasCode } from "../../src/errors.ts";
import { type SnapshotHeader, SnapshotStore } from "../../src/storage/index.ts";
import type { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { FOLDER } from "./plain-log.ts";

export const CLUSTER_SALT = 0xc1a5;

export const openStore = (disk: MemoryDisk): Promise<SnapshotStore> =>
  SnapshotStore.open(disk, FOLDER, { salt: CLUSTER_SALT });

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);

export const headerOf = (index: number, term = 1): SnapshotHeader => ({
  index,
  term,
  configuration: text(`as of ${index}`),
});

export const snapshotPath = (index: number): string => `${FOLDER}/snapshot-${String(index).padStart(16, "0")}.snap`;

/** Pieces that tell where they belong. */
export const piecesOf = (index: number, count = 3): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => text(`piece ${i} of ${index}.`));

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** What a process finds on a disk: the newest snapshot, and what is in it. */
export async function newestOn(disk: MemoryDisk): Promise<{ index: number; pieces: Uint8Array[] } | null> {
  const store = await openStore(disk);
  if (store.latest === null) return null;
  const { index } = store.latest;
  return { index, pieces: await collect(store.read(index)) };
}

/** The damage that a promise failed for. */
export async function damageOf(promise: Promise<unknown>): Promise<{ file: unknown; offset: number }> {
  const error = await promise.then(
    () => new ConclaveError("CLOSED", "nothing is wrong"),
    (thrown: unknown) => thrown,
  );
  if (!hasCode(error, "DATA_CORRUPT")) throw error;
  return { file: error.details["file"], offset: Number(error.details["offset"]) };
}
