/** Which digest a majority has, in every kind of configuration, and when none can have the same any more. */

import * as assert from "uvu/assert";
import { agreementOf } from "../../src/node/agreement.ts";
import { type Configuration, type Member, memberOf } from "../../src/raft/index.ts";
import { suite } from "../support/suite.ts";

const membersOf = (roles: Readonly<Record<string, Member["role"]>>): Configuration => ({
  members: Object.entries(roles).map(([id, role]) => memberOf(id, `ws://${id}:7000`, role)),
});

const THREE = membersOf({ n1: "voter", n2: "voter", n3: "voter" });
const FIVE = membersOf({ n1: "voter", n2: "voter", n3: "voter", n4: "voter", n5: "voter" });

/** What comes of digests such as "n1 a, n2 b". */
function agreed(configuration: Configuration, text: string) {
  const digests = new Map(
    text.split(", ").flatMap((one) => {
      const [id = "", digest = ""] = one.split(" ");
      return digest === "" ? [] : [[id, digest] as const];
    }),
  );
  const { digest, groups, isHopeless } = agreementOf(configuration, digests);
  return [digest, groups.map(([, nodes]) => nodes.join("+")).join(" "), isHopeless];
}

const test = suite("node: agreement");

test("more than half of the voters decide, and the others may still agree as long as enough are silent", () => {
  assert.equal(agreed(THREE, ""), [null, "", false]);
  assert.equal(agreed(THREE, "n1 a"), [null, "n1", false]);
  assert.equal(agreed(THREE, "n1 a, n2 b"), [null, "n1 n2", false]);
  assert.equal(agreed(THREE, "n1 a, n2 b, n3 b"), ["b", "n2+n3 n1", false]);
  assert.equal(agreed(THREE, "n1 a, n2 b, n3 c"), [null, "n1 n2 n3", true]);
  assert.equal(agreed(FIVE, "n1 a, n2 b, n3 b"), [null, "n2+n3 n1", false]);
  assert.equal(agreed(FIVE, "n1 a, n2 b, n3 b, n4 a"), [null, "n1+n4 n2+n3", false]);
  assert.equal(agreed(FIVE, "n1 a, n2 b, n3 b, n4 a, n5 c"), [null, "n1+n4 n2+n3 n5", true]);
  assert.equal(agreed(FIVE, "n1 a, n2 b, n3 c, n4 d"), [null, "n1 n2 n3 n4", true]);
});

test("of two that differ neither is a majority", () => {
  assert.equal(agreed(membersOf({ n1: "voter", n2: "voter" }), "n1 a, n2 b"), [null, "n1 n2", true]);
});

test("learners are told of, and do not decide; who is no member is not even told of", () => {
  const withLearners = membersOf({ n1: "voter", n2: "learner", n3: "learner" });
  assert.equal(agreed(withLearners, "n1 a, n2 b, n3 b, n4 b"), ["a", "n2+n3 n1", false]);
});

test("while the members change, a majority of the old ones and of the new ones has to agree", () => {
  const joint = membersOf({ n1: "voter", n2: "leaving", n3: "leaving", n4: "incoming", n5: "incoming" });
  assert.equal(agreed(joint, "n1 a, n2 a, n3 b, n4 b, n5 b")[0], null);
  assert.equal(agreed(joint, "n1 a, n2 a, n3 b, n4 b, n5 b")[2], true);
  assert.equal(agreed(joint, "n1 a, n2 a, n3 b, n4 a, n5 b")[0], "a");
});

test.run();
