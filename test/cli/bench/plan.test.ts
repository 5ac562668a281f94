/** What the benchmark makes of its command line. */

import { spawnSync } from "node:child_process";
import * as assert from "uvu/assert";
import { type Given, readPlan, usage } from "../../../src/cli/bench/plan.ts";
import { DEFAULT_WORKLOADS, WORKLOADS } from "../../../src/cli/bench/workloads.ts";
import { hasCode } from "../../../src/errors.ts";
import { scriptCommand } from "../../end-to-end/cluster.ts";
import { suite } from "../../support/suite.ts";

const test = suite("cli: bench: plan");

test("by default it is three nodes, 64 bytes, and what does not take too long", () => {
  const { workloads, ...others } = readPlan({});
  assert.equal(others, { nodes: 3, valueBytes: 64, seconds: 5, warmUpSeconds: 5, ceiling: null });
  assert.equal(workloads, DEFAULT_WORKLOADS);
  assert.not(workloads.includes("growth"));
  assert.ok(["latency", "callers", "pipelined", "failover", "nodes-7"].every((name) => workloads.includes(name)));
});

test("there need not be a warm-up", () => assert.is(readPlan({ "warm-up": "0" }).warmUpSeconds, 0));

test("--only takes names and groups, and they are run in their own order", () => {
  assert.equal(readPlan({ only: "growth,gets,latency" }).workloads, [
    "latency",
    "gets-latency",
    "gets-callers",
    "gets-pipelined",
    "growth",
  ]);
  assert.equal(readPlan({ only: "clients" }).workloads, ["clients-1000", "clients-10000"]);
  assert.equal(readPlan({ only: "pipelined" }).workloads, ["pipelined"]);
});

const mistakes: readonly (readonly [Given, RegExp])[] = [
  [{ nodes: "0" }, /^--nodes is a whole number from 1 to 31, not "0"\.$/],
  [{ nodes: "three" }, /--nodes/],
  [{ value: "9" }, /^--value is a whole number from 10 /],
  [{ value: "1e3" }, /--value/],
  [{ seconds: "0" }, /^--seconds is a number above 0/],
  [{ seconds: "" }, /--seconds/],
  [{ "warm-up": "-1" }, /^--warm-up is a number from 0 to 3600, not "-1"\.$/],
  [{ "warm-up": "" }, /--warm-up/],
  [{ only: "latenci" }, /^--only knows no "latenci", only latency, callers, .*growth\.$/],
  [{ only: "" }, /^--only knows no ""/],
  [{ only: "idle", ceiling: "ceiling.mjs" }, /^--ceiling has nothing to compare with/],
];
for (const [given, message] of mistakes) {
  test(`a mistake is named: ${JSON.stringify(given)}`, () => {
    assert.throws(
      () => readPlan(given),
      (error: unknown) => hasCode(error, "INVALID_ARGUMENT") && message.test(error.message),
    );
  });
}

test("--help names every workload, and how it is called", () => {
  for (const name of WORKLOADS) assert.match(usage("bench"), new RegExp(`\\b${name}\\b`));
});

for (const [script, args, message] of [
  ["bench.ts", ["--only", "nothing"], /^INVALID_ARGUMENT --only knows no "nothing".*\n$/],
  ["bench.ts", ["--ceiling", "/nowhere/ceiling.mjs"], /^INVALID_ARGUMENT --ceiling: there is no file \/nowhere\/.*\n$/],
  ["bench.ts", ["--save", "/nowhere/results.json"], /^INVALID_ARGUMENT --save: there is no folder \/nowhere\.\n$/],
  ["bench.ts", ["--save", "/"], /^INVALID_ARGUMENT --save: \/ is a folder.*\n$/],
  ["bench.ts", ["--bogus"], /^INVALID_ARGUMENT .*--bogus.*--help.*\n$/],
  ["bench-chart.ts", [], /^INVALID_ARGUMENT RESULTS is needed.*\n$/],
  ["bench-chart.ts", ["/nowhere/results.json"], /^INVALID_ARGUMENT \/nowhere\/results\.json can't be read.*\n$/],
] as const) {
  test(`a mistake is one line, and exit code 1: ${script} ${args.join(" ")}`, () => {
    const [command, rest] = scriptCommand(script);
    const env = { ...process.env, NO_COLOR: "1" };
    const { status, stdout, stderr } = spawnSync(command, [...rest, ...args], { encoding: "utf8", env });
    assert.is(status, 1);
    assert.is(stdout, "");
    assert.match(stderr, message);
  });
}

test.run();
