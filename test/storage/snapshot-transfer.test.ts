/** A snapshot gets to another replica whole, however often it is interrupted, and nothing else under its name. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import type { Announcement, SnapshotInfo, SnapshotReceiver, SnapshotStore } from "../../src/storage/index.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { FOLDER, turn } from "./plain-log.ts";
import { collect, damageOf, headerOf, newestOn, openStore, piecesOf, snapshotPath } from "./plain-snapshot.ts";

const test = suite("snapshot transfer");
const INDEX = 42;

interface Sender {
  readonly disk: MemoryDisk;
  readonly store: SnapshotStore;
  readonly info: SnapshotInfo;
}

async function senderOf(pieces: readonly Uint8Array[] = piecesOf(INDEX, 4)): Promise<Sender> {
  const disk = new MemoryDisk([FOLDER]);
  const store = await openStore(disk);
  const info = await store.write(headerOf(INDEX), pieces);
  return { disk, store, info };
}

const announcedBy = ({ info: { index, term, bytes } }: Sender, id = "sender"): Announcement => ({
  index,
  term,
  bytes,
  id,
});

/** Sends all that is missing. */
async function send({ store }: Sender, receiver: SnapshotReceiver, bytesMax = 1): Promise<void> {
  for (let done = false; !done; ) {
    const chunks = await store.readChunks(INDEX, receiver.offset, bytesMax);
    await receiver.write(chunks.bytes);
    done = chunks.done;
  }
}

/** The bytes of each chunk. */
async function chunksOf({ store }: Sender): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for (let next = 0, done = false; !done; ) {
    const chunks = await store.readChunks(INDEX, next, 1);
    all.push(chunks.bytes);
    ({ next, done } = chunks);
  }
  return all;
}

const bytesOf = (chunks: readonly Uint8Array[]): number => chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);

const partials = (disk: MemoryDisk): string[] => disk.paths().filter((path) => path.endsWith(".part"));

test("chunks are whole, follow one another, and are as many as fit", async () => {
  const pieces = [...piecesOf(INDEX, 40), new Uint8Array(600_000), ...piecesOf(INDEX, 3)];
  const sender = await senderOf(pieces);
  const whole = sender.disk.bytesOf(snapshotPath(INDEX));
  const single = await chunksOf(sender);
  assert.is(single.length, 40 + 3 + 3 + 2);
  assert.equal(Buffer.concat(single), Buffer.from(whole));
  for (const bytesMax of [1, 50, 100, 1000, 300_000, 1e7]) {
    let next = 0;
    for (let done = false, i = 0; !done; ) {
      const chunks = await sender.store.readChunks(INDEX, next, bytesMax);
      let fit = 0;
      let count = 0;
      for (; i + count < single.length; count++) {
        const more = fit + (single[i + count]?.byteLength ?? 0);
        if (more > bytesMax && count > 0) break;
        fit = more;
      }
      assert.equal(
        [chunks.bytes.byteLength, chunks.next, chunks.done],
        [fit, next + fit, next + fit === whole.byteLength],
      );
      assert.equal(chunks.bytes, whole.subarray(next, next + fit));
      i += count;
      ({ next, done } = chunks);
    }
  }
});

test("where no chunk starts there is nothing to be had", async () => {
  const { store, info } = await senderOf();
  assert.is(await codeOf(store.readChunks(INDEX, 5, 1000)), "INVALID_ARGUMENT");
  assert.is(await codeOf(store.readChunks(INDEX, info.bytes, 1000)), "INVALID_ARGUMENT");
  assert.is(await codeOf(store.readChunks(INDEX + 1, 0, 1000)), "COMPACTED");
});

test("a file that was cut short, or has too much, is not given as whole", async () => {
  const sender = await senderOf();
  const whole = sender.disk.bytesOf(snapshotPath(INDEX));
  sender.disk.plant(snapshotPath(INDEX), whole.subarray(0, whole.byteLength - 33));
  assert.is((await damageOf(sender.store.readChunks(INDEX, 0, 1e6))).offset, whole.byteLength - 33);
  sender.disk.plant(snapshotPath(INDEX), Buffer.concat([whole, new Uint8Array(9)]));
  assert.is((await damageOf(sender.store.readChunks(INDEX, 0, 1e6))).offset, whole.byteLength);
});

