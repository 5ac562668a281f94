/**
 * The key-value store as it would be without concurrency, one key at a time, for `check`. Written from the promises of
 * the client, not from the machine, so that neither inherits the other's mistakes.
 *
 * Revisions belong to the whole store: other keys move them too. So a key knows bounds only, until an answer tells.
 */

import type { Expected, Value } from "../machine/key-value-protocol.ts";
import type { Model } from "./linearizability.ts";
import type { Span } from "./order.ts";

/** A call of a client. */
export type KeyValueOperation =
  | { readonly op: "get"; readonly key: string }
  | { readonly op: "put"; readonly key: string; readonly value: Value }
  | { readonly op: "delete"; readonly key: string }
  | { readonly op: "cas"; readonly key: string; readonly expected: Expected; readonly value: Value }
  | { readonly op: "increment"; readonly key: string; readonly by: number }
  | { readonly op: "append"; readonly key: string; readonly value: Value };

/** What the client answered, just as it did; null for a `get` that found nothing. */
export type KeyValueResult = (Answer & { readonly revision: number }) | null;

/** What an answer says, beside the revision. */
interface Answer {
  readonly value?: Value | number;
  readonly existed?: boolean;
  readonly swapped?: boolean;
  readonly bytes?: number;
}

/** What is known of a key at some moment. */
export interface KeyState {
  /** null if there is no such key. */
  readonly value: Value | null;
  /** The key's revision is one of these; 0 if there is no such key. */
  readonly revisionMin: number;
  readonly revisionMax: number;
  /** The whole store is at this revision, or past it. */
  readonly storeMin: number;
}

/** The model of the store. */
export const keyValueModel: Model<KeyState, KeyValueOperation, KeyValueResult> = {
  initial: { value: null, revisionMin: 0, revisionMax: 0, storeMin: 0 },
  keyOf: ({ key }) => key,
  step: (state, operation, known) =>
    effectsOf(state, operation).flatMap((effect) => (known === null ? unseen(effect) : seen(effect, known.result))),
  signature: ({ value, revisionMin, revisionMax, storeMin }) => {
    const revision = revisionMin === revisionMax ? `${revisionMin}` : `${revisionMin} to ${revisionMax}`;
    return `${textOf(value)} (revision ${revision}, the store's ${storeMin} or more)`;
  },
  describe: ({ op, ...rest }) => [op, ...Object.values(rest).map(textOf)].join(" "),
  describeResult: (result) => textOf(result),
  mustPrecede: (first, second) => {
    if (first.result === null || second.result === null) return false;
    // A read of the key may come after the store went on with other keys.
    if (first.operation.op === "get" && second.operation.op !== "get" && !hasChanged(second.result)) return false;
    const hasSeen = first.operation.op !== "get" && hasChanged(first.result);
    return first.result.revision - (hasSeen ? 1 : 0) < second.result.revision;
  },
};

/**
 * The revision at which a command found the store and the one at which it left it, for the checks of order. A `get`
 * tells only that the store had come as far as its key. null if nothing is told.
 */
export function storeSpan(operation: KeyValueOperation, result: KeyValueResult): Span | null {
  if (result === null) return null;
  const { revision } = result;
  if (operation.op === "get") return { found: Number.POSITIVE_INFINITY, left: revision };
  return { found: hasChanged(result) ? revision - 1 : revision, left: revision };
}

/**
 * The revision of what a `get` read, for the check that a client's stale reads of a key do not go back. null if it
 * read nothing, which tells nothing: the key may have been deleted or not yet have come.
 */
export const readSpan = (result: KeyValueResult): Span | null =>
  result === null ? null : { found: result.revision, left: result.revision };

/** Did a command with that answer change its key? */
const hasChanged = ({ existed = true, swapped = true }: Answer): boolean => existed && swapped;

/** What an operation may do in a state, and what it then answers. */
type Effect =
  | { readonly type: "change"; readonly from: KeyState; readonly value: Value | null; readonly answer: Answer }
  /** Changes nothing, and answers with the revision of the key or of the store. */
  | { readonly type: "read"; readonly from: KeyState; readonly of: "key" | "store"; readonly answer: Answer | null };

