/** Pre-vote, check-quorum, and who may disturb whom (thesis, 4.2.3, 6.2 and 9.6). */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import { append, heartbeat, heartbeatResponse, single, vote, voteRequest } from "./messages.ts";
import { lead, serverA } from "./server.ts";

const test = suite("raft: pre-vote");

const THREE = ["a", "b", "c"];
const FIVE = ["a", "b", "c", "d", "e"];

test("a pre-vote changes nothing at the one who is asked: no term, no vote, no write (9.6)", () => {
  const a = serverA({ log: [1] });
  const answer = single(a.receive("b", voteRequest({ term: 2, preVote: true, last: [1, 1] })));

  assert.equal(answer, vote({ term: 2, preVote: true }));
  assert.equal([a.raft.term, a.raft.vote], [1, null]);
  assert.is(a.disk.hardState.term, 1);
});

test("any number of servers may be granted a pre-vote in a term in which one has the vote", () => {
  const a = serverA();
  for (const peer of ["b", "c"]) {
    assert.equal(
      single(a.receive(peer, voteRequest({ term: 1, preVote: true, last: [0, 0] }))),
      vote({ term: 1, preVote: true }),
    );
  }
});

test("who grants a pre-vote gives the one who asked a head start", () => {
  const a = serverA();
  a.clock.nowMs = a.deadlineMs - 1;
  a.receive("b", voteRequest({ term: 1, preVote: true, last: [0, 0] }));

  assert.is(a.deadlineMs, a.clock.nowMs + a.config.evidenceDelayMaxMs);
});

test("a pre-vote for a term that is not new is refused", () => {
  const a = serverA({ term: 3 });
  for (const term of [2, 3]) {
    const answer = single(a.receive("b", voteRequest({ term, preVote: true, last: [9, 3] })));
    assert.equal(answer, vote({ term: 3, preVote: true, refusal: "term-behind" }));
  }
});

test("no vote of either kind against a leader who was heard within the shortest election timeout (4.2.3)", () => {
  for (const preVote of [true, false]) {
    const a = serverA();
    a.receive("b", heartbeat(1));
    a.clock.nowMs += a.config.electionTimeoutMinMs - 1;
    const refused = single(a.receive("c", voteRequest({ term: 2, preVote, last: [9, 1] })));
    assert.equal(refused, vote({ term: 1, preVote, refusal: "leader-is-alive" }));
    assert.is(a.raft.term, 1, "nor does the request raise the term");

    a.clock.nowMs += 1;
    const granted = single(a.receive("c", voteRequest({ term: 2, preVote, last: [9, 1] })));
    assert.equal(granted, vote({ term: 2, preVote }));
  }
});

test("a leader does not vote against itself", () => {
  const a = serverA();
  lead(a);
  for (const preVote of [true, false]) {
    a.receive("c", voteRequest({ term: 2, preVote, last: [9, 1] }));
    assert.is(a.role, "leader");
    assert.is(a.raft.term, 1);
  }
});

test("a server cut off from the rest never raises its term, and its return deposes nobody (9.6)", () => {
  const cluster = new Cluster(THREE);
  cluster.elect("a");
  cluster.isolate("c");
  cluster.advance(5000);
  assert.is(cluster.at("c").raft.term, 1);

  cluster.rejoin("c");
  cluster.advance(1000);
  assert.is(cluster.at("a").role, "leader");
  assert.equal(
    cluster.servers.map(({ raft }) => raft.term),
    [1, 1, 1],
  );
});

test("nor does the return of one that crashed", () => {
  const cluster = new Cluster(THREE);
  cluster.elect("a");
  cluster.crash("c");
  cluster.advance(500);
  cluster.restart("c");
  cluster.advance(1000);

  assert.is(cluster.at("a").role, "leader");
  assert.is(cluster.at("a").raft.term, 1);
});

test("a leader that a majority does not answer steps down within two election timeouts (6.2)", () => {
  const a = serverA({}, {}, FIVE);
  lead(a);
  const answeredBy = (peers: readonly string[], ms: number): void => {
    const endMs = a.clock.nowMs + ms;
    while (a.role === "leader" && a.clock.nowMs < endMs) {
      a.waitForDeadline();
      for (const peer of peers) a.receive(peer, heartbeatResponse(a.raft.term, 1));
    }
  };
  answeredBy(["b", "e"], 1000);
  assert.is(a.role, "leader", "two answers and its own make a majority of five");

  answeredBy(["b"], 2 * a.config.electionTimeoutMinMs);
  assert.is(a.role, "follower");
  assert.is(a.raft.term, 1);
  assert.equal(a.story.slice(-2), [
    { event: "quorum-lost", term: 1, reachable: ["a", "b"] },
    { event: "stepped-down", term: 1, reason: "quorum-lost" },
  ]);
});

test("a leader on the smaller side of a partition does not keep the larger one from electing another", () => {
  const cluster = new Cluster(FIVE);
  cluster.elect("a");
  for (const lost of ["c", "d", "e"]) cluster.mute("a", lost);
  cluster.advance(1500);

  // b hears both sides and may even be elected; a alone can't be.
  assert.is(cluster.running.filter(({ role }) => role === "leader").length, 1);
  assert.is.not(cluster.leader?.id, "a");
});

test("a server with a higher term but a shorter log does not block the rest (etcd#8501)", () => {
  const cluster = new Cluster(THREE, { a: { log: [1, 1] }, b: { log: [1, 1] }, c: { log: [1], term: 9 } });
  cluster.advance(2000);

  assert.ok(cluster.leader !== undefined);
  assert.is.not(cluster.leader?.id, "c");
  assert.equal(cluster.at("c").terms, cluster.leader?.terms);
});

test("also when the third one is down", () => {
  const cluster = new Cluster(THREE, { a: { log: [1, 1] }, c: { log: [1], term: 9 } });
  cluster.crash("b");
  cluster.advance(2000);

  assert.is(cluster.leader?.id, "a");
  assert.ok(cluster.at("a").raft.term > 9);
});

test("a leader learns of a higher term from a follower that refuses its heartbeat, and wins again above it", () => {
  const cluster = new Cluster(THREE, { c: { term: 9 } });
  cluster.cut("a", "c");
  cluster.cut("b", "c");
  cluster.elect("a");
  cluster.heal("a", "c");
  cluster.heal("b", "c");
  cluster.advance(1000);

  assert.ok(cluster.leader !== undefined);
  assert.ok(cluster.servers.every(({ raft }) => raft.term === cluster.leader?.raft.term && raft.term > 9));
});

test("a pre-candidate that hears the leader goes back to following it", () => {
  const a = serverA({ term: 1 });
  a.waitForDeadline();
  assert.is(a.role, "pre-candidate");

  a.receive("b", append({ term: 1, prev: [0, 0] }));
  assert.is(a.role, "follower");
});

test("an outdated leader is told the new term, and steps down", () => {
  const b = serverA({ term: 5 });
  assert.equal(single(b.receive("b", heartbeat(3))), heartbeatResponse(5, 0));

  const a = serverA();
  lead(a);
  a.receive("b", heartbeatResponse(5, 0));
  assert.is(a.role, "follower");
  assert.is(a.raft.term, 5);
});

test.run();
