/** What a crash leaves of the log: everything that was reported durable, and of the rest whole batches only. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import type { Batch, WalOptions } from "../../src/storage/index.ts";
import { encodeFrame, encodeSegmentHeader } from "../../src/storage/wal-format.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { batch, batchOf, entry, FOLDER, linesOn, logOf, openLog, SALT } from "./plain-log.ts";

const test = suite("log, crashing");

/** A disk on which the first batches are durable and the last is written and not yet synced. */
async function duringSync(
  batches: readonly Batch[],
  { segmentBytesMax, reserveBytes = 100 }: Partial<WalOptions> = {},
): Promise<MemoryDisk> {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk, segmentBytesMax, { reserveBytes });
  for (const batch of batches.slice(0, -1)) await wal.append(batch);
  const gate = disk.hold("sync");
  for (const batch of batches.slice(-1)) void wal.append(batch);
  await gate.reached;
  return disk;
}

test("the last frame torn at any byte is cut off, whatever follows the tear, and the log goes on", async () => {
  const batches = [batchOf(1), batchOf(2), batchOf(3)];
  const durable = logOf(batches.slice(0, 2)).lines();
  const disk = await duringSync(batches, { reserveBytes: 0 });
  assert.ok(disk.unsyncedBytes > 50);

  for (let bytesKept = 0; bytesKept < disk.unsyncedBytes; bytesKept++) {
    for (const tail of ["lost", "zeros", "garbage"] as const) {
      const crashed = disk.crash({ bytesKept, tail });
      const { wal, found } = await openLog(crashed);
      assert.equal(found.lines(), durable, `${bytesKept} bytes, then ${tail}`);
      // Zeros at the end may as well be room that was made for frames.
      if (tail === "garbage") assert.is(wal.tornBytes, disk.unsyncedBytes);
      else assert.ok(wal.tornBytes <= bytesKept && wal.tornBytes > bytesKept - 8, `${wal.tornBytes} of ${bytesKept}`);
      await wal.append(batchOf(3, 2));
      assert.equal(await linesOn(crashed.crash()), logOf([...batches.slice(0, 2), batchOf(3, 2)]).lines());
    }
  }
});

test("a frame torn in the room that was made for it is cut off, and what follows it is room again", async () => {
  const batches = [batchOf(1), batchOf(2), batchOf(3)];
  const durable = logOf(batches.slice(0, 2)).lines();
  const disk = await duringSync(batches, { reserveBytes: 1_000 });
  const frameBytes = disk.unsyncedBytes;
  assert.ok(frameBytes > 50 && frameBytes < 200, "no more room had to be made");
  for (let bytesKept = 0; bytesKept < frameBytes; bytesKept++) {
    for (const tail of ["lost", "zeros", "garbage"] as const) {
      const crashed = disk.crash({ bytesKept, tail });
      const { wal, found } = await openLog(crashed);
      assert.equal(found.lines(), durable, `${bytesKept} bytes, then ${tail}`);
      assert.ok(wal.tornBytes <= (tail === "garbage" ? frameBytes : bytesKept), `${wal.tornBytes} bytes`);
      await wal.append(batchOf(3, 2));
      assert.equal(await linesOn(crashed.crash()), logOf([...batches.slice(0, 2), batchOf(3, 2)]).lines());
    }
  }
});

test("what a crash has left of the room in an older segment does the log no harm", async () => {
  for (let segmentBytesMax = 100; segmentBytesMax < 500; segmentBytesMax += 9) {
    const disk = new MemoryDisk([FOLDER]);
    const { wal } = await openLog(disk, segmentBytesMax, { reserveBytes: 150 });
    const batches = Array.from({ length: 12 }, (_, i) => batchOf(i + 1));
    for (const one of batches) await wal.append(one);
    for (const crashed of [disk.crash(), disk.crash({ bytesKept: disk.unsyncedBytes }), disk.kill()]) {
      const { found } = await openLog(crashed, segmentBytesMax);
      assert.equal(found.lines(), logOf(batches).lines(), `segments of ${segmentBytesMax} bytes`);
    }
  }
});