function effectsOf(from: KeyState, operation: KeyValueOperation): Effect[] {
  const { value } = from;
  switch (operation.op) {
    case "get":
      return [{ type: "read", from, of: "key", answer: value === null ? null : { value } }];
    case "put":
      return [{ type: "change", from, value: operation.value, answer: {} }];
    case "delete":
      return value === null
        ? [{ type: "read", from, of: "store", answer: { existed: false } }]
        : [{ type: "change", from, value: null, answer: { existed: true } }];
    case "cas": {
      const matching = matchingPart(from, operation.expected);
      const fails: Effect = { type: "read", from, of: "store", answer: { swapped: false } };
      if (matching === null) return [fails];
      const swaps: Effect = { type: "change", from: matching, value: operation.value, answer: { swapped: true } };
      return matching === from ? [swaps] : [fails, swaps];
    }
    case "increment": {
      const sum = numberIn(value) + operation.by;
      return Number.isSafeInteger(sum) ? [{ type: "change", from, value: String(sum), answer: { value: sum } }] : [];
    }
    case "append": {
      const joined = join(value, operation.value);
      return joined === null
        ? []
        : [{ type: "change", from, value: joined, answer: { bytes: bytesOf(joined).length } }];
    }
  }
}

/**
 * The state as far as it meets the condition of a compare-and-swap: all of it, none (null), or the one revision of
 * several that does.
 */
function matchingPart(state: KeyState, expected: Expected): KeyState | null {
  const { value, revisionMin, revisionMax } = state;
  if ("value" in expected) return value !== null && equal(value, expected.value) ? state : null;
  const { revision } = expected;
  if (revision < revisionMin || revision > revisionMax) return null;
  if (revisionMin === revisionMax) return state;
  return { ...state, revisionMin: revision, revisionMax: revision, storeMin: Math.max(state.storeMin, revision) };
}

/**
 * After an effect whose answer nobody saw. That several such changes in a row take several revisions is left out: so
 * that the last of them leaves the same state with or without those before it, and the search can tell.
 */
function unseen(effect: Effect): KeyState[] {
  const { from } = effect;
  if (effect.type === "read") return [from];
  return [withValue(from, effect.value, from.storeMin + 1, Number.POSITIVE_INFINITY)];
}

/** After an effect that was answered so; empty if it could not have been. */
function seen(effect: Effect, result: KeyValueResult): KeyState[] {
  const { from, answer } = effect;
  if (result === null || answer === null) return result === null && answer === null ? [from] : [];
  if (!agrees(answer, result)) return [];
  const { revision } = result;
  const storeMin = Math.max(from.storeMin, from.revisionMin);
  if (effect.type === "change") {
    return revision > storeMin ? [withValue({ ...from, storeMin: revision }, effect.value, revision, revision)] : [];
  }
  if (effect.of === "store") {
    const revisionMax = Math.min(from.revisionMax, revision);
    return revision >= storeMin ? [{ ...from, revisionMax, storeMin: revision }] : [];
  }
  if (revision < from.revisionMin || revision > from.revisionMax) return [];
  return [{ ...from, revisionMin: revision, revisionMax: revision, storeMin: Math.max(storeMin, revision) }];
}

const withValue = (from: KeyState, value: Value | null, revisionMin: number, revisionMax: number): KeyState =>
  value === null ? { ...from, value, revisionMin: 0, revisionMax: 0 } : { ...from, value, revisionMin, revisionMax };

/** Does the result say all that the answer must? */
const agrees = (answer: Answer, result: Answer): boolean =>
  answer.existed === result.existed &&
  answer.swapped === result.swapped &&
  answer.bytes === result.bytes &&
  equal(answer.value, result.value);

function equal(a: Answer["value"], b: Answer["value"]): boolean {
  if (!(a instanceof Uint8Array && b instanceof Uint8Array)) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** NaN if it is none that can be added to. */
function numberIn(value: Value | null): number {
  if (value === null) return 0;
  const number = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
  return Number.isSafeInteger(number) ? number : Number.NaN;
}

/** Text joins text, and bytes join bytes. */
function join(value: Value | null, more: Value): Value | null {
  if (value === null) return more;
  if (typeof value === "string" && typeof more === "string") return value + more;
  if (typeof value === "string" || typeof more === "string") return null;
  return Uint8Array.of(...value, ...more);
}

const encoder = new TextEncoder();
const bytesOf = (value: Value): Uint8Array => (typeof value === "string" ? encoder.encode(value) : value);

/** JSON, in which bytes are told from text. */
const textOf = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) => (part instanceof Uint8Array ? { bytes: [...part] } : part));
