/** What drafts of Maps and drafts of Sets have in common. */

import { COLLECTION_SIZE_MAX, type Place, refusal } from "./plain-value.ts";

/**
 * All there is in a draft for those who look past its methods: it can't be cloned as if it were empty, and says so to
 * whoever prints it.
 */
export const NOTE = Symbol("a draft, see plainOf");

const iteratorPrototype: object = Object.getPrototypeOf(Object.getPrototypeOf([].values()));

/** As those of a Map or Set are: whoever breaks a loop off can go on where it was. */
export const iteratorOf = <T>(steps: Generator<T, undefined>): MapIterator<T> & SetIterator<T> =>
  Object.assign(Object.create(iteratorPrototype), { next: () => steps.next() });

/** @throws TypeError if it is more than every runtime can hold */
export function checkSize(size: number, at: Place): void {
  if (size > COLLECTION_SIZE_MAX) throw refusal(at.parent, `more than ${COLLECTION_SIZE_MAX} keys or members`);
}

/**
 * Lets drafts pass for the real ones by their constructor, and keeps methods from them that a newer runtime may have given
 * to those: these would look past the draft.
 */
export function disguise(draft: { readonly prototype: object }, real: typeof Map | typeof Set): void {
  const define = (key: PropertyKey, value: unknown): void =>
    void Object.defineProperty(draft.prototype, key, { value, writable: true, configurable: true });
  define("constructor", real);
  for (const key of Reflect.ownKeys(real.prototype)) {
    const method = Object.getOwnPropertyDescriptor(real.prototype, key)?.value;
    if (typeof method !== "function" || Object.hasOwn(draft.prototype, key)) continue;
    define(key, () => {
      throw new TypeError(`${real.name}.prototype.${String(key)} is not known for what is in the state`);
    });
  }
}
