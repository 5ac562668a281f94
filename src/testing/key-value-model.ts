/**
 * The key-value store as it would be without concurrency, for `check`. Written from the promises of the client, not from
 * the machine, so that neither inherits the other's mistakes.
 */

import type { Comparison, TransactionOperation } from "../client/index.ts";
import type { Expected, Value } from "../machine/key-value-protocol.ts";
import {
  areEqual,
  atRevision,
  bytesOf,
  EMPTY_STORE,
  isBefore,
  join,
  numberIn,
  revisionsOf,
  type StoreState,
  signatureOf,
  textOf,
  valueIn,
  withRevisions,
  withValue,
} from "./key-value-state.ts";
import type { Model } from "./linearizability.ts";
import type { Span } from "./order.ts";

/** What is done to one key, by itself or in a transaction. */
type Single =
  | { readonly op: "get"; readonly key: string }
  | { readonly op: "put"; readonly key: string; readonly value: Value }
  | { readonly op: "delete"; readonly key: string }
  | { readonly op: "increment"; readonly key: string; readonly by: number }
  | { readonly op: "append"; readonly key: string; readonly value: Value };

/**
 * A call of a client.
 *
 * @example
 * ```ts
 * import { type KeyValueOperation, keyValueModel } from "conclave/testing";
 *
 * const operation: KeyValueOperation = { op: "increment", key: "visits", by: 2 };
 * console.log(keyValueModel.describe(operation)); // increment "visits" 2
 * ```
 */
export type KeyValueOperation =
  | Single
  | { readonly op: "cas"; readonly key: string; readonly expected: Expected; readonly value: Value }
  | {
      readonly op: "transaction";
      readonly if?: readonly Comparison[];
      readonly then?: readonly TransactionOperation[];
      readonly else?: readonly TransactionOperation[];
    };

/**
 * What the client answered, just as it did; null for a `get` that found nothing.
 *
 * @example
 * ```ts
 * import type { KeyValueResult } from "conclave/testing";
 *
 * const revisionOf = (result: KeyValueResult): number => result?.revision ?? 0;
 * ```
 */
export type KeyValueResult = (Answer & { readonly revision: number }) | null;

/** What an answer says, beside the revision. */
interface Answer {
  readonly value?: Value | number;
  readonly existed?: boolean;
  readonly swapped?: boolean;
  readonly bytes?: number;
  readonly succeeded?: boolean;
  readonly results?: readonly KeyValueResult[];
}

/**
 * The model of the store.
 *
 * @example
 * ```ts
 * import { check, History, type KeyValueOperation, type KeyValueResult, keyValueModel } from "conclave/testing";
 *
 * const history = new History<KeyValueOperation, KeyValueResult>();
 * history.begin("ann", { op: "increment", key: "a", by: 1 }).end({ value: 1, revision: 1 });
 * console.log(check(keyValueModel, history.calls)); // null
 * ```
 */
export const keyValueModel: Model<StoreState, KeyValueOperation, KeyValueResult> = {
  initial: EMPTY_STORE,
  keyOf: keysOf,
  step: (state, operation, known) => {
    if (operation.op === "get") return known === null ? [state] : done(state, operation, known.result);
    return waysOf(state, operation).flatMap((way) =>
      known === null ? unseen(way) : seen(way, operation, known.result),
    );
  },
  signature: signatureOf,
  describe: ({ op, ...rest }) =>
    op === "transaction" ? `${op} ${textOf(rest)}` : [op, ...Object.values(rest).map(textOf)].join(" "),
  describeResult: (result) => textOf(result),
  mustPrecede: ({ operation: first, result: before }, { operation: second, result: after }) => {
    if (before === null || after === null) return false;
    // A read may come after the store went on with other keys, and is before what came of its own.
    if (first.op === "get") {
      const isOfKey = second.op !== "transaction" && second.key === first.key;
      return isOfKey && (second.op === "get" || changesIn(second, after) > 0) && before.revision < after.revision;
    }
    return before.revision - changesIn(first, before) < after.revision;
  },
};

/**
 * The revision at which a command found the store and the one at which it left it, for the checks of order. A `get`
 * tells only that the store had come as far as its key. null if nothing is told.
 *
 * @example
 * ```ts
 * import { checkIssueOrder, History, type KeyValueOperation, type KeyValueResult, storeSpan } from "conclave/testing";
 *
 * const history = new History<KeyValueOperation, KeyValueResult>();
 * history.begin("ann", { op: "put", key: "a", value: "1" }).end({ revision: 2 });
 * history.begin("ann", { op: "put", key: "b", value: "1" }).end({ revision: 1 });
 * console.log(checkIssueOrder(history.calls, storeSpan)?.later.outcome?.result); // { revision: 1 }
 * ```
 */
export function storeSpan(operation: KeyValueOperation, result: KeyValueResult): Span | null {
  if (result === null) return null;
  const { revision } = result;
  if (operation.op === "get") return { found: Number.POSITIVE_INFINITY, left: revision };
  return { found: revision - changesIn(operation, result), left: revision };
}

