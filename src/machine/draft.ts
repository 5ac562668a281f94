/**
 * Transactions over plain state. User code gets a draft, which it reads and changes as it would any objects, arrays, Maps
 * and Sets; the state itself is as it was until the draft is committed. What that costs depends on what was touched.
 *
 * The state is a tree: whatever user code puts into it is copied, once the draft is committed, and what was moved within
 * it is not if it stands in one place only in the end.
 */

import { DraftMap } from "./draft-map.ts";
import { type CollectionChange, type DraftNode, nodeOf, type Settlement, Transaction } from "./draft-node.ts";
import { ObjectNode } from "./draft-object.ts";
import { DraftSet } from "./draft-set.ts";
import {
  type Collection,
  type Container,
  checkPrimitive,
  copyOfLeaf,
  describe,
  elementOf,
  enter,
  type Fields,
  isArray,
  isFields,
  isLeaf,
  isMap,
  isObject,
  isSameLeaf,
  isSet,
  keysOf,
  type Place,
  put,
  refusal,
  rootPlace,
} from "./plain-value.ts";

export interface Draft<S> {
  readonly root: S;
  /**
   * Makes the state what the draft is, and ends the draft. All of it or nothing: if this throws, nothing has changed.
   *
   * @param beforeChange is called for each Map and Set that is about to be changed in place
   * @returns what the root of the state is now
   * @throws TypeError if something would come to stand in the state that is no plain value
   */
  commit(beforeChange?: (collection: Collection) => void): S;
  /** Ends the draft. It can't be used any more, not even to read. */
  drop(): void;
}

/** @param root of a state: an object, an array, a Map or a Set that holds nothing but plain values */
export function openDraft<S>(root: S, { readonly }: { readonly readonly: boolean }): Draft<S> {
  const transaction = new Transaction(readonly, open);
  const draft = isObject(root) ? nodeOf(open(transaction, root, 1)) : null;
  if (draft === null) throw new TypeError("a state is an object, an array, a Map or a Set");
  return {
    root: draft.draft as S,
    commit: (beforeChange) => {
      transaction.checkWrite();
      const settlement = new Commit(transaction);
      const settled = settlement.settle(draft, null);
      transaction.end();
      settlement.carryOut(beforeChange);
      return settled as S;
    },
    drop: () => transaction.end(),
  };
}

/**
 * A copy in all its parts of what may hold drafts, or be one, free of them.
 *
 * @param name what messages call it
 * @throws TypeError if it is no plain value
 */
export const plainOf = <T>(value: T, name?: string): T =>
  plain.value(value, name === undefined ? null : rootPlace(name)) as T;

/** The same for what is to be a state: keys of Maps and members of Sets must be primitive there. */
export const stateOf = <S>(value: S): S => new Commit(null).value(value, null) as S;

function open(transaction: Transaction, value: object, depth: number): object {
  if (value instanceof Map) return new DraftMap(transaction, value, depth);
  if (value instanceof Set) return new DraftSet(transaction, value, depth);
  return isLeaf(value) ? copyOfLeaf(value) : new ObjectNode(transaction, value as Fields, depth).draft;
}

/** What becomes of the parts of a container that is copied. */
interface Copier {
  value(value: unknown, at: Place | null): unknown;
  key(key: unknown, at: Place): unknown;
}

const plain: Copier = {
  value: (value, at) => {
    if (isObject(value)) return copyOf(value, at, plain);
    checkPrimitive(value, at);
    return value;
  },
  key: (key, at) => plain.value(key, at),
};

function copyOf(value: object, parent: Place | null, copier: Copier): unknown {
  const source = nodeOf(value)?.shallow() ?? value;
  if (isFields(source)) {
    const at = enter(value, parent);
    const copy: Fields = {};
    for (const key of keysOf(source, at)) {
      at.key = key;
      put(copy, key, copier.value(source[key], at));
    }
    return copy;
  }
  if (isArray(source)) {
    const at = enter(value, parent);
    const copy: unknown[] = [];
    for (let i = 0; i < source.length; i++) {
      at.key = i;
      copy.push(copier.value(elementOf(source, i, at), at));
    }
    return copy;
  }
  if (isMap(source)) {
    const at = enter(value, parent);
    const copy = new Map<unknown, unknown>();
    for (const [key, item] of source) {
      at.key = key;
      copy.set(copier.key(key, at), copier.value(item, at));
    }
    return copy;
  }
  if (isSet(source)) {
    const at = enter(value, parent);
    const copy = new Set<unknown>();
    for (const member of source) {
      at.key = member;
      copy.add(copier.key(member, at));
    }
    return copy;
  }
  if (isLeaf(source)) return copyOfLeaf(source);
  throw refusal(parent, describe(source));
}

class Commit implements Settlement {
  readonly #transaction: Transaction | null;
  readonly #settled = new Set<DraftNode>();
  readonly #changes: CollectionChange[] = [];

  /** @param transaction whose drafts it settles; null for what is no part of a state yet */
  constructor(transaction: Transaction | null) {
    this.#transaction = transaction;
  }

  settle(node: DraftNode, at: Place | null): Container {
    this.#settled.add(node);
    return node.settle(this, at);
  }

  value(value: unknown, at: Place | null, old?: unknown): unknown {
    if (!isObject(value)) {
      checkPrimitive(value, at);
      return value;
    }
    const node = nodeOf(value);
    if (node !== null && this.#isToStand(node, at)) return this.settle(node, at);
    if (isObject(old) && isLeaf(value) && isLeaf(old) && isSameLeaf(value, old)) return old;
    return copyOf(value, at, this);
  }

  key(key: unknown, at: Place): unknown {
    if (isObject(key)) throw refusal(at.parent, "an object as a key or member");
    checkPrimitive(key, at);
    return key;
  }

  change(change: CollectionChange): void {
    this.#changes.push(change);
  }

  carryOut(beforeChange?: (collection: Collection) => void): void {
    for (const { collection } of this.#changes) beforeChange?.(collection);
    for (const change of this.#changes) change.carryOut();
  }

  /**
   * What a draft stands for may stand in one place only. In a deeper one than before it must not: nobody has looked how
   * deep it is itself.
   */
  #isToStand(node: DraftNode, at: Place | null): boolean {
    const depth = at === null ? 0 : at.depth;
    return node.transaction === this.#transaction && !this.#settled.has(node) && depth < node.depth;
  }
}
