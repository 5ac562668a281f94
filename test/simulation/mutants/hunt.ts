/**
 * A process of its own for each mutant: it tries seed after seed until an invariant breaks, and prints a line of JSON
 * for each start. Without a mutant it is the real code that is hunted.
 */

import type { Invariant } from "../../../src/testing/invariants.ts";
import type { Profile } from "../../../src/testing/weather.ts";
import { MUTANTS } from "./mutants.ts";
import { install } from "./patch.ts";

export interface Order {
  /** The name of a mutant, or null for the real code. */
  readonly mutant: string | null;
  readonly profile: Profile;
  /** From where to try, one hunt each. */
  readonly starts: readonly number[];
  /** How many seeds one hunt tries at most. */
  readonly seedsMax: number;
  readonly events: number;
}

/** How one hunt ended. */
export interface Catch {
  /** How many seeds were tried, the one that broke the invariant included. */
  readonly seeds: number;
  /** Null if all of them passed. */
  readonly breach: { readonly seed: number; readonly invariant: Invariant; readonly detail: string } | null;
  readonly ms: number;
}

async function hunt({ mutant, profile, starts, seedsMax, events }: Order): Promise<void> {
  if (mutant !== null) {
    const found = MUTANTS.find(({ name }) => name === mutant);
    if (found === undefined) throw new RangeError(`there is no mutant ${mutant}`);
    install(found);
  }
  const { simulateOne } = await import("../../../src/cli/simulation/simulate-one.ts");
  const breachOf = async (seed: number): Promise<Catch["breach"]> => {
    const { breach } = await simulateOne({ seed, profile, events });
    return breach === null ? null : { seed, invariant: breach.invariant, detail: breach.detail };
  };
  for (const start of starts) {
    const startedMs = performance.now();
    let breach: Catch["breach"] = null;
    let seeds = 0;
    while (seeds < seedsMax && breach === null) breach = await breachOf(start + seeds++);
    const line: Catch = { seeds, breach, ms: performance.now() - startedMs };
    console.log(JSON.stringify(line));
  }
}

const [order] = process.argv.slice(2);
if (order === undefined) throw new Error("hunt.ts takes an order, in JSON");
await hunt(JSON.parse(order));
