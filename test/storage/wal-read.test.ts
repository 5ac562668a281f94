/** Entries are read back from the disk as they are now: none that was overwritten, none missing, as many as asked. */

import * as assert from "uvu/assert";
import type { Batch, StoredEntry, Wal } from "../../src/storage/index.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { batch, entry, FOLDER, logOf, openLog, type PlainLog } from "./plain-log.ts";

const test = suite("log, read");
const ENTRY_OVERHEAD_BYTES = 20;

async function logWith(
  segmentBytesMax: number,
  batches: readonly Batch[],
): Promise<{ disk: MemoryDisk; wal: Wal; log: PlainLog }> {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk, segmentBytesMax);
  for (const batch of batches) await wal.append(batch);
  return { disk, wal, log: logOf(batches) };
}

/** What `read` promises, said plainly. */
function expected(log: PlainLog, from: number, through: number, bytesMax: number): StoredEntry[] {
  const taken: StoredEntry[] = [];
  let bytes = 0;
  for (const one of log.entries.slice(from - 1, through)) {
    bytes += one.payload.byteLength + ENTRY_OVERHEAD_BYTES;
    if (bytes > bytesMax && taken.length > 0) break;
    taken.push(one);
  }
  return taken;
}

async function readsEverywhere(wal: Wal, log: PlainLog, bytesMaxes: readonly number[]): Promise<void> {
  const last = log.entries.length;
  for (let from = 1; from <= last; from++) {
    for (const through of new Set([from, Math.min(from + 3, last), last])) {
      for (const bytesMax of bytesMaxes) {
        const read = await wal.read(from, through, bytesMax, log.termAt);
        const context = `${from} through ${through} in ${bytesMax} bytes`;
        assert.equal(read, expected(log, from, through, bytesMax), context);
      }
    }
  }
}

const entries = (first: number, count: number, term: number, size = (index: number) => index % 40): Batch =>
  batch(Array.from({ length: count }, (_, i) => entry(first + i, term, new Uint8Array(size(first + i)).fill(term))));

for (const segmentBytesMax of [1, 150, 1000, 1 << 20]) {
  test(`any range, at any bound, in segments of ${segmentBytesMax} bytes, also after a restart`, async () => {
    const batches = [entries(1, 3, 1), entries(4, 1, 1), entries(5, 7, 1), entries(12, 30, 2)];
    const { disk, wal, log } = await logWith(segmentBytesMax, batches);
    await readsEverywhere(wal, log, [0, 1, 60, 200, 1e6]);
    await wal.close();
    await readsEverywhere((await openLog(disk.crash())).wal, log, [100, 1e6]);
  });

  test(`never an entry that was overwritten, in segments of ${segmentBytesMax} bytes`, async () => {
    const state = { term: 1, vote: null, commitIndex: 0 };
    const { disk, wal, log } = await logWith(segmentBytesMax, [
      entries(1, 10, 1),
      entries(4, 2, 2),
      batch([], state),
      entries(6, 9, 2),
      entries(3, 1, 3),
      entries(4, 20, 3),
      entries(15, 1, 4),
    ]);
    assert.is(log.entries.length, 15);
    await readsEverywhere(wal, log, [100, 1e6]);
    await readsEverywhere((await openLog(disk.crash())).wal, log, [100, 1e6]);
  });
}

test("entries overwritten within one flush", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk);
  const batches = [entries(1, 5, 1), entries(2, 3, 2), entries(4, 4, 3)];
  await Promise.all(batches.map((batch) => wal.append(batch)));
  await readsEverywhere(wal, logOf(batches), [1e6]);
});

test("frames longer than what is read at once, between short ones", async () => {
  const size = (index: number): number => (index % 4 === 0 ? 700_000 : index % 4 === 1 ? 262_144 : 10);
  const { disk, wal, log } = await logWith(1 << 21, [
    entries(1, 1, 1, size),
    entries(2, 5, 1, size),
    ...Array.from({ length: 8 }, (_, i) => entries(7 + i, 1, 1, size)),
  ]);
  await readsEverywhere(wal, log, [1, 300_000, 1e8]);
  await readsEverywhere((await openLog(disk.crash())).wal, log, [1e8]);
});

test("a long segment is not read from its start", async () => {
  const batches = Array.from({ length: 400 }, (_, i) => entries(i + 1, 1, 1, () => 1000 + i));
  const { disk, wal, log } = await logWith(1 << 30, batches);
  for (let from = 1; from <= 400; from += 7) {
    assert.equal(await wal.read(from, from + 2, 1e6, log.termAt), log.entries.slice(from - 1, from + 2));
  }
  // Damage far before the entry that is asked for is not met.
  disk.flip(`${FOLDER}/wal-0000000001.log`, 5000 * 8);
  assert.equal(await wal.read(399, 400, 1e6, log.termAt), log.entries.slice(398));
  assert.is(await codeOf(wal.read(1, 400, 1e6, log.termAt)), "DATA_CORRUPT");
});

test("an entry that the log does not have is refused", async () => {
  const { wal } = await logWith(100, [entries(1, 5, 1)]);
  assert.is(await codeOf(wal.read(6, 6, 1e6, () => 1)), "DATA_CORRUPT");
  assert.is(await codeOf(wal.read(2, 2, 1e6, () => 9)), "DATA_CORRUPT");
});

test("reads go on while entries are appended and segments change", async () => {
  const batches = Array.from({ length: 60 }, (_, i) => entries(i + 1, 1, 1));
  const { wal, log } = await logWith(150, batches.slice(0, 20));
  const reads = Array.from({ length: 40 }, async (_, i) => {
    const appended = wal.append(batches[20 + i] ?? entries(1, 0, 1));
    const read = await wal.read(1 + (i % 20), 20, 1e6, log.termAt);
    assert.equal(read, log.entries.slice(i % 20, 20));
    await appended;
  });
  await Promise.all(reads);
});

test.run();
