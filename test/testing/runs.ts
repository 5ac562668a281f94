/** Histories as they come about, lies about them, and a check that tries everything. */

import * as fc from "fast-check";
import { type Call, History } from "../../src/testing/history.ts";
import type { Model } from "../../src/testing/linearizability.ts";

/** What clients will do, and numbers that decide when it happens. */
export interface Run<Operation> {
  readonly operations: readonly Operation[];
  readonly choices: readonly number[];
}

export const runOf = <Operation>(operation: fc.Arbitrary<Operation>, callsMax: number): fc.Arbitrary<Run<Operation>> =>
  fc.record({
    operations: fc.array(operation, { minLength: 1, maxLength: callsMax }),
    choices: fc.array(fc.nat(1_000), { minLength: callsMax, maxLength: 5 * callsMax }),
  });

/**
 * The history of a run, in which each choice either begins the next call or brings one under way a step further: to its
 * effect, then to its answer. Every fourth call is lost, before or after its effect.
 *
 * @param perform really does it; null if it was refused and nothing happened
 */
export function lived<Operation, Result>(
  { operations, choices }: Run<Operation>,
  perform: (operation: Operation) => { readonly result: Result } | null,
): Call<Operation, Result>[] {
  const history = new History<Operation, Result>();
  const waiting = [...operations];
  const open: (() => "goes on" | "is over")[] = [];
  const begin = (operation: Operation, isLost: boolean): void => {
    const call = history.begin(`c${open.length}`, operation);
    let answer: { readonly result: Result } | null | undefined;
    const step = (): "goes on" | "is over" => {
      if (answer === undefined) {
        answer = perform(operation);
        return "goes on";
      }
      if (isLost) call.unknown();
      else if (answer === null) call.nothing();
      else call.end(answer.result);
      return "is over";
    };
    open.push(step);
  };
  for (const choice of choices) {
    const at = choice % (open.length + 1);
    const next = open[at];
    if (next !== undefined) {
      if (next() === "is over") open.splice(at, 1);
      continue;
    }
    const operation = waiting.shift();
    if (operation !== undefined) begin(operation, choice % 4 === 0);
  }
  return history.calls;
}

/** The same history with one answer changed, if there is an answer. */
export function lie<Operation, Result>(
  calls: readonly Call<Operation, Result>[],
  which: number,
  change: (result: Result) => Result,
): Call<Operation, Result>[] {
  const answered = calls.filter(({ outcome }) => outcome !== null);
  const changed = answered[which % Math.max(1, answered.length)];
  return calls.map((call) =>
    call === changed && call.outcome !== null
      ? { ...call, outcome: { ...call.outcome, result: change(call.outcome.result) } }
      : call,
  );
}

/** When the answers came, in order. */
export const endsOf = (calls: readonly Call<unknown, unknown>[]): number[] =>
  calls.flatMap(({ outcome }) => (outcome === null ? [] : [outcome.end.order])).sort((a, b) => a - b);

/** Is there an order, among all there are, that explains every answer that came up to `lastOrder`? */
export function hasExplanation<State, Operation, Result>(
  model: Model<State, Operation, Result>,
  calls: readonly Call<Operation, Result>[],
  lastOrder: number,
  state: State = model.initial,
): boolean {
  const firstEnd = Math.min(...calls.map(({ outcome }) => outcome?.end.order ?? Number.POSITIVE_INFINITY));
  if (firstEnd > lastOrder) return true;
  return calls.some(
    (next) =>
      next.begin.order <= firstEnd &&
      model.step(state, next.operation, next.outcome).some((after) => {
        const others = calls.filter((other) => other !== next);
        return hasExplanation(model, others, lastOrder, after);
      }),
  );
}
