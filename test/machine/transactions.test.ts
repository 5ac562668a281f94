/** Transactions on the key-value store: compared first, then done one after the other, and all of it or nothing. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { KeyValueMachine } from "../../src/machine/index.ts";
import {
  type Change,
  decodeChanges,
  decodePage,
  encodeCommand,
  encodeQuery,
  type KeyValueEntry,
  type Value,
} from "../../src/machine/key-value-protocol.ts";
import {
  type Condition,
  decodeTransactionOutcome,
  type Operation,
  TRANSACTION_BYTES_MAX,
  type TransactionCommand,
} from "../../src/machine/key-value-transaction.ts";
import { suite } from "../support/suite.ts";
import { TransactionModel } from "./transaction-model.ts";

const test = suite("key-value: transactions");
const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);

type Parts = Partial<Omit<TransactionCommand, "op">>;
const LIMITS = { valueBytesMax: 100, bytesMax: 1_000 };

const transaction = (parts: Parts): TransactionCommand => ({
  op: "transaction",
  compare: [],
  success: [],
  failure: [],
  ...LIMITS,
  ...parts,
});

/** The machine, spoken to in words. A rejected transaction answers its code. */
class Store {
  readonly machine = new KeyValueMachine();

  do(parts: Parts): unknown {
    const command = transaction(parts);
    const outcome = decodeTransactionOutcome(command, this.machine.apply(encodeCommand(command)));
    return "code" in outcome ? outcome.code : outcome;
  }
  /** What those operations answer. */
  results(...success: readonly Operation[]): unknown {
    const outcome = this.do({ success });
    return typeof outcome === "object" && outcome !== null && "results" in outcome ? outcome.results : outcome;
  }
  /** Do all of those hold? */
  holds(...compare: readonly Condition[]): boolean {
    const outcome = this.do({ compare });
    return typeof outcome === "object" && outcome !== null && "succeeded" in outcome && outcome.succeeded === true;
  }
  put(key: string, value: Value): void {
    this.machine.apply(encodeCommand({ op: "put", key, value }));
  }
  entries(): readonly KeyValueEntry[] {
    return decodePage(this.machine.query(encodeQuery({ op: "list", prefix: "", after: "", limit: 1_000 }))).entries;
  }
  changes(prefix = "", fromRevision = 1, limit = 1_000): readonly Change[] {
    const query = encodeQuery({ op: "changes", prefix, fromRevision, limit });
    const page = decodeChanges(this.machine.query(query));
    return page.type === "changes" ? page.changes : [];
  }
}

const put = (key: string, value: Value): Operation => ({ op: "put", key, value });
const get = (key: string): Operation => ({ op: "get", key });
const remove = (key: string): Operation => ({ op: "delete", key });
const increment = (key: string, by: number): Operation => ({ op: "increment", key, by });
const append = (key: string, value: Value): Operation => ({ op: "append", key, value });

test("if all that is compared is so the one thing is done, and else the other", () => {
  const store = new Store();
  store.put("a", "1");
  const success = [put("a", "2")];
  const failure = [get("a")];
  const holds: Condition = { key: "a", relation: "equal", value: "1" };
  const fails: Condition = { key: "a", relation: "equal", revision: 9 };
  assert.equal(store.do({ compare: [holds, fails], success, failure }), {
    succeeded: false,
    results: [{ key: "a", value: "1", revision: 1 }],
    revision: 1,
  });
  assert.equal(store.do({ compare: [holds], success, failure }), {
    succeeded: true,
    results: [{ revision: 2 }],
    revision: 2,
  });
  assert.equal(store.do({ success: [remove("a")] }), {
    succeeded: true,
    results: [{ existed: true, revision: 3 }],
    revision: 3,
  });
  assert.equal(store.do({}), { succeeded: true, results: [], revision: 3 });
});

test("each operation answers as the command of its name, with a revision of its own", () => {
  const store = new Store();
  store.put("b", "x");
  assert.equal(
    store.results(put("a", "1"), remove("b"), increment("n", 5), append("t", "ü"), remove("none"), get("t")),
    [
      { revision: 2 },
      { existed: true, revision: 3 },
      { value: 5, revision: 4 },
      { bytes: 2, revision: 5 },
      { existed: false, revision: 5 },
      { key: "t", value: "ü", revision: 5 },
    ],
  );
  assert.equal(store.entries(), [
    { key: "a", value: "1", revision: 2 },
    { key: "n", value: "5", revision: 4 },
    { key: "t", value: "ü", revision: 5 },
  ]);
});

