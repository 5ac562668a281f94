/** Work queues, entry by entry. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { keyOf } from "../../../src/machine/recipes/checks.ts";
import type { GivenJob } from "../../../src/machine/recipes/queue-state.ts";
import { queues } from "../../../src/machine/recipes/queues.ts";
import { suite } from "../../support/suite.ts";
import { Stage } from "./stage.ts";

const test = suite("queues machine");

const VISIBLE_MS = 1_000;
const LINE_MS = 500;
const TERMS = { visibleMs: VISIBLE_MS, attemptsMax: 2, ttlMs: LINE_MS };
const BOUNDS = { itemsMax: 1_000, bytesMax: 1_000_000 };

/** A stage with one queue, and words for what is done with it. */
class Played extends Stage<typeof queues.commands, typeof queues.queries> {
  constructor() {
    super(queues);
  }

  push(id: string, delayMs = 0, queue = "q"): boolean {
    return this.do("push", { queue, id, item: new Uint8Array([1, 2, 3]), delayMs, ...BOUNDS });
  }

  take(taker: string, wait = true, queue = "q"): GivenJob | null {
    return this.do("take", { queue, taker, wait, ...TERMS }).job;
  }

  /** Takes a job that is there. */
  taken(taker: string): GivenJob {
    const job = this.take(taker, false);
    if (job === null) throw new Error("there is no job");
    return job;
  }

  ack(job: GivenJob): boolean {
    return this.do("ack", { queue: "q", id: job.id, token: job.token });
  }

  nack(job: GivenJob, delayMs = 0): boolean {
    return this.do("nack", { queue: "q", id: job.id, token: job.token, delayMs });
  }

  renew(taker: string): { readonly job: GivenJob | null } | null {
    return this.do("renew", { queue: "q", taker });
  }

  look(queue = "q") {
    const { bytes, ...counts } = this.ask("look", queue);
    return counts;
  }

  dead(from = 0, limit = 10) {
    const { letters, next } = this.ask("dead", { queue: "q", from, limit });
    return { ids: letters.map(({ id }) => id), next };
  }
}

const NOTHING = { ready: 0, delayed: 0, taken: 0, dead: 0, waiting: 0 };

test("jobs are taken in the order in which they came, each by one, and are gone once acknowledged", () => {
  const stage = new Played();
  for (const id of ["a", "b", "c"]) assert.ok(stage.push(id));
  const jobs = ["1", "2", "3"].map((taker) => stage.taken(taker));
  assert.equal(
    jobs.map(({ id, attempt, item }) => [id, attempt, [...item]]),
    ["a", "b", "c"].map((id) => [id, 1, [1, 2, 3]]),
  );
  assert.equal(
    jobs.map(({ token }) => token),
    jobs.map(({ token }) => token).toSorted((a, b) => a - b),
  );
  assert.is(stage.take("4", false), null);
  assert.equal(stage.look(), { ...NOTHING, taken: 3 });
  for (const job of jobs) assert.ok(stage.ack(job));
  assert.equal(stage.look(), NOTHING);
  assert.is(stage.ask("look", "q").bytes, 0);
  assert.is(stage.timers, 0);
});

test("a job that is not acknowledged in time is visible again, and its first taker comes too late", () => {
  const stage = new Played();
  stage.push("a");
  const first = stage.taken("1");
  stage.pass(VISIBLE_MS - 1);
  assert.equal(stage.renew("1"), { job: first });
  stage.pass(VISIBLE_MS - 1);
  assert.is(stage.take("2", false), null);
  stage.changeLeader();
  stage.pass(VISIBLE_MS - 1);
  assert.is(stage.take("2", false), null);
  stage.pass(1);
  const second = stage.taken("2");
  assert.is(second.attempt, 2);
  assert.ok(second.token > first.token);
  assert.not(stage.ack(first));
  assert.not(stage.nack(first));
  assert.is(stage.renew("1"), null);
  assert.ok(stage.ack(second));
  assert.not(stage.ack(first));
});

test("after so many attempts a job is a dead letter, until it is revived or discarded", () => {
  const stage = new Played();
  for (const id of ["a", "b", "c"]) stage.push(id);
  for (const _attempt of [1, 2]) {
    stage.nack(stage.taken("1"));
    stage.taken("2");
    stage.nack(stage.taken("3"));
    stage.pass(VISIBLE_MS);
  }
  assert.equal(stage.look(), { ...NOTHING, dead: 3 });
  const { ids } = stage.dead();
  assert.equal(ids.toSorted(), ["a", "b", "c"]);
  const page = stage.dead(0, 2);
  assert.equal([...page.ids, ...stage.dead(page.next ?? 0).ids], ids);
  assert.is(stage.dead().next, null);
  assert.not(stage.push("a"), "it is there");
  assert.ok(stage.do("discard", { queue: "q", id: "b" }));
  assert.not(stage.do("revive", { queue: "q", id: "b" }));
  assert.equal(
    stage.dead().ids,
    ids.filter((id) => id !== "b"),
  );
  assert.is(stage.take("1"), null);
  assert.ok(stage.do("revive", { queue: "q", id: "a" }));
  assert.is(stage.renew("1")?.job?.id, "a");
  assert.is(stage.renew("1")?.job?.attempt, 1);
  assert.ok(stage.do("revive", { queue: "q", id: "c" }));
  assert.is(stage.taken("2").id, "c");
  assert.not(stage.do("discard", { queue: "q", id: "c" }));
});

