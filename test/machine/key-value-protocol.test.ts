/** The key-value machine's commands, queries and answers, as bytes: read as written, or refused. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { ByteWriter } from "../../src/bytes.ts";
import {
  type ChangesPage,
  decodeChanges,
  decodeCommand,
  decodePage,
  decodeQuery,
  decodeResult,
  encodeChanges,
  encodeCommand,
  encodePage,
  encodeQuery,
  encodeRejected,
  encodeResult,
  type KeyValueCommand,
  type KeyValuePage,
  type KeyValueQuery,
  type Value,
  valueBytes,
} from "../../src/machine/key-value-protocol.ts";
import { suite } from "../support/suite.ts";
import { record, refuses, refusesEveryTruncation, survivesAnything } from "./refusals.ts";

const test = suite("key-value protocol");

const text = fc.string({ unit: "binary", maxLength: 12 });
const value: fc.Arbitrary<Value> = fc.oneof(text, fc.uint8Array({ maxLength: 12 }));
const integer = fc.maxSafeInteger().map((one) => (Object.is(one, -0) ? 0 : one));
const expected = fc.oneof(record({ value }), record({ revision: fc.maxSafeNat() }));
const command: fc.Arbitrary<KeyValueCommand> = fc.oneof(
  record({ op: fc.constant("put" as const), key: text, value }),
  record({ op: fc.constant("delete" as const), key: text }),
  record({ op: fc.constant("cas" as const), key: text, expected, value }),
  record({ op: fc.constant("increment" as const), key: text, by: integer }),
  record({ op: fc.constant("append" as const), key: text, value, valueBytesMax: fc.maxSafeNat() }),
);
const query: fc.Arbitrary<KeyValueQuery> = fc.oneof(
  record({ op: fc.constant("get" as const), key: text }),
  record({ op: fc.constant("list" as const), prefix: text, after: text, limit: fc.nat(2 ** 32 - 1) }),
  record({
    op: fc.constant("changes" as const),
    prefix: text,
    fromRevision: fc.maxSafeNat(),
    limit: fc.nat(2 ** 32 - 1),
  }),
);
const page: fc.Arbitrary<KeyValuePage> = record({
  entries: fc.array(record({ key: text, value, revision: fc.maxSafeNat() }), { maxLength: 5 }),
  more: fc.boolean(),
  revision: fc.maxSafeNat(),
});
const change = fc.oneof(
  record({ type: fc.constant("put" as const), key: text, value, revision: fc.maxSafeNat() }),
  record({ type: fc.constant("delete" as const), key: text, revision: fc.maxSafeNat() }),
);
const changesPage: fc.Arbitrary<ChangesPage> = fc.oneof(
  record({
    type: fc.constant("changes" as const),
    changes: fc.array(change, { maxLength: 5 }),
    nextRevision: fc.maxSafeNat(),
  }),
  record({ type: fc.constant("compacted" as const), firstRevision: fc.maxSafeNat() }),
);
const revision = fc.maxSafeNat();

test("commands are read as they were written", () =>
  fc.assert(fc.property(command, (one) => assert.equal(decodeCommand(encodeCommand(one)), one))));

test("queries are read as they were written", () =>
  fc.assert(fc.property(query, (one) => assert.equal(decodeQuery(encodeQuery(one)), one))));

test("pages are read as they were written", () =>
  fc.assert(fc.property(page, (one) => assert.equal(decodePage(encodePage(one)), one))));

test("pages of changes are read as they were written", () =>
  fc.assert(fc.property(changesPage, (one) => assert.equal(decodeChanges(encodeChanges(one)), one))));

test("results are read as they were written", () =>
  fc.assert(
    fc.property(revision, fc.boolean(), integer, (revision, yes, number) => {
      const bytes = Math.abs(number);
      assert.equal(decodeResult("put", encodeResult("put", { revision })), { revision });
      for (const [op, result] of [
        ["delete", { existed: yes, revision }],
        ["cas", { swapped: yes, revision }],
        ["increment", { value: number, revision }],
        ["append", { bytes, revision }],
      ] as const) {
        assert.equal(decodeResult(op, encodeResult(op, result)), result);
      }
    }),
  ));

test("a rejection is read as it was written, whatever the command was", () => {
  const rejected = { code: "WRONG_TYPE", message: "“k” holds bytes" } as const;
  for (const op of ["put", "delete", "cas", "increment", "append"] as const) {
    assert.equal(decodeResult(op, encodeRejected(rejected)), rejected);
  }
});

test("every truncation, and every byte too many, of a command, query or page is refused", () =>
  fc.assert(
    fc.property(command, query, page, changesPage, (command, query, page, changesPage) => {
      refusesEveryTruncation(decodeCommand, encodeCommand(command));
      refusesEveryTruncation(decodeQuery, encodeQuery(query));
      refusesEveryTruncation(decodePage, encodePage(page));
      refusesEveryTruncation(decodeChanges, encodeChanges(changesPage));
    }),
    { numRuns: 50 },
  ));

test("every truncation, and every byte too many, of a result is refused", () => {
  const results = [
    ["put", encodeResult("put", { revision: 7 })],
    ["delete", encodeResult("delete", { existed: true, revision: 7 })],
    ["cas", encodeResult("cas", { swapped: false, revision: 7 })],
    ["increment", encodeResult("increment", { value: -7, revision: 7 })],
    ["append", encodeResult("append", { bytes: 7, revision: 7 })],
    ["put", encodeRejected({ code: "TOO_LARGE", message: "no" })],
  ] as const;
  for (const [op, bytes] of results) refusesEveryTruncation((cut) => decodeResult(op, cut), bytes);
});

test("a result that is neither done nor rejected is refused", () => {
  refuses((bytes) => decodeResult("put", bytes), new ByteWriter().u8(9).u53(1).finish());
});

test("any bytes are read or refused", () => {
  for (const decode of [decodeCommand, decodeQuery, decodePage, decodeChanges]) survivesAnything(decode);
  for (const op of ["put", "delete", "cas", "increment", "append"] as const) {
    survivesAnything((bytes) => decodeResult(op, bytes));
  }
});

test("a forged count is refused at once", () => {
  for (const decode of [decodePage, decodeChanges]) {
    refuses(decode, new ByteWriter().u8(0).u53(0).u32(0xffffffff).raw(new Uint8Array(40)).finish());
  }
});

test("a value is as long as its bytes", () => {
  assert.is(valueBytes("aü€😀"), 1 + 2 + 3 + 4);
  assert.is(valueBytes(new Uint8Array(3)), 3);
  assert.is(valueBytes(""), 0);
});

test.run();
