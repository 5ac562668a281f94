/** Questions are answered within bounds, and in slices: no message, however large, keeps a leader from its work. */

import * as assert from "uvu/assert";
import type { Answer } from "../../src/actor/index.ts";
import { ConclaveError, retryAfterMs } from "../../src/errors.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { decodeList } from "../../src/machine/commands.ts";
import { Replica } from "../../src/machine/index.ts";
import { BEHIND_MS_MAX, Reads } from "../../src/node/reads.ts";
import type { NodeAnswer } from "../../src/protocol/node.ts";
import { logIndex } from "../../src/raft/index.ts";
import { HandClock } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const KiB = 1024;
const VIEW = { term: 1, leader: null };
const query = (bytes: number): Uint8Array => new Uint8Array(bytes);

/** A machine that answers every query with the query, and takes its time. */
function bench(limits: object = {}) {
  const clock = new HandClock();
  const state = { costMs: 0, later: 0, answered: 0 };
  const machine = {
    apply: (command: Uint8Array) => command,
    query: (given: Uint8Array) => {
      clock.advance(state.costMs);
      state.answered++;
      return given;
    },
    snapshot: () => [],
    restore: async () => {},
  };
  const replica = new Replica(machine, () => {});
  const continueLater = (): void => void state.later++;
  const reads = new Reads({ clock, replica, limits: { ...DEFAULT_LIMITS, ...limits }, continueLater });
  return Object.assign(state, { clock, reads, replica });
}

/** How each message was answered: with so many results, or with a code. */
function asker() {
  const got: (number | string)[] = [];
  const answer: Answer<NodeAnswer> = {
    ok: (one) => void got.push(one.type === "results" ? decodeList(one.results, 1_000).length : one.type),
    fail: (error: ConclaveError) => void got.push(error.code),
  };
  return { got, answer };
}

const test = suite("node: reads");

test("the queries of one message are answered in slices, and the turn ends in between", () => {
  const stage = bench();
  const { got, answer } = asker();
  stage.costMs = 2;
  stage.reads.askStale([query(1), query(1), query(1), query(1), query(1)], 0, answer, null);
  stage.reads.run();
  assert.equal([got, stage.answered, stage.later], [[], 3, 1]);
  stage.reads.run();
  assert.equal([got, stage.answered, stage.later], [[5], 5, 1]);
});

test("the turn ends also when every message ends in an error", () => {
  const stage = bench({ messageBytesMax: 2 * KiB });
  const { got, answer } = asker();
  stage.costMs = 2;
  for (let i = 0; i < 100; i++) stage.reads.askStale([query(2 * KiB)], 0, answer, null);
  stage.reads.run();
  assert.equal([got.length, stage.later], [3, 1]);
});

test("reads that wait for this node's time are bounded like those that wait for a majority", () => {
  const stage = bench({ readsMax: 2 });
  const { got, answer } = asker();
  stage.costMs = 100; // One query is all that a turn has time for.
  const confirmed = (): void => {
    const ticket = stage.reads.ask([query(1)], answer, null);
    stage.reads.take([{ ticket, index: logIndex(0) }], VIEW);
  };
  for (let i = 0; i < 2; i++) confirmed();
  stage.reads.run();
  assert.throws(confirmed, /Too many reads/);
  while (got.length < 2) stage.reads.run();
  confirmed();
});

test("messages are answered in the order in which they may be", () => {
  const stage = bench();
  const { got, answer } = asker();
  const ticket = stage.reads.ask([query(1), query(1)], answer, null);
  stage.reads.askStale([query(1)], 0, answer, null);
  stage.reads.take([{ ticket, index: logIndex(1) }], VIEW);
  stage.reads.run();
  assert.equal(got, [1], "index 1 is not applied yet");
  stage.replica.apply(1, null);
  stage.reads.run();
  assert.equal(got, [1, 2]);
});

