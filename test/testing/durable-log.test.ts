/** What the simulator takes for durable is what a restart finds. */

import * as assert from "uvu/assert";
import { encodeConfiguration, NOBODY } from "../../src/raft/index.ts";
import { clusterSaltOf } from "../../src/storage/identity.ts";
import { SnapshotStore, Wal } from "../../src/storage/index.ts";
import { DurableLog } from "../../src/testing/durable-log.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { batch, batchOf, FOLDER, openLog, PlainLog, walOptions } from "../storage/plain-log.ts";
import { suite } from "../support/suite.ts";

const test = suite("simulator: durable log");

test("a log that began anew in the middle of a segment goes on there when older segments are gone", async () => {
  const removed = new Set<number>();
  for (let segmentBytesMax = 1; segmentBytesMax < 600; segmentBytesMax += 7) {
    const memory = new MemoryDisk([FOLDER]);
    const durable = new DurableLog({ cluster: "demo", onSnapshot: () => {}, onLoss: () => {} });
    const disk = durable.listenTo(memory);
    const wal = await Wal.open(disk, FOLDER, walOptions(segmentBytesMax), new PlainLog());
    for (const index of [1, 2, 3, 4, 5]) await wal.append(batchOf(index));
    const before = memory.paths().length;
    const store = await SnapshotStore.open(disk, FOLDER, { salt: clusterSaltOf({ cluster: "demo" }) });
    await store.write({ index: 10, term: 3, configuration: encodeConfiguration(NOBODY) }, [Uint8Array.of(1)]);
    await wal.append(batch([], null, { index: 10, term: 3 }));
    await wal.append(batchOf(11, 3));
    await wal.append(batchOf(12, 3));
    await wal.compact(4);
    removed.add(before - memory.paths().filter((path) => path.endsWith(".log")).length);

    const { found } = await openLog(memory.crash());
    assert.equal([found.start, found.lastIndex], [10, 12], `${segmentBytesMax}`);
    assert.is(durable.lastIndex, 12, `${segmentBytesMax}`);
    assert.ok(durable.holds(11, 3) && durable.holds(12, 3), `${segmentBytesMax}`);
    await wal.close();
  }
  assert.ok(removed.size > 1, "segments were removed in more ways than one");
});

test("a log whose end was replaced in a later segment goes on as it was replaced when older segments are gone", async () => {
  const removed = new Set<number>();
  for (let segmentBytesMax = 1; segmentBytesMax < 600; segmentBytesMax += 7) {
    const memory = new MemoryDisk([FOLDER]);
    const durable = new DurableLog({ cluster: "demo", onSnapshot: () => {}, onLoss: () => {} });
    const disk = durable.listenTo(memory);
    const wal = await Wal.open(disk, FOLDER, walOptions(segmentBytesMax), new PlainLog());
    for (const index of [1, 2, 3, 4, 5]) await wal.append(batchOf(index, 1));
    for (const index of [4, 5, 6, 7]) await wal.append(batchOf(index, 2));
    const before = memory.paths().length;
    const store = await SnapshotStore.open(disk, FOLDER, { salt: clusterSaltOf({ cluster: "demo" }) });
    await store.write({ index: 5, term: 2, configuration: encodeConfiguration(NOBODY) }, [Uint8Array.of(1)]);
    await wal.compact(5);
    removed.add(before - memory.paths().filter((path) => path.endsWith(".log")).length);

    const { found } = await openLog(memory.crash());
    assert.is(found.lastIndex, 7, `${segmentBytesMax}`);
    assert.is(durable.lastIndex, 7, `${segmentBytesMax}`);
    assert.ok(durable.holds(6, 2) && durable.holds(7, 2), `${segmentBytesMax}`);
    await wal.close();
  }
  assert.ok(removed.size > 1, "segments were removed in more ways than one");
});

test.run();
