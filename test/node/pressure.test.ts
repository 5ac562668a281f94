/** The pace of a queue, learned from what leaves it while something waits, foretells how long a wait would be. */

import * as assert from "uvu/assert";
import { Pressure } from "../../src/node/pressure.ts";
import { suite } from "../support/suite.ts";

/** With its overhead, an item of 4 KiB in all. */
const SMALL = 0;

/** Adds so many, at once. */
function add(pressure: Pressure, count: number, nowMs: number, bytes = SMALL): void {
  for (let i = 0; i < count; i++) pressure.added(bytes, nowMs);
}

/** Does so many in each millisecond. */
function work(pressure: Pressure, perMs: number, fromMs: number, untilMs: number): void {
  for (let nowMs = fromMs + 1; nowMs <= untilMs; nowMs++) for (let i = 0; i < perMs; i++) pressure.done(SMALL, nowMs);
}

/** Where a window ends within a millisecond it misses some of it. */
function about(pressure: Pressure, nowMs: number, expectedMs: number, why?: string): void {
  const ms = pressure.waitMs(nowMs);
  assert.ok(Math.abs(ms - expectedMs) <= expectedMs * 0.05, `${ms} ms, not ${expectedMs}: ${why}`);
}

const test = suite("node: pressure");

test("nothing is foretold before anything was done", () => {
  const pressure = new Pressure();
  assert.is(pressure.waitMs(0), 0);
  add(pressure, 1_000, 0);
  assert.is(pressure.waitMs(500), 0, "whatever stands still, its age tells");
});

test("what is ahead takes as long as its pace says", () => {
  const pressure = new Pressure();
  add(pressure, 5_000, 0);
  work(pressure, 10, 0, 100);
  about(pressure, 100, 400, "4,000 are left, at 10 a millisecond");
  add(pressure, 1_000, 100);
  about(pressure, 100, 500);
});

test("what is large takes longer than what is small", () => {
  const pressure = new Pressure();
  add(pressure, 2_000, 0);
  work(pressure, 10, 0, 100);
  const beforeMs = pressure.waitMs(100);
  pressure.added(1024 * 1024, 100);
  assert.ok(pressure.waitMs(100) - beforeMs > 20, `${pressure.waitMs(100) - beforeMs} ms for a mebibyte`);
});

test("idle time does not count: a burst after a quiet hour is not taken for one that nothing can be done about", () => {
  const pressure = new Pressure();
  for (let second = 0; second < 3_600; second++) {
    pressure.added(SMALL, second * 1_000);
    pressure.done(SMALL, second * 1_000 + 2);
  }
  add(pressure, 100, 3_600_000);
  about(pressure, 3_600_000, 200, "one in two milliseconds, not one in a second");
});

test("a queue that emptied shows only the least that could be done", () => {
  const pressure = new Pressure();
  add(pressure, 1_000, 0);
  work(pressure, 10, 0, 100);
  pressure.added(SMALL, 5_000);
  pressure.done(SMALL, 5_090);
  add(pressure, 1_000, 6_000);
  about(pressure, 6_000, 100);
});

test("a disk that has become slow is believed within a few tenths of a second", () => {
  const pressure = new Pressure();
  add(pressure, 10_000, 0);
  work(pressure, 10, 0, 100);
  work(pressure, 1, 100, 600);
  assert.ok(pressure.waitMs(600) > 5_000, `${pressure.waitMs(600)} ms for 8,500 at one a millisecond`);
});

test("one that is fast again is believed at once, or too little would be taken to find out", () => {
  const pressure = new Pressure();
  add(pressure, 10_000, 0);
  work(pressure, 1, 0, 1_000);
  work(pressure, 50, 1_000, 1_100);
  about(pressure, 1_100, 80, "4,000 at 50 a millisecond");
});

test("so it is when what was taken is all done within one window", () => {
  const pressure = new Pressure();
  add(pressure, 200, 0);
  work(pressure, 1, 0, 200);
  add(pressure, 2, 1_000);
  work(pressure, 2, 1_000, 1_001);
  add(pressure, 100, 2_000);
  work(pressure, 50, 2_000, 2_002);
  add(pressure, 1_000, 3_000);
  about(pressure, 3_000, 20);
});

test("a stall changes no pace, and the time that it took is not held against what comes after", () => {
  const pressure = new Pressure();
  add(pressure, 3_000, 0);
  work(pressure, 10, 0, 101);
  pressure.waitMs(101);
  for (let nowMs = 300; nowMs < 5_000; nowMs += 50)
    about(pressure, nowMs, 400, "half the pace, by what the window had");
  work(pressure, 10, 4_990, 5_150);
  about(pressure, 5_150, 39, "what is left, at the pace from before");
});

test("what is given up is waited for no more, and was not done", () => {
  const pressure = new Pressure();
  add(pressure, 3_000, 0);
  work(pressure, 10, 0, 100);
  for (let i = 0; i < 1_000; i++) pressure.gone(SMALL);
  about(pressure, 100, 100);
});

test.run();
