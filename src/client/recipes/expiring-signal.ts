/** A signal that fires at a time, and that nobody finds unfired after it, however late the timer that should fire it. */

import type { Clock, Timer } from "../../environment.ts";
import { endWith } from "../end-with.ts";

/**
 * What holds until a time that may be moved. A timer fires late when the event loop was held up, or the process stood
 * still; whoever asks the signal before that, asks the clock.
 */
export class Expiry {
  readonly #clock: Pick<Clock, "nowMs" | "setTimer">;
  readonly #why: () => Error;
  readonly #controller = new AbortController();
  #untilMs: number;
  #timer: Timer | null = null;
  #isEnded = false;

  /** @param why what the signal's reason is if time has run out */
  constructor(clock: Pick<Clock, "nowMs" | "setTimer">, untilMs: number, why: () => Error) {
    this.#clock = clock;
    this.#why = why;
    this.#untilMs = untilMs;
    lookFirst(this.#controller.signal, () => this.#look());
    this.#watch();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether there is time left. */
  get isOver(): boolean {
    return this.signal.aborted;
  }

  get leftMs(): number {
    return this.#untilMs - this.#clock.nowMs();
  }

  /** There is more time, unless it is over already. */
  extend(untilMs: number): void {
    this.#look();
    if (untilMs > this.#untilMs) this.#untilMs = untilMs;
  }

  /** It is over, for another reason than time. */
  end(why: Error): void {
    if (this.#isEnded) return;
    this.#isEnded = true; // Some runtimes ask the signal while they abort it.
    this.#timer?.cancel();
    this.#controller.abort(why);
  }

  #look(): void {
    if (!this.#isEnded && this.leftMs <= 0) this.end(this.#why());
  }

  /** Where it was extended meanwhile, the timer is only set anew. */
  #watch(): void {
    this.#timer = this.#clock.setTimer(Math.max(0, this.leftMs), () => {
      this.#look();
      if (!this.#isEnded) this.#watch();
    });
  }
}

/** Fires when one of the two does; whoever asks it asks the clock, too. */
export function eitherOf(expiring: AbortSignal, other: AbortSignal | undefined): AbortSignal {
  if (other === undefined) return expiring;
  return lookFirst(endWith(new AbortController(), expiring, other), () => void expiring.aborted);
}

/** Whoever asks the signal whether it has fired has it look first whether it should have. */
function lookFirst(signal: AbortSignal, look: () => void): AbortSignal {
  const fired = (): boolean => {
    look();
    return Reflect.get(AbortSignal.prototype, "aborted", signal) === true;
  };
  Object.defineProperty(signal, "aborted", { get: fired });
  Object.defineProperty(signal, "throwIfAborted", {
    value: () => {
      if (fired()) throw signal.reason;
    },
  });
  return signal;
}
