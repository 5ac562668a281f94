/** The check itself is checked: on histories known to be good or bad, and against one that tries every order. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { History } from "../../src/testing/history.ts";
import { check, type Model } from "../../src/testing/linearizability.ts";
import { suite } from "../support/suite.ts";
import {
  append,
  type Operation,
  perform,
  type RegisterCall,
  type Result,
  read,
  register,
  swap,
  write,
} from "./register.ts";
import { endsOf, hasExplanation, lie, lived, runOf } from "./runs.ts";

const test = suite("linearizability");

const accepts = (calls: readonly RegisterCall[], why = ""): void =>
  assert.is(check(register, calls)?.explanation, undefined, why);
const refuses = (calls: readonly RegisterCall[], why = ""): void =>
  assert.is(check(register, calls)?.type, "violation", why);

test("an empty history, and one without any answer, are fine", () => {
  accepts([]);
  accepts([write("1", 1, null), append("2", 2, null)]);
});

test("what is read is what was written last", () => {
  accepts([write("1", 1, 2), read("1", 3, 4)]);
  refuses([write("1", 1, 2), read("", 3, 4)], "a lost write");
  refuses([write("1", 1, 2), write("2", 3, 4), read("1", 5, 6)], "a stale read");
  refuses([read("1", 1, 2)], "out of nowhere");
  refuses([read("1", 1, 2), write("1", 3, 4)], "before it was written");
});

test("a call takes effect at one moment between its beginning and its end", () => {
  accepts([write("1", 1, 6), read("", 2, 3), read("1", 4, 5)], "while the write is under way");
  refuses([write("1", 1, 6), read("1", 2, 3), read("", 4, 5)], "and back in time");
  const both = [write("1", 1, 3), write("2", 2, 4)];
  accepts([...both, read("1", 5, 6)], "either may be the last");
  accepts([...both, read("2", 5, 6)], "either may be the last");
  refuses([...both, read("1", 5, 6), read("2", 7, 8)], "but not both");
  accepts([write("1", 1, 8), write("2", 2, 7), read("2", 3, 4), read("1", 5, 6)], "the first to begin is the last");
});

test("a write takes effect once", () => {
  accepts([append("a", 1, 2), read("a", 3, 4)]);
  refuses([append("a", 1, 2), read("aa", 3, 4)], "applied twice");
});

test("a swap tells what it found", () => {
  accepts([write("1", 1, 2), swap(["1", "2"], true, 3, 4), read("2", 5, 6)]);
  accepts([write("1", 1, 2), swap(["3", "2"], false, 3, 4), read("1", 5, 6)]);
  refuses([write("1", 1, 2), swap(["3", "2"], false, 3, 4), read("2", 5, 6)], "it failed and swapped");
  refuses([write("1", 1, 2), swap(["3", "2"], true, 3, 4)], "it should have failed");
  refuses([write("1", 1, 2), swap(["1", "2"], false, 3, 4)], "it should have swapped");
  refuses([write("1", 1, 2), swap(["1", "2"], true, 3, 6), swap(["1", "3"], true, 4, 5)], "two can't have won");
});

test("an unknown call takes effect at any time after its beginning, once, or never", () => {
  accepts([write("1", 1, null), read("", 2, 3)], "never");
  accepts([write("1", 1, null), read("1", 2, 3)], "at once");
  accepts([write("1", 1, null), read("", 2, 3), write("2", 4, 5), read("2", 6, 7), read("1", 8, 9)], "late");
  refuses([read("1", 1, 2), write("1", 3, null)], "before it began");
  refuses([write("1", 1, null), read("1", 2, 3), write("2", 4, 5), read("1", 6, 7)], "twice");
  refuses([append("a", 1, null), read("aa", 2, 3)], "twice");
  refuses([append("a", 1, null), read("a", 2, 3), read("", 4, 5)], "and then not");
  accepts([append("a", 1, null), append("a", 2, null), read("aa", 3, 4)], "two of a kind");
  refuses([append("a", 1, null), read("aa", 2, 3), append("a", 4, null)], "the second of a kind comes too late");
  accepts([swap(["", "1"], null, 1, null), read("1", 2, 3)], "a swap whose result nobody saw");
  accepts([swap(["2", "1"], null, 1, null), write("2", 2, 3), read("1", 4, 5)], "a swap that happens late");
  refuses([swap(["2", "1"], null, 1, null), read("1", 2, 3)], "a swap that could never happen");
});

test("several unknown calls may take effect before one answer, and in any order", () => {
  const unknown = ["a", "b", "c", "d"].map((text, i) => append(text, i + 1, null));
  accepts([...unknown, read("dbca", 5, 6)]);
  refuses([...unknown, read("dbca", 5, 6), read("dbcaa", 7, 8)]);
});

test("calls whose end and beginning tie may have gone in either order", () => {
  accepts([write("1", 1, 2), read("1", 2, 3)]);
  accepts([write("1", 1, 2), read("", 2, 3)]);
  refuses([write("1", 1, 2), read("", 3, 4)]);
});

test("what a clock shows does not decide", () => {
  const history = new History<Operation, Result>(() => 7);
  history.begin("a", { type: "write", text: "1" }).end(null);
  history.begin("b", { type: "read" }).end("");
  assert.is(check(register, history.calls)?.type, "violation");
});

test("calls of different keys have nothing to do with one another", () => {
  const keyed = { ...register, keyOf: (operation: Operation) => ("text" in operation ? operation.text : "1") };
  const calls = [write("1", 1, 2), write("2", 3, 4), read("1", 5, 6)];
  refuses(calls);
  assert.is(check(keyed, calls), null);
  assert.is(check(keyed, [...calls, read("", 7, 8)])?.key, "1");
});

test("the order in which calls are given does not matter", () => {
  accepts([read("1", 3, 4), write("1", 1, 2)]);
  refuses([read("", 3, 4), write("1", 1, 2)]);
});

test("a violation shows the shortest beginning that has no explanation, and what could have been read instead", () => {
  const calls = [
    write("1", 1, 4),
    write("2", 2, 3),
    append("x", 5, null),
    read("3", 6, 8),
    read("2", 7, 9),
    write("3", 10, 11),
  ];
  const finding = check(register, calls);
  assert.equal(finding?.calls, calls.slice(0, 5));
  assert.is(
    finding?.explanation,
    [
      'Not linearizable: no order of these calls of "register" explains the answer marked with >.',
      "  1..4  c1  write 1 -> null",
      "  2..3  c2  write 2 -> null",
      "  5..   c5  append x -> unknown",
      '> 6..8  c6  read -> "3"',
      '  7..9  c7  read -> "2"',
      'Before it the state could be: "1" or "1x" or "2" or "2x"',
    ].join("\n"),
  );
});

test("a long violation shows its end, with the calls that were still under way and the times", () => {
  let nowMs = 0;
  const history = new History<Operation, Result>(() => nowMs++ / 2);
  history.begin("lost", { type: "write", text: "0" }).unknown();
  for (let i = 1; i <= 100; i++) history.begin("a", { type: "write", text: `${i}` }).end(null);
  history.begin("b", { type: "read" }).end("never");
  const lines = check(register, history.calls)?.explanation.split("\n") ?? [];
  assert.is(lines[1], "  (62 calls that ended earlier are not shown)");
  assert.match(lines[2] ?? "", /^ {2}1 \(0\.0 ms\)\.\. +lost +write 0 -> unknown$/);
  assert.match(lines.at(-2) ?? "", /^> 202 \(100\.5 ms\)\.\.203 \(101\.0 ms\) +b +read -> "never"$/);
});

test("a search that takes too long ends undecided", () => {
  const unknown = Array.from({ length: 30 }, (_, i) => append(`${i},`, i + 1, null));
  const finding = check(register, [...unknown, read("never", 31, 32)], { stepsMax: 20_000 });
  assert.is(finding?.type, "undecided");
  assert.match(finding?.explanation ?? "", /^Undecided: /);
});

test("a violation of one key counts more than another key that is undecided", () => {
  const keyed = { ...register, keyOf: ({ type }: Operation) => (type === "swap" ? "swaps" : "others") };
  const unknown = Array.from({ length: 30 }, (_, i) => append(`${i},`, i + 1, null));
  const calls = [...unknown, read("never", 31, 32), swap(["1", "2"], true, 33, 34)];
  assert.is(check(keyed, calls, { stepsMax: 1_000 })?.key, "swaps");
});

test("many unknown calls that nobody ever saw do not keep a violation from being found", () => {
  const long = (unknown: (i: number, begin: number) => RegisterCall): RegisterCall[] =>
    Array.from({ length: 40 }, (_, i) => [unknown(i, 4 * i), write(`w${i}`, 4 * i + 1, 4 * i + 2)])
      .flat()
      .concat(read("never", 200, 201));
  refuses(
    long((i, begin) => write(`u${i}`, begin, null)),
    "all different: a plain search tries 2^40 sets of them",
  );
  refuses(
    long((_, begin) => append("x", begin, null)),
    "all the same, and each would show",
  );
});

const TEXTS = ["a", "b", ""];
const text = fc.constantFrom(...TEXTS);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.constant({ type: "read" as const }),
  fc.record({ type: fc.constantFrom("write" as const, "append" as const), text }),
  fc.record({ type: fc.constant("swap" as const), expected: text, text }),
);

const history = (callsMax: number): fc.Arbitrary<RegisterCall[]> =>
  runOf(operation, callsMax).map((run) => {
    let state = "";
    return lived(run, (operation) => {
      const done = perform(state, operation);
      state = done.state;
      return done;
    });
  });

test("whatever a register really answered is accepted", () =>
  fc.assert(
    fc.property(history(40), (calls) => accepts(calls)),
    { numRuns: 500 },
  ));

test("with one answer changed, the check agrees with one that tries every order, and on where it goes wrong", async () => {
  const counts = { good: 0, bad: 0 };
  const lies = fc.oneof(
    fc.array(text, { maxLength: 3 }).map((texts) => texts.join("")),
    fc.boolean(),
  );
  await fc.assert(
    fc.property(history(6), fc.nat(), lies, (truth, which, result) => {
      const calls = lie(truth, which, () => result);
      const ends = endsOf(calls);
      const firstBad = ends.find((order) => !hasExplanation(register, calls, order));
      const finding = check(register, calls);
      assert.is(finding === null, firstBad === undefined);
      if (finding === null) counts.good++;
      else {
        counts.bad++;
        const shown = calls.filter(({ begin }) => begin.order <= (firstBad ?? 0));
        assert.equal(finding.calls, shown);
      }
    }),
    { numRuns: 2_000 },
  );
  assert.ok(counts.good > 100 && counts.bad > 100, JSON.stringify(counts));
});

test("keys that calls touch together, or that others tie together, are checked together, and the rest apart", () => {
  const history = new History<readonly string[], null>();
  for (const keys of [["a"], ["b", "c"], ["d"], ["c", "d"], [], ["b"], ["e", "e"]]) history.begin("c", keys).end(null);
  const checkedWith = (culprit: string): readonly string[] | undefined => {
    const model: Model<null, readonly string[], null> = {
      initial: null,
      keyOf: (keys) => keys,
      step: (_, keys) => (keys.join("+") === culprit ? [] : [null]),
      signature: () => "",
      describe: (keys) => keys.join("+"),
      describeResult: () => "",
    };
    const finding = check(model, history.calls);
    return finding === null ? undefined : [finding.key, ...finding.calls.map(({ operation }) => operation.join("+"))];
  };
  assert.equal(checkedWith("a"), ["a", "a"]);
  assert.equal(checkedWith("b"), ["b, c, d", "b+c", "d", "c+d", "b"]);
  assert.equal(checkedWith("e+e"), ["e", "e+e"]);
  assert.equal(checkedWith(""), ["", ""]);
  assert.is(checkedWith("none"), undefined);
});

test.run();
