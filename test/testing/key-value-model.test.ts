/** The model of the key-value store: what it lets a client have been told, and whether the store itself agrees. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { type Call, History } from "../../src/testing/history.ts";
import {
  type KeyValueOperation,
  type KeyValueResult,
  keyValueModel,
  readSpan,
  storeSpan,
} from "../../src/testing/key-value-model.ts";
import { check } from "../../src/testing/linearizability.ts";
import { checkIssueOrder, checkRealTimeOrder } from "../../src/testing/order.ts";
import { suite } from "../support/suite.ts";
import { endsOf, hasExplanation, lie, lived, runOf } from "./runs.ts";
import { accepts, type Line, refuses, Store, story } from "./stories.ts";

const test = suite("the key-value model");

const key = "k";

const put = (value: string, revision: number): Line => [{ op: "put", key, value }, { revision }];
const get = (value: string, revision: number): Line => [
  { op: "get", key },
  { value, revision },
];
const getNothing: Line = [{ op: "get", key }, null];
const unknown = (operation: KeyValueOperation): Line => [operation, "unknown"];
const unknownPut = (value: string): Line => unknown({ op: "put", key, value });

test("a get reads value and revision of the last change", () => {
  accepts(getNothing, put("1", 3), get("1", 3), put("2", 7), get("2", 7));
  refuses(put("1", 3), getNothing);
  refuses(put("1", 3), get("2", 3));
  refuses(put("1", 3), get("1", 4));
  refuses(put("1", 3), put("2", 7), get("2", 3));
  refuses(get("1", 3));
});

test("the revisions of a key's changes rise", () => {
  refuses(put("1", 3), put("2", 3));
  refuses(put("1", 3), put("2", 2));
  refuses(
    [
      { op: "delete", key },
      { existed: false, revision: 5 },
    ],
    put("1", 5),
  );
});

test("a delete tells whether there was something, and the store's revision if not", () => {
  accepts(
    put("1", 3),
    [
      { op: "delete", key },
      { existed: true, revision: 4 },
    ],
    getNothing,
  );
  accepts(
    put("1", 3),
    [
      { op: "delete", key },
      { existed: true, revision: 4 },
    ],
    put("2", 5),
  );
  accepts(
    [
      { op: "delete", key },
      { existed: false, revision: 0 },
    ],
    getNothing,
  );
  refuses(put("1", 3), [
    { op: "delete", key },
    { existed: false, revision: 3 },
  ]);
  refuses([
    { op: "delete", key },
    { existed: true, revision: 3 },
  ]);
  refuses(
    put("1", 3),
    [
      { op: "delete", key },
      { existed: true, revision: 4 },
    ],
    get("1", 3),
  );
  refuses(put("1", 3), [
    { op: "delete", key },
    { existed: true, revision: 3 },
  ]);
});

const cas = (expected: string | number, value: string, swapped: boolean, revision: number): Line => [
  { op: "cas", key, expected: typeof expected === "string" ? { value: expected } : { revision: expected }, value },
  { swapped, revision },
];

test("a compare-and-swap by value swaps if and only if it finds it", () => {
  accepts(put("1", 3), cas("1", "2", true, 4), get("2", 4));
  accepts(put("1", 3), cas("x", "2", false, 9), get("1", 3), put("3", 10));
  refuses(put("1", 3), cas("x", "2", true, 4));
  refuses(put("1", 3), cas("1", "2", false, 3));
  refuses(put("1", 3), cas("x", "2", false, 9), get("2", 10));
  refuses(put("1", 3), cas("x", "2", false, 9), put("3", 9));
  refuses(put("1", 3), cas("x", "2", false, 2));
  refuses(cas("", "2", true, 1));
});

test("a compare-and-swap by revision does too, 0 being that of nothing", () => {
  accepts(cas(0, "1", true, 1), cas(0, "2", false, 1), cas(1, "2", true, 2));
  refuses(put("1", 3), cas(3, "2", false, 3));
  refuses(put("1", 3), cas(2, "2", true, 4));
  refuses(put("1", 3), cas(0, "2", true, 4));
});

test("an increment tells the sum, and an append the length in bytes", () => {
  const increment = (by: number, value: number, revision: number): Line => [
    { op: "increment", key, by },
    { value, revision },
  ];
  const append = (value: string, bytes: number, revision: number): Line => [
    { op: "append", key, value },
    { bytes, revision },
  ];
  accepts(increment(5, 5, 1), increment(-7, -2, 2), get("-2", 2), append("0", 3, 3), increment(0, -20, 4));
  refuses(increment(5, 5, 1), increment(1, 5, 2));
  refuses(put("one", 1), increment(1, 1, 2));
  accepts(append("ü", 2, 1), append("€", 5, 2), get("ü€", 2));
  refuses(append("ü", 2, 1), append("€", 3, 2));
  refuses(append("a", 1, 1), append("a", 2, 2), get("a", 2));
});

test("bytes are told from text", () => {
  const bytes = (...list: number[]) => Uint8Array.from(list);
  const start: Line = [{ op: "put", key, value: bytes(1, 2) }, { revision: 1 }];
  accepts(
    start,
    [
      { op: "append", key, value: bytes(3) },
      { bytes: 3, revision: 2 },
    ],
    [
      { op: "get", key },
      { value: bytes(1, 2, 3), revision: 2 },
    ],
  );
  refuses(start, [
    { op: "get", key },
    { value: bytes(1, 3), revision: 1 },
  ]);
  refuses(start, [
    { op: "get", key },
    { value: bytes(1), revision: 1 },
  ]);
  refuses(start, [
    { op: "get", key },
    { value: "\u0001\u0002", revision: 1 },
  ]);
  refuses(start, [
    { op: "append", key, value: "3" },
    { bytes: 3, revision: 2 },
  ]);
  refuses(put('{"bytes":[1]}', 1), [
    { op: "get", key },
    { value: bytes(1), revision: 1 },
  ]);
});

test("an unknown change has an unknown revision, until one is seen", () => {
  accepts(put("1", 3), unknownPut("2"), get("2", 9), get("2", 9), get("2", 9));
  refuses(put("1", 3), unknownPut("2"), get("2", 9), get("2", 8));
  refuses(put("1", 3), unknownPut("2"), get("2", 3));
  accepts(put("1", 3), unknownPut("2"), get("1", 3), put("3", 4), get("3", 4));
  refuses(put("1", 3), unknownPut("2"), get("2", 9), put("3", 9));
});

test("between a change that nobody saw and the next look there was room for its revision", () => {
  accepts(put("1", 3), unknownPut("2"), cas("x", "3", false, 6), get("2", 6));
  refuses(put("1", 3), unknownPut("2"), get("2", 7), cas("x", "3", false, 6));
  accepts(unknownPut("2"), cas(0, "3", false, 6), get("2", 6));
  refuses(unknownPut("2"), cas(0, "3", false, 6), get("2", 7));
  refuses(put("1", 3), unknownPut("x"), cas("x", "3", true, 4));
  accepts(put("1", 3), unknownPut("x"), cas("x", "3", true, 5));
});

test("a compare-and-swap against a revision that nobody saw may go either way", () => {
  accepts(unknownPut("1"), cas(4, "2", true, 5), get("2", 5));
  accepts(unknownPut("1"), cas(4, "2", false, 4), get("1", 3));
  refuses(unknownPut("1"), get("1", 3), cas(4, "2", true, 5));
  accepts(unknownPut("1"), unknown({ op: "cas", key, expected: { revision: 4 }, value: "2" }), get("2", 5));
  refuses(unknownPut("1"), unknown({ op: "cas", key, expected: { revision: 4 }, value: "2" }), get("2", 4));
});

test("what can't have been carried out has changed nothing", () => {
  accepts(put("one", 1), unknown({ op: "increment", key, by: 1 }), get("one", 1));
  accepts(put("one", 1), unknown({ op: "append", key, value: Uint8Array.of(1) }), get("one", 1));
  refuses(put("one", 1), unknown({ op: "increment", key, by: 1 }), get("NaN", 2));
  const tooFar = unknown({ op: "increment", key, by: Number.MAX_SAFE_INTEGER });
  accepts(put("1", 1), tooFar, get("1", 1));
  refuses(put("1", 1), tooFar, get(String(Number.MAX_SAFE_INTEGER + 1), 2));
});

test("a result of another operation is no result", () => {
  refuses([{ op: "get", key }, { revision: 0 }]);
  refuses([
    { op: "delete", key },
    { swapped: false, revision: 0 },
  ]);
  refuses(put("1", 1), [{ op: "put", key, value: "2" }, null]);
});

test("a violation is readable", () => {
  assert.is(
    check(keyValueModel, story(put("1", 3), cas("1", "2", true, 4), get("1", 3)))?.explanation,
    [
      'Not linearizable: no order of these calls of "k" explains the answer marked with >.',
      '  1..2  a  put "k" "1" -> {"revision":3}',
      '  3..4  a  cas "k" {"value":"1"} "2" -> {"swapped":true,"revision":4}',
      '> 5..6  a  get "k" -> {"value":"1","revision":3}',
      'Before it the state could be: "k" is "2" (revision 4), the store\'s revision is 4 or more',
    ].join("\n"),
  );
});

test("bytes are shown as such", () => {
  assert.is(keyValueModel.describe({ op: "put", key, value: Uint8Array.of(1, 2) }), 'put "k" {"bytes":[1,2]}');
});

test("revisions spare the search from trying orders", () => {
  const history = new History<KeyValueOperation, KeyValueResult>();
  const calls = Array.from({ length: 16 }, (_, i) => {
    const call = history.begin(`c${i}`, { op: "put", key, value: `${i}` });
    return { end: () => call.end({ revision: i + 1 }) };
  });
  for (const { end } of calls.reverse()) end();
  history.begin("a", { op: "get", key }).end({ value: "15", revision: 16 });
  assert.is(check(keyValueModel, history.calls, { stepsMax: 100 }), null);
  assert.is(check({ ...keyValueModel, mustPrecede: () => false }, history.calls, { stepsMax: 100 })?.type, "undecided");
});

test("revisions tell the order of a client's commands, on whatever keys", () => {
  const issued = (...lines: readonly Line[]) => checkIssueOrder(story(...lines), storeSpan);
  const other: Line = [{ op: "put", key: "other", value: "" }, { revision: 4 }];
  assert.is(issued(put("1", 3), other, put("2", 5)), null);
  assert.ok(issued(put("1", 3), put("2", 5), other) !== null);
  assert.ok(issued(other, put("1", 4)) !== null);
  assert.is(issued(other, cas("x", "2", false, 4), put("1", 5)), null);
  assert.ok(issued(other, cas("x", "2", false, 3)) !== null);
  assert.is(issued(other, get("1", 3), getNothing), null, "another key's revision may be older");
  assert.ok(issued(get("1", 4), other) !== null, "but the store has come that far");
});

test("revisions tell when a stale read goes back", () => {
  const goesBack = (...lines: readonly Line[]): boolean =>
    checkRealTimeOrder(
      story(...lines),
      () => key,
      (_, result) => readSpan(result),
    ) !== null;
  assert.not(goesBack(getNothing, get("1", 3), get("1", 3), get("2", 5), getNothing, get("2", 6)));
  assert.ok(goesBack(get("2", 5), get("1", 3)));
});

const keys = fc.constantFrom("k", "other");
const value = fc.oneof(fc.constantFrom("1", "2", "x"), fc.constantFrom(Uint8Array.of(1), Uint8Array.of(2, 3)));
const expected = fc.oneof(fc.record({ value }), fc.record({ revision: fc.nat(6) }));
const operation: fc.Arbitrary<KeyValueOperation> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ op: fc.constant("get" as const), key: keys }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("put" as const), key: keys, value }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("delete" as const), key: keys }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("cas" as const), key: keys, expected, value }) },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant("increment" as const), key: keys, by: fc.integer({ min: -2, max: 2 }) }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("append" as const), key: keys, value }) },
);
const history = (callsMax: number): fc.Arbitrary<Call<KeyValueOperation, KeyValueResult>[]> =>
  runOf(operation, callsMax).map((run) => {
    const store = new Store();
    return lived(run, (operation) => store.perform(operation));
  });

test("whatever the store really answered is accepted", () =>
  fc.assert(
    fc.property(history(30), (calls) => {
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
  const lies = fc.oneof(
    fc.constant(null),
    fc.record({ revision: fc.nat(6) }),
    fc.record({ value, revision: fc.nat(6) }),
    fc.record({ existed: fc.boolean(), revision: fc.nat(6) }),
    fc.record({ swapped: fc.boolean(), revision: fc.nat(6) }),
  );
  await fc.assert(
    fc.property(history(6), fc.nat(), fc.boolean(), lies, (truth, which, onlyRevision, result) => {
      const one = truth.filter(({ operation }) => operation.op !== "transaction" && operation.key === "k");
      const calls = lie(one, which, (before) =>
        onlyRevision && before !== null && result !== null ? { ...before, revision: result.revision } : result,
      );
      const isGood = hasExplanation(keyValueModel, calls, endsOf(calls).at(-1) ?? 0);
      assert.is(check(keyValueModel, calls) === null, isGood);
      if (isGood) counts.good++;
      else counts.bad++;
    }),
    { numRuns: 2_000 },
  );
  assert.ok(counts.good > 100 && counts.bad > 100, JSON.stringify(counts));
});

test.run();