/**
 * The revision of what a `get` read, for the check that a client's stale reads of a key do not go back. null if it
 * read nothing, which tells nothing: the key may have been deleted or not yet have come.
 *
 * @example
 * ```ts
 * import { checkRealTimeOrder, History, type KeyValueResult, readSpan } from "conclave/testing";
 *
 * const reads = new History<string, KeyValueResult>();
 * reads.begin("ann", "a").end({ value: "new", revision: 2 });
 * reads.begin("ann", "a").end({ value: "old", revision: 1 });
 * const back = checkRealTimeOrder(reads.calls, (key) => key, (_, result) => readSpan(result));
 * console.log(back?.later.outcome?.result?.value); // old
 * ```
 */
export const readSpan = (result: KeyValueResult): Span | null =>
  result === null ? null : { found: result.revision, left: result.revision };

/** What a client was told of single keys, each with its revision then. */
export function sightsOf(operation: KeyValueOperation, result: KeyValueResult): (readonly [key: string, number])[] {
  if (result === null) return [];
  if (operation.op !== "transaction") {
    return operation.op === "get" || changesIn(operation, result) > 0 ? [[operation.key, result.revision]] : [];
  }
  return singlesIn(operation, result.succeeded === true).flatMap((single, i) =>
    sightsOf(single, result.results?.[i] ?? null),
  );
}

function keysOf(operation: KeyValueOperation): string | string[] {
  if (operation.op !== "transaction") return operation.key;
  const operations = [...singlesIn(operation, true), ...singlesIn(operation, false)];
  return [...(operation.if ?? []), ...operations].map(({ key }) => key);
}

/** How many changes of the store a command has made that was answered so. */
function changesIn(operation: KeyValueOperation, result: Answer): number {
  if (operation.op === "get" || result.existed === false || result.swapped === false) return 0;
  if (operation.op !== "transaction") return 1;
  const results = result.results ?? [];
  return singlesIn(operation, result.succeeded === true).reduce(
    (sum, single, i) => sum + changesIn(single, results[i] ?? {}),
    0,
  );
}

type Transaction = KeyValueOperation & { readonly op: "transaction" };

/** What a transaction does. */
const singlesIn = (operation: Transaction, succeeded: boolean): Single[] =>
  ((succeeded ? operation.then : operation.else) ?? []).map(singleOf);

function singleOf(operation: TransactionOperation): Single {
  if (operation.get !== undefined) return { op: "get", key: operation.get };
  if (operation.put !== undefined) return { op: "put", key: operation.put, value: operation.value };
  if (operation.delete !== undefined) return { op: "delete", key: operation.delete };
  if (operation.append !== undefined) return { op: "append", key: operation.append, value: operation.value };
  return { op: "increment", key: operation.increment, by: operation.by ?? 1 };
}

/** What a command may come to. */
interface Way {
  /** As far as it meets what the command has compared. */
  readonly state: StoreState;
  readonly succeeded: boolean;
  readonly does: readonly Single[];
}

function waysOf(state: StoreState, operation: KeyValueOperation): Way[] {
  switch (operation.op) {
    case "cas": {
      const { key, expected, value } = operation;
      return waysOf(state, { op: "transaction", if: [{ key, ...expected }], then: [{ put: key, value }] });
    }
    case "transaction": {
      const { holding, failing } = compared(state, operation.if ?? []);
      const way = (one: StoreState, succeeded: boolean): Way => ({
        state: one,
        succeeded,
        does: singlesIn(operation, succeeded),
      });
      return [...holding.map((one) => way(one, true)), ...failing.map((one) => way(one, false))];
    }
    default:
      return [{ state, succeeded: true, does: [operation] }];
  }
}

/** The state as far as all of that is so, and as far as something is not. */
function compared(
  state: StoreState,
  comparisons: readonly Comparison[],
): { holding: StoreState[]; failing: StoreState[] } {
  let holding = [state];
  const failing: StoreState[] = [];
  for (const { key, value, revision, exists } of comparisons) {
    const isSo = (one: StoreState): boolean =>
      (exists === undefined || exists === (valueIn(one, key) !== null)) &&
      (value === undefined || valueFits(valueIn(one, key), value));
    failing.push(...holding.filter((one) => !isSo(one)));
    const ranges = holding.filter(isSo).map((one) => parted(one, key, revision));
    failing.push(...ranges.flatMap(({ outside }) => outside));
    holding = ranges.flatMap(({ inside }) => inside);
  }
  return { holding, failing };
}

function valueFits(value: Value | null, wanted: NonNullable<Comparison["value"]>): boolean {
  if (value === null) return false;
  if (typeof wanted === "string" || wanted instanceof Uint8Array) return areEqual(value, wanted);
  const { not, lessThan, greaterThan } = wanted;
  return (
    (not === undefined || !areEqual(value, not)) &&
    (lessThan === undefined || isBefore(value, lessThan)) &&
    (greaterThan === undefined || isBefore(greaterThan, value))
  );
}

