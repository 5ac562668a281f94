/** Linearizable reads by ReadIndex (thesis, 6.4). */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import { accepted, heartbeat, heartbeatResponse, ofType, receiversOf } from "./messages.ts";
import { lead, type Server, serverA } from "./server.ts";

const test = suite("raft: ReadIndex");

/** Server "a", leader of term 1 with its no-op committed. */
function leaderA(voters?: readonly string[]): Server {
  const a = serverA({}, {}, voters);
  lead(a);
  for (const peer of a.voters.slice(1)) a.receive(peer, accepted(1, 1));
  return a;
}

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
  const read = (ticket: number) => ({ type: "read", ticket, lease: false }) as const;
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

test.run();
