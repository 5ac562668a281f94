/** A signal that fires at a time: what those see who ask it before its timer has come round. */

import * as assert from "uvu/assert";
import { Expiry, eitherOf } from "../../../src/client/recipes/expiring-signal.ts";
import { suite } from "../../support/suite.ts";

/** The clock of a process that has stood still: time has passed, and no timer has fired yet. */
class LateClock {
  now = 0;
  readonly timers: (() => void)[] = [];

  nowMs(): number {
    return this.now;
  }

  setTimer(_delayMs: number, fire: () => void) {
    this.timers.push(fire);
    return { cancel: () => {} };
  }
}

function expiring(): { clock: LateClock; expiry: Expiry; events: string[] } {
  const clock = new LateClock();
  const expiry = new Expiry(clock, 1_000, () => new Error("late"));
  const events: string[] = [];
  expiry.signal.addEventListener("abort", () => events.push(String(expiry.signal.reason)));
  return { clock, expiry, events };
}

const test = suite("expiring signal");

test("whoever asks finds it fired as soon as time has run out, and its listeners are told", () => {
  const { clock, expiry, events } = expiring();
  clock.now = 999;
  assert.not(expiry.signal.aborted);
  expiry.signal.throwIfAborted();
  clock.now = 1_000;
  assert.ok(expiry.signal.aborted);
  assert.equal(events, ["Error: late"]);
  assert.throws(() => expiry.signal.throwIfAborted(), "late");
});

test("what was extended in time goes on; what has run out does not come back", () => {
  const { clock, expiry } = expiring();
  clock.now = 900;
  expiry.extend(2_000);
  clock.now = 1_999;
  for (const fire of clock.timers.splice(0)) fire();
  assert.not(expiry.signal.aborted);
  clock.now = 2_001;
  expiry.extend(3_000);
  assert.ok(expiry.signal.aborted);
});

test("together with another signal it asks the clock all the same", () => {
  const { clock, expiry, events } = expiring();
  const either = eitherOf(expiry.signal, new AbortController().signal);
  either.addEventListener("abort", () => events.push("either"));
  assert.not(either.aborted);
  clock.now = 1_001;
  assert.ok(either.aborted);
  assert.throws(() => either.throwIfAborted(), "late");
  assert.equal(events, ["Error: late", "either"]);
});

test("the other signal fires for both, and leaves the first as it is", () => {
  const { expiry } = expiring();
  const other = new AbortController();
  const either = eitherOf(expiry.signal, other.signal);
  other.abort(new Error("enough"));
  assert.ok(either.aborted);
  assert.throws(() => either.throwIfAborted(), "enough");
  assert.not(expiry.signal.aborted);
});

test.run();
