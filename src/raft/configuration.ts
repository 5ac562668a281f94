/**
 * Who belongs to the cluster (thesis, chapter 4). A configuration is one list of members, each with a role; while the
 * set of voters changes it is joint: its roles say who votes in the old set, who in the new one, and who in both, and
 * everything needs a majority of either (thesis, 4.3).
 */

import type { NodeId } from "./types.ts";

/**
 * `voter`: votes before and after a change. `learner`: is sent the log, and votes in neither. The others exist only in
 * a joint configuration: an `incoming` one votes in the new set alone; a `demoting` one in the old set alone, and is a
 * learner afterwards; a `leaving` one in the old set alone, and is gone afterwards.
 */
export type MemberRole = "voter" | "learner" | "incoming" | "demoting" | "leaving";

/** Where a member is reached, and which of the processes that ever bore its name it is. */
export interface Place {
  readonly url: string;
  /** Drawn when its disk was first used; a machine that lost its disk has another one. Null if it was never noted. */
  readonly incarnation: string | null;
}

/** One server of the cluster. */
export interface Member extends Place {
  readonly id: NodeId;
  readonly role: MemberRole;
  /** Of two servers that could lead, the one with the higher priority is preferred. 0 unless set. */
  readonly priority: number;
  /**
   * What becomes of a learner that keeps up with the leader: a voter, in the place of the member that it replaces, if
   * any. Null if it stays a learner.
   */
  readonly promotion: { readonly replaces: NodeId | null } | null;
  /** Who takes over a `demoting` member's name, as a learner: the machine as it is since it has lost its disk. */
  readonly successor: Place | null;
}

export interface Configuration {
  readonly members: readonly Member[];
}

/** Before a server has heard of any other. */
export const NOBODY: Configuration = { members: [] };

/** A member that is what its role says, and nothing besides. */
export const memberOf = (id: NodeId, url: string, role: MemberRole): Member => ({
  id,
  url,
  incarnation: null,
  role,
  priority: 0,
  promotion: null,
  successor: null,
});

/** What a cluster starts with: these vote, and nobody has met anybody yet. */
export const bootstrap = (
  founders: readonly { readonly id: NodeId; readonly url: string; readonly priority?: number }[],
): Configuration => ({
  members: founders.map(({ id, url, priority = 0 }) => ({ ...memberOf(id, url, "voter"), priority })),
});

/** The member of that name; undefined if there is none. */
export const find = ({ members }: Configuration, id: NodeId): Member | undefined =>
  members.find((member) => member.id === id);

const votesInNew = ({ role }: Member): boolean => role === "voter" || role === "incoming";
const votesInOld = ({ role }: Member): boolean => role === "voter" || role === "demoting" || role === "leaving";
const ids = (members: readonly Member[]): NodeId[] => members.map(({ id }) => id);

/** Is a change of the voters under way? */
export const isJoint = ({ members }: Configuration): boolean =>
  members.some(({ role }) => role !== "voter" && role !== "learner");

/** The sets that each need a majority: one, or in a joint configuration the new and the old one. */
export function voterSets(configuration: Configuration): readonly (readonly NodeId[])[] {
  const { members } = configuration;
  const current = ids(members.filter(votesInNew));
  return isJoint(configuration) ? [current, ids(members.filter(votesInOld))] : [current];
}

/** Does the word of this server count in any of the sets? */
export function isVoter(configuration: Configuration, id: NodeId): boolean {
  const member = find(configuration, id);
  return member !== undefined && member.role !== "learner";
}

/** Everybody whose word counts. */
export const votersOf = ({ members }: Configuration): NodeId[] => ids(members.filter(({ role }) => role !== "learner"));

/** One wish of a change; a change may hold any number of them. */
export type Wish =
  /** A new member: a learner, which is promoted once it keeps up if it is to vote. */
  | ({ readonly type: "add"; readonly id: NodeId; readonly votes: boolean; readonly priority: number } & Place)
  | { readonly type: "remove"; readonly id: NodeId }
  /** A learner is to vote, once it keeps up. */
  | { readonly type: "promote"; readonly id: NodeId }
  /** A voter becomes a learner. */
  | { readonly type: "demote"; readonly id: NodeId }
  /** A new member joins as a learner, and takes the place of the old one once it keeps up. */
  | ({ readonly type: "replace"; readonly id: NodeId; readonly by: NodeId } & Place)
  /** A member is reached elsewhere, or has lost its disk: then it is a learner until it keeps up again. */
  | ({ readonly type: "move"; readonly id: NodeId } & Place)
  | { readonly type: "prefer"; readonly id: NodeId; readonly priority: number };

/** Why a change can't be made. */
export type ChangeRefusal =
  /** The leader is not sure yet what is committed, or another change is under way. */
  | { readonly reason: "not-ready" | "in-progress" }
  | { readonly reason: "unknown-member" | "member-exists" | "not-a-learner" | "not-a-voter"; readonly id: NodeId }
  | { readonly reason: "no-voters-left" };

/** The configuration that a change leads to first; the same one if there is nothing to change. */
export function changed(before: Configuration, wishes: readonly Wish[]): Configuration | ChangeRefusal {
  if (isJoint(before)) return { reason: "in-progress" };
  let members: readonly Member[] = before.members;
  for (const wish of wishes) {
    const after = granted(members, wish);
    if ("reason" in after) return after;
    members = after;
  }
  if (!members.some(votesInNew)) return { reason: "no-voters-left" };
  return isSame(before, { members }) ? before : { members };
}

