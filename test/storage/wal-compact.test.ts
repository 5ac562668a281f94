/** The oldest segments go, and nothing that a snapshot does not have goes with them: no entry, no term, no vote. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { hasCode } from "../../src/errors.ts";
import { type Batch, Wal } from "../../src/storage/index.ts";
import { decodeSegmentHeader, encodeSegmentHeader, type SegmentHeader } from "../../src/storage/wal-format.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { batch, batchOf, entry, FOLDER, logOf, openLog, SALT, turn, walOptions } from "./plain-log.ts";

const test = suite("log, compacted");

const pathOf = (segment: number): string => `${FOLDER}/wal-${String(segment).padStart(10, "0")}.log`;
const oneTo = (last: number, term = 1): Batch[] => Array.from({ length: last }, (_, i) => batchOf(i + 1, term));

/** A log with a segment for every batch, the first of them in segment 2. */
async function logWith(batches: readonly Batch[], segmentBytesMax = 1): Promise<{ disk: MemoryDisk; wal: Wal }> {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk, segmentBytesMax);
  for (const one of batches) await wal.append(one);
  return { disk, wal };
}

test("segments go whose entries are all covered, and the newest never", async () => {
  const { disk, wal } = await logWith(oneTo(5));
  await wal.compact(3);
  assert.equal(disk.paths(), [pathOf(5), pathOf(6)]);
  await wal.compact(3);
  assert.equal(disk.paths(), [pathOf(5), pathOf(6)]);
  await wal.compact(100);
  assert.equal(disk.crash().paths(), [pathOf(6)]);
});

test("what is left opens again, with the entry before it, the term and the vote", async () => {
  for (let through = 0; through <= 5; through++) {
    const { disk, wal } = await logWith([batchOf(1), batchOf(2), batchOf(3, 2), batch([entry(4, 3)]), batchOf(5, 3)]);
    await wal.compact(through);
    await wal.close();
    const { wal: reopened, found } = await openLog(disk.crash(), 1);
    assert.is(found.start, Math.min(through, 4));
    assert.is(found.lastIndex, 5);
    assert.equal(found.last, { term: 3, vote: "node-1", commitIndex: 4 });
    await reopened.append(batchOf(6, 3));
  }
});

test("the entry before it comes with its term, and once", async () => {
  const { disk, wal } = await logWith([batchOf(1), batchOf(2, 7), batchOf(3, 8), batchOf(4, 8)]);
  await wal.compact(2);
  const bases: [number, number][] = [];
  const replay = {
    base: (...base: [number, number]) => void bases.push(base),
    reset: () => {},
    entry: () => {},
    state: () => {},
  };
  await Wal.open(disk, FOLDER, walOptions(), replay);
  assert.equal(bases, [[2, 7]]);
});

test("a segment that ends before what it held was overwritten is kept as if it were valid", async () => {
  const { disk, wal } = await logWith([batchOf(1), batchOf(2), batchOf(3), batchOf(2, 2)]);
  await wal.compact(2);
  assert.equal(disk.paths(), [pathOf(4), pathOf(5)]);
  const { found } = await openLog(disk.crash());
  assert.equal(found.lines(), logOf([batchOf(1), batchOf(2, 2)]).lines(1));
});

test("what is void already within a segment does not keep it", async () => {
  const { disk, wal } = await logWith([
    batch([...[1, 2, 3].map((index) => entry(index, 1)), entry(2, 2)]),
    batchOf(3, 2),
  ]);
  await wal.compact(2);
  assert.equal(disk.paths(), [pathOf(3)]);
  const { found } = await openLog(disk.crash());
  assert.equal([found.start, found.lines()], [2, logOf([batchOf(1), batchOf(2, 2), batchOf(3, 2)]).lines(2)]);
});

test("an entry may follow that overwrites what was removed", async () => {
  const { disk, wal } = await logWith([...oneTo(5), batchOf(3, 2)]);
  await wal.compact(5);
  await wal.append(batchOf(4, 2));
  const reopened = await openLog(disk.crash(), 1);
  assert.equal([reopened.found.start, reopened.found.lastIndex], [2, 4]);
  for (const log of [wal, reopened.wal]) {
    assert.equal(await log.read(3, 4, 1e6, () => 2), reopened.found.entries);
    assert.is(await codeOf(log.read(2, 4, 1e6, () => 1)), "COMPACTED");
  }
});

