/**
 * What is known of a key-value store at some moment. Revisions belong to the whole store, and keys that are not looked at
 * move them, too: so there are bounds only, until an answer tells.
 */

import type { Value } from "../machine/key-value-protocol.ts";

/**
 * What is known of a key that is there.
 *
 * @example
 * ```ts
 * import { type KeyState, keyValueModel } from "conclave/testing";
 *
 * const put = { op: "put", key: "a", value: "1" } as const;
 * const [after] = keyValueModel.step(keyValueModel.initial, put, { result: { revision: 1 } });
 * const known: KeyState | undefined = after?.keys.get("a");
 * console.log(known?.value); // 1
 * ```
 */
export interface KeyState {
  readonly value: Value;
  /** The key's revision is one of these. */
  readonly revisionMin: number;
  readonly revisionMax: number;
}

/**
 * What is known of some keys of a store.
 *
 * @example
 * ```ts
 * import { keyValueModel, type StoreState } from "conclave/testing";
 *
 * const nothing: StoreState = keyValueModel.initial;
 * console.log(keyValueModel.step(nothing, { op: "get", key: "a" }, { result: null }).length); // 1
 * ```
 */
export interface StoreState {
  /** Those that are there. */
  readonly keys: ReadonlyMap<string, KeyState>;
  /** The whole store is at this revision, or past it. */
  readonly storeMin: number;
}

export const EMPTY_STORE: StoreState = { keys: new Map(), storeMin: 0 };

/** null if there is no such key. */
export const valueIn = ({ keys }: StoreState, key: string): Value | null => keys.get(key)?.value ?? null;

/** The revisions that a key may have: that of one that is not there is 0. */
export function revisionsOf({ keys }: StoreState, key: string): readonly [min: number, max: number] {
  const known = keys.get(key);
  return known === undefined ? [0, 0] : [known.revisionMin, known.revisionMax];
}

/** The state once the key holds that, at one of those revisions; null removes it. */
export function withValue(
  { keys, storeMin }: StoreState,
  key: string,
  value: Value | null,
  [revisionMin, revisionMax]: readonly [min: number, max: number],
): StoreState {
  const changed = new Map(keys);
  if (value === null) changed.delete(key);
  else changed.set(key, { value, revisionMin, revisionMax });
  return { keys: changed, storeMin };
}

/** The state as far as the key has one of those revisions; nothing if it can't. */
export function withRevisions(state: StoreState, key: string, min: number, max: number): StoreState[] {
  const [ownMin, ownMax] = revisionsOf(state, key);
  if (min <= ownMin && max >= ownMax) return [state];
  const least = Math.max(min, ownMin);
  if (least > Math.min(max, ownMax)) return [];
  const narrowed = withValue(state, key, valueIn(state, key), [least, Math.min(max, ownMax)]);
  return [{ ...narrowed, storeMin: Math.max(state.storeMin, least) }];
}

/** The state as far as the whole store is at that revision; nothing if it can't be. */
export function atRevision({ keys, storeMin }: StoreState, revision: number): StoreState[] {
  if (revision < storeMin) return [];
  const narrowed = new Map<string, KeyState>();
  for (const [key, known] of keys) {
    if (known.revisionMin > revision) return [];
    narrowed.set(key, { ...known, revisionMax: Math.min(known.revisionMax, revision) });
  }
  return [{ keys: narrowed, storeMin: revision }];
}

/** The same text for the same state, and only then. */
export function signatureOf({ keys, storeMin }: StoreState): string {
  const known = [...keys]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, { value, revisionMin, revisionMax }]) => {
      const revision = revisionMin === revisionMax ? `${revisionMin}` : `${revisionMin} to ${revisionMax}`;
      return `${textOf(key)} is ${textOf(value)} (revision ${revision})`;
    });
  return [...(known.length === 0 ? ["nothing is there"] : known), `the store's revision is ${storeMin} or more`].join(
    ", ",
  );
}

export function areEqual(a: Value | number | undefined, b: Value | number | undefined): boolean {
  if (!(a instanceof Uint8Array && b instanceof Uint8Array)) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Is the first before the second? Text and bytes stand in no order. */
export function isBefore(a: Value, b: Value): boolean {
  if (typeof a === "string" && typeof b === "string") return a < b;
  if (typeof a === "string" || typeof b === "string") return false;
  const first = a.findIndex((byte, i) => byte !== b[i]);
  return first === -1 ? a.length < b.length : first < b.length && (a[first] ?? 0) < (b[first] ?? 0);
}

/** NaN if it is none that can be added to. */
export function numberIn(value: Value | null): number {
  if (value === null) return 0;
  const number = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
  return Number.isSafeInteger(number) ? number : Number.NaN;
}

/** Text joins text, and bytes join bytes. */
export function join(value: Value | null, more: Value): Value | null {
  if (value === null) return more;
  if (typeof value === "string" && typeof more === "string") return value + more;
  if (typeof value === "string" || typeof more === "string") return null;
  return Uint8Array.of(...value, ...more);
}

const encoder = new TextEncoder();
export const bytesOf = (value: Value): Uint8Array => (typeof value === "string" ? encoder.encode(value) : value);

/** JSON, in which bytes are told from text. */
export const textOf = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) => (part instanceof Uint8Array ? { bytes: [...part] } : part));
