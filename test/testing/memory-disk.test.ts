/** The disk that the tests of storage believe: what a crash takes, and what it leaves. */

import * as assert from "uvu/assert";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";

const test = suite("the disk in memory, crashing");
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const contentOf = (disk: MemoryDisk, path: string): string => new TextDecoder().decode(disk.bytesOf(path));

async function withFile(content: string): Promise<{ disk: MemoryDisk; file: Awaited<ReturnType<MemoryDisk["open"]>> }> {
  const disk = new MemoryDisk(["d"]);
  const file = await disk.open("d/a", "create");
  await file.write(0, [text(content)]);
  await file.sync();
  await disk.syncFolder("d");
  return { disk, file };
}

test("what was synced survives, what was not is torn where the test says", async () => {
  const { disk, file } = await withFile("old ");
  await file.write(4, [text("new")]);
  assert.is(disk.unsyncedBytes, 3);
  assert.is(contentOf(disk.crash(), "d/a"), "old ");
  assert.is(contentOf(disk.crash({ bytesKept: 2 }), "d/a"), "old ne");
  assert.is(contentOf(disk.crash({ bytesKept: 1, tail: "zeros" }), "d/a"), "old n\0\0");
  assert.equal([...disk.crash({ bytesKept: 2, tail: "garbage" }).bytesOf("d/a")].at(-1), 0xff ^ "w".charCodeAt(0));
  assert.is(contentOf(disk.kill(), "d/a"), "old new");
  assert.is(contentOf(disk.kill().crash(), "d/a"), "old ");
  await file.sync();
  assert.is(contentOf(disk.crash(), "d/a"), "old new");
});

test("a file whose name was not synced is lost, whatever was synced in it", async () => {
  const disk = new MemoryDisk(["d"]);
  const file = await disk.open("d/a", "create");
  await file.write(0, [text("content")]);
  await file.sync();
  assert.equal(disk.crash().paths(), []);
  assert.is(contentOf(disk.crash({ namesKept: 1 }), "d/a"), "content");
  await disk.syncFolder("d");
  assert.is(contentOf(disk.crash(), "d/a"), "content");
});

test("a rename or removal that was not synced is undone", async () => {
  const { disk } = await withFile("content");
  await disk.rename("d/a", "d/b");
  assert.equal(disk.crash().paths(), ["d/a"]);
  await disk.syncFolder("d");
  assert.equal(disk.crash().paths(), ["d/b"]);
  await disk.remove("d/b");
  assert.equal(disk.crash().paths(), ["d/b"]);
});

test("a truncation that was not synced is undone, or not", async () => {
  const { disk, file } = await withFile("content");
  await file.truncate(3);
  assert.is(contentOf(disk.crash(), "d/a"), "content");
  assert.is(contentOf(disk.crash({ bytesKept: 1 }), "d/a"), "con");
});

test("after a failed sync, a later one succeeds without having saved what the first did not (cockroach#37102)", async () => {
  const { disk, file } = await withFile("old ");
  await file.write(4, [text("new")]);
  disk.failNext("sync", "EIO");
  assert.is(await codeOf(file.sync()), "EIO");
  assert.is(await codeOf(file.sync()), "resolved");
  assert.is(contentOf(disk.crash(), "d/a"), "old ");
});

test("a full disk takes a part of a write", async () => {
  const { disk, file } = await withFile("old ");
  disk.failNext("write", "ENOSPC", 2);
  assert.is(await codeOf(file.write(4, [text("new")])), "ENOSPC");
  assert.is(contentOf(disk.kill(), "d/a"), "old ne");
});

test("a disk with little room takes what fits, and more once there is room", async () => {
  const { disk, file } = await withFile("old ");
  disk.roomBytes = 2;
  assert.is(await codeOf(file.write(0, [text("same")])), "resolved", "it does not grow");
  assert.is(await codeOf(file.write(4, [text("new")])), "ENOSPC");
  assert.is(contentOf(disk.kill(), "d/a"), "samene");
  assert.is(disk.crash().roomBytes, 0);
  disk.roomBytes = 10;
  assert.is(await codeOf(file.write(6, [text("w")])), "resolved");
  assert.is(disk.roomBytes, 9);
});

test("what is cut off or removed gives its room back", async () => {
  const { disk, file } = await withFile("content");
  disk.roomBytes = 0;
  await file.truncate(3);
  assert.is(disk.roomBytes, 4);
  await disk.remove("d/a");
  assert.is(disk.roomBytes, 7);
});

test("a bit is turned over durably, also in a file that is open", async () => {
  const { disk, file } = await withFile("old ");
  disk.flip("d/a", 1);
  assert.is(new TextDecoder().decode(await file.read(0, 4)), "mld ");
  assert.is(contentOf(disk.crash(), "d/a"), "mld ");
  assert.equal(disk.durableBytesOf("d/a"), text("mld "));
  assert.is(disk.durableBytesOf("d/b"), null);
});

test("faults that have not struck can be called off", async () => {
  const { disk, file } = await withFile("old ");
  disk.failNext("sync", "EIO");
  disk.forgetFaults();
  assert.is(await codeOf(file.sync()), "resolved");
});

test("a sync covers what was written before it began", async () => {
  const { disk, file } = await withFile("old ");
  await file.write(4, [text("A")]);
  const gate = disk.hold("sync");
  const synced = file.sync();
  await gate.reached;
  await file.write(5, [text("B")]);
  gate.release();
  await synced;
  assert.is(contentOf(disk.crash(), "d/a"), "old A");
});

test.run();
