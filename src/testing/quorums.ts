/**
 * Majorities as the checks count them. Written anew, and not with the code that is checked, so that neither inherits
 * the other's mistakes (thesis, 4.3 for joint configurations).
 */

import type { Configuration, Member } from "../raft/index.ts";

const IN_NEW: readonly Member["role"][] = ["voter", "incoming"];
const IN_OLD: readonly Member["role"][] = ["voter", "demoting", "leaving"];

/** The sets of voters that each need a majority: the new one, and while a change is under way the old one, too. */
export function voterSetsOf({ members }: Configuration): readonly (readonly Member[])[] {
  const among = (roles: readonly Member["role"][]): Member[] => members.filter(({ role }) => roles.includes(role));
  const isJoint = members.some(({ role }) => role === "incoming" || role === "demoting" || role === "leaving");
  return isJoint ? [among(IN_NEW), among(IN_OLD)] : [among(IN_NEW)];
}

/** Is more than half of every set among those that count? */
export const suffices = (configuration: Configuration, counts: (member: Member) => boolean): boolean =>
  voterSetsOf(configuration).every((voters) => 2 * voters.filter(counts).length > voters.length);

/** The member of that name that votes in some set; undefined if none does. */
export const voterNamed = (configuration: Configuration, id: string): Member | undefined =>
  voterSetsOf(configuration)
    .flat()
    .find((member) => member.id === id);

/**
 * Does every quorum of the one have a server in common with every quorum of the other? Tried out with all sets of
 * servers there are: if one suffices here, what it leaves over must not suffice there.
 */
export function overlap(one: Configuration, other: Configuration): boolean {
  const nameOf = nameInBoth(one, other);
  const names = [...new Set([one, other].flatMap((configuration) => voterSetsOf(configuration).flat().map(nameOf)))];
  for (let set = 0; set < 2 ** names.length; set++) {
    const isIn = (member: Member): boolean => Math.floor(set / 2 ** names.indexOf(nameOf(member))) % 2 === 1;
    if (suffices(one, isIn) && suffices(other, (member) => !isIn(member))) return false;
  }
  return true;
}

/** A server is told from another of its name by its disk, as soon as both configurations say which one it is. */
function nameInBoth(one: Configuration, other: Configuration): (member: Member) => string {
  const unknown = new Set(
    [one, other].flatMap(({ members }) => members.flatMap(({ id, incarnation }) => (incarnation === null ? [id] : []))),
  );
  return ({ id, incarnation }) => (unknown.has(id) ? id : `${id}/${incarnation}`);
}
