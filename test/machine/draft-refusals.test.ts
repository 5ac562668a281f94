/** What a draft does not take, and when: nothing of a change has happened then, and nobody can use a draft that is over. */

import * as assert from "uvu/assert";
import { openDraft, plainOf } from "../../src/machine/draft.ts";
import { suite } from "../support/suite.ts";
import { bank, change, messageOf, refusalOf } from "./drafts.ts";
import { tell } from "./plain-values.ts";

const test = suite("draft: refusals");

const PROTO = "__proto__";

class Person {}

test("what is no plain value is refused with its place, and nothing has changed", () => {
  type Any = {
    [key: string]: unknown;
    map: Map<unknown, unknown>;
    set: Set<unknown>;
    list: unknown[];
    deep: Map<string, Any[]>;
  };
  const any = (): Any => ({ map: new Map([["k", 1]]), set: new Set(["m"]), list: [1, 2], deep: new Map([["x", []]]) });
  const root = { ...any(), deep: new Map([["x", [any()]]]) };
  const deep = (draft: Any): Any => draft.deep.get("x")?.[0] as Any;
  for (const [run, message] of [
    [(draft) => (draft["f"] = () => 1), "f: a function can't be stored"],
    [(draft) => (draft["constructor"] = Object), "constructor: a function can't be stored"],
    [(draft) => (draft["heir"] = Object.create(draft)), "heir: a class instance (Object) can't be stored"],
    [(draft) => draft.list.push(Object.create(draft.map)), "list[2]: a class instance (Map) can't be stored"],
    [
      (draft) => void draft.map.set("new", { p: new Person() }),
      `map["new"].p: a class instance (Person) can't be stored`,
    ],
    [(draft) => void draft.map.set("k", Promise.resolve()), `map["k"]: a Promise can't be stored`],
    [(draft) => void draft.map.set({}, 1), "map: an object as a key or member can't be stored"],
    [(draft) => void draft.map.set(Symbol("s"), 1), "map[Symbol(s)]: a symbol can't be stored"],
    [(draft) => void draft.set.add([]), "set: an object as a key or member can't be stored"],
    [(draft) => void draft.set.add("\ud800"), `set["\\ud800"]: a string with half of a surrogate pair can't be stored`],
    [(draft) => void draft.list.push([Symbol("s")]), "list[2][0]: a symbol can't be stored"],
    [(draft) => (draft.list.length = 5), "list[2]: a hole can't be stored"],
    [(draft) => (draft.list[9] = 1), "list[2]: a hole can't be stored"],
    [(draft) => void delete draft.list[0], "list[0]: a hole can't be stored"],
    [(draft) => (draft["\ud800"] = 1), `["\\ud800"]: a string with half of a surrogate pair can't be stored`],
    [(draft) => (deep(draft)["x"] = { [Symbol("s")]: 1 }), `deep["x"][0].x: a symbol as a key can't be stored`],
    [
      (draft) =>
        void deep(draft).map.set("a", {
          get b() {
            return 1;
          },
        }),
      `deep["x"][0].map["a"].b: an accessor property can't be stored`,
    ],
    [
      (draft) => void deep(draft).list.push(new Map([[{}, 1]])),
      `deep["x"][0].list[2]: an object as a key or member can't be stored`,
    ],
    [(draft) => (draft["big"] = 1n << 600_000n), "big: a bigint of more than 65536 bytes can't be stored"],
  ] as readonly (readonly [(draft: Any) => void, string])[]) {
    const all = (draft: Any): void => {
      draft.map.set("before", 1);
      draft.map.delete("k");
      deep(draft).set.clear();
      run(draft);
      draft.set.add("after");
    };
    assert.is(refusalOf(root as Any, all), message);
  }
});

test("a Map or Set does not get larger than every runtime can make it", () => {
  for (const full of [new Map<number, number>(), new Set<number>()]) {
    Object.defineProperty(full, "size", { value: 2 ** 24 - 1 });
    const add = ({ full }: { full: Map<number, number> | Set<number> }): void =>
      void (full instanceof Map ? full.set(1, 1) : full.add(1));
    assert.is(refusalOf({ full }, add), "full: more than 16777215 keys or members can't be stored");
  }
});

test("what could never be stored is refused where it is written", () => {
  const root = { list: [1], object: { a: 1 } as Record<PropertyKey, unknown> };
  for (const [run, message] of [
    [(draft) => void Object.assign(draft.list, { name: 1 }), "a property of an array (name) can't be stored"],
    [(draft) => (draft.object[Symbol("s")] = 1), "a symbol as a key (Symbol(s)) can't be stored"],
    [
      (draft) => Object.defineProperty(draft.object, "b", { get: () => 1 }),
      "an accessor, hidden or read-only property (b) can't be stored",
    ],
    [
      (draft) => Object.defineProperty(draft.object, "b", { value: 1 }),
      "an accessor, hidden or read-only property (b) can't be stored",
    ],
    [
      (draft) => Object.defineProperty(draft.object, "a", { writable: false }),
      "an accessor, hidden or read-only property (a) can't be stored",
    ],
    [(draft) => Object.freeze(draft.object), "what is in the state can't be frozen"],
    [(draft) => Object.setPrototypeOf(draft.object, null), "what is in the state can't be given a prototype"],
    [(draft) => (draft.object[PROTO] = {}), "__proto__ can't be set: use a Map if keys may be anything"],
  ] as readonly (readonly [(draft: typeof root) => unknown, string])[]) {
    assert.is(refusalOf(root, run), message);
  }
});

