/** Who the members are, and what may become of them (thesis, chapter 4). */

import fc from "fast-check";
import * as assert from "uvu/assert";
import {
  changed,
  encodeConfiguration,
  isJoint,
  isSameServer,
  left,
  promoted,
  voterSets,
  votersOf,
} from "../../src/raft/configuration.ts";
import {
  bootstrap,
  type ChangeRefusal,
  type Configuration,
  decodeConfiguration,
  isVoter,
  type Member,
  memberNamed,
  memberOf,
  NOBODY,
  type Wish,
} from "../../src/raft/index.ts";
import { suite } from "../support/suite.ts";
import { textOfMembers } from "./golden/notation.ts";
import { alwaysMeet, setsOf } from "./majorities.ts";
import { urlOf } from "./server.ts";

const test = suite("raft: configuration");

const placeOf = (id: string, disk = 1) => ({ url: urlOf(id), incarnation: `${id}-${disk}` });
const voters = (...ids: string[]): Configuration => ({
  members: ids.map((id): Member => ({ ...memberOf(id, urlOf(id), "voter"), ...placeOf(id) })),
});
const ABC = voters("a", "b", "c");

const add = (id: string, votes = true): Wish => ({ type: "add", id, votes, priority: 0, ...placeOf(id) });
const remove = (id: string): Wish => ({ type: "remove", id });
const promote = (id: string): Wish => ({ type: "promote", id });
const demote = (id: string): Wish => ({ type: "demote", id });
const replace = (id: string, by: string): Wish => ({ type: "replace", id, by, ...placeOf(by) });
const move = (id: string, disk: number): Wish => ({ type: "move", id, ...placeOf(id, disk) });
const prefer = (id: string, priority: number): Wish => ({ type: "prefer", id, priority });

function after(before: Configuration, ...wishes: Wish[]): Configuration {
  const outcome = changed(before, wishes);
  if ("reason" in outcome) throw new Error(outcome.reason);
  return outcome;
}

/** As golden scripts write it. */
const told = (configuration: Configuration): string => textOfMembers(configuration);

test("what a cluster starts with: all vote, and nobody has been met", () => {
  const start = bootstrap(["a", "b"].map((id) => ({ id, url: urlOf(id) })));
  assert.is(told(start), "a,b");
  assert.ok(start.members.every(({ incarnation }) => incarnation === null));
});

test("a new member is a learner, and votes once it has been promoted", () => {
  const learning = after(ABC, add("d"));
  assert.is(told(learning), "a,b,c,d(learner:to-vote)");
  assert.not(isJoint(learning), "no vote changes hands");
  const joint = promoted(learning, () => true);
  assert.is(told(joint), "a,b,c,d(incoming)");
  assert.equal(voterSets(joint), [
    ["a", "b", "c", "d"],
    ["a", "b", "c"],
  ]);
  assert.is(told(left(joint)), "a,b,c,d");
});

test("one that is not to vote stays a learner until it is told otherwise", () => {
  const learning = after(ABC, add("d", false));
  assert.is(
    promoted(learning, () => true),
    learning,
  );
  assert.not(isVoter(learning, "d"));
  assert.is(told(after(learning, promote("d"))), "a,b,c,d(learner:to-vote)");
});

test("only those are promoted that keep up, all at once", () => {
  const learning = after(ABC, add("d"), add("e"), add("f"));
  assert.is(
    promoted(learning, () => false),
    learning,
  );
  assert.is(told(promoted(learning, (id) => id !== "e")), "a,b,c,d(incoming),e(learner:to-vote),f(incoming)");
});

test("one whose incarnation nobody has written down is not promoted, however well it keeps up", () => {
  const learning = after(ABC, { type: "add", id: "d", votes: true, priority: 0, url: urlOf("d"), incarnation: null });
  assert.is(
    promoted(learning, () => true),
    learning,
  );
  assert.is(told(promoted(after(learning, move("d", 1)), () => true)), "a,b,c,d(incoming)");
});

test("a voter that goes votes in the old set until the joint configuration is left; a learner just goes", () => {
  const joint = after(ABC, remove("c"));
  assert.is(told(joint), "a,b,c(leaving)");
  assert.equal(voterSets(joint), [
    ["a", "b"],
    ["a", "b", "c"],
  ]);
  assert.is(told(left(joint)), "a,b");
  assert.is(told(after(after(ABC, add("d")), remove("d"))), "a,b,c");
});

test("a voter that is demoted is a learner afterwards", () => {
  const joint = after(ABC, demote("c"));
  assert.is(told(joint), "a,b,c(demoting)");
  assert.is(told(left(joint)), "a,b,c(learner)");
});

