/** Promises about order that need no search. */

import * as assert from "uvu/assert";
import type { Call } from "../../src/testing/history.ts";
import { checkIssueOrder, checkRealTimeOrder, type SpanOf } from "../../src/testing/order.ts";
import { suite } from "../support/suite.ts";

const test = suite("order");

type Operation = "change" | "look" | "other";
const at = (order: number) => ({ order, atMs: null });
const call = (
  client: string,
  operation: Operation,
  begin: number,
  end: number,
  result: number,
): Call<Operation, number> => ({
  client,
  operation,
  begin: at(begin),
  outcome: { result, end: at(end) },
});
const unknown = (client: string, begin: number): Call<Operation, number> => ({
  client,
  operation: "change",
  begin: at(begin),
  outcome: null,
});

/** A change makes the number that it answers, a look finds it; the others tell nothing. */
const spanOf: SpanOf<Operation, number> = (operation, result) =>
  operation === "other" ? null : { found: operation === "change" ? result - 1 : result, left: result };
const issueOrder = (calls: Call<Operation, number>[]) => checkIssueOrder(calls, spanOf);
const realTimeOrder = (calls: Call<Operation, number>[]) => checkRealTimeOrder(calls, () => "", spanOf);

test("the commands of a client take effect as it issued them, though they are under way together", () => {
  const first = call("a", "change", 1, 4, 5);
  assert.is(issueOrder([first, call("a", "change", 2, 3, 6)]), null);
  const overtook = call("a", "change", 2, 3, 4);
  assert.equal(issueOrder([first, overtook]), { earlier: first, later: overtook });
  assert.equal(issueOrder([overtook, first]), { earlier: first, later: overtook }, "however they are given");
});

test("two changes of a client can't be one, but it may look twice at the same", () => {
  const first = call("a", "change", 1, 2, 5);
  assert.ok(issueOrder([first, call("a", "change", 3, 4, 5)]) !== null);
  assert.is(issueOrder([first, call("a", "look", 3, 4, 5), call("a", "look", 5, 6, 5)]), null);
  assert.ok(issueOrder([first, call("a", "look", 3, 4, 4)]) !== null);
});

test("clients have no order among them, and calls that tell nothing have none either", () => {
  assert.is(issueOrder([call("a", "change", 1, 2, 5), call("b", "change", 3, 4, 4)]), null);
  assert.is(issueOrder([call("a", "change", 1, 2, 5), call("a", "other", 3, 4, 1), unknown("a", 5)]), null);
});

test("the highest that came before counts, not the last", () => {
  const high = call("a", "look", 1, 2, 7);
  const late = call("a", "look", 6, 7, 6);
  const gap = call("a", "other", 3, 4, 1);
  assert.equal(issueOrder([high, gap, late]), { earlier: high, later: late });
  const overlapping = call("b", "look", 1, 5, 3);
  assert.equal(realTimeOrder([high, overlapping, late]), { earlier: high, later: late });
});

test("what began after another call had ended finds what that one left", () => {
  const first = call("a", "look", 1, 2, 5);
  const back = call("b", "look", 3, 4, 4);
  assert.is(realTimeOrder([first, call("b", "look", 3, 4, 5)]), null);
  assert.equal(realTimeOrder([first, back]), { earlier: first, later: back });
  assert.equal(realTimeOrder([back, first]), { earlier: first, later: back }, "however they are given");
  assert.ok(realTimeOrder([first, call("b", "change", 3, 4, 5)]) !== null, "two changes can't be one");
});

test("calls under way together may answer in any order, and so may those that tie", () => {
  assert.is(realTimeOrder([call("a", "look", 1, 3, 5), call("b", "look", 2, 4, 4)]), null);
  assert.is(realTimeOrder([call("a", "look", 1, 2, 5), call("b", "look", 2, 3, 4)]), null);
  assert.is(realTimeOrder([call("b", "look", 2, 3, 4), call("a", "look", 1, 2, 5)]), null);
});

test("only calls of one group are compared", () => {
  const first = call("n1", "look", 1, 2, 5);
  const other = call("n2", "change", 3, 4, 4);
  assert.is(
    checkRealTimeOrder([first, other], (operation) => operation, spanOf),
    null,
  );
  assert.ok(checkRealTimeOrder([first, other], () => "", spanOf) !== null);
});

test("unknown calls and those that tell nothing are left out", () => {
  assert.is(realTimeOrder([call("a", "look", 1, 2, 5), call("a", "other", 3, 4, 1), unknown("b", 5)]), null);
});

test.run();
