/** The figures that a benchmark makes of its measurements. */

import * as assert from "uvu/assert";
import { shareOf } from "../../../src/cli/bench/ceiling.ts";
import { spread } from "../../../src/cli/bench/crowds.ts";
import { median, percentile, rounded, Samples } from "../../../src/cli/bench/samples.ts";
import { linuxUsage, psUsage } from "../../../src/cli/bench/usage.ts";
import { suite } from "../../support/suite.ts";

const test = suite("cli: bench: figures");

test("percentiles are those of the ceiling", () => {
  const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
  assert.is(percentile(hundred, 0.5), 51);
  assert.is(percentile(hundred, 0.99), 100);
  assert.is(percentile(hundred, 1), 100);
  assert.is(percentile([7], 0.5), 7);
  assert.is(percentile([], 0.5), 0);
});

test("the median of an even number lies between the two in the middle", () => {
  assert.is(median([3, 1, 2]), 2);
  assert.is(median([4, 1, 3, 2]), 2.5);
  assert.is(median([]), 0);
});

test("samples are sorted by size, and as many as one likes", () => {
  const samples = new Samples();
  for (let i = 100_000; i > 0; i--) samples.add(i);
  assert.is(samples.count, 100_000);
  const sorted = samples.sorted();
  assert.equal([sorted.length, sorted[0], sorted[1], sorted[99_999]], [100_000, 1, 2, 100_000]);
});

test("figures have no more digits than they are good for", () => {
  assert.is(rounded(1.23456), 1.235);
  assert.is(rounded(1.26, 1), 1.3);
});

test("a share of the ceiling is one of the mean of its two runs", () => {
  const before = { ops: 100, p50_ms: 1, p99_ms: 0 };
  const after = { ops: 300, p50_ms: 3, p99_ms: 0 };
  assert.equal(shareOf({ ops: 50, p50_ms: 5, p99_ms: 0 }, before, after), { ops_share: 0.25, p50_multiple: 2.5 });
});

test("processor time and memory are read from /proc, whatever the process is called", () => {
  const stat = "42 (a b) S) R 1 42 42 0 -1 4194304 9 0 0 0 123 45 0 0 20 0 7 0 100 200 300";
  const status = "Name:\ta b) S\nVmPeak:\t  9999 kB\nVmRSS:\t    2048 kB\n";
  assert.equal(linuxUsage(stat, status), { cpuMs: 1_680, residentBytes: 2_097_152 });
});

test("elsewhere they are read from ps, in each of its forms", () => {
  assert.equal(psUsage("  0:01.25  1024\n"), { cpuMs: 1_250, residentBytes: 1_048_576 });
  assert.is(psUsage("01:02:03 1").cpuMs, 3_723_000);
  assert.is(psUsage("2-01:00:00 1").cpuMs, 176_400_000);
});

test("a crowd is spread over as many processes as its links need", () => {
  assert.equal(spread(1_000, 3, 20_000), [1_000]);
  assert.equal(spread(10_000, 3, 20_000), [2_500, 2_500, 2_500, 2_500]);
  const narrow = spread(1_000, 3, 1_400);
  assert.ok(!("skipped" in narrow));
  assert.equal(narrow, [250, 250, 250, 250]);
  assert.equal(spread(1_001, 3, 1_400), [250, 250, 250, 251]);
});

test("a crowd for which there are too few open files is not tried, and it says so", () => {
  const parts = spread(10_000, 3, 4_096);
  assert.ok("skipped" in parts);
  assert.match(parts.skipped, /10000 clients .* 10200 files .* 4096 \(ulimit -Hn\)/);
});

test.run();
