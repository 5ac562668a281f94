/** Snapshots are there whole or not at all, and what a crash or a failure leaves of one harms nothing else. */

import * as assert from "uvu/assert";
import type { SnapshotStore } from "../../src/storage/index.ts";
import { MemoryDisk, type Operation } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { FOLDER } from "./plain-log.ts";
import { collect, damageOf, headerOf, newestOn, openStore, piecesOf, snapshotPath } from "./plain-snapshot.ts";

const test = suite("snapshots");

const write = (store: SnapshotStore, index: number) => store.write(headerOf(index), piecesOf(index));

async function storeWith(...indices: readonly number[]): Promise<{ disk: MemoryDisk; store: SnapshotStore }> {
  const disk = new MemoryDisk([FOLDER]);
  const store = await openStore(disk);
  for (const index of indices) await write(store, index);
  return { disk, store };
}

const indicesOf = ({ all }: SnapshotStore): number[] => all.map(({ index }) => index);

test("the newest is the one with the highest index, whenever it was written", async () => {
  const { disk, store } = await storeWith(9, 100, 12);
  for (const one of [store, await openStore(disk.crash())]) {
    assert.equal(indicesOf(one), [9, 12, 100]);
    assert.equal(
      [one.latest?.index, one.latest?.term, one.latest?.configuration],
      [100, 1, headerOf(100).configuration],
    );
    assert.equal(await collect(one.read(12)), piecesOf(12));
  }
});

test("an empty folder has none", async () => {
  const { store } = await storeWith();
  assert.equal([store.latest, store.all], [null, []]);
  assert.is(await codeOf(store.readChunks(1, 0, 100)), "COMPACTED");
});

test("a crash at any point of writing leaves the snapshot before it or the new one, and does not stand in the way", async () => {
  const { disk, store } = await storeWith(5);
  const left: MemoryDisk[] = [];
  disk.watch = () => void left.push(...disk.everyCrash(), disk.kill());
  await write(store, 8);

  const found = new Set<number | undefined>();
  for (const crashed of left) {
    const newest = await newestOn(crashed);
    found.add(newest?.index);
    assert.equal(newest?.pieces, piecesOf(newest?.index ?? 0));
    assert.not(crashed.paths().some((path) => path.endsWith(".new")));
    assert.is((await newestOn(crashed.crash()))?.index, newest?.index, "what was found can't vanish");
    await write(await openStore(crashed), 8);
    assert.is((await newestOn(crashed.crash()))?.index, 8);
  }
  assert.equal(found, new Set([5, 8]));
});

test("a snapshot of the same entry replaces the one before, whole", async () => {
  const { disk, store } = await storeWith(5);
  const left: MemoryDisk[] = [];
  disk.watch = () => void left.push(...disk.everyCrash());
  const info = await store.write(headerOf(5), piecesOf(6));
  assert.equal(store.all, [info]);
  for (const crashed of left) {
    const pieces = String((await newestOn(crashed))?.pieces);
    assert.ok([String(piecesOf(5)), String(piecesOf(6))].includes(pieces));
  }
  assert.equal((await newestOn(disk.crash()))?.pieces, piecesOf(6));
});

test("what was reported written survives any crash", async () => {
  const { disk } = await storeWith(5, 6);
  assert.is((await newestOn(disk.crash()))?.index, 6);
});

for (const [operation, code, expected] of [
  ["create", "ENOSPC", "DISK_FULL"],
  ["write", "ENOSPC", "DISK_FULL"],
  ["write", "EDQUOT", "DISK_FULL"],
  ["write", "EIO", "DISK_FAILED"],
  ["sync", "ENOSPC", "DISK_FULL"],
  ["sync", "EIO", "DISK_FAILED"],
  ["close", "EIO", "DISK_FAILED"],
  ["rename", "EIO", "DISK_FAILED"],
] as const) {
  test(`${code} in ${operation} is reported, leaves nothing behind, and can be tried again`, async () => {
    const { disk, store } = await storeWith(5);
    const before = disk.paths();
    disk.failNext(operation, code, 20);
    assert.is(await codeOf(write(store, 8)), expected);
    assert.equal(disk.paths(), before);
    assert.equal(indicesOf(store), [5]);
    await write(store, 8);
    assert.is((await newestOn(disk.crash()))?.index, 8);
  });
}

test("what can't be cleared away after a failure does not stand in the way", async () => {
  const { disk, store } = await storeWith(5);
  disk.failNext("write", "EIO");
  const gate = disk.hold("write");
  const failing = codeOf(write(store, 8));
  await gate.reached;
  disk.failNext("remove", "EIO");
  gate.release();
  assert.is(await failing, "DISK_FAILED");
  assert.is(disk.paths().length, 2);
  await write(store, 8);
  assert.is((await newestOn(disk.crash()))?.index, 8);
});

