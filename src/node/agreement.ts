/** What follows from the digests that nodes give of the same entry: which of them a majority has, if one has. */

import { type Configuration, isQuorum } from "../raft/index.ts";

export interface Agreement {
  /** What a quorum of the voters has; null if none has the same. */
  readonly digest: string | null;
  /** Those that have given the same digest, and which, the largest group first. */
  readonly groups: readonly (readonly [digest: string, nodes: readonly string[]])[];
  /** No quorum will have the same, whatever those give that have not given any yet. */
  readonly isHopeless: boolean;
}

/** @param digests by the name of the node; those that are no members have no say */
export function agreementOf(configuration: Configuration, digests: ReadonlyMap<string, string>): Agreement {
  const byDigest = new Map<string, string[]>();
  for (const { id } of configuration.members) {
    const digest = digests.get(id);
    if (digest !== undefined) byDigest.set(digest, [...(byDigest.get(digest) ?? []), id]);
  }
  const groups = [...byDigest].sort(([, a], [, b]) => b.length - a.length);
  const [agreed] = groups.find(([, nodes]) => isQuorum(configuration, (id) => nodes.includes(id))) ?? [null];
  const may = (nodes: readonly string[]): boolean =>
    isQuorum(configuration, (id) => nodes.includes(id) || !digests.has(id));
  return { digest: agreed, groups, isHopeless: ![[], ...byDigest.values()].some(may) };
}
