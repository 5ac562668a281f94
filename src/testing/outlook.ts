/** What is to be expected of the machines of a cluster: who is to run in the end, on what, and without whom. */

import { type Configuration, configurationOf, memberNamed } from "../raft/index.ts";
import type { Invariants } from "./invariants.ts";
import { identityOn, isGone, type Place, takenBy } from "./place.ts";
import { suffices } from "./quorums.ts";

/** What a log may have beyond its limit: whole segments are removed, and the last frame of one may be large. */
const LOG_BYTES_OVER = 8_192;
/** The newest, what has come of one from another node, and those that followers were offered before they caught up. */
const SNAPSHOTS_MAX = 5;

export class Outlook {
  readonly #places: ReadonlyMap<string, Place>;
  readonly #invariants: Invariants;
  readonly #logBytesMax: number;

  constructor(places: ReadonlyMap<string, Place>, invariants: Invariants, logBytesMax: number) {
    this.#places = places;
    this.#invariants = invariants;
    this.#logBytesMax = logBytesMax;
  }

  /** Two nodes whose machines hold different state, in words; null if all agree. */
  differingState(): string | null {
    const running = this.lasting.map((id) => this.#place(id)).filter(({ machine }) => machine !== null);
    const [first, ...others] = running.map(({ id, machine }) => ({
      id,
      state: [...(machine?.snapshot() ?? [])].join(),
    }));
    const other = others.find(({ state }) => state !== first?.state);
    return other === undefined ? null : `${other.id} holds another state than ${first?.id} after the same entries`;
  }

  /** A node whose files take more than they may once all is calm, in words; null if none does. */
  get overfull(): string | null {
    const found = this.lasting.flatMap((id) => {
      const { log, snapshots } = takenBy(this.#place(id).memory);
      // More than a snapshot takes is not worth keeping beside it.
      const logMax = Math.max(this.#logBytesMax, 2 * Math.max(0, ...snapshots)) + LOG_BYTES_OVER;
      const isOver = log > logMax || snapshots.length > SNAPSHOTS_MAX;
      return isOver ? [`${id} keeps ${log} bytes of log, of ${logMax}, and ${snapshots.length} snapshots`] : [];
    });
    return found[0] ?? null;
  }

  /** Does the disk of every other founder that has kept it say that it has met this one, as it is? */
  isKnownToAll(id: string): boolean {
    const { memory: own, raft } = this.#place(id);
    const incarnationHere = identityOn(own, id)?.incarnation;
    // Those that it knows to be members no more have nothing to say.
    const counts = (place: Place): boolean =>
      place.isFounder && raft !== null && memberNamed(configurationOf(raft), place.id) !== undefined;
    const others = [...this.#places.values()].filter(
      (place) => place.id !== id && counts(place) && place.wipes === 0 && place.data !== "damaged",
    );
    return others.every(({ id: other, memory }) =>
      identityOn(memory, other)?.members.some(([name, incarnation]) => name === id && incarnation === incarnationHere),
    );
  }

  /** It was taken out, and knows. */
  isRetired(id: string): boolean {
    return this.#place(id).data === "retired";
  }

  /** Those that are to run once all is well: none that were taken out, and have had a way to find out. */
  get lasting(): string[] {
    return [...this.#places.keys()].filter((id) => !this.isRetired(id) && !this.#isForlorn(id));
  }

  /** It was taken out, and too few of those that it knew as members are members still to tell it. */
  #isForlorn(id: string): boolean {
    const { raft } = this.#place(id);
    const { members } = this.#invariants;
    if (raft === null || members === null || memberNamed(members, id) !== undefined) return false;
    const known = configurationOf(raft);
    const tells = ({ id: other, url }: Configuration["members"][number]): boolean =>
      other === id || memberNamed(members, other)?.url === url;
    return known.members.length > 0 && !suffices(known, tells);
  }

  /** Could those that have kept their disks go on without a machine, whatever configuration counts in the end? */
  canDoWithout(id: string | null): boolean {
    const places = [...this.#places.values()].filter((place) => place.id !== id && !isGone(this.#refreshed(place.id)));
    const kept = places.filter(({ data }) => data !== "rotten");
    const { disks, members } = this.#invariants;
    // Whoever has yet to be taken note of needs every founder for that, as it was.
    const admitsFounders = [...this.#places.values()].every(
      (place) => !place.isFounder || (place.hasFirstDisk && kept.includes(place)),
    );
    const isThere = (member: Configuration["members"][number]): boolean => {
      if (member.incarnation !== null) return kept.some(({ log }) => disks.of(member).includes(log));
      return kept.some((place) => place.id === member.id && (admitsFounders || disks.isAdmitted(place.log)));
    };
    const inPlay = places.flatMap(({ log, raft }) => [
      log.configuration,
      ...(raft === null ? [] : [configurationOf(raft)]),
    ]);
    const newest = members === null ? [] : [members];
    return [...newest, ...inPlay].every(({ members: all }) => all.length === 0 || suffices({ members: all }, isThere));
  }

  /** What its node has promised is known to it. */
  isSound(id: string): boolean {
    return this.#refreshed(id).data === "sound";
  }

  /** A machine that had lost its disk is as good as another once the log names the new one as a voter. */
  #refreshed(id: string): Place {
    const place = this.#place(id);
    if (place.data !== "lost" || place.raft === null) return place;
    const { members } = this.#invariants;
    const own = members === null ? undefined : memberNamed(members, id);
    if (own?.role === "voter" && own.incarnation === place.raft.config.incarnation) place.data = "sound";
    return place;
  }

  #place(id: string): Place {
    const place = this.#places.get(id);
    if (place === undefined) throw new RangeError(`there is no ${id}`);
    return place;
  }
}
