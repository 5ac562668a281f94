/** The model of the key-value store, of several keys at once: what it lets the client of a transaction have been told. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import type { Comparison, TransactionOperation, Value } from "../../src/client/index.ts";
import type { Call } from "../../src/testing/history.ts";
import {
  type KeyValueOperation,
  type KeyValueResult,
  keyValueModel,
  sightsOf,
  storeSpan,
} from "../../src/testing/key-value-model.ts";
import { check } from "../../src/testing/linearizability.ts";
import { checkIssueOrder, checkRealTimeOrder } from "../../src/testing/order.ts";
import { suite } from "../support/suite.ts";
import { endsOf, hasExplanation, lie, lived, runOf } from "./runs.ts";
import { accepts, type Line, refuses, Store, story } from "./stories.ts";

const test = suite("the key-value model: transactions");

type Transaction = Omit<KeyValueOperation & { readonly op: "transaction" }, "op">;
const transaction = (
  given: Transaction,
  succeeded: boolean,
  results: readonly KeyValueResult[],
  revision: number,
): Line => [
  { op: "transaction", ...given },
  { succeeded, results, revision },
];
const unknown = (given: Transaction): Line => [{ op: "transaction", ...given }, "unknown"];
const put = (key: string, value: string, revision: number): Line => [{ op: "put", key, value }, { revision }];
const unknownPut = (key: string, value: string): Line => [{ op: "put", key, value }, "unknown"];
const get = (key: string, value: string, revision: number): Line => [
  { op: "get", key },
  { value, revision },
];
const getNothing = (key: string): Line => [{ op: "get", key }, null];

const swap: Transaction = {
  if: [{ key: "x", value: "1" }],
  then: [
    { put: "x", value: "2" },
    { delete: "y" },
    { get: "x" },
    { increment: "n", by: 3 },
    { append: "t", value: "ü" },
  ],
  else: [{ get: "x" }, { get: "none" }],
};

test("operations are answered one after the other, each change with a revision of its own", () => {
  const answers = [{ revision: 6 }, { existed: true, revision: 7 }, { value: "2", revision: 6 }];
  const more = [
    { value: 3, revision: 8 },
    { bytes: 2, revision: 9 },
  ];
  const before = [put("x", "1", 3), put("y", "1", 4)];
  const sound = transaction(swap, true, [...answers, ...more], 9);
  accepts(...before, sound, get("x", "2", 6), getNothing("y"), get("n", "3", 8), get("t", "ü", 9), put("x", "3", 10));
  refuses(...before, sound, get("x", "1", 3));
  refuses(...before, sound, get("y", "1", 4));
  refuses(...before, sound, put("y", "1", 9));
  refuses(...before, transaction(swap, true, [...answers, ...more], 10));
  refuses(...before, transaction(swap, true, answers, 7));
  refuses(...before, transaction(swap, true, [...answers, ...more.toReversed()], 9));
  refuses(...before, transaction(swap, true, [{ revision: 5 }, ...answers.slice(1), ...more], 9));
  refuses(put("x", "1", 3), transaction(swap, true, [...answers, ...more], 9));
  refuses(...before, put("n", "x", 5), transaction(swap, true, [...answers, ...more], 9));
});

test("what is compared decides what is done", () => {
  const otherwise = (value: string): Line => transaction(swap, false, [{ value, revision: 3 }, null], 8);
  accepts(put("x", "7", 3), otherwise("7"), get("x", "7", 3), put("x", "2", 9));
  refuses(put("x", "1", 3), otherwise("1"));
  refuses(put("x", "7", 3), transaction(swap, false, [{ value: "7", revision: 4 }, null], 8));
  refuses(put("x", "7", 3), transaction(swap, false, [null, null], 8));
  refuses(put("x", "7", 3), otherwise("7"), put("y", "2", 8));
  refuses(put("x", "7", 9), transaction(swap, false, [{ value: "7", revision: 9 }, null], 8));
  refuses(transaction(swap, false, [], 8));
  refuses([{ op: "transaction", ...swap }, { revision: 8 }]);
  refuses([{ op: "transaction", ...swap }, null]);
});

/** On "x", which is "5" of revision 7; and on "none", which is not there. */
const COMPARISONS: readonly (readonly [Comparison, boolean])[] = [
  [{ key: "x", value: "5" }, true],
  [{ key: "x", value: Uint8Array.of(53) }, false],
  [{ key: "x", value: { not: "5" } }, false],
  [{ key: "x", value: { not: Uint8Array.of(53) } }, true],
  [{ key: "x", value: { lessThan: "6" } }, true],
  [{ key: "x", value: { lessThan: "5" } }, false],
  [{ key: "x", value: { greaterThan: "10" } }, true],
  [{ key: "x", value: { greaterThan: "5" } }, false],
  [{ key: "x", value: { lessThan: Uint8Array.of(255) } }, false],
  [{ key: "none", value: { not: "5" } }, false],
  [{ key: "x", revision: 7 }, true],
  [{ key: "x", revision: 6 }, false],
  [{ key: "x", revision: { not: 7 } }, false],
  [{ key: "x", revision: { not: 6 } }, true],
  [{ key: "x", revision: { lessThan: 8, greaterThan: 6 } }, true],
  [{ key: "x", revision: { lessThan: 7 } }, false],
  [{ key: "x", revision: { greaterThan: 7 } }, false],
  [{ key: "none", revision: 0 }, true],
  [{ key: "none", revision: { lessThan: 1 } }, true],
  [{ key: "x", exists: true }, true],
  [{ key: "none", exists: true }, false],
  [{ key: "none", exists: false }, true],
  [{ key: "x", exists: true, value: "5", revision: 7 }, true],
  [{ key: "x", exists: true, value: "5", revision: 8 }, false],
];

