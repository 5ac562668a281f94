/** `scripts/simulate.ts` as a person runs it, and what it would print if an invariant broke. */

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import * as path from "node:path";
import { setTimeout } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import * as assert from "uvu/assert";
import { type Given, readPlan } from "../../src/cli/simulation/plan.ts";
import { simulateOne } from "../../src/cli/simulation/simulate-one.ts";
import { addTo, emptyTally } from "../../src/cli/simulation/tally.ts";
import { commandOf, failureText, progressText, summaryText, traceText } from "../../src/cli/simulation/text.ts";
import { messageOf } from "../../src/errors.ts";
import { hasCode, KeyValueMachine } from "../../src/index.ts";
import {
  INVARIANTS,
  keyValueWorkload,
  type NewWorkload,
  PROFILES,
  type SimulationResult,
  simulate,
  type Worker,
} from "../../src/testing/index.ts";
import { PROJECT, Running, scriptCommand } from "../end-to-end/cluster.ts";
import { suite } from "../support/suite.ts";

const test = suite("scripts: simulate");

const isNode = !("Deno" in globalThis) && !("Bun" in globalThis);
const [command, script] = scriptCommand("simulate.ts");
const TYPED = "node scripts/simulate.ts";

/** Runs the script to its end. */
function run(...args: readonly string[]): { code: number | null; output: string; errors: string } {
  const { status, stdout, stderr } = spawnSync(command, [...script, ...args], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
  });
  return { code: status, output: stdout, errors: stderr };
}

test("a seed on which every invariant holds: a summary, and exit code 0", () => {
  const { code, output, errors } = run("--seed", "7", "--events", "1000");
  assert.is(code, 0, errors);
  const [verdict, ...summary] = output.split("\n");
  assert.is(verdict, "✔ every invariant held");
  for (const row of [
    /^seeds +1$/m,
    /^events +[1-9],\d{3}, .* a second$/m,
    /^virtual +\d.* hours$/m,
    /^faults +\d+: \w/m,
  ]) {
    assert.match(summary.join("\n"), row);
  }
  for (const sight of ["elections", "contested", "truncations", "torn tails"]) assert.match(output, `${sight} `);
});

test("--json prints one object, also for many seeds", () => {
  const { code, output } = run("--seed", "7", "--seeds", "3", "--events", "300", "--profile", "faulty", "--json");
  assert.is(code, 0);
  const { seeds, events, eventsPerSecond, virtualMs, sights, interrupted, failure } = JSON.parse(output);
  assert.equal({ seeds, interrupted, failure }, { seeds: 3, interrupted: false, failure: null });
  assert.ok(events >= 900 && eventsPerSecond > 0 && virtualMs > 0 && sights.elections > 0, output);
});

test("fresh seeds until the minutes are over", () => {
  const { code, output } = run("--minutes", "0.005", "--events", "100");
  assert.is(code, 0);
  assert.ok(Number(/^seeds +(\d+)$/m.exec(output)?.[1]) >= 1, output);
});

test("a rejected promise that nobody asked after is a breach, as it would end a process", async () => {
  const careless: NewWorkload = (nowMs) => {
    const workload = keyValueWorkload(nowMs);
    const work = async (worker: Worker): Promise<void> => {
      void Promise.reject(new Error("left behind"));
      await workload.work(worker);
    };
    return { ...workload, work };
  };
  const { breach } = await simulateOne({ seed: 1, events: 300, workload: careless });
  assert.is(breach?.invariant, "process-lives");
  assert.match(breach?.detail ?? "", /nobody had asked after it: Error: left behind/);
  assert.is((await simulateOne({ seed: 1, events: 300 })).breach, null, "the next run is another matter");
});

test("a mistake is one line, and exit code 1", () => {
  for (const args of [
    ["--seed", "x"],
    ["--sed", "1"],
  ]) {
    const { code, output, errors } = run(...args);
    assert.is(code, 1);
    assert.is(output, "");
    assert.match(errors, /^\S.*\n$/);
  }
});

