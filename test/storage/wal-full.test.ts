/** A full disk is waited for: nothing is lost, nothing is promised, and nothing changes its order. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import type { Wal } from "../../src/storage/index.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { batch, batchOf, entry, FOLDER, linesOn, logOf, ManualClock, openLog, turn } from "./plain-log.ts";

const test = suite("log, on a full disk");
const FIRST = `${FOLDER}/wal-0000000001.log`;

interface Full {
  readonly disk: MemoryDisk;
  readonly wal: Wal;
  readonly clock: ManualClock;
  /** What it was told. */
  readonly told: boolean[];
  /** The indices of what was reported durable. */
  readonly durable: number[];
  append(index: number): Promise<void>;
}

async function open(disk: MemoryDisk, segmentBytesMax?: number): Promise<Full> {
  const clock = new ManualClock();
  const told: boolean[] = [];
  const durable: number[] = [];
  // No room is reserved: each write takes what it needs, and no more.
  const options = { reserveBytes: 0, clock, onFull: (isFull: boolean) => void told.push(isFull) };
  const { wal } = await openLog(disk, segmentBytesMax, options);
  const append = (index: number): Promise<void> => wal.append(batchOf(index)).then(() => void durable.push(index));
  return { disk, wal, clock, told, durable, append };
}

/** Until the log waits for time to pass, or for nothing any more. */
async function settled({ clock }: Full, appends: readonly Promise<unknown>[]): Promise<void> {
  let isOver = false;
  void Promise.allSettled(appends).then(() => {
    isOver = true;
  });
  while (!isOver && clock.delays.length === 0) await turn();
}

test("at any byte of a write: it is tried again, and nothing is reported before it is durable", async () => {
  const frameBytes = 100;
  for (let roomBytes = 0; roomBytes < frameBytes; roomBytes += 3) {
    const disk = new MemoryDisk([FOLDER]);
    const log = await open(disk);
    await log.append(1);
    const end = disk.bytesOf(FIRST).byteLength;
    disk.roomBytes = roomBytes;
    const appends = [log.append(2), log.append(3)];
    await settled(log, appends);
    appends.push(log.append(4));
    for (let tries = 0; tries < 3; tries++) {
      assert.equal([log.told, log.durable, log.clock.delays], [[true], [1], [500]]);
      assert.is(disk.bytesOf(FIRST).byteLength, end, "what was written of it is cut off");
      assert.is(disk.roomBytes, roomBytes);
      log.clock.fire();
      await settled(log, appends);
    }
    for (const left of [...disk.everyCrash(), disk.kill()]) {
      assert.equal(await linesOn(left), logOf([batchOf(1)]).lines());
    }
    disk.roomBytes = 10_000;
    log.clock.fire();
    await Promise.all(appends);
    assert.equal(
      [log.told, log.durable],
      [
        [true, false],
        [1, 2, 3, 4],
      ],
    );
    assert.equal(await linesOn(disk.crash()), logOf([1, 2, 3, 4].map((index) => batchOf(index))).lines());
  }
});

for (const code of ["ENOSPC", "EDQUOT"] as const) {
  for (const operation of ["create", "write"] as const) {
    test(`${code} in ${operation}, while a segment is made: it is made later, and no crash is harmed by the half of it`, async () => {
      const disk = new MemoryDisk([FOLDER]);
      const log = await open(disk, 1);
      await log.append(1);
      for (let tries = 1; tries <= 3; tries++) disk.failNext(operation, code, 20 * tries);
      const appends = [log.append(2)];
      for (let tries = 1; tries <= 3; tries++) {
        await settled(log, appends);
        assert.equal([log.told, log.durable], [[true], [1]]);
        for (const left of [...disk.everyCrash(), disk.kill()]) {
          assert.equal(await linesOn(left), logOf([batchOf(1)]).lines());
        }
        log.clock.fire();
      }
      await Promise.all(appends);
      assert.equal(
        [log.told, log.durable],
        [
          [true, false],
          [1, 2],
        ],
      );
      assert.equal(await linesOn(disk.crash()), logOf([batchOf(1), batchOf(2)]).lines());
    });
  }
}

test("entries can be read meanwhile, and the oldest segments removed, which makes room", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const log = await open(disk, 1);
  for (const index of [1, 2, 3]) await log.append(index);
  disk.roomBytes = 0;
  const appends = [log.append(4)];
  await settled(log, appends);
  assert.is((await log.wal.read(1, 3, 1e6, () => 1)).length, 3);
  await log.wal.compact(2);
  log.clock.fire();
  await Promise.all(appends);
  assert.equal(log.told, [true, false]);
});

test("room for frames to come is not taken from a disk that has no more than the frames themselves need", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk, undefined, { reserveBytes: 1_000 });
  disk.roomBytes = 500;
  let appended = 0;
  const appends = [1, 2, 3].map((index) => wal.append(batchOf(index)).then(() => appended++));
  await Promise.all(appends);
  assert.is(appended, 3);
  const end = disk.bytesOf(FIRST).byteLength;
  assert.ok(disk.roomBytes > 200, `${disk.roomBytes} bytes are left`);
  disk.roomBytes = 5_000;
  await wal.append(batchOf(4));
  assert.ok(disk.bytesOf(FIRST).byteLength > end + 1_000);
  assert.is((await openLog(disk.crash())).found.lastIndex, 4);
});

