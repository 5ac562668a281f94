/** Drafts of plain state: like what they are of, and nothing of it changes before they are committed, nor if they are not. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { openDraft, plainOf, stateOf } from "../../src/machine/draft.ts";
import { Transaction } from "../../src/machine/draft-node.ts";
import { suite } from "../support/suite.ts";
import { bank, change, refusalOf } from "./drafts.ts";
import { type Containers, isTree, stateRoot, tell, untangled } from "./plain-values.ts";
import { runOnBoth, step } from "./programs.ts";

const test = suite("draft");

const programs = fc.array(fc.array(step, { maxLength: 12 }), { minLength: 1, maxLength: 4 });

test("what was committed is what the same program makes of a plain copy, orders included", () =>
  fc.assert(
    fc.property(stateRoot, programs, (initial, transactions) => {
      let root = stateOf(initial);
      let model = untangled(root);
      for (const steps of transactions) {
        ({ root } = change(root, (draft) => runOnBoth(steps, draft, model)));
        assert.is(tell(root), tell(model));
        isTree(root);
        model = untangled(model);
      }
    }),
    { numRuns: 2_000 },
  ));

test("what was dropped, read or refused has left no trace", () =>
  fc.assert(
    fc.property(stateRoot, fc.array(step, { maxLength: 12 }), fc.boolean(), (initial, steps, isRefused) => {
      const root = stateOf(initial);
      const before = tell(root);
      const draft = openDraft(root, { readonly: false });
      runOnBoth(steps, draft.root, untangled(root));
      if (isRefused) {
        put(draft.root, () => 1);
        assert.throws(() => draft.commit(() => assert.unreachable("something was about to change")), TypeError);
      }
      draft.drop();
      assert.is(tell(root), before);
      isTree(root);
    }),
    { numRuns: 1_000 },
  ));

/** Puts a value in, wherever it may be. */
function put(container: Containers, value: unknown): void {
  if (container instanceof Map) container.set("last", value);
  else if (container instanceof Set) container.add(value);
  else if (Array.isArray(container)) container.push(value);
  else container["last"] = value;
}

test("what is read is a copy that shares nothing with the state", () =>
  fc.assert(
    fc.property(stateRoot, fc.array(step, { maxLength: 5 }), (initial, steps) => {
      const root = stateOf(initial);
      const draft = openDraft(root, { readonly: false });
      runOnBoth(steps, draft.root, untangled(root));
      const told = tell(draft.root);
      const copy = plainOf(draft.root);
      draft.drop();
      assert.is(tell(copy), told);
      isTree([root, copy]);
    }),
  ));

test("drafts are what they look like", () => {
  const { root } = openDraft(bank(), { readonly: true });
  assert.instance(root.accounts, Map);
  const a = root.accounts.get("a");
  assert.instance(a?.tags, Set);
  assert.instance(root.list, Array);
  assert.ok(Array.isArray(root.list));
  assert.is(JSON.stringify(root.list), '[{"id":1},{"id":2},{"id":3}]');
  assert.equal(Object.keys(root), ["accounts", "settings", "list"]);
  assert.is(Object.prototype.toString.call(root.accounts), "[object Map]");
  assert.is(root.accounts.constructor, Map);
  assert.is(Object.getPrototypeOf(root.settings), Object.prototype);
  assert.is(Reflect.get(root.settings, "__proto__"), Reflect.get({}, "__proto__"));
  assert.equal([...Reflect.ownKeys(root.accounts), ...Reflect.ownKeys(a?.tags ?? {})], []);
  assert.is(root.settings, root.settings);
  assert.is(root.list[1], root.list[1]);
  assert.is(root.accounts.get("a"), [...root.accounts.values()][0]);
  assert.is(a?.opened, a?.opened);
  assert.equal(
    [...root.accounts.keys()].map((key) => key.toUpperCase()),
    ["A", "B"],
  );
  assert.is(root.accounts.entries()[Symbol.toStringTag] !== undefined, true);
});

test("what takes a Map or Set takes the draft of one, and misses nothing of it", () => {
  change(
    {
      map: new Map([
        [1, "a"],
        [2, "b"],
      ]),
      set: new Set([1, 2]),
    },
    ({ map, set }) => {
      map.delete(1);
      map.set(3, "c");
      set.delete(1);
      set.add(3);
      for (const copy of [new Map(map), new Map([...map]), new Map(Array.from(map)), new Map(map.entries())]) {
        assert.equal(
          [...copy],
          [
            [2, "b"],
            [3, "c"],
          ],
        );
      }
      for (const copy of [new Set(set), [...set], Array.from(set), new Set(set.values()), Array.from(set.keys())]) {
        assert.equal([...copy], [2, 3]);
      }
      assert.equal(Object.fromEntries(map), { 2: "b", 3: "c" });
      const [first, ...others] = set;
      assert.equal([first, others], [2, [3]]);
      assert.equal(Math.max(...set), 3);
      assert.equal(
        Array.from(map, ([key]) => key),
        [2, 3],
      );
      assert.equal(new Uint8Array(set), new Uint8Array([2, 3]));
      assert.equal([...(new WeakSet([map]) instanceof WeakSet ? [1] : [])], [1]);
    },
  );
});

