/**
 * Collections for what comes and goes all the time. A `Set` or a `Map` does as well, and costs dearly on V8: the table
 * that it grows out of, or is cleaned of what was deleted, points to the next one. Once one of them is old, all that
 * comes after hangs on it, and nothing that was ever in them is freed before the next full collection.
 */

/** Where in a list an item stands. */
class Place<T> {
  readonly item: T;
  before: Place<T> | null;
  after: Place<T> | null = null;
  isTaken = true;

  constructor(item: T, before: Place<T> | null) {
    this.item = item;
    this.before = before;
  }
}

export type { Place };

/** Items in the order in which they came, each with a place to be removed from. */
export class List<T> implements Iterable<T> {
  #first: Place<T> | null = null;
  #last: Place<T> | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The one that came first of those that are there. */
  get first(): T | undefined {
    return this.#first?.item;
  }

  add(item: T): Place<T> {
    const place = new Place(item, this.#last);
    if (this.#last === null) this.#first = place;
    else this.#last.after = place;
    this.#last = place;
    this.#size++;
    return place;
  }

  /** False if it was removed before. The place must be one of this list. */
  remove(place: Place<T>): boolean {
    if (!place.isTaken) return false;
    const { before, after } = place;
    if (before === null) this.#first = after;
    else before.after = after;
    if (after === null) this.#last = before;
    else after.before = before;
    // A place that is old and left must hold nothing that is young.
    place.before = null;
    place.after = null;
    place.isTaken = false;
    this.#size--;
    return true;
  }

  /** Nothing may be removed meanwhile. */
  *[Symbol.iterator](): Generator<T> {
    for (let place = this.#first; place !== null; place = place.after) yield place.item;
  }
}

/** A map is copied to a new one once this much, or as much as it holds, was added to it. */
const ADDED_MIN = 1_024;

/** What a `Map` is, in the same order. */
export class PassingMap<Key, Value> {
  #map = new Map<Key, Value>();
  #added = 0;

  get size(): number {
    return this.#map.size;
  }

  get(key: Key): Value | undefined {
    return this.#map.get(key);
  }

  has(key: Key): boolean {
    return this.#map.has(key);
  }

  set(key: Key, value: Value): void {
    // As often as it has to be: copying costs no more than what was added since.
    if (++this.#added > Math.max(ADDED_MIN, this.#map.size)) {
      this.#map = new Map(this.#map);
      this.#added = 0;
    }
    this.#map.set(key, value);
  }

  delete(key: Key): boolean {
    return this.#map.delete(key);
  }

  values(): Iterable<Value> {
    return this.#map.values();
  }

  clear(): void {
    this.#map = new Map();
    this.#added = 0;
  }
}
