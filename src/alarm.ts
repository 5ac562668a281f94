/** One timer for many deadlines. */

import type { Clock, Timer } from "./environment.ts";

export class Alarm {
  readonly #clock: Pick<Clock, "nowMs" | "setTimer">;
  readonly #ring: () => void;
  #set: { readonly atMs: number; readonly timer: Timer } | null = null;

  /** @param ring looks for what is due, and sets the alarm for what comes next */
  constructor(clock: Pick<Clock, "nowMs" | "setTimer">, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at `atMs` at the latest: it is set anew only if it would ring too late. */
  setFor(atMs: number): void {
    if (this.#set !== null && this.#set.atMs <= atMs) return;
    this.cancel();
    const ring = (): void => {
      this.#set = null;
      this.#ring();
    };
    this.#set = { atMs, timer: this.#clock.setTimer(atMs - this.#clock.nowMs(), ring) };
  }

  cancel(): void {
    this.#set?.timer.cancel();
    this.#set = null;
  }
}
