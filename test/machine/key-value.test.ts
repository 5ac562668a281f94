/** The key-value store: what each command does, what it answers, and what it leaves alone. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { KeyValueMachine } from "../../src/machine/index.ts";
import {
  decodePage,
  decodeResult,
  type Expected,
  encodeCommand,
  encodeQuery,
  type KeyValueCommand,
  type KeyValueEntry,
  type KeyValuePage,
  type KeyValueQuery,
  LIST_LIMIT_MAX,
  type Value,
} from "../../src/machine/key-value-protocol.ts";
import { fromDisk } from "../support/pieces.ts";
import { suite } from "../support/suite.ts";

const test = suite("key-value");
const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);

/** The machine, spoken to in words. A rejected command answers its code. */
class Store {
  readonly machine = new KeyValueMachine();

  do(command: KeyValueCommand): unknown {
    const result = decodeResult(command.op, this.machine.apply(encodeCommand(command)));
    return "code" in result ? result.code : result;
  }
  put(key: string, value: Value): unknown {
    return this.do({ op: "put", key, value });
  }
  delete(key: string): unknown {
    return this.do({ op: "delete", key });
  }
  cas(key: string, expected: Expected, value: Value): unknown {
    return this.do({ op: "cas", key, expected, value });
  }
  increment(key: string, by: number): unknown {
    return this.do({ op: "increment", key, by });
  }
  append(key: string, value: Value, valueBytesMax = 100): unknown {
    return this.do({ op: "append", key, value, valueBytesMax });
  }
  ask(query: KeyValueQuery): KeyValuePage {
    return decodePage(this.machine.query(encodeQuery(query)));
  }
  get(key: string): KeyValueEntry | undefined {
    return this.ask({ op: "get", key }).entries[0];
  }
  list(prefix: string, after = "", limit = 100): KeyValuePage {
    return this.ask({ op: "list", prefix, after, limit });
  }
  keys(prefix: string, after = "", limit = 100): string {
    const { entries, more } = this.list(prefix, after, limit);
    return entries.map(({ key }) => key).join(" ") + (more ? " …" : "");
  }
}

test("what is put is given back as it was put, with the revision of its last change", () => {
  const store = new Store();
  assert.equal(store.put("text", "värde"), { revision: 1 });
  assert.equal(store.put("bytes", bytes(0, 255)), { revision: 2 });
  assert.equal(store.put("text", ""), { revision: 3 });
  assert.equal(store.get("text"), { key: "text", value: "", revision: 3 });
  assert.equal(store.get("bytes"), { key: "bytes", value: bytes(0, 255), revision: 2 });
  assert.is(store.get("none"), undefined);
});

test("a value is kept apart from the message that brought it, and from the answers that tell it", () => {
  for (const own of [(bytes: Uint8Array) => bytes, (bytes: Uint8Array) => Buffer.from(bytes)]) {
    const store = new Store();
    const message = own(encodeCommand({ op: "put", key: "k", value: bytes(1, 2, 3) }));
    store.machine.apply(message);
    message.fill(0);
    const answer = store.machine.query(encodeQuery({ op: "get", key: "k" }));
    answer.fill(0);
    assert.equal(store.get("k")?.value, bytes(1, 2, 3));
  }
});

test("delete tells whether there was something, and counts only if there was", () => {
  const store = new Store();
  store.put("k", "v");
  assert.equal(store.delete("k"), { existed: true, revision: 2 });
  assert.equal(store.delete("k"), { existed: false, revision: 2 });
  assert.is(store.get("k"), undefined);
});

test("cas by value swaps only what is there, of the same type", () => {
  const store = new Store();
  store.put("k", "1");
  assert.equal(store.cas("k", { value: "2" }, "3"), { swapped: false, revision: 1 });
  assert.equal(store.cas("k", { value: bytes(49) }, "3"), { swapped: false, revision: 1 });
  assert.equal(store.cas("k", { value: "1" }, bytes(1, 2)), { swapped: true, revision: 2 });
  assert.equal(store.cas("k", { value: bytes(1, 3) }, "x"), { swapped: false, revision: 2 });
  assert.equal(store.cas("k", { value: bytes(1) }, "x"), { swapped: false, revision: 2 });
  assert.equal(store.cas("k", { value: bytes(1, 2, 3) }, "x"), { swapped: false, revision: 2 });
  assert.equal(store.cas("k", { value: bytes(1, 2) }, "x"), { swapped: true, revision: 3 });
  assert.equal(store.cas("none", { value: "" }, "x"), { swapped: false, revision: 3 });
  assert.is(store.get("k")?.value, "x");
  assert.is(store.get("none"), undefined);
});