test("one seed is one run, many are many, and without either it goes on for a minute", () => {
  const counts = (given: Given) => {
    const { firstSeed, seedsMax, minutesMax } = readPlan(given);
    return { firstSeed, seedsMax, minutesMax };
  };
  const forever = Number.POSITIVE_INFINITY;
  assert.equal(counts({ seed: "7" }), { firstSeed: 7, seedsMax: 1, minutesMax: forever });
  assert.equal(counts({ seed: "7", seeds: "3" }), { firstSeed: 7, seedsMax: 3, minutesMax: forever });
  assert.equal(counts({ seed: "7", minutes: "2.5" }), { firstSeed: 7, seedsMax: forever, minutesMax: 2.5 });
  assert.equal(counts({ seeds: "3" }), { firstSeed: null, seedsMax: 3, minutesMax: forever });
  assert.equal(counts({}), { firstSeed: null, seedsMax: forever, minutesMax: 1 });
});

test("a run is hostile unless told otherwise, and all that is not said is left to the seed", () => {
  assert.equal([readPlan({ seed: "1" }).profiles, readPlan({ seed: "1" }).run], [["hostile"], {}]);
  assert.equal(readPlan({ seeds: "9" }).profiles, PROFILES, "each in turn");
  const all = { seed: "1", profile: "calm", events: "200", nodes: "4", faults: "3,17" };
  assert.equal(readPlan(all).profiles, ["calm"]);
  assert.equal(readPlan(all).run, { events: 200, nodes: 4, faults: [3, 17] });
  assert.equal(readPlan({ seed: "1", faults: "none" }).run.faults, []);
});

const MISTAKES: readonly Given[] = [
  { seed: "4294967296" },
  { seed: "" },
  { seeds: "0" },
  { events: "1.5" },
  { nodes: "2" },
  { profile: "mild" },
  { minutes: "0" },
  { seed: "1", faults: "a" },
  { seed: "1", faults: "" },
  { faults: "1" },
  { trace: true },
  { seed: "1", seeds: "2", trace: true },
  { seed: "1", trace: true, json: true },
];
for (const mistake of MISTAKES) {
  test(`this is refused with a reason: ${JSON.stringify(mistake)}`, () => {
    assert.throws(
      () => readPlan(mistake),
      (error: unknown) => hasCode(error, "INVALID_ARGUMENT") && /^--/.test(messageOf(error)),
    );
  });
}

for (const args of [
  ["--minutes", "1"],
  ["--seed", "1", "--events", "100000000"],
]) {
  test(`Ctrl-C ends it with its summary, and exit code 130: ${args.join(" ")}`, async () => {
    // A process tells nobody from when on it takes notice of signals: until then they end it, and it is tried again.
    for (const waitMs of [1_500, 5_000, 10_000]) {
      const running = new Running(command, [...script, ...args, "--json"]);
      await setTimeout(waitMs);
      await running.kill("SIGINT");
      const { code } = await running.exited;
      if (code !== 130 && waitMs < 10_000) continue;
      assert.is(code, 130, running.errors);
      assert.is(JSON.parse(running.output).interrupted, true);
      return;
    }
  });
}

const TRACE = [path.join(PROJECT, "scripts", "simulate.ts"), "--seed", "7", "--events", "2000", "--trace"];
const traceOn = (binary: string, args: readonly string[]): Buffer =>
  execFileSync(binary, [...args, ...TRACE], { env: { ...process.env, NO_COLOR: "1" } });

let ours: Buffer | null = null;
for (const [name, ...args] of [["deno", "run", "--allow-all"], ["bun"]] as const) {
  const title = `a trace is the same on Node and on ${name}, byte for byte`;
  const binary = path.join(PROJECT, "node_modules", ".bin", name);
  if (!isNode) test.skip(title, "Node's test does it for all");
  else if (!existsSync(binary)) test.skip(title, `${name} is not installed`);
  else {
    test(title, () => {
      ours ??= traceOn(command, []);
      assert.ok(ours.toString().split("\n").length > 2_000, "there is a trace");
      assert.ok(ours.equals(traceOn(binary, args)), "the traces differ");
    });
  }
}

