/** Plain values of every kind, and the whole truth about one: types, orders and all. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";

export type Containers = Map<unknown, unknown> | Set<unknown> | unknown[] | Record<string, unknown>;

const VIEWS: readonly (new (buffer: ArrayBuffer) => ArrayBufferView)[] = [
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
  ...("Float16Array" in globalThis ? [Float16Array] : []),
];

/** What two values must have in common to be the same; it can be told of drafts as well. */
export function tell(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (Object.is(value, -0)) return "-0";
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return `[${Array.from(value, tell).join()}]`;
  if (value instanceof Map) return `Map(${value.size}){${[...value].map(([k, v]) => `${tell(k)}=>${tell(v)}`).join()}}`;
  if (value instanceof Set) return `Set(${value.size}){${[...value].map(tell).join()}}`;
  if (value instanceof Date) return `Date(${value.getTime()})`;
  if (value instanceof ArrayBuffer) return `ArrayBuffer(${hex(new Uint8Array(value))})`;
  if (ArrayBuffer.isView(value)) {
    const name = VIEWS.find((type) => value instanceof type)?.name;
    return `${name}(${hex(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))})`;
  }
  return `{${Object.entries(value)
    .map(([key, item]) => `${JSON.stringify(key)}:${tell(item)}`)
    .join()}}`;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** A copy of whatever it is given, in which nothing stands in two places. */
export function untangled<T>(value: T): T {
  const copy = (one: unknown): unknown => {
    if (typeof one !== "object" || one === null) return one;
    if (Array.isArray(one)) return one.map(copy);
    if (one instanceof Map) return new Map([...one].map(([key, item]) => [key, copy(item)]));
    if (one instanceof Set) return new Set(one);
    const isFields = [Object.prototype, null].includes(Object.getPrototypeOf(one));
    return isFields
      ? Object.fromEntries(Object.entries(one).map(([k, item]) => [k, copy(item)]))
      : structuredClone(one);
  };
  return copy(value) as T;
}

/** Nothing of the state stands in two places, nor is anything but what it seems. */
export function isTree(root: unknown): void {
  const seen = new Set<unknown>();
  const look = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    assert.not(seen.has(value), `${tell(value)} stands in two places`);
    seen.add(value);
    const prototypes: unknown[] = [Object, Array, Map, Set, Date, ArrayBuffer, ...VIEWS].map((type) => type.prototype);
    assert.ok(prototypes.includes(Object.getPrototypeOf(value)), `${tell(value)} is not plain`);
    if (ArrayBuffer.isView(value)) return;
    for (const item of value instanceof Map ? value.values() : Object.values(value)) look(item);
  };
  look(root);
}

const bytes = fc.uint8Array({ maxLength: 3 });
const view = fc.tuple(fc.constantFrom(...VIEWS), bytes).map(([type, part]) => {
  // Whatever it looks at takes up to eight bytes; the last of them is none of a NaN's.
  const whole = new Uint8Array(8 * part.length).map((_, i) => (i % 2 === 1 ? 1 : (part[i % part.length] ?? 0)));
  return new type(whole.buffer);
});

export const primitive: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(undefined, null, true, false),
  fc.nat(300),
  fc.maxSafeInteger(),
  fc.double(),
  fc.bigInt(),
  fc.string({ unit: "binary", maxLength: 5 }),
  fc.string({ maxLength: 80 }),
);
const leaf: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: primitive },
  {
    weight: 1,
    arbitrary: fc.oneof(
      fc.date(),
      view,
      bytes.map((some) => new Uint8Array(some).buffer),
    ),
  },
);
const key = fc.oneof(
  fc.constantFrom("a", "b", "c", "__proto__", "constructor", "length", "7", "2", ""),
  fc.string({ unit: "binary", maxLength: 5 }),
);

interface Options {
  readonly keys: fc.Arbitrary<unknown>;
  readonly names: fc.Arbitrary<string>;
  readonly leaves: fc.Arbitrary<unknown>;
}

const fieldsOf = (entries: readonly (readonly [string, unknown])[], isBare: boolean): Record<string, unknown> =>
  isBare ? Object.setPrototypeOf(Object.fromEntries(entries), null) : Object.fromEntries(entries);

function containersOf({ keys, names, leaves }: Options): {
  container: fc.Arbitrary<unknown>;
  value: fc.Arbitrary<unknown>;
} {
  return fc.letrec((tie) => {
    const size = { maxLength: 5, depthIdentifier: "plain" } as const;
    return {
      value: fc.oneof({ depthIdentifier: "plain", maxDepth: 4 }, leaves, tie("container")),
      container: fc.oneof(
        fc.array(tie("value"), size),
        fc
          .tuple(fc.array(fc.tuple(names, tie("value")), size), fc.boolean())
          .map(([entries, isBare]) => fieldsOf(entries, isBare)),
        fc.array(fc.tuple(keys, tie("value")), size).map((entries) => new Map(entries)),
        fc.array(keys, size).map((members) => new Set(members)),
      ),
    };
  });
}

/** Any plain value. */
export const plainValue: fc.Arbitrary<unknown> = containersOf({
  keys: fc.oneof(primitive, fc.array(primitive, { maxLength: 2 })),
  names: key,
  leaves: leaf,
}).value;

const names = fc.constantFrom("a", "b", "c", "d", "3");
export const stateKey: fc.Arbitrary<unknown> = fc.oneof(names, fc.constantFrom(0, -0, 1, Number.NaN, undefined, 5n));
/** What may stand in a state, under few names. */
export const { value: stateValue, container: stateRoot } = containersOf({ keys: stateKey, names, leaves: leaf }) as {
  readonly value: fc.Arbitrary<unknown>;
  readonly container: fc.Arbitrary<Containers>;
};
