/** Drafts of Maps and Sets: what has become different lies over the Map or Set of the state, which is not copied. */

import { type DraftNode, NODE, type Settlement, type Transaction } from "./draft-node.ts";
import { COLLECTION_SIZE_MAX, enter, isObject, type Place, refusal } from "./plain-value.ts";

/** What is over a key that was deleted. */
const DELETED = Symbol("deleted");
/**
 * All there is in a draft for those who look past its methods: it can't be cloned as if it were empty, and says so to
 * whoever prints it.
 */
const NOTE = Symbol("a draft, see plainOf");

const iteratorPrototype: object = Object.getPrototypeOf(Object.getPrototypeOf([].values()));

/** As those of a Map or Set are: whoever breaks a loop off can go on where it was. */
const iteratorOf = <T>(steps: Generator<T, undefined>): MapIterator<T> & SetIterator<T> =>
  Object.assign(Object.create(iteratorPrototype), { next: () => steps.next() });

function checkSize(size: number, at: Place): void {
  if (size > COLLECTION_SIZE_MAX) throw refusal(at.parent, `more than ${COLLECTION_SIZE_MAX} keys or members`);
}

export class DraftMap extends Map<unknown, unknown> implements DraftNode {
  readonly transaction: Transaction;
  readonly depth: number;
  readonly #base: Map<unknown, unknown>;
  /** What keys of the base hold instead: drafts that were handed out, new values, or nothing any more. */
  readonly #over = new Map<unknown, unknown>();
  readonly #added = new Map<unknown, unknown>();
  #deleted = 0;
  #isCleared = false;

  constructor(transaction: Transaction, base: Map<unknown, unknown>, depth: number) {
    super();
    super.set(NOTE, NOTE);
    this.transaction = transaction;
    this.depth = depth;
    this.#base = base;
  }

  get [NODE](): DraftNode {
    return this;
  }

  get draft(): object {
    return this;
  }

