/** Linearizable reads by ReadIndex, at the leader and at followers (thesis, 6.4). */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import {
  accepted,
  append,
  heartbeat,
  heartbeatResponse,
  ofType,
  readRequest,
  readResponse,
  receiversOf,
  voteRequest,
} from "./messages.ts";
import { lead, type Server, serverA } from "./server.ts";

const test = suite("raft: ReadIndex");

/** Server "a", leader of term 1 with its no-op committed. */
function leaderA(voters?: readonly string[]): Server {
  const a = serverA({}, {}, voters);
  lead(a);
  for (const peer of a.voters.slice(1)) a.receive(peer, accepted(1, 1));
  return a;
}

const read = (ticket: number) => ({ type: "read", ticket, lease: false }) as const;

const roundOf = (server: Server): number => (server.raft.role.name === "leader" ? server.raft.role.round : -1);

test("a read waits for the no-op of the term to be committed: until then the leader can't know the commit index", () => {
  const a = serverA({ log: [1, 1] });
  lead(a);
  assert.equal(a.read(1), [], "no round is started");
  a.waitForDeadline();
  a.receive("b", heartbeatResponse(2, roundOf(a)));
  assert.equal(a.reads, [], "a round of heartbeats is not enough");

  a.receive("b", accepted(2, 3));
  a.receive("b", heartbeatResponse(2, roundOf(a)));
  assert.equal(a.reads, [{ ticket: 1, index: 3 }]);
});

test("a read is confirmed by a majority's answers to a round that was sent after it came", () => {
  const a = leaderA(["a", "b", "c", "d", "e"]);
  assert.equal(receiversOf(a.read(1), "heartbeat-request"), ["b", "c", "d", "e"]);
  a.receive("b", heartbeatResponse(1, roundOf(a)));
  assert.equal(a.reads, [], "two of five");

  a.receive("b", heartbeatResponse(1, roundOf(a)));
  assert.equal(a.reads, [], "the same answer again");
  a.receive("c", heartbeatResponse(1, roundOf(a)));
  assert.equal(a.reads, [{ ticket: 1, index: 1 }]);
});

test("answers to an earlier round confirm nothing", () => {
  const a = leaderA();
  a.waitForDeadline();
  const earlier = roundOf(a);
  a.read(1);
  for (const peer of ["b", "c"]) a.receive(peer, heartbeatResponse(1, earlier));
  assert.equal(a.reads, []);
});

test("nor do answers to rounds that were never sent, of an earlier term, or acknowledgements of entries", () => {
  const a = leaderA();
  a.read(1);
  for (const peer of ["b", "c"]) {
    a.receive(peer, heartbeatResponse(1, roundOf(a) + 1), heartbeatResponse(0, roundOf(a)), accepted(1, 1));
  }
  assert.equal(a.reads, []);
});

test("an answer to a later round confirms as well, should the first be lost", () => {
  const a = leaderA();
  a.read(1);
  a.waitForDeadline();
  a.receive("b", heartbeatResponse(1, roundOf(a)));
  assert.equal(a.reads, [{ ticket: 1, index: 1 }]);
});

test("one round serves every read that waited for it; reads that come meanwhile share the next", () => {
  const a = leaderA();
  const round = ofType(a.step(read(1), read(2), read(3)), "heartbeat-request", "b");
  assert.is(round.length, 1);
  assert.equal(a.step(read(4), read(5)), [], "no second round while the first is on its way");

  const next = ofType(a.receive("b", heartbeatResponse(1, roundOf(a))), "heartbeat-request", "b");
  assert.equal(
    a.reads.map(({ ticket }) => ticket),
    [1, 2, 3],
  );
  assert.is(next.length, 1);
  a.receive("b", heartbeatResponse(1, roundOf(a)));
  assert.equal(
    a.reads.map(({ ticket }) => ticket),
    [1, 2, 3, 4, 5],
  );
});

test("a read sees every write that was committed before it came", () => {
  const a = leaderA();
  a.propose("x = 1");
  a.receive("b", accepted(1, 2));
  a.read(1);
  a.receive("b", heartbeatResponse(1, roundOf(a)));

  assert.equal(a.reads, [{ ticket: 1, index: 2 }]);
});

