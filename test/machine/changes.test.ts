/** What the key-value store remembers of its changes: every one, in order, as far back as its bounds allow. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { KeyValueMachine } from "../../src/machine/index.ts";
import {
  type Change,
  type ChangesPage,
  decodeChanges,
  encodeCommand,
  encodeQuery,
  type KeyValueCommand,
  type Value,
} from "../../src/machine/key-value-protocol.ts";
import type { Operation, TransactionCommand } from "../../src/machine/key-value-transaction.ts";
import { CHANGES_BOUNDS, type ChangesBounds } from "../../src/machine/recent-changes.ts";
import { fromDisk } from "../support/pieces.ts";
import { suite } from "../support/suite.ts";

const test = suite("key-value: changes");

/** The machine, asked what has changed. */
class Store {
  readonly machine: KeyValueMachine;

  constructor(bounds?: ChangesBounds) {
    this.machine = new KeyValueMachine(bounds);
  }
  do(command: KeyValueCommand | TransactionCommand): void {
    this.machine.apply(encodeCommand(command));
  }
  put(key: string, value: Value = ""): void {
    this.do({ op: "put", key, value });
  }
  delete(key: string): void {
    this.do({ op: "delete", key });
  }
  /** All of that in one transaction. */
  transact(...success: readonly Operation[]): void {
    const limits = { valueBytesMax: 1_000_000, bytesMax: 10_000_000 };
    this.machine.apply(encodeCommand({ op: "transaction", compare: [], success, failure: [], ...limits }));
  }
  putAll(...keys: readonly string[]): void {
    this.transact(...keys.map((key) => ({ op: "put" as const, key, value: "" })));
  }
  page(prefix: string, fromRevision = 1, limit = 1_000): ChangesPage {
    return decodeChanges(this.machine.query(encodeQuery({ op: "changes", prefix, fromRevision, limit })));
  }
  changes(prefix: string, fromRevision = 1, limit = 1_000): readonly Change[] {
    const page = this.page(prefix, fromRevision, limit);
    if (page.type === "compacted") throw new Error(`compacted: ${page.firstRevision}`);
    return page.changes;
  }
  poll(prefix: string, fromRevision: number): ChangesPage | null {
    const answer = this.machine.poll(encodeQuery({ op: "changes", prefix, fromRevision, limit: 1_000 }));
    return answer === null ? null : decodeChanges(answer);
  }
  firstRevision(): number {
    const page = this.page("", 0);
    return page.type === "compacted" ? page.firstRevision : 0;
  }
}

test("every change is there, with what the key held afterwards", () => {
  const store = new Store();
  store.put("a", "1");
  store.do({ op: "increment", key: "a", by: 2 });
  store.do({ op: "append", key: "a", value: "!", valueBytesMax: 100 });
  store.do({ op: "cas", key: "a", expected: { value: "3!" }, value: Uint8Array.of(1, 2) });
  store.delete("a");
  assert.equal(store.changes(""), [
    { type: "put", key: "a", value: "1", revision: 1 },
    { type: "put", key: "a", value: "3", revision: 2 },
    { type: "put", key: "a", value: "3!", revision: 3 },
    { type: "put", key: "a", value: Uint8Array.of(1, 2), revision: 4 },
    { type: "delete", key: "a", revision: 5 },
  ]);
});

test("what changes nothing is no change", () => {
  const store = new Store();
  store.put("a", "text");
  store.delete("none");
  store.do({ op: "increment", key: "a", by: 1 });
  store.do({ op: "cas", key: "a", expected: { revision: 9 }, value: "x" });
  store.do({ op: "append", key: "a", value: "long", valueBytesMax: 1 });
  assert.equal(store.page(""), { type: "changes", changes: store.changes("", 1), nextRevision: 2 });
  assert.is(store.changes("").length, 1);
});

test("only keys with the prefix are told of, and how far was looked for them", () => {
  const store = new Store();
  for (const key of ["a/1", "b", "a/2", "b", "b"]) store.put(key);
  const page = store.page("a/", 2);
  assert.equal(page, {
    type: "changes",
    changes: [{ type: "put", key: "a/2", value: "", revision: 3 }],
    nextRevision: 6,
  });
  assert.equal(store.page("a/", 2, 1), { ...page, nextRevision: 4 }, "a page that is full has not looked further");
  assert.equal(store.page("a/", 9), { type: "changes", changes: [], nextRevision: 9 }, "the future is not there yet");
});

test("a question about changes waits until there are some, whoever is behind asks in vain no more than once", () => {
  const store = new Store();
  assert.is(store.poll("a", 1), null);
  assert.is(store.poll("a", 7), null);
  store.put("b");
  assert.is(store.poll("a", 1), null, "of other keys there may be many");
  store.put("a");
  assert.equal(store.poll("a", 1)?.type, "changes");
  for (let i = 0; i < 999; i++) store.put("b");
  assert.is(store.poll("a", 3), null);
  store.put("b");
  assert.equal(store.poll("a", 3), { type: "changes", changes: [], nextRevision: 1_003 });
});