test("a file whose chunks have changed places is not given", async () => {
  const sender = await senderOf();
  const [header, first, second, ...rest] = await chunksOf(sender);
  if (header === undefined || first === undefined || second === undefined) throw new Error("there are too few");
  sender.disk.plant(snapshotPath(INDEX), Buffer.concat([header, second, first, ...rest]));
  assert.is((await damageOf(sender.store.readChunks(INDEX, 0, 1e6))).offset, header.byteLength);
});

test("what arrives is the same snapshot, and survives any crash once it is finished", async () => {
  for (const bytesMax of [1, 100, 1e6]) {
    const sender = await senderOf();
    const disk = new MemoryDisk([FOLDER]);
    const store = await openStore(disk);
    const receiver = await store.receive(announcedBy(sender));
    assert.is(receiver.offset, 0);
    await send(sender, receiver, bytesMax);
    assert.is(store.latest, null);
    assert.equal(await receiver.finish(), sender.info);
    assert.equal(store.latest, sender.info);
    assert.equal(disk.crash().paths(), [snapshotPath(INDEX)]);
    assert.equal(await newestOn(disk.crash()), { index: INDEX, pieces: piecesOf(INDEX, 4) });
    assert.equal(disk.bytesOf(snapshotPath(INDEX)), sender.disk.bytesOf(snapshotPath(INDEX)));
    assert.is(await codeOf(receiver.write(new Uint8Array(1))), "CLOSED");
    assert.is(await codeOf(receiver.finish()), "CLOSED");
    await receiver.abandon();
    assert.is(store.latest?.index, INDEX);
  }
});

test("after an interruption at any chunk it goes on there, in the same process or in another", async () => {
  const sender = await senderOf();
  const chunks = await chunksOf(sender);
  for (let arrived = 0; arrived <= chunks.length; arrived++) {
    for (const restart of [false, true]) {
      const disk = new MemoryDisk([FOLDER]);
      const store = await openStore(disk);
      const first = await store.receive(announcedBy(sender));
      for (const chunk of chunks.slice(0, arrived)) await first.write(chunk);
      if (restart) await first.close();
      const next = restart ? disk.kill() : disk;
      const second = await (restart ? await openStore(next) : store).receive(announcedBy(sender));
      assert.is(second.offset, bytesOf(chunks.slice(0, arrived)));
      for (const chunk of chunks.slice(arrived)) await second.write(chunk);
      assert.equal(await second.finish(), sender.info);
      assert.equal(await newestOn(next.crash()), { index: INDEX, pieces: piecesOf(INDEX, 4) });
    }
  }
});

test("after a crash at any byte it goes on after the last chunk that is whole", async () => {
  const sender = await senderOf();
  const chunks = await chunksOf(sender);
  const disk = new MemoryDisk([FOLDER]);
  const receiver = await (await openStore(disk)).receive(announcedBy(sender));
  for (const chunk of chunks) await receiver.write(chunk);
  const borders = new Set(chunks.map((_, i) => bytesOf(chunks.slice(0, i))).concat(sender.info.bytes));
  const offsets = new Set<number>();
  for (const left of disk.everyCrash()) {
    const again = await (await openStore(left)).receive(announcedBy(sender));
    assert.ok(borders.has(again.offset));
    assert.is(left.bytesOf(partials(left)[0] ?? "").byteLength, again.offset);
    offsets.add(again.offset);
    await finishFrom(sender, again);
    assert.equal(await newestOn(left.crash()), { index: INDEX, pieces: piecesOf(INDEX, 4) });
  }
  assert.equal(offsets, borders);
});

/** Sends what is missing, if anything is, and finishes. */
async function finishFrom(sender: Sender, receiver: SnapshotReceiver): Promise<SnapshotInfo> {
  if (receiver.offset < sender.info.bytes) await send(sender, receiver);
  return await receiver.finish();
}