test("a leader that lost its office without knowing serves no read", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.isolate("a");
  const b = cluster.elect("b");
  b.propose("x = 2");
  cluster.settle();
  assert.is(b.raft.commitIndex, 3);

  // It has not looked at its clock since.
  if (a.raft.role.name === "leader") a.raft.role.quorumDeadlineMs = Number.POSITIVE_INFINITY;
  a.read(1);
  cluster.advance(60);
  assert.equal(a.reads, []);
  cluster.rejoin("a");
  cluster.advance(100);
  assert.equal(a.reads, [{ ticket: 1, refusal: "not-leader" }]);
});

test("reads fail with not-leader when the leader steps down, whether confirming or waiting", () => {
  const a = leaderA();
  a.read(1);
  a.read(2);
  assert.equal(a.reads, []);

  a.receive("b", heartbeat(2));
  assert.equal(
    a.reads,
    [1, 2].map((ticket) => ({ ticket, refusal: "not-leader" })),
  );
});

test("also when it is check-quorum that makes it step down (6.2)", () => {
  const a = leaderA();
  a.read(1);
  a.clock.nowMs += 2 * a.config.electionTimeoutMinMs;
  a.tick();

  assert.equal(a.reads, [{ ticket: 1, refusal: "not-leader" }]);
});

test("a cluster of one needs nobody's confirmation, but its own no-op", () => {
  const a = serverA({ log: [1, 1] }, {}, ["a"]);
  a.read(1);
  assert.equal(a.reads, [{ ticket: 1, index: 3 }]);

  const slow = serverA({ log: [1, 1] }, {}, ["a"]);
  slow.diskIsSlow = true;
  slow.restart();
  slow.fsync(1);
  assert.is(slow.role, "leader");
  slow.read(1);
  assert.equal(slow.reads, []);
  slow.fsync();
  assert.equal(slow.reads, [{ ticket: 1, index: 4 }]);
});

test("nor does a leader that has come to be the only voter wait for those that it had asked before", () => {
  const a = serverA({}, {}, ["a", "b"]);
  lead(a);
  a.receive("b", accepted(1, 1));
  a.read(1); // b will never answer this round.
  a.read(2);
  a.change({ type: "remove", id: "b" });
  a.receive("b", accepted(1, 2));
  for (let i = 0; i < 2; i++) a.waitForDeadline();
  assert.equal(
    a.reads.map(({ ticket }) => ticket),
    [1, 2],
  );
});

test("a leader remembers no rounds that are answered, also those of a cluster of one", () => {
  for (const voters of [["a"], ["a", "b", "c"]]) {
    const a = leaderA(voters);
    for (let i = 0; i < 10; i++) {
      a.waitForDeadline();
      for (const peer of voters.slice(1)) a.receive(peer, heartbeatResponse(1, roundOf(a)));
    }
    assert.equal(a.raft.role.name === "leader" && a.raft.role.roundsSent, []);
  }
});

/** Server "a", a follower of b that has a read waiting for b's word: question 1. */
function followerA(): Server {
  const a = serverA();
  a.receive("b", append({ term: 1, prev: [0, 0], entries: [1], commit: 1 }));
  a.outbox = [];
  return a;
}

test("a follower asks the leader, in one question for all that has come, and serves what it is told (end of 6.4)", () => {
  const a = followerA();
  assert.equal(a.step(read(1), read(2)), [{ to: "b", message: readRequest(1, 1) }]);
  assert.equal(a.read(3), [{ to: "b", message: readRequest(1, 2) }]);

  a.receive("b", readResponse(1, 1, 7));
  assert.equal(
    a.reads,
    [1, 2].map((ticket) => ({ ticket, index: 7 })),
    "once it has applied that far",
  );
  a.receive("b", readResponse(1, 1, 9), readResponse(1, 2, 9));
  assert.equal(a.reads.slice(2), [{ ticket: 3, index: 9 }], "an answer that comes twice answers once");
});

test("the leader answers a follower's question as it does its own callers: after a round that was sent for it", () => {
  const a = leaderA();
  const round = a.receive("c", readRequest(1, 5));
  assert.equal(receiversOf(round, "heartbeat-request"), ["b", "c"]);
  const sent = a.receive("b", heartbeatResponse(1, roundOf(a)));
  assert.equal(sent, [{ to: "c", message: readResponse(1, 5, 1) }]);
});

test("and, like these, only once it knows what is committed", () => {
  const a = serverA({ log: [1, 1] });
  lead(a);
  assert.equal(a.receive("c", readRequest(2, 5)), []);
  a.receive("b", accepted(2, 3));
  assert.equal(ofType(a.receive("b", heartbeatResponse(2, roundOf(a))), "read-response", "c"), [readResponse(2, 5, 3)]);
});