  override get size(): number {
    this.transaction.checkRead();
    return (this.#isCleared ? 0 : this.#base.size - this.#deleted) + this.#added.size;
  }

  override has(key: unknown): boolean {
    this.transaction.checkRead();
    return this.#isInBase(key) || this.#added.has(key);
  }

  override get(key: unknown): unknown {
    this.transaction.checkRead();
    return this.#isInBase(key) ? this.#inBase(key) : this.#added.get(key);
  }

  override set(key: unknown, value: unknown): this {
    this.transaction.checkWrite();
    if (this.#isInBase(key)) this.#over.set(key, value);
    else this.#added.set(key, value);
    return this;
  }

  override delete(key: unknown): boolean {
    this.transaction.checkWrite();
    if (!this.#isInBase(key)) return this.#added.delete(key);
    this.#over.set(key, DELETED);
    this.#deleted++;
    return true;
  }

  override clear(): void {
    this.transaction.checkWrite();
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
    this.transaction.checkRead();
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
    const opened = this.transaction.open(value, this.depth + 1);
    this.#over.set(key, opened);
    return opened;
  }

  /** Goes through the keys as a real Map does, which may change in the meantime. */
  *#steps<T>(pick: (key: unknown) => T): Generator<T, undefined> {
    this.transaction.checkRead();
    if (!this.#isCleared) {
      for (const key of this.#base.keys()) {
        if (this.#isCleared) break;
        if (this.#over.get(key) !== DELETED) yield pick(key);
        this.transaction.checkRead();
      }
    }
    for (const key of this.#added.keys()) {
      yield pick(key);
      this.transaction.checkRead();
    }
  }
}

export class DraftSet extends Set<unknown> implements DraftNode {
  readonly transaction: Transaction;
  readonly depth: number;
  readonly #base: Set<unknown>;
  readonly #deleted = new Set<unknown>();
  readonly #added = new Set<unknown>();
  #isCleared = false;

  constructor(transaction: Transaction, base: Set<unknown>, depth: number) {
    super();
    super.add(NOTE);
    this.transaction = transaction;
    this.depth = depth;
    this.#base = base;
  }

  get [NODE](): DraftNode {
    return this;
  }

  get draft(): object {
    return this;
  }

  override get size(): number {
    this.transaction.checkRead();
    return (this.#isCleared ? 0 : this.#base.size - this.#deleted.size) + this.#added.size;
  }

  override has(member: unknown): boolean {
    this.transaction.checkRead();
    return this.#isInBase(member) || this.#added.has(member);
  }

  override add(member: unknown): this {
    this.transaction.checkWrite();
    if (!this.#isInBase(member)) this.#added.add(member);
    return this;
  }

  override delete(member: unknown): boolean {
    this.transaction.checkWrite();
    if (!this.#isInBase(member)) return this.#added.delete(member);
    this.#deleted.add(member);
    return true;
  }

  override clear(): void {
    this.transaction.checkWrite();
    this.#added.clear();
    this.#isCleared = this.#base.size > 0;
  }

  override keys(): SetIterator<unknown> {
    return this.values();
  }

  override values(): SetIterator<unknown> {
    return iteratorOf(this.#steps((member) => member));
  }

  override entries(): SetIterator<[unknown, unknown]> {
    return iteratorOf(this.#steps((member) => [member, member]));
  }

  override [Symbol.iterator](): SetIterator<unknown> {
    return this.values();
  }

  override forEach(visit: (value: unknown, key: unknown, set: Set<unknown>) => void, self?: unknown): void {
    for (const member of this.values()) visit.call(self, member, member, this);
  }

  override union<U>(other: ReadonlySetLike<U>): Set<unknown> {
    return new Set<unknown>(this).union(other);
  }

  override difference(other: ReadonlySetLike<unknown>): Set<unknown> {
    return new Set<unknown>(this).difference(other);
  }

  override symmetricDifference<U>(other: ReadonlySetLike<U>): Set<unknown> {
    return new Set<unknown>(this).symmetricDifference(other);
  }

  // The others may come to little: no copy is made for them. They go through the smaller of the two, as the real ones do.

  override intersection<U>(other: ReadonlySetLike<U>): Set<U> {
    const both = new Set<unknown>();
    if (this.size > other.size) {
      for (const member of membersOf(other)) if (this.has(member)) both.add(member);
    } else for (const member of this) if (other.has(member as U)) both.add(member);
    return both as Set<U>;
  }

  override isSubsetOf(other: ReadonlySetLike<unknown>): boolean {
    if (this.size > other.size) return false;
    for (const member of this) if (!other.has(member)) return false;
    return true;
  }

  override isSupersetOf(other: ReadonlySetLike<unknown>): boolean {
    if (this.size < other.size) return false;
    for (const member of membersOf(other)) if (!this.has(member)) return false;
    return true;
  }

  override isDisjointFrom(other: ReadonlySetLike<unknown>): boolean {
    if (this.size <= other.size) {
      for (const member of this) if (other.has(member)) return false;
    } else for (const member of membersOf(other)) if (this.has(member)) return false;
    return true;
  }

  shallow(): Set<unknown> {
    return new Set<unknown>(this);
  }

  settle(settlement: Settlement, parent: Place | null): Set<unknown> {
    const base = this.#base;
    const at = enter(this, parent);
    const isCleared = this.#isCleared;
    const deleted = [...this.#deleted];
    const added: unknown[] = [];
    for (const member of this.#added) {
      at.key = member;
      added.push(settlement.key(member, at));
    }
    if (!isCleared && deleted.length === 0 && added.length === 0) return base;
    checkSize(this.size, at);
    const carryOut = (): void => {
      if (isCleared) base.clear();
      for (const member of deleted) base.delete(member);
      for (const member of added) base.add(member);
    };
    settlement.change({ collection: base, carryOut });
    return base;
  }

  #isInBase(member: unknown): boolean {
    return !this.#isCleared && this.#base.has(member) && !this.#deleted.has(member);
  }

  /** Goes through the members as a real Set does, which may change in the meantime. */
  *#steps<T>(pick: (member: unknown) => T): Generator<T, undefined> {
    this.transaction.checkRead();
    if (!this.#isCleared) {
      for (const member of this.#base) {
        if (this.#isCleared) break;
        if (!this.#deleted.has(member)) yield pick(member);
        this.transaction.checkRead();
      }
    }
    for (const member of this.#added) {
      yield pick(member);
      this.transaction.checkRead();
    }
  }
}

const membersOf = <T>(set: ReadonlySetLike<T>): Iterable<T> => ({ [Symbol.iterator]: () => set.keys() as Iterator<T> });

// What is a Map but for the memory it uses is not told from one by its constructor. And a method that a newer runtime has
// given to Maps and Sets would only see what was added.
for (const [draft, real] of [[DraftMap, Map] as const, [DraftSet, Set] as const]) {
  Object.defineProperty(draft.prototype, "constructor", { value: real, writable: true, configurable: true });
  for (const key of Reflect.ownKeys(real.prototype)) {
    const method = Object.getOwnPropertyDescriptor(real.prototype, key)?.value;
    if (typeof method !== "function" || Object.hasOwn(draft.prototype, key)) continue;
    const value = (): never => {
      throw new TypeError(`${real.name}.prototype.${String(key)} is not known for what is in the state`);
    };
    Object.defineProperty(draft.prototype, key, { value, writable: true, configurable: true });
  }
}
