/** A call that waits for its end, and how it may end before its answer comes. */

import { Alarm } from "../alarm.ts";
import type { Clock } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import { List, type Place } from "../passing.ts";
import { aborted, closed, invalid } from "./failures.ts";
import type { CallOptions } from "./options.ts";

/** What a call begins with. */
export interface CallStart<T> {
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  readonly resolve: (value: T) => void;
  readonly reject: (error: ConclaveError) => void;
  /** Told once, as it ends. */
  ended(call: Call<never>): void;
}

/** Whoever calls often has many of these at once: one object each, and no functions of their own. */
export class Call<T> {
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  /** Among those that are open. */
  place: Place<unknown> | null = null;
  readonly #start: CallStart<T>;
  #isOver = false;

  constructor(start: CallStart<T>) {
    this.deadlineMs = start.deadlineMs;
    this.timeoutMs = start.timeoutMs;
    this.#start = start;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Only the first end of a call counts. */
  resolve(value: T): void {
    if (this.#end()) this.#start.resolve(value);
  }

  reject(error: ConclaveError): void {
    if (this.#end()) this.#start.reject(error);
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#start.ended(this);
    return true;
  }
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
  readonly #open = new List<C>();
  /** How to leave the signals of those that have one. */
  readonly #leaves = new Map<C, () => void>();
  readonly #alarm: Alarm;
  #closed = false;

  constructor(options: CallsOptions<C>) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock, () => this.#expire());
  }

  /** Nobody waits for anything. */
  get isIdle(): boolean {
    return this.#open.size === 0;
  }

  /**
   * Opens a call. Fails with `CLOSED`, `BUSY`, `INVALID_ARGUMENT` or `ABORTED` if it can't be opened.
   *
   * @param make makes the call
   */
  open<T>(options: CallOptions, make: (start: CallStart<T>) => C): Promise<T> {
    const { clock, callsMax } = this.#options;
    const { signal } = options;
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs;
    if (this.#closed) return Promise.reject(closed());
    if (this.#open.size >= callsMax) {
      return Promise.reject(new ConclaveError("BUSY", `${callsMax} calls wait already.`));
    }
    if (!(timeoutMs >= 0)) {
      return Promise.reject(invalid(`A timeout is 0 ms or more, not ${timeoutMs}.`));
    }
    if (signal?.aborted === true) return Promise.reject(aborted(signal));
    return new Promise((resolve, reject) => {
      const deadlineMs = clock.nowMs() + timeoutMs;
      const call = make({ deadlineMs, timeoutMs, resolve, reject, ended: this.#ended });
      call.place = this.#open.add(call);
      if (signal !== undefined) this.#listen(call, signal);
      this.#alarm.setFor(deadlineMs);
    });
  }

  readonly #ended = (call: C): void => {
    if (call.place !== null) this.#open.remove(call.place as Place<C>);
    if (this.#leaves.size > 0) this.#leaves.get(call)?.();
  };

  #listen(call: C, signal: AbortSignal): void {
    const onAbort = (): void => this.#options.giveUp(call, aborted(signal));
    signal.addEventListener("abort", onAbort);
    this.#leaves.set(call, () => {
      this.#leaves.delete(call);
      signal.removeEventListener("abort", onAbort);
    });
  }

  /** Ends what is open, and takes nothing more. */
  close(): void {
    this.#closed = true;
    this.#alarm.cancel();
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
