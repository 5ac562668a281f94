/**
 * The disks of all servers there ever were, told apart by incarnation. A member is its disk: one that comes under the
 * same name without it is another server (thesis, 4.1), and nothing that it holds or says counts for the first.
 */

import type { Member } from "../raft/index.ts";
import type { DurableLog } from "./durable-log.ts";
import { suffices, voterNamed } from "./quorums.ts";

/** One disk, and whose it is. */
export interface Owned {
  readonly id: string;
  readonly incarnation: string;
  readonly disk: DurableLog;
}

export class Disks {
  readonly #all = new Map<string, Owned>();
  /** Of servers that every founder has taken note of. */
  readonly #admitted = new Set<DurableLog>();
  /** Those that are lost. What they held counts until the last answers that they gave have arrived. */
  readonly #lost = new Set<DurableLog>();

  add(owned: Owned): void {
    this.#all.set(owned.incarnation, owned);
  }

  admit(disk: DurableLog): void {
    this.#admitted.add(disk);
  }

  isAdmitted(disk: DurableLog): boolean {
    return this.#admitted.has(disk);
  }

  lose(disk: DurableLog): void {
    this.#lost.add(disk);
  }

  /** Which disks may stand for a member. As long as the log does not name one, the one that was admitted, or any. */
  of({ id, incarnation }: Member): DurableLog[] {
    if (incarnation !== null) return [this.#all.get(incarnation)?.disk ?? []].flat();
    const named = [...this.#all.values()].filter((owned) => owned.id === id).map(({ disk }) => disk);
    const admitted = named.filter((disk) => this.#admitted.has(disk));
    return admitted.length > 0 ? admitted : named;
  }

  /** The disk whose vote counts as the member's; null if nobody's does. */
  voterOf(member: Member): DurableLog | null {
    const [disk] = this.of(member);
    return disk !== undefined && (member.incarnation !== null || this.#admitted.has(disk)) ? disk : null;
  }

  /** Of the members that vote, those whose disks are there, and hold an entry, or a snapshot in its place. */
  holds(member: Member, index: number, term: number): boolean {
    return this.of(member).some((disk) => disk.holds(index, term));
  }

  /** A server that could be elected by what is durable, although it does not hold an entry; null if none could. */
  electableWithout(index: number, term: number): string | null {
    const there = [...this.#all.values()].filter(({ disk }) => !this.#lost.has(disk));
    const electable = there.find(({ id, disk }) => !disk.holds(index, term) && this.#couldWin(id, disk));
    return electable?.id ?? null;
  }

  #couldWin(id: string, candidate: DurableLog): boolean {
    const { configuration } = candidate;
    const own = voterNamed(configuration, id);
    if (own === undefined || this.voterOf(own) !== candidate) return false;
    return suffices(configuration, (member) => {
      const voter = this.voterOf(member);
      return voter !== null && !this.#lost.has(voter) && isUpToDate(candidate, voter);
    });
  }
}

/** Could the one have the other's vote, by their logs? */
function isUpToDate(candidate: DurableLog, voter: DurableLog): boolean {
  const theirs = candidate.lastTerm;
  const own = voter.lastTerm;
  return theirs > own || (theirs === own && candidate.lastIndex >= voter.lastIndex);
}
