/** Leases and the keys on them, entry by entry. */

import * as assert from "uvu/assert";
import { leases } from "../../../src/machine/recipes/leases.ts";
import { suite } from "../../support/suite.ts";
import { Stage } from "./stage.ts";

const test = suite("leases machine");

const TTL_MS = 1_000;

const staged = (...owners: readonly string[]) => {
  const stage = new Stage(leases);
  for (const owner of owners) stage.do("grant", { owner, ttlMs: TTL_MS });
  return stage;
};

const keysOf = (stage: ReturnType<typeof staged>, prefix: string): string[] =>
  stage.ask("list", { prefix, after: "" }).entries.map(({ key }) => key);

test("a lease lasts as long as its owner lets know of itself, and its keys as long as it does", () => {
  const stage = staged("a", "b");
  stage.do("put", { owner: "a", key: "w/1", value: 1 });
  stage.do("put", { owner: "b", key: "w/2", value: 2 });
  stage.pass(TTL_MS - 1);
  assert.ok(stage.do("renew", { owner: "a" }));
  stage.pass(1);
  assert.equal(keysOf(stage, "w/"), ["w/1"]);
  assert.not(stage.do("renew", { owner: "b" }));
  assert.not(stage.do("put", { owner: "b", key: "w/2", value: 2 }));
  stage.pass(TTL_MS);
  assert.equal(keysOf(stage, ""), []);
  assert.is(stage.timers, 0);
  assert.equal(
    stage.changes("w/").map((change) => (change as { type: string }).type),
    ["put", "put", "expired", "expired"],
  );
});

test("a new leader gives every lease its whole time again", () => {
  const stage = staged("a");
  stage.pass(TTL_MS - 1);
  stage.changeLeader();
  stage.pass(TTL_MS - 1);
  assert.ok(stage.do("renew", { owner: "a" }));
});

test("who asks again has the lease that it has, and every new one has a larger token", () => {
  const stage = staged();
  const { token } = stage.do("grant", { owner: "a", ttlMs: TTL_MS });
  stage.pass(TTL_MS - 1);
  assert.is(stage.do("grant", { owner: "a", ttlMs: TTL_MS }).token, token);
  stage.pass(TTL_MS - 1);
  assert.ok(stage.do("grant", { owner: "b", ttlMs: TTL_MS }).token > token);
  assert.ok(stage.do("revoke", { owner: "a" }));
  assert.not(stage.do("revoke", { owner: "a" }));
  assert.is(stage.timers, 1);
  assert.ok(stage.do("grant", { owner: "a", ttlMs: TTL_MS }).token > token);
});

test("a key hangs on the lease that has put it last, and not on an earlier one again", () => {
  const stage = staged("old", "new");
  stage.do("put", { owner: "old", key: "k", value: "old" });
  stage.do("put", { owner: "new", key: "k", value: "new" });
  assert.throws(() => stage.do("put", { owner: "old", key: "k", value: "late" }), /TAKEN/);
  assert.not(stage.do("delete", { owner: "old", key: "k" }));
  assert.equal(stage.do("renew", { owner: "old" }), { keys: 0 });
  assert.equal(stage.do("renew", { owner: "new" }), { keys: 1 });
  stage.do("revoke", { owner: "old" });
  assert.is(stage.ask("get", "k")?.value, "new");
  assert.ok(stage.do("delete", { owner: "new", key: "k" }));
  assert.is(stage.ask("get", "k"), null);
  assert.not(stage.do("delete", { owner: "new", key: "k" }));
});

test("who asks for a free key has it if it is free, or was its own under another lease", () => {
  const stage = staged("first", "second", "other");
  const wish = { key: "k", value: 1, isFree: true };
  assert.ok(stage.do("put", { ...wish, owner: "first", author: "a" }));
  assert.ok(stage.do("put", { ...wish, owner: "second", author: "a" }));
  assert.throws(() => stage.do("put", { ...wish, owner: "other", author: "b" }), /TAKEN/);
  assert.ok(stage.do("put", { ...wish, owner: "other", author: "b", isFree: false }));
  assert.throws(() => stage.do("put", { ...wish, owner: "second", author: "a" }), /TAKEN/);
});

test("keys are listed in order, a page at a time, whatever prefix is asked for", () => {
  const stage = staged("a");
  const keys = ["w/2", "w/1", "w", "x/1", "wide/1"];
  for (const key of keys) stage.do("put", { owner: "a", key, value: key });
  assert.equal(keysOf(stage, ""), keys.toSorted());
  assert.equal(keysOf(stage, "w"), ["w", "w/1", "w/2", "wide/1"]);
  assert.equal(keysOf(stage, "w/"), ["w/1", "w/2"]);
  assert.equal(keysOf(stage, "w/2"), ["w/2"]);
  const page = stage.ask("list", { prefix: "w", after: "w", limit: 2 });
  assert.equal([page.entries.map(({ key }) => key), page.more, page.revision], [["w/1", "w/2"], true, 5]);
});

test("nothing grows without a bound, and what makes no sense is refused", () => {
  const stage = staged("a", "b");
  assert.throws(() => stage.do("grant", { owner: "", ttlMs: TTL_MS }), /INVALID_NAME/);
  assert.throws(() => stage.do("grant", { owner: "c", ttlMs: 1 }), /INVALID_TTL/);
  assert.throws(() => stage.do("put", { owner: "a", key: "x".repeat(513), value: 1 }), /INVALID_NAME/);
  assert.throws(() => stage.do("put", { owner: "a", key: "k", value: "x".repeat(70_000) }), /TOO_LARGE/);
  assert.throws(() => stage.ask("list", { prefix: "", after: "", limit: 0 }), /INVALID_LIMIT/);
  for (let i = 0; i < 1_000; i++) stage.do("put", { owner: "a", key: `k/${i}`, value: i });
  assert.throws(() => stage.do("put", { owner: "a", key: "one more", value: 1 }), /FULL/);
  assert.ok(stage.do("put", { owner: "a", key: "k/0", value: "again" }));
  const value = "x".repeat(60_000);
  const fill = (): void => {
    stage.do("grant", { owner: "full", ttlMs: TTL_MS });
    for (let i = 0; i < 1_000; i++) stage.do("put", { owner: "full", key: `full/${i}`, value });
  };
  assert.throws(fill, /FULL/);
  const filled = keysOf(stage, "full/").length;
  for (const owner of ["a", "full"]) stage.do("revoke", { owner });
  stage.do("put", { owner: "b", key: "k", value });
  stage.do("delete", { owner: "b", key: "k" });
  assert.equal(keysOf(stage, ""), []);
  // What is gone takes no room.
  assert.throws(fill, /FULL/);
  assert.ok(keysOf(stage, "full/").length >= filled);
});

test.run();
