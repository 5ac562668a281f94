/** What a look at a node's folder tells is what a start would find, and nothing is changed by it. */

import { mkdtemp, rm } from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { realEnvironment } from "../../src/environment/real.ts";
import type { Disk } from "../../src/environment.ts";
import { hasCode } from "../../src/errors.ts";
import { Recovery } from "../../src/node/stored.ts";
import { logIndex, NOBODY, term } from "../../src/raft/index.ts";
import { type Batch, Identity, inspect, type SnapshotHeader, SnapshotStore, Wal } from "../../src/storage/index.ts";
import { decodeSegmentHeader } from "../../src/storage/wal-format.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { batch, batchOf, entry, FOLDER, PlainLog, walOptions } from "./plain-log.ts";

const test = suite("inspect");

const random = { next: () => 0.5, id: () => "incarnation" };
const BEGINNING = { index: logIndex(0), term: term(0), configuration: NOBODY };
const identityOn = (disk: MemoryDisk): Promise<Identity> =>
  Identity.open({ disk, random }, FOLDER, "cluster", "n1", []);

async function startOn(disk: MemoryDisk, segmentBytesMax = 1 << 20): Promise<{ wal: Wal; found: PlainLog }> {
  const found = new PlainLog();
  const { salt } = await identityOn(disk);
  return { wal: await Wal.open(disk, FOLDER, { ...walOptions(segmentBytesMax), salt }, found), found };
}

/** A disk on which nothing can be changed. */
function readOnly(disk: Disk): Disk {
  const refuse = (): never => {
    throw new Error("it writes");
  };
  const changes = { makeFolder: refuse, rename: refuse, remove: refuse, syncFolder: refuse, lock: refuse };
  return {
    ...changes,
    list: (path) => disk.list(path),
    open: async (path, mode) => {
      if (mode !== "reading") refuse();
      return { ...(await disk.open(path, mode)), write: refuse, truncate: refuse, sync: refuse };
    },
  };
}

const look = (disk: MemoryDisk) => inspect(readOnly(disk), FOLDER);

/** Three entries of term 1, of which two are overwritten in term 3, and another in term 4. */
const BATCHES: readonly Batch[] = [
  batchOf(1),
  batch([entry(2, 1), entry(3, 1)]),
  batch([entry(2, 3), entry(3, 3)], { term: 3, vote: null, commitIndex: 1 }),
  batchOf(4, 4),
];

async function logOn(disk: MemoryDisk, segmentBytesMax?: number): Promise<void> {
  const { wal } = await startOn(disk, segmentBytesMax);
  for (const batch of BATCHES) await wal.append(batch);
  await wal.close();
}

test("what is valid by term, what was last voted, and what each file holds", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await logOn(disk, 150);
  const { owner, terms, state, segments, tornBytes, damage } = await look(disk);
  assert.equal(owner, {
    cluster: "cluster",
    node: "n1",
    incarnation: "incarnation",
    epoch: null,
    admitted: false,
    removed: false,
  });
  assert.equal(terms, [
    { term: 1, first: 1, last: 1 },
    { term: 3, first: 2, last: 3 },
    { term: 4, first: 4, last: 4 },
  ]);
  assert.equal(state, { term: 4, vote: "node-1", commitIndex: 3 });
  assert.equal([tornBytes, damage], [0, null]);
  assert.ok(segments.length > 1);
  assert.equal(
    segments.map(({ file }) => file),
    disk.paths().flatMap((path) => (path.includes("wal-") ? [path.slice(FOLDER.length + 1)] : [])),
  );
  const [first] = segments;
  assert.equal([first?.frames?.[0], first?.entries?.[0], first?.terms], [1, 1, [1, 1]]);
});

test("a folder in which nothing has happened yet", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await identityOn(disk);
  const { segments, terms, state, tornBytes, damage } = await look(disk);
  assert.equal([segments, terms, state, tornBytes, damage], [[], [], null, 0, null]);
});

test("whatever bit is flipped, damage is where a start finds it, and none where it finds none", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await logOn(disk, 150);
  let damaged = 0;
  for (const path of disk.paths().filter((one) => one.includes("wal-"))) {
    for (let bit = 0; bit < disk.bytesOf(path).byteLength * 8; bit += 3) {
      const flipped = disk.crash();
      flipped.flip(path, bit);
      const { damage, tornBytes, terms } = await look(flipped);
      const started = await startOn(flipped, 150).catch((thrown: unknown) => thrown);
      if (hasCode(started, "DATA_CORRUPT")) {
        assert.equal(
          [`${FOLDER}/${damage?.file}`, damage?.offset],
          [started.details["file"], started.details["offset"]],
        );
        damaged++;
      } else {
        const { wal, found } = started as { wal: Wal; found: PlainLog };
        assert.equal([damage, tornBytes], [null, wal.tornBytes]);
        assert.is(terms.at(-1)?.last, found.entries.length);
      }
    }
  }
  assert.ok(damaged > 0);
});