test("what else is asked of the machine is answered at once, waiting or not", () => {
  const { machine } = new Store();
  for (const query of [encodeQuery({ op: "get", key: "k" }), Uint8Array.of(99)]) {
    assert.equal(machine.poll(query), machine.query(query));
  }
});

test("of too many changes the oldest go, and who asks for them is told where to go on", () => {
  const store = new Store({ countMax: 3, sizeMax: 1_000 });
  for (let i = 1; i <= 5; i++) store.put(`k${i}`);
  assert.equal(store.page("k", 2), { type: "compacted", firstRevision: 3 });
  assert.equal(store.poll("none", 2), { type: "compacted", firstRevision: 3 }, "even if none of them were its own");
  assert.equal(
    store.changes("", 3).map(({ revision }) => revision),
    [3, 4, 5],
  );
});

test("large values push out more than one, and one that is too large for all leaves nothing", () => {
  const store = new Store({ countMax: 100, sizeMax: 1_000 });
  for (let i = 1; i <= 5; i++) store.put("k", new Uint8Array(100));
  assert.is(store.firstRevision(), 1);
  store.put("k", "x".repeat(600));
  assert.is(store.firstRevision(), 4);
  store.put("k", "x".repeat(1_000));
  assert.is(store.firstRevision(), 8);
  assert.is(store.poll("k", 8), null);
  store.put("k");
  assert.is(store.changes("k", 8).length, 1);
});

test("by default sixty thousand changes are kept, or eight megabytes of them", () => {
  const [many, large] = [new Store(), new Store()];
  for (let i = 0; i < 70_000; i++) many.put("k");
  assert.is(many.firstRevision(), 70_000 - 65_536 + 1);
  for (let i = 0; i < 20; i++) large.put("k", new Uint8Array(1024 * 1024));
  assert.is(large.firstRevision(), 14);
  assert.equal(CHANGES_BOUNDS, { countMax: 65_536, sizeMax: 8 * 1024 * 1024 });
});

test("a page is bounded in bytes and in what it passes by, and the pages together are all there is", () => {
  const store = new Store();
  for (let i = 0; i < 25_000; i++)
    store.put(i % 100 === 0 ? `a${i}` : `b${i}`, i % 100 === 0 ? "x".repeat(10_000) : "");
  const revisions: number[] = [];
  let pages = 0;
  for (let from = 1; from <= 25_000; pages++) {
    const page = store.page("a", from, 10_000);
    if (page.type === "compacted") throw new Error("compacted");
    assert.ok(page.nextRevision > from && page.nextRevision <= from + 10_000);
    assert.ok(page.changes.length <= 30);
    revisions.push(...page.changes.map(({ revision }) => revision));
    from = page.nextRevision;
  }
  assert.equal(
    revisions,
    Array.from({ length: 250 }, (_, i) => 100 * i + 1),
  );
  assert.ok(pages < 20, `${pages}`);
});

test("the changes of a transaction have a revision each, and all but the last say that there is more", () => {
  const store = new Store();
  store.put("b");
  store.transact({ op: "put", key: "a", value: "1" }, { op: "get", key: "a" }, { op: "delete", key: "none" });
  store.transact(
    { op: "delete", key: "a" },
    { op: "increment", key: "n", by: 1 },
    { op: "append", key: "b", value: "!" },
  );
  store.put("b");
  assert.equal(store.changes("", 2), [
    { type: "put", key: "a", value: "1", revision: 2 },
    { type: "delete", key: "a", revision: 3, more: true },
    { type: "put", key: "n", value: "1", revision: 4, more: true },
    { type: "put", key: "b", value: "!", revision: 5 },
    { type: "put", key: "b", value: "", revision: 6 },
  ]);
});

test("who watches some keys is told that there is more if it is of those", () => {
  const store = new Store();
  store.putAll("a/1", "b/1", "a/2", "b/2");
  const told = (prefix: string) => store.changes(prefix).map(({ key, more }) => `${key}${more === true ? " …" : ""}`);
  assert.equal(told("a/"), ["a/1 …", "a/2"]);
  assert.equal(told("b/"), ["b/1 …", "b/2"]);
  assert.equal(told("a/1"), ["a/1"]);
  assert.equal(told(""), ["a/1 …", "b/1 …", "a/2 …", "b/2"], "and nothing of that is remembered");
});