test("a disk that fills up gets its room back", async () => {
  const { disk, store } = await storeWith(5);
  disk.roomBytes = 300_000;
  const pieces = [new Uint8Array(200_000), new Uint8Array(200_000)];
  assert.is(await codeOf(store.write(headerOf(8), pieces)), "DISK_FULL");
  assert.is(disk.roomBytes, 300_000);
});

test("a name that can't be made durable is reported, and what was there stays", async () => {
  const { disk, store } = await storeWith(5);
  disk.failNext("syncFolder", "EIO");
  assert.is(await codeOf(write(store, 8)), "DISK_FAILED");
  for (const left of disk.everyCrash()) {
    const newest = await newestOn(left);
    assert.equal(newest?.pieces, piecesOf(newest?.index ?? 0));
  }
});

test("a machine that fails is heard, and leaves nothing behind", async () => {
  const { disk, store } = await storeWith(5);
  const before = disk.paths();
  const failure = Object.assign(new Error("no piece"), { code: "ENOSPC" });
  function* pieces(): Generator<Uint8Array> {
    yield new Uint8Array(500_000);
    throw failure;
  }
  assert.is(await store.write(headerOf(8), pieces()).catch((error: unknown) => error), failure);
  assert.equal(disk.paths(), before);
});

test("a machine is told when its pieces are not wanted any more", async () => {
  const { disk, store } = await storeWith();
  let isTold = false;
  function* pieces(): Generator<Uint8Array> {
    try {
      for (;;) yield new Uint8Array(300_000);
    } finally {
      isTold = true;
    }
  }
  disk.failNext("write", "ENOSPC");
  assert.is(await codeOf(store.write(headerOf(8), pieces())), "DISK_FULL");
  assert.ok(isTold);
});

test("snapshots that nobody needs are removed, and a crash at any point leaves those that somebody does", async () => {
  const { disk, store } = await storeWith(1, 2, 3, 4);
  const left: MemoryDisk[] = [];
  disk.watch = () => void left.push(...disk.everyCrash());
  await store.keepOnly(new Set([2, 4]));
  assert.equal(indicesOf(store), [2, 4]);
  assert.equal(disk.crash().paths(), [snapshotPath(2), snapshotPath(4)]);
  await store.remove(2);
  await store.remove(2);
  assert.equal(disk.crash().paths(), [snapshotPath(4)]);
  assert.is(await codeOf(collect((await openStore(disk)).read(4))), "resolved");
  assert.is(await codeOf(store.readChunks(2, 0, 100)), "COMPACTED");
  for (const crashed of left) assert.equal((await newestOn(crashed))?.pieces, piecesOf(4));
});

test("one that has come since it was settled which are to stay is not removed", async () => {
  const { disk, store } = await storeWith(1, 2, 3);
  await store.keepOnly(new Set([2]));
  assert.equal(indicesOf(store), [2, 3]);
  assert.equal(disk.crash().paths(), [snapshotPath(2), snapshotPath(3)]);
});

for (const operation of ["list", "remove", "syncFolder"] as const satisfies readonly Operation[]) {
  test(`a removal that fails in ${operation} is reported, and made up for`, async () => {
    const { disk, store } = await storeWith(1, 2, 3);
    disk.failNext(operation, "EIO");
    assert.is(await codeOf(store.keepOnly(new Set([3]))), "DISK_FAILED");
    await store.keepOnly(new Set([3]));
    assert.equal(disk.crash().paths(), [snapshotPath(3)]);
  });
}

test("if the newest is damaged at its start or its end, none is opened: the log between it and an older one may be gone", async () => {
  const { disk } = await storeWith(3, 4);
  const bytes = disk.bytesOf(snapshotPath(4)).byteLength;
  for (const bit of [0, 100, 300, (bytes - 1) * 8, (bytes - 30) * 8]) {
    const damaged = disk.crash();
    damaged.flip(snapshotPath(4), bit);
    const { file, offset } = await damageOf(openStore(damaged));
    assert.equal([file, offset], [snapshotPath(4), bit < 400 ? 0 : bytes - 33]);
  }
});

test("damage in between is found when it is read, also for another replica", async () => {
  const { disk, store } = await storeWith(3, 4);
  disk.flip(snapshotPath(4), 80 * 8);
  assert.is((await openStore(disk)).latest?.index, 4);
  const { file, offset } = await damageOf(collect(store.read(4)));
  assert.is(file, snapshotPath(4));
  assert.equal(await damageOf(store.readChunks(4, offset, 1000)), { file, offset });
  assert.equal(await damageOf(store.readChunks(4, 7, 1000)), { file, offset }, "wherever one asks");
});