test("a follower's read sees every write that was committed before it came", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.mute("b", "c");
  a.propose("x = 1");
  cluster.settle(["a", "c"]);
  assert.is(a.raft.commitIndex, 2);
  const b = cluster.at("b");
  b.read(1);
  cluster.settle(["a", "b"]);
  assert.equal(b.reads, [{ ticket: 1, index: 2 }]);
});

test("only the leader's answers count, and only in its term", () => {
  const a = followerA();
  a.read(1);
  a.receive("c", readResponse(1, 1, 1));
  a.receive("b", readResponse(0, 1, 1));
  assert.equal(a.reads, []);
  a.receive("b", readResponse(1, 1, 1));
  assert.is(a.reads.length, 1);
});

test("a follower's reads fail with not-leader when the link to the leader goes, or another term begins", () => {
  for (const event of [
    { type: "link-lost", peer: "b" },
    { type: "message", from: "b", message: heartbeat(2) },
    { type: "message", from: "c", message: heartbeat(2) },
    { type: "message", from: "c", message: voteRequest({ term: 2, last: [9, 1], transfer: true }) },
  ] as const) {
    const a = followerA();
    a.read(1);
    a.step(event);
    assert.equal(a.reads, [{ ticket: 1, refusal: "not-leader" }], JSON.stringify(event));
    a.receive("b", readResponse(1, 1, 1));
    assert.is(a.reads.length, 1);
  }
});

test("also when this server gives the leader up by itself", () => {
  const a = followerA();
  a.clock.nowMs = a.deadlineMs - 1;
  a.read(1);
  a.waitForDeadline();
  assert.is(a.role, "pre-candidate");
  assert.equal(a.reads, [{ ticket: 1, refusal: "not-leader" }]);
});

test("and when the answer is overdue: question or answer may have been lost, though the leader is heard", () => {
  const a = followerA();
  a.read(1);
  const askedMs = a.clock.nowMs;
  while (a.clock.nowMs < askedMs + a.config.electionTimeoutMaxMs) {
    assert.equal(a.reads, []);
    a.receive("b", heartbeat(1));
    assert.ok(a.deadlineMs <= askedMs + a.config.electionTimeoutMaxMs);
    a.clock.nowMs = Math.min(a.deadlineMs, a.clock.nowMs + 20);
    a.tick();
  }
  assert.equal(a.reads, [{ ticket: 1, refusal: "not-leader" }]);
});

test("a read that comes with news of the leader is asked of that one", () => {
  const a = followerA();
  const sent = a.step({ type: "message", from: "c", message: heartbeat(2) }, read(1));
  assert.equal(ofType(sent, "read-request", "c"), [readRequest(2, 1)]);
  assert.equal(a.reads, []);
});

test("without a leader, or without a link to it, a read is refused at once", () => {
  const alone = serverA();
  alone.read(1);
  assert.equal(alone.reads, [{ ticket: 1, refusal: "not-leader" }]);

  const a = followerA();
  a.step({ type: "link-lost", peer: "b" });
  a.step(read(1));
  const lost = followerA();
  lost.step(read(1), { type: "link-lost", peer: "b" });
  for (const server of [a, lost]) assert.equal(server.reads, [{ ticket: 1, refusal: "not-leader" }]);
});

test("a question of a process that has died is not answered to the next one, which counts anew (etcd#20418)", () => {
  const a = leaderA(["a", "b", "c", "d", "e"]);
  a.receive("b", readRequest(1, 1)); // Its round is on its way.
  a.receive("b", readRequest(1, 2)); // It waits for the next one.
  a.step({ type: "link-lost", peer: "b" }, { type: "link-up", peer: "b" });
  a.propose("x = 1");
  for (const peer of ["c", "d"]) a.receive(peer, accepted(1, 2));
  assert.is(a.raft.commitIndex, 2);

  // b, started again, asks its first question; only now do answers to the first round come.
  a.receive("b", readRequest(1, 1));
  const answers = [1, 2].flatMap(() => ["c", "d"].flatMap((peer) => a.receive(peer, heartbeatResponse(1, roundOf(a)))));
  assert.equal(ofType(answers, "read-response", "b"), [readResponse(1, 1, 2)]);
});

test.run();
