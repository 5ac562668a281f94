/** Collections for what comes and goes all the time: they hold what a `Set` and a `Map` would, and nothing that has gone. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { List, PassingMap, type Place } from "../../src/passing.ts";
import { suite } from "../support/suite.ts";

const test = suite("passing");

test("a list holds what was added and not removed, in that order", () =>
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant("add" as const), fc.nat(20))), (steps): void => {
      const list = new List<number>();
      const model: { readonly item: number; readonly place: Place<number> }[] = [];
      let added = 0;
      for (const step of steps) {
        if (step === "add") model.push({ item: added, place: list.add(added++) });
        else {
          const [gone] = model.splice(step % Math.max(1, model.length), 1);
          if (gone === undefined) continue;
          assert.ok(list.remove(gone.place));
          assert.not(list.remove(gone.place));
        }
        assert.equal(
          [...list],
          model.map(({ item }) => item),
        );
        assert.equal([list.size, list.first], [model.length, model[0]?.item]);
      }
    }),
  ));

test("the place of what has left a list leads to nothing that is in it", () => {
  const list = new List<string>();
  const places = ["a", "b", "c"].map((item) => list.add(item));
  for (const place of places) list.remove(place);
  assert.equal(
    places.map(({ before, after }) => [before, after]),
    [
      [null, null],
      [null, null],
      [null, null],
    ],
  );
});

test("a map holds what was set and not deleted, however often it was renewed", () => {
  const map = new PassingMap<number, number>();
  const model = new Map<number, number>();
  const random = fc.sample(fc.nat(), { numRuns: 20_000, seed: 7 });
  for (const [i, number] of random.entries()) {
    const key = number % 500;
    if (i % 3 === 0) assert.is(map.delete(key), model.delete(key));
    else {
      map.set(key, i);
      model.set(key, i);
    }
    assert.is(map.get(key), model.get(key));
    assert.is(map.has(key), model.has(key));
    assert.is(map.size, model.size);
  }
  assert.equal([...map.values()].sort(), [...model.values()].sort());
  map.clear();
  assert.equal([map.size, map.get(random[0] ?? 0)], [0, undefined]);
});

test.run();