test("who replaces a member takes its vote and its priority when it keeps up, and the old one is gone", () => {
  const learning = after(after(ABC, prefer("c", 7)), replace("c", "d"));
  assert.is(told(learning), "a,b,c(voter:priority-7),d(learner:for-c:priority-7)");
  const joint = promoted(learning, () => true);
  assert.is(told(joint), "a,b,c(leaving:priority-7),d(incoming:priority-7)");
  assert.is(told(left(joint)), "a,b,d(voter:priority-7)");
});

test("also if that one has become a learner meanwhile, or is not there any more", () => {
  const learning = after(ABC, replace("c", "d"));
  const isD = (id: string): boolean => id === "d";
  assert.is(told(promoted(left(after(learning, demote("c"))), isD)), "a,b,d(incoming)");
  assert.is(told(promoted(left(after(learning, move("c", 2))), isD)), "a,b,d(incoming)");
  assert.is(told(promoted(left(after(learning, remove("c"))), isD)), "a,b,d(incoming)");
});

test("who is to take another one's place still is when it is to be promoted", () => {
  assert.is(told(after(after(ABC, replace("c", "d")), promote("d"))), "a,b,c,d(learner:for-c)");
});

test("who replaces a learner is what that one was, at once", () => {
  assert.is(told(after(after(ABC, add("d")), replace("d", "e"))), "a,b,c,e(learner:to-vote)");
  assert.is(told(after(after(ABC, add("d", false)), replace("d", "e"))), "a,b,c,e(learner)");
});

test("a voter that has lost its disk becomes a learner under its name, and votes again when it keeps up", () => {
  const joint = after(ABC, move("c", 2));
  assert.is(told(joint), "a,b,c(demoting:wiped)");
  assert.is(memberNamed(joint, "c")?.incarnation, "c-1", "until then the name stands for the one that was");
  const learning = left(joint);
  assert.is(told(learning), "a,b,c(learner:to-vote)");
  assert.is(memberNamed(learning, "c")?.incarnation, "c-2");
  assert.is(told(left(promoted(learning, () => true))), "a,b,c");
});

test("one that has only moved, or is met for the first time, stays what it is", () => {
  const moved = after(ABC, { type: "move", id: "c", url: "ws://elsewhere", incarnation: "c-1" });
  assert.equal(memberNamed(moved, "c"), { ...memberNamed(ABC, "c"), url: "ws://elsewhere" });
  const met = after(bootstrap([{ id: "a", url: urlOf("a") }]), move("a", 1));
  assert.equal([told(met), met.members[0]?.incarnation], ["a", "a-1"]);
  const learner = after(after(ABC, add("d")), move("d", 2));
  assert.equal([told(learner), memberNamed(learner, "d")?.incarnation], ["a,b,c,d(learner:to-vote)", "d-2"]);
});

test("a change is made as a whole or not at all", () => {
  assert.is(
    told(after(ABC, add("d"), remove("c"), prefer("a", 2))),
    "a(voter:priority-2),b,c(leaving),d(learner:to-vote)",
  );
  const refusals: [Wish[], ChangeRefusal][] = [
    [[add("d"), add("a")], { reason: "member-exists", id: "a" }],
    [[replace("a", "b")], { reason: "member-exists", id: "b" }],
    [[replace("a", "a")], { reason: "member-exists", id: "a" }],
    [[remove("a"), add("a")], { reason: "member-exists", id: "a" }],
    [[remove("x")], { reason: "unknown-member", id: "x" }],
    [[replace("x", "d")], { reason: "unknown-member", id: "x" }],
    [[promote("a")], { reason: "not-a-learner", id: "a" }],
    [[add("d"), demote("d")], { reason: "not-a-voter", id: "d" }],
    [[remove("a"), demote("b"), move("c", 2)], { reason: "no-voters-left" }],
    [[add("d"), remove("a"), remove("b"), remove("c")], { reason: "no-voters-left" }],
  ];
  for (const [wishes, refusal] of refusals) assert.equal(changed(ABC, wishes), refusal);
});

test("what is as wished already is no change", () => {
  for (const wishes of [[], [prefer("a", 0)], [move("a", 1)]]) assert.is(changed(ABC, wishes), ABC);
});

test("no change begins while another one is under way", () => {
  assert.equal(changed(after(ABC, remove("c")), [add("d")]), { reason: "in-progress" });
});

test("another process under an old name is another server; one that was never met is who is met first", () => {
  const [, b, c] = ABC.members;
  assert.ok(isSameServer(b, b));
  assert.not(isSameServer(b, c));
  assert.not(isSameServer(undefined, b));
  assert.not(isSameServer(c, { ...memberOf("c", urlOf("c"), "voter"), ...placeOf("c", 2) }));
  assert.ok(isSameServer(memberOf("c", urlOf("c"), "voter"), c));
});

