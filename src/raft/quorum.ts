/** What a majority has agreed on; in a joint configuration, a majority of either set (thesis, 4.3). */

import { type Configuration, voterSets } from "./configuration.ts";
import type { NodeId } from "./types.ts";

/** How many of `count` servers make a majority. */
export const majorityOf = (count: number): number => Math.floor(count / 2) + 1;

/** The largest value that a quorum has reached, given what each server has reached. */
export function agreedByQuorum(configuration: Configuration, reachedBy: (id: NodeId) => number): number {
  return Math.min(...voterSets(configuration).map((voters) => agreedByMajority(voters.map(reachedBy))));
}

function agreedByMajority(reached: readonly number[]): number {
  const descending = [...reached].sort((a, b) => b - a);
  return descending[majorityOf(reached.length) - 1] ?? 0;
}

/** Do these servers suffice? */
export const isQuorum = (configuration: Configuration, counts: (id: NodeId) => boolean): boolean =>
  agreedByQuorum(configuration, (id) => (counts(id) ? 1 : 0)) === 1;

export type Tally = "won" | "lost" | "open";

/** Counts an election. A server is in the map once, so a vote that arrives twice counts once. */
export function tally(configuration: Configuration, votes: ReadonlyMap<NodeId, boolean>): Tally {
  if (isQuorum(configuration, (id) => votes.get(id) === true)) return "won";
  return isQuorum(configuration, (id) => votes.get(id) !== false) ? "open" : "lost";
}