test("what a crash has cut short is told from damage, at every byte", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await startOn(disk);
  for (const batch of BATCHES) await wal.append(batch);
  const path = `${FOLDER}/wal-0000000001.log`;
  const bytes = disk.bytesOf(path);
  const headerBytes = decodeSegmentHeader((await identityOn(disk)).salt, bytes)?.end ?? 0;
  assert.ok(headerBytes > 0);
  for (let length = 0; length < bytes.byteLength; length++) {
    const torn = disk.crash();
    torn.plant(path, bytes.subarray(0, length));
    const { damage, tornBytes, terms } = await look(torn);
    const { wal: reopened, found } = await startOn(torn);
    assert.is(damage, null);
    assert.is(terms.at(-1)?.last ?? 0, found.entries.length, `${length} bytes are left`);
    if (length >= headerBytes) assert.is(tornBytes, reopened.tornBytes);
  }
});

test("a missing file is named, and what comes before it is shown", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await logOn(disk, 1);
  await disk.remove(`${FOLDER}/wal-0000000003.log`);
  const { damage, segments } = await look(disk);
  assert.equal(damage, { file: "wal-0000000003.log", offset: 0, why: "the file is missing" });
  assert.is(segments.length, 2);
});

const headerOf = (index: number, term: number): SnapshotHeader => ({ index, term, configuration: new Uint8Array(3) });

async function snapshotsOn(disk: MemoryDisk): Promise<SnapshotStore> {
  const { clusterSalt } = await identityOn(disk);
  return SnapshotStore.open(disk, FOLDER, { salt: clusterSalt });
}

test("snapshots are listed, and a log may begin behind one", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await startOn(disk, 1);
  for (const one of BATCHES) await wal.append(one);
  const store = await snapshotsOn(disk);
  await store.write(headerOf(2, 3), [new Uint8Array(5), new Uint8Array(6)]);
  const { bytes } = await store.write(headerOf(3, 3), [new Uint8Array(5)]);
  await wal.compact(3);
  const { snapshots, base, terms, damage, state } = await look(disk);
  assert.equal(
    snapshots.map(({ index, term, pieces }) => [index, term, pieces]),
    [
      [2, 3, 2],
      [3, 3, 1],
    ],
  );
  assert.equal(snapshots[1], {
    file: "snapshot-0000000000000003.snap",
    index: 3,
    term: 3,
    bytes,
    pieces: 1,
    damage: null,
  });
  assert.equal([base, terms, damage], [3, [{ term: 4, first: 4, last: 4 }], null]);
  assert.equal(state, { term: 4, vote: "node-1", commitIndex: 3 });
});

test("any flipped bit of a snapshot is found, and keeps a node from starting only if it is the newest", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await logOn(disk);
  const store = await snapshotsOn(disk);
  for (const index of [1, 2]) await store.write(headerOf(index, 1), [new Uint8Array(20), new Uint8Array(3)]);
  for (const [i, path] of disk
    .paths()
    .filter((one) => one.endsWith(".snap"))
    .entries()) {
    for (let bit = 0; bit < disk.bytesOf(path).byteLength * 8; bit += 3) {
      const flipped = disk.crash();
      flipped.flip(path, bit);
      const { snapshots, damage } = await look(flipped);
      const { file, damage: found } = snapshots[i] ?? { file: "", damage: null };
      assert.is(`${FOLDER}/${file}`, path);
      assert.ok(found !== null && found.offset * 8 <= bit);
      assert.is(snapshots[1 - i]?.damage, null);
      assert.equal(damage, i === 1 ? { file, ...found } : null);
    }
  }
});

test("a snapshot under another's name is damaged", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await logOn(disk);
  await (await snapshotsOn(disk)).write(headerOf(1, 1), []);
  await disk.rename(`${FOLDER}/snapshot-0000000000000001.snap`, `${FOLDER}/snapshot-0000000000000004.snap`);
  const file = "snapshot-0000000000000004.snap";
  assert.equal((await look(disk)).damage, { file, offset: 0, why: "it is of entry 1" });
});

test("what neither the newest snapshot nor the log has is a gap, wherever the log's beginning came from", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await startOn(disk, 1);
  for (const one of BATCHES) await wal.append(one);
  await wal.append(batch([entry(9, 4)], null, { index: 8, term: 4 }));
  const store = await snapshotsOn(disk);
  const why = "it begins behind entry 8, and";
  const { damage } = await look(disk);
  assert.equal([damage?.file, damage?.why], ["wal-0000000006.log", `${why} there is no snapshot`]);
  assert.ok(damage !== null && damage.offset > 0, "the record that says so");
  await store.write(headerOf(7, 4), []);
  assert.is((await look(disk)).damage?.why, `${why} the newest snapshot ends with entry 7`);
  await store.write(headerOf(8, 4), []);
  assert.is((await look(disk)).damage, null);

  await wal.append(batchOf(10, 4));
  await wal.compact(9);
  assert.equal((await look(disk)).damage, {
    file: "wal-0000000007.log",
    offset: 0,
    why: "it begins behind entry 9, and the newest snapshot ends with entry 8",
  });
});