test("a delay is waited out, and a change of leader prolongs a long one by little", () => {
  const stage = new Played();
  stage.push("soon", 100);
  stage.push("late", 3_600_000);
  assert.equal(stage.look(), { ...NOTHING, delayed: 2 });
  stage.pass(99);
  assert.is(stage.take("1", false), null);
  stage.pass(1);
  const soon = stage.taken("1");
  stage.nack(soon, 50);
  stage.pass(49);
  assert.is(stage.take("1", false), null);
  stage.pass(1);
  assert.is(stage.taken("1").attempt, 2);
  stage.pass(1_800_000);
  stage.changeLeader();
  stage.pass(1_800_000 - 200);
  assert.is(stage.look().delayed, 1);
  stage.pass(30_200);
  assert.is(stage.look().delayed, 0);
});

test("who finds no job gets in line, and is told when it has one: who came first at first", () => {
  const stage = new Played();
  for (const taker of ["1", "2", "3", "4"]) assert.is(stage.take(taker), null);
  assert.equal(stage.look(), { ...NOTHING, waiting: 4 });
  assert.ok(stage.do("leave", { queue: "q", taker: "1" }));
  assert.not(stage.do("leave", { queue: "q", taker: "1" }));
  assert.is(stage.timers, 3);
  stage.push("a");
  assert.is(stage.timers, 3);
  assert.equal(stage.renew("3"), { job: null });
  const given = stage.renew("2");
  assert.is(given?.job?.id, "a");
  assert.equal(stage.changes(keyOf("q", "2")), [{ type: "given" }]);
  assert.equal(stage.changes(keyOf("q", "3")), []);
  // The fourth is not heard of.
  stage.pass(LINE_MS - 1);
  assert.ok(stage.renew("3"));
  stage.pass(1);
  assert.is(stage.renew("4"), null);
  assert.equal(stage.look(), { ...NOTHING, taken: 1, waiting: 1 });
  // A job that comes back goes to who waits.
  if (given?.job != null) stage.nack(given.job);
  assert.is(stage.renew("3")?.job?.attempt, 2);
});

test("whoever asks again, not having been answered, has what it had", () => {
  const stage = new Played();
  assert.ok(stage.push("a"));
  assert.not(stage.push("a"));
  const job = stage.taken("1");
  stage.pass(VISIBLE_MS - 1);
  assert.equal(stage.taken("1"), job);
  stage.pass(VISIBLE_MS - 1);
  assert.equal(stage.look(), { ...NOTHING, taken: 1 });
  assert.ok(stage.ack(job));
  assert.ok(stage.ack(job));
  assert.not(stage.do("ack", { queue: "q", id: "a", token: job.token + 1 }));
  assert.not(stage.push("a"), "it was done");
  assert.is(stage.take("2"), null);
  assert.is(stage.take("2"), null);
  assert.equal(stage.look(), { ...NOTHING, waiting: 1 });
});

test("who never got to a job gives it back as it was, before all others", () => {
  const stage = new Played();
  stage.push("a");
  stage.push("b");
  const job = stage.taken("1");
  assert.ok(stage.do("leave", { queue: "q", taker: "1" }));
  assert.not(stage.ack(job));
  const again = stage.taken("2");
  assert.equal([again.id, again.attempt], ["a", 1]);
  assert.is(stage.taken("3").id, "b");
  stage.take("4");
  stage.do("leave", { queue: "q", taker: "2" });
  assert.is(stage.renew("4")?.job?.id, "a");
});

test("queues whose names run into their jobs' names are not mixed up", () => {
  const stage = new Played();
  stage.push("b c", 100, "a");
  stage.push("c", 200, "a b");
  stage.pass(100);
  assert.equal(stage.look("a"), { ...NOTHING, ready: 1 });
  assert.equal(stage.look("a b"), { ...NOTHING, delayed: 1 });
  stage.pass(100);
  assert.equal(stage.look("a b"), { ...NOTHING, ready: 1 });
});