test("after a reset the log goes on behind it, and all before is void", async () => {
  for (const segmentBytesMax of [1, 200, 1 << 20]) {
    const reset = batch([], { term: 3, vote: null, commitIndex: 10 }, { index: 10, term: 3 });
    const { disk, wal } = await logWith([...oneTo(3), reset, batchOf(11, 3), batchOf(12, 3)], segmentBytesMax);
    for (const log of [wal, (await openLog(disk.crash(), segmentBytesMax)).wal]) {
      assert.equal((await log.read(11, 12, 1e6, () => 3)).length, 2);
      for (const index of [1, 3, 10]) assert.is(await codeOf(log.read(index, 12, 1e6, () => 1)), "COMPACTED");
      assert.is(await codeOf(log.read(13, 13, 1e6, () => 3)), "DATA_CORRUPT");
    }
    const { found } = await openLog(disk.crash());
    assert.equal([found.start, found.lastIndex, found.last?.term], [10, 12, 3]);
  }
});

test("a reset keeps its segment until a snapshot covers it", async () => {
  const { disk, wal } = await logWith([batchOf(1), batch([], null, { index: 10, term: 3 }), batchOf(11, 3)]);
  await wal.compact(9);
  assert.equal(disk.paths(), [pathOf(3), pathOf(4)]);
  await wal.compact(10);
  assert.equal(disk.paths(), [pathOf(4)]);
  const { found } = await openLog(disk.crash());
  assert.equal([found.start, found.lastIndex], [10, 11]);
});

test("reset, entries and state of a batch are found together or not at all", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk);
  await wal.append(batchOf(1));
  const last = batch([entry(8, 4), entry(9, 4)], { term: 4, vote: null, commitIndex: 7 }, { index: 7, term: 3 });
  const gate = disk.hold("sync");
  void wal.append(last);
  await gate.reached;
  const found = new Set<string>();
  for (const left of disk.everyCrash()) {
    const { found: log } = await openLog(left);
    found.add(JSON.stringify([log.start, ...log.lines()]));
  }
  const whole = logOf([last]);
  assert.equal(
    [...found],
    [JSON.stringify([0, ...logOf([batchOf(1)]).lines()]), JSON.stringify([7, ...whole.lines()])],
  );
});

for (const operation of ["open", "read"] as const) {
  test(`reads that are about to ${operation} a file give what they find, or say that it is gone`, async () => {
    const { disk, wal } = await logWith(oneTo(30), 200);
    const gate = disk.hold(operation);
    const reads = Array.from({ length: 30 }, (_, i) =>
      wal
        .read(i + 1, 30, 1e6, () => 1)
        .then(
          (found) => found.map(({ index }) => index),
          (error) => error.code,
        ),
    );
    await gate.reached;
    await wal.compact(25);
    gate.release();
    const outcomes = await Promise.all(reads);
    const { start } = (await openLog(disk)).found;
    assert.ok(start > 10 && start <= 25);
    for (const [i, outcome] of outcomes.entries()) {
      const isGone = i < start && outcome === "COMPACTED";
      assert.ok(isGone || outcome[0] === i + 1, `entry ${i + 1}: ${outcome}`);
      if (i >= start) assert.is(outcome.length, 30 - i);
    }
    assert.is(outcomes.includes("COMPACTED"), operation === "open");
    assert.is(await codeOf(wal.read(1, 30, 1e6, () => 1)), "COMPACTED");
  });
}

test("a read whose entry is made void meanwhile brings nothing, or says that it is gone", async () => {
  for (const [from, to, outcome] of [
    [2, 5, "COMPACTED"],
    [5, 5, "COMPACTED"],
    [8, 5, 0],
  ] as const) {
    const { disk, wal } = await logWith(oneTo(9));
    let terms: number | null = 1;
    const gate = disk.hold("read");
    const read = wal
      .read(from, 9, 1e6, () => terms)
      .then(
        (found) => found.length,
        (error) => error.code,
      );
    await gate.reached;
    terms = null;
    await wal.append(batch([], null, { index: to, term: 2 }));
    gate.release();
    assert.is(await read, outcome);
  }
});

