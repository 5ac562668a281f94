/** A small model to check the check with, and short ways to write histories of it down. */

import type { Call } from "../../src/testing/history.ts";
import type { Model } from "../../src/testing/linearizability.ts";

export type Operation =
  | { readonly type: "read" }
  | { readonly type: "write" | "append"; readonly text: string }
  | { readonly type: "swap"; readonly expected: string; readonly text: string };

/** What was read, whether it was swapped, null for writes. */
export type Result = string | boolean | null;

export type RegisterCall = Call<Operation, Result>;

/** One register of text. */
export const register: Model<string, Operation, Result> = {
  initial: "",
  keyOf: () => "register",
  step: (state, operation, known) => {
    const { state: next, result } = perform(state, operation);
    return known === null || known.result === result ? [next] : [];
  },
  signature: (state) => JSON.stringify(state),
  describe: (operation) => Object.values(operation).join(" "),
  describeResult: (result) => JSON.stringify(result),
};

/** What the register does. */
export function perform(state: string, operation: Operation): { readonly state: string; readonly result: Result } {
  switch (operation.type) {
    case "read":
      return { state, result: state };
    case "write":
      return { state: operation.text, result: null };
    case "append":
      return { state: state + operation.text, result: null };
    case "swap": {
      const swaps = state === operation.expected;
      return { state: swaps ? operation.text : state, result: swaps };
    }
  }
}

/** A call from one moment to another; `end` null if its outcome is unknown. */
function call(operation: Operation, result: Result, begin: number, end: number | null): RegisterCall {
  const at = (order: number) => ({ order, atMs: null });
  return {
    client: `c${begin}`,
    operation,
    begin: at(begin),
    outcome: end === null ? null : { result, end: at(end) },
  };
}

export const read = (result: string, begin: number, end: number): RegisterCall =>
  call({ type: "read" }, result, begin, end);
export const write = (text: string, begin: number, end: number | null): RegisterCall =>
  call({ type: "write", text }, null, begin, end);
export const append = (text: string, begin: number, end: number | null): RegisterCall =>
  call({ type: "append", text }, null, begin, end);
export const swap = (
  [expected, text]: readonly [string, string],
  swapped: boolean | null,
  begin: number,
  end: number | null,
): RegisterCall => call({ type: "swap", expected, text }, swapped, begin, end);