test("answers that do not fit into one message are given up as soon as that is seen", () => {
  const stage = bench({ messageBytesMax: 10 * KiB });
  const { got, answer } = asker();
  stage.reads.askStale(
    Array.from({ length: 100 }, () => query(KiB)),
    0,
    answer,
    null,
  );
  stage.reads.run();
  assert.equal([got, stage.answered], [["ANSWER_TOO_LARGE"], 9]);
});

test("reads that wait are bounded in number and in bytes, and those answered make room", () => {
  const stage = bench({ readsMax: 3, readBytesMax: 100 });
  const { got, answer } = asker();
  const first = stage.reads.ask([query(60)], answer, null);
  const second = stage.reads.ask([query(60)], answer, null);
  assert.throws(() => stage.reads.ask([], answer, null), /Too many reads/, "too many bytes");
  stage.reads.take([{ ticket: first, index: logIndex(0) }], VIEW);
  stage.reads.run();
  assert.equal(got, [1]);
  stage.reads.ask([], answer, null);
  stage.reads.ask([], answer, null);
  assert.throws(() => stage.reads.ask([], answer, null), /Too many reads/, "too many messages");
  stage.reads.askStale([], 0, answer, null);
  stage.reads.take([{ ticket: second, refusal: "not-leader" }], VIEW);
  stage.reads.ask([], answer, null);
});

test("a query that the machine throws at ends its message, and the next is answered", () => {
  const stage = bench();
  const { got, answer } = asker();
  stage.reads.askStale([query(1), query(0)], 0, answer, null);
  stage.reads.askStale([query(1)], 0, answer, null);
  Object.assign(stage.replica, {
    query: (given: Uint8Array) => {
      if (given.byteLength === 0) throw new Error("nothing to answer");
      return given;
    },
  });
  stage.reads.run();
  assert.equal(got, ["MACHINE_FAILED", 1]);
});

/** A stale read by one who has seen so much: what it is answered, with the index or the code. */
function askStale({ reads }: ReturnType<typeof bench>, minIndex: number, link: object | null = null) {
  const got: (number | string)[] = [];
  const errors: ConclaveError[] = [];
  const answer: Answer<NodeAnswer> = {
    ok: (one) => void got.push(one.type === "results" ? one.index : one.type),
    fail: (error: ConclaveError) => {
      got.push(error.code);
      errors.push(error);
    },
  };
  reads.askStale([query(1)], minIndex, answer, link);
  return { got, errors };
}

test("a stale read waits until as much is applied as its asker has seen, and no longer", () => {
  const stage = bench();
  stage.replica.apply(1, null);
  const [further, ahead, seen] = [askStale(stage, 3), askStale(stage, 2), askStale(stage, 1)];
  stage.reads.run();
  assert.equal([seen.got, ahead.got, further.got], [[1], [], []], "an answer tells how far it has come");
  stage.replica.apply(2, null);
  stage.reads.run();
  assert.equal([ahead.got, further.got], [[2], []]);
  stage.replica.apply(3, null);
  stage.replica.apply(4, null);
  stage.reads.run();
  assert.equal(further.got, [4]);
});

test("each is answered as soon as it may be, in whatever order they came", () => {
  const stage = bench();
  const given = [4, 2, 7, 3, 6, 1, 5, 3];
  const asked = given.map((index) => askStale(stage, index));
  for (let applied = 1; applied <= 7; applied++) {
    stage.replica.apply(applied, null);
    stage.reads.run();
    assert.equal(
      asked.map(({ got }) => got.length === 1),
      given.map((index) => index <= applied),
    );
  }
});

test("an answer tells of what was applied while it was made: a part of it may show that", () => {
  const stage = bench();
  const got: number[] = [];
  const answer: Answer<NodeAnswer> = { ok: (one) => void got.push("index" in one ? one.index : -1), fail: () => {} };
  stage.costMs = 100; // One query is all that a turn has time for.
  stage.reads.askStale([query(1), query(1)], 0, answer, null);
  stage.reads.run();
  stage.replica.apply(1, null);
  while (got.length === 0) stage.reads.run();
  assert.equal(got, [1]);
});

