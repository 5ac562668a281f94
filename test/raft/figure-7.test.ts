/** Figure 7 of the paper: whatever crashes have left in the logs of followers, the leader's log replaces it. */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import { ofType, rejected } from "./messages.ts";
import { type Beginning, lead, serverA } from "./server.ts";

const test = suite("raft: Figure 7");

const LEADER = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
const FOLLOWERS = {
  a: [1, 1, 1, 4, 4, 5, 5, 6, 6],
  b: [1, 1, 1, 4],
  c: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
  d: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
  e: [1, 1, 1, 4, 4, 4, 4],
  f: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
};
const IDS = ["leader", ...Object.keys(FOLLOWERS)];

function figure7(): Cluster {
  const beginnings: Record<string, Beginning> = { leader: { log: LEADER, term: 7 } };
  for (const [id, log] of Object.entries(FOLLOWERS)) beginnings[id] = { log };
  return new Cluster(IDS, beginnings);
}

test("a, b, e and f elect it for term 8; c and d, whose logs are more up-to-date, refuse (5.4.1)", () => {
  const cluster = figure7();
  cluster.elect("leader");

  const answers = cluster.servers.flatMap(({ id, story }) =>
    story.flatMap((line) => (line.event === "vote-sent" && line.preVote ? [[id, line.refusal]] : [])),
  );
  assert.equal(Object.fromEntries(answers), {
    a: null,
    b: null,
    c: "log-behind",
    d: "log-behind",
    e: null,
    f: null,
  });
});

test("every follower ends with the leader's log, entry for entry, on its disk (5.3)", () => {
  const cluster = figure7();
  const leader = cluster.elect("leader");

  assert.equal(leader.terms, [...LEADER, 8]);
  for (const follower of cluster.servers) {
    assert.equal(follower.durableTerms, leader.terms, follower.id);
    assert.equal(follower.disk.entries, leader.disk.entries, follower.id);
  }
  assert.is(leader.raft.commitIndex, 11);
});

test("a rejection skips a whole term, so no follower needs more than two (end of 5.3)", () => {
  const cluster = figure7();
  const rejections = new Map(IDS.map((id) => [id, 0]));
  cluster.stand("leader");
  while (cluster.busyLinks.length > 0) {
    for (const [from, to] of cluster.busyLinks) {
      if (cluster.waiting(from, to)[0]?.type === "append-rejected")
        rejections.set(from, (rejections.get(from) ?? 0) + 1);
      cluster.deliver(from, to);
    }
  }

  assert.is(cluster.leader?.id, "leader");
  // c and d hold all that the leader has and more; a and b are too short; e and f hold a term, or two, that is wrong.
  assert.equal(Object.fromEntries(rejections), { leader: 0, a: 1, b: 1, c: 0, d: 0, e: 2, f: 2 });
});

test("if the leader has entries of the term in conflict, it goes on after its own last one (end of 5.3)", () => {
  const leader = serverA({ log: LEADER, term: 7 });
  lead(leader);
  // e holds entries 4 to 7 of term 4, the leader 4 and 5.
  leader.receive("b", rejected(8, 10, 8));
  const [probe] = ofType(leader.receive("b", rejected(8, 7, 4, 4)), "append-request", "b");
  assert.equal([probe?.prevLogIndex, probe?.prevLogTerm], [5, 4]);

  // f holds entries 7 to 11 of term 3, of which the leader has none: it goes on before them.
  const [other] = ofType(leader.receive("c", rejected(8, 10, 7, 3)), "append-request", "c");
  assert.equal([other?.prevLogIndex, other?.prevLogTerm], [6, 5]);
});

test.run();
