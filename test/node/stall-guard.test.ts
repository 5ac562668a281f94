/** The guard notices that the event loop was held up, tells each stall once, and does not flood the log. */

import * as assert from "uvu/assert";
import type { Clock, Timer } from "../../src/environment.ts";
import { StallGuard, type StallStory } from "../../src/node/stall-guard.ts";
import { suite } from "../support/suite.ts";

/** An event loop that can be held up: then its timers fire late. */
class Loop implements Clock {
  #nowMs = 1_000;
  #timers: { readonly dueMs: number; readonly fire: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const timer = { dueMs: this.#nowMs + delayMs, fire };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  defer(): void {
    throw new Error("nothing is deferred here");
  }

  get timers(): number {
    return this.#timers.length;
  }

  /** Time passes, and every timer fires when it is due. */
  run(ms: number): void {
    for (let i = 0; i < ms; i++) {
      this.holdUp(1);
      this.goOn();
    }
  }

  /** Time passes, and nothing happens. */
  holdUp(ms: number): void {
    this.#nowMs += ms;
  }

  /** Whatever is due fires. */
  goOn(): void {
    const due = this.#timers.filter(({ dueMs }) => dueMs <= this.#nowMs);
    this.#timers = this.#timers.filter((timer) => !due.includes(timer));
    for (const { fire } of due) fire();
  }
}

function bench() {
  const loop = new Loop();
  const told: StallStory[] = [];
  const guard = new StallGuard({ clock: loop, everyMs: 50, worthTellingMs: 150, tell: (story) => told.push(story) });
  guard.start();
  return { loop, told, guard };
}

const test = suite("node: stall guard");

test("an event loop that goes on was not held up", () => {
  const { loop, told, guard } = bench();
  for (let i = 0; i < 100; i++) {
    loop.run(37);
    assert.not(guard.wasHeldUp());
  }
  assert.equal([told, guard.lagMs, guard.lastStallMs], [[], 0, 0]);
});

test("one that was held up is found out by the timer that fires late, and says so once", () => {
  const { loop, told, guard } = bench();
  loop.run(20);
  loop.holdUp(1_500);
  loop.goOn();
  assert.equal(told, [{ event: "stalled", lagMs: 1_470, count: 1 }], "30 ms were still to go");
  assert.is(guard.lastStallMs, 1_470);
  assert.is(guard.wasHeldUp(), true);
  assert.is(guard.wasHeldUp(), false);
  loop.run(1_000);
  assert.is(guard.wasHeldUp(), false);
});

test("whoever asks first after the stall, before any timer could fire, is told, and it counts once", () => {
  const { loop, told, guard } = bench();
  loop.holdUp(1_550);
  assert.is(guard.wasHeldUp(), true);
  loop.goOn();
  assert.is(guard.wasHeldUp(), false);
  assert.equal(told, [{ event: "stalled", lagMs: 1_500, count: 1 }]);
});

test("a short delay is none; a longer one is not worth a story", () => {
  const { loop, told, guard } = bench();
  loop.holdUp(100);
  assert.is(guard.wasHeldUp(), false);
  loop.goOn();
  loop.holdUp(101);
  assert.is(guard.wasHeldUp(), true);
  assert.equal(told, []);
  assert.is(guard.lagMs, 51);
});

test("one stall after the other is told of once in ten seconds, with the longest of them and their number", () => {
  const { loop, told } = bench();
  for (const ms of [1_000, 3_000, 2_000, 2_000, 2_050, 1_000]) {
    loop.holdUp(ms);
    loop.goOn();
  }
  assert.equal(told, [
    { event: "stalled", lagMs: 950, count: 1 },
    { event: "stalled", lagMs: 2_950, count: 5 },
  ]);
});

test("the lag is the longest of late, and is over some time after the loop runs on", () => {
  const { loop, guard } = bench();
  loop.holdUp(550);
  loop.goOn();
  loop.holdUp(90);
  loop.goOn();
  assert.is(guard.lagMs, 500);
  loop.run(10_000);
  assert.is(guard.lagMs, 500);
  loop.run(10_100);
  assert.is(guard.lagMs, 0);
  assert.is(guard.lastStallMs, 500, "that it was is still known");
});

test("it looks no more once it was stopped", () => {
  const { loop, told, guard } = bench();
  guard.stop();
  assert.is(loop.timers, 0);
  loop.holdUp(10_000);
  assert.equal([guard.wasHeldUp(), guard.lagMs, told], [false, 0, []]);
});

test.run();
