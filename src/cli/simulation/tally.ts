/** What many simulated runs add up to. */

import type { SimulationResult } from "../../testing/index.ts";

export interface Tally {
  seeds: number;
  events: number;
  virtualMs: number;
  /** How many of each kind came about. */
  readonly faults: Record<string, number>;
  /** How often each interesting thing was seen. */
  readonly sights: Record<string, number>;
}

export const emptyTally = (): Tally => ({ seeds: 0, events: 0, virtualMs: 0, faults: {}, sights: {} });

export function addTo(tally: Tally, { events, virtualMs, faultCounts, sights }: SimulationResult): void {
  tally.seeds++;
  tally.events += events;
  tally.virtualMs += virtualMs;
  addCounts(tally.faults, faultCounts);
  addCounts(tally.sights, sights);
}

function addCounts(sums: Record<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + value;
}
