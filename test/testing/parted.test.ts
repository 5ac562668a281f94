/** In a parted world replicas come to wrong states, and nobody but the nodes themselves is there to notice. */

import * as assert from "uvu/assert";
import { simulate } from "../../src/testing/index.ts";
import { Replicas } from "../../src/testing/replicas.ts";
import { suite } from "../support/suite.ts";

const test = suite("testing: a parted world");

test("nodes find out who has come to another state, and repair it, whatever else happens", async () => {
  const seen = { misapply: 0, divergences: 0, repairs: 0, comparisons: 0 };
  for (const seed of [1, 2, 3]) {
    const { breach, sights, faultCounts } = await simulate({ seed, profile: "parted" });
    assert.is(breach, null, JSON.stringify(breach));
    seen.misapply += faultCounts.misapply ?? 0;
    seen.divergences += sights.divergences;
    seen.repairs += sights.repairs;
    seen.comparisons += sights.comparisons;
  }
  const { misapply, divergences, repairs, comparisons } = seen;
  assert.ok(misapply > 2 && divergences > 2 && repairs > 2 && comparisons > 50, JSON.stringify(seen));
});

test("a state that is told to be wrong has to be", () => {
  const reported: string[] = [];
  const replicas = new Replicas((invariant) => void reported.push(invariant));
  const [a, b] = [new Uint8Array([1]), new Uint8Array([2])];
  for (const id of ["n1", "n2", "n3"]) replicas.begin(id, 0);
  for (const id of ["n1", "n2"]) replicas.applied(id, 1, 1, a, a);
  assert.not(replicas.mayBeOutnumbered(3));
  replicas.misapplied("n3");
  replicas.applied("n3", 1, 1, a, b);
  replicas.hasState("n1", 7);
  replicas.hasState("n3", 8);
  assert.equal([reported, replicas.isWrong("n3"), replicas.areRight], [[], true, false]);
  replicas.restored("n3", 1, 8, true);
  assert.ok(replicas.isWrong("n3"), "it was a snapshot of its own");
  replicas.restored("n3", 1, 7, true);
  assert.ok(replicas.areRight);
  replicas.restored("n3", 0, 7, false);
  assert.equal(reported, ["applied-in-order"], "only what is wrong may be replaced by what is older");
  replicas.misapplied("n2");
  replicas.restored("n3", 1, 9, true);
  assert.ok(replicas.mayBeOutnumbered(3), "two of three may be wrong by now");
});

test.run();
