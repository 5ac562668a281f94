/** Drafts of Sets: what has become different lies over the Set of the state, which is not copied. */

import { checkSize, disguise, iteratorOf, NOTE } from "./draft-collection.ts";
import { type DraftNode, NODE, type Settlement, type Transaction } from "./draft-node.ts";
import { enter, type Place } from "./plain-value.ts";

export class DraftSet extends Set<unknown> implements DraftNode {
  readonly #transaction: Transaction;
  readonly #depth: number;
  readonly #base: Set<unknown>;
  readonly #deleted = new Set<unknown>();
  readonly #added = new Set<unknown>();
  #isCleared = false;

  constructor(transaction: Transaction, base: Set<unknown>, depth: number) {
    super();
    super.add(NOTE);
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
    return (this.#isCleared ? 0 : this.#base.size - this.#deleted.size) + this.#added.size;
  }

  override has(member: unknown): boolean {
    this.#transaction.checkRead();
    return this.#isInBase(member) || this.#added.has(member);
  }

  override add(member: unknown): this {
    this.#transaction.checkWrite();
    if (!this.#isInBase(member)) this.#added.add(member);
    return this;
  }

  override delete(member: unknown): boolean {
    this.#transaction.checkWrite();
    if (!this.#isInBase(member)) return this.#added.delete(member);
    this.#deleted.add(member);
    return true;
  }

  override clear(): void {
    this.#transaction.checkWrite();
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

  // What real Sets have of these only from Node 22 on, and go through in the same order.

  override union<U>(other: ReadonlySetLike<U>): Set<unknown> {
    const both = new Set<unknown>(this);
    for (const member of membersOf(other)) both.add(member);
    return both;
  }

  override difference(other: ReadonlySetLike<unknown>): Set<unknown> {
    const left = new Set<unknown>(this);
    if (left.size > other.size) for (const member of membersOf(other)) left.delete(member);
    else for (const member of this) if (other.has(member)) left.delete(member);
    return left;
  }

  override symmetricDifference<U>(other: ReadonlySetLike<U>): Set<unknown> {
    const either = new Set<unknown>(this);
    for (const member of membersOf(other)) {
      if (this.has(member)) either.delete(member);
      else either.add(member);
    }
    return either;
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
    this.#transaction.checkRead();
    if (!this.#isCleared) {
      for (const member of this.#base) {
        if (this.#isCleared) break;
        if (!this.#deleted.has(member)) yield pick(member);
        this.#transaction.checkRead();
      }
    }
    for (const member of this.#added) {
      yield pick(member);
      this.#transaction.checkRead();
    }
  }
}

disguise(DraftSet, Set);

const membersOf = <T>(set: ReadonlySetLike<T>): Iterable<T> => ({ [Symbol.iterator]: () => set.keys() as Iterator<T> });
