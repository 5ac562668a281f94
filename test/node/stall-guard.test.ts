/** The guard notices that the event loop was held up, tells each stall once, and does not flood the log. */

import * as assert from "uvu/assert";
import { StallGuard, type StallStory } from "../../src/node/stall-guard.ts";
import { HandClock } from "../support/network.ts";
import { suite } from "../support/suite.ts";

function bench() {
  const loop = new HandClock();
  const told: StallStory[] = [];
  const guard = new StallGuard({ clock: loop, everyMs: 50, worthTellingMs: 150, tell: (story) => told.push(story) });
  guard.start();
  return { loop, told, guard };
}

const test = suite("node: stall guard");

test("an event loop that goes on was not held up", () => {
  const { loop, told, guard } = bench();
  for (let i = 0; i < 100; i++) {
    loop.advance(37);
    assert.not(guard.wasHeldUp());
  }
  assert.equal([told, guard.lagMs, guard.lastStallMs], [[], 0, 0]);
});

test("one that was held up is found out by the timer that fires late, and says so once", () => {
  const { loop, told, guard } = bench();
  loop.advance(20);
  loop.holdUp(1_500);
  loop.advance(0);
  assert.equal(told, [{ event: "stalled", lagMs: 1_470, count: 1 }], "30 ms were still to go");
  assert.is(guard.lastStallMs, 1_470);
  assert.is(guard.wasHeldUp(), true);
  assert.is(guard.wasHeldUp(), false);
  loop.advance(1_000);
  assert.is(guard.wasHeldUp(), false);
});

test("whoever asks first after the stall, before any timer could fire, is told, and it counts once", () => {
  const { loop, told, guard } = bench();
  loop.holdUp(1_550);
  assert.is(guard.wasHeldUp(), true);
  loop.advance(0);
  assert.is(guard.wasHeldUp(), false);
  assert.equal(told, [{ event: "stalled", lagMs: 1_500, count: 1 }]);
});

test("a short delay is none; a longer one is not worth a story", () => {
  const { loop, told, guard } = bench();
  loop.holdUp(100);
  assert.is(guard.wasHeldUp(), false);
  loop.advance(0);
  loop.holdUp(101);
  assert.is(guard.wasHeldUp(), true);
  assert.equal(told, []);
  assert.is(guard.lagMs, 51);
});

test("one stall after the other is told of once in ten seconds, with the longest of them and their number", () => {
  const { loop, told } = bench();
  for (const ms of [1_000, 3_000, 2_000, 2_000, 2_050, 1_000]) {
    loop.holdUp(ms);
    loop.advance(0);
  }
  assert.equal(told, [
    { event: "stalled", lagMs: 950, count: 1 },
    { event: "stalled", lagMs: 2_950, count: 5 },
  ]);
});

test("the lag is the longest of late, and is over some time after the loop runs on", () => {
  const { loop, guard } = bench();
  loop.holdUp(550);
  loop.advance(0);
  loop.holdUp(90);
  loop.advance(0);
  assert.is(guard.lagMs, 500);
  loop.advance(10_000);
  assert.is(guard.lagMs, 500);
  loop.advance(10_100);
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
