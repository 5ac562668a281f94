/** A snapshot file gives back the pieces that went in, or names the place where it is damaged. */

import * as fs from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { ByteWriter } from "../../src/bytes.ts";
import { disk as realDisk } from "../../src/environment/disk.ts";
import { readSnapshot, SnapshotStore, verifySnapshot } from "../../src/storage/index.ts";
import { ChunkKind, encodeEnd, encodeHeader, follow, putChunk, START } from "../../src/storage/snapshot-format.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { FOLDER, turn } from "./plain-log.ts";
import { CLUSTER_SALT, collect, damageOf, headerOf, openStore, piecesOf, snapshotPath } from "./plain-snapshot.ts";

const test = suite("snapshot file");
const KiB = 1024;

async function diskWith(pieces: readonly Uint8Array[], index = 7): Promise<MemoryDisk> {
  const disk = new MemoryDisk([FOLDER]);
  await (await openStore(disk)).write(headerOf(index), pieces);
  return disk;
}

const verify = (disk: MemoryDisk, file = snapshotPath(7), salt = CLUSTER_SALT) => verifySnapshot(disk, file, salt);
const read = (disk: MemoryDisk, file = snapshotPath(7)) => collect(readSnapshot(disk, file, CLUSTER_SALT));

test("whatever the pieces, they come back as they were, and so does what is said of them", async () => {
  const piece = fc.oneof(
    { weight: 5, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    fc.nat(700 * KiB).map((length) => new Uint8Array(length).fill(length)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), fc.uint8Array(), async (pieces, configuration) => {
      const disk = new MemoryDisk([FOLDER]);
      const store = await openStore(disk);
      const info = await store.write({ index: 7, term: 3, configuration }, pieces);
      assert.equal([info.index, info.term, info.configuration], [7, 3, configuration]);
      assert.is(info.bytes, disk.bytesOf(snapshotPath(7)).byteLength);
      assert.equal(await read(disk.crash()), pieces);
      assert.equal(await verify(disk), { ...info, pieces: pieces.length });
      assert.equal((await openStore(disk.crash())).latest, info);
    }),
    { numRuns: 40 },
  );
});

test("pieces around the size of a chunk, and an empty state", async () => {
  for (const lengths of [
    [],
    [0],
    [0, 0],
    [256 * KiB],
    [256 * KiB - 1, 256 * KiB + 1],
    [512 * KiB],
    [512 * KiB + 1, 0, 1],
  ]) {
    const pieces = lengths.map((length, i) => new Uint8Array(length).fill(i + 1));
    assert.equal(await read(await diskWith(pieces)), pieces, `${lengths}`);
  }
});

test("the same on the real disk of this runtime", async () => {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "conclave-snapshot-"));
  const pieces = [...piecesOf(9), new Uint8Array(600 * KiB).fill(5)];
  const info = await (await SnapshotStore.open(realDisk, folder, { salt: 1 })).write(headerOf(9), pieces);
  const store = await SnapshotStore.open(realDisk, folder, { salt: 1 });
  assert.equal(store.latest, info);
  assert.equal(
    (await collect(store.read(9))).map((piece) => [...piece]),
    pieces.map((piece) => [...piece]),
  );
  await store.keepOnly(new Set());
  assert.equal(await fs.readdir(folder), []);
  await fs.rm(folder, { recursive: true });
});

test("a state is never in memory as a whole: the disk is waited for every 256 KiB", async () => {
  const disk = new MemoryDisk([FOLDER]);
  let given = 0;
  let written = 0;
  let ahead = 0;
  disk.watch = (operation) => {
    if (operation === "write") written = disk.bytesOf(`${snapshotPath(7)}.new`).byteLength;
  };
  function* pieces(): Generator<Uint8Array> {
    for (let i = 0; i < 3_000; i++) {
      ahead = Math.max(ahead, given - written);
      given += KiB;
      yield new Uint8Array(KiB);
    }
  }
  await (await openStore(disk)).write(headerOf(7), pieces());
  assert.ok(ahead <= 260 * KiB, `${ahead} bytes were waiting`);

  let read = 0;
  const open = disk.open.bind(disk);
  disk.open = async (file, mode) => {
    const opened = await open(file, mode);
    return {
      ...opened,
      read: (offset, length) => {
        read = Math.max(read, length);
        return opened.read(offset, length);
      },
    };
  };
  await verify(disk);
  assert.ok(read <= 520 * KiB, `${read} bytes were read at once`);
});

