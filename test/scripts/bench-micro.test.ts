/** `scripts/bench-micro.ts` as a person runs it: that it measures, not what. */

import { spawnSync } from "node:child_process";
import * as assert from "uvu/assert";
import { scriptCommand } from "../end-to-end/cluster.ts";
import { suite } from "../support/suite.ts";

const test = suite("scripts: bench-micro");

const [command, script] = scriptCommand("bench-micro.ts");

function run(...args: readonly string[]): { code: number | null; output: string; errors: string } {
  const env = { ...process.env, NO_COLOR: "1" };
  const { status, stdout, stderr } = spawnSync(command, [...script, ...args], { encoding: "utf8", env });
  return { code: status, output: stdout, errors: stderr };
}

test("the micro-benchmarks of a part are run, and no others", () => {
  const { code, output, errors } = run("--only", "raft-codec");
  assert.is(code, 0, errors);
  assert.match(output, /AppendEntries of 64 x 128 bytes/);
  assert.not.match(output, /\berror\b/);
  assert.not.match(output, /commit commands/);
});

test("a part that there is none of ends it with a line", () => {
  const { code, errors } = run("--only", "no such part");
  assert.is(code, 1);
  assert.match(errors, /INVALID_ARGUMENT.*No micro-benchmark has no such part in its name/);
});

test.run();