test("an operation sees what those before it have done, and a comparison does not", () => {
  const store = new Store();
  store.put("a", "old");
  store.put("b", "old");
  const outcome = store.do({
    compare: [
      { key: "a", relation: "equal", value: "old" },
      { key: "b", relation: "not", revision: 0 },
    ],
    success: [get("a"), put("a", "new"), get("a"), remove("b"), get("b"), get("none")],
  });
  assert.equal(outcome, {
    succeeded: true,
    results: [
      { key: "a", value: "old", revision: 1 },
      { revision: 3 },
      { key: "a", value: "new", revision: 3 },
      { existed: true, revision: 4 },
      null,
      null,
    ],
    revision: 4,
  });
});

test("a revision is compared as a number, and that of what is not there is 0", () => {
  const store = new Store();
  for (const key of ["other", "k"]) store.put(key, "");
  for (const [revision, equal, less, greater] of [
    [1, false, false, true],
    [2, true, false, false],
    [3, false, true, false],
  ] as const) {
    assert.is(store.holds({ key: "k", relation: "equal", revision }), equal);
    assert.is(store.holds({ key: "k", relation: "not", revision }), !equal);
    assert.is(store.holds({ key: "k", relation: "less", revision }), less);
    assert.is(store.holds({ key: "k", relation: "greater", revision }), greater);
  }
  assert.ok(store.holds({ key: "none", relation: "equal", revision: 0 }));
  assert.ok(store.holds({ key: "none", relation: "less", revision: 1 }));
  assert.not(store.holds({ key: "none", relation: "greater", revision: 0 }));
  assert.not(store.holds({ key: "none", relation: "not", revision: 0 }));
});

/** In order, text and bytes. */
const ORDERED: readonly (readonly Value[])[] = [
  ["", "10", "9", "a", "aa", "b", "\u{1f600}", "\uffff"],
  [bytes(), bytes(1), bytes(1, 0), bytes(1, 2), bytes(2), bytes(255)],
];

test("values are compared in the order in which keys are listed, byte by byte, and text with bytes not at all", () => {
  const all = ORDERED.flat();
  for (const value of all) {
    const store = new Store();
    store.put("k", value);
    for (const other of all) {
      const list = ORDERED.find((one) => one.includes(value) && one.includes(other));
      const difference = list === undefined ? Number.NaN : list.indexOf(value) - list.indexOf(other);
      const of = (relation: Condition["relation"]): boolean => store.holds({ key: "k", relation, value: other });
      const found = [of("equal"), of("not"), of("less"), of("greater")];
      assert.equal(found, [difference === 0, difference !== 0, difference < 0, difference > 0], `${value} ${other}`);
    }
  }
});

test("nothing holds of the value of a key that is not there", () => {
  const store = new Store();
  for (const relation of ["equal", "not", "less", "greater"] as const) {
    for (const value of ["", "x", bytes()]) assert.not(store.holds({ key: "none", relation, value }));
  }
});

for (const [what, code, operation] of [
  ["adds to what is no number", "NOT_A_NUMBER", increment("text", 1)],
  ["appends bytes to text", "WRONG_TYPE", append("text", bytes(1))],
  ["lets a value grow too large", "TOO_LARGE", append("text", "x".repeat(100))],
  ["changes a key twice", "INVALID_ARGUMENT", put("a", "3")],
  ["removes what it has put", "INVALID_ARGUMENT", remove("a")],
] as const) {
  test(`a transaction that ${what} is refused, and has changed nothing`, () => {
    const store = new Store();
    store.put("text", "t");
    store.put("old", "o");
    const before = store.entries();
    const all = [put("a", "1"), remove("old"), put("b", "2"), operation];
    assert.is(store.do({ success: all }), code);
    assert.is(store.do({ compare: [{ key: "a", relation: "not", revision: 0 }], failure: all }), code);
    assert.equal(store.entries(), before);
    assert.is(store.changes().length, 2);
    assert.equal(store.do({}), { succeeded: true, results: [], revision: 2 });
  });
}

