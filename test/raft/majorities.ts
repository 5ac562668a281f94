/** What the thesis says of majorities (4.3), without the cleverness of the core: it is judged by this. */

import type { Configuration, MemberRole, NodeId } from "../../src/raft/index.ts";

/** Whose roles make up the old set, and whose the new one; without a change under way these are the same. */
export const SETS: Readonly<Record<MemberRole, readonly ("old" | "new")[]>> = {
  voter: ["old", "new"],
  learner: [],
  incoming: ["new"],
  demoting: ["old"],
  leaving: ["old"],
};

/** The old set and the new one. */
export const setsOf = ({ members }: Configuration): NodeId[][] =>
  (["old", "new"] as const).map((set) => members.flatMap(({ id, role }) => (SETS[role].includes(set) ? [id] : [])));

/** Do these make a majority of the old set, and one of the new? */
export const haveMajorities = (configuration: Configuration, counts: (id: NodeId) => boolean): boolean =>
  setsOf(configuration).every((ids) => 2 * ids.filter(counts).length > ids.length);

/** Whether any two sets of servers that decide, one in each configuration, share a server: by trying all. */
export function alwaysMeet(one: Configuration, other: Configuration): boolean {
  const ids = [...new Set([one, other].flatMap((configuration) => setsOf(configuration).flat()))];
  for (let subset = 0; subset < 2 ** ids.length; subset++) {
    const isIn = (id: NodeId): boolean => (subset & (1 << ids.indexOf(id))) !== 0;
    // If two quorums have nothing in common, one of them lies in a subset, and the other in what the subset leaves.
    if (haveMajorities(one, isIn) && haveMajorities(other, (id) => !isIn(id))) return false;
  }
  return true;
}
