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
import {
  type Condition,
  decodeTransactionOutcome,
  encodeTransactionOutcome,
  type Operation,
  type OperationResult,
  TRANSACTION_LENGTH_MAX,
  type TransactionCommand,
  type TransactionOutcome,
} from "../../src/machine/key-value-transaction.ts";
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
const relation = fc.constantFrom("equal" as const, "not" as const, "less" as const, "greater" as const);
const condition: fc.Arbitrary<Condition> = fc.oneof(
  record({ key: text, relation, value }),
  record({ key: text, relation, revision: fc.maxSafeNat() }),
);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  record({ op: fc.constant("get" as const), key: text }),
  record({ op: fc.constant("put" as const), key: text, value }),
  record({ op: fc.constant("delete" as const), key: text }),
  record({ op: fc.constant("increment" as const), key: text, by: integer }),
  record({ op: fc.constant("append" as const), key: text, value }),
);
const transaction: fc.Arbitrary<TransactionCommand> = record({
  op: fc.constant("transaction" as const),
  compare: fc.array(condition, { maxLength: 3 }),
  success: fc.array(operation, { maxLength: 3 }),
  failure: fc.array(operation, { maxLength: 3 }),
  valueBytesMax: fc.maxSafeNat(),
  bytesMax: fc.maxSafeNat(),
});
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
const change = fc
  .oneof(
    record({ type: fc.constant("put" as const), key: text, value, revision: fc.maxSafeNat() }),
    record({ type: fc.constant("delete" as const), key: text, revision: fc.maxSafeNat() }),
  )
  .chain((one) => fc.constantFrom(one, { ...one, more: true as const }));
const changesPage: fc.Arbitrary<ChangesPage> = fc.oneof(
  record({
    type: fc.constant("changes" as const),
    changes: fc.array(change, { maxLength: 5 }),
    nextRevision: fc.maxSafeNat(),
  }),
  record({ type: fc.constant("compacted" as const), firstRevision: fc.maxSafeNat() }),
);
const revision = fc.maxSafeNat();

/** A result of each operation, whatever it is. */
const resultOf = ({ op, key }: Operation): fc.Arbitrary<OperationResult> => {
  if (op === "get") return fc.oneof(fc.constant(null), record({ key: fc.constant(key), value, revision }));
  if (op === "put") return record({ revision });
  if (op === "delete") return record({ existed: fc.boolean(), revision });
  return op === "increment" ? record({ value: integer, revision }) : record({ bytes: fc.maxSafeNat(), revision });
};
const transacted = transaction.chain((command) =>
  fc.boolean().chain((succeeded) =>
    fc.record({
      command: fc.constant(command),
      outcome: record<TransactionOutcome>({
        succeeded: fc.constant(succeeded),
        results: fc.tuple(...(succeeded ? command.success : command.failure).map(resultOf)),
        revision,
      }),
    }),
  ),
);

test("commands are read as they were written", () =>
  fc.assert(
    fc.property(fc.oneof(command, transaction), (one) => assert.equal(decodeCommand(encodeCommand(one)), one)),
  ));

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

test("what became of a transaction is read as it was written, by whoever knows the transaction", () =>
  fc.assert(
    fc.property(transacted, ({ command, outcome }) => {
      const bytes = encodeTransactionOutcome(command, outcome);
      assert.equal(decodeTransactionOutcome(command, bytes), outcome);
      refusesEveryTruncation((cut) => decodeTransactionOutcome(command, cut), bytes);
    }),
  ));

test("no transaction has more conditions, or operations of a kind, than there may be, nor is one read that has", () => {
  const empty = { op: "transaction", compare: [], success: [], failure: [], valueBytesMax: 1, bytesMax: 1 } as const;
  const many = <Item>(item: Item): readonly Item[] => Array(TRANSACTION_LENGTH_MAX).fill(item);
  const full: TransactionCommand = {
    ...empty,
    compare: many({ key: "k", relation: "less", revision: 7 }),
    success: many({ op: "get", key: "k" }),
    failure: many({ op: "delete", key: "k" }),
  };
  assert.equal(decodeCommand(encodeCommand(full)), full);
  const bytes = encodeCommand(empty);
  for (const [place, name] of (["compare", "success", "failure"] as const).entries()) {
    const [first] = full[name];
    assert.throws(() => encodeCommand({ ...full, [name]: [...full[name], first] }), RangeError);
    // The three counts stand at the end, with nothing between them.
    const forged = Uint8Array.from([...bytes, ...new Uint8Array(10_000)]);
    forged[bytes.byteLength - 3 + place] = 129;
    refuses(decodeCommand, forged);
  }
});

test("a rejection is read as it was written, whatever the command was", () => {
  const rejected = { code: "WRONG_TYPE", message: "“k” holds bytes" } as const;
  const branches = { success: [{ op: "get", key: "k" }], failure: [] } as const;
  assert.equal(decodeTransactionOutcome(branches, encodeRejected(rejected)), rejected);
  for (const op of ["put", "delete", "cas", "increment", "append"] as const) {
    assert.equal(decodeResult(op, encodeRejected(rejected)), rejected);
  }
});

test("every truncation, and every byte too many, of a command, query or page is refused", () =>
  fc.assert(
    fc.property(command, transaction, query, page, changesPage, (command, transaction, query, page, changesPage) => {
      refusesEveryTruncation(decodeCommand, encodeCommand(command));
      refusesEveryTruncation(decodeCommand, encodeCommand(transaction));
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
  const [start] = encodeCommand(fc.sample(transaction, 1)[0] as TransactionCommand);
  const limits = new Uint8Array(16);
  survivesAnything((bytes) => decodeCommand(Uint8Array.of(start as number, ...limits, ...bytes)));
  for (const { command } of fc.sample(transacted, 5))
    survivesAnything((bytes) => decodeTransactionOutcome(command, bytes));
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
