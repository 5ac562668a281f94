/** Caches, page by page. */

import * as assert from "uvu/assert";
import { caches } from "../../../src/machine/recipes/caches.ts";
import { suite } from "../../support/suite.ts";
import { Stage } from "./stage.ts";

const test = suite("caches machine");

const staged = (values: readonly string[]) => {
  const stage = new Stage(caches);
  const entries = values.map((value, i) => ({ key: `k${i}`, value, ttlMs: null }));
  stage.do("set", { space: "s", entries });
  return (after = "") => stage.ask("list", { space: "s", prefix: "k", after }).map(({ key }) => key);
};

test("a page ends before it is too long for an answer, whatever it is made of", () => {
  const list = staged(["a".repeat(300_000), "€".repeat(200_000), "€".repeat(500_000), "€".repeat(100_000), "c"]);
  assert.equal(list(), ["k0", "k1"]);
  assert.equal(list("k1"), ["k2"]);
  assert.equal(list("k2"), ["k3", "k4"]);
  assert.equal(list("k4"), []);
});

test("a value that fills a page by itself has one", () => {
  const list = staged(["a", "b".repeat(2_000_000), "c"]);
  assert.equal(list(), ["k0"]);
  assert.equal(list("k0"), ["k1"]);
  assert.equal(list("k1"), ["k2"]);
});

test.run();