for (const operation of ["remove", "syncFolder"] as const) {
  test(`a failure in ${operation} does the log no harm, and the next time it is made up for`, async () => {
    const { disk, wal } = await logWith(oneTo(5));
    disk.failNext(operation, "EIO");
    assert.is(await codeOf(wal.compact(4)), "DISK_FAILED");
    await wal.append(batchOf(6));
    for (const left of disk.everyCrash()) {
      assert.equal((await openLog(left)).found.lines(4), logOf(oneTo(6)).lines(4));
    }
    await wal.compact(4);
    assert.equal(disk.crash().paths(), [pathOf(6), pathOf(7)]);
    await wal.close();
    assert.is(await codeOf(wal.compact(9)), "CLOSED");
  });
}

test("closing waits for a removal that is under way, and begins no other", async () => {
  const { disk, wal } = await logWith(oneTo(5));
  const gate = disk.hold("remove");
  const compacting = codeOf(wal.compact(5));
  await gate.reached;
  let isClosed = false;
  const closing = wal.close().then(() => {
    isClosed = true;
  });
  await turn();
  assert.not(isClosed);
  gate.release();
  await closing;
  assert.is(await compacting, "CLOSED");
  assert.is(disk.crash().paths()[0], pathOf(2));
  assert.equal((await openLog(disk)).found.lines(), logOf(oneTo(5)).lines());
});

test("how much there is, and how much behind an entry, is known to a frame or 64 KiB", async () => {
  const size = 10_000;
  const batches = Array.from({ length: 60 }, (_, i) => batch([entry(i + 1, 1, new Uint8Array(size))]));
  const { disk, wal } = await logWith(batches, 150_000);
  const onDisk = (): number => disk.paths().reduce((sum, path) => sum + disk.bytesOf(path).byteLength, 0);
  const isRight = (log: Wal): void => {
    assert.is(log.bytes, onDisk());
    for (let index = 20; index <= 60; index++) {
      const excess = log.bytesBehind(index) - (60 - index) * size;
      assert.ok(excess >= 0 && excess < 80_000, `${excess} bytes too many behind ${index}`);
    }
    assert.equal([log.bytesBehind(60), log.bytesBehind(99)], [0, 0]);
  };
  isRight(wal);
  const before = wal.bytes;
  await wal.compact(20);
  assert.ok(wal.bytes < before);
  isRight(wal);
  assert.is(wal.bytesBehind(1), wal.bytes, "all that is left lies behind what is gone");
  isRight((await openLog(disk)).wal);
});

/** Puts other words into the header of a segment. */
function rewrite(disk: MemoryDisk, segment: number, change: Partial<SegmentHeader>): void {
  const bytes = disk.bytesOf(pathOf(segment));
  const decoded = decodeSegmentHeader(SALT, bytes);
  if (decoded === null) throw new Error("there is no header");
  const header = encodeSegmentHeader(SALT, { ...decoded.header, ...change });
  disk.plant(pathOf(segment), Buffer.concat([header, bytes.subarray(decoded.end)]));
}

test("a segment that does not begin as the one before it ends is refused, and named", async () => {
  const state = { term: 1, vote: "node-1", commitIndex: 1 };
  for (const change of [
    { base: { index: 1, term: 1 } },
    { base: { index: 2, term: 2 } },
    { state: null },
    { state: { ...state, term: 2 } },
    { state: { ...state, vote: null } },
    { state: { ...state, commitIndex: 0 } },
    { firstFrame: 7 },
  ]) {
    const { disk } = await logWith(oneTo(4));
    const sound = disk.crash();
    rewrite(sound, 4, {});
    assert.is(await codeOf(openLog(sound)), "resolved");
    rewrite(disk, 4, change);
    const error = await openLog(disk).catch((thrown: unknown) => thrown);
    if (!hasCode(error, "DATA_CORRUPT")) throw new Error(`${JSON.stringify(change)} was not noticed`);
    assert.equal(error.details, { file: pathOf(4), offset: 0 });
  }
});

test("a segment that is the only one is not taken for one that was being made, since it has the term and the vote", async () => {
  const { disk, wal } = await logWith(oneTo(4));
  await wal.compact(4);
  const [path = "", ...others] = disk.paths();
  assert.equal(others, []);
  const bytes = disk.bytesOf(path);
  for (const length of [0, 20, 60]) {
    disk.plant(path, bytes.subarray(0, length));
    assert.is(await codeOf(openLog(disk)), "DATA_CORRUPT");
  }
});

