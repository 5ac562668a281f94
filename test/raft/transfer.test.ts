/** Handing leadership over (thesis, 3.10), on request and to whom is to be preferred. */

import * as assert from "uvu/assert";
import type { Outgoing } from "../../src/raft/index.ts";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import { accepted, heartbeatResponse, ofType, receiversOf, timeoutNow, vote, voteRequest } from "./messages.ts";
import { lead, type Server, serverA } from "./server.ts";

const test = suite("raft: leadership transfer");

test("the heir is elected at once, without a pre-vote, by followers that hear the leader", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.advance(50);
  a.step({ type: "transfer", to: "b" });
  cluster.settle();

  assert.is(cluster.leader?.id, "b");
  assert.is(cluster.at("b").raft.term, 2);
  const heirs = cluster.at("b").story.filter((line) => line.event === "pre-vote" || line.event === "candidate");
  assert.equal(heirs, [{ event: "candidate", term: 2, transfer: true }]);
  assert.ok(a.story.some((line) => line.event === "stepped-down" && line.reason === "transferred"));
});

test("the order goes out only when the heir holds everything the leader has", () => {
  const a = serverA();
  lead(a);
  a.receive("b", accepted(1, 1));
  a.propose("x = 1");
  assert.equal(receiversOf(a.step({ type: "transfer", to: "b" }), "timeout-now"), []);

  assert.equal(ofType(a.receive("b", accepted(1, 2)), "timeout-now", "b"), [timeoutNow(1)]);
  assert.equal(receiversOf(a.tick(), "timeout-now"), [], "and only once");
});

test("a leader on its way out takes no proposals", () => {
  const a = serverA();
  lead(a);
  a.step({ type: "transfer", to: "b" });
  a.propose("x = 1", 9);

  assert.equal(a.proposals, [{ ticket: 9, refusal: "transferring" }]);
  assert.is(a.terms.length, 1);
});

test("a transfer that does not succeed within an election timeout is given up, and proposals are taken again", () => {
  const a = serverA();
  lead(a);
  a.step({ type: "transfer", to: "b" });
  const startedMs = a.clock.nowMs;
  while (a.role === "leader" && a.clock.nowMs < startedMs + a.config.electionTimeoutMinMs) {
    a.receive("c", accepted(1, 1));
    a.waitForDeadline();
  }

  assert.is(a.clock.nowMs, startedMs + a.config.electionTimeoutMinMs);
  assert.is(a.role, "leader");
  assert.equal(a.story.at(-1), { event: "transfer-failed", term: 1, to: "b" });
  a.propose("x = 1", 9);
  assert.equal(a.proposals, [{ ticket: 9, index: 2, term: 1 }]);
});

test("with no heir named, the one that is furthest along is chosen", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.mute("a", "b");
  a.propose("x = 1");
  cluster.settle();
  a.step({ type: "transfer", to: null });
  cluster.settle();

  assert.is(cluster.leader?.id, "c");
});

test("a transfer to nobody that can be reached fails at once", () => {
  const a = serverA();
  lead(a);
  a.step({ type: "link-lost", peer: "b" });
  for (const to of ["b", "stranger", "a"]) {
    a.step({ type: "transfer", to });
    assert.equal(a.story.at(-1), { event: "transfer-failed", term: 1, to });
  }
  a.propose("x = 1", 9);
  assert.equal(a.proposals, [{ ticket: 9, index: 2, term: 1 }]);
});

test("only the transfer flag overrides a living leader; the log must be up-to-date all the same", () => {
  const follower = (): ReturnType<typeof serverA> => {
    const a = serverA({ log: [1, 1] });
    a.receive("b", { ...timeoutNow(1), type: "heartbeat-request", round: 1, commitIndex: a.raft.commitIndex });
    return a;
  };
  const ask = (last: [number, number]) => follower().receive("c", voteRequest({ term: 2, transfer: true, last }));

  assert.equal(ask([2, 1]), [{ to: "c", message: vote({ term: 2 }) }]);
  assert.equal(ask([1, 1]), [{ to: "c", message: vote({ term: 2, refusal: "log-behind" }) }]);
});