test("damage to what has come already costs what follows it, and no more", async () => {
  const sender = await senderOf();
  const chunks = await chunksOf(sender);
  const bytes = sender.info.bytes;
  for (let bit = 0; bit < bytes * 8; bit += 5) {
    const disk = new MemoryDisk([FOLDER]);
    const first = await (await openStore(disk)).receive(announcedBy(sender));
    for (const chunk of chunks) await first.write(chunk);
    await first.close();
    const [partial = ""] = partials(disk);
    disk.flip(partial, bit);
    const again = await (await openStore(disk)).receive(announcedBy(sender));
    assert.ok(again.offset * 8 <= bit);
    await send(sender, again);
    await again.finish();
    assert.equal(disk.bytesOf(snapshotPath(INDEX)), sender.disk.bytesOf(snapshotPath(INDEX)));
  }
});

test("another snapshot, or another's of the same entry, starts anew, and nothing is left of the one before", async () => {
  const sender = await senderOf();
  const announced = announcedBy(sender);
  const [header = new Uint8Array(0)] = await chunksOf(sender);
  for (const other of [
    { ...announced, id: "another" },
    { ...announced, term: 2 },
    { ...announced, bytes: announced.bytes + 1 },
    { ...announced, index: INDEX + 1 },
  ]) {
    const disk = new MemoryDisk([FOLDER]);
    const store = await openStore(disk);
    const first = await store.receive(announced);
    await first.write(header);
    const second = await store.receive(other);
    assert.is(second.offset, 0);
    assert.is(partials(disk).length, 1);
    assert.is(await codeOf(first.write(new Uint8Array(0))), "CLOSED");
  }
});

test("a partial file that is not what its name says is begun anew", async () => {
  const sender = await senderOf();
  const other = await (await openStore(sender.disk)).write(headerOf(INDEX + 1), piecesOf(INDEX, 4));
  const longer = await senderOf(piecesOf(INDEX, 9));
  for (const [content, kept] of [
    [sender.disk.bytesOf(snapshotPath(other.index)), 0],
    [longer.disk.bytesOf(snapshotPath(INDEX)), sender.info.bytes - 6],
  ] as const) {
    const disk = new MemoryDisk([FOLDER]);
    await (await (await openStore(disk)).receive(announcedBy(sender))).close();
    disk.plant(partials(disk)[0] ?? "", content);
    const receiver = await (await openStore(disk)).receive(announcedBy(sender));
    assert.is(receiver.offset, kept);
    if (kept > 0) {
      // The sender has no chunk there.
      assert.is(await codeOf(send(sender, receiver)), "INVALID_ARGUMENT");
      await receiver.abandon();
    }
    await finishFrom(sender, await (await openStore(disk)).receive(announcedBy(sender)));
    assert.equal(disk.bytesOf(snapshotPath(INDEX)), sender.disk.bytesOf(snapshotPath(INDEX)));
  }
});

test("a chunk with any bit flipped is refused, the file is as it was, and the chunk can be asked for again", async () => {
  const sender = await senderOf();
  const chunks = await chunksOf(sender);
  const disk = new MemoryDisk([FOLDER]);
  const receiver = await (await openStore(disk)).receive(announcedBy(sender));
  for (const chunk of chunks) {
    const before = disk.bytesOf(partials(disk)[0] ?? "");
    const { offset } = receiver;
    for (let bit = 0; bit < chunk.byteLength * 8; bit++) {
      const bad = chunk.slice();
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.is((await damageOf(receiver.write(bad))).offset, offset);
    }
    assert.is(receiver.offset, offset);
    assert.equal(disk.bytesOf(partials(disk)[0] ?? ""), before);
    await receiver.write(chunk);
  }
  assert.equal(await receiver.finish(), sender.info);
});

test("chunks that are cut short, come twice, or come too early are refused", async () => {
  const sender = await senderOf();
  const [header = new Uint8Array(0), first = new Uint8Array(0), second = new Uint8Array(0)] = await chunksOf(sender);
  const disk = new MemoryDisk([FOLDER]);
  const receiver = await (await openStore(disk)).receive(announcedBy(sender));
  for (const bad of [first, header.subarray(0, -1), header.subarray(0, 5), Buffer.concat([header, second])]) {
    assert.is(await codeOf(receiver.write(bad)), "DATA_CORRUPT");
  }
  await receiver.write(header);
  for (const bad of [header, second, Buffer.concat([first, first])]) {
    assert.is(await codeOf(receiver.write(bad)), "DATA_CORRUPT");
  }
  assert.is(await codeOf(receiver.finish()), "DATA_CORRUPT");
  await send(sender, receiver);
  assert.equal(await receiver.finish(), sender.info);
});

