/** What waits for an actor, and when it is handled. */

import type { Clock } from "../environment.ts";

/** How much of what is free one sender may have. */
const SHARE = 1 / 8;

/**
 * A bounded queue that drains in batches: everything that arrived in one turn of the event loop is handled together,
 * and while a batch is being handled the next one gathers.
 */
export class Mailbox<D> {
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #handle: (batch: readonly D[]) => void | Promise<void>;
  #waiting: D[] = [];
  /** How much of that each sender has sent. */
  #shares = new Map<object, number>();
  #busy = false;
  #closed = false;

  /** @param handle must not throw or reject */
  constructor(clock: Clock, capacity: number, handle: (batch: readonly D[]) => void | Promise<void>) {
    this.#clock = clock;
    this.#capacity = capacity;
    this.#handle = handle;
  }

  /**
   * False if the mailbox is closed, or has no room for this sender: the delivery was not taken. Nobody may have more
   * waiting than a part of what is still free: so one who floods it leaves most of it to others, and many leave something
   * (dynamic thresholds: Choudhury and Hahne, 1998).
   *
   * @param sender null for this process itself, which may fill what there is
   */
  put(delivery: D, sender: object | null = null): boolean {
    const free = this.#capacity - this.#waiting.length;
    if (this.#closed || free <= 0) return false;
    if (sender !== null) {
      const held = this.#shares.get(sender) ?? 0;
      if (held >= free * SHARE) return false;
      this.#shares.set(sender, held + 1);
    }
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
    this.#shares = new Map();
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
    this.#shares = new Map();
    const handled = batch.length === 0 ? undefined : this.#handle(batch);
    if (handled === undefined) this.#next();
    else void handled.then(() => this.#next());
  }

  #next(): void {
    this.#busy = false;
    if (this.#waiting.length > 0) this.#schedule();
  }
}