test("an older one that is damaged is left out, and goes with the next that are removed", async () => {
  const { disk } = await storeWith(3, 4);
  disk.flip(snapshotPath(3), 0);
  const store = await openStore(disk);
  assert.equal(indicesOf(store), [4]);
  await store.keepOnly(new Set([4]));
  assert.equal(disk.paths(), [snapshotPath(4)]);
});

test("a file under another's name is refused", async () => {
  const { disk } = await storeWith(3);
  disk.plant(snapshotPath(4), disk.bytesOf(snapshotPath(3)));
  assert.equal(await damageOf(openStore(disk)), { file: snapshotPath(4), offset: 0 });
});

test("other files in the folder are left alone", async () => {
  const { disk } = await storeWith(3);
  for (const name of ["identity.json", "wal-0000000001.log", "snapshot-3.snap", "snapshot.new"]) {
    disk.plant(`${FOLDER}/${name}`, new Uint8Array([1]));
  }
  const before = disk.paths();
  const store = await openStore(disk);
  await store.keepOnly(new Set([3]));
  assert.equal(disk.paths(), before);
});

test("a disk that fails while the snapshots are looked for is told from damage", async () => {
  for (const operation of ["syncFolder", "list", "open", "size", "read"] as const) {
    const { disk } = await storeWith(3);
    disk.failNext(operation, "EIO");
    assert.is(await codeOf(openStore(disk)), "DISK_FAILED", operation);
  }
});

test("that snapshots are not to be trusted survives any crash, until the right one has come and the others are gone", async () => {
  const { disk, store } = await storeWith(4, 5);
  assert.is(store.distrustedAt, null);
  await store.distrust(7);
  for (const one of [store, await openStore(disk.crash()), await openStore(disk.kill())]) {
    assert.equal([one.distrustedAt, indicesOf(one)], [7, [4, 5]]);
  }
  await write(store, 9);
  const left: MemoryDisk[] = [];
  disk.watch = () => void left.push(...disk.everyCrash(), disk.kill());
  assert.equal(await store.trust(9), [4, 5]);
  assert.equal([store.distrustedAt, indicesOf(store)], [null, [9]]);
  left.push(disk.crash());
  const found = new Set<boolean>();
  for (const crashed of left) {
    const opened = await openStore(crashed);
    const isTrusted = opened.distrustedAt === null;
    found.add(isTrusted);
    if (isTrusted) assert.equal(indicesOf(opened), [9], "those that are wrong are gone for good by then");
    assert.is((await openStore(crashed.crash())).distrustedAt, opened.distrustedAt, "what was found can't vanish");
  }
  assert.is(found.size, 2);
});

test("a newer one that has come meanwhile stays, and so does one of the same entry that was replaced", async () => {
  const { disk, store } = await storeWith(5);
  await store.distrust(7);
  await store.write(headerOf(5), piecesOf(6));
  await write(store, 8);
  assert.equal(await store.trust(5), []);
  assert.equal(indicesOf(await openStore(disk.crash())), [5, 8]);
});

for (const [operation, code, expected] of [
  ["create", "ENOSPC", "DISK_FULL"],
  ["create", "EIO", "DISK_FAILED"],
  ["syncFolder", "EIO", "DISK_FAILED"],
] as const) {
  test(`that they are not to be trusted can be said again after ${code} in ${operation}`, async () => {
    const { disk, store } = await storeWith(5);
    disk.failNext(operation, code);
    assert.is(await codeOf(store.distrust(7)), expected);
    assert.is(store.distrustedAt, null);
    await store.distrust(7);
    assert.is((await openStore(disk.crash())).distrustedAt, 7);
  });
}

for (const operation of ["list", "remove", "syncFolder"] as const satisfies readonly Operation[]) {
  test(`that they are to be trusted again can be said again after a failure in ${operation}`, async () => {
    const { disk, store } = await storeWith(5, 9);
    await store.distrust(7);
    disk.failNext(operation, "EIO");
    assert.is(await codeOf(store.trust(9)), "DISK_FAILED");
    assert.is((await openStore(disk.crash())).distrustedAt, 7);
    await store.trust(9);
    const opened = await openStore(disk.crash());
    assert.equal([opened.distrustedAt, indicesOf(opened)], [null, [9]]);
  });
}

test("two who clear away at the same time do not stand in each other's way", async () => {
  const { disk, store } = await storeWith(1, 2, 3);
  await Promise.all([store.keepOnly(new Set([3])), store.trust(3), store.remove(1)]);
  assert.equal(disk.crash().paths(), [snapshotPath(3)]);
});

test.run();