test("a machine may use its buffer again for the next piece, and take its time for it", async () => {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    const buffer = new Uint8Array(10);
    for (let i = 0; i < 5; i++) {
      await turn();
      yield buffer.fill(i);
    }
  }
  const disk = new MemoryDisk([FOLDER]);
  await (await openStore(disk)).write(headerOf(7), pieces());
  assert.equal(
    (await read(disk)).map((piece) => piece[9]),
    [0, 1, 2, 3, 4],
  );
});

test("every flipped bit is noticed, and its chunk named", async () => {
  const disk = await diskWith([...piecesOf(7), new Uint8Array(0)]);
  const file = snapshotPath(7);
  const bytes = disk.bytesOf(file).byteLength;
  for (let bit = 0; bit < bytes * 8; bit++) {
    disk.flip(file, bit);
    for (const reading of [verify(disk), read(disk)]) {
      const damage = await damageOf(reading);
      assert.is(damage.file, file);
      assert.ok(damage.offset * 8 <= bit && bit < (damage.offset + 80) * 8, `bit ${bit} is not at ${damage.offset}`);
    }
    disk.flip(file, bit);
  }
  assert.is((await verify(disk)).pieces, 4);
});

test("a file that was cut short anywhere, or is too long, is noticed", async () => {
  const whole = (await diskWith(piecesOf(7))).bytesOf(snapshotPath(7));
  for (let length = 0; length < whole.byteLength; length++) {
    const disk = new MemoryDisk([FOLDER]);
    disk.plant(snapshotPath(7), whole.subarray(0, length));
    const { offset } = await damageOf(verify(disk));
    assert.ok(offset <= length, `${offset} is not within ${length}`);
    assert.is((await damageOf(openStore(disk))).file, snapshotPath(7));
  }
  const disk = new MemoryDisk([FOLDER]);
  for (const rest of [new Uint8Array(1), whole.subarray(0, 60), whole.subarray(-33)]) {
    disk.plant(snapshotPath(7), Buffer.concat([whole, rest]));
    assert.is((await damageOf(verify(disk))).offset, whole.byteLength);
  }
});

/** Where each chunk of a file starts, and the end of the last. */
function bordersOf(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const borders = [0];
  for (let at = 0; at < bytes.byteLength; at = borders.at(-1) ?? 0)
    borders.push(at + 13 + view.getUint32(at + 4, true));
  return borders;
}

test("chunks that are sound, and not where they belong, are noticed", async () => {
  const one = (await diskWith(piecesOf(7, 5))).bytesOf(snapshotPath(7));
  const other = (await diskWith(piecesOf(8, 5))).bytesOf(snapshotPath(7));
  const borders = bordersOf(one);
  assert.equal(bordersOf(other), borders);
  assert.is(borders.length, 8);
  const part = (bytes: Uint8Array, from: number, to: number): Uint8Array => bytes.subarray(borders[from], borders[to]);
  for (const [what, parts, first] of [
    ["one is missing", [part(one, 0, 2), part(one, 3, 7)], 2],
    ["one is there twice", [part(one, 0, 3), part(one, 2, 7)], 3],
    ["two have changed places", [part(one, 0, 2), part(one, 3, 4), part(one, 2, 3), part(one, 4, 7)], 2],
    ["the header is missing", [part(one, 1, 7)], 0],
    ["the end is missing", [part(one, 0, 6)], 6],
    // Each chunk is what it should be: only the end can tell.
    ["one is of another snapshot", [part(one, 0, 3), part(other, 3, 4), part(one, 4, 7)], 6],
    ["the second half is of another snapshot", [part(one, 0, 3), part(other, 3, 7)], 6],
  ] as const) {
    const disk = new MemoryDisk([FOLDER]);
    disk.plant(snapshotPath(7), Buffer.concat(parts));
    assert.equal(await damageOf(verify(disk)), { file: snapshotPath(7), offset: borders[first] }, what);
  }
});

