/** Questions that wait: answered once there is something, or in time; within bounds, in slices, and never forgotten. */

import * as assert from "uvu/assert";
import type { Answer, Peer } from "../../src/actor/index.ts";
import { ConclaveError } from "../../src/errors.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { Replica, type StateMachine } from "../../src/machine/index.ts";
import { POLL_WAIT_MS_MAX, Polls } from "../../src/node/polls.ts";
import type { NodeAnswer } from "../../src/protocol/node.ts";
import { HandClock } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const LEADER_TIMEOUT_MS = 600;

/** One process at the other end of a link. */
const peerNamed = (name: string): Peer => ({
  hello: { protocol: 1, cluster: "test", process: name, name, incarnation: name, epoch: null, url: null },
  bufferedBytes: 0,
  ref: () => ({ tell: () => true, ask: () => Promise.reject(new Error("nothing is asked here")) }),
});

/** A node whose machine takes so long for a question, and answers "3" once entry 3 is applied. */
function bench(limits: object = {}, own: object = {}) {
  const clock = new HandClock();
  const state = { costMs: 0, looked: 0, later: 0, got: [] as string[], hasLeader: true };
  const machine: StateMachine = {
    apply: (command) => command,
    query: (query) => query,
    poll: ([wanted = 0, bytes = 0]) => {
      clock.advance(state.costMs);
      state.looked++;
      if (wanted === 255) throw new Error("not that one");
      return replica.appliedIndex >= wanted ? new Uint8Array(bytes) : null;
    },
    snapshot: () => [],
    restore: async () => {},
    ...own,
  };
  const replica: Replica = new Replica(machine, () => {});
  const polls = new Polls({
    clock,
    replica,
    limits: { ...DEFAULT_LIMITS, ...limits },
    leaderTimeoutMs: LEADER_TIMEOUT_MS,
    continueLater: () => void state.later++,
  });
  const answerTo = (name: string): Answer<NodeAnswer> => ({
    ok: (one) => {
      const what = one.type === "polled" && one.result === null ? "nothing yet" : one.type;
      state.got.push(`${name}: ${what}`);
    },
    fail: (error: ConclaveError) => void state.got.push(`${name}: ${error.code}`),
  });
  let lastId = 0;
  const client = peerNamed("client");
  return Object.assign(state, {
    clock,
    polls,
    replica,
    client,
    run: (): void => polls.run(state.hasLeader),
    /** A question that is answered from entry `wanted` on. */
    ask: (name: string, wanted: number, { waitMs = 1_000, id = ++lastId, peer = client, bytes = 0 } = {}): void =>
      polls.ask({ id, waitMs, query: Uint8Array.of(wanted, bytes) }, peer, answerTo(name)),
    applyTo: (index: number): void => {
      while (replica.appliedIndex < index) replica.apply(replica.appliedIndex + 1, null);
    },
  });
}

const test = suite("node: polls");

test("a question is answered at once if it can be, else once more was applied", () => {
  const stage = bench();
  stage.applyTo(1);
  stage.ask("a", 1);
  stage.ask("b", 2);
  stage.run();
  assert.equal(stage.got, ["a: polled"]);
  stage.run();
  assert.is(stage.looked, 2, "nothing was applied, so nobody looks again");
  stage.applyTo(3);
  stage.run();
  assert.equal(stage.got, ["a: polled", "b: polled"]);
});

test("after its time a question is answered all the same: there is nothing yet", () => {
  const stage = bench();
  stage.ask("short", 9, { waitMs: 200 });
  stage.ask("long", 9, { waitMs: 1_000 });
  stage.ask("without end", 9, { waitMs: Number.MAX_SAFE_INTEGER });
  stage.run();
  const atMs = (ms: number): string[] => {
    stage.clock.advance(ms - stage.clock.nowMs());
    if (stage.later > 0) stage.run();
    return stage.got;
  };
  assert.equal(atMs(199), []);
  assert.equal(atMs(200), ["short: nothing yet"]);
  assert.equal(atMs(999), ["short: nothing yet"]);
  assert.equal(atMs(1_000).slice(1), ["long: nothing yet"]);
  assert.equal(atMs(POLL_WAIT_MS_MAX).slice(2), ["without end: nothing yet"]);
  assert.is(stage.clock.timers, 0, "no timer is left for nobody");
});

test("what came while its time ran out is answered, not missed", () => {
  const stage = bench();
  stage.ask("a", 1, { waitMs: 100 });
  stage.run();
  stage.clock.advance(100);
  stage.applyTo(1);
  stage.run();
  assert.equal(stage.got, ["a: polled"]);
});

