/** A call that waits for its end, and how it may end before its answer comes. */

import type { Clock, Timer } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import type { CallOptions } from "./options.ts";

export interface Call<T> {
  resolve(value: T): void;
  reject(error: ConclaveError): void;
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  readonly isOver: boolean;
}

/** Deadlines of many calls behind one timer. */
export class Calls<C extends Call<never>> {
  readonly #clock: Clock;
  readonly #open = new Set<C>();
  readonly #expire: (call: C) => void;
  #timer: { readonly atMs: number; readonly timer: Timer } | null = null;

  /** @param expire ends a call whose deadline has passed */
  constructor(clock: Clock, expire: (call: C) => void) {
    this.#clock = clock;
    this.#expire = expire;
  }

  get size(): number {
    return this.#open.size;
  }

  /**
   * Opens a call.
   *
   * @param make builds the call around the basic one
   * @param abort ends it when the caller's signal fires
   */
  open<T>(
    options: CallOptions,
    defaultTimeoutMs: number,
    make: (base: Call<T>) => C,
    abort: (call: C, signal: AbortSignal) => void,
  ): Promise<T> {
    const { signal } = options;
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    if (!(timeoutMs >= 0)) {
      return Promise.reject(new ConclaveError("INVALID_ARGUMENT", `A timeout is 0 ms or more, not ${timeoutMs}.`));
    }
    if (signal?.aborted === true) return Promise.reject(aborted(signal));
    return new Promise((resolve, reject) => {
      let over = false;
      const onAbort = (): void => {
        if (signal !== undefined) abort(call, signal);
      };
      const end = (): boolean => {
        if (over) return false;
        over = true;
        this.#open.delete(call);
        signal?.removeEventListener("abort", onAbort);
        if (this.#open.size === 0) this.#stopTimer();
        return true;
      };
      const call = make({
        deadlineMs: this.#clock.nowMs() + timeoutMs,
        timeoutMs,
        get isOver() {
          return over;
        },
        resolve: (value) => {
          if (end()) resolve(value);
        },
        reject: (error) => {
          if (end()) reject(error);
        },
      });
      this.#open.add(call);
      signal?.addEventListener("abort", onAbort);
      this.#watch(call.deadlineMs);
    });
  }

  rejectAll(error: ConclaveError): void {
    for (const call of [...this.#open]) call.reject(error);
  }

  #watch(deadlineMs: number): void {
    if (this.#timer !== null && this.#timer.atMs <= deadlineMs) return;
    this.#stopTimer();
    const fire = (): void => {
      this.#timer = null;
      const nowMs = this.#clock.nowMs();
      let nextMs = Number.POSITIVE_INFINITY;
      for (const call of [...this.#open]) {
        if (call.deadlineMs <= nowMs) this.#expire(call);
        else nextMs = Math.min(nextMs, call.deadlineMs);
      }
      if (nextMs !== Number.POSITIVE_INFINITY) this.#watch(nextMs);
    };
    const timer = this.#clock.setTimer(deadlineMs - this.#clock.nowMs(), fire);
    this.#timer = { atMs: deadlineMs, timer };
  }

  #stopTimer(): void {
    this.#timer?.timer.cancel();
    this.#timer = null;
  }
}

export const aborted = (signal: AbortSignal): ConclaveError =>
  new ConclaveError("ABORTED", "The call was aborted before anything was sent.", { cause: signal.reason });

export const closed = (): ConclaveError => new ConclaveError("CLOSED", "The client is closed.");