test("an order to take over is obeyed only if it comes from the leader of this term", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  cluster.elect("a");
  const b = cluster.at("b");
  b.receive("c", timeoutNow(1));
  assert.is(b.role, "follower", "c does not lead");
  b.receive("a", timeoutNow(0));
  assert.is(b.role, "follower", "an earlier term");
  b.receive("a", timeoutNow(1));
  assert.is(b.role, "candidate");
});

/** Leader "a" of term 1; b and c hold all that it has. The priorities are those of a, b and c. */
function leaderAmong(...priorities: readonly [number, number, number]): Server {
  const a = serverA();
  const { configuration } = a.snapshot;
  const members = configuration.members.map((member, i) => ({ ...member, priority: priorities[i] ?? 0 }));
  a.disk.snapshots = [{ ...a.snapshot, configuration: { members } }];
  a.restart();
  for (const peer of ["b", "c"]) a.step({ type: "link-up", peer });
  lead(a);
  for (const peer of ["b", "c"]) a.receive(peer, accepted(1, 1));
  return a;
}

/** Whom the leader orders to stand while it hears both, or only these, for so many election timeouts. */
function heirsWithin(a: Server, timeouts: number, heard: readonly string[] = ["b", "c"]): string[] {
  const sent: Outgoing[] = [];
  const endMs = a.clock.nowMs + timeouts * a.config.electionTimeoutMaxMs;
  while (a.role === "leader" && a.clock.nowMs < endMs) {
    sent.push(...a.waitForDeadline());
    for (const peer of heard) sent.push(...a.receive(peer, heartbeatResponse(1, 0)));
  }
  return receiversOf(sent, "timeout-now");
}

test("a leader hands over to a server of a higher priority once it has been in office for a while, and to the highest", () => {
  const a = leaderAmong(1, 2, 3);
  assert.equal(heirsWithin(a, 3.9), []);
  assert.equal(heirsWithin(a, 0.2), ["c"]);
});

test("not to one of the same priority, nor of a lower one", () => {
  assert.equal(heirsWithin(leaderAmong(0, 0, 0), 10), []);
  assert.equal(heirsWithin(leaderAmong(2, 1, 2), 10), []);
});

test("nor to one that does not keep up, that no link leads to, or that has fallen silent", () => {
  const behind = leaderAmong(1, 0, 3);
  behind.step({ type: "link-lost", peer: "c" }, { type: "link-up", peer: "c" });
  assert.equal(heirsWithin(behind, 10), [], "it has not answered since");
  const lost = leaderAmong(1, 2, 3);
  lost.step({ type: "link-lost", peer: "c" });
  assert.equal(heirsWithin(lost, 5), ["b"]);
  assert.equal(heirsWithin(leaderAmong(1, 0, 3), 10, ["b"]), []);
});

test("one that does not take over is asked again, but not at once", () => {
  const a = leaderAmong(1, 2, 1);
  assert.is(heirsWithin(a, 4.1).length, 1);
  assert.is(heirsWithin(a, 3.8).length, 0);
  assert.is(heirsWithin(a, 0.2).length, 1);
});

test("priority has no say in an election", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.advance(50);
  a.change({ type: "prefer", id: "c", priority: 9 });
  cluster.advance(50);
  cluster.elect("b");
  assert.is(cluster.leader?.id, "b");
  cluster.advance(5 * a.config.electionTimeoutMaxMs);
  assert.is(cluster.leader?.id, "c", "it comes to it by a transfer");
});

test("a learner is no heir, and in a joint configuration nobody is who is to lose the vote", () => {
  const a = serverA();
  lead(a);
  for (const peer of ["b", "c"]) a.receive(peer, accepted(1, 1));
  a.change({ type: "demote", id: "b" });
  a.step({ type: "transfer", to: "b" });
  assert.equal(a.story.at(-1), { event: "transfer-failed", term: 1, to: "b" });
  a.receive("c", accepted(1, 2));
  a.receive("c", accepted(1, 3));
  a.step({ type: "transfer", to: "b" });
  assert.equal(a.story.at(-1), { event: "transfer-failed", term: 1, to: "b" });
});

test.run();