type Step =
  | { readonly type: "append"; readonly back: number; readonly count: number; readonly state: boolean }
  | { readonly type: "reset"; readonly ahead: number; readonly count: number }
  | { readonly type: "snapshot"; readonly part: number }
  | { readonly type: "restart" };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant("append" as const),
        back: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(4)),
        count: fc.nat(3),
        state: fc.boolean(),
      }),
    },
    fc.record({ type: fc.constant("reset" as const), ahead: fc.nat(5), count: fc.nat(2) }),
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant("snapshot" as const),
        part: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    },
    fc.record({ type: fc.constant("restart" as const) }),
  ),
  { maxLength: 14 },
);

/** What a crash has left, and what may be found on it: one log or, if a batch is on its way, another. */
interface Left {
  readonly disk: MemoryDisk;
  readonly snapshot: number;
  readonly logs: readonly (readonly string[])[];
}

test("a crash at any moment, while segments come and go, loses no entry behind the snapshot, no term and no vote", async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 400 }), async (all, segmentBytesMax) => {
      let disk = new MemoryDisk([FOLDER]);
      let { wal } = await openLog(disk, segmentBytesMax);
      const durable: Batch[] = [];
      let snapshot = 0;
      let term = 1;
      let next: Batch | null = null;
      const lefts: Left[] = [];
      const watch = (): void => {
        const batches = [durable, ...(next === null ? [] : [[...durable, next]])];
        const logs = batches.map((some) => logOf(some).lines(snapshot));
        // As much as is left at each moment, and as little.
        const { unsyncedBytes, unsyncedNames } = disk;
        for (const namesKept of [0, 1, unsyncedNames]) {
          for (const bytesKept of [0, Math.floor(unsyncedBytes / 2), unsyncedBytes]) {
            lefts.push({ disk: disk.crash({ namesKept, bytesKept }), snapshot, logs });
          }
        }
      };
      const append = async (one: Batch): Promise<void> => {
        next = one;
        await wal.append(one);
        durable.push(one);
        next = null;
      };
      disk.watch = watch;
      for (const step of all) {
        const log = logOf(durable);
        if (step.type === "append") {
          // What a snapshot has is committed, and is not overwritten.
          const first = Math.max(snapshot + 1, log.lastIndex + 1 - step.back);
          if (first <= log.lastIndex) term++;
          const entries = Array.from({ length: step.count }, (_, i) => entry(first + i, term));
          await append(batch(entries, step.state ? { term, vote: `node-${term}`, commitIndex: snapshot } : null));
        } else if (step.type === "reset") {
          // The snapshot that came from the leader is durable before.
          snapshot = Math.max(snapshot, log.lastIndex) + step.ahead;
          const entries = Array.from({ length: step.count }, (_, i) => entry(snapshot + 1 + i, term));
          await append(batch(entries, { term, vote: null, commitIndex: snapshot }, { index: snapshot, term }));
        } else if (step.type === "snapshot") {
          snapshot = Math.max(snapshot, Math.floor(log.lastIndex * step.part));
          await wal.compact(snapshot);
        } else {
          await wal.close();
          disk = disk.crash();
          disk.watch = watch;
          const opened = await openLog(disk, segmentBytesMax);
          wal = opened.wal;
          assert.equal(opened.found.lines(snapshot), log.lines(snapshot));
        }
        const now = logOf(durable).behind(snapshot);
        if (now.length > 0) {
          const read = await wal.read(snapshot + 1, snapshot + now.length, 1e6, logOf(durable).termAt);
          assert.equal(read, now);
        }
      }
      for (const left of lefts) {
        const { found } = await openLog(left.disk, segmentBytesMax);
        assert.ok(found.start <= left.snapshot, "no gap behind the snapshot");
        const lines = String(found.lines(left.snapshot));
        assert.ok(
          left.logs.some((log) => String(log) === lines),
          `found ${lines}, not ${left.logs.join(" or ")}`,
        );
      }
    }),
    { numRuns: 60 },
  );
});

test.run();
