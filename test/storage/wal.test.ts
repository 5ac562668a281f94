/** What an append promises: durable, in order, together with its neighbours, or an error for good. */

import * as fs from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { disk as realDisk } from "../../src/environment/disk.ts";
import { type Batch, Wal } from "../../src/storage/index.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { batch, batchOf, entry, FOLDER, linesOn, logOf, openLog, PlainLog, turn, walOptions } from "./plain-log.ts";

const test = suite("log");

test("what was appended is replayed after a restart", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const batches: Batch[] = [
    batch([], { term: 1, vote: null, commitIndex: 0 }),
    batch([entry(1, 1, ""), entry(2, 1, new Uint8Array(10_000).fill(7))]),
    batch([entry(3, 2)], { term: 2, vote: "ünï", commitIndex: Number.MAX_SAFE_INTEGER }),
    batch([{ ...entry(4, 2), kind: 255 }], { term: 3, vote: "", commitIndex: 2 }),
  ];
  const { wal } = await openLog(disk);
  for (const batch of batches) await wal.append(batch);
  await wal.close();

  assert.equal(await linesOn(disk), logOf(batches).lines());
});

test("the same on the real disk of this runtime", async () => {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "conclave-log-"));
  const options = walOptions(300);
  const batches = Array.from({ length: 20 }, (_, i) => batchOf(i + 1));
  const wal = await Wal.open(realDisk, folder, options, new PlainLog());
  await Promise.all(batches.slice(0, 10).map((batch) => wal.append(batch)));
  for (const batch of batches.slice(10)) await wal.append(batch);
  assert.is((await wal.read(1, 20, 1 << 20, () => 1)).length, 20);
  await wal.close();

  const found = new PlainLog();
  await (await Wal.open(realDisk, folder, options, found)).close();
  assert.equal(found.lines(), logOf(batches).lines());
  await fs.rm(folder, { recursive: true });
});

test("nothing is reported durable before it is", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk);
  const gate = disk.hold("sync");
  let isDurable = false;
  const appended = wal.append(batchOf(1)).then(() => {
    isDurable = true;
  });
  await gate.reached;
  await turn();
  assert.not(isDurable);
  gate.release();
  await appended;
  assert.equal(await linesOn(disk.crash()), logOf([batchOf(1)]).lines());
});

test("appends of one turn, and those that come during a sync, share the next one", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk);
  let syncs = 0;
  disk.watch = (operation) => {
    if (operation === "sync") syncs++;
  };
  const gate = disk.hold("sync");
  const appends = [wal.append(batchOf(1)), wal.append(batchOf(2))];
  await gate.reached;
  for (let index = 3; index <= 100; index++) appends.push(wal.append(batchOf(index)));
  gate.release();
  await Promise.all(appends);
  assert.is(syncs, 2);
  assert.is((await openLog(disk.crash())).found.entries.length, 100);
});

test("appends that are large share a sync only as far as nobody waits long for them to be put together", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const wal = await Wal.open(disk, FOLDER, walOptions(2 ** 30), new PlainLog());
  const written: number[] = [];
  let before = disk.unsyncedBytes;
  disk.watch = (operation) => {
    if (operation === "write") before = disk.unsyncedBytes;
    if (operation === "sync") written.push(before);
  };
  const MiB = 2 ** 20;
  const large = (index: number, bytes: number): Batch => batch([entry(index, 1, new Uint8Array(bytes).fill(index))]);
  const appends = [6 * MiB, MiB, MiB, MiB, 2 * MiB, 3, 5].map((bytes, i) => wal.append(large(i + 1, bytes)));
  await Promise.all(appends);
  assert.equal(
    written.map((bytes) => Math.round(bytes / MiB)),
    [6, 3, 2],
  );
  const { found } = await openLog(disk.crash());
  assert.equal(
    found.entries.map(({ payload }) => payload.length),
    [6 * MiB, MiB, MiB, MiB, 2 * MiB, 3, 5],
  );
  assert.ok(found.entries.every(({ index, payload }) => payload.every((byte) => byte === index)));
});

test("small appends get room for many at once, which goes back when the log ends", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const reserveBytes = 1_000;
  const { wal } = await openLog(disk, 10_000, { reserveBytes });
  const file = `${FOLDER}/wal-0000000001.log`;
  const sizes: number[] = [];
  for (let index = 1; index <= 40; index++) {
    await wal.append(batchOf(index));
    sizes.push(disk.bytesOf(file).byteLength);
    assert.is(wal.bytes, disk.bytesOf(file).byteLength, "what it takes of the disk is told with the room");
  }
  assert.ok(new Set(sizes).size < 8, `it grew to ${[...new Set(sizes)]}`);
  const large = { ...entry(41, 1), payload: new Uint8Array(20_000).fill(1) };
  await wal.append(batch([large]));
  assert.ok(disk.bytesOf(file).at(-1) === 1, "a large one takes what it needs");
  await wal.append(batchOf(42));
  assert.ok(disk.bytesOf(`${FOLDER}/wal-0000000002.log`).byteLength >= reserveBytes);
  await wal.close();
  const closed = disk.paths().map((path) => disk.bytesOf(path).byteLength);
  assert.is((await openLog(disk)).found.entries.length, 42);
  assert.equal(
    disk.paths().map((path) => disk.bytesOf(path).byteLength),
    closed,
    "nothing had to be cut off",
  );
});