test("another error of a write that waits for room is the end all the same", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const log = await open(disk);
  disk.failNext("write", "ENOSPC", 5);
  disk.failNext("write", "EIO", 5);
  const appends = [codeOf(log.append(1))];
  await settled(log, appends);
  appends.push(codeOf(log.append(2)));
  log.clock.fire();
  assert.equal(await Promise.all(appends), ["DISK_FAILED", "DISK_FAILED"]);
  assert.is(await codeOf(log.append(3)), "DISK_FAILED");
  await log.wal.close();
});

test("closing does not wait for room: what waits fails, and the log opens again", async () => {
  for (const segmentBytesMax of [1 << 20, 1]) {
    const disk = new MemoryDisk([FOLDER]);
    const log = await open(disk, segmentBytesMax);
    await log.append(1);
    disk.roomBytes = 30;
    const appends = [codeOf(log.append(2))];
    await settled(log, appends);
    appends.push(codeOf(log.append(3)));
    await log.wal.close();
    assert.equal(await Promise.all(appends), ["DISK_FULL", "DISK_FULL"]);
    assert.is(await codeOf(log.append(4)), "CLOSED");
    assert.equal(log.clock.delays, [], "no timer is left");
    await log.wal.close();

    const again = await open(disk, segmentBytesMax);
    assert.is(again.wal.tornBytes, 0);
    disk.roomBytes = 1000;
    await again.append(2);
    assert.equal(await linesOn(disk.crash()), logOf([batchOf(1), batchOf(2)]).lines());
  }
});

test("closing closes the file of a segment that was never finished", async () => {
  const disk = new MemoryDisk([FOLDER]);
  let openFiles = 0;
  const open = disk.open.bind(disk);
  disk.open = async (path, mode) => {
    const file = await open(path, mode);
    openFiles++;
    return { ...file, close: () => file.close().then(() => void openFiles--) };
  };
  const { wal } = await openLog(disk, 1);
  disk.roomBytes = 20;
  const failing = codeOf(wal.append(batchOf(1)));
  await turn();
  await wal.close();
  assert.is(await failing, "DISK_FULL");
  assert.is(openFiles, 0);
});

test("a disk that turns out to be full while the log is being closed is not waited for either", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const log = await open(disk);
  await log.append(1);
  disk.roomBytes = 5;
  const gate = disk.hold("write");
  const failing = codeOf(log.append(2));
  await gate.reached;
  const closing = log.wal.close();
  gate.release();
  await closing;
  assert.is(await failing, "DISK_FULL");
  assert.equal(await linesOn(disk), logOf([batchOf(1)]).lines());
});

test("a log that has no room for its last, empty frame is closed without it", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const log = await open(disk);
  await log.append(1);
  disk.roomBytes = 5;
  await log.wal.close();
  assert.equal(log.told, []);
  const { wal } = await openLog(disk);
  assert.is(wal.tornBytes, 0);
});

test("a first start on a full disk says so, and a later one makes up for it", async () => {
  for (const roomBytes of [0, 10]) {
    const disk = new MemoryDisk([FOLDER]);
    disk.roomBytes = roomBytes;
    assert.is(await codeOf(openLog(disk)), "DISK_FULL");
    disk.roomBytes = 1000;
    assert.equal(await linesOn(disk), logOf([]).lines());
  }
});

test("a restart on a full disk needs no room, even if a segment was being made", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const log = await open(disk, 1);
  await log.append(1);
  disk.roomBytes = 20;
  void log.append(2).catch(() => {});
  await settled(log, [new Promise(() => {})]);
  const left = disk.kill();
  left.roomBytes = 0;
  assert.is(left.paths().length, 3);
  const again = await open(left, 1);
  assert.is(left.paths().length, 2);
  const appended = again.append(2);
  await settled(again, [appended]);
  left.roomBytes = 1000;
  again.clock.fire();
  await appended;
  assert.equal(await linesOn(left.crash()), logOf([batchOf(1), batchOf(2)]).lines());
});

test("however often the disk is full, all that was appended is there, in order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ size: fc.nat(300), room: fc.nat(500) }), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 600 }),
      async (steps, segmentBytesMax) => {
        const disk = new MemoryDisk([FOLDER]);
        const log = await open(disk, segmentBytesMax);
        const order: number[] = [];
        const batches = steps.map(({ size }, i) => batch([entry(i + 1, 1, new Uint8Array(size).fill(i))]));
        const appends: Promise<void>[] = [];
        for (const [i, { room }] of steps.entries()) {
          disk.roomBytes = room;
          log.clock.fire();
          appends.push(...batches.slice(i, i + 1).map((one) => log.wal.append(one).then(() => void order.push(i))));
          await settled(log, appends);
          const { found } = await openLog(disk.crash());
          assert.ok(found.entries.length >= order.length, "what was reported is durable");
        }
        disk.roomBytes = Number.POSITIVE_INFINITY;
        log.clock.fire();
        await Promise.all(appends);
        assert.equal(order, [...steps.keys()]);
        assert.equal(await linesOn(disk.crash()), logOf(batches).lines());
      },
    ),
    { numRuns: 60 },
  );
});

test.run();