test("cas by revision: 0 stands for a key that is not there", () => {
  const store = new Store();
  assert.equal(store.cas("k", { revision: 1 }, "a"), { swapped: false, revision: 0 });
  assert.equal(store.cas("k", { revision: 0 }, "a"), { swapped: true, revision: 1 });
  assert.equal(store.cas("k", { revision: 0 }, "b"), { swapped: false, revision: 1 });
  store.put("other", "x");
  assert.equal(store.cas("k", { revision: 2 }, "b"), { swapped: false, revision: 2 });
  assert.equal(store.cas("k", { revision: 1 }, "b"), { swapped: true, revision: 3 });
  store.delete("k");
  assert.equal(store.cas("k", { revision: 3 }, "c"), { swapped: false, revision: 4 });
  assert.equal(store.cas("k", { revision: 0 }, "c"), { swapped: true, revision: 5 });
});

test("increment begins at 0, goes down too, and leaves text", () => {
  const store = new Store();
  assert.equal(store.increment("n", 5), { value: 5, revision: 1 });
  assert.equal(store.increment("n", -7), { value: -2, revision: 2 });
  assert.equal(store.increment("n", 2), { value: 0, revision: 3 });
  assert.is(store.get("n")?.value, "0");
  store.put("n", "-0041");
  assert.equal(store.increment("n", -1), { value: -42, revision: 5 });
});

test("increment of what is no integer changes nothing", () => {
  const store = new Store();
  for (const value of ["", "x", "1.5", "1e3", " 1", "1 ", "+1", "0x1", "--1", "NaN", bytes(49)]) {
    store.put("n", value);
    assert.is(store.increment("n", 1), "NOT_A_NUMBER", JSON.stringify(value));
    assert.equal(store.get("n")?.value, value);
  }
});

test("increment never leaves the safe integers, and never counts wrongly", () => {
  const store = new Store();
  const max = Number.MAX_SAFE_INTEGER;
  assert.equal(store.increment("n", max), { value: max, revision: 1 });
  assert.is(store.increment("n", 1), "NOT_A_NUMBER");
  assert.equal(store.increment("n", -max), { value: 0, revision: 2 });
  assert.equal(store.increment("n", -max), { value: -max, revision: 3 });
  assert.is(store.increment("n", -1), "NOT_A_NUMBER");
  for (const value of ["9007199254740993", "-9007199254740993", "9".repeat(400)]) {
    store.put("n", value);
    assert.is(store.increment("n", value.startsWith("-") ? 2 : -2), "NOT_A_NUMBER", value);
  }
});

test("append joins text to text and bytes to bytes, and makes what is not there", () => {
  const store = new Store();
  assert.equal(store.append("t", "a"), { bytes: 1, revision: 1 });
  assert.equal(store.append("t", "ü"), { bytes: 3, revision: 2 });
  assert.is(store.get("t")?.value, "aü");
  assert.equal(store.append("b", bytes(1)), { bytes: 1, revision: 3 });
  assert.equal(store.append("b", bytes(2, 3)), { bytes: 3, revision: 4 });
  assert.equal(store.get("b")?.value, bytes(1, 2, 3));
});

test("append of the other type, or past the limit, changes nothing", () => {
  const store = new Store();
  store.put("t", "text");
  store.put("b", bytes(1));
  assert.is(store.append("t", bytes(1)), "WRONG_TYPE");
  assert.is(store.append("b", "text"), "WRONG_TYPE");
  assert.is(store.append("t", "ü", 5), "TOO_LARGE");
  assert.is(store.append("new", "abc", 2), "TOO_LARGE");
  assert.equal(store.append("t", "ü", 6), { bytes: 6, revision: 3 });
  assert.equal(store.get("b"), { key: "b", value: bytes(1), revision: 2 });
  assert.is(store.get("new"), undefined);
});

test("a list is in order, holds the prefix only, and goes on after a key", () => {
  const store = new Store();
  for (const key of ["b/2", "b/10", "a", "b", "b/1", "c", "b0", "B/1"]) store.put(key, key);
  assert.is(store.keys(""), "B/1 a b b/1 b/10 b/2 b0 c");
  assert.is(store.keys("b/"), "b/1 b/10 b/2");
  assert.is(store.keys("b/", "b/1"), "b/10 b/2");
  assert.is(store.keys("b/", "b/11"), "b/2");
  assert.is(store.keys("b/", "a"), "b/1 b/10 b/2");
  assert.is(store.keys("b/", "b/2"), "");
  assert.is(store.keys("b/", "z"), "");
  assert.is(store.keys("none"), "");
  assert.equal(store.list("c").entries, [{ key: "c", value: "c", revision: 6 }]);
});

