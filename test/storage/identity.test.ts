/** A folder belongs to one node, and remembers whom that node has met. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { Identity } from "../../src/storage/index.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { suite } from "../support/suite.ts";
import { batchOf, FOLDER, openLog } from "./plain-log.ts";

const test = suite("identity");
const FILE = `${FOLDER}/identity.json`;

let drawn = 0;
const random = { next: () => 0.5, id: () => `incarnation-${++drawn}` };
const FOUNDERS = [{ id: "n1", url: "ws://127.0.0.1:7101", priority: 0 }];
const open = (disk: MemoryDisk, cluster = "cluster", node = "node-1"): Promise<Identity> =>
  Identity.open({ disk, random }, FOLDER, cluster, node, FOUNDERS);

test("is made once, and is the same after every restart and crash", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const { incarnation, salt } = await open(disk);
  for (const after of [disk, disk.crash()]) {
    const again = await open(after);
    assert.is(again.incarnation, incarnation);
    assert.is(again.salt, salt);
  }
});

test("that all others know it is remembered once it is durable, and not before", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const identity = await open(disk);
  assert.not(identity.isAdmitted);
  await identity.admit();
  assert.ok(identity.isAdmitted);
  assert.ok((await open(disk.crash())).isAdmitted);
});

test("is another one where the disk was lost", async () => {
  const [first, second] = [await open(new MemoryDisk([FOLDER])), await open(new MemoryDisk([FOLDER]))];
  assert.is.not(first.incarnation, second.incarnation);
  assert.is.not(first.salt, second.salt);
});

test("was durable before it was told, at whatever moment a crash comes", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const left: MemoryDisk[] = [];
  disk.watch = () => void left.push(...disk.everyCrash());
  const { incarnation } = await open(disk);
  for (const crashed of left) {
    const again = await open(crashed);
    assert.is((await open(crashed.crash())).incarnation, again.incarnation);
  }
  assert.is((await open(disk.crash())).incarnation, incarnation);
});

test("a folder of another node or cluster is refused, and left as it is", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await open(disk);
  const before = disk.bytesOf(FILE);
  assert.is(await codeOf(open(disk, "cluster", "node-2")), "DATA_FOREIGN");
  assert.is(await codeOf(open(disk, "other", "node-1")), "DATA_FOREIGN");
  assert.equal(disk.bytesOf(FILE), before);
});

test("a damaged file is refused", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await open(disk);
  const sound = disk.bytesOf(FILE);
  const damaged = [
    "",
    "{",
    "null",
    "[]",
    '{"format":2}',
    "garbage",
    '{"format":1,"cluster":"cluster","node":"node-1"}',
  ];
  for (const content of [...damaged.map((one) => new TextEncoder().encode(one)), sound.subarray(0, 40)]) {
    disk.plant(FILE, content);
    assert.is(await codeOf(open(disk)), "DATA_CORRUPT", new TextDecoder().decode(content));
  }
});

test("a flipped bit anywhere in the file is refused", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await (await open(disk)).recognizes("node-2", "two");
  const sound = disk.bytesOf(FILE);
  for (let bit = 0; bit < sound.byteLength * 8; bit++) {
    const damaged = disk.crash();
    damaged.flip(FILE, bit);
    const code = await codeOf(open(damaged));
    assert.ok(
      code === "DATA_CORRUPT" || code === "DATA_FOREIGN",
      `bit ${bit % 8} of byte ${Math.floor(bit / 8)}: ${code}`,
    );
  }
});

test("random bytes in its place are refused", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 60 }), async (bytes) => {
      const disk = new MemoryDisk([FOLDER]);
      disk.plant(FILE, bytes);
      assert.is(await codeOf(open(disk)), "DATA_CORRUPT");
    }),
  );
});

test("a log without an identity is refused, and not given a new one", async () => {
  const disk = new MemoryDisk([FOLDER]);
  await open(disk);
  await (await openLog(disk)).wal.append(batchOf(1));
  await disk.remove(FILE);
  assert.is(await codeOf(open(disk)), "DATA_CORRUPT");
  assert.not(disk.paths().includes(FILE));
});

test("a member is remembered durably before it is recognized", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const identity = await open(disk);
  await openLog(disk);
  const gate = disk.hold("syncFolder");
  let isRecognized = false;
  const recognized = identity.recognizes("node-2", "two").then(() => {
    isRecognized = true;
  });
  await gate.reached;
  const again = identity.recognizes("node-2", "two").then(() => assert.ok(isRecognized));
  assert.not(isRecognized);
  gate.release();
  await Promise.all([recognized, again]);
  const after = await open(disk.crash());
  assert.ok(await after.recognizes("node-2", "two"));
  assert.not(await after.recognizes("node-2", "another"));
});

test("another incarnation under a known name is not recognized (rethinkdb#5289)", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const identity = await open(disk);
  await openLog(disk);
  assert.ok(await identity.recognizes("node-2", "two"));
  assert.not(await identity.recognizes("node-2", "wiped"));
  assert.ok(await identity.recognizes("node-2", "two"));
  assert.not(await (await open(disk.crash())).recognizes("node-2", "wiped"));
});

test("of two incarnations that come at once, the first is recognized", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const identity = await open(disk);
  await openLog(disk);
  const answers = await Promise.all([
    identity.recognizes("node-2", "two"),
    identity.recognizes("node-2", "rival"),
    identity.recognizes("node-3", "three"),
    identity.recognizes("node-2", "two"),
  ]);
  assert.equal(answers, [true, false, true, true]);
  const after = await open(disk.crash());
  assert.ok(await after.recognizes("node-2", "two"));
  assert.ok(await after.recognizes("node-3", "three"));
  assert.not(await after.recognizes("node-3", "rival"));
});

test("a member that could not be remembered is not recognized", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const identity = await open(disk);
  await openLog(disk);
  disk.failNext("sync", "EIO");
  assert.is.not(await codeOf(identity.recognizes("node-2", "two")), "resolved");
  assert.is.not(await codeOf(identity.recognizes("node-2", "two")), "resolved");
});

test("any name that the configuration allows will do for a member", async () => {
  for (const name of ["constructor", "prototype", "toString", "hasOwnProperty", "0"]) {
    const disk = new MemoryDisk([FOLDER]);
    const identity = await open(disk);
    await openLog(disk);
    assert.ok(await identity.recognizes(name, "one"), name);
    const after = await open(disk.crash());
    assert.not(await after.recognizes(name, "other"), name);
  }
});

test("a node that has met others and lost its log may have lost a vote, and does not start", async () => {
  const disk = new MemoryDisk([FOLDER]);
  const identity = await open(disk);
  assert.is((await open(disk)).incarnation, identity.incarnation, "it has promised nothing to anybody yet");
  await identity.recognizes("node-2", "two");
  assert.is(await codeOf(open(disk)), "DATA_CORRUPT");
});

test("a failure of the disk is reported as one", async () => {
  const disk = new MemoryDisk([FOLDER]);
  disk.failNext("write", "ENOSPC");
  assert.is(await codeOf(open(disk)), "DISK_FAILED");
  await open(disk);
  for (const operation of ["list", "open", "read"] as const) {
    disk.failNext(operation, "EIO");
    assert.is(await codeOf(open(disk)), "DISK_FAILED", operation);
  }
});

test.run();