test("a snapshot that is not the one that was announced is refused", async () => {
  const sender = await senderOf();
  const announced = announcedBy(sender);
  for (const [other, refusedAt] of [
    [{ ...announced, term: 9 }, 0],
    [{ ...announced, index: 9 }, 0],
    [{ ...announced, bytes: announced.bytes - 1 }, announced.bytes - 1],
    [{ ...announced, bytes: announced.bytes + 1 }, announced.bytes + 1],
  ] as const) {
    const receiver = await (await openStore(new MemoryDisk([FOLDER]))).receive(other);
    assert.is((await damageOf(send(sender, receiver))).offset, refusedAt);
  }
});

test("halves of two snapshots do not make one: it is noticed at the end, and all is asked for again", async () => {
  const sender = await senderOf();
  const other = await senderOf(piecesOf(INDEX, 4).reverse());
  assert.is(other.info.bytes, sender.info.bytes);
  assert.is.not(other.info.checksum, sender.info.checksum);
  const disk = new MemoryDisk([FOLDER]);
  const store = await openStore(disk);
  const receiver = await store.receive(announcedBy(sender));
  for (const chunk of (await chunksOf(other)).slice(0, 3)) await receiver.write(chunk);
  assert.is(await codeOf(send(sender, receiver)), "DATA_CORRUPT");
  assert.is(receiver.offset, 0);
  await send(sender, receiver);
  await receiver.finish();
  assert.equal(await collect(store.read(INDEX)), piecesOf(INDEX, 4));
});

test("what was given up leaves nothing behind", async () => {
  const sender = await senderOf();
  const disk = new MemoryDisk([FOLDER]);
  const store = await openStore(disk);
  const receiver = await store.receive(announcedBy(sender));
  const [header = new Uint8Array(0)] = await chunksOf(sender);
  await receiver.write(header);
  await receiver.abandon();
  await receiver.abandon();
  assert.equal(disk.paths(), []);
  assert.is((await store.receive(announcedBy(sender))).offset, 0);
});

test("a full disk is reported, and the chunk can be asked for again", async () => {
  const sender = await senderOf();
  for (const bytesWritten of [0, 1, 20]) {
    const disk = new MemoryDisk([FOLDER]);
    const store = await openStore(disk);
    const receiver = await store.receive(announcedBy(sender));
    for (const chunk of await chunksOf(sender)) {
      const { offset } = receiver;
      disk.failNext("write", "ENOSPC", bytesWritten);
      assert.is(await codeOf(receiver.write(chunk)), "DISK_FULL");
      assert.is(receiver.offset, offset);
      assert.is((await store.receive(announcedBy(sender))).offset, offset);
      break;
    }
    const again = await store.receive(announcedBy(sender));
    await send(sender, again);
    assert.equal(await again.finish(), sender.info);
  }
});

for (const operation of ["rename", "sync", "close", "syncFolder"] as const) {
  test(`after a failure in ${operation} at the end nothing is half there, and it can be received anew (cockroach#37102)`, async () => {
    const sender = await senderOf();
    const disk = new MemoryDisk([FOLDER]);
    const store = await openStore(disk);
    const receiver = await store.receive(announcedBy(sender));
    await send(sender, receiver);
    disk.failNext(operation, "EIO");
    assert.is(await codeOf(receiver.finish()), "DISK_FAILED");
    assert.is(store.latest, null);
    for (const left of [...disk.everyCrash(), disk.kill(), disk]) {
      const newest = await newestOn(left);
      assert.ok(newest === null || String(newest.pieces) === String(piecesOf(INDEX, 4)));
      const again = await (await openStore(left)).receive(announcedBy(sender));
      await finishFrom(sender, again);
      assert.equal(await newestOn(left.crash()), { index: INDEX, pieces: piecesOf(INDEX, 4) });
    }
  });
}

