/** Log and snapshots together: whatever crash comes, what the newest snapshot does not have the log has. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { type Batch, Identity, inspect, SnapshotStore, Wal } from "../../src/storage/index.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { suite } from "../support/suite.ts";
import { batch, entry, FOLDER, logOf, PlainLog, walOptions } from "./plain-log.ts";
import { collect, headerOf, text } from "./plain-snapshot.ts";

const test = suite("log and snapshots");
const random = { next: () => 0.5, id: () => "incarnation" };

/** A replica's folder as a start finds it. */
async function start(disk: MemoryDisk, segmentBytesMax: number) {
  const { salt, clusterSalt } = await Identity.open({ disk, random }, FOLDER, "cluster", "n1", []);
  const store = await SnapshotStore.open(disk, FOLDER, { salt: clusterSalt });
  const found = new PlainLog();
  const wal = await Wal.open(disk, FOLDER, { ...walOptions(segmentBytesMax), salt }, found);
  return { store, wal, found };
}

/** What a state machine would give that has applied all entries up to one. */
const piecesUpTo = (index: number): Uint8Array[] => Array.from({ length: index }, (_, i) => text(`entry ${i + 1}`));

/** What was promised at the moment of a crash. */
interface Left {
  readonly disk: MemoryDisk;
  /** What was appended: with what was on its way, and without. */
  readonly batches: readonly (readonly Batch[])[];
  readonly snapshot: number;
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant("append" as const),
      count: fc.integer({ min: 1, max: 3 }),
      back: fc.nat(2),
      state: fc.nat(2).map((number) => number === 0),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("snapshot" as const), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("install" as const), ahead: fc.integer({ min: 1, max: 4 }) }) },
);

test("a crash at any moment leaves a snapshot, and in the log all that it does not have, and term and vote", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 9 }),
      fc.constantFrom(1, 150, 400),
      async (steps, segmentBytesMax) => {
        const disk = new MemoryDisk([FOLDER]);
        const { store, wal } = await start(disk, segmentBytesMax);
        const durable: Batch[] = [];
        const lefts: Left[] = [];
        let next: Batch[] = [];
        let snapshot = 0;
        let term = 1;
        disk.watch = () => {
          const { unsyncedBytes, unsyncedNames } = disk;
          for (let namesKept = 0; namesKept <= unsyncedNames; namesKept++) {
            for (const bytesKept of [0, Math.floor(unsyncedBytes / 2), unsyncedBytes]) {
              const crashed = disk.crash({ namesKept, bytesKept, tail: "garbage" });
              const batches = [[...durable], [...durable, ...next]];
              lefts.push({ disk: crashed, batches, snapshot });
            }
          }
        };
        const append = async (one: Batch): Promise<void> => {
          next = [one];
          await wal.append(one);
          durable.push(one);
          next = [];
        };
        for (const one of steps) {
          const log = logOf(durable);
          if (one.type === "append") {
            const first = Math.max(snapshot + 1, log.lastIndex + 1 - one.back);
            if (first <= log.lastIndex) term++;
            const entries = Array.from({ length: one.count }, (_, i) => entry(first + i, term));
            const state = { term, vote: `n${term}`, commitIndex: snapshot };
            await append(batch(entries, one.state ? state : null));
          } else if (one.type === "snapshot") {
            const index = Math.max(snapshot, Math.floor(log.lastIndex * one.part));
            if (index === snapshot) continue;
            await store.write(headerOf(index, term), piecesUpTo(index));
            snapshot = index;
            await wal.compact(index);
            await store.keepOnly(new Set([index]));
          } else {
            const index = log.lastIndex + one.ahead;
            term++;
            const leader = new MemoryDisk([FOLDER]);
            const sender = (await start(leader, 1)).store;
            const info = await sender.write(headerOf(index, term), piecesUpTo(index));
            const receiver = await store.receive({ ...info, id: "leader" });
            for (let done = false; !done; ) {
              const chunks = await sender.readChunks(index, receiver.offset, 60);
              await receiver.write(chunks.bytes);
              done = chunks.done;
            }
            await receiver.finish();
            snapshot = index;
            await append(batch([], { term, vote: null, commitIndex: index }, { index, term }));
            await wal.compact(index);
            await store.keepOnly(new Set([index]));
          }
        }
        for (const left of lefts) await check(left, segmentBytesMax);
      },
    ),
    { numRuns: 50 },
  );
});

async function check({ disk, batches, snapshot }: Left, segmentBytesMax: number): Promise<void> {
  const { damage } = await inspect(disk, FOLDER);
  assert.is(damage, null);
  const { store, found } = await start(disk, segmentBytesMax);
  const covered = store.latest?.index ?? 0;
  assert.ok(covered >= snapshot, "a snapshot that was reported is there, or a newer one");
  assert.ok(found.start <= covered, "nothing is missing between the two");
  if (covered > 0) assert.equal(await collect(store.read(covered)), piecesUpTo(covered));
  const logs = batches.map((some) => String(logOf(some).lines(covered)));
  assert.ok(logs.includes(String(found.lines(covered))), `found ${found.lines(covered)}, not ${logs.join(" or ")}`);
}

test.run();