test("a last frame that reached the disk whole is kept, although nobody was told", async () => {
  const batches = [batchOf(1), batchOf(2)];
  const disk = await duringSync(batches);
  assert.equal(await linesOn(disk.kill()), logOf(batches).lines());
});

test("what a process finds after another was killed survives, even if the other did not sync it", async () => {
  const batches = [batchOf(1), batchOf(2)];
  for (const segmentBytesMax of [1 << 20, 1]) {
    const disk = (await duringSync(batches, { segmentBytesMax })).kill();
    const found = await linesOn(disk);
    assert.equal(await linesOn(disk.crash()), found, `segments of ${segmentBytesMax} bytes`);
  }
});

test("what a process finds after a failed sync survives, although a later sync does not write it (cockroach#37102)", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk);
  await wal.append(batchOf(1));
  disk.failNext("sync", "EIO");
  assert.is(await codeOf(wal.append(batchOf(2))), "DISK_FAILED");
  const found = await linesOn(disk);
  assert.equal(await linesOn(disk.crash()), found);
});

test("the rest of a long torn frame is gone once the log goes on behind it", async () => {
  const long = batch([entry(1, 1, new Uint8Array(5000).fill(9)), entry(2, 1)]);
  const disk = (await duringSync([long])).crash({ bytesKept: 4500 });
  const { wal } = await openLog(disk, 200);
  const batches = [1, 2, 3, 4, 5, 6].map((index) => batchOf(index, 2));
  for (const batch of batches) await wal.append(batch);
  assert.ok(disk.paths().length > 1);
  assert.equal(await linesOn(disk.crash()), logOf(batches).lines());
});

test("a crash during recovery is recovered from", async () => {
  const batches = [batchOf(1), batchOf(2), batchOf(3)];
  const torn = (await duringSync(batches)).crash({ bytesKept: 30, tail: "garbage" });
  const left: MemoryDisk[] = [];
  torn.watch = () => void left.push(...torn.everyCrash());
  await openLog(torn);
  assert.ok(left.length > 1);
  for (const disk of left) assert.equal(await linesOn(disk), logOf(batches.slice(0, 2)).lines());
});

test("a crash at any moment, while segments come and entries are overwritten, loses nothing that was durable", async () => {
  const batches = [batchOf(1), batchOf(2), batchOf(3), batchOf(2, 2), batchOf(3, 2), batchOf(4, 3), batchOf(1, 4)];
  const disk = new MemoryDisk([FOLDER]);
  const crashes: { readonly left: MemoryDisk; readonly durable: number }[] = [];
  let durable = 0;
  disk.watch = () => {
    for (const left of disk.everyCrash()) crashes.push({ left, durable });
  };
  const { wal } = await openLog(disk, 130);
  for (const batch of batches) {
    await wal.append(batch);
    durable++;
  }
  await wal.close();
  assert.ok(disk.paths().length >= 3);

  const logs = [...batches.keys(), batches.length].map((length) => logOf(batches.slice(0, length)).lines());
  for (const { left, durable } of crashes) {
    const found = await linesOn(left);
    const isNext = [logs[durable], logs[durable + 1]].some((log) => String(log) === String(found));
    assert.ok(isNext, `found ${found} where ${durable} batches were durable`);
    // What was found can't vanish at the next crash.
    assert.equal(await linesOn(left.crash()), found);
  }
});

