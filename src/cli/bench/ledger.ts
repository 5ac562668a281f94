/**
 * What was written, by whom, and what the store said of it. A benchmark of a store that loses, reorders or doubles writes
 * measures nothing: the ledger looks at every answer, and at all that is there in the end.
 */

import { wrongAnswer } from "./failure.ts";

/** What a key holds, as the store tells it. */
export interface Held {
  readonly value: unknown;
  readonly revision: number;
}

const KEY_DIGITS = 15;
/** Keys have sixteen bytes, as those of the ceiling do. */
export const KEY_PREFIX = "k";
/** A value begins with the number of the put that wrote it, which has to fit. */
export const VALUE_BYTES_MIN = 10;
const ROOM_AT_FIRST = 65_536;
const UNANSWERED = 0;

export const keyOf = (key: number): string => KEY_PREFIX + String(key).padStart(KEY_DIGITS, "0");

/** The puts of one load, which is the only one to write while it lasts. */
export class Ledger {
  readonly #valueBytes: number;
  /** By the number of the put: its client, its key, and the revision that it was given. */
  #clients = new Uint32Array(ROOM_AT_FIRST);
  #keys = new Uint32Array(ROOM_AT_FIRST);
  #revisions = new Float64Array(ROOM_AT_FIRST);
  #puts = 0;

  constructor({ valueBytes }: { readonly valueBytes: number }) {
    this.#valueBytes = valueBytes;
  }

  /** How many puts there were. */
  get puts(): number {
    return this.#puts;
  }

  /** A put is about to be sent, by that client and to that key: its number. */
  issue(client: number, key: number): number {
    const put = this.#puts++;
    if (put === this.#clients.length) this.#grow();
    this.#clients[put] = client;
    this.#keys[put] = key;
    return put;
  }

  /** What that put writes: nothing else writes the same. */
  valueOf(put: number): string {
    return String(put).padEnd(this.#valueBytes, ".");
  }

  /** The put took effect. @throws Failure */
  acknowledge(put: number, revision: number | undefined): void {
    if (revision === undefined || !Number.isSafeInteger(revision) || revision < 1) {
      throw wrongAnswer(`${this.#name(put)} was acknowledged with revision ${revision}, which is none.`);
    }
    this.#revisions[put] = revision;
  }

  /** Of each key that was written, the put with the highest revision. */
  newest(): Map<number, number> {
    const newest = new Map<number, number>();
    for (let put = 0; put < this.#puts; put++) {
      const key = this.#keys[put] ?? 0;
      const before = newest.get(key);
      if (before === undefined || this.#revision(put) > this.#revision(before)) newest.set(key, put);
    }
    return newest;
  }

  /**
   * Every put was acknowledged; a client's took effect in the order in which it issued them, each once, and nothing
   * else did meanwhile.
   *
   * @throws Failure
   */
  checkOrder(): void {
    const last = new Map<number, number>();
    for (let put = 0; put < this.#puts; put++) {
      const client = this.#clients[put] ?? 0;
      const before = last.get(client);
      if (this.#revision(put) === UNANSWERED) throw wrongAnswer(`${this.#name(put)} was never acknowledged.`);
      if (before !== undefined && this.#revision(put) < this.#revision(before)) {
        throw wrongAnswer(
          `Reordered: ${this.#name(put)} took effect as revision ${this.#revision(put)}, before ${this.#name(before)}, which the same client had issued earlier, as revision ${this.#revision(before)}.`,
        );
      }
      last.set(client, put);
    }
    const revisions = this.#revisions.slice(0, this.#puts).sort();
    for (let i = 1; i < revisions.length; i++) {
      const [before = 0, revision = 0] = [revisions[i - 1], revisions[i]];
      if (revision === before) throw wrongAnswer(`Two puts were acknowledged with the same revision, ${revision}.`);
      if (revision !== before + 1) {
        throw wrongAnswer(
          `Doubled: between revisions ${before} and ${revision} the store has changed, and every put was acknowledged with another revision: one took effect more than once.`,
        );
      }
    }
  }

  /**
   * The answer to a question for a key, while nobody writes, is what the last put to it wrote.
   *
   * @param put the newest of that key
   * @throws Failure
   */
  checkHeld(key: number, put: number, held: Held | null | undefined): void {
    const { value, revision } = held ?? { value: null, revision: 0 };
    if (value === this.valueOf(put) && revision === this.#revision(put)) return;
    const found = held == null ? "nothing" : `${JSON.stringify(value).slice(0, 40)} of revision ${revision}`;
    throw wrongAnswer(
      `Lost: ${keyOf(key)} holds ${found}, and not what ${this.#name(put)} wrote as revision ${this.#revision(put)}.`,
    );
  }

  /**
   * All that is there in the end.
   *
   * @param held what the store holds, by key; others than those written here are none of its business
   * @param revision the store's
   * @throws Failure
   */
  checkStore(held: ReadonlyMap<string, Held>, revision: number): void {
    let highest = 0;
    for (const [key, put] of this.newest()) {
      this.checkHeld(key, put, held.get(keyOf(key)));
      highest = Math.max(highest, this.#revision(put));
    }
    if (highest === 0 || revision === highest) return;
    throw wrongAnswer(
      `Doubled: the store is at revision ${revision}, and the last put was acknowledged with ${highest}: one took effect more than once.`,
    );
  }

  #revision(put: number): number {
    return this.#revisions[put] ?? UNANSWERED;
  }

  #name(put: number): string {
    return `put ${put} (client ${this.#clients[put]}, ${keyOf(this.#keys[put] ?? 0)})`;
  }

  #grow(): void {
    const room = 2 * this.#clients.length;
    const [clients, keys, revisions] = [new Uint32Array(room), new Uint32Array(room), new Float64Array(room)];
    clients.set(this.#clients);
    keys.set(this.#keys);
    revisions.set(this.#revisions);
    [this.#clients, this.#keys, this.#revisions] = [clients, keys, revisions];
  }
}