test("appends resolve in the order in which they were made", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk, 200);
  const order: number[] = [];
  const append = (index: number): Promise<void> => wal.append(batchOf(index)).then(() => void order.push(index));
  const gate = disk.hold("sync");
  const appends = [append(1), append(2)];
  await gate.reached;
  appends.push(append(3), append(4));
  gate.release();
  await Promise.all(appends);
  await append(5);
  assert.equal(order, [1, 2, 3, 4, 5]);
});

test("a log that has grown past the size of a segment goes on in another", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk, 200);
  for (let index = 1; index <= 9; index++) await wal.append(batchOf(index));
  const names = disk.paths();
  assert.ok(names.length > 2);
  assert.equal(names.slice(0, 2), [`${FOLDER}/wal-0000000001.log`, `${FOLDER}/wal-0000000002.log`]);
});

test("a crash right after a new segment was begun loses nothing (etcd#6368)", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk, 1);
  const batches: Batch[] = [];
  for (let index = 1; index <= 5; index++) {
    batches.push(batchOf(index));
    await wal.append(batchOf(index));
    assert.is(disk.paths().length, index + 1);
    assert.equal(await linesOn(disk.crash()), logOf(batches).lines());
  }
});

test("an empty log whose folder was never synced is not needed", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await openLog(disk);
  assert.equal(disk.crash().paths(), [`${FOLDER}/wal-0000000001.log`]);
});

for (const [operation, code] of [
  ["write", "EIO"],
  ["sync", "EIO"],
  ["sync", "ENOSPC"],
  ["create", "EIO"],
  ["syncFolder", "EIO"],
] as const) {
  test(`after ${code} in ${operation}, this and every later append fails (cockroach#37102)`, async () => {
    const disk = new MemoryDisk([FOLDER]);
    const { wal } = await openLog(disk, 1);
    await wal.append(batchOf(1));
    disk.failNext(operation, code, 10);
    const gate = disk.hold(operation);
    const failing = [codeOf(wal.append(batchOf(2))), codeOf(wal.append(batchOf(3)))];
    await gate.reached;
    failing.push(codeOf(wal.append(batchOf(4))));
    gate.release();
    assert.equal(await Promise.all(failing), ["DISK_FAILED", "DISK_FAILED", "DISK_FAILED"]);
    // The disk works again, and the log does not trust it.
    assert.is(await codeOf(wal.append(batchOf(5))), "DISK_FAILED");
    await wal.close();

    for (const after of [...disk.everyCrash(), disk]) {
      const { wal: reopened, found } = await openLog(after);
      const kept = found.entries.length;
      assert.equal(found.lines(), logOf([batchOf(1), batchOf(2), batchOf(3)].slice(0, kept)).lines());
      assert.ok(kept >= 1);
      await reopened.append(batchOf(kept + 1, 2));
      assert.equal((await openLog(after.crash())).found.entries.length, kept + 1);
    }
  });
}

test("an entry that would leave a gap is refused, and harms nothing", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk);
  const appended = [wal.append(batchOf(1)), wal.append(batchOf(2))];
  await assertGap(wal.append(batchOf(4)));
  await assertGap(wal.append(batchOf(0)));
  await Promise.all([...appended, wal.append(batch([], null, { index: 9, term: 1 })), wal.append(batchOf(10))]);
  await assertGap(wal.append(batchOf(12)));
  const { wal: reopened, found } = await openLog(disk.crash());
  assert.equal([found.start, found.lastIndex], [9, 10]);
  await assertGap(reopened.append(batchOf(12)));
});

async function assertGap(appended: Promise<void>): Promise<void> {
  const error = await appended.catch((thrown: unknown) => thrown);
  assert.instance(error, RangeError);
}

test("a disk that fails while the log is opened is told from a damaged log", async () => {
  for (const operation of ["list", "open", "size", "read"] as const) {
    const disk = new MemoryDisk([FOLDER]);
    await (await openLog(disk)).wal.append(batchOf(1));
    disk.failNext(operation, "EIO");
    assert.is(await codeOf(openLog(disk)), "DISK_FAILED", operation);
  }
});

test("close waits for what was appended, and can be called again", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk);
  const appended = wal.append(batchOf(1));
  await wal.close();
  await appended;
  await wal.close();
  assert.is(await codeOf(wal.append(batchOf(2))), "CLOSED");
  assert.equal(await linesOn(disk.crash()), logOf([batchOf(1)]).lines());
});

test("an append that comes after close was called fails, even while it is closing", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk);
  await wal.append(batchOf(1));
  const gate = disk.hold("sync");
  const closing = wal.close();
  await gate.reached;
  const late = codeOf(wal.append(batchOf(2)));
  await turn();
  gate.release();
  await closing;
  assert.is(await late, "CLOSED");
  assert.equal(await linesOn(disk), logOf([batchOf(1)]).lines());
});

test("a log that was closed without news is not written to", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await openLog(disk);
  await wal.append(batchOf(1));
  await wal.close();
  const bytes = disk.bytesOf(`${FOLDER}/wal-0000000001.log`).byteLength;
  for (let starts = 0; starts < 3; starts++) await (await openLog(disk)).wal.close();
  assert.is(disk.bytesOf(`${FOLDER}/wal-0000000001.log`).byteLength, bytes);
});

test.run();
