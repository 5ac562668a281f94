/** What a client holds of the cluster, and what it waits for: all of it is given up when the client is closed. */

import type { Clock } from "../../environment.ts";
import { closed } from "../failures.ts";

/** A cluster that is away is not waited for any longer, when the client is closed. */
const PATIENCE_MS = 500;

export interface Holding {
  /** Fires when it is held no more. */
  readonly signal: AbortSignal;
  /** Gives it up. Never fails. */
  release(): Promise<void>;
}

export class Holdings {
  readonly #clock: Pick<Clock, "setTimer">;
  readonly #held = new Set<Holding>();
  /** How to end each waiting, and when it has ended. */
  readonly #waits = new Map<AbortController, Promise<void>>();
  readonly #farewells = new Set<Promise<void>>();
  #isClosing = false;

  constructor(clock: Pick<Clock, "setTimer">) {
    this.#clock = clock;
  }

  keep<H extends Holding>(holding: H): H {
    const { signal } = holding;
    if (this.#isClosing) this.bid(holding.release());
    else if (!signal.aborted) {
      this.#held.add(holding);
      signal.addEventListener("abort", () => this.#held.delete(holding), { once: true });
    }
    return holding;
  }

  /** Something is waited for; it is to end when the client is closed. Call what this returns once it has. */
  waitWith(end: AbortController): () => void {
    if (this.#isClosing) end.abort(closed());
    let isOver: () => void = () => {};
    const over = new Promise<void>((resolve) => {
      isOver = resolve;
    });
    this.#waits.set(end, over);
    return () => {
      this.#waits.delete(end);
      isOver();
    };
  }

  /** The cluster is being told that something is not wanted any more. */
  bid(farewell: Promise<void>): void {
    this.#farewells.add(farewell);
    const forget = (): void => void this.#farewells.delete(farewell);
    farewell.then(forget, forget);
  }

  /** Gives up everything, so that nobody has to wait until its time has run out; null if there is nothing to wait for. */
  releaseAll(): Promise<void> | null {
    this.#isClosing = true;
    for (const [end, over] of this.#waits) {
      this.bid(over);
      end.abort(closed());
    }
    for (const one of this.#held) this.bid(one.release());
    if (this.#farewells.size === 0) return null;
    return new Promise<void>((resolve) => {
      const timer = this.#clock.setTimer(PATIENCE_MS, resolve);
      void this.#allGone().then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  async #allGone(): Promise<void> {
    while (this.#farewells.size > 0) await Promise.allSettled(this.#farewells);
  }
}
