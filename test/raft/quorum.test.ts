/** What a majority is, and what it has agreed on. */

import fc from "fast-check";
import * as assert from "uvu/assert";
import { agreedByMajority, majorityOf, tally } from "../../src/raft/quorum.ts";
import { suite } from "../support/suite.ts";

const test = suite("raft: quorum");

test("two majorities always share a server, and a smaller number does not suffice", () => {
  assert.equal([1, 2, 3, 4, 5, 6, 7].map(majorityOf), [1, 2, 2, 3, 3, 4, 4]);
  for (let count = 1; count < 100; count++) {
    assert.ok(2 * majorityOf(count) > count);
    assert.ok(2 * (majorityOf(count) - 1) <= count);
  }
});

test("what a majority has reached is the largest value that so many have reached", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 9 }), (reached) => {
      const reachedBy = (value: number): number => reached.filter((other) => other >= value).length;
      const agreed = agreedByMajority(reached);
      assert.ok(reachedBy(agreed) >= majorityOf(reached.length));
      assert.ok(reachedBy(agreed + 1) < majorityOf(reached.length));
    }),
  );
});

test("an election is won by a majority of grants, and lost when none can come together any more", () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.boolean()), { minLength: 1, maxLength: 9 }), (answers) => {
      const voters = answers.map((_, i) => `server ${i}`);
      const votes = new Map(
        answers.flatMap((answer, i) => (answer === null ? [] : [[`server ${i}`, answer] as const])),
      );
      const granted = answers.filter((answer) => answer === true).length;
      const unknown = answers.filter((answer) => answer === null).length;
      const majority = majorityOf(voters.length);
      const expected = granted >= majority ? "won" : granted + unknown < majority ? "lost" : "open";
      assert.is(tally(votes, voters), expected);
    }),
  );
});

test("votes of servers that are no voters do not count", () => {
  const votes = new Map(["a", "x", "y", "z"].map((id) => [id, true] as const));
  assert.is(tally(votes, ["a", "b", "c"]), "open");
});

test.run();