test("an entry may overwrite what was removed, and the log then begins behind what it follows", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await startOn(disk, 1);
  for (const index of [1, 2, 3]) await wal.append(batchOf(index));
  await wal.append(batchOf(2, 2));
  await (await snapshotsOn(disk)).write(headerOf(3, 2), []);
  await wal.compact(3);
  await wal.append(batchOf(3, 2));
  const { base, terms, damage } = await look(disk);
  assert.equal([base, terms, damage], [1, [{ term: 2, first: 2, last: 3 }], null]);
});

test("files that a running node removes meanwhile are not missed", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await startOn(disk, 1);
  for (const one of BATCHES) await wal.append(one);
  const store = await snapshotsOn(disk);
  await store.write(headerOf(1, 1), []);
  let opened = 0;
  const watched: Disk = {
    ...readOnly(disk),
    open: async (path, mode) => {
      if (path.endsWith("wal-0000000002.log") && opened++ === 0) {
        await store.write(headerOf(3, 3), []);
        await store.keepOnly(new Set([3]));
        await wal.compact(3);
      }
      return await disk.open(path, mode);
    },
  };
  const { base, damage, snapshots } = await inspect(watched, FOLDER);
  assert.equal([base, damage, snapshots.map(({ index }) => index)], [3, null, [3]]);
  const vanishing: Disk = { ...readOnly(disk), open: (path) => disk.open(path.replace("wal", "gone"), "reading") };
  assert.is(await codeOf(inspect(vanishing, FOLDER)), "DISK_FAILED");
});

test("a log that is compacted while the snapshots are looked at is no gap", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { wal } = await startOn(disk, 1);
  for (const one of BATCHES) await wal.append(one);
  const store = await snapshotsOn(disk);
  await store.write(headerOf(1, 1), []);
  const watched: Disk = {
    ...readOnly(disk),
    open: async (path, mode) => {
      if (path.endsWith(".snap") && store.latest?.index === 1) {
        await store.write(headerOf(3, 3), []);
        await wal.compact(3);
      }
      return await disk.open(path, mode);
    },
  };
  assert.is((await inspect(watched, FOLDER)).damage, null);
});

test("a log whose beginning is missing is damaged, as it is for a start", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await logOn(disk, 1);
  for (const segment of [1, 2]) await disk.remove(`${FOLDER}/wal-000000000${segment}.log`);
  const { salt } = await identityOn(disk);
  const options = { ...walOptions(1), salt };
  const started = await Wal.open(disk, FOLDER, options, new Recovery(BEGINNING, 0)).catch((thrown) => thrown);
  if (!hasCode(started, "DATA_CORRUPT")) throw new Error("it starts");
  const { damage } = await look(disk);
  assert.equal([`${FOLDER}/${damage?.file}`, damage?.offset], [started.details["file"], started.details["offset"]]);
});

test("on a real disk, too, nothing is opened for writing", async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), "conclave-inspect-"));
  const { salt } = await Identity.open(realEnvironment, folder, "cluster", "n1", []);
  const wal = await Wal.open(realEnvironment.disk, folder, { ...walOptions(1), salt }, new PlainLog());
  for (const batch of BATCHES) await wal.append(batch);
  await wal.close();
  const { damage, terms } = await inspect(readOnly(realEnvironment.disk), folder);
  assert.equal([damage, terms.at(-1)], [null, { term: 4, first: 4, last: 4 }]);
  await rm(folder, { recursive: true });
});

test("a folder that is no node's, and one whose owner can't be told", async () => {
  const disk = new MemoryDisk([FOLDER]);
  assert.is(await codeOf(look(disk)), "INVALID_ARGUMENT");
  await logOn(disk);
  await disk.remove(`${FOLDER}/identity.json`);
  assert.is(await codeOf(look(disk)), "DATA_CORRUPT");
  disk.plant(`${FOLDER}/identity.json`, new Uint8Array([1]));
  assert.is(await codeOf(look(disk)), "DATA_CORRUPT");
});

test("a disk that can't be read", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await logOn(disk);
  disk.failNext("open", "EIO");
  assert.is(await codeOf(look(disk)), "DISK_FAILED");
});

test("that a state was found to be wrong, and has yet to be replaced, is told", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await logOn(disk);
  const store = await snapshotsOn(disk);
  await store.write(headerOf(3, 3), [new Uint8Array(5)]);
  assert.is((await look(disk)).divergedAt, null);
  await store.distrust(4);
  const { divergedAt, damage } = await look(disk);
  assert.equal([divergedAt, damage], [4, null]);
});

test.run();
