/** What may stand in replicated state: plain values. And how any other is refused, with the place where it was met. */

/** What is changed in place, since it may be too large to be copied. */
export type Collection = Map<unknown, unknown> | Set<unknown>;
/** What holds other values. An object or an array that stands in the state is never changed, but replaced. */
export type Container = Collection | Fields | unknown[];
export type Fields = Record<PropertyKey, unknown>;
/** What holds none, and can be changed all the same. */
export type Leaf = Date | ArrayBuffer | ArrayBufferView;

/** How many containers may stand within each other. */
export const DEPTH_MAX = 100;
/** V8 has room for no more in a Map or Set, and says so only when it is too late. */
export const COLLECTION_SIZE_MAX = 2 ** 24 - 1;
export const BIGINT_BYTES_MAX = 64 * 1024;
const BIGINT_END = 1n << BigInt(8 * BIGINT_BYTES_MAX);
/** Of a key in a message, in letters. */
const SHOWN_MAX = 60;

/** A container that is being looked through, and the key in it that has been reached. */
export interface Place {
  readonly parent: Place | null;
  readonly holder: object;
  readonly depth: number;
  key: unknown;
}

/** @throws TypeError if the container stands within itself, or too deep */
export function enter(holder: object, parent: Place | null): Place {
  for (let place = parent; place !== null; place = place.parent) {
    if (place.holder === holder) throw refusal(parent, "a cycle");
  }
  const depth = parent === null ? 1 : parent.depth + 1;
  if (depth > DEPTH_MAX) throw refusal(parent, `a container within ${DEPTH_MAX} others`);
  return { parent, holder, depth, key: undefined };
}

/** Where what has a name of its own begins. */
export const rootPlace = (name: string): Place => ({ parent: null, holder: {}, depth: 0, key: name });

export function refusal(place: Place | null, what: string): TypeError {
  const path = pathOf(place);
  return new TypeError(`${path === "" ? "" : `${path}: `}${what} can't be stored`);
}

/** As one would write it in a program, nearly: `accounts["a"].owner`. */
function pathOf(place: Place | null): string {
  if (place === null) return "";
  const { parent, holder, key } = place;
  const path = pathOf(parent);
  if (Array.isArray(holder)) return `${path}[${String(key)}]`;
  const isName = typeof key === "string" && /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key);
  if (holder instanceof Map || holder instanceof Set || !isName) return `${path}[${shown(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}

function shown(key: unknown): string {
  if (typeof key === "string") return JSON.stringify(key.length > SHOWN_MAX ? `${key.slice(0, SHOWN_MAX)}…` : key);
  if (typeof key === "bigint") return `${key < BIGINT_END ? key : "…"}n`;
  return isObject(key) || typeof key === "function" ? "…" : String(key);
}

export const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

/** @param value no object @throws TypeError if it is no plain value */
export function checkPrimitive(value: unknown, place: Place | null): void {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) throw refusal(place, "a string with half of a surrogate pair");
      break;
    case "bigint":
      if (value >= BIGINT_END || value <= -BIGINT_END) {
        throw refusal(place, `a bigint of more than ${BIGINT_BYTES_MAX} bytes`);
      }
      break;
    case "function":
    case "symbol":
      throw refusal(place, `a ${typeof value}`);
  }
}

const prototypeOf: (value: object) => unknown = Object.getPrototypeOf;

/** What hangs on an array, a Map or a Date beside its content is no part of the value. */
export const isArray = (value: object): value is unknown[] =>
  Array.isArray(value) && prototypeOf(value) === Array.prototype;
export const isMap = (value: object): value is Map<unknown, unknown> => prototypeOf(value) === Map.prototype;
export const isSet = (value: object): value is Set<unknown> => prototypeOf(value) === Set.prototype;
export function isFields(value: object): value is Fields {
  const prototype = prototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** An element. @throws TypeError if it is a hole */
export function elementOf(array: readonly unknown[], index: number, place: Place): unknown {
  const value = array[index];
  if (value === undefined && !Object.hasOwn(array, index)) throw refusal(place, "a hole");
  return value;
}

/** The keys of an object in their order. @throws TypeError if anything but values stands under any */
export function keysOf(object: Fields, place: Place): string[] {
  if (Object.getOwnPropertySymbols(object).length > 0) throw refusal(place.parent, "a symbol as a key");
  const keys = Object.keys(object);
  for (const key of keys) {
    place.key = key;
    checkPrimitive(key, place);
    const property = Object.getOwnPropertyDescriptor(object, key);
    if (property !== undefined && !("value" in property)) throw refusal(place, "an accessor property");
  }
  return keys;
}

/** `__proto__` is a key like any other. */
export function put(object: Fields, key: PropertyKey, value: unknown): void {
  if (key !== "__proto__") object[key] = value;
  else Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

/** What an object is that is no plain value. */
export function describe(value: object): string {
  if (value instanceof Promise) return "a Promise";
  const maker: unknown = Reflect.get(value, "constructor");
  return typeof maker === "function" && maker.name !== "" ? `a class instance (${maker.name})` : "a class instance";
}

interface ViewType {
  readonly BYTES_PER_ELEMENT?: number;
  new (buffer: ArrayBuffer): ArrayBufferView;
}

/**
 * Ways to look at bytes. Their places in the list are their numbers among bytes; a runtime may lack the last one. One
 * that a runtime or a package has made of another (such as Node's of Uint8Array) counts as that other.
 */
export const VIEW_TYPES: readonly (ViewType | undefined)[] = [
  Uint8Array,
  DataView,
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
  Float32Array,
  Float64Array,
  globalThis.Float16Array as ViewType | undefined,
];

export const viewNumber = (view: ArrayBufferView): number =>
  VIEW_TYPES.findIndex((type) => type !== undefined && view instanceof type);

export const dateAt = (time: number): Date => new Date(time);
export const isDate = (value: object): value is Date => prototypeOf(value) === Date.prototype;
const isBuffer = (value: object): value is ArrayBuffer => prototypeOf(value) === ArrayBuffer.prototype;
export const isLeaf = (value: object): value is Leaf => ArrayBuffer.isView(value) || isDate(value) || isBuffer(value);

/** The bytes themselves, in the order of the machine: every one that these runtimes are made for has the same. */
export const bytesOf = (value: ArrayBuffer | ArrayBufferView): Uint8Array =>
  ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);

/** Of a view only what it shows. NaN has many forms, which differ from machine to machine: a copy has one. */
export function copyOfLeaf(leaf: Leaf): Leaf {
  if (isDate(leaf)) return dateAt(leaf.getTime());
  const { buffer } = new Uint8Array(bytesOf(leaf));
  if (!ArrayBuffer.isView(leaf)) return buffer;
  const type = VIEW_TYPES[viewNumber(leaf)];
  if (type === undefined) throw new TypeError(`${describe(leaf)} is not known`);
  const view = new type(buffer);
  if (isFloats(view)) for (let i = 0; i < view.length; i++) if (Number.isNaN(view[i])) view[i] = Number.NaN;
  return view;
}

export const isFloats = (view: ArrayBufferView): view is Float64Array =>
  view instanceof Float64Array || view instanceof Float32Array || view.constructor.name === "Float16Array";

export function isSameLeaf(a: Leaf, b: Leaf): boolean {
  if (prototypeOf(a) !== prototypeOf(b)) return false;
  if (isDate(a)) return isDate(b) && Object.is(a.getTime(), b.getTime());
  if (isDate(b) || a.byteLength !== b.byteLength) return false;
  const [ours, theirs] = [bytesOf(a), bytesOf(b)];
  return ours.every((byte, i) => byte === theirs[i]);
}