test("an own key __proto__ is a key like any other", () => {
  const before = { own: JSON.parse('{"__proto__": {"a": 1}}'), other: {} as Record<string, unknown> };
  const { root } = change(before, (draft) => {
    draft.own[PROTO].a = 2;
    draft.other = { ...draft.own };
    Object.defineProperty(draft.other, "x", { value: 1, writable: true, enumerable: true, configurable: true });
    draft.own["b"] = 1;
    draft.own[PROTO] = { a: 3 };
  });
  assert.is(tell(root), '{"own":{"__proto__":{"a":3},"b":1},"other":{"__proto__":{"a":2},"x":1}}');
  assert.is(Object.getPrototypeOf(root.own), Object.prototype);
});

/** Everything that changes an array, an object, a Map or a Set. */
const WRITES: readonly ((draft: ReturnType<typeof bank>) => unknown)[] = [
  (draft) => (draft.settings.fee = 2),
  (draft) => (draft.settings.fee = 1),
  (draft) => delete (draft.settings as { fee?: number }).fee,
  (draft) => Object.assign(draft.settings, { fee: 3 }),
  (draft) => Object.defineProperty(draft.settings, "fee", { value: 3 }),
  (draft) => Object.freeze(draft.settings),
  (draft) => Object.setPrototypeOf(draft.settings, null),
  (draft) => draft.list.push({ id: 4 }),
  (draft) => draft.list.pop(),
  (draft) => draft.list.shift(),
  (draft) => draft.list.splice(0, 1),
  (draft) => draft.list.reverse(),
  (draft) => draft.list.sort(() => -1),
  (draft) => draft.list.fill({ id: 0 }),
  (draft) => draft.list.copyWithin(0, 1),
  (draft) => (draft.list.length = 0),
  (draft) => draft.accounts.delete("a"),
  (draft) => draft.accounts.clear(),
  (draft) => draft.accounts.set("a", { owner: "", tags: new Set(), opened: new Date(), log: [] }),
  (draft) => draft.accounts.getOrInsert("z", { owner: "", tags: new Set(), opened: new Date(), log: [] }),
  (draft) => draft.accounts.get("a")?.tags.add("z"),
  (draft) => draft.accounts.get("a")?.tags.delete("x"),
  (draft) => draft.accounts.get("a")?.tags.clear(),
];

test("nothing can be changed through a draft that is only to be read", () => {
  const root = bank();
  const before = tell(root);
  const draft = openDraft(root, { readonly: true });
  for (const write of WRITES)
    assert.is(
      messageOf(() => write(draft.root)),
      "a query must not change the state",
      `${write}`,
    );
  draft.root.accounts.get("a")?.opened.setTime(9);
  draft.root.settings.bytes[0] = 9;
  assert.throws(() => draft.commit(), /a query must not change the state/);
  draft.drop();
  assert.is(tell(root), before);
});

test("nothing can be read or changed through a draft that is over", () => {
  for (const end of ["commit", "drop"] as const) {
    const draft = openDraft(bank(), { readonly: false });
    const { accounts, settings, list } = draft.root;
    const a = accounts.get("a");
    if (a === undefined) throw new Error("there is one");
    const { tags } = a;
    const begun = [accounts.entries(), accounts.keys(), tags.values(), list.values()];
    for (const iterator of begun) iterator.next();
    begun.push(accounts.keys(), tags.values());
    const root = draft[end]() ?? bank();
    const over = "the state can't be used any more: the command or query is over";
    const reads = [
      () => settings.fee,
      () => Object.keys(list),
      () => "fee" in settings,
      () => [...accounts],
      () => tags.size,
    ];
    const more = [
      () => accounts.size,
      () => tags.has("x"),
      () => accounts.has("a"),
      () => accounts.get("a"),
      () => plainOf(a),
    ];
    const copies = [() => plainOf({ tags }), () => plainOf([accounts]), () => draft.commit()];
    for (const read of [...reads, ...more, ...copies, ...begun.map((one) => () => one.next())]) {
      assert.is(messageOf(read), over, `${read}`);
    }
    for (const write of WRITES) {
      const parts = { accounts, settings, list } as unknown as ReturnType<typeof bank>;
      assert.is(
        messageOf(() => write(parts)),
        over,
        `${write}`,
      );
    }
    assert.is(
      messageOf(() => tags.add("z")),
      over,
    );
    assert.is(
      messageOf(() => change(root, (next) => void next.accounts.set("c", a))),
      over,
      "nor be kept for the next",
    );
  }
});

test("a plain copy is made of plain values only, and says what is not by its name", () => {
  assert.is(
    messageOf(() => plainOf({ a: [() => 1] }, "result")),
    "result.a[0]: a function can't be stored",
  );
  assert.is(
    messageOf(() => plainOf(() => 1, "result")),
    "result: a function can't be stored",
  );
  assert.is(
    messageOf(() => plainOf([new Person()])),
    "[0]: a class instance (Person) can't be stored",
  );
  assert.is(tell(plainOf(new Map([[[1], 2]]))), "Map(1){[1]=>2}");
  assert.is(plainOf("text"), "text");
});

test("a state is a container", () => {
  for (const root of [null, undefined, 1, "text", new Date(0), new Uint8Array(1)]) {
    assert.throws(() => openDraft(root, { readonly: true }), /a state is an object, an array, a Map or a Set/);
  }
});

test.run();