/** Comes to another result on every replica. */
class Parting extends KeyValueMachine {
  override apply(bytes: Uint8Array): Uint8Array {
    return Uint8Array.from([...super.apply(bytes), Math.floor(Math.random() * 256)]);
  }
}

const failing = (): Promise<SimulationResult> =>
  simulate({
    seed: 5,
    events: 3_000,
    workload: (nowMs) => ({ ...keyValueWorkload(nowMs), machine: () => new Parting() }),
  });

test("a broken invariant is named and explained, after what came before it and before the command that shows it", async () => {
  const { breach, recent } = await failing();
  assert.ok(breach !== null);
  const lines = stripVTControlCharacters(failureText({ seed: 5, events: 3_000 }, breach, recent, TYPED)).split("\n");
  const told = lines.slice(0, lines.indexOf(""));
  assert.is(told.length, recent.length);
  for (const line of told) assert.match(line, /^00:00:0\d\.\d{3} (n\d|directory|fault \d+) +\S/);
  const [verdict, detail, where, again] = lines.slice(told.length + 1);
  assert.is(verdict, `✘ state-machine-safety: ${INVARIANTS["state-machine-safety"]}`);
  assert.is(detail, `  ${breach.detail}`);
  assert.match(where ?? "", /^ {2}seed 5, profile hostile, 00:00:0\d\.\d{3}, event [\d,]+$/);
  assert.is(again, "  node scripts/simulate.ts --seed 5 --profile hostile --events 3000");
});

test("what a broken invariant tells can't steer the terminal", () => {
  const breach = { invariant: "workload", detail: "one\nt\u001b[2Jwo", atMs: 1, event: 1 } as const;
  assert.match(failureText({ seed: 1 }, breach, [], TYPED), "  one\n  t\\x1b[2Jwo\n");
});

test("the command names what was asked for, and is understood", () => {
  assert.is(commandOf({ seed: 1 }, TYPED), "node scripts/simulate.ts --seed 1 --profile hostile");
  const all = commandOf({ seed: 1, profile: "calm", nodes: 3, events: 200, faults: [1, 2] }, TYPED);
  assert.is(all, "node scripts/simulate.ts --seed 1 --profile calm --nodes 3 --events 200 --faults 1,2");
  const none = commandOf({ seed: 1, events: 1_000, faults: [] }, TYPED);
  assert.match(run(...none.split(" ").slice(2)).output, /^faults +none$/m);
});

test("every line of a trace has its virtual time and tells of a node, of the world, or of a fault", () => {
  const plain = (line: Parameters<typeof traceText>[0]): string => stripVTControlCharacters(traceText(line));
  const atMs = 3_723_004.9;
  const fault = { type: "fault", number: 3, kind: "cut-off", detail: "n1 | n2" } as const;
  assert.is(
    plain({ atMs, process: "n1", event: { type: "story", story: { event: "admitted" } } }),
    "01:02:03.004 n1        is known to every other node, and takes part from now on",
  );
  assert.is(plain({ atMs, process: "", event: { type: "event", what: "work" } }), "01:02:03.004           work");
  assert.is(plain({ atMs, process: "", event: fault }), "01:02:03.004 fault 3   cut-off n1 | n2");
});

test("progress is one line, and the summary adds up all runs", async () => {
  const tally = emptyTally();
  const results = [await failing(), await simulate({ seed: 1, events: 500 })];
  for (const result of results) addTo(tally, result);
  const sum = (of: (result: SimulationResult) => number): number => results.reduce((total, one) => total + of(one), 0);
  const progress = stripVTControlCharacters(progressText(tally, 2_000));
  assert.match(progress, /^2 seeds; [\d,]+ events\/s; [\d.]+ virtual hours; works .*; \d+ faults: \w[^\n]*$/);
  const summary = stripVTControlCharacters(summaryText(tally, 2_000));
  assert.match(summary, `events   ${sum(({ events }) => events).toLocaleString("en-US")}, `);
  assert.match(summary, new RegExp(`^faults +${sum(({ faults }) => faults.length)}: `, "m"));
  assert.match(summary, `elections ${sum(({ sights }) => sights.elections)}`);
});

test.run();
