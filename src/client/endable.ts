/** What is read step by step, and ends as soon as its consumer wants no more, even while it waits for the next one. */

import { ConclaveError } from "../errors.ts";
import { endWith } from "./end-with.ts";

/** The consumer wants no more. */
const RETURNED = new ConclaveError("ABORTED", "The watch was ended by its consumer.");

/** @param run makes the steps; `ended` fires when they are to end, which `end` brings about, too, for a reason to be thrown */
export function endable<T>(
  signal: AbortSignal | undefined,
  run: (ended: AbortSignal, end: AbortController) => AsyncGenerator<T, void, undefined>,
): AsyncIterableIterator<T> {
  const end = new AbortController();
  const steps = run(endWith(end, signal), end);
  return {
    next: async () => {
      try {
        const step = await steps.next();
        if (step.done === true) end.abort(RETURNED);
        return step;
      } catch (error) {
        if (end.signal.reason === RETURNED) return { done: true, value: undefined };
        end.abort(error);
        throw error;
      }
    },
    return: () => {
      end.abort(RETURNED); // A generator that waits would hear of it only once it has what it waits for.
      return steps.return();
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