test("many questions are looked at in slices, and each of them once", () => {
  const stage = bench();
  for (let i = 0; i < 10; i++) stage.ask(`${i}`, i < 5 ? 1 : 9);
  stage.run();
  assert.is(stage.looked, 10);
  stage.applyTo(1);
  stage.costMs = 2;
  stage.run();
  assert.equal([stage.looked, stage.later], [13, 1], "a turn ends after five milliseconds");
  while (stage.later > 0) {
    stage.later = 0;
    stage.run();
  }
  assert.is(stage.looked, 20);
  assert.equal(stage.got.length, 5);
});

test("no question waits for ever behind others, however fast entries come", () => {
  const stage = bench();
  for (let i = 0; i < 10; i++) stage.ask(`${i}`, 9);
  stage.run();
  stage.ask("last", 2);
  stage.run();
  stage.costMs = 2;
  for (let index = 2; stage.got.length === 0; index++) {
    assert.ok(index < 8, "by then everybody had a turn");
    stage.applyTo(index);
    stage.run();
  }
  assert.equal(stage.got, ["last: polled"]);
});

test("questions are bounded in number and in bytes, and those that are over make room", () => {
  const few = bench({ pollsMax: 2 });
  few.ask("a", 1);
  few.run();
  few.ask("b", 9);
  assert.throws(() => few.ask("c", 9), /Too many questions/);
  few.applyTo(1);
  few.run();
  few.ask("c", 9);
  assert.throws(() => few.ask("d", 9), /Too many questions/);
  few.polls.linkLost(few.client);
  few.ask("d", 9);

  const small = bench({ readBytesMax: 4 });
  small.ask("a", 9);
  small.ask("b", 9);
  assert.throws(() => small.ask("c", 9), /Too many questions/);
  small.polls.end(1, small.client);
  small.ask("c", 9);
});

test("a question ends with its link, or when its asker says so, without an answer", () => {
  const stage = bench();
  const other = peerNamed("other");
  stage.ask("a", 1, { id: 7 });
  stage.ask("b", 1, { id: 8 });
  stage.ask("c", 1, { id: 7, peer: other });
  stage.run();
  stage.polls.end(7, stage.client);
  stage.polls.end(99, stage.client);
  stage.polls.linkLost(other);
  stage.applyTo(1);
  stage.run();
  assert.equal(stage.got, ["b: polled"]);
  stage.ask("a again", 1, { id: 7 });
  assert.throws(() => stage.ask("twice", 1, { id: 7 }), /waits already/);
});

test("a node that knows of no leader for too long sends its askers on, new ones too, until it knows one again", () => {
  const stage = bench();
  stage.ask("a", 9, { waitMs: 10_000 });
  stage.run();
  stage.hasLeader = false;
  stage.run();
  stage.clock.advance(LEADER_TIMEOUT_MS);
  stage.run();
  assert.equal(stage.got, [], "an election takes its time");
  stage.clock.advance(1);
  stage.run();
  assert.equal(stage.got, ["a: NO_LEADER"]);
  stage.ask("b", 9);
  stage.run();
  assert.equal(stage.got.slice(1), ["b: NO_LEADER"]);
  stage.hasLeader = true;
  stage.run();
  stage.ask("c", 9);
  stage.run();
  assert.is(stage.got.length, 2);
});

test("a leader that is lost and found again in time is no reason to send anybody on", () => {
  const stage = bench();
  stage.ask("a", 9, { waitMs: 10_000 });
  for (const hasLeader of [true, false, true, false]) {
    stage.hasLeader = hasLeader;
    stage.run();
    stage.clock.advance(LEADER_TIMEOUT_MS - 1);
  }
  stage.run();
  assert.equal(stage.got, []);
});

test("a machine that fails on a question fails that one alone", () => {
  const stage = bench();
  stage.ask("a", 255);
  stage.ask("b", 0);
  stage.run();
  assert.equal(stage.got, ["a: MACHINE_FAILED", "b: polled"]);
});

test("a machine that takes no such questions says so", () => {
  const stage = bench({}, { poll: undefined });
  stage.ask("a", 0);
  stage.run();
  assert.equal(stage.got, ["a: BAD_MESSAGE"]);
});

test("an answer that does not fit into one message is an error", () => {
  const stage = bench({ messageBytesMax: 1_024 + 100 });
  stage.ask("a", 0, { bytes: 101 });
  stage.ask("b", 0, { bytes: 100 });
  stage.run();
  assert.equal(stage.got, ["a: ANSWER_TOO_LARGE", "b: polled"]);
});

test("all that wait are refused together, and nothing is left of them", () => {
  const stage = bench();
  stage.ask("a", 9);
  stage.run();
  stage.ask("b", 9);
  stage.polls.refuse(new ConclaveError("DIVERGED", "the state is wrong"));
  assert.equal([...stage.got].sort(), ["a: DIVERGED", "b: DIVERGED"]);
  stage.ask("c", 0);
  stage.run();
  assert.equal(stage.got.slice(2), ["c: polled"]);
});

test.run();
