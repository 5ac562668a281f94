/** Rate limits, entry by entry. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { rateLimits } from "../../../src/machine/recipes/rate-limits.ts";
import { suite } from "../../support/suite.ts";
import { Stage } from "./stage.ts";

const test = suite("rate limits machine");

const staged = (limit: number, perMs: number) => {
  const stage = new Stage(rateLimits);
  const take = (key = "", cost = 1, name = "api") => stage.do("take", { name, limit, perMs, key, cost });
  return { stage, take };
};

test("so much is allowed at once, and again as it empties", () => {
  const { stage, take } = staged(3, 1_000);
  for (const remaining of [2, 1, 0]) assert.equal(take(), { allowed: true, remaining, retryAfterMs: 0 });
  assert.equal(take(), { allowed: false, remaining: 0, retryAfterMs: 334 });
  stage.pass(333);
  assert.equal(take(), { allowed: false, remaining: 0, retryAfterMs: 1 });
  stage.pass(1);
  assert.equal(take(), { allowed: true, remaining: 0, retryAfterMs: 0 });
  assert.equal(take("", 3), { allowed: false, remaining: 0, retryAfterMs: 1_000 });
  stage.pass(1_000);
  assert.equal(take("", 0), { allowed: true, remaining: 3, retryAfterMs: 0 });
  assert.equal(take("", 3), { allowed: true, remaining: 0, retryAfterMs: 0 });
});

test("each key, name and pair of numbers has its own", () => {
  const { stage, take } = staged(1, 1_000);
  assert.ok(take("a").allowed);
  assert.not(take("a").allowed);
  assert.ok(take("b").allowed);
  assert.ok(take("a", 1, "other").allowed);
  assert.ok(stage.do("take", { name: "api", limit: 2, perMs: 1_000, key: "a", cost: 2 }).allowed);
});

test("time that goes back, or stands still, allows nothing", () => {
  const { stage, take } = staged(1, 1_000);
  assert.ok(take().allowed);
  stage.dayMs -= 5_000;
  assert.is(take().allowed, false);
});

test("what has emptied is forgotten, with traffic and without", () => {
  const { stage, take } = staged(10, 1_000);
  const kept = (): number => stage.ask("look", undefined).buckets;
  for (let i = 0; i < 5_000; i++) {
    take(`user ${i}`);
    take(`often ${i % 20}`);
    stage.pass(1);
    // A full bucket is empty after 1,000 ms, in each of which one comes; two generations of them may be there.
    assert.ok(kept() <= 2 * 1_000 + 20, `${kept()} buckets`);
  }
  stage.pass(20_000);
  assert.equal(stage.ask("look", undefined), { limiters: 0, buckets: 0 });
  assert.is(stage.timers, 0);
});

test("whoever only looks, or is refused, leaves nothing behind", () => {
  const { stage, take } = staged(10, 1_000);
  take("a", 0);
  assert.equal(stage.ask("look", undefined), { limiters: 0, buckets: 0 });
  take("a", 10);
  for (let i = 0; i < 10; i++) take("a", 1);
  assert.equal(stage.ask("look", undefined), { limiters: 1, buckets: 1 });
});

test("there is an end to what is kept, and one limit leaves room for another", () => {
  const { take } = staged(1, 366 * 24 * 60 * 60 * 1_000);
  let known = 0;
  while (take(`${known}`).allowed) known++;
  assert.is(known, 100_000);
  assert.equal(take("another"), { allowed: false, remaining: 0, retryAfterMs: 1_000 });
  assert.ok(take("another", 1, "other").allowed);
  assert.not(take("0").allowed);
  const { stage } = staged(1, 1);
  const named = (i: number) => stage.do("take", { name: `${i}`, limit: 1, perMs: 1_000, key: "", cost: 1 });
  for (let i = 0; i < 1_000; i++) named(i);
  assert.throws(() => named(1_000), /FULL/);
});

test("what makes no sense is refused", () => {
  const stage = new Stage(rateLimits);
  const take = (more: object) => () =>
    stage.do("take", { name: "api", limit: 1, perMs: 1_000, key: "", cost: 1, ...more });
  assert.throws(take({ name: "" }), /INVALID_NAME/);
  assert.throws(take({ key: "x".repeat(513) }), /INVALID_NAME/);
  for (const more of [{ limit: 0 }, { limit: 1.5 }, { perMs: 0 }, { limit: 1e9, perMs: 1e9 }]) {
    assert.throws(take(more), /INVALID_RATE/);
  }
  for (const cost of [-1, 0.5, 2, Number.NaN]) assert.throws(take({ cost }), /INVALID_COST/);
});

test("in no span of time is more allowed than the limit and what has emptied; and what was promised is kept", () => {
  const numbers = fc.record({ limit: fc.integer({ min: 1, max: 20 }), perMs: fc.integer({ min: 1, max: 1_000 }) });
  const steps = fc.array(fc.record({ key: fc.nat(2), share: fc.nat(100), ms: fc.nat(300) }), { maxLength: 60 });
  void fc.assert(
    fc.property(numbers, steps, ({ limit, perMs }, script) => {
      const { stage, take } = staged(limit, perMs);
      const spent: { key: number; cost: number; atMs: number }[] = [];
      for (const { key, share, ms } of script) {
        stage.pass(ms);
        const cost = Math.ceil((limit * share) / 100);
        const answer = take(`${key}`, cost);
        const own = spent.filter((one) => one.key === key);
        if (answer.allowed && cost > 0) own.push({ key, cost, atMs: stage.nowMs });
        let sum = 0;
        for (const { cost: one, atMs } of own.toReversed()) {
          sum += one;
          const least = sum - limit - ((stage.nowMs - atMs) * limit) / perMs;
          assert.ok(least <= 1e-9, `${sum} in ${stage.nowMs - atMs} ms`);
          if (answer.allowed) assert.ok(answer.remaining + least <= 1e-9, "what remains is to be had");
        }
        if (answer.allowed && cost > 0) spent.push({ key, cost, atMs: stage.nowMs });
        if (!answer.allowed) {
          const { nowMs } = stage;
          if (answer.retryAfterMs > 1) {
            stage.pass(answer.retryAfterMs - 1);
            assert.not(take(`${key}`, cost).allowed);
            stage.pass(1);
          } else stage.pass(answer.retryAfterMs);
          assert.ok(take(`${key}`, cost).allowed);
          spent.push({ key, cost, atMs: nowMs + answer.retryAfterMs });
        }
      }
    }),
    { numRuns: 200 },
  );
});

test.run();