test("every comparison means what the client says that it does", () => {
  for (const [comparison, expected] of COMPARISONS) {
    const compare = (succeeded: boolean): Line => transaction({ if: [comparison] }, succeeded, [], 8);
    accepts(put("x", "5", 7), compare(expected));
    refuses(put("x", "5", 7), compare(!expected));
  }
  const both = {
    if: [
      { key: "x", value: "5" },
      { key: "y", exists: true },
    ],
  };
  accepts(put("x", "5", 7), transaction(both, false, [], 7), put("y", "", 8), transaction(both, true, [], 8));
  refuses(put("x", "5", 7), transaction(both, true, [], 7));
});

test("keys that a transaction touches together are looked at together", () => {
  const look: Transaction = { then: [{ get: "x" }, { get: "y" }] };
  const seen = (x: number, y: number, revision: number): Line =>
    transaction(
      look,
      true,
      [
        { value: "", revision: x },
        { value: "", revision: y },
      ],
      revision,
    );
  accepts(put("x", "", 1), put("y", "", 2), seen(1, 2, 2), put("x", "", 3), seen(3, 2, 3));
  refuses(put("x", "", 1), put("y", "", 2), put("x", "", 3), seen(1, 2, 3));
  const finding = check(keyValueModel, story(put("z", "", 5), put("y", "", 2), put("x", "", 1), seen(9, 2, 9)));
  assert.is(finding?.key, "x, y");
});

test("what nobody saw was done as a whole, or not at all", () => {
  const write: Transaction = {
    then: [
      { put: "x", value: "2" },
      { put: "y", value: "2" },
    ],
  };
  const start = [put("x", "1", 1), put("y", "1", 2)];
  accepts(...start, unknown(write), get("x", "1", 1), get("y", "1", 2));
  accepts(...start, unknown(write), get("x", "2", 3), get("y", "2", 4));
  accepts(...start, unknown(write), get("x", "1", 1), get("y", "2", 4), get("x", "2", 3));
  refuses(...start, unknown(write), get("y", "2", 4), get("x", "1", 1));
  const impossible: Transaction = { then: [{ put: "x", value: "2" }, { increment: "y" }] };
  refuses(put("y", "text", 1), unknown(impossible), get("x", "2", 2));
  refuses(...start, unknown({ ...write, if: [{ key: "x", value: "2" }] }), get("x", "2", 3));
});

test("a comparison with a revision that nobody saw may go either way, and tells what it was", () => {
  const compare = (revision: NonNullable<Comparison["revision"]>, succeeded: boolean, at: number): Line =>
    transaction({ if: [{ key: "x", revision }] }, succeeded, [], at);
  accepts(unknownPut("x", "1"), compare({ lessThan: 5 }, true, 9), get("x", "1", 4));
  refuses(unknownPut("x", "1"), compare({ lessThan: 5 }, true, 9), get("x", "1", 5));
  accepts(unknownPut("x", "1"), compare({ lessThan: 5 }, false, 9), get("x", "1", 5));
  refuses(unknownPut("x", "1"), compare({ lessThan: 5 }, false, 9), get("x", "1", 4));
  refuses(unknownPut("x", "1"), compare({ greaterThan: 5 }, true, 9), get("x", "1", 5));
  refuses(unknownPut("x", "1"), compare({ greaterThan: 5 }, false, 9), get("x", "1", 6));
  accepts(unknownPut("x", "1"), compare(5, true, 9), get("x", "1", 5));
  refuses(unknownPut("x", "1"), compare({ not: 5 }, false, 9), get("x", "1", 6));
  refuses(unknownPut("x", "1"), compare({ greaterThan: 5 }, false, 9), compare({ lessThan: 6 }, false, 9));
  refuses(unknownPut("x", "1"), compare({ lessThan: 1 }, false, 9), get("x", "1", 10));
});

