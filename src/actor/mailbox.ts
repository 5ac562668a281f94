/** What waits for an actor, and when it is handled. */

import type { Clock } from "../environment.ts";

/**
 * A bounded queue that drains in batches: everything that arrived in one turn of the event loop is handled together,
 * and while a batch is being handled the next one gathers.
 */
export class Mailbox<D> {
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #handle: (batch: readonly D[]) => void | Promise<void>;
  #waiting: D[] = [];
  #busy = false;
  #closed = false;

  /** @param handle must not throw or reject */
  constructor(clock: Clock, capacity: number, handle: (batch: readonly D[]) => void | Promise<void>) {
    this.#clock = clock;
    this.#capacity = capacity;
    this.#handle = handle;
  }

  /** False if the mailbox is full or closed: the delivery was not taken. */
  put(delivery: D): boolean {
    if (this.#closed || this.#waiting.length >= this.#capacity) return false;
    this.#enqueue(delivery);
    return true;
  }

  /** For what the actor's own process tells it, such as the end of a disk write: never refused for lack of room. */
  putOwn(delivery: D): void {
    if (!this.#closed) this.#enqueue(delivery);
  }

  close(): void {
    this.#closed = true;
    this.#waiting = [];
  }

  #enqueue(delivery: D): void {
    if (this.#waiting.push(delivery) === 1 && !this.#busy) this.#schedule();
  }

  #schedule(): void {
    this.#busy = true;
    this.#clock.defer(() => this.#drain());
  }

  #drain(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    const handled = batch.length === 0 ? undefined : this.#handle(batch);
    if (handled === undefined) this.#next();
    else void handled.then(() => this.#next());
  }

  #next(): void {
    this.#busy = false;
    if (this.#waiting.length > 0) this.#schedule();
  }
}
