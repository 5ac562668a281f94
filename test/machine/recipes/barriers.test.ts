/** Barriers, entry by entry. */

import * as assert from "uvu/assert";
import { barriers } from "../../../src/machine/recipes/barriers.ts";
import { keyOf } from "../../../src/machine/recipes/checks.ts";
import { suite } from "../../support/suite.ts";
import { Stage } from "./stage.ts";

const test = suite("barriers machine");

const TTL_MS = 1_000;

const staged = (parties: number) => {
  const stage = new Stage(barriers);
  const enter = (owner: string, name = "b") => stage.do("enter", { name, owner, parties, ttlMs: TTL_MS }).token;
  const renew = (owner: string, name = "b") => stage.do("renew", { name, owner });
  return { stage, enter, renew };
};

test("all get through together, once they are so many; who comes then waits for the next time", () => {
  const { stage, enter, renew } = staged(3);
  assert.is(enter("1"), null);
  assert.is(enter("2"), null);
  assert.is(enter("2"), null);
  assert.equal(renew("1"), { token: null });
  const token = enter("3");
  assert.type(token, "number");
  assert.is(stage.timers, 0);
  for (const owner of ["1", "2", "3"]) {
    assert.equal(stage.changes(keyOf("b", owner)), [{ type: "opened", token }]);
    // Those that were not answered ask again.
    assert.equal(renew(owner), { token });
    assert.is(enter(owner), token);
  }
  assert.is(enter("4"), null);
  assert.is(stage.ask("look", "b").waiting, 1);
  enter("5");
  assert.ok(Number(enter("6")) > Number(token));
});

test("who is not heard of, or leaves, does not count", () => {
  const { stage, enter, renew } = staged(3);
  enter("dead");
  enter("alive");
  stage.pass(TTL_MS - 1);
  renew("alive");
  stage.changeLeader();
  stage.pass(TTL_MS - 1);
  assert.is(stage.ask("look", "b").waiting, 2);
  renew("alive");
  stage.pass(1);
  assert.is(renew("dead"), null);
  enter("left");
  assert.ok(stage.do("leave", { name: "b", owner: "left" }));
  assert.not(stage.do("leave", { name: "b", owner: "left" }));
  assert.is(stage.timers, 1);
  assert.is(enter("2"), null);
  assert.type(enter("3"), "number");
  assert.not(stage.do("leave", { name: "b", owner: "2" }));
});

test("nothing grows without a bound, and what makes no sense is refused", () => {
  const { stage, enter, renew } = staged(1);
  for (let i = 0; i < 20_001; i++) enter(`${i}`);
  assert.is(renew("0"), null);
  assert.ok(renew("1"));
  const wish = { name: "b", owner: "1", parties: 2, ttlMs: TTL_MS };
  const refused = (more: object) => () => stage.do("enter", { ...wish, name: "c", ...more });
  assert.throws(refused({ owner: "" }), /INVALID_NAME/);
  assert.throws(refused({ ttlMs: 1 }), /INVALID_TTL/);
  assert.throws(refused({ parties: 0 }), /INVALID_PARTIES/);
  assert.is(refused({})().token, null);
  assert.throws(refused({ owner: "2", parties: 3 }), /PARTIES_DIFFER/);
  const more = (): void => {
    for (let i = 0; i < 10_000; i++) stage.do("enter", { ...wish, name: `b${i}` });
  };
  assert.throws(more, /FULL/);
  stage.pass(TTL_MS);
  more();
});

test.run();