test("the order of a client's commands shows in their revisions, and what it was told of single keys, too", () => {
  const write = transaction(
    { then: [{ put: "x", value: "" }, { delete: "y" }] },
    true,
    [{ revision: 4 }, { existed: false, revision: 4 }],
    4,
  );
  const issued = (...lines: readonly Line[]) => checkIssueOrder(story(...lines), storeSpan);
  assert.is(issued(put("z", "", 3), write, put("z", "", 5)), null);
  assert.ok(issued(put("z", "", 4), write) !== null);
  assert.ok(issued(write, put("z", "", 4)) !== null);
  assert.equal(storeSpan(write[0], write[1] as KeyValueResult), { found: 3, left: 4 });
  const look = { op: "transaction", else: [{ get: "x" }, { delete: "y" }, { get: "z" }] } as const;
  const results = [{ value: "", revision: 2 }, { existed: true, revision: 9 }, null];
  assert.equal(sightsOf(look, { succeeded: false, results, revision: 9 }), [
    ["x", 2],
    ["y", 9],
  ]);
});

test("transactions that differ are described differently", () => {
  const operations = [{ get: "x" }] as const;
  const texts = [{ then: operations }, { else: operations }, {}, { if: [{ key: "x", exists: true }] }].map((one) =>
    keyValueModel.describe({ op: "transaction", ...one }),
  );
  assert.is(new Set(texts).size, texts.length);
  assert.is(texts[0], 'transaction {"then":[{"get":"x"}]}');
});

const key = fc.constantFrom("x", "y", "z");
const value: fc.Arbitrary<Value> = fc.constantFrom("1", "2", "a", Uint8Array.of(1));
const relations = <T>(of: fc.Arbitrary<T>) =>
  fc.oneof(of, fc.record({ not: of }), fc.record({ lessThan: of }), fc.record({ greaterThan: of }));
const comparison: fc.Arbitrary<Comparison> = fc.oneof(
  fc.record({ key, value: relations(value) }),
  fc.record({ key, revision: relations(fc.nat(8)) }),
  fc.record({ key, exists: fc.boolean() }),
);
const one = fc.oneof(
  fc.record({ get: key }),
  fc.record({ put: key, value }),
  fc.record({ delete: key }),
  fc.record({ increment: key, by: fc.integer({ min: -2, max: 2 }) }),
  fc.record({ append: key, value }),
) as fc.Arbitrary<TransactionOperation>;
const changed = (operation: TransactionOperation): unknown =>
  operation.get === undefined ? Object.values(operation)[0] : operation;
const operations = fc.uniqueArray(one, { maxLength: 3, selector: changed });
const operation: fc.Arbitrary<KeyValueOperation> = fc.oneof(
  fc.record({ op: fc.constant("get" as const), key }),
  fc.record({ op: fc.constant("put" as const), key, value }),
  fc.record({ op: fc.constant("delete" as const), key }),
  fc.record({ op: fc.constant("cas" as const), key, expected: fc.record({ revision: fc.nat(6) }), value }),
  fc.record({
    op: fc.constant("transaction" as const),
    if: fc.array(comparison, { maxLength: 2 }),
    then: operations,
    else: operations,
  }),
);
const historyOf = (callsMax: number): fc.Arbitrary<Call<KeyValueOperation, KeyValueResult>[]> =>
  runOf(operation, callsMax).map((run) => {
    const store = new Store();
    return lived(run, (operation) => store.perform(operation));
  });

test("whatever the store really answered is accepted", () =>
  fc.assert(
    fc.property(historyOf(25), (calls) => {
      assert.is(check(keyValueModel, calls)?.explanation, undefined);
      assert.is(
        checkRealTimeOrder(calls, () => "the store", storeSpan),
        null,
      );
    }),
    { numRuns: 500 },
  ));

test("with one answer changed, the check agrees with one that tries every order", async () => {
  const counts = { good: 0, bad: 0 };
  // Looked at apart, keys that no transaction ties together may do what the store's revisions would forbid.
  const whole = { ...keyValueModel, keyOf: () => "the store" };
  const changes = fc.record({ by: fc.constantFrom(-1, 1, 2), at: fc.nat(3), what: fc.nat(3), value });
  await fc.assert(
    fc.property(historyOf(5), fc.nat(), changes, (truth, which, { by, at, what, value }) => {
      const calls = lie(truth, which, (before) => {
        if (before === null) return { value, revision: at };
        const { results = [], succeeded = false } = before;
        if (what === 0) return { ...before, revision: before.revision + by };
        if (what === 1) return { ...before, succeeded: !succeeded };
        if (what === 2) return { ...before, results: results.slice(1) };
        const other = (one: KeyValueResult): KeyValueResult =>
          one === null ? { value, revision: at } : { ...one, revision: one.revision + by };
        return { ...before, results: results.map((one, i) => (i === at ? other(one) : one)) };
      });
      const isGood = hasExplanation(keyValueModel, calls, endsOf(calls).at(-1) ?? 0);
      assert.is(check(whole, calls) === null, isGood);
      if (isGood) counts.good++;
      else counts.bad++;
    }),
    { numRuns: 2_000 },
  );
  assert.ok(counts.good > 100 && counts.bad > 100, JSON.stringify(counts));
});

test.run();