test("a list tells whether there is more with the prefix", () => {
  const store = new Store();
  for (const key of ["a1", "a2", "a3", "b"]) store.put(key, "");
  assert.is(store.keys("a", "", 2), "a1 a2 …");
  assert.is(store.keys("a", "a2", 2), "a3");
  assert.is(store.keys("a", "", 3), "a1 a2 a3");
  assert.is(store.keys("", "", 3), "a1 a2 a3 …");
});

test("a page is bounded in entries, whatever limit a stranger asks for", () => {
  const store = new Store();
  for (let i = 0; i <= LIST_LIMIT_MAX; i++) store.put(`k${i}`, "");
  const { entries, more } = store.list("k", "", 2 ** 32 - 1);
  assert.equal([entries.length, more], [LIST_LIMIT_MAX, true]);
});

test("an error that names a key stays short, whatever the length of the key", () => {
  const store = new Store();
  const key = "k".repeat(1_000_000);
  store.put(key, "no number");
  const result = decodeResult("increment", store.machine.apply(encodeCommand({ op: "increment", key, by: 1 })));
  assert.ok("code" in result && result.message.length < 200);
});

test("a page is bounded in bytes, and the pages together are the whole list", () => {
  const store = new Store();
  const value = new Uint8Array(300_000);
  for (let i = 10; i < 40; i++) store.put(`k${i}`, value);
  const keys: string[] = [];
  for (let page = store.list("k"); ; page = store.list("k", keys.at(-1))) {
    assert.ok(page.entries.length <= 8);
    keys.push(...page.entries.map(({ key }) => key));
    if (!page.more) break;
  }
  assert.equal(
    keys,
    Array.from({ length: 30 }, (_, i) => `k${i + 10}`),
  );
});

test("keys may be any text", () => {
  const store = new Store();
  const keys = ["", "\0", "a\nb", "ключ", "鍵", "🔑", "🔑🔑", "\ufeff", "\uffff", "__proto__", "é", "e\u0301"];
  for (const [i, key] of keys.entries()) store.put(key, String(i));
  for (const [i, key] of keys.entries()) assert.is(store.get(key)?.value, String(i), JSON.stringify(key));
  assert.is(store.list("").entries.length, keys.length);
  assert.is(store.keys("🔑"), "🔑 🔑🔑");
});

test("a command that can't be read is rejected, and changes nothing", () => {
  const store = new Store();
  store.put("k", "v");
  const sound = encodeCommand({ op: "put", key: "k", value: "other" });
  for (const command of [
    bytes(),
    bytes(0),
    bytes(99, 0, 0, 0, 0),
    sound.subarray(0, -1),
    Buffer.concat([sound, bytes(0)]),
  ]) {
    const result = decodeResult("put", store.machine.apply(command));
    assert.is("code" in result && result.code, "INVALID_ARGUMENT");
  }
  assert.equal(store.get("k"), { key: "k", value: "v", revision: 1 });
});

test("a query that can't be read finds nothing", () => {
  assert.equal(decodePage(new Store().machine.query(bytes(1, 2))), {
    entries: [],
    more: false,
    revision: 0,
  });
});

test("a page tells the revision of the whole store, whatever it holds", () => {
  const store = new Store();
  for (const key of ["a", "b", "c"]) store.put(key, "");
  store.delete("a");
  for (const page of [store.list("b"), store.list("none"), store.list("", "", 1), store.ask({ op: "get", key: "a" })]) {
    assert.is(page.revision, 4);
  }
});

const key = fc.constantFrom("a", "b", "ab", "n", "");
const value: fc.Arbitrary<Value> = fc.oneof(
  fc.string({ maxLength: 4 }),
  fc.uint8Array({ maxLength: 4 }),
  fc.constant("7"),
);
const command: fc.Arbitrary<KeyValueCommand> = fc.oneof(
  fc.record({ op: fc.constant("put" as const), key, value }),
  fc.record({ op: fc.constant("delete" as const), key }),
  fc.record({
    op: fc.constant("cas" as const),
    key,
    expected: fc.oneof(fc.record({ value }), fc.record({ revision: fc.nat(9) })),
    value,
  }),
  fc.record({ op: fc.constant("increment" as const), key, by: fc.maxSafeInteger() }),
  fc.record({ op: fc.constant("append" as const), key, value, valueBytesMax: fc.nat(12) }),
);

