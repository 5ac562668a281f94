/** A failing run becomes a smaller one that breaks the same invariant. */

import * as assert from "uvu/assert";
import { KeyValueMachine, type StateMachine } from "../../src/index.ts";
import {
  type Invariant,
  keyValueWorkload,
  type NewWorkload,
  type SimulationOptions,
  type SimulationResult,
  shrink,
  simulate,
} from "../../src/testing/index.ts";
import { suite } from "../support/suite.ts";

const test = suite("testing: shrink");

const EVENTS = 1_000;
const ALL = Array.from({ length: 40 }, (_, i) => i + 1);

interface Rule {
  /** Which invariant breaks with these faults, if one does. */
  readonly broken: (faults: readonly number[]) => Invariant | null;
  /** How many events it takes; the breach is looked at only at the end if null. */
  readonly event?: (faults: readonly number[]) => number | null;
  /** How many events have to go by before a breach can be found at the end. */
  readonly eventsMin?: number;
}

/** Instead of a simulation: says at once what comes of a run, and takes down which runs were asked for. */
function pretend({ broken, event = () => 500, eventsMin = 0 }: Rule) {
  const asked: SimulationOptions[] = [];
  const run = async (options: SimulationOptions): Promise<SimulationResult> => {
    asked.push(options);
    const { seed, events = EVENTS, faults = ALL } = options;
    const invariant = broken(faults);
    const at = event(faults) ?? events + 50;
    const isSeen = event(faults) === null ? events >= eventsMin : at <= events;
    return {
      seed,
      breach: invariant === null || !isSeen ? null : { invariant, detail: "", atMs: 1, event: at },
      events: Math.min(at, events + 50),
      virtualMs: 1,
      faults: faults.filter((number) => ALL.includes(number)),
      faultCounts: {},
      sights: {
        elections: 0,
        contested: 0,
        truncations: 0,
        tornTails: 0,
        sessionsExpired: 0,
        transfers: 0,
        works: 0,
        grants: 0,
        losses: 0,
        timersRunOut: 0,
        comparisons: 0,
        divergences: 0,
        repairs: 0,
        configurations: 0,
        compactions: 0,
        fullDisks: 0,
        promotions: 0,
        removals: 0,
        rejoins: 0,
        snapshotsTaken: 0,
        snapshotsInstalled: 0,
        snapshotsResumed: 0,
        snapshotsDamaged: 0,
        stuck: 0,
      },
      recent: [],
    };
  };
  return { run, asked };
}

/** Shrinks what comes of seed 1 with this rule. */
async function shrunken(rule: Rule, attemptsMax = 200) {
  const { run, asked } = pretend(rule);
  const options: SimulationOptions = { seed: 1, events: EVENTS };
  const shrunk = await shrink(options, await run(options), { simulate: run, attemptsMax });
  return { ...shrunk, asked };
}

const needs =
  (...needed: readonly number[]) =>
  (faults: readonly number[]): Invariant | null =>
    needed.every((number) => faults.includes(number)) ? "election-safety" : null;

test("the faults that are needed are left, wherever they are, and no others", async () => {
  for (const needed of [[7], [1, 40], [3, 17, 40], [5, 6, 7, 8], ALL]) {
    const { options, result } = await shrunken({ broken: needs(...needed) });
    assert.equal(options.faults ?? ALL, needed);
    assert.equal(result.faults, needed);
  }
});

test("where no fault is needed, one attempt shows it", async () => {
  const { options, asked } = await shrunken({ broken: needs() });
  assert.equal(options.faults, []);
  assert.equal(asked[1]?.faults, []);
});

test("what comes after the breach is cut off, also when the breach comes earlier with fewer faults", async () => {
  const { options } = await shrunken({ broken: needs(3), event: (faults) => 100 + faults.length });
  assert.is(options.events, 101);
});

