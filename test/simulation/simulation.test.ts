/**
 * Whole clusters of real actors in a simulated world, each on a seed. To run one of them in every profile, or many:
 *
 *     SEED=42 node test/simulation/simulation.test.ts
 *     SEEDS=1000 node test/simulation/simulation.test.ts
 */

import * as assert from "uvu/assert";
import { simulateOne } from "../../src/cli/simulation/simulate-one.ts";
import { commandOf } from "../../src/cli/simulation/text.ts";
import { PROFILES, type Profile, type SimulationResult } from "../../src/testing/index.ts";
import { suite } from "../support/suite.ts";
import { SEEDS_THAT_FOUND } from "./seeds.ts";

const only = process.env["SEED"];
const SEEDS = Number(process.env["SEEDS"] ?? 30);

const test = suite("simulation");

/** Runs a seed; should an invariant break, this fails with the command that shows it. */
async function survive(seed: number, profile: Profile): Promise<SimulationResult> {
  const result = await simulateOne({ seed, profile });
  const { breach } = result;
  assert.is(
    breach,
    null,
    `${breach?.invariant}: ${breach?.detail}\n${commandOf({ seed, profile }, "node scripts/simulate.ts")}`,
  );
  return result;
}

if (only !== undefined) {
  for (const profile of PROFILES) {
    test(`seed ${only}, ${profile}`, async () => void (await survive(Number(only), profile)));
  }
} else {
  for (const { seed, profile, mistake } of SEEDS_THAT_FOUND) {
    test(`seed ${seed}, ${profile}: once ${mistake}`, async () => void (await survive(seed, profile)));
  }

  const seen = { elections: 0, truncations: 0, tornTails: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const profile = PROFILES[seed % PROFILES.length] ?? "hostile";
    test(`seed ${seed}, ${profile}`, async () => {
      const { sights } = await survive(seed, profile);
      seen.elections += sights.elections;
      seen.truncations += sights.truncations;
      seen.tornTails += sights.tornTails;
    });
  }

  test("the seeds come by what is hard: new leaders, logs that lose entries to them, torn writes", () => {
    assert.ok(seen.elections > SEEDS && seen.truncations > 0 && seen.tornTails > 0, JSON.stringify(seen));
  });
}

test.run();
