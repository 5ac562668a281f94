/** When to send: once a turn, so that what comes up together travels together, and after a pause what was refused. */

import type { ClientEnvironment, Timer } from "../environment.ts";
import { type ConclaveError, hasCode, retryAfterMs } from "../errors.ts";
import { pauseMs, RETRY_DELAY_MS } from "./options.ts";

export class Sender {
  readonly #environment: ClientEnvironment;
  readonly #send: () => void;
  #scheduled = false;
  /** The other side asked to be left alone until then, and why. */
  #pause: { readonly untilMs: number; readonly refusal: ConclaveError } | null = null;
  #retry: Timer | null = null;
  #stopped = false;

  constructor(environment: ClientEnvironment, send: () => void) {
    this.#environment = environment;
    this.#send = send;
  }

  /** Why nothing is sent at the moment, if the other side asked to be left alone. */
  get refusal(): ConclaveError | null {
    return this.#isPaused ? (this.#pause?.refusal ?? null) : null;
  }

  /** Something may be sent now. */
  wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#isPaused) this.#sendNow();
    });
  }

  /** Another server is there to send to: what the last one asked for is no concern of it. */
  startAfresh(): void {
    this.#pause = null;
    this.#retry?.cancel();
    this.#retry = null;
    this.wake();
  }

  /**
   * What was turned away may be sent again, but not as fast as it is refused. If the other side has said when, nothing
   * is sent before that, be it new: it would only be turned away, too.
   */
  retryLater(refusal: unknown = null): void {
    const { clock, random } = this.#environment;
    const askedMs = retryAfterMs(refusal);
    if (askedMs !== null && hasCode(refusal, "BUSY")) {
      const untilMs = clock.nowMs() + pauseMs(askedMs, random);
      if (untilMs > (this.#pause?.untilMs ?? 0)) this.#pause = { untilMs, refusal };
    }
    if (this.#retry === null) this.#retryIn(RETRY_DELAY_MS * (0.5 + random.next()));
  }

  stop(): void {
    this.#stopped = true;
    this.#retry?.cancel();
  }

  get #isPaused(): boolean {
    return this.#pause !== null && this.#environment.clock.nowMs() < this.#pause.untilMs;
  }

  #retryIn(delayMs: number): void {
    const { clock } = this.#environment;
    this.#retry = clock.setTimer(delayMs, () => {
      this.#retry = null;
      if (this.#isPaused) this.#retryIn((this.#pause?.untilMs ?? 0) - clock.nowMs());
      else this.#sendNow();
    });
  }

  #sendNow(): void {
    if (!this.#stopped) this.#send();
  }
}