test("no page ends within a transaction, however little of it was asked for, and however large it is", () => {
  const store = new Store();
  const keys = Array.from({ length: 128 }, (_, i) => `k${i}`);
  store.put("k");
  store.putAll(...keys);
  store.put("k");
  assert.is(store.changes("k", 1, 1).length, 1);
  assert.equal(store.page("k", 2, 1), { type: "changes", changes: store.changes("k", 2, 128), nextRevision: 130 });
  assert.equal(store.page("none", 2, 1), { type: "changes", changes: [], nextRevision: 131 });
  assert.is(store.changes("k", 1, 2).length, 129);
  assert.is(store.changes("k", 100, 1).length, 30, "whoever begins within one is given the rest of it");

  const [large, far] = [new Store(), new Store()];
  large.transact(...keys.map((key) => ({ op: "put" as const, key, value: "x".repeat(10_000) })));
  assert.is(large.changes("k").length, 128);
  for (let i = 0; i < 9_950; i++) far.put("other");
  far.putAll(...keys);
  far.put("k");
  const page = far.page("k");
  assert.equal(
    [page.type === "changes" && page.changes.length, "nextRevision" in page && page.nextRevision],
    [128, 10_079],
  );
});

test("a transaction is forgotten as a whole, and one that is too large for all at once", () => {
  const store = new Store({ countMax: 5, sizeMax: 1_000 });
  store.putAll("a", "b", "c");
  store.putAll("d", "e");
  assert.is(store.firstRevision(), 1);
  store.put("f");
  assert.is(store.firstRevision(), 4);
  store.putAll("g", "h", "i", "j");
  assert.is(store.firstRevision(), 6);
  store.putAll("1", "2", "3", "4", "5", "6");
  assert.is(store.firstRevision(), 17);
  store.put("k");
  assert.equal(store.changes("", 17).length, 1);
});

const step = fc.oneof(
  fc.record({ op: fc.constant("put" as const), key: fc.constantFrom("a", "b"), value: fc.string({ maxLength: 30 }) }),
  fc.record({ op: fc.constant("delete" as const), key: fc.constantFrom("a", "b") }),
  fc.record({ op: fc.constant("increment" as const), key: fc.constantFrom("a", "n"), by: fc.nat(3) }),
  fc.record({
    op: fc.constant("transaction" as const),
    compare: fc.constant([]),
    success: fc
      .subarray(["a", "b", "n", "x"])
      .map((keys) => keys.map((key) => ({ op: "put" as const, key, value: "v" }))),
    failure: fc.constant([]),
    valueBytesMax: fc.constant(100),
    bytesMax: fc.constant(1_000),
  }),
);

test("a restored machine remembers the same changes, and forgets them alike", () =>
  fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.array(step, { maxLength: 20 }), async (before, after) => {
      const bounds = { countMax: 8, sizeMax: 300 };
      const [store, restored] = [new Store(bounds), new Store(bounds)];
      restored.put("what was there", "goes");
      for (const one of before) store.do(one);
      await restored.machine.restore(fromDisk(store.machine.snapshot()));
      for (const one of [null, ...after]) {
        if (one !== null) for (const machine of [store, restored]) machine.do(one);
        for (let from = 0; from <= before.length + after.length + 1; from++) {
          assert.equal(restored.page("", from), store.page("", from));
        }
      }
      assert.equal([...restored.machine.snapshot()], [...store.machine.snapshot()]);
    }),
    { numRuns: 50 },
  ));

test("a snapshot has the changes as they were, though more are made and forgotten while it is drawn", () => {
  const store = new Store({ countMax: 4, sizeMax: 1_000 });
  for (let i = 0; i < 6; i++) store.put("k", `${i}`);
  const atOnce = [...store.machine.snapshot()];
  const pieces = store.machine.snapshot();
  for (let i = 0; i < 6; i++) store.put("k", "later");
  assert.equal([...pieces], atOnce);
});

test("pieces of different revisions, or that lack some changes, are refused", async () => {
  const piecesAt = (revision: number): [Uint8Array, Uint8Array] => {
    const store = new Store();
    for (let i = 1; i <= revision; i++) store.put("k", `${i}`);
    const [entries = new Uint8Array(0), changes = new Uint8Array(0)] = store.machine.snapshot();
    return [entries, changes];
  };
  const [entries, changes] = piecesAt(4);
  const [oldEntries, oldChanges] = piecesAt(3);
  const store = new Store();
  store.put("k");
  for (const pieces of [
    [],
    [entries],
    [entries, oldEntries, changes],
    [entries, oldChanges],
    [entries, changes, changes],
    [entries, changes, Uint8Array.of(3, ...changes.subarray(1))],
  ]) {
    const failure = await store.machine.restore(fromDisk(pieces)).catch((error: unknown) => error);
    assert.instance(failure, RangeError);
    assert.is(store.changes("k").length, 1);
  }
});

test("changes that end within a transaction are refused", async () => {
  const store = new Store();
  store.putAll("a", "b");
  const [entries = new Uint8Array(0), changes = new Uint8Array(0)] = store.machine.snapshot();
  // The last change ends in its kind of value, which is text, and the length of that, which is none.
  const forged = changes.slice();
  forged.set([0x80], forged.byteLength - 5);
  assert.is(forged.byteLength, changes.byteLength);
  await store.machine.restore(fromDisk([entries, changes]));
  const failure = await store.machine.restore(fromDisk([entries, forged])).catch((error: unknown) => error);
  assert.match(String(failure), /RangeError: the changes end within a transaction/);
});

test.run();
