/** Questions are answered within bounds, and in slices: no message, however large, keeps a leader from its work. */

import * as assert from "uvu/assert";
import type { Answer } from "../../src/actor/index.ts";
import type { ConclaveError } from "../../src/errors.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { decodeList } from "../../src/machine/commands.ts";
import { Replica } from "../../src/machine/index.ts";
import { Reads } from "../../src/node/reads.ts";
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
  return Object.assign(state, { reads, replica });
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
  stage.reads.askStale([query(1), query(1), query(1), query(1), query(1)], answer, null);
  stage.reads.run();
  assert.equal([got, stage.answered, stage.later], [[], 3, 1]);
  stage.reads.run();
  assert.equal([got, stage.answered, stage.later], [[5], 5, 1]);
});

test("the turn ends also when every message ends in an error", () => {
  const stage = bench({ messageBytesMax: 2 * KiB });
  const { got, answer } = asker();
  stage.costMs = 2;
  for (let i = 0; i < 100; i++) stage.reads.askStale([query(2 * KiB)], answer, null);
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
  stage.reads.askStale([query(1)], answer, null);
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
  stage.reads.askStale([], answer, null);
  stage.reads.take([{ ticket: second, refusal: "not-leader" }], VIEW);
  stage.reads.ask([], answer, null);
});

test("a query that the machine throws at ends its message, and the next is answered", () => {
  const stage = bench();
  const { got, answer } = asker();
  stage.reads.askStale([query(1), query(0)], answer, null);
  stage.reads.askStale([query(1)], answer, null);
  Object.assign(stage.replica, {
    query: (given: Uint8Array) => {
      if (given.byteLength === 0) throw new Error("nothing to answer");
      return given;
    },
  });
  stage.reads.run();
  assert.equal(got, ["MACHINE_FAILED", 1]);
});

test.run();