test("chunks that make no snapshot are noticed, even if each is sound", async () => {
  const header = [ChunkKind.header, encodeHeader(headerOf(7))] as const;
  const end = [ChunkKind.end, encodeEnd(START)] as const;
  const empty = new Uint8Array(0);
  for (const [chunks, first] of [
    [[header, header, end], 1],
    [[[ChunkKind.piece, empty], end], 0],
    [[header, [ChunkKind.end, empty]], 1],
    [[[ChunkKind.header, empty], end], 0],
    [[header, end, end], 1],
  ] as const) {
    const writer = new ByteWriter();
    const offsets = chunks.map(([kind, content], number) => {
      const offset = writer.length;
      putChunk(writer, CLUSTER_SALT, { number, kind, content });
      return offset;
    });
    const disk = new MemoryDisk([FOLDER]);
    disk.plant(snapshotPath(7), writer.finish());
    assert.is((await damageOf(verify(disk))).offset, offsets[first]);
  }
});

test("an end within a piece is noticed", async () => {
  const writer = new ByteWriter();
  const chunks = [
    putChunk(writer, CLUSTER_SALT, { number: 0, kind: ChunkKind.header, content: encodeHeader(headerOf(7)) }),
    putChunk(writer, CLUSTER_SALT, { number: 1, kind: ChunkKind.part, content: new Uint8Array(1) }),
  ];
  const offset = writer.length;
  putChunk(writer, CLUSTER_SALT, { number: 2, kind: ChunkKind.end, content: encodeEnd(chunks.reduce(follow, START)) });
  const disk = new MemoryDisk([FOLDER]);
  disk.plant(snapshotPath(7), writer.finish());
  assert.is((await damageOf(verify(disk))).offset, offset);
});

test("nothing comes after the end, not even another end", async () => {
  const disk = await diskWith([]);
  const bytes = disk.bytesOf(snapshotPath(7));
  const writer = new ByteWriter().raw(bytes);
  putChunk(writer, CLUSTER_SALT, { number: 2, kind: ChunkKind.end, content: bytes.subarray(-20) });
  disk.plant(snapshotPath(7), writer.finish());
  assert.is((await damageOf(verify(disk))).offset, bytes.byteLength);
});

test("the snapshot of another cluster is refused", async () => {
  const disk = await diskWith(piecesOf(7));
  assert.is((await damageOf(verify(disk, snapshotPath(7), CLUSTER_SALT + 1))).offset, 0);
});

test("a file that can't be read is told from a damaged one", async () => {
  for (const operation of ["open", "size", "read"] as const) {
    const disk = await diskWith(piecesOf(7));
    disk.failNext(operation, "EIO");
    assert.is(await codeOf(verify(disk)), "DISK_FAILED", operation);
    disk.failNext(operation, "EIO");
    assert.is(await codeOf(read(disk)), "DISK_FAILED", operation);
  }
});

test("a reader that wants no more closes the file", async () => {
  const disk = await diskWith(piecesOf(7));
  let closed = 0;
  const open = disk.open.bind(disk);
  disk.open = async (file, mode) => {
    const opened = await open(file, mode);
    return { ...opened, close: () => opened.close().then(() => void closed++) };
  };
  for await (const piece of readSnapshot(disk, snapshotPath(7), CLUSTER_SALT)) {
    assert.equal(piece, piecesOf(7)[0]);
    break;
  }
  assert.is(closed, 1);
});

test("a configuration that does not fit is refused", async () => {
  const store = await openStore(new MemoryDisk([FOLDER]));
  const writing = store.write({ ...headerOf(7), configuration: new Uint8Array(256 * KiB) }, []);
  assert.is(await codeOf(writing), "INVALID_ARGUMENT");
  assert.is(store.latest, null);
});

test.run();
