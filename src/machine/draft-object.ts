/** Drafts of objects and arrays: proxies that copy what they stand for when it is first written to. */

import { type DraftNode, NODE, type Settlement, type Transaction } from "./draft-node.ts";
import { checkPrimitive, elementOf, enter, type Fields, isObject, type Place, put } from "./plain-value.ts";

const ATTRIBUTES = ["writable", "enumerable", "configurable"] as const;
const ARRAY_LENGTH_MAX = 2 ** 32 - 1;

/** An array is taken for an object whose keys are numbers. */
const copyOf = (fields: Fields): Fields =>
  Array.isArray(fields) ? (fields.slice() as unknown as Fields) : { ...fields };

const isIndex = (key: string): boolean => Number(key) < ARRAY_LENGTH_MAX && String(Number(key) >>> 0) === key;

export class ObjectNode implements DraftNode, ProxyHandler<Fields> {
  readonly transaction: Transaction;
  readonly draft: Fields;
  readonly depth: number;
  readonly #base: Fields;
  /** Once it was written to; it holds the drafts that were handed out, too. */
  #copy: Fields | null = null;
  /** The drafts that were handed out before. */
  #opened: Map<PropertyKey, unknown> | null = null;

  constructor(transaction: Transaction, base: Fields, depth: number) {
    this.transaction = transaction;
    this.depth = depth;
    this.#base = base;
    this.draft = new Proxy(base, this);
  }

  get(_: Fields, key: PropertyKey): unknown {
    if (key === NODE) return this;
    this.transaction.checkRead();
    const latest = this.#copy ?? this.#base;
    const value = latest[key];
    if (!isObject(value) || !Object.hasOwn(latest, key)) return value;
    if (this.#copy !== null && value !== this.#base[key]) return value;
    return this.#opened?.get(key) ?? this.#open(key, value);
  }

  set(_: Fields, key: PropertyKey, value: unknown): boolean {
    if (key === "__proto__" && !Object.hasOwn(this.#copy ?? this.#base, key)) {
      this.transaction.checkWrite();
      throw new TypeError("__proto__ can't be set: use a Map if keys may be anything");
    }
    this.#write(key, value);
    return true;
  }

  defineProperty(_: Fields, key: PropertyKey, property: PropertyDescriptor): boolean {
    this.transaction.checkWrite();
    const old = Object.getOwnPropertyDescriptor(this.#copy ?? this.#base, key);
    const isPlain = ATTRIBUTES.every((attribute) => property[attribute] ?? old?.[attribute] ?? false);
    if (!isPlain || "get" in property || "set" in property) {
      throw new TypeError(`an accessor, hidden or read-only property (${String(key)}) can't be stored`);
    }
    if ("value" in property || old === undefined) this.#write(key, property.value);
    return true;
  }

  deleteProperty(_: Fields, key: PropertyKey): boolean {
    this.transaction.checkWrite();
    if (!Object.hasOwn(this.#copy ?? this.#base, key)) return true;
    return Reflect.deleteProperty(this.#own(), key);
  }

  has(_: Fields, key: PropertyKey): boolean {
    this.transaction.checkRead();
    return Reflect.has(this.#copy ?? this.#base, key);
  }

  ownKeys(): (string | symbol)[] {
    this.transaction.checkRead();
    return Reflect.ownKeys(this.#copy ?? this.#base);
  }

  getOwnPropertyDescriptor(fields: Fields, key: PropertyKey): PropertyDescriptor | undefined {
    this.transaction.checkRead();
    const property = Object.getOwnPropertyDescriptor(this.#copy ?? this.#base, key);
    return property && { ...property, value: this.get(fields, key) };
  }

  setPrototypeOf(): boolean {
    this.transaction.checkWrite();
    throw new TypeError("what is in the state can't be given a prototype");
  }

  preventExtensions(): boolean {
    this.transaction.checkWrite();
    throw new TypeError("what is in the state can't be frozen");
  }

  shallow(): Fields {
    this.transaction.checkRead();
    return this.#copy ?? (this.#opened === null ? this.#base : this.#withOpened());
  }

  settle(settlement: Settlement, parent: Place | null): Fields {
    if (this.#copy === null && this.#opened === null) return this.#base;
    const at = enter(this.draft, parent);
    const latest = this.#copy ?? this.#base;
    let settled = latest;
    for (const [key, value] of this.#touched(at)) {
      at.key = key;
      const result = settlement.value(value, at, this.#base[key]);
      if (Object.is(result, latest[key])) continue;
      if (settled === latest) settled = copyOf(latest);
      put(settled, key, result);
    }
    return settled;
  }

  /** What may not be as it was, with the keys. */
  *#touched(at: Place): Iterable<[PropertyKey, unknown]> {
    const copy = this.#copy;
    if (copy === null) yield* this.#opened ?? [];
    else if (Array.isArray(copy)) {
      for (let i = 0; i < copy.length; i++) {
        at.key = i;
        const value = elementOf(copy, i, at);
        if (!this.#isUntouched(i, value)) yield [i, value];
      }
    } else {
      for (const key of Object.keys(copy)) {
        at.key = key;
        checkPrimitive(key, at);
        if (!this.#isUntouched(key, copy[key])) yield [key, copy[key]];
      }
    }
  }

  /** It is what stood there before, and was not handed out. */
  #isUntouched(key: PropertyKey, value: unknown): boolean {
    return value === this.#base[key] && Object.hasOwn(this.#base, key);
  }

  #open(key: PropertyKey, value: object): object {
    const opened = this.transaction.open(value, this.depth + 1);
    if (this.#copy !== null) put(this.#copy, key, opened);
    else {
      this.#opened ??= new Map();
      this.#opened.set(key, opened);
    }
    return opened;
  }

  #write(key: PropertyKey, value: unknown): void {
    this.transaction.checkWrite();
    if (typeof key === "symbol") throw new TypeError(`a symbol as a key (${String(key)}) can't be stored`);
    if (Array.isArray(this.#base) && key !== "length" && !isIndex(String(key))) {
      throw new TypeError(`a property of an array (${key}) can't be stored`);
    }
    const latest = this.#copy ?? this.#base;
    if (!isObject(value) && Object.is(value, latest[key]) && Object.hasOwn(latest, key)) return;
    put(this.#own(), key, value);
  }

  /** The copy, which may be written to. */
  #own(): Fields {
    if (this.#copy === null) {
      this.#copy = this.#withOpened();
      this.#opened = null;
    }
    return this.#copy;
  }

  #withOpened(): Fields {
    const copy = copyOf(this.#base);
    for (const [key, value] of this.#opened ?? []) put(copy, key, value);
    return copy;
  }
}
