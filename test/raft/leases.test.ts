/** Reads under a leader's lease, and what everybody has to keep to for their sake (thesis, 6.4.1 and 4.2.3). */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import { accepted, append, heartbeat, heartbeatResponse, rejected, single, vote, voteRequest } from "./messages.ts";
import { lead, type Server, type Settings, serverA } from "./server.ts";

const test = suite("raft: leases");

const DRIFT = 0.1;
const LEASES: Settings = { clockDriftMax: DRIFT };

/** Server "a", leader of term 1 with its no-op committed, in a cluster that uses leases. */
function leaderA(settings: Settings = LEASES): Server {
  const a = serverA({}, settings);
  lead(a);
  a.receive("b", accepted(1, 1));
  return a;
}

const roundOf = (server: Server): number => (server.raft.role.name === "leader" ? server.raft.role.round : -1);

/** Has a send a round, and b answer it. */
function renew(a: Server): void {
  a.waitForDeadline();
  a.receive("b", heartbeatResponse(1, roundOf(a)));
}

/** Whether a serves a read at once. */
function serves(a: Server): boolean {
  a.reads = [];
  a.read(1, true);
  return a.reads.some((outcome) => "index" in outcome);
}

test("under a lease a read is served at once, without another round", () => {
  const a = leaderA();
  renew(a);
  assert.equal(a.read(1, true), []);
  assert.equal(a.reads, [{ ticket: 1, index: 1 }]);
});

test("one that does not trust in leases still waits for a round", () => {
  const a = leaderA();
  renew(a);
  assert.is(a.read(1).length, 2);
  assert.equal(a.reads, []);
});

test("without leases in use every read waits for a round", () => {
  const a = leaderA({});
  renew(a);
  assert.not(serves(a));
});

test("a lease lasts for an election timeout from when the round was sent, less what clocks may differ by", () => {
  const a = leaderA();
  a.waitForDeadline();
  const sentMs = a.clock.nowMs;
  a.clock.nowMs += 10;
  a.receive("b", heartbeatResponse(1, roundOf(a)));

  a.clock.nowMs = sentMs + a.config.electionTimeoutMinMs * (1 - DRIFT) - 1;
  assert.ok(serves(a));
  a.clock.nowMs += 1;
  assert.not(serves(a));
});

test("answers to an earlier round, or of too few, renew nothing", () => {
  const a = serverA({}, LEASES, ["a", "b", "c", "d", "e"]);
  lead(a);
  for (const peer of ["b", "c"]) a.receive(peer, accepted(1, 1));
  a.waitForDeadline();
  a.receive("b", heartbeatResponse(1, 1));
  a.receive("b", heartbeatResponse(1, 1));
  assert.not(serves(a), "two of five");
  const sentMs = a.clock.nowMs;
  for (let i = 0; i < 4; i++) a.waitForDeadline();
  a.receive("c", heartbeatResponse(1, 1));
  a.clock.nowMs = sentMs + 89;
  assert.ok(serves(a));
  a.clock.nowMs += 1;
  assert.not(serves(a), "the lease counts from the round that a majority has answered");
});

test("after a stall the lease is over: whatever held the leader up may have held up its clock, too", () => {
  const a = leaderA();
  renew(a);
  a.step({ type: "stalled" });
  assert.not(serves(a));
  renew(a);
  assert.ok(serves(a));
});

test("nor does an answer renew it to what was sent before the stall, though it is read only now", () => {
  const a = leaderA();
  a.waitForDeadline();
  const sent = roundOf(a);
  a.reads = [];
  a.step(
    { type: "stalled" },
    { type: "message", from: "b", message: heartbeatResponse(1, sent) },
    { type: "read", ticket: 1, lease: true },
  );
  assert.equal(a.reads, []);
  assert.is(roundOf(a), sent + 1, "the read has a round of its own");
  a.receive("b", heartbeatResponse(1, roundOf(a)));
  assert.equal(a.reads, [{ ticket: 1, index: 1 }]);
  assert.ok(serves(a));
});

test("nothing is served before an entry of the leader's own term is committed", () => {
  const a = serverA({ log: [1, 1] }, LEASES);
  lead(a);
  a.waitForDeadline();
  a.receive("b", heartbeatResponse(2, 1));
  assert.not(serves(a));
});

test("a lease ends with the order to another one to stand, and does not come back in this term (openraft#1749)", () => {
  const a = leaderA();
  renew(a);
  a.step({ type: "transfer", to: "b" });
  assert.not(serves(a));

  while (a.raft.role.name === "leader" && a.raft.role.transfer !== null) renew(a);
  renew(a);
  assert.equal(a.story.at(-1)?.event, "transfer-failed");
  assert.not(serves(a), "the order may be obeyed at any time");
});

test("a transfer that has not come to the order yet leaves the lease as it is", () => {
  const a = leaderA();
  renew(a);
  a.propose("x = 1");
  a.step({ type: "transfer", to: "c" });
  assert.ok(serves(a));
});

