/** The benchmark as a person runs it. */

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout } from "node:timers/promises";
import * as assert from "uvu/assert";
import { connectTo } from "../../src/cli/connect.ts";
import { readConfig } from "../../src/config/index.ts";
import { suite } from "../support/suite.ts";
import { Running, scriptCommand } from "./cluster.ts";

const test = suite("end to end: bench");

/** A busy machine may take its time. */
const SLOW = { timeoutMs: 90_000 };

/** Runs the benchmark in a folder for all its temporary files; what is left of it is looked for in the end. */
async function withBench(
  args: readonly string[],
  act: (bench: Running, folder: string) => Promise<void>,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-bench-test-"));
  const [command, rest] = scriptCommand("bench.ts");
  const bench = new Running(command, [...rest, ...args], { TMPDIR: folder, NO_COLOR: "1", ...env });
  try {
    await act(bench, folder);
    assert.equal(readdirSync(folder), [], "no file is left");
    assert.equal(processesOf(folder), [], "no process is left");
  } finally {
    await bench.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Every process of a benchmark but the first is told of a file in its folder: their numbers and arguments. */
const processesOf = (folder: string): string[] =>
  execFileSync("ps", ["-Awwo", "pid=,args="], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes(folder));

const pidsOf = (folder: string, args = ""): number[] =>
  processesOf(folder)
    .filter((line) => line.includes(args))
    .map((line) => Number.parseInt(line, 10));

/** Waits until all nodes of its first cluster, and the load, are there. */
async function running(folder: string): Promise<string> {
  while (!processesOf(folder).some((line) => line.includes('"throughput"'))) await setTimeout(50);
  const [bench = ""] = readdirSync(folder);
  const config = path.join(folder, bench, "1", "cluster.config.json");
  assert.ok(existsSync(config));
  assert.is(processesOf(folder).length, 5, "a directory, three nodes and a load");
  return config;
}

test(
  "figures for what was asked for, a file of them to draw, and nothing else is left behind",
  async () => {
    const kept = mkdtempSync(path.join(os.tmpdir(), "conclave-results-test-"));
    const file = path.join(kept, "results.json");
    try {
      await withBench(
        ["--only", "latency,gets-latency", "--seconds", "1", "--warm-up", "0.5", "--json", "--save", file],
        async (bench) => {
          assert.equal(await bench.exited, { code: 0, signal: null }, bench.errors);
          const results = JSON.parse(bench.output);
          assert.equal([results.nodes, results.value_bytes], [3, 64]);
          for (const { connections, outstanding, ops, p50_ms, p99_ms } of [results.latency, results["gets-latency"]]) {
            assert.equal([connections, outstanding], [1, 1]);
            assert.ok(ops > 0 && p50_ms > 0 && p99_ms >= p50_ms, bench.output);
          }
          assert.not("callers" in results);
          assert.equal(JSON.parse(readFileSync(file, "utf8")), results);
        },
      );
      const [command, rest] = scriptCommand("bench-chart.ts");
      const chart = new Running(command, [...rest, file]);
      assert.equal(await chart.exited, { code: 0, signal: null }, chart.errors);
      assert.match(chart.output, /^<svg .*gets-latency.*<\/svg>\n$/s);
    } finally {
      rmSync(kept, { recursive: true });
    }
  },
  SLOW,
);

test(
  "what a writer was held up by, each time that the leader has handed over, or was killed and has come back",
  () =>
    withBench(["--only", "transfer,failover", "--json"], async (bench) => {
      assert.equal(await bench.exited, { code: 0, signal: null }, bench.errors);
      const { transfer, failover } = JSON.parse(bench.output);
      for (const { median_ms, max_ms, pauses_ms } of [transfer, failover]) {
        assert.is(pauses_ms.length, 10);
        assert.ok(median_ms > 0 && max_ms >= median_ms, bench.output);
      }
    }),
  SLOW,
);

test(
  "figures that can't be saved are shown all the same",
  () => {
    const kept = mkdtempSync(path.join(os.tmpdir(), "conclave-results-test-"));
    const args = ["--only", "latency", "--seconds", "1", "--warm-up", "0", "--json", "--save", path.join(kept, "file")];
    return withBench(args, async (bench, folder) => {
      await running(folder);
      rmSync(kept, { recursive: true });
      assert.equal(await bench.exited, { code: 1, signal: null });
      assert.ok(JSON.parse(bench.output).latency.ops > 0);
      assert.match(bench.errors, /^DISK_FAILED --save: ENOENT.*$/m);
      assert.not.match(bench.errors, /^ +at /m);
    });
  },
  SLOW,
);

/** A ceiling that takes no time, or no end. */
const CEILING = `
import { spawn } from "node:child_process";
import { appendFileSync } from "node:fs";
const figures = { ops: 1e9, p50_ms: 1e-6, p99_ms: 1 };
const [...args] = process.argv.slice(2);
if (args[0] === "child") setInterval(() => {}, 1000);
else if (process.env.CEILING_HANGS) {
  const runtime = "Deno" in globalThis ? ["run", "--allow-all"] : [];
  spawn(process.execPath, [...runtime, process.argv[1], "child", process.env.TMPDIR], { stdio: "ignore" });
  setInterval(() => {}, 1000);
} else {
  appendFileSync(process.argv[1] + ".log", args.join(" ") + "\\n");
  console.log(JSON.stringify({ args, latency: figures, callers: figures, pipelined: figures }));
}
`;

async function withCeiling(act: (file: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-ceiling-test-"));
  const file = path.join(folder, "ceiling.mjs");
  writeFileSync(file, CEILING);
  try {
    await act(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test(
  "beside a ceiling, figures are given as a share of what it did before and after",
  () =>
    withCeiling((ceiling) =>
      withBench(
        [
          "--only",
          "latency,stale-latency,large",
          "--seconds",
          "0.5",
          "--warm-up",
          "0",
          "--value",
          "32",
          "--json",
          "--ceiling",
          ceiling,
        ],
        async (bench) => {
          assert.equal(await bench.exited, { code: 0, signal: null }, bench.errors);
          const { latency, large, ceiling: both, "stale-latency": stale } = JSON.parse(bench.output);
          assert.equal(both.before.args, ["--nodes", "3", "--value", "32", "--json"]);
          assert.equal(both.after, both.before);
          assert.ok(latency.ops_share < 0.01 && latency.p50_multiple > 100, bench.output);
          assert.not("ops_share" in stale, "the ceiling has no such workload");
          assert.ok(large.ops_share < 0.01 && large.p50_multiple > 100, bench.output);
          const asked = readFileSync(`${ceiling}.log`, "utf8").match(/--value \d+/g);
          assert.equal(asked, ["--value 32", "--value 32", "--value 1024", "--value 1024"]);
        },
      ),
    ),
  SLOW,
);

for (const signal of ["SIGINT", "SIGKILL"] as const) {
  test(
    `a ceiling that goes on when the benchmark gets ${signal} is ended, and what it has started, too`,
    () =>
      withCeiling((ceiling) =>
        withBench(
          ["--only", "latency", "--ceiling", ceiling],
          async (bench, folder) => {
            while (!processesOf(folder).some((line) => line.includes(" child "))) await setTimeout(50);
            await bench.kill(signal);
            if (signal === "SIGINT") return;
            while (processesOf(folder).length > 0) await setTimeout(50);
            // Nobody was left to remove it.
            for (const name of readdirSync(folder)) rmSync(path.join(folder, name), { recursive: true });
          },
          { CEILING_HANGS: "1" },
        ),
      ),
    SLOW,
  );
}

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  test(
    `${signal} in the middle of it stops and removes everything`,
    () =>
      withBench(["--only", "latency", "--seconds", "600"], async (bench, folder) => {
        await running(folder);
        await bench.kill(signal);
        assert.equal(await bench.exited, { code, signal: null }, bench.errors);
        assert.is(bench.output, "");
      }),
    SLOW,
  );
}

for (const [child, args] of [
  ["a node", "conclave.ts node"],
  ["the load", '"throughput"'],
] as const) {
  test(
    `Ctrl-C that ${child} hears first, while it starts, is nothing but an interruption`,
    () =>
      withBench(["--only", "latency", "--seconds", "600"], async (bench, folder) => {
        let children: number[] = [];
        while (children.length === 0) children = pidsOf(folder, args);
        for (const pid of children) process.kill(pid, "SIGINT");
        await Promise.race([bench.exited, setTimeout(500)]);
        await bench.kill("SIGINT");
        assert.equal(await bench.exited, { code: 130, signal: null });
        assert.is(bench.errors, "");
      }),
    SLOW,
  );
}

test(
  "a store that has changed by more than was asked for is a clear error, and exit code 1",
  () =>
    withBench(["--only", "latency", "--seconds", "5", "--warm-up", "0", "--json"], async (bench, folder) => {
      const client = await connectTo(await readConfig(await running(folder)));
      while (!bench.isOver) {
        await client.put("not from the benchmark", "1", { timeoutMs: 500 }).catch(() => {});
        await setTimeout(20);
      }
      await client.close();
      assert.equal(await bench.exited, { code: 1, signal: null }, bench.errors);
      assert.match(bench.errors, /^WRONG_ANSWER Doubled: between revisions \d+ and \d+ .*\n$/);
      assert.is(bench.output, "");
    }),
  SLOW,
);

test(
  "a node that dies is a clear error, and exit code 1, and the others go with it",
  () =>
    withBench(["--only", "latency", "--seconds", "600"], async (bench, folder) => {
      await running(folder);
      for (const pid of pidsOf(folder, "--id n2")) process.kill(pid, "SIGKILL");
      assert.equal(await bench.exited, { code: 1, signal: null });
      assert.match(bench.errors, /^FAILED n2 was ended by SIGKILL\n$/);
    }),
  SLOW,
);

test.run();