test("a value can be looked up or made, on every runtime", () => {
  const { root } = change(new Map([["a", [1]]]), (draft) => {
    draft.getOrInsert("a", []).push(2);
    draft.getOrInsert("b", []).push(3);
    draft.getOrInsertComputed("c", (key) => [key.length]).push(4);
    draft.getOrInsertComputed("a", () => []).push(5);
  });
  assert.is(tell(root), 'Map(3){"a"=>[1,2,5],"b"=>[3],"c"=>[1,4]}');
});

test("a method that Maps and Sets get later does not look past the draft in silence", async () => {
  for (const real of [Map, Set]) Object.defineProperty(real.prototype, "later", { value: () => 1, configurable: true });
  try {
    // Others, which have not seen the real ones without it. Bun tells them apart by their paths only.
    const anew = (file: string): Promise<unknown> =>
      import(`${new URL(`../../src/machine/${file}`, import.meta.url).pathname}?later`);
    const { DraftMap } = (await anew("draft-map.ts")) as typeof import("../../src/machine/draft-map.ts");
    const { DraftSet } = (await anew("draft-set.ts")) as typeof import("../../src/machine/draft-set.ts");
    const transaction = new Transaction(false, (_, value) => value);
    for (const draft of [new DraftMap(transaction, new Map(), 1), new DraftSet(transaction, new Set(), 1)]) {
      assert.throws(() => Reflect.get(draft, "later").call(draft), /\.prototype\.later is not known/);
    }
  } finally {
    for (const real of [Map, Set]) Reflect.deleteProperty(real.prototype, "later");
  }
});

test("a draft is not cloned as if it were empty", () => {
  const { root } = openDraft(bank(), { readonly: true });
  for (const draft of [root, root.accounts, root.accounts.get("a")?.tags, root.list]) {
    assert.throws(
      () => structuredClone(draft),
      (error: unknown) => error instanceof Error && error.name === "DataCloneError",
    );
  }
});

test("Maps and Sets change in place, objects and arrays are replaced, and what was not touched stays", () => {
  const before = bank();
  const { accounts, settings, list } = before;
  const [a, b] = [accounts.get("a"), accounts.get("b")];
  const [first, second, third] = list;
  const { root, changed } = change(before, (draft) => {
    const account = draft.accounts.get("a");
    if (account !== undefined) account.owner = "eve";
    draft.accounts.get("b")?.tags.add("z");
    const item = draft.list[1];
    if (item !== undefined) item.id = 5;
  });
  assert.is(before.list, list, "the old root is as it was");
  assert.equal(list, [{ id: 1 }, { id: 2 }, { id: 3 }]);
  assert.equal(root.list, [{ id: 1 }, { id: 5 }, { id: 3 }]);
  assert.is(root.accounts, accounts);
  assert.is(root.settings, settings);
  assert.is(root.list[0], first);
  assert.is.not(root.list[1], second);
  assert.is(root.list[2], third);
  assert.is(a?.owner, "ann");
  assert.is(accounts.get("a")?.owner, "eve");
  assert.is(accounts.get("a")?.log, a?.log);
  assert.is(accounts.get("b"), b);
  assert.equal(new Set(changed), new Set([accounts, b?.tags]));
});

test("what was only read, or written as it was, changes nothing", () => {
  const before = { ...bank(), none: new Map(), noMember: new Set() };
  const { root, changed } = change(before, (draft) => {
    for (const account of draft.accounts.values()) {
      account.log.map(({ n }) => n);
      account.owner += "";
      account.opened.getTime();
      account.tags.add([...account.tags][0] ?? "");
    }
    draft.settings.bytes.fill(1, 0, 1);
    draft.accounts.delete("none");
    draft.none.clear();
    draft.noMember.clear();
    draft.list.sort((x, y) => x.id - y.id);
  });
  assert.is(tell(root), tell(before));
  assert.equal(changed, []);
  assert.is(root.settings, before.settings);
});

test("Dates and bytes that were changed in place are written back", () => {
  const before = bank();
  const { opened } = before.accounts.get("a") ?? {};
  const { root } = change(before, (draft) => {
    draft.accounts.get("a")?.opened.setTime(7);
    draft.settings.bytes[1] = 9;
  });
  assert.is(opened?.getTime(), 1);
  assert.is(root.accounts.get("a")?.opened.getTime(), 7);
  assert.equal([...before.settings.bytes], [1, 2]);
  assert.equal([...root.settings.bytes], [1, 9]);
});

test("a key that was deleted and set again stands at the end", () => {
  const root = new Map<string, number>([
    ["a", 1],
    ["b", 2],
    ["c", 3],
  ]);
  change(root, (draft) => {
    draft.set("b", 20);
    draft.delete("a");
    draft.set("a", 10);
  });
  assert.equal(
    [...root],
    [
      ["b", 20],
      ["c", 3],
      ["a", 10],
    ],
  );
  change(root, (draft) => {
    draft.clear();
    draft.set("c", 1);
    draft.set("b", 2);
  });
  assert.equal(
    [...root],
    [
      ["c", 1],
      ["b", 2],
    ],
  );
});

