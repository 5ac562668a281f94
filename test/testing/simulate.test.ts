/**
 * The same seed gives the same run, event for event, on every runtime. What a seed gives is kept in
 * `trace-hashes.json`; whatever changes the order of events anywhere changes it:
 *
 *     TRACE_HASHES=write node test/testing/simulate.test.ts
 */

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import * as process from "node:process";
import { setTimeout } from "node:timers/promises";
import * as assert from "uvu/assert";
import {
  keyValueWorkload,
  type NewWorkload,
  type SimulationOptions,
  simulate,
  type Worker,
} from "../../src/testing/index.ts";
import { suite } from "../support/suite.ts";

const test = suite("testing: simulate");

const FILE = path.join(import.meta.dirname, "trace-hashes.json");
const WRITE = "TRACE_HASHES=write node test/testing/simulate.test.ts";

const RUNS: readonly SimulationOptions[] = [
  { seed: 1, profile: "calm", events: 2_000 },
  { seed: 2, profile: "faulty", events: 2_000 },
  { seed: 3, profile: "hostile", nodes: 3, events: 3_000 },
  { seed: 4, profile: "hostile", nodes: 5, events: 3_000 },
  { seed: 5, profile: "divided", events: 2_000 },
  { seed: 6, profile: "parted", events: 3_000 },
];
const [, , hostile = { seed: 3 }] = RUNS;

interface Traced {
  /** A digest of everything that happened, with its times to the last digit. */
  readonly hash: string;
  readonly faults: readonly number[];
}

async function traced(options: SimulationOptions): Promise<Traced> {
  const hash = createHash("sha256");
  const { faults } = await simulate({ ...options, trace: (line) => hash.update(`${JSON.stringify(line)}\n`) });
  return { hash: hash.digest("hex"), faults };
}

const nameOf = ({ seed, profile, nodes, events }: SimulationOptions): string =>
  `seed ${seed}, ${profile}, ${nodes ?? "3 or 5"} nodes, ${events} events`;

if (process.env["TRACE_HASHES"] === "write") {
  const hashes: Record<string, string> = {};
  for (const run of RUNS) hashes[nameOf(run)] = (await traced(run)).hash;
  writeFileSync(FILE, `${JSON.stringify(hashes, null, 2)}\n`);
}

const recorded: Readonly<Record<string, string>> = JSON.parse(readFileSync(FILE, "utf8"));

for (const run of RUNS) {
  test(`what happened on one runtime happens on this one: ${nameOf(run)}`, async () => {
    const { hash, faults } = await traced(run);
    assert.is(hash, recorded[nameOf(run)], `another run; if that is right: ${WRITE}`);
    assert.is((await traced({ ...run, faults })).hash, hash, "with only the faults that came about, it is the same");
  });
}

test("another seed gives another run", async () => {
  const { hash } = await traced({ ...hostile, seed: hostile.seed + 1 });
  assert.not(Object.values(recorded).includes(hash));
});

test("a pause, however long, changes nothing, whatever promises are under way", async () => {
  const workload: NewWorkload = (nowMs) => {
    const { work, ...rest } = keyValueWorkload(nowMs);
    const slowly = async (worker: Worker): Promise<void> => {
      for (let turn = 0; turn < 800; turn++) await null;
      await work(worker);
    };
    return { ...rest, work: slowly };
  };
  let pauses = 0;
  const pause = async (): Promise<void> => {
    pauses++;
    await setTimeout(5);
  };
  const run: SimulationOptions = { seed: 1, profile: "calm", events: 5_000, workload };
  assert.is((await traced({ ...run, pause })).hash, (await traced(run)).hash);
  assert.ok(pauses > 1, `${pauses} pauses`);
});

test("a pause that throws ends the run with what it threw", async () => {
  const error = new Error("enough");
  const caught = await simulate({ ...hostile, pause: () => Promise.reject(error) }).catch((reason: unknown) => reason);
  assert.is(caught, error);
});

test("a fault that is left out does not come about, and those before it are as they were", async () => {
  const told = async (faults?: readonly number[]): Promise<string[]> => {
    const lines: string[] = [];
    const options = faults === undefined ? hostile : { ...hostile, faults };
    await simulate({
      ...options,
      trace: ({ atMs, event }) => {
        if (event.type === "fault") lines.push(`${atMs} ${event.number} ${event.kind} ${event.detail}`);
      },
    });
    return lines;
  };
  const all = await told();
  const numbers = all.map((line) => Number(line.split(" ")[1]));
  const half = Math.floor(numbers.length / 2);
  const without = await told(numbers.filter((_, i) => i !== half));
  assert.equal(without.slice(0, half), all.slice(0, half));
  assert.not(without.some((line) => Number(line.split(" ")[1]) === numbers[half]));
});

test.run();
