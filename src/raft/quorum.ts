/** What a majority has agreed on. */

import type { NodeId } from "./types.ts";

/** How many of `count` servers make a majority. */
export const majorityOf = (count: number): number => Math.floor(count / 2) + 1;

/** The largest value that a majority has reached, given what each server has reached. */
export function agreedByMajority(reached: readonly number[]): number {
  const descending = [...reached].sort((a, b) => b - a);
  return descending[majorityOf(reached.length) - 1] ?? 0;
}

export type Tally = "won" | "lost" | "open";

/** Counts an election. A server is in the map once, so a vote that arrives twice counts once. */
export function tally(votes: ReadonlyMap<NodeId, boolean>, voters: readonly NodeId[]): Tally {
  let granted = 0;
  let refused = 0;
  for (const voter of voters) {
    const vote = votes.get(voter);
    if (vote === true) granted++;
    else if (vote === false) refused++;
  }
  const majority = majorityOf(voters.length);
  if (granted >= majority) return "won";
  return voters.length - refused < majority ? "lost" : "open";
}
