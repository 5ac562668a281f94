/** What the drafts of one transaction share, and what a transaction asks of them in the end. */

import type { Container, Place } from "./plain-value.ts";

/** Under this key a draft tells what it is; nobody else has the key. */
export const NODE = Symbol("draft");

/** A container as user code sees it: what it changes is kept beside the state until that is settled. */
export interface DraftNode {
  readonly transaction: Transaction;
  /** What user code holds. */
  readonly draft: object;
  /** Within how many containers it stands, itself included. */
  readonly depth: number;
  /** What it holds now: values of the state, drafts, and what user code has put there. To be read only. */
  shallow(): Container;
  /** What is to stand in the state in its place: what stood there if that is the same, or is changed in place. */
  settle(settlement: Settlement, at: Place | null): Container;
}

/** The first half of a commit: what is to be is made and checked, and nothing of the state is changed. */
export interface Settlement {
  /** What a value is in the state. @param old what stands in its place now @throws TypeError if it is no plain value */
  value(value: unknown, at: Place, old?: unknown): unknown;
  /** A key of a Map, or a member of a Set. @throws TypeError if it can't be one */
  key(key: unknown, at: Place): unknown;
  /** A Map or Set is to be changed in place. */
  change(change: CollectionChange): void;
}

export interface CollectionChange {
  readonly collection: Map<unknown, unknown> | Set<unknown>;
  /** Can't fail. */
  carryOut(): void;
}

/** Null for what is no draft. */
export function nodeOf(value: object): DraftNode | null {
  const node = (value as { readonly [NODE]?: DraftNode | null })[NODE] ?? null;
  // What inherits from a draft is none itself.
  return node?.draft === value ? node : null;
}

/** Opens a value of the state: a container as a draft, any other object as a copy. */
export type Opener = (transaction: Transaction, value: object, depth: number) => object;

export class Transaction {
  readonly #isReadonly: boolean;
  readonly #opener: Opener;
  #isOver = false;

  constructor(isReadonly: boolean, opener: Opener) {
    this.#isReadonly = isReadonly;
    this.#opener = opener;
  }

  open(value: object, depth: number): object {
    return this.#opener(this, value, depth);
  }

  /** @throws TypeError once it is over */
  checkRead(): void {
    if (this.#isOver) throw new TypeError("the state can't be used any more: the command or query is over");
  }

  /** @throws TypeError if nothing may be changed */
  checkWrite(): void {
    this.checkRead();
    if (this.#isReadonly) throw new TypeError("a query must not change the state");
  }

  end(): void {
    this.#isOver = true;
  }
}
