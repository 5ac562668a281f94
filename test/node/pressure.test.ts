/** How much may wait in a queue follows from what was seen to leave it, and from nothing else. */

import * as assert from "uvu/assert";
import { Pressure } from "../../src/node/pressure.ts";
import { suite } from "../support/suite.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
/** With its overhead an item is of 8 KiB then. */
const ITEM = 7 * KiB;

/** A queue whose items may wait for a second, and who empties it. */
class Bench {
  readonly pressure = new Pressure(1_000);
  nowMs = 50_000;
  waiting = 0;

  add(count = 1): void {
    for (let i = 0; i < count; i++) this.pressure.added(ITEM, this.nowMs);
    this.waiting += count;
  }

  /** Adds as many as there is room for. */
  fill(): number {
    let added = 0;
    for (; this.pressure.hasRoom(this.nowMs) && added < 100_000; added++) this.add();
    return added;
  }

  /** Time passes, and then so many are done at once. */
  pass(ms: number, done = 0): void {
    this.nowMs += ms;
    for (let i = 0; i < Math.min(done, this.waiting); i++) this.pressure.done(ITEM, this.nowMs);
    this.waiting -= Math.min(done, this.waiting);
  }

  /** So many are done in each millisecond. */
  work(perMs: number, ms: number): void {
    for (let i = 0; i < ms; i++) this.pass(1, perMs);
  }

  get waitMs(): number {
    return this.pressure.waitMs(this.nowMs);
  }
}

function about(actual: number, expected: number, why = ""): void {
  assert.ok(Math.abs(actual - expected) <= expected * 0.05, `${actual}, not ${expected} ${why}`);
}

const test = suite("node: pressure");

test("before anything was seen, little is taken, and nothing is foretold", () => {
  const bench = new Bench();
  assert.is(bench.fill(), MiB / (8 * KiB));
  bench.pass(10_000);
  assert.equal([bench.fill(), bench.waitMs], [0, 0]);
});

test("what was rid of in no time may be several times as much the next time", () => {
  const bench = new Bench();
  const taken: number[] = [];
  for (let round = 0; round < 5; round++) {
    taken.push(bench.fill());
    bench.pass(5, bench.waiting);
    bench.pass(1_000);
  }
  assert.equal(taken, [128, 512, 2_048, 8_192, 32_768]);
});

test("one that is done with slowly gets what its pace allows, be it less than it had at first", () => {
  const bench = new Bench();
  bench.fill();
  bench.work(1, 1_000);
  about(bench.fill(), 1_000, "at one a millisecond");
  bench.work(0.02 * 1_000, 50);
  const slow = new Bench();
  slow.fill();
  for (let i = 0; i < 20; i++) slow.pass(100, 1);
  about(slow.waitMs, 10_800, "108 of them, at one in 100 ms");
  assert.is(slow.fill(), 0);
  slow.pass(1, 99);
  about(slow.fill(), 1, "ten a second, and nine are there");
});

test("a disk that takes all that waits in one long write has a pace, too", () => {
  const bench = new Bench();
  bench.fill();
  for (let round = 0; round < 6; round++) {
    const writing = bench.waiting;
    bench.pass(writing); // One a millisecond.
    bench.pass(0, writing);
    bench.fill();
    assert.ok(bench.waiting <= 1_050, `${bench.waiting} wait in round ${round}`);
  }
  assert.ok(bench.waiting >= 900, `${bench.waiting} wait`);
});

test("idle time does not count: a burst after a quiet hour is taken", () => {
  const bench = new Bench();
  for (let second = 0; second < 3_600; second++) {
    bench.add();
    bench.pass(2, 1);
    bench.pass(998);
  }
  assert.is(bench.fill(), 128);
});

test("a disk that has become slow is believed within a few windows, whatever it once did", () => {
  const bench = new Bench();
  for (let round = 0; round < 5; round++) {
    bench.fill();
    bench.pass(5, bench.waiting);
  }
  assert.ok(bench.fill() > 10_000);
  for (let i = 0; i < 30; i++) {
    bench.pass(50, 50);
    void bench.waitMs;
  }
  assert.ok(bench.waitMs > 10_000, `${bench.waitMs} ms for all that waits, at one a millisecond`);
  bench.pass(1, bench.waiting - 2_000);
  assert.is(bench.fill(), 0);
});

test("one that is fast again shows it with the little that it gets", () => {
  const bench = new Bench();
  bench.fill();
  for (let i = 0; i < 20; i++) {
    bench.pass(1_000, 1);
    void bench.waitMs;
  }
  bench.pass(1, bench.waiting - 1);
  assert.is(bench.fill(), 0);
  let rounds = 0;
  for (; bench.waiting < 1_000 && rounds < 20; rounds++) {
    bench.pass(3, bench.waiting);
    bench.pass(200);
    bench.fill();
  }
  assert.ok(rounds <= 8, `${rounds} rounds`);
});

test("while nothing is done at all its pace is what it was", () => {
  const bench = new Bench();
  bench.fill();
  bench.add(1_000);
  bench.work(1, 500);
  const { waitMs } = bench;
  for (let i = 0; i < 10; i++) {
    bench.pass(1_000);
    assert.is(bench.waitMs, waitMs);
  }
});

test("what is given up is waited for no more, and was not done", () => {
  const bench = new Bench();
  bench.fill();
  bench.add(872);
  bench.work(1, 500);
  about(bench.waitMs, 500);
  for (let i = 0; i < 250; i++) bench.pressure.gone(ITEM);
  about(bench.waitMs, 250);
});

test.run();
