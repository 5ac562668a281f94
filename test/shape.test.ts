/** What messages have to look like: what fits is taken as it is, and the rest is refused with the place of the mistake. */

import * as assert from "uvu/assert";
import * as v from "../src/shape.ts";
import { suite } from "./support/suite.ts";

const test = suite("shape");

const SHAPES: readonly (readonly [what: string, shape: v.Shape<unknown>, fits: readonly unknown[]])[] = [
  ["text", v.string(), ["", "a"]],
  ["a number", v.number(), [0, -1.5, 1e300, Number.POSITIVE_INFINITY]],
  ["true or false", v.boolean(), [true, false]],
  ["one word", v.literal("leader"), ["leader"]],
  ["one of two words", v.picklist(["up", "down"]), ["up", "down"]],
  ["a text or nothing", v.nullable(v.string()), [null, "", "a"]],
  ["a list of numbers", v.array(v.number()), [[], [1, 2]]],
  ["numbers by name", v.record(v.string(), v.number()), [{}, { a: 1, b: 2 }]],
  ["an object", v.object({ a: v.number() }), [{ a: 1 }]],
  ["an integer", v.pipe(v.number(), v.integer()), [0, -1]],
  ["a safe integer", v.pipe(v.number(), v.safeInteger(), v.minValue(0)), [0, Number.MAX_SAFE_INTEGER]],
  ["a short text", v.pipe(v.string(), v.minLength(1), v.maxLength(2)), ["a", "ab"]],
  ["bytes", v.custom<Uint8Array>((value) => value instanceof Uint8Array, "bytes"), [new Uint8Array(2)]],
  [
    "an even number",
    v.pipe(
      v.number(),
      v.check((value) => value % 2 === 0, "even"),
    ),
    [0, 2],
  ],
];

const ANYTHING: readonly unknown[] = [
  undefined,
  null,
  true,
  Number.NaN,
  0.5,
  -3,
  2 ** 60 + 1,
  "",
  "abc",
  "toString",
  Symbol.iterator,
  () => 1,
  [1, "2"],
  { a: "1" },
  { a: undefined },
];

for (const [what, shape, fits] of SHAPES) {
  test(`${what} is taken as it is, and nothing else`, () => {
    for (const value of fits) assert.equal(shape.parse(value), value);
    const refused = ANYTHING.filter((value) => {
      try {
        const parsed = shape.parse(value);
        assert.equal(parsed, value);
        return false;
      } catch (error) {
        assert.instance(error, TypeError);
        return true;
      }
    });
    assert.ok(refused.length >= ANYTHING.length - 5, `${refused.length} of ${ANYTHING.length} were refused`);
  });
}

const member = v.object({ id: v.string(), links: v.array(v.object({ up: v.boolean() })) });

test("what an object has beside its fields is dropped, in all its parts", () => {
  const parsed = member.parse({ id: "n1", more: 1, links: [{ up: true, since: 7 }] });
  assert.equal(parsed, { id: "n1", links: [{ up: true }] });
});

test("a mistake is told with the place where it is", () => {
  const wrong = { id: "n1", links: [{ up: true }, { up: "yes" }] };
  assert.throws(() => member.parse(wrong), /^links: 1: up: this is not true or false$/);
  assert.throws(() => member.parse({ id: "n1" }), /^links: this is not a list$/);
});

test("a field that is not there may have something in its stead", () => {
  const shape = v.object({ details: v.optional(v.record(v.string(), v.unknown()), {}) });
  assert.equal(shape.parse({}), { details: {} });
  assert.equal(shape.parse({ details: { a: 1 } }), { details: { a: 1 } });
  assert.throws(() => shape.parse({ details: null }));
});

test("of several objects the one is meant whose name stands in the field", () => {
  const shape = v.variant("type", [
    v.object({ type: v.literal("put"), value: v.number() }),
    v.object({ type: v.literal("delete") }),
  ]);
  assert.equal(shape.parse({ type: "put", value: 1 }), { type: "put", value: 1 });
  assert.equal(shape.parse({ type: "delete", value: 1 }), { type: "delete" });
  for (const wrong of [{ type: "put" }, { type: "toString" }, { type: ["put"], value: 1 }, {}, "put", null]) {
    assert.throws(
      () => shape.parse(wrong),
      (error: unknown) => error instanceof TypeError,
    );
  }
});

test("fields that bear the names of what objects inherit are fields, and nothing inherits from them", () => {
  const shape = v.record(v.string(), v.object({ a: v.number() }));
  const parsed = shape.parse(JSON.parse('{ "__proto__": { "a": 1 }, "constructor": { "a": 2 } }'));
  assert.equal(Object.keys(parsed), ["__proto__", "constructor"]);
  assert.is(Object.getPrototypeOf(parsed), Object.prototype);
  assert.is(Reflect.get({}, "a"), undefined);
});

test.run();
