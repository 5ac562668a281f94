/** Plain values as bytes: what is written is read, all else is refused with its place, and strangers do no harm. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { ByteReader, ByteWriter } from "../../src/bytes.ts";
import { decodeValue, encodeValue, readValue, writeValue } from "../../src/machine/value-codec.ts";
import { suite } from "../support/suite.ts";
import { plainValue, tell } from "./plain-values.ts";
import { refuses, refusesEveryTruncation, survivesAnything } from "./refusals.ts";

const test = suite("value codec");

const hexOf = (value: unknown): string => Buffer.from(encodeValue(value)).toString("hex");
const refusalOf = (value: unknown): string => {
  try {
    encodeValue(value);
  } catch (error) {
    if (error instanceof TypeError) return error.message;
    throw error;
  }
  return "none";
};

test("plain values are read as they were written", () =>
  fc.assert(
    fc.property(plainValue, (value) => {
      const decoded = decodeValue(encodeValue(value));
      assert.is(tell(decoded), tell(value));
      assert.equal(encodeValue(decoded), encodeValue(value), "and are written as before");
    }),
    { numRuns: 2_000 },
  ));

test("numbers at the edges are read as they were written", () => {
  const edges = [0, 127, 128, 2 ** 14, 2 ** 31, 2 ** 32, 2 ** 35, 2 ** 49, 2 ** 52, 2 ** 53, 2 ** 54, 1e300];
  for (const edge of edges.flatMap((one) => [one - 1, one, one + 1, one + 0.5])) {
    for (const value of [edge, -edge]) assert.ok(Object.is(decodeValue(encodeValue(value)), value), `${value}`);
  }
  for (const value of [Number.NaN, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MIN_VALUE]) {
    assert.ok(Object.is(decodeValue(encodeValue(value)), value), `${value}`);
  }
});

test("bigints of any size up to the largest are read as they were written, and no larger ones", () => {
  const end = 1n << (8n * 65_536n);
  for (const value of [0n, 1n, 255n, 256n, 2n ** 64n, 2n ** 1000n + 1n, end - 1n]) {
    for (const signed of [value, -value]) assert.is(decodeValue(encodeValue(signed)), signed);
  }
  assert.is(refusalOf({ a: end }), "a: a bigint of more than 65536 bytes can't be stored");
  assert.is(refusalOf([-end]), "[0]: a bigint of more than 65536 bytes can't be stored");
  const written = new ByteWriter().u8(7).u8(0x81).u8(0x80).u8(4);
  refuses(decodeValue, written.raw(new Uint8Array(65_537).fill(1)).finish());
});

test("text of any length is read as it was written", () => {
  for (let length = 0; length < 140; length++) {
    for (const letter of ["a", "ä", "€", "😀"]) {
      const text = letter.repeat(length);
      assert.is(decodeValue(encodeValue(text)), text);
      assert.equal(decodeValue(encodeValue({ [text]: text })), { [text]: text });
    }
  }
});

test("keys that look alike are told apart, however many were read before", () => {
  const pairs = Array.from({ length: 8_000 }, (_, i) => {
    const key = String.fromCharCode(0x80 + (i % 1900), 0x80 + ((i * 7) % 1900));
    // Its letters are the bytes of the key.
    return [String.fromCharCode(...new TextEncoder().encode(key)), key] as const;
  });
  for (let i = 0; i < 8_000; i++) pairs.push([`key ${i}!`, `key ${i}`]);
  for (const key of pairs.flat()) assert.ok(Object.hasOwn(decodeValue(encodeValue({ [key]: 1 })) as object, key), key);
  refuses(decodeValue, new Uint8Array([11, 1, 1, 0xe9, 128]));
});

test("the bytes are these, on every runtime", () => {
  assert.is(hexOf([undefined, null, false, true]), "0a0400010203");
  assert.is(hexOf([0, 1, 127, 128, 300, -1, -300]), "0a078081ff04800104ac02050105ac02");
  assert.is(hexOf([1.5, -0, Number.NaN]), "0a0306000000000000f83f06000000000000008006000000000000f87f");
  assert.is(hexOf([0n, 1n, -256n]), "0a0307000701010802" + "0001");
  assert.is(hexOf(["", "a", "ä"]), "0a03404161" + "42c3a4");
  assert.is(hexOf("a".repeat(64)), `0940${"61".repeat(64)}`);
  assert.is(hexOf({ b: 1, a: "x" }), "0b0201628101614178");
  assert.is(hexOf(new Map([["a", new Set([1, 2])]])), "0c0141610d028182");
  assert.is(hexOf(new Date(1)), "0e000000000000f03f");
  assert.is(hexOf(new Date(Number.NaN)), "0e000000000000f87f");
  assert.is(hexOf(new Uint8Array([1, 2]).buffer), "0f020102");
  assert.is(hexOf(new Uint16Array([1, 2])), "10050401000200");
  assert.is(hexOf(new BigInt64Array([-1n])), `100808${"ff".repeat(8)}`);
  // A machine may well come to one of the other forms of NaN.
  const odd = new Float64Array(new Uint8Array([1, 0, 0, 0, 0, 0, 0xf8, 0xff]).buffer);
  assert.is(hexOf(odd), "100b08000000000000f87f");
  assert.is(hexOf(odd[0]), "06000000000000f87f");
});

test("a view of some bytes is written without the rest, and read as a copy", () => {
  const bytes = new Uint8Array([9, 1, 2, 9]);
  const written = encodeValue([
    bytes.subarray(1, 3),
    new DataView(bytes.buffer, 1, 2),
    Buffer.from(bytes.buffer, 1, 2),
  ]);
  const read = decodeValue(written);
  assert.is(tell(read), "[Uint8Array(0102),DataView(0102),Uint8Array(0102)]");
  for (const view of read as ArrayBufferView[]) assert.is(view.buffer.byteLength, 2);
  written.fill(0);
  assert.is(tell(read), "[Uint8Array(0102),DataView(0102),Uint8Array(0102)]");
  assert.is(Object.getPrototypeOf((read as unknown[])[2]), Uint8Array.prototype);
  const buffers = decodeValue(Buffer.from(encodeValue([bytes]))) as [Uint8Array];
  assert.is(buffers[0].buffer.byteLength, 4, "even if the bytes came in one of Node's buffers");
});

test("objects without a prototype become ordinary ones", () => {
  const read = decodeValue(encodeValue(Object.assign(Object.create(null), { a: 1 })));
  assert.is(Object.getPrototypeOf(read), Object.prototype);
});

test("a key __proto__ is kept, and is no prototype", () => {
  const value = JSON.parse('{"__proto__": {"polluted": true}, "a": 1}');
  const read = decodeValue(encodeValue(value)) as object;
  assert.is(tell(read), '{"__proto__":{"polluted":true},"a":1}');
  assert.is(Object.getPrototypeOf(read), Object.prototype);
  assert.is("polluted" in read, false);
  assert.is("polluted" in {}, false);
});

class Person {}

test("what is no plain value is refused, with its place and what it is", () => {
  const cyclic: unknown[] = [];
  cyclic.push({ self: cyclic });
  for (const [value, message] of [
    [() => 1, "a function can't be stored"],
    [{ f: () => 1 }, "f: a function can't be stored"],
    [
      { accounts: new Map([["a", { owner: new Person() }]]) },
      `accounts["a"].owner: a class instance (Person) can't be stored`,
    ],
    [[[Symbol("s")]], "[0][0]: a symbol can't be stored"],
    [{ list: [1, Promise.resolve()] }, "list[1]: a Promise can't be stored"],
    [{ "odd key": { 7: /x/ } }, `["odd key"]["7"]: a class instance (RegExp) can't be stored`],
    [new Map([[5n, new Error("e")]]), "[5n]: a class instance (Error) can't be stored"],
    [new Map([[new Person(), 1]]), "[…]: a class instance (Person) can't be stored"],
    [new Set(["ok", "\ud800"]), `["\\ud800"]: a string with half of a surrogate pair can't be stored`],
    [{ a: "\udc00" }, "a: a string with half of a surrogate pair can't be stored"],
    [{ a: { "\udc00": 1 } }, `a["\\udc00"]: a string with half of a surrogate pair can't be stored`],
    [
      {
        a: {
          get b() {
            return 1;
          },
        },
      },
      "a.b: an accessor property can't be stored",
    ],
    [{ a: { set b(_: unknown) {} } }, "a.b: an accessor property can't be stored"],
    [{ a: { [Symbol("s")]: 1 } }, "a: a symbol as a key can't be stored"],
    [{ a: Array(2) }, "a[0]: a hole can't be stored"],
    [{ a: cyclic }, "a[0].self: a cycle can't be stored"],
    [{ a: new (class extends Map {})() }, "a: a class instance can't be stored"],
    [{ a: new (class List extends Array {})() }, "a: a class instance (List) can't be stored"],
    [{ a: Object.create({}) }, "a: a class instance (Object) can't be stored"],
    [{ a: new WeakMap() }, "a: a class instance (WeakMap) can't be stored"],
  ] as const) {
    assert.is(refusalOf(value), message);
  }
});

/** Arrays within each other. */
const nested = (depth: number): unknown => {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
};

