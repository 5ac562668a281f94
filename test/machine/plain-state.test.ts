/** Plain state: changed all at once or not at all. */

import * as assert from "uvu/assert";
import { PlainState } from "../../src/machine/plain-state.ts";
import { suite } from "../support/suite.ts";
import { messageOf } from "./drafts.ts";
import { type Containers, tell } from "./plain-values.ts";

const test = suite("plain state");

const toldOf = (state: PlainState<Containers>): string => state.look((root) => tell(root));

test("a command changes the state once it has returned, and a query sees that", () => {
  const state = new PlainState({ accounts: new Map([["a", 1]]), total: 1 });
  const answer = state.change(({ accounts }) => {
    accounts.set("b", 2);
    assert.is(
      state.look((root) => root.accounts.size),
      1,
      "not before it has returned",
    );
    return accounts.size;
  });
  assert.is(answer, 2);
  assert.equal(
    state.look((root) => [...root.accounts]),
    [
      ["a", 1],
      ["b", 2],
    ],
  );
});

test("a command that throws has changed nothing, and the next one goes on", () => {
  const state = new PlainState(new Map([["a", { n: 1 }]]));
  const failure = new Error("mine");
  const run = (draft: Map<string, { n: number }>): void => {
    draft.set("b", { n: 2 });
    for (const value of draft.values()) value.n = 9;
    throw failure;
  };
  assert.throws(
    () => state.change(run),
    (error: unknown) => error === failure,
  );
  assert.throws(() => state.look(run), /a query must not change the state/);
  assert.is(toldOf(state as PlainState<Containers>), 'Map(1){"a"=>{"n":1}}');
  state.change((draft) => void draft.delete("a"));
  assert.is(toldOf(state as PlainState<Containers>), "Map(0){}");
});

test("a draft that was taken along is of no use any more", () => {
  const state = new PlainState(new Map([["a", 1]]));
  const over = "the state can't be used any more: the command or query is over";
  const taken: Map<string, number>[] = [];
  state.look((root) => void taken.push(root));
  state.change((root) => void taken.push(root));
  const failing = (root: Map<string, number>): void => {
    taken.push(root);
    throw new Error("mine");
  };
  assert.throws(() => state.change(failing), /mine/);
  assert.throws(() => state.look(failing), /mine/);
  assert.is(taken.length, 4);
  for (const root of taken) {
    assert.is(
      messageOf(() => root.set("a", 2)),
      over,
    );
    assert.is(
      messageOf(() => root.get("a")),
      over,
    );
  }
});

test("what a command or query returns is a copy, that nobody changes the state by", () => {
  const state = new PlainState({ list: [{ n: 1 }], map: new Map([["k", new Set([1])]]) });
  const whole = state.look((root) => root);
  const part = state.change((draft) => ({ first: draft.list[0], map: draft.map }));
  whole.list.push({ n: 2 });
  whole.map.clear();
  part.map.get("k")?.add(2);
  if (part.first !== undefined) part.first.n = 5;
  assert.is(
    state.look((root) => tell(root)),
    '{"list":[{"n":1}],"map":Map(1){"k"=>Set(1){1}}}',
  );
});

test("what a command returns has to be a plain value, or nothing has happened", () => {
  const state = new PlainState({ n: 1 });
  const returns = (value: () => unknown) => (draft: { n: number }) => {
    draft.n = 2;
    return value();
  };
  for (const [value, message] of [
    [() => [Symbol("s")], "result[0]: a symbol can't be stored"],
    [async () => 1, "a command must be synchronous"],
    [() => Promise.reject(new Error("that nobody waits for")), "a command must be synchronous"],
    [() => ({ then: () => {} }), "a command must be synchronous"],
  ] as const) {
    assert.is(
      messageOf(() => state.change(returns(value))),
      message,
    );
  }
  assert.is(
    messageOf(() => state.look(async () => 1)),
    "a query must be synchronous",
  );
  assert.is(
    state.look((root) => root.n),
    1,
  );
});

test("commands and queries do not call commands", () => {
  const state = new PlainState({ n: 1 });
  const increment = (): void => state.change((draft) => void draft.n++);
  assert.is(
    messageOf(() => state.change(increment)),
    "a command must not call another one",
  );
  assert.is(
    messageOf(() => state.look(increment)),
    "a query must not change the state",
  );
  assert.is(
    messageOf(() => state.change(() => state.set({ n: 5 }))),
    "a command must not call another one",
  );
  const looks = (): void => {
    state.look(() => {});
    increment();
  };
  assert.is(
    messageOf(() => state.change(looks)),
    "a command must not call another one",
  );
  increment();
  assert.is(
    state.look((root) => root.n),
    2,
  );
});

test("a state is a copy of what it is made of, which has to be plain", () => {
  const root = { map: new Map([["k", [1]]]) };
  const state = new PlainState(root);
  root.map.get("k")?.push(2);
  state.change((draft) => draft.map.set("l", []));
  assert.is(tell(root), '{"map":Map(1){"k"=>[1,2]}}');
  assert.is(
    state.look((draft) => tell(draft)),
    '{"map":Map(2){"k"=>[1],"l"=>[]}}',
  );
  assert.is(
    messageOf(() => new PlainState({ f: () => 1 })),
    "f: a function can't be stored",
  );
  assert.is(
    messageOf(() => state.set({ map: new Map([[[], []]]) } as never)),
    "map: an object as a key or member can't be stored",
  );
  for (const none of [undefined, 1, "text", new Date(0)]) assert.throws(() => new PlainState<unknown>(none), TypeError);
});

test.run();
