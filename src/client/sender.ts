/** When to send: once a turn, so that what comes up together travels together, and after a pause what was refused. */

import type { ClientEnvironment } from "../environment.ts";
import { RETRY_DELAY_MS } from "./options.ts";

export class Sender {
  readonly #environment: ClientEnvironment;
  readonly #send: () => void;
  #scheduled = false;
  #retrying = false;
  #stopped = false;

  constructor(environment: ClientEnvironment, send: () => void) {
    this.#environment = environment;
    this.#send = send;
  }

  /** Something may be sent now. */
  wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#stopped) this.#send();
    });
  }

  /** What was turned away may be sent again, but not as fast as it is refused. */
  retryLater(): void {
    if (this.#retrying || this.#stopped) return;
    this.#retrying = true;
    const { clock, random } = this.#environment;
    clock.setTimer(RETRY_DELAY_MS * (0.5 + random.next()), () => {
      this.#retrying = false;
      if (!this.#stopped) this.#send();
    });
  }

  stop(): void {
    this.#stopped = true;
  }
}
