/** What is looked after from outside, told of something that must not be. */

import * as assert from "uvu/assert";
import { bootstrap, createRaft, Log, logIndex, type Raft, term } from "../../src/raft/index.ts";
import { DurableLog } from "../../src/testing/durable-log.ts";
import { Invariants } from "../../src/testing/invariants.ts";
import { DEFAULTS } from "../raft/server.ts";
import { suite } from "../support/suite.ts";

const test = suite("invariants");

const NODES = ["n1", "n2", "n3"];

interface Watch {
  readonly invariants: Invariants;
  readonly found: string[];
  readonly rafts: ReadonlyMap<string, Raft>;
  /** Lets a replica apply a command of an entry. */
  apply(id: string, index: number, command?: number, result?: number): void;
}

const BEGINNING = {
  snapshot: {
    index: logIndex(0),
    term: term(0),
    configuration: bootstrap(NODES.map((id) => ({ id, url: `ws://${id}` }))),
  },
  configurations: [],
  needsReset: false,
};

/** Replicas that have just started, and know of ten committed entries. */
function watch(isKnown = true): Watch {
  const found: string[] = [];
  const invariants = new Invariants(
    (invariant) => found.push(invariant),
    () => isKnown,
  );
  const rafts = new Map<string, Raft>();
  for (const id of NODES) {
    const hardState = { term: term(0), vote: null, commitIndex: logIndex(0) };
    const raft = createRaft(
      { id, incarnation: id, ...DEFAULTS },
      { ...BEGINNING, hardState, log: new Log(), isAdmitted: false },
      0,
      1,
    );
    invariants.started(id, raft, new DurableLog());
    raft.commitIndex = logIndex(10);
    rafts.set(id, raft);
  }
  const apply: Watch["apply"] = (id, index, command = index, result = index) =>
    invariants.applied(id, index, new Uint8Array([command]), new Uint8Array([result]));
  return { invariants, found, rafts, apply };
}

test("replicas that apply the same, each at its own time, are sound", () => {
  const { found, apply } = watch();
  for (const id of NODES) for (const index of [2, 3, 3, 7, 10]) apply(id, index);
  assert.equal(found, []);
});

test("an entry that is not committed", () => {
  const { found, apply } = watch();
  apply("n1", 11);
  assert.equal(found, ["applied-in-order"]);
});

test("an entry again, or an earlier one", () => {
  const { found, apply } = watch();
  for (const index of [2, 3, 2]) apply("n1", index);
  assert.equal(found, ["applied-in-order"]);
});

test("an entry that another replica has applied and this one leaves out, or the other way round", () => {
  for (const [first, second] of [
    [
      [2, 3, 4],
      [2, 4],
    ],
    [
      [2, 4],
      [2, 3, 4],
    ],
  ] as const) {
    const { found, apply } = watch();
    for (const index of first) apply("n1", index);
    for (const index of second) apply("n2", index);
    assert.equal(found, ["applied-in-order"]);
  }
});

test("a command of an entry twice, where another replica has applied it once", () => {
  const { found, apply } = watch();
  for (const index of [2, 3]) apply("n1", index);
  for (const index of [2, 2, 3]) apply("n2", index);
  assert.equal(found, ["applied-in-order"]);
});

test("another command, or another result, than a replica before it", () => {
  const { found, apply } = watch();
  apply("n1", 2, 1, 1);
  apply("n2", 2, 1, 2);
  apply("n3", 2, 2, 1);
  assert.equal(found, ["state-machine-safety", "state-machine-safety"]);
});

test("a server that takes part, although some other has not met it", () => {
  for (const isKnown of [true, false]) {
    const { found, invariants, rafts } = watch(isKnown);
    Object.assign(rafts.get("n1") ?? {}, { isAdmitted: true, commitIndex: logIndex(0) });
    invariants.inspect("n1");
    assert.equal(found, isKnown ? [] : ["admitted-first"]);
  }
});

test.run();