/** Everything that can be asked of a machine. */
const contentOf = (store: Store): unknown => ({
  page: store.list(""),
  nextRevision: store.cas("", { revision: 0 }, ""),
});

test("a restored machine is the one that the snapshot was taken of, and goes on alike", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(command, { maxLength: 30 }),
      fc.array(command, { maxLength: 10 }),
      async (before, after) => {
        const [store, restored] = [new Store(), new Store()];
        restored.put("what was there", "goes");
        for (const one of before) store.do(one);
        await restored.machine.restore(fromDisk(store.machine.snapshot()));
        assert.equal(restored.list(""), store.list(""));
        for (const one of after) assert.equal(restored.do(one), store.do(one));
        assert.equal(contentOf(restored), contentOf(store));
      },
    ),
  ));

test("a snapshot is in pieces of bounded size, and stays as it was at the call while commands go on", async () => {
  const store = new Store();
  for (let i = 0; i < 3000; i++) store.put(`key ${i}`, `value ${i}`.repeat(10));
  const before = store.list("", "", 5000);
  const pieces = store.machine.snapshot();
  store.put("key 1", "later");
  const iterator = pieces[Symbol.iterator]();
  const taken = [iterator.next().value];
  for (let i = 0; i < 3000; i += 2) store.delete(`key ${i}`);
  store.put("zzz", "later");
  for (let next = iterator.next(); next.done !== true; next = iterator.next()) taken.push(next.value);

  assert.ok(taken.length > 3);
  assert.ok(taken.every((piece) => piece.byteLength < 100_000));
  const restored = new Store();
  await restored.machine.restore(fromDisk(taken));
  assert.equal(restored.get("key 1")?.revision, 2);
  assert.is(restored.get("zzz"), undefined);
  assert.equal(restored.list("", "", 5000), before);
  assert.equal(restored.put("next", ""), { revision: 3001 });
});

const change = fc.record({ key: fc.nat(2_000), isDeleted: fc.boolean() });

test("nothing that is put or deleted while the pieces are drawn gets into them, nor goes missing from the machine", () =>
  fc.assert(
    fc.property(fc.array(fc.array(change, { maxLength: 400 }), { maxLength: 12 }), (between) => {
      const store = new Store();
      const expected = new Map<string, string>();
      const put = (key: string, value: string): void => {
        store.put(key, value);
        expected.set(key, value);
      };
      // Some hundred nodes of the tree, and a piece for each few of them.
      for (let i = 0; i < 2_000; i++) put(`k${i}`, `first ${i}`.repeat(20));
      const atOnce = [...store.machine.snapshot()];
      const drawn: Uint8Array[] = [];
      const pieces = store.machine.snapshot()[Symbol.iterator]();
      for (const [i, changes] of between.entries()) {
        for (const { key, isDeleted } of changes) {
          if (!isDeleted) put(`k${key}`, `later ${i}`);
          else if (expected.delete(`k${key}`)) store.delete(`k${key}`);
        }
        const { done, value } = pieces.next();
        if (done !== true) drawn.push(value);
      }
      for (let next = pieces.next(); next.done !== true; next = pieces.next()) drawn.push(next.value);
      assert.ok(atOnce.length > 5);
      assert.ok(Buffer.concat(drawn).equals(Buffer.concat(atOnce)));
      const { entries } = store.list("", "", 10_000);
      assert.equal(new Map(entries.map(({ key, value }) => [key, value])), new Map([...expected].sort(byKey)));
    }),
    { numRuns: 30 },
  ));

const byKey = ([a]: readonly [string, string], [b]: readonly [string, string]): number => (a < b ? -1 : 1);

test("the snapshot of an empty machine keeps its revision", async () => {
  const [store, restored] = [new Store(), new Store()];
  store.put("k", "v");
  store.delete("k");
  await restored.machine.restore(fromDisk(store.machine.snapshot()));
  assert.equal(restored.put("k", "v"), { revision: 3 });
});

test("pieces that are no snapshot are refused, and change nothing", async () => {
  const store = new Store();
  store.put("k", "v");
  const [piece = bytes()] = store.machine.snapshot();
  for (const pieces of [[bytes(1)], [piece.subarray(0, -1)], [piece, bytes(1, 2, 3)]]) {
    assert.ok(
      (await store.machine.restore(fromDisk(pieces)).then(
        () => null,
        (error) => error,
      )) instanceof RangeError,
    );
    assert.equal(store.get("k"), { key: "k", value: "v", revision: 1 });
  }
});

test.run();
