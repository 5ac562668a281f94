/**
 * Promises about order that need no search, because answers carry a number that only grows, such as a revision. They
 * see what a check of one key at a time can't: order between keys, within a client, and on one node.
 */

import type { Call } from "./history.ts";

/**
 * The number that a call found when it took effect, and the one that it left.
 *
 * @example
 * ```ts
 * import type { Span } from "conclave/testing";
 *
 * const spanOf = (revision: number): Span => ({ found: revision - 1, left: revision });
 * ```
 */
export interface Span {
  /** Infinity if the answer does not tell. */
  readonly found: number;
  readonly left: number;
}

/**
 * Two calls in the wrong order.
 *
 * @example
 * ```ts
 * import type { Disorder } from "conclave/testing";
 *
 * const inWords = ({ earlier, later }: Disorder<string, number>): string =>
 *   `${later.operation} is older than ${earlier.operation}`;
 * ```
 */
export interface Disorder<Operation, Result> {
  readonly earlier: Call<Operation, Result>;
  /** It found less than the earlier one left. */
  readonly later: Call<Operation, Result>;
}

/**
 * What a call tells of the number; null for nothing.
 *
 * @example
 * ```ts
 * import { checkIssueOrder, History, type SpanOf } from "conclave/testing";
 *
 * const spanOf: SpanOf<string, number> = (_, result) => ({ found: result - 1, left: result });
 * console.log(checkIssueOrder(new History<string, number>().calls, spanOf)); // null
 * ```
 */
export type SpanOf<Operation, Result> = (operation: Operation, result: Result) => Span | null;

/**
 * Did the commands of every client take effect in the order in which it issued them, though it did not wait for one
 * before it issued the next?
 *
 * @example
 * ```ts
 * import { checkIssueOrder, History } from "conclave/testing";
 *
 * const history = new History<string, number>();
 * const [first, second] = [history.begin("ann", "first"), history.begin("ann", "second")];
 * second.end(1);
 * first.end(2); // It was issued before, and took effect after.
 * const spanOf = (_: string, result: number) => ({ found: result - 1, left: result });
 * console.log(checkIssueOrder(history.calls, spanOf)?.later.operation); // second
 * ```
 *
 * @returns null if they did
 */
export function checkIssueOrder<Operation, Result>(
  history: Iterable<Call<Operation, Result>>,
  spanOf: SpanOf<Operation, Result>,
): Disorder<Operation, Result> | null {
  const highest = new Map<string, Left<Operation, Result>>();
  for (const call of [...history].sort((a, b) => a.begin.order - b.begin.order)) {
    const span = call.outcome === null ? null : spanOf(call.operation, call.outcome.result);
    if (span === null) continue;
    const before = highest.get(call.client);
    if (before !== undefined && span.found < before.left) return { earlier: before.call, later: call };
    highest.set(call.client, higher(before, { call, left: span.left }));
  }
  return null;
}

/**
 * Did every call that began after another one had ended find at least what that one left?
 *
 * @example
 * ```ts
 * import { checkRealTimeOrder, History } from "conclave/testing";
 *
 * const history = new History<string, number>();
 * history.begin("ann", "read").end(2);
 * history.begin("bob", "read").end(1);
 * const one = checkRealTimeOrder(history.calls, () => "all", (_, result) => ({ found: result, left: result }));
 * console.log(one?.later.client); // bob
 * ```
 *
 * @param groupOf only calls of one group are compared; so for the stale reads of a key, which may lag but not go back
 *   for the same client, the group is the client and the key.
 * @returns null if all did
 */
export function checkRealTimeOrder<Operation, Result>(
  history: Iterable<Call<Operation, Result>>,
  groupOf: (operation: Operation) => string,
  spanOf: SpanOf<Operation, Result>,
): Disorder<Operation, Result> | null {
  const moments = [...history].flatMap((call) => {
    const span = call.outcome === null ? null : spanOf(call.operation, call.outcome.result);
    if (call.outcome === null || span === null) return [];
    const common = { call, span, group: groupOf(call.operation) };
    return [
      { ...common, type: "begin" as const, order: call.begin.order },
      { ...common, type: "end" as const, order: call.outcome.end.order },
    ];
  });
  // Where a beginning and an end tie, nothing is known of their order: the beginning goes first.
  moments.sort((a, b) => a.order - b.order || a.type.localeCompare(b.type));
  const highest = new Map<string, Left<Operation, Result>>();
  for (const { type, call, span, group } of moments) {
    const before = highest.get(group);
    if (type === "end") highest.set(group, higher(before, { call, left: span.left }));
    else if (before !== undefined && span.found < before.left) return { earlier: before.call, later: call };
  }
  return null;
}

/** The call that left the highest number so far. */
interface Left<Operation, Result> {
  readonly call: Call<Operation, Result>;
  readonly left: number;
}

const higher = <Operation, Result>(
  before: Left<Operation, Result> | undefined,
  now: Left<Operation, Result>,
): Left<Operation, Result> => (before === undefined || now.left > before.left ? now : before);