test("for an election timeout after it has heard a leader a server elects nobody, whatever becomes of the link", () => {
  for (const preVote of [true, false]) {
    const a = serverA({}, LEASES);
    a.receive("b", heartbeat(1));
    a.step({ type: "link-lost", peer: "b" });
    a.clock.nowMs += a.config.electionTimeoutMinMs - 1;
    const refused = single(a.receive("c", voteRequest({ term: 2, last: [0, 0], preVote })));
    assert.equal(refused, vote({ term: 1, preVote, refusal: "leader-is-alive" }));

    a.clock.nowMs += 1;
    assert.equal(single(a.receive("c", voteRequest({ term: 2, last: [0, 0], preVote }))), vote({ term: 2, preVote }));
  }
});

test("also once it has come to a higher term, and not to a leader there", () => {
  const a = serverA({}, LEASES);
  a.receive("b", heartbeat(1));
  a.receive("c", rejected(2, 1, 1));
  assert.equal([a.raft.term, a.role], [2, "follower"]);
  const answer = single(a.receive("c", voteRequest({ term: 3, last: [0, 0] })));
  assert.equal(answer, vote({ term: 2, refusal: "leader-is-alive" }));
});

test("nor does it stand itself before that", () => {
  const a = serverA({}, LEASES);
  a.receive("b", heartbeat(1));
  a.step({ type: "link-lost", peer: "b" });
  assert.ok(a.deadlineMs >= a.clock.nowMs + a.config.electionTimeoutMinMs);
});

test("one that has started again may have heard the leader just before", () => {
  const a = serverA({}, LEASES);
  a.receive("b", heartbeat(1));
  a.restart();
  assert.equal(
    single(a.receive("c", voteRequest({ term: 2, last: [0, 0] }))),
    vote({ term: 1, refusal: "leader-is-alive" }),
  );
  assert.ok(a.deadlineMs >= a.clock.nowMs + a.config.electionTimeoutMinMs);
});

test("so the only voter to come waits as well, while the one that leaves may still lead", () => {
  const cluster = new Cluster(["a", "b"], {}, LEASES);
  const b = cluster.elect("b");
  cluster.advance(50);
  b.change({ type: "remove", id: "b" });
  // The joint configuration is committed, and a has the one after it, which b does not know to be committed.
  while (cluster.at("a").raft.log.lastIndex < 3) {
    cluster.deliver("b", "a");
    if (cluster.at("a").raft.log.lastIndex < 3) cluster.deliver("a", "b");
  }
  assert.equal([b.role, b.raft.commitIndex], ["leader", 2]);
  assert.ok(serves(b));
  cluster.crash("a");
  cluster.restart("a");
  cluster.at("a").tick();
  assert.is(cluster.at("a").role, "follower");
  assert.ok(serves(b));
});

test("an order to stand is obeyed though: the leader has let go of its lease", () => {
  const a = serverA({}, LEASES);
  a.receive("b", heartbeat(1));
  const answer = single(a.receive("c", voteRequest({ term: 2, last: [0, 0], transfer: true })));
  assert.equal(answer, vote({ term: 2 }));
});

test("with leases a dead leader is replaced after an election timeout, and not before the lease has run out", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const cluster = new Cluster(["a", "b", "c"], {}, LEASES, seed);
    const a = cluster.elect("a");
    cluster.advance(50);
    const leaseUntilMs = a.raft.role.name === "leader" ? a.raft.role.leaseUntilMs : 0;
    cluster.crash("a");
    const endMs = cluster.clock.nowMs + 300;
    while (cluster.leader === undefined && cluster.clock.nowMs < endMs) cluster.advance(1);
    assert.ok(cluster.leader !== undefined && cluster.clock.nowMs >= leaseUntilMs, `seed ${seed}`);
  }
});

test("a follower's read is not served under the leader's lease: that would take two clocks more to trust in", () => {
  const cluster = new Cluster(["a", "b", "c"], {}, LEASES);
  cluster.elect("a");
  cluster.advance(50);
  const b = cluster.at("b");
  b.read(1, true);
  cluster.deliver("b", "a");
  assert.equal(cluster.waiting("a", "b")[0]?.type, "heartbeat-request");
  cluster.settle();
  assert.equal(b.reads, [{ ticket: 1, index: 1 }]);
});

test("whatever entries a follower acknowledges, only answers to heartbeats renew a lease", () => {
  const a = leaderA();
  a.waitForDeadline();
  a.propose("x = 1");
  a.receive("b", accepted(1, 2));
  a.receive("c", accepted(1, 2), heartbeatResponse(1, 0));
  assert.not(serves(a));
  // A follower hears the leader in its entries all the same.
  const b = serverA({}, LEASES);
  b.receive("b", append({ term: 1, prev: [0, 0] }));
  assert.equal(
    single(b.receive("c", voteRequest({ term: 2, last: [0, 0] }))),
    vote({ term: 1, refusal: "leader-is-alive" }),
  );
});

test.run();