test("so does the answer to a linearizable read", () => {
  const stage = bench();
  const got: NodeAnswer[] = [];
  const ticket = stage.reads.ask([query(1)], { ok: (one) => void got.push(one), fail: () => {} }, null);
  for (const index of [1, 2, 3]) stage.replica.apply(index, null);
  stage.reads.take([{ ticket, index: logIndex(2) }], VIEW);
  stage.reads.run();
  assert.ok(got[0]?.type === "results" && got[0].index === 3);
});

test("a node that does not catch up in time refuses, so that another one is asked", () => {
  const stage = bench();
  const first = askStale(stage, 1);
  stage.clock.advance(BEHIND_MS_MAX - 1);
  const second = askStale(stage, Number.MAX_SAFE_INTEGER);
  assert.equal(first.got, []);
  stage.clock.advance(1);
  assert.equal([first.got, second.got], [["BUSY"], []]);
  const [error] = first.errors;
  assert.is(error?.details["appliedIndex"], 0);
  assert.ok((retryAfterMs(error) ?? 0) > 0);
  stage.clock.advance(BEHIND_MS_MAX);
  assert.equal(second.got, ["BUSY"]);
  assert.is(stage.clock.timers, 0, "nothing is left to wait for");
  stage.replica.apply(1, null);
  stage.reads.run();
  assert.equal([first.got.length, stage.answered], [1, 0], "what was refused is not answered");
});

test("those who wait for a node to catch up are bounded, for one connection and for all, and the others are served", () => {
  const stage = bench({ readsMax: 8, linkReadsMax: 2 });
  const links = Array.from({ length: 6 }, () => ({}));
  const [greedy = {}] = links;
  for (let i = 0; i < 2; i++) askStale(stage, 1, greedy);
  assert.throws(() => askStale(stage, 1, greedy), /of this connection/);
  const now = askStale(stage, 0, greedy);
  stage.reads.run();
  assert.equal(now.got, [0], "one that need not wait does not wait with them");
  assert.throws(() => {
    for (const link of links.slice(1)) for (let i = 0; i < 2; i++) askStale(stage, 1, link);
  }, /Too many reads/);
  stage.clock.advance(BEHIND_MS_MAX);
  askStale(stage, 1, greedy); // There is room again.
});

test("a read that a majority has confirmed waits as long as it takes, among those that have their time", () => {
  const stage = bench();
  const { got, answer } = asker();
  const before = askStale(stage, 1);
  const ticket = stage.reads.ask([query(1), query(1)], answer, null);
  stage.reads.take([{ ticket, index: logIndex(2) }], VIEW);
  const after = askStale(stage, 3);
  stage.clock.advance(BEHIND_MS_MAX);
  assert.equal([before.got, got, after.got], [["BUSY"], [], ["BUSY"]]);
  for (const index of [1, 2]) stage.replica.apply(index, null);
  stage.reads.run();
  assert.equal(got, [2]);
});

test("a node that stops leaves no timer behind", () => {
  const stage = bench();
  askStale(stage, 1);
  stage.reads.stop();
  assert.is(stage.clock.timers, 0);
});

test("all are refused together, wherever they wait, and leave their room to others", () => {
  const stage = bench({ readsMax: 2 });
  const asked = asker();
  const ticket = stage.reads.ask([query(1)], asked.answer, null);
  const waiting = askStale(stage, 5);
  const ready = askStale(stage, 0);
  stage.reads.refuse(new ConclaveError("DIVERGED", "the state is wrong"));
  assert.equal([asked.got, waiting.got, ready.got], [["DIVERGED"], ["DIVERGED"], ["DIVERGED"]]);
  stage.reads.take([{ ticket, index: logIndex(0) }], VIEW);
  const later = [askStale(stage, 0), askStale(stage, 0)];
  stage.reads.run();
  stage.clock.advance(BEHIND_MS_MAX);
  assert.equal(
    [asked.got, waiting.got, ...later.map(({ got }) => got)],
    [["DIVERGED"], ["DIVERGED"], [0], [0]],
    "each was answered once",
  );
});

test.run();