test("bytes of a log within a payload are not taken for what followed a torn frame", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk, undefined, { reserveBytes: 0 });
  for (let index = 1; index <= 5; index++) await wal.append(batchOf(index));
  const ownLog = disk.bytesOf(`${FOLDER}/wal-0000000001.log`);
  const later = Array.from({ length: 9 }, (_, i) => encodeFrame(SALT + 1, i + 5, [batchOf(i + 5)]));
  const foreignLog = Buffer.concat([
    encodeSegmentHeader(SALT + 1, { segment: 1, firstFrame: 1, base: { index: 0, term: 0 }, state: null }),
    ...later,
  ]);

  const gate = disk.hold("sync");
  const copies = [entry(6, 1, ownLog), entry(7, 1, foreignLog), entry(8, 1, "end")];
  void wal.append(batch(copies));
  await gate.reached;
  const durable = logOf([1, 2, 3, 4, 5].map((index) => batchOf(index))).lines();
  for (let bytesKept = 0; bytesKept < disk.unsyncedBytes; bytesKept++) {
    assert.equal(await linesOn(disk.crash({ bytesKept, tail: "zeros" })), durable, `${bytesKept} bytes`);
    assert.equal(await linesOn(disk.crash({ bytesKept, tail: "lost" })), durable, `${bytesKept} bytes`);
  }
});

type Step =
  | {
      readonly type: "append";
      readonly batches: readonly {
        readonly back: number;
        readonly sizes: readonly number[];
        readonly state: boolean;
      }[];
    }
  | {
      readonly type: "crash";
      readonly kept: number;
      readonly tail: "lost" | "zeros" | "garbage";
      readonly names: number;
    }
  | { readonly type: "restart" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant("append" as const),
      batches: fc.array(
        fc.record({
          back: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(4)),
          sizes: fc.array(fc.nat(90), { maxLength: 3 }),
          state: fc.boolean(),
        }),
        { minLength: 1, maxLength: 4 },
      ),
    }),
  },
  fc.record({
    type: fc.constant("crash" as const),
    kept: fc.nat(600),
    tail: fc.constantFrom("lost" as const, "zeros" as const, "garbage" as const),
    names: fc.nat(2),
  }),
  fc.record({ type: fc.constant("restart" as const) }),
);

test("through any appends, conflicts, crashes and restarts it holds what a plain list holds", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 25 }),
      fc.integer({ min: 1, max: 400 }),
      async (steps, segmentBytesMax) => {
        let disk = new MemoryDisk([FOLDER]);
        let { wal } = await openLog(disk, segmentBytesMax);
        let term = 1;
        let durable: Batch[] = [];
        const reopen = async (): Promise<string[]> => {
          const opened = await openLog(disk, segmentBytesMax);
          wal = opened.wal;
          return opened.found.lines();
        };
        for (const one of steps) {
          if (one.type === "restart") {
            await wal.close();
            assert.equal(await reopen(), logOf(durable).lines());
          } else if (one.type === "crash") {
            // One frame is on its way: it is found whole or not at all.
            const gate = disk.hold("sync");
            const next = batchOf(logOf(durable).entries.length + 1, term);
            void wal.append(next);
            await gate.reached;
            disk = disk.crash({ bytesKept: one.kept, tail: one.tail, namesKept: one.names });
            const found = await reopen();
            if (String(found) === String(logOf([...durable, next]).lines())) durable = [...durable, next];
            assert.equal(found, logOf(durable).lines());
          } else {
            const log = logOf(durable);
            const batches = one.batches.map(({ back, sizes, state }) => {
              if (back > 0) term++;
              const first = Math.max(1, log.entries.length + 1 - back);
              const entries = sizes.map((size, i) => entry(first + i, term, new Uint8Array(size).fill(term)));
              const added = batch(entries, state ? { term, vote: null, commitIndex: 0 } : null);
              log.add(added);
              return added;
            });
            await Promise.all(batches.map((one) => wal.append(one)));
            durable = [...durable, ...batches];
            const { entries, termAt } = logOf(durable);
            if (entries.length > 0) assert.equal(await wal.read(1, entries.length, 1e6, termAt), entries);
          }
        }
        assert.equal(await linesOn(disk.crash()), logOf(durable).lines());
      },
    ),
    { numRuns: 150 },
  );
});

test.run();
