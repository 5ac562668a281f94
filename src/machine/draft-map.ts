/** Drafts of Maps: what has become different lies over the Map of the state, which is not copied. */

import { checkSize, disguise, iteratorOf, NOTE } from "./draft-collection.ts";
import { type DraftNode, NODE, type Settlement, type Transaction } from "./draft-node.ts";
import { enter, isObject, type Place } from "./plain-value.ts";

/** What is over a key that was deleted. */
const DELETED = Symbol("deleted");

export class DraftMap extends Map<unknown, unknown> implements DraftNode {
  readonly #transaction: Transaction;
  readonly #depth: number;
  readonly #base: Map<unknown, unknown>;
  /** What keys of the base hold instead: drafts that were handed out, new values, or nothing any more. */
  readonly #over = new Map<unknown, unknown>();
  readonly #added = new Map<unknown, unknown>();
  #deleted = 0;
  #isCleared = false;

  constructor(transaction: Transaction, base: Map<unknown, unknown>, depth: number) {
    super();
    super.set(NOTE, NOTE);
    this.#transaction = transaction;
    this.#depth = depth;
    this.#base = base;
  }

  get [NODE](): DraftNode | null {
    return #base in this ? this : null;
  }

  get transaction(): Transaction {
    return this.#transaction;
  }

  get depth(): number {
    return this.#depth;
  }

  get draft(): object {
    return this;
  }

  override get size(): number {
    this.#transaction.checkRead();
    return (this.#isCleared ? 0 : this.#base.size - this.#deleted) + this.#added.size;
  }

  override has(key: unknown): boolean {
    this.#transaction.checkRead();
    return this.#isInBase(key) || this.#added.has(key);
  }

  override get(key: unknown): unknown {
    this.#transaction.checkRead();
    return this.#isInBase(key) ? this.#inBase(key) : this.#added.get(key);
  }

  override set(key: unknown, value: unknown): this {
    this.#transaction.checkWrite();
    if (this.#isInBase(key)) this.#over.set(key, value);
    else this.#added.set(key, value);
    return this;
  }

  override delete(key: unknown): boolean {
    this.#transaction.checkWrite();
    if (!this.#isInBase(key)) return this.#added.delete(key);
    this.#over.set(key, DELETED);
    this.#deleted++;
    return true;
  }

  override clear(): void {
    this.#transaction.checkWrite();
    this.#added.clear();
    this.#over.clear();
    this.#isCleared = this.#base.size > 0;
  }

  override getOrInsert(key: unknown, value: unknown): unknown {
    if (!this.has(key)) this.set(key, value);
    return this.get(key);
  }

  override getOrInsertComputed(key: unknown, make: (key: unknown) => unknown): unknown {
    if (!this.has(key)) this.set(key, make(key === 0 ? 0 : key)); // As a real one has no key -0.
    return this.get(key);
  }

  override keys(): MapIterator<unknown> {
    return iteratorOf(this.#steps((key) => key));
  }

  override values(): MapIterator<unknown> {
    return iteratorOf(this.#steps((key) => this.get(key)));
  }

  override entries(): MapIterator<[unknown, unknown]> {
    return iteratorOf(this.#steps((key) => [key, this.get(key)]));
  }

  override [Symbol.iterator](): MapIterator<[unknown, unknown]> {
    return this.entries();
  }

  override forEach(visit: (value: unknown, key: unknown, map: Map<unknown, unknown>) => void, self?: unknown): void {
    for (const [key, value] of this.entries()) visit.call(self, value, key, this);
  }

  shallow(): Map<unknown, unknown> {
    this.#transaction.checkRead();
    const map = new Map<unknown, unknown>();
    for (const [key, value] of this.#isCleared ? [] : this.#base) {
      const over = this.#over.has(key) ? this.#over.get(key) : value;
      if (over !== DELETED) map.set(key, over);
    }
    for (const [key, value] of this.#added) map.set(key, value);
    return map;
  }

  settle(settlement: Settlement, parent: Place | null): Map<unknown, unknown> {
    const base = this.#base;
    const at = enter(this, parent);
    const isCleared = this.#isCleared;
    const deleted: unknown[] = [];
    const set: [unknown, unknown][] = [];
    for (const [key, over] of this.#over) {
      at.key = key;
      if (over === DELETED) {
        deleted.push(key);
        continue;
      }
      const old = base.get(key);
      const value = settlement.value(over, at, old);
      if (!Object.is(value, old)) set.push([key, value]);
    }
    for (const [key, value] of this.#added) {
      at.key = key;
      set.push([settlement.key(key, at), settlement.value(value, at)]);
    }
    if (!isCleared && deleted.length === 0 && set.length === 0) return base;
    checkSize(this.size, at);
    const carryOut = (): void => {
      if (isCleared) base.clear();
      for (const key of deleted) base.delete(key);
      for (const [key, value] of set) base.set(key, value);
    };
    settlement.change({ collection: base, carryOut });
    return base;
  }

  #isInBase(key: unknown): boolean {
    return !this.#isCleared && this.#base.has(key) && this.#over.get(key) !== DELETED;
  }

  /** What a key of the base holds now. */
  #inBase(key: unknown): unknown {
    const over = this.#over.get(key);
    if (over !== undefined || this.#over.has(key)) return over;
    const value = this.#base.get(key);
    if (!isObject(value)) return value;
    const opened = this.#transaction.open(value, this.#depth + 1);
    this.#over.set(key, opened);
    return opened;
  }

  /** Goes through the keys as a real Map does, which may change in the meantime. */
  *#steps<T>(pick: (key: unknown) => T): Generator<T, undefined> {
    this.#transaction.checkRead();
    if (!this.#isCleared) {
      for (const key of this.#base.keys()) {
        if (this.#isCleared) break;
        if (this.#over.get(key) !== DELETED) yield pick(key);
        this.#transaction.checkRead();
      }
    }
    for (const key of this.#added.keys()) {
      yield pick(key);
      this.#transaction.checkRead();
    }
  }
}

disguise(DraftMap, Map);
