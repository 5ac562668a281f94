/** Results in words, for machines, and as a picture. */

import { readFileSync } from "node:fs";
import * as path from "node:path";
import { stripVTControlCharacters } from "node:util";
import * as assert from "uvu/assert";
import { svgOf } from "../../../scripts/main/bench/chart.mts";
import { chartOf } from "../../../scripts/main/bench/chart-data.mts";
import { jsonOf, type Results } from "../../../src/cli/bench/results.ts";
import { resultsText } from "../../../src/cli/bench/text.ts";
import { hasCode } from "../../../src/errors.ts";
import { PROJECT } from "../../end-to-end/cluster.ts";
import { suite } from "../../support/suite.ts";

const test = suite("cli: bench: results");

const figures = { ops: 200_000, p50_ms: 1, p99_ms: 2 };
const results: Results = {
  nodes: 3,
  value_bytes: 64,
  seconds: 5,
  warm_up_seconds: 5,
  started: "2026-01-02T03:04:05.678Z",
  machine: { runtime: "node 24.0.0", platform: "linux 6", cpu: "A <fast> & small one", cpus: 2 },
  ceiling: { before: { pipelined: figures }, after: { pipelined: { ...figures, ops: 100_000 } } },
  throughput: {
    latency: {
      connections: 1,
      outstanding: 1,
      ops: 700,
      p50_ms: 1.234,
      p99_ms: 12.34,
      p50_multiple: 2.5,
      ops_share: 0.4,
    },
    pipelined: {
      connections: 10,
      outstanding: 100,
      ops: 50_000,
      p50_ms: 17,
      p99_ms: 100.4,
      ops_share: 0.333,
      p50_multiple: 17,
    },
    "nodes-5": { connections: 10, outstanding: 100, nodes: 5, ops: 20_000, p50_ms: 50, p99_ms: 120 },
  },
  transfer: { skipped: "it needs 2 nodes or more" },
  failover: { median_ms: 36.05, max_ms: 412, pauses_ms: [30, 42.1, 412] },
  idle: { seconds: 20, nodes: [{ id: "n1", role: "leader", cpu_percent: 2.6, rss_mib: 120.4 }] },
  crowds: {
    "clients-1000": {
      clients: 1_000,
      connect_seconds: 2.25,
      node_kib_per_client: 23.9,
      directory_kib_per_client: 25,
      leader_change_ms: 199.4,
    },
    "clients-10000": { skipped: "the limit here is 4096" },
  },
  growth: { keys: 10_000, at: [{ commands: 1_000_000, ...figures, rss_mib: [150.2, 140.9] }] },
};

test("a table for each kind of figure, with what was skipped, and why, at the end", () => {
  assert.is(
    stripVTControlCharacters(resultsText(results)),
    `3 nodes, values of 64 bytes, node 24.0.0, 2 x A <fast> & small one

workload   callers    ops/s  p50 ms  p99 ms  ops of ceiling  p50 of ceiling
latency    1 x 1        700    1.23    12.3            40 %          2.50 x
pipelined  10 x 100  50,000    17.0     100            33 %         17.00 x
nodes-5    10 x 100  20,000    50.0     120

a caller's pause  times  median ms  longest ms
failover              3       36.0         412

idle for 20 s  role    CPU %  memory MiB
n1             leader    2.6         120

idle clients  connected s  KiB each, leader  KiB each, directory  leader change ms
       1,000          2.3              23.9                 25.0               199

 commands    ops/s  p50 ms  p99 ms  memory MiB
1,000,000  200,000    1.00    2.00    150, 141

skipped transfer: it needs 2 nodes or more
skipped clients-10000: the limit here is 4096`,
  );
});

test("without a ceiling, and with one workload, it is one small table", () => {
  const latency = { connections: 1, outstanding: 1, ops: 700, p50_ms: 1.234, p99_ms: 12.34 };
  const { ceiling: _, transfer: __, failover: ___, idle: ____, growth: _____, ...rest } = results;
  const text = stripVTControlCharacters(resultsText({ ...rest, throughput: { latency }, crowds: {} }));
  assert.is(
    text.split("\n\n")[1],
    "workload  callers  ops/s  p50 ms  p99 ms\nlatency   1 x 1      700    1.23    12.3",
  );
  assert.is(text.split("\n\n").length, 2);
});

test("as JSON, workloads stand beside the header, with the names that the ceiling uses", () => {
  const json = JSON.parse(jsonOf(results));
  assert.is(json.nodes, 3);
  assert.is(json.value_bytes, 64);
  assert.is(json.latency.ops, 700);
  assert.is(json.latency.p50_ms, 1.234);
  assert.is(json.latency.p99_ms, 12.34);
  assert.is(json["clients-1000"].clients, 1_000);
  assert.is(json.failover.max_ms, 412);
  assert.not("throughput" in json);
  assert.not("crowds" in json);
});

test("a chart has a panel for each scale, with the ceiling behind what it measures, too", () => {
  const { title, panels } = chartOf(jsonOf(results));
  assert.match(title, /^3 nodes, values of 64 bytes, node 24\.0\.0, .*, 2026-01-02$/);
  assert.equal(
    panels.map(({ bars }) => bars),
    [
      [
        { label: "pipelined, 10 x 100", value: 50_000, further: 150_000 },
        { label: "nodes-5, 10 x 100", value: 20_000, further: null },
      ],
      [{ label: "latency", value: 1.234, further: 12.34 }],
      [{ label: "leader is killed", value: 36.05, further: 412 }],
      [{ label: "1,000,000 commands", value: 200_000, further: null }],
    ],
  );
});

test("it is drawn for both grounds, loads nothing, and escapes what it shows", () => {
  const svg = svgOf(chartOf(jsonOf(results)));
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /);
  assert.match(svg, "prefers-color-scheme: dark");
  assert.match(svg, "A &lt;fast&gt; &amp; small one");
  assert.not.match(svg, /NaN|Infinity|undefined|href|url\(/);
  const bars = [...svg.matchAll(/<rect class="bar" .*? width="([\d.]+)"/g)].map(([, width]) => Number(width));
  assert.is(bars.length, 5);
  const [pipelined = 0, nodes5 = 0] = bars;
  assert.ok(Math.abs(pipelined / nodes5 - 2.5) < 0.01, "lengths are in proportion");
});

test("figures of nothing are drawn as nothing", () => {
  const bars = [{ label: "none", value: 0, further: null }];
  assert.match(svgOf({ title: "", panels: [{ title: "", bars, joint: "of" }] }), 'width="0"');
});

test("the chart that the README shows is drawn from the results beside it", () => {
  const kept = (name: string): string => readFileSync(path.join(PROJECT, "scripts", "bench", name), "utf8");
  assert.is(kept("chart.svg"), svgOf(chartOf(kept("results.json"))));
});

test("what is no output of the benchmark is not drawn, and it says why", () => {
  for (const [text, message] of [
    ["no JSON", /no results of bench --json/],
    ["{}", /machine|nodes/],
    [jsonOf(results).replace('"nodes":3', '"nodes":"3"'), /: nodes: /],
  ] as const) {
    assert.throws(
      () => chartOf(text),
      (error: unknown) => hasCode(error, "INVALID_ARGUMENT") && message.test(error.message),
    );
  }
});

test.run();
