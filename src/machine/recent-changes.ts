/**
 * The last changes of a key-value store, for those who watch it. They are a part of the replicated state: every replica
 * keeps the same ones, so that a watch can go on at any of them.
 */

import type { Change, Value } from "./key-value-protocol.ts";

export interface ChangesBounds {
  readonly countMax: number;
  /** See `sizeOf`. */
  readonly sizeMax: number;
}

/** Replicas with other bounds would come to another state: these are no setting. */
export const CHANGES_BOUNDS: ChangesBounds = { countMax: 65_536, sizeMax: 8 * 1024 * 1024 };

/** A page ends once it holds so much, or has passed so many changes by: who asks must not hold up others. */
const PAGE_SIZE_MAX = 256 * 1024;
const PAGE_SCANNED_MAX = 10_000;

/** Some changes, and from which revision on there may be more. */
export interface FoundChanges {
  readonly changes: readonly Change[];
  readonly nextRevision: number;
}

type Put = Extract<Change, { type: "put" }>;

export class RecentChanges {
  readonly #bounds: ChangesBounds;
  /** A ring, without gaps: each is where its revision says, in place of one that is not kept any more. */
  readonly #ring: (Change | undefined)[] = [];
  #count = 0;
  #size = 0;
  #lastRevision: number;
  /** The transaction of the last change that was forgotten goes on: its other changes are forgotten, too. */
  #isCut = false;

  /** @param lastRevision that of the store before the first of the changes */
  constructor(bounds: ChangesBounds, lastRevision = 0) {
    this.#bounds = bounds;
    this.#lastRevision = lastRevision;
  }

  get lastRevision(): number {
    return this.#lastRevision;
  }

  /** No transaction is without its end. */
  get areWhole(): boolean {
    return this.#count === 0 || this.#at(this.#lastRevision).more !== true;
  }

  /** Changes from this revision on are to be had. */
  get firstRevision(): number {
    return this.#lastRevision + 1 - this.#count;
  }

  /** @param more another change of the same transaction follows, before anything else happens */
  put(key: string, value: Value, more = false): Put {
    const change: Put = { type: "put", key, value, revision: this.#lastRevision + 1 };
    const whole = more ? { ...change, more } : change;
    this.#add(whole);
    return whole;
  }

  delete(key: string, more = false): void {
    const change: Change = { type: "delete", key, revision: this.#lastRevision + 1 };
    this.#add(more ? { ...change, more } : change);
  }

  /** @throws RangeError if it does not follow the last one */
  restore(change: Change): void {
    if (change.revision !== this.#lastRevision + 1) {
      throw new RangeError(`the change of revision ${change.revision} follows that of ${this.#lastRevision}`);
    }
    this.#add(change);
  }

  /** Those that are kept, as they are now. */
  all(): readonly Change[] {
    return Array.from({ length: this.#count }, (_, i) => this.#at(this.firstRevision + i));
  }

  /**
   * Changes of keys with a prefix, in order; `fromRevision` must not be before the first that is to be had. What a
   * transaction has changed is never torn apart, even if there are more than `countMax` of it.
   */
  find(prefix: string, fromRevision: number, countMax: number): FoundChanges {
    const changes: Change[] = [];
    let size = 0;
    let revision = fromRevision;
    const end = Math.min(this.#lastRevision + 1, fromRevision + PAGE_SCANNED_MAX);
    let isWithin = false;
    /** How many of the changes are not of the transaction that is looked through. */
    let before = 0;
    while (isWithin || (revision < end && changes.length < countMax && size < PAGE_SIZE_MAX)) {
      const change = this.#at(revision++);
      isWithin = change.more === true;
      if (change.key.startsWith(prefix)) {
        changes.push(change);
        size += sizeOf(change);
      }
      if (isWithin) continue;
      linkUp(changes, before);
      before = changes.length;
    }
    return { changes, nextRevision: revision };
  }

  #add(change: Change): void {
    this.#lastRevision = change.revision;
    this.#ring[this.#placeOf(change.revision)] = change;
    this.#count++;
    this.#size += sizeOf(change);
    const { countMax, sizeMax } = this.#bounds;
    while (this.#count > 0 && (this.#count > countMax || this.#size > sizeMax || this.#isCut)) {
      const place = this.#placeOf(this.firstRevision);
      const oldest = this.#ring[place];
      this.#ring[place] = undefined;
      this.#count--;
      if (oldest !== undefined) this.#size -= sizeOf(oldest);
      this.#isCut = oldest?.more === true;
    }
  }

  #at(revision: number): Change {
    const change = this.#ring[this.#placeOf(revision)];
    if (change?.revision !== revision) throw new RangeError(`the change of revision ${revision} is gone`);
    return change;
  }

  /** There is a place more than are kept: for the newest, before the oldest is gone. */
  #placeOf(revision: number): number {
    return revision % (this.#bounds.countMax + 1);
  }
}

/** From there on all changes are of one transaction: whether there is more of it is to be told by what is shown. */
function linkUp(changes: Change[], from: number): void {
  for (let i = from; i < changes.length; i++) {
    const change = changes[i];
    const more = i + 1 < changes.length;
    if (change === undefined || (change.more === true) === more) continue;
    const { more: _, ...alone } = change;
    changes[i] = more ? { ...alone, more } : alone;
  }
}

/** What a change takes up, nearly: units of UTF-16 for text, which need no encoding to be counted, and bytes. */
function sizeOf(change: Change): number {
  return CHANGE_SIZE_MIN + change.key.length + (change.type === "put" ? change.value.length : 0);
}

const CHANGE_SIZE_MIN = 32;