function granted(members: readonly Member[], wish: Wish): readonly Member[] | ChangeRefusal {
  const { id } = wish;
  const member = members.find((one) => one.id === id);
  if (wish.type === "add") {
    if (member !== undefined) return { reason: "member-exists", id };
    const { url, incarnation, priority, votes } = wish;
    return [...members, newcomer(id, { url, incarnation }, priority, votes ? { replaces: null } : null)];
  }
  if (member === undefined) return { reason: "unknown-member", id };
  const isLearner = member.role === "learner";
  const become = (changes: Partial<Member>): readonly Member[] =>
    members.map((one) => (one === member ? { ...one, ...changes } : one));
  switch (wish.type) {
    case "remove":
      return isLearner ? members.filter((one) => one !== member) : become({ role: "leaving" });
    case "promote":
      // Whose place it is to take, if it is to take one, has been settled before.
      return isLearner
        ? become({ promotion: member.promotion ?? { replaces: null } })
        : { reason: "not-a-learner", id };
    case "demote":
      return isLearner ? { reason: "not-a-voter", id } : become({ role: "demoting" });
    case "replace": {
      const { url, incarnation, by } = wish;
      if (members.some((one) => one.id === by)) return { reason: "member-exists", id: by };
      // A learner has no vote that had to be handed over.
      const rest = isLearner ? members.filter((one) => one !== member) : members;
      const promotion = isLearner ? member.promotion : { replaces: id };
      return [...rest, newcomer(by, { url, incarnation }, member.priority, promotion)];
    }
    case "move": {
      const { url, incarnation } = wish;
      const isSameDisk = member.incarnation === null || member.incarnation === incarnation;
      if (isSameDisk || isLearner) return become({ url, incarnation });
      return become({ role: "demoting", successor: { url, incarnation } });
    }
    case "prefer":
      return become({ priority: wish.priority });
  }
}

const newcomer = (id: NodeId, place: Place, priority: number, promotion: Member["promotion"]): Member => ({
  ...memberOf(id, place.url, "learner"),
  incarnation: place.incarnation,
  priority,
  promotion,
});

/**
 * The learners that keep up become voters, and those that they replace leave; the same one if nobody does. One whose
 * incarnation the log does not tell has to wait for that: as a voter it would not take part by itself, and a leader may
 * be missing that could make it.
 */
export function promoted(before: Configuration, keepsUp: (id: NodeId) => boolean): Configuration {
  if (isJoint(before)) return before;
  const ready = before.members.filter(
    ({ id, role, promotion, incarnation }) =>
      role === "learner" && promotion !== null && incarnation !== null && keepsUp(id),
  );
  if (ready.length === 0) return before;
  const replaced = ready.map(({ promotion }) => promotion?.replaces);
  const members = before.members.flatMap((member): Member[] => {
    if (ready.includes(member)) return [{ ...member, role: "incoming", promotion: null }];
    if (!replaced.includes(member.id)) return [member];
    // It may have lost its vote in another way since.
    return member.role === "learner" ? [] : [{ ...member, role: "leaving" }];
  });
  return { members };
}

/** What a joint configuration leads to, once it is committed (thesis, 4.3). */
export function left({ members }: Configuration): Configuration {
  const after = members.flatMap((member): Member[] => {
    const { role, successor } = member;
    if (role === "leaving") return [];
    if (role === "incoming") return [{ ...member, role: "voter" }];
    if (role !== "demoting") return [member];
    if (successor === null) return [{ ...member, role: "learner" }];
    return [{ ...member, ...successor, role: "learner", successor: null, promotion: { replaces: null } }];
  });
  return { members: after };
}

/** A member of that name that is another process than before owes nothing to what the one before has said. */
export const isSameServer = (one: Member | undefined, other: Member | undefined): boolean =>
  one?.id === other?.id && (one?.incarnation === other?.incarnation || one?.incarnation === null);

export const isSame = (one: Configuration, other: Configuration): boolean =>
  JSON.stringify(one) === JSON.stringify(other);

/** The payload of a configuration entry. Changes are rare, and whoever inspects a log should be able to read them. */
export const encodeConfiguration = (configuration: Configuration): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(configuration));

const ROLES: readonly string[] = [
  "voter",
  "learner",
  "incoming",
  "demoting",
  "leaving",
] satisfies readonly MemberRole[];

/** @throws RangeError if the bytes are no configuration */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  const members = fieldsOf(parse(bytes))["members"];
  if (!Array.isArray(members)) throw new RangeError("a configuration without members");
  const decoded = members.map(readMember);
  if (new Set(ids(decoded)).size < decoded.length) throw new RangeError("two members of one name");
  return { members: decoded };
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new RangeError("no configuration", { cause });
  }
}

function readMember(value: unknown): Member {
  const { id, role, priority, promotion, successor, ...rest } = fieldsOf(value);
  if (typeof id !== "string" || !isRole(role) || typeof priority !== "number") throw new RangeError("no member");
  return {
    id,
    ...readPlace(rest),
    role,
    priority,
    promotion: promotion === null ? null : readPromotion(promotion),
    successor: successor === null ? null : readPlace(successor),
  };
}

function readPlace(value: unknown): Place {
  const { url, incarnation } = fieldsOf(value);
  if (typeof url !== "string" || (incarnation !== null && typeof incarnation !== "string")) {
    throw new RangeError("a member without a place");
  }
  return { url, incarnation };
}

function readPromotion(value: unknown): Member["promotion"] {
  const { replaces } = fieldsOf(value);
  if (replaces !== null && typeof replaces !== "string") throw new RangeError("a promotion in nobody's place");
  return { replaces };
}

const isRole = (value: unknown): value is MemberRole => typeof value === "string" && ROLES.includes(value);

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw new RangeError("no object");
  return { ...value };
}