const NAMES = ["a", "b", "c", "d", "e", "f"];
const anyName = fc.constantFrom(...NAMES);
const anyWish: fc.Arbitrary<Wish> = fc.oneof(
  fc.record({ id: anyName, votes: fc.boolean() }).map(({ id, votes }) => add(id, votes)),
  anyName.map(remove),
  anyName.map(promote),
  anyName.map(demote),
  fc.record({ id: anyName, by: anyName }).map(({ id, by }) => replace(id, by)),
  fc.record({ id: anyName, disk: fc.integer({ min: 1, max: 3 }) }).map(({ id, disk }) => move(id, disk)),
  fc.record({ id: anyName, priority: fc.nat(3) }).map(({ id, priority }) => prefer(id, priority)),
);
/** What happens next: a change is asked for, learners come to keep up, or whatever is under way is committed. */
const anyEvent = fc.oneof(
  fc.record({ wishes: fc.array(anyWish, { minLength: 1, maxLength: 4 }) }),
  fc.record({ ready: fc.subarray(NAMES) }),
  fc.constant({ committed: true }),
);
type Event = { wishes: Wish[] } | { ready: string[] } | { committed: boolean };

function next(before: Configuration, event: Event): Configuration {
  if ("ready" in event) return promoted(before, (id) => event.ready.includes(id));
  if ("committed" in event) return isJoint(before) ? left(before) : before;
  const outcome = changed(before, event.wishes);
  return "reason" in outcome ? before : outcome;
}

/** All that a start with one to five voters leads to. */
const anyHistory = fc
  .record({ founders: fc.integer({ min: 1, max: 5 }), events: fc.array(anyEvent, { maxLength: 25 }) })
  .map(({ founders, events }) => {
    const history = [voters(...NAMES.slice(0, founders))];
    for (const event of events) history.push(next(history.at(-1) ?? NOBODY, event));
    return history;
  });

test("whatever is wished for: names stay unique, voters remain, and what is joint is left", () => {
  fc.assert(
    fc.property(anyHistory, (history) => {
      for (const configuration of history) {
        const ids = configuration.members.map(({ id }) => id);
        assert.is(new Set(ids).size, ids.length);
        for (const set of setsOf(configuration)) assert.ok(set.length > 0);
        assert.equal([...votersOf(configuration)].sort(), [...new Set(setsOf(configuration).flat())].sort());
        const [newSet, oldSet = newSet] = voterSets(configuration);
        assert.equal([oldSet, newSet], setsOf(configuration));
        assert.not(isJoint(left(configuration)));
        assert.equal(voterSets(left(configuration)), [newSet], "what was the new set remains");
        const learners = configuration.members.filter(({ role }) => role !== "learner");
        assert.ok(learners.every(({ promotion }) => promotion === null));
      }
    }),
    { numRuns: 500 },
  );
});

test("from one configuration to the next, quorums always meet (4.3)", () => {
  fc.assert(
    fc.property(anyHistory, (history) => {
      history.forEach((configuration, i) => {
        const before = history[i - 1];
        if (before !== undefined)
          assert.ok(alwaysMeet(before, configuration), `${told(before)} | ${told(configuration)}`);
      });
    }),
    { numRuns: 500 },
  );
});

test("which quorums that are not joint would not always do", () => {
  assert.not(alwaysMeet(ABC, voters("c", "d", "e")));
  assert.not(alwaysMeet(ABC, voters("a")));
  assert.ok(alwaysMeet(ABC, voters("a", "b", "c", "d")), "one server at a time (4.2)");
});

test("a configuration is read back as it was written", () => {
  fc.assert(
    fc.property(anyHistory, (history) => {
      for (const one of history) assert.equal(decodeConfiguration(encodeConfiguration(one)), one);
    }),
  );
});

test("bytes that are no configuration are refused, whatever is wrong with them", () => {
  const [member] = ABC.members;
  const wrong: unknown[] = [
    null,
    [],
    "members",
    {},
    { members: {} },
    { members: [null] },
    { members: [member, member] },
    ...["id", "url", "incarnation", "role", "priority", "promotion", "successor"].flatMap((field) => [
      { members: [{ ...member, [field]: undefined }] },
      { members: [{ ...member, [field]: true }] },
    ]),
    { members: [{ ...member, role: "king" }] },
    { members: [{ ...member, promotion: { replaces: 1 } }] },
    { members: [{ ...member, successor: { url: "ws://a" } }] },
  ];
  for (const value of wrong) {
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    assert.throws(() => decodeConfiguration(bytes), undefined, JSON.stringify(value));
  }
  assert.throws(() => decodeConfiguration(new Uint8Array([0xff, 0xfe])));
  assert.throws(() => decodeConfiguration(new TextEncoder().encode("{")));
});

test.run();
