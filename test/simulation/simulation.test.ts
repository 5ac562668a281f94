/**
 * Whole clusters of real actors in a simulated world, each on a seed. To run one again, or many:
 *
 *     SEED=42 node test/simulation/simulation.test.ts
 *     SEEDS=1000 node test/simulation/simulation.test.ts
 */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { SimulatedCluster } from "./cluster.ts";
import { type Call, type Operation, unexplained } from "./linearizability.ts";

const only = process.env["SEED"];
const SEEDS = Number(process.env["SEEDS"] ?? 10);
const WORK_MS = 15_000;
const TIMEOUT_MS = 30_000 + SEEDS * 5_000;

const checker = suite("the check for linearizability");

let clock = 0;
const call = (operation: Operation, startMs: number, endMs: number): Call => ({
  client: clock++,
  key: "k",
  startMs,
  endMs,
  operation,
});
const write = (value: string, startMs: number, endMs: number): Call => call({ type: "write", value }, startMs, endMs);
const read = (value: string | null, startMs: number, endMs: number): Call =>
  call({ type: "read", value }, startMs, endMs);
const NEVER = Number.POSITIVE_INFINITY;

checker("accepts what one register could have answered", () => {
  assert.equal(unexplained([write("1", 0, 1), read("1", 2, 3)]), []);
  assert.equal(
    unexplained([write("1", 0, 10), read(null, 1, 2), read("1", 3, 4)]),
    [],
    "while the write was under way",
  );
  assert.equal(unexplained([write("1", 0, 10), write("2", 0, 10), read("1", 11, 12)]), [], "in either order");
  assert.equal(unexplained([write("1", 0, 1), write("2", 2, NEVER), read("1", 3, 4), read("2", 5, 6)]), []);
  assert.equal(unexplained([write("1", 0, NEVER), read(null, 1, 2)]), [], "it may never have happened");
});

checker("finds what no order explains", () => {
  assert.equal(unexplained([write("1", 0, 1), read(null, 2, 3)]), ["k"], "a lost write");
  assert.equal(unexplained([write("1", 0, 1), write("2", 2, 3), read("1", 4, 5)]), ["k"], "a stale read");
  assert.equal(unexplained([write("1", 0, 10), read("1", 1, 2), read(null, 3, 4)]), ["k"], "back in time");
  assert.equal(unexplained([read("1", 0, 1)]), ["k"], "out of nowhere");
  const twice: Call[] = [call({ type: "append", text: "a" }, 0, 1), read("aa", 2, 3)];
  assert.equal(unexplained(twice), ["k"], "applied twice");
  const swapped: Operation = { type: "cas", expected: "1", value: "2", swapped: true };
  assert.equal(unexplained([write("3", 0, 1), call(swapped, 2, 3)]), ["k"], "a swap that should have failed");
});

checker.run();

const simulation = suite("simulation");

async function survives(seed: number): Promise<void> {
  const cluster = new SimulatedCluster(seed, seed % 2 === 0 ? 3 : 5);
  try {
    await cluster.run(3, WORK_MS, seed % 4 === 3 ? null : { everyMs: 700 });
    const keys = unexplained(cluster.history);
    assert.equal(keys, [], "the clients' history is not linearizable");
    assert.ok(cluster.counts.calls > 0);
  } catch (error) {
    const again = `SEED=${seed} node test/simulation/simulation.test.ts`;
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${again}`, { cause: error });
  }
}

simulation(
  "no seed breaks a promise",
  async () => {
    const seeds = only === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(only)];
    for (const seed of seeds) await survives(seed);
  },
  { timeoutMs: TIMEOUT_MS },
);

simulation("the same seed gives the same run", async () => {
  const run = async (): Promise<unknown> => {
    const cluster = new SimulatedCluster(7, 3);
    await cluster.run(3, 5_000, { everyMs: 500 });
    return { history: cluster.history, counts: cluster.counts, events: cluster.world.events };
  };
  assert.equal(await run(), await run());
});

simulation.run();
