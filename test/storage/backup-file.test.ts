/** A backup says which cluster it is from, is read without knowing that before, and names the place of its damage. */

import * as assert from "uvu/assert";
import { encodeOrigin, readBackup, verifyBackup } from "../../src/storage/backup-file.ts";
import { clusterSaltOf } from "../../src/storage/identity.ts";
import { SnapshotStore } from "../../src/storage/index.ts";
import { ChunkKind, encodeHeader, follow, START } from "../../src/storage/snapshot-format.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { FOLDER } from "./plain-log.ts";
import { collect, damageOf, headerOf, piecesOf, snapshotPath } from "./plain-snapshot.ts";

const test = suite("backup file");
const PATH = `${FOLDER}/a.backup`;

/** A snapshot as a node of that cluster has it, with what a node puts before it. */
async function backupOn(disk: MemoryDisk, cluster: string, origin = cluster): Promise<Uint8Array> {
  const store = await SnapshotStore.open(disk, FOLDER, { salt: clusterSaltOf({ cluster }) });
  await store.write(headerOf(7), piecesOf(7, 5));
  const bytes = new Uint8Array(Buffer.concat([encodeOrigin(origin), disk.bytesOf(snapshotPath(7))]));
  disk.plant(PATH, bytes.slice());
  return bytes;
}

test("whatever the cluster is called, its name and all the pieces are found", async () => {
  for (const cluster of ["demo", "", "ein Haufen Ärger", "x".repeat(255)]) {
    const disk = new MemoryDisk([FOLDER]);
    const { byteLength } = await backupOn(disk, cluster);
    const verified = await verifyBackup(disk, PATH);
    assert.equal([verified.cluster, verified.index, verified.pieces, verified.bytes], [cluster, 7, 5, byteLength]);
    assert.equal(await collect(readBackup(disk, PATH)), piecesOf(7, 5));
  }
});

test("wherever a bit is wrong, or the file ends early or late, the place is named, counted from the file's start", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const bytes = await backupOn(disk, "demo");
  for (let at = 0; at < bytes.byteLength; at++) {
    const flipped = disk.crash();
    flipped.plant(PATH, bytes.slice());
    flipped.flip(PATH, at * 8);
    for (const check of [verifyBackup(flipped, PATH), collect(readBackup(flipped, PATH))]) {
      const { file, offset } = await damageOf(check);
      assert.is(file, PATH);
      assert.ok(offset <= at && at - offset < 100, `${offset} for ${at}`);
    }
    const cut = disk.crash();
    cut.plant(PATH, bytes.slice(0, at));
    const { offset } = await damageOf(verifyBackup(cut, PATH));
    assert.ok(offset <= at, `${offset} of ${at}`);
  }
  const longer = disk.crash();
  longer.plant(PATH, Buffer.concat([bytes, Uint8Array.of(1)]));
  assert.is((await damageOf(verifyBackup(longer, PATH))).offset, bytes.byteLength);
});

test("a snapshot under another cluster's name, a snapshot alone, and anything else is none", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await backupOn(disk, "demo", "other");
  assert.is((await damageOf(verifyBackup(disk, PATH))).offset, encodeOrigin("other").byteLength);
  assert.is((await damageOf(verifyBackup(disk, snapshotPath(7)))).offset, 0);
  disk.plant(PATH, encodeOrigin("demo"));
  assert.is((await damageOf(verifyBackup(disk, PATH))).offset, encodeOrigin("demo").byteLength);
  for (const cluster of ["demo", ""]) {
    const other = new MemoryDisk([FOLDER]);
    const twice = Buffer.concat([encodeOrigin(cluster), await backupOn(other, cluster)]);
    other.plant(PATH, twice);
    assert.is((await damageOf(verifyBackup(other, PATH))).offset, encodeOrigin(cluster).byteLength);
  }
  assert.is(await codeOf(verifyBackup(disk, `${FOLDER}/none`)), "DISK_FAILED");
});

test("none begins within a snapshot, be the chunk as sound as it may", () => {
  const content = encodeHeader(headerOf(7));
  const begun = follow(START, { number: 0, kind: ChunkKind.header, content, crc: 0 });
  assert.throws(() => follow(begun, { number: 1, kind: ChunkKind.origin, content, crc: 0 }), /a backup begins/);
});

test.run();
