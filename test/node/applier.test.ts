/** Committed entries reach the machine in order, a slice at a time, from memory or from the disk. */

import * as assert from "uvu/assert";
import { ByteWriter } from "../../src/bytes.ts";
import { encodePayload } from "../../src/machine/commands.ts";
import { Replica, type StateMachine } from "../../src/machine/index.ts";
import { Applier } from "../../src/node/applier.ts";
import { type Entry, EntryKind, Log, logIndex, term } from "../../src/raft/index.ts";
import { HandClock } from "../support/network.ts";
import { fromDisk } from "../support/pieces.ts";
import { suite } from "../support/suite.ts";

const KiB = 1024;

const command = (session: number, first: number, bytes: number): Uint8Array =>
  encodePayload({ type: "commands", session, floor: 1, first, commands: [new Uint8Array(bytes)] });

const MACHINE: StateMachine = {
  apply: (given) => given.subarray(0, 0),
  query: (query) => query,
  snapshot: () => [],
  restore: async (pieces) => {
    for await (const _ of pieces) break;
  },
};

interface Bench {
  readonly applier: Applier;
  readonly replica: Replica;
  readonly log: Log;
  readonly clock: HandClock;
  readonly applied: number[];
  readonly fetches: { readonly from: number; readonly through: number }[];
  readonly later: number[];
  /** What the machine is given takes this long. */
  costMs: number;
  entry(index: number): Entry;
}

/** A log of a session and `count` commands of `bytes` each. */
function bench(count: number, bytes: number): Bench {
  const clock = new HandClock();
  const log = new Log();
  const machine: StateMachine = {
    ...MACHINE,
    apply: (given) => {
      clock.advance(state.costMs);
      return given.subarray(0, 0);
    },
  };
  const replica = new Replica(machine, (index, error) => {
    throw new Error(`${index}: ${error}`);
  });
  const all: Entry[] = [
    { index: logIndex(1), term: term(1), kind: EntryKind.noop, payload: new Uint8Array(0) },
    { index: logIndex(2), term: term(1), kind: EntryKind.command, payload: encodePayload({ type: "open-session" }) },
    ...Array.from({ length: count }, (_, i) => ({
      index: logIndex(3 + i),
      term: term(1),
      kind: EntryKind.command,
      payload: command(2, 1 + i, bytes),
    })),
  ];
  for (const entry of all) log.append(entry);
  const state = { costMs: 0 };
  const applied: number[] = [];
  const fetches: { readonly from: number; readonly through: number }[] = [];
  const later: number[] = [];
  const applier = new Applier({
    clock,
    log,
    replica,
    fetch: (from, through) => fetches.push({ from, through }),
    continueLater: () => later.push(applied.length),
    onApplied: (entry) => applied.push(entry.index),
  });
  const entry = (index: number): Entry => {
    const found = all[index - 1];
    if (found === undefined) throw new Error(`no entry ${index}`);
    return found;
  };
  return Object.assign(state, { applier, replica, log, clock, applied, fetches, later, entry });
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);

const test = suite("node: applier");

test("only what is committed is applied, in order and once", () => {
  const { applier, applied } = bench(8, 10);
  applier.run();
  assert.equal(applied, []);
  applier.commit(logIndex(4));
  applier.run();
  applier.run();
  assert.equal(applied, upTo(4));
  applier.commit(logIndex(3));
  assert.ok(applier.isCurrent, "the commit index never goes back");
  applier.commit(logIndex(10));
  assert.not(applier.isCurrent);
  applier.run();
  assert.equal(applied, upTo(10));
});

test("what is committed and not in the log is an error, and no endless turn", () => {
  const { applier, applied } = bench(8, 10);
  applier.commit(logIndex(11));
  assert.throws(() => applier.run(), /entry 11 is committed and not in the log/);
  assert.equal(applied, upTo(10));
});

test("a turn ends in the middle of a slice, too, if its entries are slow, be they from memory or from the disk", () => {
  const work = bench(40, 10);
  work.costMs = 1;
  work.applier.commit(logIndex(42));
  work.applier.run();
  assert.ok(work.applied.length < 10, `${work.applied.length} entries took ${work.clock.nowMs()} ms`);
  const slow = bench(40, 10);
  slow.log.evict(logIndex(42), 0);
  slow.costMs = 1;
  slow.applier.commit(logIndex(42));
  slow.applier.run();
  slow.applier.fetched(upTo(42).map(slow.entry));
  slow.applier.run();
  assert.ok(slow.applied.length < 10, `${slow.applied.length} entries took ${slow.clock.nowMs()} ms`);
  while (!slow.applier.isCurrent) slow.applier.run();
  assert.equal([slow.applied, slow.fetches.length], [upTo(42), 1]);
});

test("a long backlog is applied in slices, so that the turn ends and heartbeats go out", () => {
  const work = bench(40, 64 * KiB);
  work.costMs = 1;
  work.applier.commit(logIndex(42));
  work.applier.run();
  assert.equal(work.later, [work.applied.length], "the rest was put off, once");
  assert.ok(work.applied.length < 20, `${work.applied.length} entries took ${work.clock.nowMs()} ms`);
  while (!work.applier.isCurrent) work.applier.run();
  assert.equal(work.applied, upTo(42));
});

test("what has left memory is fetched, once, and applying goes on where it stopped", () => {
  const { applier, applied, log, fetches, entry } = bench(8, KiB);
  log.evict(logIndex(6), 4 * KiB + 4 * 64);
  const evicted = fetches.length;
  assert.is(evicted, 0);
  applier.commit(logIndex(9));
  applier.run();
  applier.run();
  assert.equal(fetches, [{ from: 1, through: 9 }], "one read at a time");
  applier.fetched([1, 2, 3].map(entry));
  applier.run();
  assert.equal(applied, upTo(3));
  assert.equal(fetches.slice(1), [{ from: 4, through: 9 }]);
  applier.fetched([4, 5, 6].map(entry));
  applier.run();
  assert.equal(applied, upTo(9), "the rest was still in memory");
});

test("what was fetched is of no use once the state has been replaced by an older one", async () => {
  const { applier, applied, log, fetches, entry, replica } = bench(8, 10);
  log.evict(logIndex(10), 0);
  applier.commit(logIndex(10));
  applier.run();
  applier.fetched([1, 2, 3, 4].map(entry));
  applier.run();
  assert.equal(fetches.splice(0).at(-1), { from: 5, through: 10 });
  const pieces = [...new Replica(MACHINE, () => {}).snapshot().pieces];
  pieces.push(...pieces.splice(-1).map(() => new ByteWriter(17).u8(4).u53(0).u53(2).finish()));
  await replica.replace(2, fromDisk(pieces));
  applier.fetched([5, 6, 7, 8].map(entry));
  applier.run();
  assert.equal([applied.slice(4), fetches], [[], [{ from: 3, through: 10 }]], "they do not come next any more");
  applier.fetched([3, 4].map(entry));
  applier.run();
  assert.equal(applied.slice(4), [3, 4]);
});

test.run();