/**
 * The state by whether the key's revision is as wanted. That a single one of several is left out is not kept in mind: it
 * would make two states of one.
 */
function parted(
  state: StoreState,
  key: string,
  wanted: Comparison["revision"] = {},
): { readonly inside: StoreState[]; readonly outside: StoreState[] } {
  const isOne = typeof wanted === "number";
  const { lessThan = Number.POSITIVE_INFINITY, greaterThan = -1, not = null } = isOne ? {} : wanted;
  const [min, max] = isOne ? [wanted, wanted] : [greaterThan + 1, lessThan - 1];
  const inside = withRevisions(state, key, min, max);
  const after = max === Number.POSITIVE_INFINITY ? [] : withRevisions(state, key, max + 1, Number.POSITIVE_INFINITY);
  const around = [...withRevisions(state, key, 0, min - 1), ...after];
  const outside = around.length > 1 ? [state] : around;
  if (not === null) return { inside, outside };
  const isAt = (one: StoreState): boolean => revisionsOf(one, key).every((revision) => revision === not);
  return {
    inside: inside.filter((one) => !isAt(one)),
    outside: [...outside, ...inside.flatMap((one) => withRevisions(one, key, not, not))],
  };
}

/**
 * After a command whose answer nobody saw; nothing if it changes nothing, and might as well be left out. That several
 * such changes in a row take several revisions is left out: so that the last of them leaves the same state with or
 * without those before it, and the search can tell.
 */
function unseen({ state, does }: Way): StoreState[] {
  let after = state;
  let hasChanged = false;
  for (const single of does) {
    const effect = effectOf(after, single);
    if (effect === null) return [];
    if (!effect.changes) continue;
    hasChanged = true;
    after = withValue(after, single.key, effect.value, [after.storeMin + 1, Number.POSITIVE_INFINITY]);
  }
  return hasChanged ? [after] : [];
}

/** After a command that was answered so; nothing if it could not have been. */
function seen({ state, succeeded, does }: Way, operation: KeyValueOperation, result: KeyValueResult): StoreState[] {
  const results = result === null ? null : resultsIn(operation, succeeded, result);
  if (result === null || results?.length !== does.length) return [];
  // The revision tells where the whole store was before, and each change takes it one further.
  const before = atRevision(state, result.revision - changesIn(operation, result));
  return does.reduce((states, one, i) => states.flatMap((found) => done(found, one, results[i] ?? null)), before);
}

/** What each of the things that a command has done was answered; null if it was answered otherwise. */
function resultsIn(
  { op }: KeyValueOperation,
  succeeded: boolean,
  result: NonNullable<KeyValueResult>,
): readonly KeyValueResult[] | null {
  if (op === "transaction") return agrees({ succeeded }, result) ? (result.results ?? null) : null;
  if (op !== "cas") return [result];
  if (!agrees({ swapped: succeeded }, result)) return null;
  return succeeded ? [{ revision: result.revision }] : [];
}

/** After something that was done by itself, or in a transaction, and answered so, in a store of that very revision. */
function done(state: StoreState, single: Single, result: KeyValueResult): StoreState[] {
  const effect = effectOf(state, single);
  if (effect === null) return [];
  const { changes, value, answer } = effect;
  if (answer === null || result === null) return answer === result ? [state] : [];
  const { revision } = result;
  if (!agrees(answer, result)) return [];
  if (single.op === "get") return withRevisions(state, single.key, revision, revision);
  if (revision !== state.storeMin + (changes ? 1 : 0)) return [];
  return changes ? [withValue({ ...state, storeMin: revision }, single.key, value, [revision, revision])] : [state];
}

/** What is left of a key, and what is answered beside the revision; null if it can't be carried out. */
interface Effect {
  readonly changes: boolean;
  readonly value: Value | null;
  readonly answer: Answer | null;
}

function effectOf(state: StoreState, operation: Single): Effect | null {
  const value = valueIn(state, operation.key);
  switch (operation.op) {
    case "get":
      return { changes: false, value, answer: value === null ? null : { value } };
    case "put":
      return { changes: true, value: operation.value, answer: {} };
    case "delete":
      return { changes: value !== null, value: null, answer: { existed: value !== null } };
    case "increment": {
      const sum = numberIn(value) + operation.by;
      return Number.isSafeInteger(sum) ? { changes: true, value: String(sum), answer: { value: sum } } : null;
    }
    case "append": {
      const joined = join(value, operation.value);
      return joined === null ? null : { changes: true, value: joined, answer: { bytes: bytesOf(joined).length } };
    }
  }
}

/** Does the result say all that the answer must? */
const agrees = (answer: Answer, result: Answer): boolean =>
  answer.existed === result.existed &&
  answer.swapped === result.swapped &&
  answer.bytes === result.bytes &&
  answer.succeeded === result.succeeded &&
  areEqual(answer.value, result.value);
