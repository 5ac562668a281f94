/** What is taken down of a run. */

import * as assert from "uvu/assert";
import { History } from "../../src/testing/history.ts";
import { suite } from "../support/suite.ts";

const test = suite("history");

test("calls are taken down in the order in which they begin and end, whatever the clock shows", () => {
  const history = new History<string, number>(() => 5);
  const first = history.begin("a", "one");
  const second = history.begin("b", "two");
  second.end(2);
  first.end(1);
  const at = (order: number) => ({ order, atMs: 5 });
  assert.equal(history.calls, [
    { client: "a", operation: "one", begin: at(1), outcome: { result: 1, end: at(4) } },
    { client: "b", operation: "two", begin: at(2), outcome: { result: 2, end: at(3) } },
  ]);
});

test("a history needs no clock", () => {
  const history = new History<string, number>();
  history.begin("a", "one").end(1);
  assert.equal(history.calls[0]?.begin, { order: 1, atMs: null });
});

test("a call that has not ended, or whose end nobody saw, is of unknown outcome", () => {
  const history = new History<string, number>();
  history.begin("a", "lost").unknown();
  history.begin("a", "under way");
  assert.equal(
    history.calls.map(({ operation, outcome }) => [operation, outcome]),
    [
      ["lost", null],
      ["under way", null],
    ],
  );
});

test("a call that did nothing leaves no trace", () => {
  const history = new History<string, number>();
  history.begin("a", "refused").nothing();
  assert.equal(history.calls, []);
});

test("a call ends once", () => {
  const call = new History<string, number>().begin("a", "one");
  call.unknown();
  for (const again of [() => call.end(1), () => call.unknown(), () => call.nothing()])
    assert.throws(again, /ended twice/);
});

test("what was handed out does not change later", () => {
  const history = new History<string, number>();
  const call = history.begin("a", "one");
  const { calls } = history;
  call.end(1);
  assert.is(calls[0]?.outcome, null);
});

test.run();
