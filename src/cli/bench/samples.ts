/** Many measured times, and what stands in the middle and near the end of them. */

const ROOM_AT_FIRST = 65_536;

/** A list of numbers that may become millions, and is no work for the garbage collector. */
export class Samples {
  #values = new Float64Array(ROOM_AT_FIRST);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(value: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(2 * this.#count);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count++] = value;
  }

  /** In ascending order. */
  sorted(): Float64Array {
    return this.#values.slice(0, this.#count).sort();
  }
}

/** The value that a share `q` of all lies below, as the ceiling takes it; 0 of none. @param sorted in ascending order */
export function percentile(sorted: ArrayLike<number>, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0;
}

/** The middle one of a few, or the mean of the two in the middle; 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const above = Math.floor(sorted.length / 2);
  const below = Math.ceil(sorted.length / 2) - 1;
  return ((sorted[above] ?? 0) + (sorted[below] ?? 0)) / 2;
}

/** To a thousandth: finer than any figure here is good for. */
export const rounded = (value: number, digits = 3): number => Number(value.toFixed(digits));