interface Node {
  value: number;
  next?: Node;
  map?: Map<string, Node>;
}

test("a value that is put in two places becomes two", () => {
  const fresh: Node = { value: 1, map: new Map() };
  const { root } = change({ a: { value: 0 } as Node, list: [] as Node[] }, (draft) => {
    draft.list.push(fresh, fresh, draft.a, draft.a);
    fresh.value = 2;
    draft.a.value = 3;
  });
  assert.is(tell(root.list.map(({ value }) => value)), "[2,2,3,3]");
  isTree([root, fresh]);
  change(root, (draft) => draft.list[0]?.map?.set("k", { value: 1 }));
  assert.equal(
    root.list.map(({ map }) => map?.size),
    [1, 0, undefined, undefined],
  );
});

test("what was put in stays the program's own: it may change it later, or put it into other states", () => {
  const constant = { map: new Map<string, number>(), list: [1] };
  const [one, other] = [{ it: { ...constant } }, { it: { ...constant } }].map(
    (root) => change(root, (draft) => (draft.it = constant)).root,
  );
  if (one === undefined || other === undefined) throw new Error("there are two");
  change(one, (draft) => void draft.it.map.set("k", 1));
  constant.list.push(2);
  assert.is(tell([one, other]), '[{"it":{"map":Map(1){"k"=>1},"list":[1]}},{"it":{"map":Map(0){},"list":[1]}}]');
  assert.is(constant.map.size, 0);
});

test("what is moved to one other place is not copied, with what has changed in it", () => {
  const map = new Map([["k", { value: 1 } as Node]]);
  const before: { from: { map?: Map<string, Node> }; to: { map?: Map<string, Node> } } = { from: { map }, to: {} };
  const { root, changed } = change(before, (draft) => {
    const moved = draft.from.map;
    if (moved === undefined) return;
    moved.set("l", { value: 2 });
    delete draft.from.map;
    draft.to.map = moved;
  });
  assert.is(root.to.map, map);
  assert.is(map.size, 2);
  assert.equal(changed, [map]);
  const list = [{ value: 1 }, { value: 2 }, { value: 3 }];
  const shifted = change(list, (draft) => void draft.shift()).root;
  assert.is(shifted[0], list[1]);
  assert.is(shifted[1], list[2]);
});

test("a value that was taken out can be changed and put back", () => {
  const { root } = change(bank(), (draft) => {
    const account = draft.accounts.get("a");
    if (account === undefined) return;
    draft.accounts.delete("a");
    account.owner = "new";
    account.tags.add("more");
    draft.accounts.set("c", account);
  });
  assert.equal([...root.accounts.keys()], ["b", "c"]);
  assert.is(tell([root.accounts.get("c")?.owner, root.accounts.get("c")?.tags]), '["new",Set(2){"x","more"}]');
});

test("a value that would stand within itself is refused", () => {
  const root = { a: { value: 1 } as Node };
  assert.is(
    refusalOf(root, (draft) => (draft.a.next = draft.a)),
    "a.next: a cycle can't be stored",
  );
  assert.is(
    refusalOf(root, (draft) => (draft.a.map = new Map([["k", draft.a]]))),
    `a.map["k"]: a cycle can't be stored`,
  );
  const fresh: Node = { value: 2 };
  fresh.next = fresh;
  assert.is(
    refusalOf(root, (draft) => (draft.a = fresh)),
    "a.next: a cycle can't be stored",
  );
  const { root: moved } = change(root, (draft) => (draft.a = { value: 2, next: draft.a }));
  assert.is(tell(moved), '{"a":{"value":2,"next":{"value":1}}}');
});

test("nothing comes to stand too deep, however it gets there", () => {
  let root: Node = { value: 0 };
  const nest = (draft: Node): void => {
    const next = draft.next;
    draft.next = { value: 1, ...(next && { next }) };
  };
  for (let depth = 2; depth <= 100; depth++) ({ root } = change(root, nest));
  assert.match(refusalOf(root, nest), /^(\.?next){100}: a container within 100 others can't be stored$/);
});

test("a draft of another state is copied as it is", () => {
  const other = openDraft(bank(), { readonly: false });
  other.root.list.push({ id: 4 });
  const { root } = change({ list: [] as { id: number }[] }, (draft) => (draft.list = other.root.list));
  assert.is(root.list.length, 4);
  other.drop();
  assert.is(root.list.length, 4);
});

test("a change of one entry does not depend on how many there are", () => {
  const timeOf = (size: number): number => {
    const root = new Map(Array.from({ length: size }, (_, i) => [i, { n: i }]));
    const started = performance.now();
    for (let i = 0; i < 2_000; i++) change(root, (draft) => void draft.set(i % size, { n: i }));
    return performance.now() - started;
  };
  timeOf(10);
  assert.ok(timeOf(100_000) < 500);
});

test.run();
