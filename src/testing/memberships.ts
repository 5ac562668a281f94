/** Who the members are by the logs themselves, and whether the servers go by that (thesis, chapter 4). */

import { type Configuration, newestOf as newestThere, type Raft } from "../raft/index.ts";
import type { FoundSnapshot } from "./durable-snapshots.ts";
import type { Report } from "./invariant-names.ts";
import { overlap, voterNamed, voterSetsOf } from "./quorums.ts";

/** A configuration and the entry that holds it. */
export interface Placed {
  readonly index: number;
  readonly configuration: Configuration;
}

/** The same for all that say the same, however it came about. */
export const textOf = (configuration: Configuration): string =>
  JSON.stringify(
    configuration.members.map(({ id, url, incarnation, role, priority, promotion, successor }) => [
      id,
      url,
      incarnation,
      role,
      priority,
      promotion && [promotion.replaces],
      successor && [successor.url, successor.incarnation],
    ]),
  );

export class Memberships {
  readonly #report: Report;
  /** Those that are committed, the first of them that of the founders. */
  readonly #committed: Placed[] = [];
  /** Pairs that were found to overlap. */
  readonly #overlapping = new Set<string>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** How many changes are committed. */
  get changes(): number {
    return Math.max(0, this.#committed.length - 1);
  }

  /** The newest that is committed anywhere. */
  get newest(): Placed | null {
    return this.#committed.at(-1) ?? null;
  }

  /** The cluster begins with these members, by what a server says that was there. */
  begin(configuration: Configuration): void {
    if (this.#committed.length === 0 && configuration.members.length > 0) {
      this.#committed.push({ index: 0, configuration });
    }
  }

  commit(placed: Placed): void {
    if (placed.index > (this.newest?.index ?? 0)) this.#committed.push(placed);
  }

  /** Who the members were at an entry that is committed. */
  at(index: number): Configuration | null {
    return this.#committed.findLast((one) => one.index <= index)?.configuration ?? null;
  }

  /** What is in a log comes after what is committed; the newest of both is in effect. */
  checkInEffect(id: string, raft: Raft, inLog: readonly Placed[]): void {
    const base = raft.log.base.index;
    const last = inLog.at(-1);
    const expected = last !== undefined && last.index > base ? last.configuration : this.at(base);
    const { configuration } = newestThere(raft);
    // One that joins begins with nobody.
    if (expected === null || (base === 0 && last === undefined && configuration.members.length === 0)) return;
    if (textOf(configuration) === textOf(expected)) return;
    this.#report(
      "configuration-in-log",
      `${id} goes by ${textOf(configuration)}, and the newest in its log is ${textOf(expected)}`,
    );
  }

  /** A configuration has come into a log, behind others. */
  checkAppended(id: string, raft: Raft, inLog: readonly Placed[], committedIndex: number): void {
    const [before, newest] = [inLog.at(-2), inLog.at(-1)];
    if (newest === undefined) return;
    const open = inLog.filter(({ index }) => index > Math.max(committedIndex, raft.commitIndex));
    if (open.length > 1) {
      const where = open.map(({ index }) => index).join(" and ");
      this.#report("configuration-settled", `${id} holds changes at entries ${where}, none of them committed`);
    }
    const { role, commitIndex, term, log } = raft;
    const isOwn = role.name === "leader" && log.termAt(newest.index as typeof log.lastIndex) === term;
    if (isOwn && commitIndex < role.firstIndex) {
      this.#report("configuration-settled", `${id} changes the members before an entry of term ${term} is committed`);
    }
    const previous =
      before !== undefined && before.index > log.base.index ? before.configuration : this.at(newest.index - 1);
    if (previous !== null) this.#checkOverlap(id, previous, newest.configuration);
  }

  /** A snapshot says who the members were. */
  checkSnapshot(id: string, { index, configuration }: FoundSnapshot): void {
    const expected = this.at(index);
    if (expected === null || textOf(expected) === textOf(configuration)) return;
    this.#report(
      "snapshot-exact",
      `${id} has a snapshot of entry ${index} with members ${textOf(configuration)}, not ${textOf(expected)}`,
    );
  }

  /**
   * Whoever is elected has a vote, if not by the newest configuration then by one before it that may still be what
   * counts; and whoever knows that it is out leads no more.
   */
  checkLeader(id: string, raft: Raft, isNew: boolean): void {
    const { incarnation } = raft.config;
    const votesIn = ({ configuration }: Placed): boolean => {
      const own = voterNamed(configuration, id);
      return own !== undefined && (own.incarnation === null || own.incarnation === incarnation);
    };
    const newest = newestThere(raft);
    if (votesIn(newest)) return;
    const { index, configuration } = newest;
    const committed = raft.configurations.findLastIndex((one) => one.index <= raft.commitIndex);
    const mayStand = raft.configurations.slice(Math.max(0, committed)).some(votesIn);
    const isOut = voterSetsOf(configuration).length === 1 && index <= raft.commitIndex;
    if (isOut || (isNew && !mayStand)) {
      this.#report("removed-stays-out", `${id} leads term ${raft.term}, and has no vote in ${textOf(configuration)}`);
    }
  }

  #checkOverlap(id: string, one: Configuration, other: Configuration): void {
    const pair = `${textOf(one)} ${textOf(other)}`;
    if (this.#overlapping.has(pair)) return;
    this.#overlapping.add(pair);
    if (!overlap(one, other)) {
      this.#report("quorums-overlap", `${id} goes from ${textOf(one)} to ${textOf(other)} in one step`);
    }
  }
}