test("a process that is killed while a flush fails does not make its successor believe in what was not flushed", async () => {
  const sender = await senderOf();
  const disk = new MemoryDisk([FOLDER]);
  const receiver = await (await openStore(disk)).receive(announcedBy(sender));
  await send(sender, receiver);
  disk.failNext("sync", "EIO");
  const gate = disk.hold("remove");
  void receiver.finish().catch(() => {});
  await gate.reached;
  const next = disk.kill();
  const again = await (await openStore(next)).receive(announcedBy(sender));
  await finishFrom(sender, again);
  assert.equal(await newestOn(next.crash()), { index: INDEX, pieces: piecesOf(INDEX, 4) });
});

test("a crash at any point of finishing leaves all of it, or what can be gone on with", async () => {
  const sender = await senderOf();
  const disk = new MemoryDisk([FOLDER]);
  const receiver = await (await openStore(disk)).receive(announcedBy(sender));
  await send(sender, receiver);
  const left: MemoryDisk[] = [];
  disk.watch = () => void left.push(...disk.everyCrash(), disk.kill());
  await receiver.finish();
  for (const crashed of left) {
    const store = await openStore(crashed);
    if (store.latest === null) await finishFrom(sender, await store.receive(announcedBy(sender)));
    assert.equal(await newestOn(crashed.crash()), { index: INDEX, pieces: piecesOf(INDEX, 4) });
  }
});

test("one thing is done after the other, however it is called", async () => {
  const sender = await senderOf();
  const disk = new MemoryDisk([FOLDER]);
  const store = await openStore(disk);
  const receiver = await store.receive(announcedBy(sender));
  const gate = disk.hold("write");
  const writes = (await chunksOf(sender)).map((chunk) => receiver.write(chunk));
  const finished = receiver.finish();
  const again = store.receive(announcedBy(sender));
  await gate.reached;
  await turn();
  gate.release();
  await Promise.all(writes);
  assert.equal(await finished, sender.info);
  assert.is((await again).offset, 0);
});

test("what was half received is removed by a start that has a newer snapshot", async () => {
  const sender = await senderOf();
  const disk = new MemoryDisk([FOLDER]);
  const store = await openStore(disk);
  await (await store.receive(announcedBy(sender))).write((await chunksOf(sender))[0] ?? new Uint8Array(0));
  await store.write(headerOf(INDEX - 1), []);
  await openStore(disk);
  assert.is(partials(disk).length, 1);
  await store.write(headerOf(INDEX), []);
  await openStore(disk);
  assert.equal(partials(disk), []);
});

test("through any losses, repetitions, damage, crashes and restarts the same snapshot arrives", async () => {
  const step = fc.record({
    type: fc.constantFrom("send", "send", "send", "repeat", "damage", "crash", "restart", "full"),
    bytesMax: fc.nat(120),
    kept: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(60), { maxLength: 8 }),
      fc.array(step, { maxLength: 25 }),
      async (sizes, steps) => {
        const pieces = sizes.map((size, i) => new Uint8Array(size).fill(i));
        const sender = await senderOf(pieces);
        let disk = new MemoryDisk([FOLDER]);
        let receiver = await (await openStore(disk)).receive(announcedBy(sender));
        for (const { type, bytesMax, kept } of steps) {
          if (type === "crash" || type === "restart") {
            const left = Math.floor(kept * disk.unsyncedBytes);
            disk = type === "restart" ? disk.kill() : disk.crash({ bytesKept: left, namesKept: 1, tail: "garbage" });
            receiver = await (await openStore(disk)).receive(announcedBy(sender));
            continue;
          }
          if (receiver.offset === sender.info.bytes) continue;
          const { bytes } = await sender.store.readChunks(INDEX, receiver.offset, bytesMax);
          if (type === "full") disk.failNext("write", "ENOSPC", Math.floor(kept * bytes.byteLength));
          const at = Math.floor(kept * (bytes.byteLength - 1));
          if (type === "damage") bytes[at] = (bytes[at] ?? 0) ^ 1;
          const expected = new Map([
            ["full", "DISK_FULL"],
            ["damage", "DATA_CORRUPT"],
          ]).get(type);
          assert.is(await codeOf(receiver.write(bytes)), expected ?? "resolved");
          if (type === "repeat") assert.is(await codeOf(receiver.write(bytes)), "DATA_CORRUPT");
        }
        assert.equal(await finishFrom(sender, receiver), sender.info);
        assert.equal(await newestOn(disk.crash()), { index: INDEX, pieces });
      },
    ),
    { numRuns: 100 },
  );
});

test.run();