test("an invariant that is looked at only at the end is looked at earlier, as far as it still breaks", async () => {
  const { options } = await shrunken({ broken: needs(3), event: () => null, eventsMin: 333 });
  assert.ok((options.events ?? EVENTS) >= 333 && (options.events ?? EVENTS) < 400, `${options.events}`);
});

test("a run that breaks another invariant is another failure", async () => {
  const broken = (faults: readonly number[]): Invariant => (faults.includes(9) ? "election-safety" : "workload");
  const { options, result } = await shrunken({ broken });
  assert.equal(options.faults, [9]);
  assert.is(result.breach?.invariant, "election-safety");
});

test("no more runs are tried than allowed, and the best so far is kept", async () => {
  const { options, result, attempts, asked } = await shrunken({ broken: needs(3, 17, 40) }, 5);
  assert.is(attempts, 5);
  assert.is(asked.length, 6, "with the run that failed first");
  assert.ok(needs(3, 17, 40)(options.faults ?? ALL) !== null && result.breach !== null);
});

test("it tells of every attempt how far it has come", async () => {
  const { run } = pretend({ broken: needs(3) });
  const told: number[] = [];
  const options: SimulationOptions = { seed: 1, events: EVENTS };
  await shrink(options, await run(options), { simulate: run, onAttempt: ({ faults }) => told.push(faults) });
  assert.is(told.at(-1), 1);
  assert.equal(
    told,
    told.toSorted((a, b) => b - a),
    "never more than before",
  );
});

test("a run in which nothing broke is refused", async () => {
  const { run } = pretend({ broken: () => null });
  const options: SimulationOptions = { seed: 1 };
  const error = await shrink(options, await run(options), { simulate: run }).catch((reason: unknown) => reason);
  assert.instance(error, RangeError);
});

/** Its replicas part after the first put. */
class Parting extends KeyValueMachine implements StateMachine {
  override apply(command: Uint8Array): Uint8Array {
    const result = super.apply(command);
    return Uint8Array.from([...result, Math.floor(Math.random() * 256)]);
  }
}

/** Says at the end that something is wrong if two nodes or more had to be started again. */
const afraidOfRestarts: NewWorkload = (nowMs) => {
  const lives = new Set<string>();
  const workload = keyValueWorkload(nowMs);
  return {
    ...workload,
    work: async (worker) => {
      for (const node of worker.nodes) lives.add(worker.lifeOf(node));
      await workload.work(worker);
    },
    judge: (report) => {
      if (lives.size >= 3 + 2) report("workload", `there were ${lives.size} lives`);
    },
  };
};

test("a real run fails as before with what is left, and shrinks to the same again", async () => {
  let options: SimulationOptions = { seed: 1, nodes: 3, profile: "hostile", events: 1_500, workload: afraidOfRestarts };
  let failing = await simulate(options);
  while (failing.breach === null && options.seed < 50) {
    options = { ...options, seed: options.seed + 1 };
    failing = await simulate(options);
  }
  assert.is(failing.breach?.invariant, "workload");
  const shrunk = await shrink(options, failing, { attemptsMax: 12 });
  assert.ok(shrunk.result.faults.length < failing.faults.length && shrunk.result.faults.length > 0);
  assert.ok((shrunk.options.events ?? 0) < 1_500);
  assert.equal(await simulate(shrunk.options), shrunk.result);
  assert.equal(await shrink(options, failing, { attemptsMax: 12 }), shrunk);
});

test("a machine whose replicas part needs no fault at all", async () => {
  const options: SimulationOptions = {
    seed: 1,
    nodes: 3,
    events: 3_000,
    workload: (nowMs) => ({ ...keyValueWorkload(nowMs), machine: () => new Parting() }),
  };
  const { options: left, result } = await shrink(options, await simulate(options));
  assert.equal(left.faults, []);
  assert.is(result.breach?.invariant, "state-machine-safety");
  assert.ok((left.events ?? 0) < 1_000, `${left.events} events`);
});

test.run();
