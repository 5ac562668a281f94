/** A log that was closed in order is found as it was, or refused with the place of the damage. */

import * as assert from "uvu/assert";
import { hasCode } from "../../src/errors.ts";
import { Wal } from "../../src/storage/index.ts";
import { decodeSegmentHeader, FRAME_HEADER_BYTES } from "../../src/storage/wal-format.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { batchOf, FOLDER, linesOn, logOf, openLog, PlainLog, SALT, walOptions } from "./plain-log.ts";

const test = suite("log, damaged");
const BATCHES = [batchOf(1), batchOf(2), batchOf(3), batchOf(2, 2), batchOf(3, 2), batchOf(4, 2)];

async function closedLog(segmentBytesMax: number): Promise<MemoryDisk> {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk, segmentBytesMax);
  for (const batch of BATCHES) await wal.append(batch);
  await wal.close();
  return disk;
}

/** Flips every bit in turn: the log must be refused, or, in its last, empty frame, be as if nothing had happened. */
async function flipEveryBit(disk: MemoryDisk, lines: readonly string[]): Promise<void> {
  const last = disk.paths().at(-1);
  for (const file of disk.paths()) {
    const bytes = disk.bytesOf(file).byteLength;
    const harmlessFrom = file === last ? bytes - FRAME_HEADER_BYTES : bytes;
    for (let bit = 0; bit < bytes * 8; bit++) {
      const damaged = disk.crash();
      damaged.flip(file, bit);
      const where = `bit ${bit % 8} of byte ${Math.floor(bit / 8)} of ${file}`;
      if (bit / 8 >= harmlessFrom) {
        assert.equal(await linesOn(damaged), lines, where);
      } else {
        const error = await openLog(damaged).catch((thrown: unknown) => thrown);
        if (!hasCode(error, "DATA_CORRUPT")) throw new Error(`${where} was not noticed`);
        assert.is(error.details["file"], file, where);
        assert.ok(Number(error.details["offset"]) * 8 <= bit, where);
        assert.ok(error.message.includes(file) && error.message.includes(`offset ${error.details["offset"]}`));
      }
    }
  }
}

for (const segmentBytesMax of [1 << 20, 200, 1]) {
  test(`every flipped bit is noticed, in segments of ${segmentBytesMax} bytes`, async () => {
    await flipEveryBit(await closedLog(segmentBytesMax), logOf(BATCHES).lines());
  });
}

test("every flipped bit is noticed also if the process was killed, and its successor closed the log", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk);
  await wal.append(batchOf(1));
  await wal.append(batchOf(2));
  const killed = disk.kill();
  await (await openLog(killed)).wal.close();
  await flipEveryBit(killed, logOf([batchOf(1), batchOf(2)]).lines());
});

test("a segment missing in the middle is refused, and named", async () => {
  const disk = await closedLog(1);
  await disk.remove(`${FOLDER}/wal-0000000004.log`);
  const error = await openLog(disk).catch((thrown: unknown) => thrown);
  assert.ok(hasCode(error, "DATA_CORRUPT"));
  assert.is(error.details["file"], `${FOLDER}/wal-0000000004.log`);
});

test("a frame that is there twice is not replayed twice", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await (await openLog(disk)).wal.append(batchOf(1));
  const path = `${FOLDER}/wal-0000000001.log`;
  const log = disk.bytesOf(path);
  const { end } = decodeSegmentHeader(SALT, log) ?? { end: 0 };
  disk.plant(path, Buffer.concat([log, log.subarray(end)]));
  let replayed = 0;
  const replay = { base: () => {}, reset: () => {}, entry: () => void replayed++, state: () => {} };
  await Wal.open(disk, FOLDER, walOptions(), replay);
  assert.is(replayed, 1);
});

test("a segment in another's place is refused", async () => {
  const disk = await closedLog(1);
  disk.plant(`${FOLDER}/wal-0000000003.log`, disk.bytesOf(`${FOLDER}/wal-0000000004.log`));
  assert.is(await codeOf(openLog(disk)), "DATA_CORRUPT");
});

test("segments whose files have changed places at the end are refused", async () => {
  const disk = await closedLog(1);
  const [previous, last] = disk.paths().slice(-2);
  if (previous === undefined || last === undefined) throw new Error("there are too few segments");
  const moved = disk.bytesOf(last);
  await disk.remove(last);
  disk.plant(previous, moved);
  assert.is(await codeOf(openLog(disk)), "DATA_CORRUPT");
});

test("a segment that was cut short is refused, unless it is the last", async () => {
  const disk = await closedLog(200);
  const first = disk.bytesOf(`${FOLDER}/wal-0000000001.log`);
  for (let length = 0; length < first.byteLength; length++) {
    const damaged = disk.crash();
    damaged.plant(`${FOLDER}/wal-0000000001.log`, first.subarray(0, length));
    assert.is(await codeOf(openLog(damaged)), "DATA_CORRUPT", `${length} bytes are left`);
  }
});

test("the log of another replica is refused", async () => {
  const disk = await closedLog(200);
  const opened = Wal.open(disk, FOLDER, { ...walOptions(200), salt: 1 }, new PlainLog());
  assert.is(await codeOf(opened), "DATA_CORRUPT");
});

test("the log of another replica is refused, also if it is one segment", async () => {
  const disk = await closedLog(1 << 20);
  const opened = Wal.open(disk, FOLDER, { ...walOptions(200), salt: 1 }, new PlainLog());
  assert.is(await codeOf(opened), "DATA_CORRUPT");
});

test("other files in the folder are left alone", async () => {
  const disk = await closedLog(200);
  for (const name of ["identity.json", "lock", "wal-1.log", "wal-0000000001.log.bak"]) {
    disk.plant(`${FOLDER}/${name}`, new Uint8Array([1]));
  }
  const before = disk.paths();
  assert.equal(await linesOn(disk), logOf(BATCHES).lines());
  assert.equal(disk.paths(), before);
});

test("damage that comes while the log is open is noticed by a read, and no wrong entry is given", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk, 200);
  for (let index = 1; index <= 8; index++) await wal.append(batchOf(index));
  const path = `${FOLDER}/wal-0000000001.log`;
  disk.flip(path, (disk.bytesOf(path).byteLength - 20) * 8);
  assert.is(await codeOf(wal.read(1, 8, 1e6, () => 1)), "DATA_CORRUPT");
  disk.failNext("read", "EIO");
  assert.is(await codeOf(wal.read(1, 8, 1e6, () => 1)), "DISK_FAILED");
});

test.run();