test("a queue takes no more than was said, dead letters included, and what makes no sense is refused", () => {
  const stage = new Played();
  const push =
    (id: string, item: Uint8Array, more: Partial<typeof BOUNDS & { delayMs: number }> = {}) =>
    () =>
      stage.do("push", { queue: "q", id, item, delayMs: 0, ...BOUNDS, ...more });
  const small = new Uint8Array(10);
  for (const id of ["a", "b"]) push(id, small)();
  for (const _attempt of [1, 2]) stage.nack(stage.taken("1"));
  for (const _attempt of [1, 2]) stage.nack(stage.taken("1"));
  assert.is(stage.look().dead, 2);
  assert.throws(push("c", small, { itemsMax: 2 }), /FULL/);
  assert.throws(push("c", small, { bytesMax: 32 }), /FULL/);
  assert.ok(push("c", small, { itemsMax: 3, bytesMax: 33 })());
  stage.do("discard", { queue: "q", id: "a" });
  assert.ok(push("d", small, { itemsMax: 3, bytesMax: 33 })());
  assert.throws(push("e", new Uint8Array(1024 * 1024 + 1)), /TOO_LARGE/);
  assert.throws(push("e", small, { delayMs: -1 }), /INVALID_DELAY/);
  assert.throws(push("e", small, { itemsMax: 0 }), /INVALID_BOUND/);
  assert.throws(push("", small), /INVALID_NAME/);
  assert.throws(push("e", [1] as unknown as Uint8Array), /INVALID_ITEM/);
  const take = { queue: "q", taker: "t", wait: true, ...TERMS };
  assert.throws(() => stage.do("take", { ...take, visibleMs: 0 }), /INVALID_TTL/);
  assert.throws(() => stage.do("take", { ...take, attemptsMax: 0 }), /INVALID_ATTEMPTS/);
  assert.throws(() => stage.ask("dead", { queue: "q", from: 0, limit: 0 }), /INVALID_LIMIT/);
  for (let i = 0; i < 10_000; i++) stage.take(`${i}`, true, "other");
  assert.throws(() => stage.take("one more", true, "other"), /FULL/);
});

test("what was done leaves no trace but for the last of it", () => {
  const stage = new Played();
  stage.push("stays", 3_600_000);
  const held = stage.ask("look", "q").bytes;
  const work = (from: number, count: number): void => {
    for (let i = from; i < from + count; i++) {
      stage.push(`job ${1_000_000 + i}`);
      assert.ok(stage.ack(stage.taken("1")));
    }
  };
  work(0, 10_000);
  const { bytes } = stage;
  work(10_000, 2_000);
  assert.ok(stage.bytes < bytes * 1.02);
  assert.is(stage.ask("look", "q").bytes, held);
  const before = stage.bytes;
  for (let i = 0; i < 100; i++) {
    stage.push(`bad ${i}`);
    for (const _attempt of [1, 2]) stage.nack(stage.taken("1"));
    assert.ok(stage.do("discard", { queue: "q", id: `bad ${i}` }));
  }
  assert.ok(stage.bytes < before + 100);
  assert.ok(stage.push("job 1000000"));
  assert.not(stage.push("job 1011999"));
});

test("whatever happens, each job is in one place, and is done once or is a dead letter", () => {
  const steps = fc.array(fc.record({ step: fc.nat(6), which: fc.nat(3), ms: fc.nat(700) }), { maxLength: 60 });
  void fc.assert(
    fc.property(steps, (script) => {
      const stage = new Played();
      const pushed = new Set<string>();
      /** By which token each was acknowledged, and given last. */
      const [acked, given] = [new Map<string, number>(), new Map<string, number>()];
      const held = new Map<string, GivenJob>();
      const ack = (job: GivenJob): void => {
        if (!stage.ack(job)) return;
        assert.is(job.token, given.get(job.id), "acknowledged by who had it last");
        assert.is(acked.get(job.id) ?? job.token, job.token, "acknowledged by two");
        acked.set(job.id, job.token);
      };
      for (const { step, which, ms } of script) {
        const [taker, id] = [`taker ${which}`, `job ${which} ${ms % 5}`];
        const job = held.get(taker);
        if (step === 0 && stage.push(id, ms % 2 === 0 ? 0 : ms)) pushed.add(id);
        if (step === 1) {
          const got = stage.take(taker);
          if (got !== null) {
            const last = given.get(got.id) ?? 0;
            assert.ok(got.token > last || (got.token === last && got.token === job?.token), "tokens grow");
            given.set(got.id, got.token);
            held.set(taker, got);
          }
        }
        if (step === 2 && job !== undefined) ack(job);
        if (step === 3 && job !== undefined) stage.nack(job, ms % 3);
        if (step === 4) stage.do("leave", { queue: "q", taker });
        if (step === 5) stage.pass(ms);
        if (step === 6) stage.changeLeader();
        const { ready, delayed, taken, dead } = stage.look();
        assert.is(ready + delayed + taken + dead, pushed.size - acked.size);
      }
      stage.pass(10_000);
      for (let job = stage.take("last", false); job !== null; job = stage.take("last", false)) {
        given.set(job.id, job.token);
        ack(job);
      }
      assert.equal(new Set([...acked.keys(), ...stage.dead(0, 1_000).ids]), pushed);
      assert.is(stage.timers, 0);
    }),
    { numRuns: 100 },
  );
});

test.run();