test("an operation that would fail in the other half is no matter", () => {
  const store = new Store();
  store.put("text", "t");
  assert.equal(store.do({ success: [put("a", "1")], failure: [increment("text", 1)] }), {
    succeeded: true,
    results: [{ revision: 2 }],
    revision: 2,
  });
});

test("what is changed and what is read are bounded, each for itself and whatever limit a stranger asks for", () => {
  const store = new Store();
  for (const key of ["a", "b", "c"]) store.put(key, "x".repeat(90));
  const grow = [append("a", "y"), append("b", "y"), append("c", "y")];
  assert.is(store.do({ success: grow, bytesMax: 275 }), "TOO_LARGE");
  assert.is(store.changes().length, 3);
  assert.is(store.do({ success: [get("a"), get("b"), get("c"), put("d", "")], bytesMax: 272 }), "ANSWER_TOO_LARGE");
  assert.is(store.changes().length, 3);
  assert.is(typeof store.do({ success: [get("a"), get("b"), get("c")], bytesMax: 273 }), "object");
  assert.is(typeof store.do({ success: grow, bytesMax: 276 }), "object");

  store.put("large", new Uint8Array(TRANSACTION_BYTES_MAX / 4));
  const endless = { valueBytesMax: Number.MAX_SAFE_INTEGER, bytesMax: Number.MAX_SAFE_INTEGER };
  assert.is(store.do({ success: Array(128).fill(get("large")), ...endless }), "ANSWER_TOO_LARGE");
  const copies = Array.from({ length: 5 }, (_, i) => append("large", bytes(i)));
  assert.is(store.do({ success: copies.slice(0, 2), ...endless }), "INVALID_ARGUMENT");
});

test("what is put is kept apart from the message that brought it", () => {
  const store = new Store();
  const message = encodeCommand(transaction({ success: [put("k", bytes(1, 2, 3))] }));
  store.machine.apply(message);
  message.fill(0);
  assert.equal(store.entries(), [{ key: "k", value: bytes(1, 2, 3), revision: 1 }]);
});

const key = fc.constantFrom("a", "b", "ab", "n");
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom("7", "x", ""),
  fc.string({ maxLength: 3 }),
  fc.uint8Array({ maxLength: 2 }),
);
const relation = fc.constantFrom("equal" as const, "not" as const, "less" as const, "greater" as const);
const condition: fc.Arbitrary<Condition> = fc.oneof(
  fc.record({ key, relation, value }),
  fc.record({ key, relation, revision: fc.nat(12) }),
);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ op: fc.constant("get" as const), key }),
  fc.record({ op: fc.constant("put" as const), key, value }),
  fc.record({ op: fc.constant("delete" as const), key }),
  fc.record({ op: fc.constant("increment" as const), key, by: fc.integer({ min: -9, max: 9 }) }),
  fc.record({ op: fc.constant("append" as const), key, value }),
);
const command = fc
  .record({
    compare: fc.array(condition, { maxLength: 2 }),
    success: fc.array(operation, { maxLength: 4 }),
    failure: fc.array(operation, { maxLength: 4 }),
    valueBytesMax: fc.constantFrom(1, 1, 100),
  })
  .map(transaction);

test("whatever is done, it is what a simple store does that works on a copy", async () => {
  const seen = new Map<string, number>();
  const count = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);
  await fc.assert(
    fc.property(fc.array(command, { maxLength: 12 }), (commands) => {
      const [store, model] = [new Store(), new TransactionModel()];
      for (const one of commands) {
        const expected = model.do(one);
        assert.equal(store.do(one), expected);
        assert.equal(store.entries(), model.entries());
        count(
          typeof expected === "string" ? expected : (expected as { succeeded: boolean }).succeeded ? "then" : "else",
        );
      }
      assert.equal(store.changes(), model.changes);
    }),
    { numRuns: 500 },
  );
  for (const what of ["then", "else", "INVALID_ARGUMENT", "NOT_A_NUMBER", "WRONG_TYPE", "TOO_LARGE"]) {
    assert.ok((seen.get(what) ?? 0) > 5, `${what}: ${seen.get(what)} times`);
  }
});

test.run();
