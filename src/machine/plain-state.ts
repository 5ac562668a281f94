/** State of plain values that is changed in transactions, and can be drawn as it was at any moment meanwhile. */

import { openDraft, plainOf, stateOf } from "./draft.ts";
import { Drawing, type Kept, keptOf, PIECE_BYTES_MAX, takeMade } from "./plain-snapshot.ts";
import { type Collection, isArray, isFields, isMap, isObject, isSet } from "./plain-value.ts";

export { PlainStateReader } from "./plain-snapshot.ts";

export class PlainState<S> {
  #root: S;
  readonly #pieceBytesMax: number;
  /** Those under way. They are not kept from the collector: whoever wants no more of one may just let go of it. */
  readonly #drawings = new Set<WeakRef<Drawing>>();
  /** What runs at the moment. */
  #running: "change" | "look" | null = null;

  /** @param root is copied @throws TypeError if it is no object, array, Map or Set, or holds what is no plain value */
  constructor(root: S, pieceBytesMax = PIECE_BYTES_MAX) {
    this.#root = ownState(root);
    this.#pieceBytesMax = pieceBytesMax;
  }

  /**
   * Lets a function change the state, all at once when it has returned. If it throws, nothing has changed.
   *
   * @returns a copy of what the function has returned
   * @throws TypeError if it is asynchronous, or if what it returns or puts into the state is no plain value; and whatever
   * the function throws
   */
  change<T>(run: (draft: S) => T): T {
    this.#checkIdle();
    const draft = openDraft(this.#root, { readonly: false });
    try {
      const result = this.#run("change", run, draft.root);
      this.#root = draft.commit((collection) => this.#keep(collection));
      return result;
    } finally {
      draft.drop();
    }
  }

  /**
   * Lets a function read the state.
   *
   * @returns a copy of what the function has returned
   * @throws TypeError if it is asynchronous, tries to change anything, or returns what is no plain value; and whatever the
   * function throws
   */
  look<T>(run: (state: S) => T): T {
    const draft = openDraft(this.#root, { readonly: true });
    try {
      return this.#run("look", run, draft.root);
    } finally {
      draft.drop();
    }
  }

  /** Another state; snapshots go on with the one that they were taken of. @param root is copied @throws TypeError */
  set(root: S): void {
    this.#checkIdle();
    this.#root = ownState(root);
  }

  /**
   * The state as it is now, in pieces of bounded size, which are drawn one by one while it changes. The same state gives
   * the same pieces. To be drawn once.
   */
  snapshot(): Iterable<Uint8Array> {
    const drawing: Drawing = new Drawing(this.#root, this.#pieceBytesMax, () => this.#drawings.delete(reference));
    const reference = new WeakRef(drawing);
    this.#drawings.add(reference);
    return drawing;
  }

  #run<T>(kind: "change" | "look", run: (state: S) => T, state: S): T {
    const before = this.#running;
    this.#running = kind;
    try {
      const result = run(state);
      checkSynchronous(result, kind === "change" ? "a command" : "a query");
      return plainOf(result, "result");
    } finally {
      this.#running = before;
    }
  }

  #checkIdle(): void {
    if (this.#running === "look") throw new TypeError("a query must not change the state");
    if (this.#running === "change") throw new TypeError("a command must not call another one");
  }

  /** A Map or Set is about to be changed. */
  #keep(collection: Collection): void {
    let kept: Kept | null = null;
    for (const reference of this.#drawings) {
      const drawing = reference.deref();
      if (drawing === undefined) this.#drawings.delete(reference);
      else if (drawing.needs(collection)) {
        kept ??= keptOf(collection);
        drawing.keep(collection, kept);
      }
    }
  }
}

/** @throws TypeError if it can't be the root of a state */
export function checkedState<S>(root: S): S {
  const isContainer = isObject(root) && (isFields(root) || isArray(root) || isMap(root) || isSet(root));
  if (!isContainer) throw new TypeError("a state is an object, an array, a Map or a Set");
  return root;
}

const ownState = <S>(root: S): S => (takeMade(checkedState(root)) ? root : stateOf(root));

/** @throws TypeError if it is still to come */
export function checkSynchronous(result: unknown, what: string): void {
  if (!isObject(result) || !("then" in result) || typeof result.then !== "function") return;
  // What becomes of it is nobody's concern any more.
  if (result instanceof Promise) result.catch(() => {});
  throw new TypeError(`${what} must be synchronous`);
}