test("a hundred containers within each other are taken, and no more", () => {
  assert.equal(decodeValue(encodeValue(nested(100))), nested(100));
  assert.match(refusalOf(nested(101)), /^(\[0\]){100}: a container within 100 others can't be stored$/);
  refuses(decodeValue, Buffer.concat([new Uint8Array(202).map((_, i) => (i % 2 === 0 ? 10 : 1)), new Uint8Array([0])]));
});

test("the same value in two places is no cycle", () => {
  const twice = { a: 1 };
  assert.equal(decodeValue(encodeValue([twice, [twice]])), [{ a: 1 }, [{ a: 1 }]]);
});

test("every truncation, and every byte too many, is refused", () =>
  fc.assert(
    fc.property(plainValue, (value) => refusesEveryTruncation(decodeValue, encodeValue(value))),
    { numRuns: 200 },
  ));

test("any bytes are read or refused", () => survivesAnything(decodeValue));

test("spoilt bytes are read or refused, and what is read can be written", () =>
  fc.assert(
    fc.property(plainValue, fc.nat(), fc.nat(255), fc.nat(255), (value, at, byte, other) => {
      const bytes = Uint8Array.from(encodeValue(value));
      bytes[at % bytes.byteLength] = byte;
      bytes[(at * 7) % bytes.byteLength] = other;
      let decoded: unknown;
      try {
        decoded = decodeValue(bytes);
      } catch (error) {
        assert.ok(error instanceof RangeError || error instanceof TypeError, `${error}`);
        return;
      }
      const written = encodeValue(decoded);
      assert.equal(encodeValue(decodeValue(written)), written);
    }),
    { numRuns: 3_000 },
  ));

test("forged counts cost nobody memory or time, nor do nested containers the stack", () => {
  const count = [0xff, 0xff, 0xff, 0xff, 0x7f];
  const started = performance.now();
  for (let i = 0; i < 1_000; i++) {
    for (const tag of [7, 8, 9, 10, 11, 12, 13, 15]) refuses(decodeValue, new Uint8Array([tag, ...count, 1, 1, 1]));
    refuses(decodeValue, new Uint8Array([16, 0, ...count, 1, 1, 1]));
    refuses(decodeValue, new Uint8Array([4, ...Array(9).fill(0xff), 1]));
    for (const last of [0, 1]) refuses(decodeValue, new Uint8Array([4, ...Array(9).fill(0x80), last]));
  }
  for (const tag of [10, 11, 12, 13]) {
    for (const step of [
      [tag, 1],
      [tag, 2, 65],
      [tag, 1, 1, 97],
    ]) {
      refuses(decodeValue, new Uint8Array(Array(100_000).fill(step).flat()));
    }
  }
  assert.ok(performance.now() - started < 2_000);
});

test("views that do not come out even, or are unknown, are refused", () => {
  refuses(decodeValue, new Uint8Array([16, 11, 3, 1, 2, 3]));
  refuses(decodeValue, new Uint8Array([16, 13, 1, 1]));
  for (const tag of [19, 63]) refuses(decodeValue, new Uint8Array([tag]));
});

test("Maps and Sets can be left out, and be filled from elsewhere", () => {
  const map = new Map<unknown, unknown>([["k", 1]]);
  const set = new Set([1]);
  const written: unknown[] = [];
  const writer = new ByteWriter();
  writeValue(writer, { map, list: [set, 5] }, (collection) => void written.push(collection));
  assert.equal(written, [map, set]);
  const bytes = writer.finish();
  refuses(decodeValue, bytes);
  const read: [unknown, number][] = [];
  const value = readValue(new ByteReader(bytes), (collection, depth) => void read.push([collection, depth]), 10);
  assert.is(tell(value), '{"map":Map(0){},"list":[Set(0){},5]}');
  assert.equal(read, [
    [new Map(), 12],
    [new Set(), 13],
  ]);
  const { map: readMap, list } = value as { map: unknown; list: unknown[] };
  assert.is(read[0]?.[0], readMap);
  assert.is(read[1]?.[0], list[0]);
  const whole = encodeValue(map);
  refuses((some) => readValue(new ByteReader(some), () => {}), whole);
});

test.run();
