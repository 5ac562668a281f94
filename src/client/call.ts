/** A call that waits for its end, and how it may end before its answer comes. */

import { Alarm } from "../alarm.ts";
import type { Clock } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import type { CallOptions } from "./options.ts";

export interface Call<T> {
  resolve(value: T): void;
  reject(error: ConclaveError): void;
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  readonly isOver: boolean;
}

export interface CallsOptions<C> {
  readonly clock: Clock;
  /** For a call that sets no deadline of its own. */
  readonly timeoutMs: number;
  /** How many may be open. */
  readonly callsMax: number;
  /** Ends a call early: its deadline has passed, or its caller's signal has fired. */
  giveUp(call: C, reason: "expired" | ConclaveError): void;
}

/** The calls that are open, and their deadlines behind one timer. */
export class Calls<C extends Call<never>> {
  readonly #options: CallsOptions<C>;
  readonly #open = new Set<C>();
  readonly #alarm: Alarm;
  #closed = false;

  constructor(options: CallsOptions<C>) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock, () => this.#expire());
  }

  /**
   * Opens a call. Fails with `CLOSED`, `BUSY`, `INVALID_ARGUMENT` or `ABORTED` if it can't be opened.
   *
   * @param make builds the call around the basic one
   */
  open<T>(options: CallOptions, make: (base: Call<T>) => C): Promise<T> {
    const { clock, callsMax, giveUp } = this.#options;
    const { signal } = options;
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs;
    if (this.#closed) return Promise.reject(closed());
    if (this.#open.size >= callsMax) {
      return Promise.reject(new ConclaveError("BUSY", `${callsMax} calls wait already.`));
    }
    if (!(timeoutMs >= 0)) {
      return Promise.reject(new ConclaveError("INVALID_ARGUMENT", `A timeout is 0 ms or more, not ${timeoutMs}.`));
    }
    if (signal?.aborted === true) return Promise.reject(aborted(signal));
    return new Promise((resolve, reject) => {
      let over = false;
      const onAbort = (): void => {
        if (signal !== undefined) giveUp(call, aborted(signal));
      };
      const end = (): boolean => {
        if (over) return false;
        over = true;
        this.#open.delete(call);
        signal?.removeEventListener("abort", onAbort);
        if (this.#open.size === 0) this.#alarm.cancel();
        return true;
      };
      const call = make({
        deadlineMs: clock.nowMs() + timeoutMs,
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
      this.#alarm.setFor(call.deadlineMs);
    });
  }

  /** Ends what is open, and takes nothing more. */
  close(): void {
    this.#closed = true;
    for (const call of [...this.#open]) this.#options.giveUp(call, closed());
  }

  #expire(): void {
    const { clock, giveUp } = this.#options;
    const nowMs = clock.nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const call of [...this.#open]) {
      if (call.deadlineMs <= nowMs) giveUp(call, "expired");
      else nextMs = Math.min(nextMs, call.deadlineMs);
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#alarm.setFor(nextMs);
  }
}

export const aborted = (signal: AbortSignal): ConclaveError =>
  new ConclaveError("ABORTED", "The call was aborted.", { cause: signal.reason });

/** A call that was not answered in time, with or without a leader who could have. */
export const late = (timeoutMs: number, leader: object | null): ConclaveError =>
  leader === null
    ? new ConclaveError("NO_LEADER", `No leader was found within ${timeoutMs} ms.`)
    : new ConclaveError("TIMEOUT", `No answer came within ${timeoutMs} ms.`);

export const closed = (): ConclaveError => new ConclaveError("CLOSED", "The client is closed.");
