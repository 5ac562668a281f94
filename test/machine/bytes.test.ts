/** Packed bytes: what was written is read, and nothing else can be. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { ByteReader, ByteWriter } from "../../src/bytes.ts";
import { suite } from "../support/suite.ts";

const test = suite("bytes");

test("who asks for no number of bytes at all spoils nothing for others", () => {
  new ByteWriter(Number.NaN);
  assert.equal(new ByteWriter(100).u8(7).finish(), Uint8Array.of(7));
});

type Field =
  | { readonly type: "u8" | "u32" | "u53"; readonly value: number }
  | { readonly type: "bytes" | "raw"; readonly value: Uint8Array }
  | { readonly type: "text"; readonly value: string };

const field: fc.Arbitrary<Field> = fc.oneof(
  fc.record({ type: fc.constant("u8" as const), value: fc.nat(255) }),
  fc.record({ type: fc.constant("u32" as const), value: fc.nat(2 ** 32 - 1) }),
  fc.record({ type: fc.constant("u53" as const), value: fc.maxSafeNat() }),
  fc.record({ type: fc.constantFrom("bytes" as const, "raw" as const), value: fc.uint8Array() }),
  fc.record({ type: fc.constant("text" as const), value: fc.string({ unit: "binary" }) }),
);

function write(writer: ByteWriter, field: Field): void {
  switch (field.type) {
    case "text":
      writer.text(field.value);
      break;
    case "bytes":
    case "raw":
      writer[field.type](field.value);
      break;
    default:
      writer[field.type](field.value);
  }
}

const read = (reader: ByteReader, field: Field): Field["value"] =>
  field.type === "raw" ? reader.raw(field.value.byteLength) : reader[field.type]();

const writtenTo = (writer: ByteWriter, fields: readonly Field[]): Uint8Array => {
  for (const one of fields) write(writer, one);
  return writer.finish();
};

test("what was written is read back, however little room the writer began with", () =>
  fc.assert(
    fc.property(fc.array(field), fc.nat(40), fc.nat(9), (fields, expectedBytes, shift) => {
      const writer = new ByteWriter(expectedBytes);
      const bytes = writtenTo(writer, fields);
      assert.is(writer.length, bytes.byteLength);
      // The bytes may lie anywhere in a larger buffer.
      const buffer = new Uint8Array(bytes.byteLength + 2 * shift);
      buffer.set(bytes, shift);
      const reader = new ByteReader(buffer.subarray(shift, shift + bytes.byteLength));
      for (const one of fields) assert.equal(read(reader, one), one.value);
      reader.end();
    }),
  ));

test("text of any length is read back, alone and between other fields, with as many bytes as it has", () =>
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.constantFrom(1, 10, 1_000), fc.nat(40), (part, times, expected) => {
      const text = part.repeat(times);
      const bytes = new ByteWriter(expected).u8(1).text(text).u8(2).finish();
      assert.is(bytes.byteLength, 6 + new TextEncoder().encode(text).byteLength);
      const reader = new ByteReader(bytes);
      assert.equal([reader.u8(), reader.text(), reader.u8()], [1, text, 2]);
    }),
  ));

test("a writer grows with every kind of field", () => {
  const one = new Uint8Array([1]);
  assert.equal([...new ByteWriter(0).u8(1).u8(2).finish()], [1, 2]);
  assert.equal([...new ByteWriter(1).u32(1).finish()], [1, 0, 0, 0]);
  assert.equal([...new ByteWriter(1).u53(1).finish()], [1, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal([...new ByteWriter(0).raw(one).raw(one).finish()], [1, 1]);
  assert.equal([...new ByteWriter(4).bytes(one).finish()], [1, 0, 0, 0, 1]);
  assert.equal([...new ByteWriter(1).text("a").finish()], [1, 0, 0, 0, 97]);
});

test("every truncation of what was written is a RangeError, and no other", () =>
  fc.assert(
    fc.property(fc.array(field, { minLength: 1, maxLength: 6 }), (fields) => {
      const bytes = writtenTo(new ByteWriter(), fields);
      for (let length = 0; length < bytes.byteLength; length++) {
        const reader = new ByteReader(bytes.subarray(0, length));
        assert.throws(
          () => {
            for (const one of fields) read(reader, one);
          },
          (error: unknown) => error instanceof RangeError,
        );
      }
    }),
    { numRuns: 50 },
  ));

test("no number past the safe integers is read", () => {
  const bytesOf = (low: number, high: number): ByteReader =>
    new ByteReader(new ByteWriter().u32(low).u32(high).finish());
  assert.is(bytesOf(0xffffffff, 2 ** 21 - 1).u53(), Number.MAX_SAFE_INTEGER);
  assert.is(bytesOf(0, 1).u53(), 2 ** 32);
  assert.is(bytesOf(0xffffffff, 0).u53(), 2 ** 32 - 1);
  for (const high of [2 ** 21, 2 ** 31, 2 ** 32 - 1]) {
    assert.throws(
      () => bytesOf(0, high).u53(),
      (error: unknown) => error instanceof RangeError,
    );
  }
});

test("text that is not UTF-8 is a TypeError", () => {
  for (const bytes of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80]]) {
    const reader = new ByteReader(new ByteWriter().bytes(new Uint8Array(bytes)).finish());
    assert.throws(
      () => reader.text(),
      (error: unknown) => error instanceof TypeError,
    );
  }
});

test("text keeps a byte order mark", () => {
  assert.is(new ByteReader(new ByteWriter().text("\ufeffkey").finish()).text(), "\ufeffkey");
});

test("what is left over is told", () => {
  const reader = new ByteReader(new Uint8Array(3));
  reader.u8();
  assert.is(reader.remaining, 2);
  assert.throws(
    () => reader.end(),
    (error: unknown) => error instanceof RangeError,
  );
});

test.run();
