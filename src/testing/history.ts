/** What clients asked and what they were answered, in the order in which it happened. */

/**
 * When something happened.
 *
 * @example
 * ```ts
 * import type { Moment } from "conclave/testing";
 *
 * const isBefore = (a: Moment, b: Moment): boolean => a.order < b.order;
 * ```
 */
export interface Moment {
  /** Numbers the beginnings and ends of a history: times may tie, this tells which was first. */
  readonly order: number;
  /** For the reader only; null if the history has no clock. */
  readonly atMs: number | null;
}

/**
 * One call of one client.
 *
 * @example
 * ```ts
 * import type { Call } from "conclave/testing";
 *
 * const isUnknown = (call: Call<unknown, unknown>): boolean => call.outcome === null;
 * ```
 */
export interface Call<Operation, Result> {
  readonly client: string;
  readonly operation: Operation;
  readonly begin: Moment;
  /** null if nobody knows: the call may have taken effect at any time since it began, may yet do so, or never. */
  readonly outcome: Outcome<Result> | null;
}

/**
 * How a call ended.
 *
 * @example
 * ```ts
 * import type { Call, Outcome } from "conclave/testing";
 *
 * const outcomes = (calls: Call<string, number>[]): Outcome<number>[] => calls.flatMap(({ outcome }) => outcome ?? []);
 * ```
 */
export interface Outcome<Result> {
  readonly result: Result;
  readonly end: Moment;
}

/**
 * A call that is under way. It ends once, in one of these ways; until then its outcome is unknown.
 *
 * @example
 * ```ts
 * import { History, type OpenCall } from "conclave/testing";
 *
 * const history = new History<string, number>();
 * const call: OpenCall<number> = history.begin("ann", "increment");
 * call.end(1);
 * ```
 */
export interface OpenCall<Result> {
  /** The answer came. */
  end(result: Result): void;
  /** No answer will come, and the call may have taken effect or may do so later. */
  unknown(): void;
  /** The call certainly had no effect and never will have: it is struck from the history. */
  nothing(): void;
}

/**
 * Takes down the calls of all clients of one run.
 *
 * @example
 * ```ts
 * import { check, History, type KeyValueOperation, type KeyValueResult, keyValueModel } from "conclave/testing";
 *
 * const history = new History<KeyValueOperation, KeyValueResult>();
 * history.begin("ann", { op: "put", key: "a", value: "1" }).end({ revision: 1 });
 * history.begin("bob", { op: "get", key: "a" }).end(null); // Though it is there.
 * console.log(check(keyValueModel, history.calls)?.type); // violation
 * ```
 */
export class History<Operation, Result> {
  readonly #nowMs: () => number | null;
  readonly #calls = new Set<Recorded<Operation, Result>>();
  #order = 0;

  /** @param nowMs a clock, virtual or real, whose times are shown beside each call; it does not decide the order */
  constructor(nowMs: () => number | null = () => null) {
    this.#nowMs = nowMs;
  }

  /** The calls so far, as they began. Those under way count as unknown. */
  get calls(): Call<Operation, Result>[] {
    return Array.from(this.#calls, (call) => ({ ...call }));
  }

  /** To be called before the first byte of a call can leave its client. */
  begin(client: string, operation: Operation): OpenCall<Result> {
    const call: Recorded<Operation, Result> = { client, operation, begin: this.#moment(), outcome: null };
    this.#calls.add(call);
    let isOver = false;
    const settle = (): void => {
      if (isOver) throw new Error(`a call of ${client} ended twice`);
      isOver = true;
    };
    return {
      end: (result) => {
        settle();
        call.outcome = { result, end: this.#moment() };
      },
      unknown: settle,
      nothing: () => {
        settle();
        this.#calls.delete(call);
      },
    };
  }

  #moment(): Moment {
    return { order: ++this.#order, atMs: this.#nowMs() };
  }
}

interface Recorded<Operation, Result> extends Call<Operation, Result> {
  outcome: Outcome<Result> | null;
}
