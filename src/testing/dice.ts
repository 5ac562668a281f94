/**
 * A seeded source of chance (mulberry32). The same seed gives the same numbers on every runtime.
 *
 * @example
 * ```ts
 * import { Dice } from "conclave/testing";
 *
 * const dice = new Dice(42);
 * console.log(dice.below(6), dice.below(6), dice.pick(["ann", "bob"])); // 3 2 bob
 * ```
 */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let x = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 up to, but not including, `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  /** Evenly spread. */
  between(least: number, most: number): number {
    return least + (most - least) * this.next();
  }

  /** Mostly near `least`, seldom near `most`. No logarithm: runtimes do not agree on its last digit. */
  seldom(least: number, most: number): number {
    const x = this.next();
    return least + (most - least) * x * x * x * x;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError("there is nothing to pick from");
    return item;
  }

  /** A source of its own: what is drawn from it changes nothing here. */
  fork(): Dice {
    return new Dice(this.below(2 ** 32));
  }
}
