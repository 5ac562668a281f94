/** What a majority is, and what it has agreed on; in a joint configuration, two of them (thesis, 4.3). */

import fc from "fast-check";
import * as assert from "uvu/assert";
import { type Configuration, type MemberRole, memberOf } from "../../src/raft/index.ts";
import { agreedByQuorum, isQuorum, majorityOf, type Tally, tally } from "../../src/raft/quorum.ts";
import { suite } from "../support/suite.ts";
import { SETS, setsOf } from "./majorities.ts";
import { urlOf } from "./server.ts";

const test = suite("raft: quorum");

const members = (roles: Readonly<Record<string, MemberRole>>): Configuration => ({
  members: Object.entries(roles).map(([id, role]) => memberOf(id, urlOf(id), role)),
});

/** "s0", "s1" and so on, all of them voters. */
const votersOnly = (count: number): Configuration =>
  members(Object.fromEntries(Array.from({ length: count }, (_, i) => [`s${i}`, "voter"])));

const anyConfiguration = fc
  .array(fc.constantFrom<MemberRole>("voter", "voter", "learner", "incoming", "demoting", "leaving"), {
    minLength: 1,
    maxLength: 7,
  })
  .map((roles) => members(Object.fromEntries(roles.map((role, i) => [`s${i}`, role]))))
  .filter(({ members }) => members.some(({ role }) => SETS[role].includes("new")))
  .filter(({ members }) => members.some(({ role }) => SETS[role].includes("old")));

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
      const agreed = agreedByQuorum(votersOnly(reached.length), (id) => reached[Number(id.slice(1))] ?? 0);
      const reachedBy = (value: number): number => reached.filter((other) => other >= value).length;
      assert.ok(reachedBy(agreed) >= majorityOf(reached.length));
      assert.ok(reachedBy(agreed + 1) < majorityOf(reached.length));
    }),
  );
});

test("a quorum of a joint configuration is a majority of the old set and one of the new (4.3)", () => {
  const joint = members({ a: "voter", b: "leaving", c: "demoting", d: "incoming", e: "incoming", f: "learner" });
  const suffices = (...ids: string[]): boolean => isQuorum(joint, (id) => ids.includes(id));

  assert.ok(suffices("a", "b", "d"));
  assert.not(suffices("a", "b", "c"), "all of the old set, and one of the new");
  assert.not(suffices("a", "d", "e"), "all of the new set, and one of the old");
  assert.not(suffices("b", "d", "f"), "one of either, and a learner");
  assert.ok(suffices("b", "c", "d", "e"), "without the one that is in both");
});

test("what a quorum has reached, any configuration's majorities have reached, and nothing more (4.3)", () => {
  fc.assert(
    fc.property(anyConfiguration, fc.array(fc.nat(5), { minLength: 7, maxLength: 7 }), (configuration, reached) => {
      const reachedBy = (id: string): number => reached[Number(id.slice(1))] ?? 0;
      const agreed = agreedByQuorum(configuration, reachedBy);
      const majoritiesReach = (value: number): boolean =>
        setsOf(configuration).every(
          (ids) => ids.filter((id) => reachedBy(id) >= value).length >= majorityOf(ids.length),
        );
      assert.ok(majoritiesReach(agreed));
      assert.not(majoritiesReach(agreed + 1));
    }),
  );
});

test("an election is won by majorities of grants, and lost when one of them can't come together any more", () => {
  fc.assert(
    fc.property(anyConfiguration, fc.array(fc.option(fc.boolean()), { maxLength: 7 }), (configuration, answers) => {
      const votes = new Map<string, boolean>(
        answers.flatMap((answer, i) => (answer === null ? [] : [[`s${i}`, answer] as const])),
      );
      const results = setsOf(configuration).map((ids): Tally => {
        const granted = ids.filter((id) => votes.get(id) === true).length;
        const unknown = ids.filter((id) => !votes.has(id)).length;
        if (granted >= majorityOf(ids.length)) return "won";
        return granted + unknown < majorityOf(ids.length) ? "lost" : "open";
      });
      const expected = results.includes("lost") ? "lost" : results.includes("open") ? "open" : "won";
      assert.is(tally(configuration, votes), expected);
    }),
  );
});

test("votes of servers that are no voters do not count", () => {
  const votes = new Map(["a", "x", "y", "z"].map((id) => [id, true] as const));
  assert.is(tally(members({ a: "voter", b: "voter", c: "voter", z: "learner" }), votes), "open");
});

test("where nobody votes nothing is ever agreed on", () => {
  assert.not(isQuorum({ members: [] }, () => true));
  assert.is(tally({ members: [] }, new Map([["a", true]])), "lost");
});

test.run();
