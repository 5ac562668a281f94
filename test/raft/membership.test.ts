/** Changes of the members while the cluster is at work (thesis, chapter 4). */

import * as assert from "uvu/assert";
import { encodeConfiguration } from "../../src/raft/configuration.ts";
import {
  bootstrap,
  type Configuration,
  configurationOf,
  type Entry,
  EntryKind,
  logIndex,
  type MemberRole,
  memberNamed,
  memberOf,
  type NodeId,
  type Snapshot,
  term,
  type Wish,
} from "../../src/raft/index.ts";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import { textOfMembers } from "./golden/notation.ts";
import {
  accepted,
  append,
  first,
  heartbeat,
  heartbeatResponse,
  ofType,
  receiversOf,
  rejected,
  single,
  timeoutNow,
  vote,
  voteRequest,
} from "./messages.ts";
import { commandsOf, lead, NOTHING, Server, serverA, urlOf } from "./server.ts";

const test = suite("raft: membership");

const placeOf = (id: NodeId, disk = `${id}-disk`) => ({ url: urlOf(id), incarnation: disk });
const add = (id: NodeId, votes = true): Wish => ({ type: "add", id, votes, priority: 0, ...placeOf(id) });
const remove = (id: NodeId): Wish => ({ type: "remove", id });
const move = (id: NodeId, disk: string): Wish => ({ type: "move", id, ...placeOf(id, disk) });

const membersOf = (server: Server): string => textOfMembers(configurationOf(server.raft));

/** Server "a", leader of term 1 with its no-op committed; d and e, who are no members yet, are linked to it as well. */
function leaderA(voters?: readonly NodeId[]): Server {
  const a = serverA({}, {}, voters);
  lead(a);
  for (const peer of a.voters.slice(1)) a.receive(peer, accepted(1, 1));
  for (const peer of ["d", "e"]) a.step({ type: "link-up", peer });
  a.outbox = [];
  return a;
}

const configured = (roles: Readonly<Record<NodeId, MemberRole>>): Configuration => ({
  members: Object.entries(roles).map(([id, role]) => ({ ...memberOf(id, urlOf(id), role), ...placeOf(id) })),
});

/** An entry that makes these the members. */
const configurationEntry = (index: number, inTerm: number, roles: Readonly<Record<NodeId, MemberRole>>): Entry => ({
  index: logIndex(index),
  term: term(inTerm),
  kind: EntryKind.configuration,
  payload: encodeConfiguration(configured(roles)),
});

/** Server "a" as a follower of b in term 1, whose log ends with an entry, the second, that makes these the members. */
function followerWith(roles: Readonly<Record<NodeId, MemberRole>>, commit = 1): Server {
  const a = serverA();
  const entries = [...append({ term: 1, prev: [0, 0], entries: [1] }).entries, configurationEntry(2, 1, roles)];
  a.receive("b", { ...append({ term: 1, prev: [0, 0], commit }), entries });
  a.outbox = [];
  return a;
}

test("a configuration is in effect once it is in the log, committed or not (4.1)", () => {
  const a = leaderA();
  const sent = a.change(add("d"));
  assert.equal(a.changes, [{ ticket: 0, index: 2, term: 1 }]);
  assert.is(a.raft.commitIndex, 1);
  assert.equal(receiversOf(sent, "append-request"), ["b", "c", "d"], "the new member is sent the log");

  const follower = followerWith({ a: "voter", b: "voter", c: "voter", d: "voter", e: "voter" });
  assert.is(follower.raft.commitIndex, 1);
  assert.is(membersOf(follower), "a,b,c,d,e");
  for (const peer of ["d", "e"]) follower.step({ type: "link-up", peer });
  assert.equal(receiversOf(follower.waitForDeadline(), "vote-request"), ["b", "c", "d", "e"]);
});

test("and out of effect once another leader's entry takes its place (4.1; canonical/raft#354, scylladb#9551)", () => {
  const a = followerWith({ a: "voter", b: "voter", d: "incoming" });
  assert.is(membersOf(a), "a,b,d(incoming)");
  a.receive("c", append({ term: 2, prev: [1, 1], entries: [2] }));

  assert.is(membersOf(a), "a,b,c");
  assert.equal(a.story.at(-1), { event: "configuration-rolled-back", term: 2, index: 2 });
  a.restart();
  assert.is(membersOf(a), "a,b,c");
});

test("several are rolled back at once, down to the one that stays", () => {
  const a = followerWith({ a: "voter", b: "voter", c: "voter", d: "learner" }, 2);
  const more = [
    configurationEntry(3, 1, { a: "voter", b: "voter", c: "leaving", d: "learner" }),
    configurationEntry(4, 1, { a: "voter", b: "voter", d: "learner" }),
  ];
  a.receive("b", { ...append({ term: 1, prev: [2, 1], commit: 2 }), entries: more });
  assert.is(membersOf(a), "a,b,d(learner)");
  a.receive("c", append({ term: 2, prev: [2, 1], entries: [2] }));
  assert.is(membersOf(a), "a,b,c,d(learner)");
});

test("a restart finds it in the log, or in the snapshot that stands for it (canonical/raft#354, scylladb#9551)", () => {
  const a = followerWith({ a: "voter", b: "voter", c: "voter", d: "learner" }, 2);
  a.restart();
  assert.is(membersOf(a), "a,b,c,d(learner)");
  a.takeSnapshot();
  a.compact();
  assert.is(a.durableTerms.length, 0);
  a.restart();
  assert.is(membersOf(a), "a,b,c,d(learner)");
});

test("a snapshot names the members as of its last entry, and not those of later entries", () => {
  const a = followerWith({ a: "voter", b: "voter", c: "voter", d: "learner" }, 1);
  a.takeSnapshot();
  assert.is(textOfMembers(a.snapshot.configuration), "a,b,c");
  a.receive("c", append({ term: 2, prev: [1, 1], entries: [2] }));
  assert.is(membersOf(a), "a,b,c");
});

test("no change before the leader has committed an entry of its own term (4.1, erratum; openraft#2051, etcd#7625)", () => {
  const a = serverA({ log: [1, 1] });
  lead(a);
  a.change(add("d"));
  assert.equal(a.changes, [{ ticket: 0, refusal: { reason: "not-ready" } }]);
  assert.equal(a.terms, [1, 1, 2]);

  a.receive("b", accepted(2, 3));
  a.change(add("d"));
  assert.equal(a.changes.at(-1), { ticket: 0, index: 4, term: 2 });
});

test("nor while the one before is not committed", () => {
  const a = leaderA();
  a.change(add("d"));
  a.change(add("e"));
  assert.equal(a.changes.at(-1), { ticket: 0, refusal: { reason: "in-progress" } });
  a.receive("b", accepted(1, 2));
  a.change(add("e"));
  assert.equal(a.changes.at(-1), { ticket: 0, index: 3, term: 1 });
});

test("nor at a server that does not lead, or that is handing over", () => {
  const follower = serverA();
  follower.change(add("d"));
  assert.equal(follower.changes, [{ ticket: 0, refusal: "not-leader" }]);
  const a = leaderA();
  a.step({ type: "transfer", to: "b" });
  a.change(add("d"));
  assert.equal(a.changes, [{ ticket: 0, refusal: "transferring" }]);
});

test("what can't be is refused, and what is so already makes no entry", () => {
  const a = leaderA();
  a.change(remove("x"));
  a.change({ type: "prefer", id: "b", priority: 0 });
  assert.equal(a.changes, [
    { ticket: 0, refusal: { reason: "unknown-member", id: "x" } },
    { ticket: 0, index: null, term: 1 },
  ]);
  assert.is(a.terms.length, 1);
});

test("a change that comes with the news that this server leads no more is refused", () => {
  const a = leaderA();
  a.step({ type: "message", from: "b", message: heartbeat(2) }, { type: "change", ticket: 5, wishes: [add("d")] });
  assert.equal(a.changes, [{ ticket: 5, refusal: "not-leader" }]);
});

test("one that comes just before is taken, and gone with the entry", () => {
  const a = leaderA();
  a.step(
    { type: "change", ticket: 5, wishes: [add("d")] },
    { type: "message", from: "b", message: append({ term: 2, prev: [1, 1], entries: [2] }) },
  );
  assert.equal(a.changes, [{ ticket: 5, index: 2, term: 1 }]);
  assert.is(membersOf(a), "a,b,c");
  assert.equal(a.durableTerms, [1, 2]);
});

test("a learner is sent the log, and has no say: neither in commitment nor in an election (4.2.1)", () => {
  const a = leaderA();
  a.change(add("d", false));
  assert.is(a.raft.commitIndex, 1);
  a.receive("d", accepted(1, 2));
  assert.is(a.raft.commitIndex, 1, "a and d are no majority");
  a.receive("b", accepted(1, 2));
  assert.is(a.raft.commitIndex, 2);

  const b = followerWith({ a: "voter", b: "voter", c: "voter", d: "learner" });
  b.step({ type: "link-up", peer: "d" });
  assert.equal(receiversOf(b.waitForDeadline(), "vote-request"), ["b", "c"]);
  b.receive("d", vote({ term: 2, preVote: true }));
  assert.is(b.role, "pre-candidate");
});

test("a learner does not stand for election, nor obey an order to; it votes if it is asked (4.1)", () => {
  const a = followerWith({ a: "learner", b: "voter", c: "voter" }, 2);
  assert.equal(a.waitForDeadline(), []);
  a.receive("b", append({ term: 1, prev: [2, 1], commit: 2 }), timeoutNow(1));
  assert.equal([a.role, a.raft.term], ["follower", 1]);
  a.clock.nowMs += a.config.electionTimeoutMaxMs;
  assert.equal(single(a.receive("c", voteRequest({ term: 2, last: [2, 1] }))), vote({ term: 2 }));
});

test("a server that has just started to join knows nobody, and keeps still", () => {
  const d = new Server({ id: "d", voters: [], clock: { nowMs: 0 }, isAdmitted: false });
  for (let i = 0; i < 5; i++) assert.equal(d.waitForDeadline(), []);
  assert.equal(d.receive("a", voteRequest({ term: 1, last: [9, 1] })), [], "it may have been here before");
  assert.equal(d.receive("a", append({ term: 1, prev: [5, 1] })), [{ to: "a", message: rejected(1, 5, 1) }]);
});

test("a learner becomes a voter by itself once it keeps up: through a joint configuration, and out of it (4.3)", () => {
  const a = leaderA();
  a.change(add("d"));
  a.receive("b", accepted(1, 2));
  assert.is(membersOf(a), "a,b,c,d(learner:to-vote)");
  a.receive("d", accepted(1, 2));
  assert.is(membersOf(a), "a,b,c,d(incoming)");
  for (const peer of ["b", "c", "d"]) a.receive(peer, accepted(1, 3));
  assert.is(membersOf(a), "a,b,c,d");
});

test("but not before a round of catching up took less than an election timeout (4.2.1)", () => {
  const a = leaderA();
  for (let i = 0; i < 4; i++) a.propose(`x = ${i}`);
  a.receive("b", accepted(1, 5));
  a.change(add("d"));
  a.receive("b", accepted(1, 6));
  /** The learner has what the leader had when the round began, so many milliseconds later; and there is more by now. */
  const round = (matchIndex: number, tookMs: number): string => {
    a.propose("y");
    a.receive("b", accepted(1, a.raft.log.lastIndex));
    a.clock.nowMs += tookMs;
    a.receive("d", accepted(1, matchIndex));
    return membersOf(a);
  };
  for (const peer of ["b", "c"]) a.receive(peer, heartbeatResponse(1, 0));
  assert.is(round(3, 50), "a,b,c,d(learner:to-vote)", "in the middle of a round");
  assert.is(round(6, 60), "a,b,c,d(learner:to-vote)", "110 ms");
  a.receive("b", heartbeatResponse(1, 0));
  assert.is(round(8, 90), "a,b,c,d(incoming)", "90 ms");
});

test("nor while there is no link to it, or while nothing is heard from it", () => {
  const a = leaderA();
  a.change(add("d"));
  a.receive("d", accepted(1, 2));
  a.step({ type: "link-lost", peer: "d" });
  a.receive("b", accepted(1, 2));
  assert.is(membersOf(a), "a,b,c,d(learner:to-vote)");
  a.step({ type: "link-up", peer: "d" });
  assert.is(membersOf(a), "a,b,c,d(learner:to-vote)");
  a.receive("d", accepted(1, 2));
  assert.is(membersOf(a), "a,b,c,d(incoming)");

  const other = leaderA();
  other.change(add("d"));
  other.receive("d", accepted(1, 2));
  const silentMs = other.clock.nowMs + other.config.electionTimeoutMinMs;
  while (other.clock.nowMs < silentMs) {
    other.waitForDeadline();
    other.receive("c", heartbeatResponse(1, 0));
  }
  other.receive("b", accepted(1, 2));
  assert.is(membersOf(other), "a,b,c,d(learner:to-vote)");
});

test("one that holds everything keeps up, however long it took: there is nothing that could be waited for", () => {
  const a = leaderA();
  a.change(add("d"));
  a.receive("b", accepted(1, 2));
  for (let i = 0; i < 10; i++) {
    a.waitForDeadline();
    a.receive("b", heartbeatResponse(1, 0));
  }
  a.receive("d", accepted(1, 2));
  assert.is(membersOf(a), "a,b,c,d(incoming)");
});

test("nobody is promoted by a leader that is handing over: that is for the next one", () => {
  const a = leaderA();
  a.change(add("d"));
  a.receive("b", accepted(1, 2));
  a.step({ type: "transfer", to: "c" });
  a.receive("d", accepted(1, 2));
  assert.is(membersOf(a), "a,b,c,d(learner:to-vote)");
});

test("while a configuration is joint an entry needs a majority of the old set and one of the new (4.3)", () => {
  const a = leaderA();
  a.change(add("d"), add("e"));
  for (const peer of ["d", "e", "b"]) a.receive(peer, accepted(1, 2));
  assert.is(membersOf(a), "a,b,c,d(incoming),e(incoming)");
  assert.is(a.raft.commitIndex, 2);
  for (const peer of ["d", "e"]) a.receive(peer, accepted(1, 3));
  assert.is(a.raft.commitIndex, 2, "a, d and e are three of the five to come, but one of the three that were");
  a.receive("b", accepted(1, 3));
  assert.is(a.raft.commitIndex, 3);

  const shrinking = leaderA(["a", "b", "c", "d", "e"]);
  shrinking.change(remove("d"), remove("e"));
  for (const peer of ["d", "e"]) shrinking.receive(peer, accepted(1, 2));
  assert.is(shrinking.raft.commitIndex, 1, "three of the five that were, but one of the three to come");
  shrinking.receive("b", accepted(1, 2));
  assert.is(shrinking.raft.commitIndex, 2);
});

test("an election needs both, and so does a leader to stay in office (4.3)", () => {
  const joint = (): Server => {
    const a = followerWith({ a: "voter", b: "leaving", c: "leaving", d: "incoming", e: "incoming" });
    for (const peer of ["d", "e"]) a.step({ type: "link-up", peer });
    a.waitForDeadline();
    return a;
  };
  for (const peers of [
    ["b", "c"],
    ["d", "e"],
  ]) {
    const a = joint();
    for (const peer of peers) a.receive(peer, vote({ term: 2, preVote: true }));
    assert.is(a.role, "pre-candidate", `${peers}`);
  }
  const a = joint();
  for (const peer of ["b", "d"]) a.receive(peer, vote({ term: 2, preVote: true }));
  assert.is(a.role, "candidate");
  for (const peer of ["b", "d"]) a.receive(peer, vote({ term: 2 }));
  assert.is(a.role, "leader");
  const endMs = a.clock.nowMs + 2 * a.config.electionTimeoutMinMs;
  while (a.clock.nowMs < endMs) {
    a.waitForDeadline();
    for (const peer of ["d", "e"]) a.receive(peer, heartbeatResponse(2, 0));
  }
  assert.is(a.role, "follower", "it hears nothing of the old majority");
});

test("so do reads", () => {
  const a = leaderA();
  a.change(add("d"), add("e"));
  for (const peer of ["d", "e", "b"]) a.receive(peer, accepted(1, 2));
  a.read(1);
  const round = a.raft.role.name === "leader" ? a.raft.role.round : 0;
  for (const peer of ["d", "e"]) a.receive(peer, heartbeatResponse(1, round));
  assert.equal(a.reads, []);
  a.receive("b", heartbeatResponse(1, round));
  assert.is(a.reads.length, 1);
});

test("whoever leads next sees a change through (4.3)", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.join("d");
  cluster.advance(50);
  a.change({ type: "replace", id: "a", by: "d", ...placeOf("d") });
  cluster.settle(["a", "b", "c"]);
  assert.is(membersOf(cluster.at("b")), "a,b,c,d(learner:for-a)");
  cluster.crash("a");
  cluster.elect("b");
  cluster.advance(100);
  for (const id of ["b", "c", "d"]) assert.is(membersOf(cluster.at(id)), "b,c,d", id);
});

test("a leader that dies in the middle of a change leaves either outcome, and one only (4.3)", () => {
  for (const reached of [[], ["b", "d"]]) {
    const cluster = new Cluster(["a", "b", "c", "d"]);
    const a = cluster.elect("a");
    cluster.advance(50);
    a.change(remove("c"));
    for (const peer of reached) cluster.deliver("a", peer);
    cluster.crash("a");
    cluster.advance(1000);

    const isMade = reached.length > 0;
    for (const id of ["b", "d"]) assert.is(membersOf(cluster.at(id)), isMade ? "a,b,d" : "a,b,c,d", id);
    cluster.restart("a");
    cluster.advance(1000);
    assert.is(membersOf(a), isMade ? "a,b,d" : "a,b,c,d");
  }
});

test("a leader that is removed manages the cluster until that is committed, and does not count itself (4.2.2)", () => {
  const a = leaderA();
  a.change(remove("a"));
  assert.is(membersOf(a), "a(leaving),b,c");
  a.receive("b", accepted(1, 2));
  assert.is(a.raft.commitIndex, 1, "b is one of the two to come");
  a.receive("c", accepted(1, 2));
  assert.is(a.raft.commitIndex, 2);
  assert.is(membersOf(a), "b,c");
  a.receive("b", accepted(1, 3));
  assert.equal([a.role, a.raft.commitIndex], ["leader", 2], "a and b are not the two");
  const sent = a.receive("c", accepted(1, 3));
  assert.equal([a.role, a.raft.commitIndex], ["follower", 3]);
  assert.ok(a.story.some((line) => line.event === "stepped-down" && line.reason === "removed"));
  assert.is(ofType(sent, "timeout-now").length, 1, "it has another one take over at once");
});

test("the one that takes over is the furthest along of those that a link leads to", () => {
  for (const isCut of [false, true]) {
    const a = leaderA();
    a.change(remove("a"));
    for (const peer of ["b", "c"]) a.receive(peer, accepted(1, 2));
    a.propose("x = 1");
    a.receive("c", accepted(1, 4));
    if (isCut) a.step({ type: "link-lost", peer: "c" });
    assert.equal(receiversOf(a.receive("b", accepted(1, 3)), "timeout-now"), [isCut ? "b" : "c"]);
  }
});

test("a leader that is demoted hands over as well, and follows as a learner", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.advance(50);
  a.change({ type: "demote", id: "a" });
  cluster.advance(50);
  const { leader } = cluster;
  assert.ok(leader !== undefined && leader.id !== "a");
  leader.propose("x = 1");
  cluster.advance(50);
  assert.is(membersOf(a), "a(learner),b,c");
  assert.equal(commandsOf(a), ["x = 1"]);
  cluster.advance(2000);
  assert.is(a.role, "follower");
});

test("a server that has been removed disturbs nobody, whether it knows or not (4.2.3)", () => {
  const cluster = new Cluster(["a", "b", "c", "d"]);
  const a = cluster.elect("a");
  cluster.advance(50);
  cluster.cut("a", "d");
  a.change(remove("d"));
  cluster.advance(100);
  assert.is(membersOf(a), "a,b,c");
  assert.is(membersOf(cluster.at("d")), "a,b,c,d");
  cluster.heal("a", "d");
  cluster.advance(3000);
  assert.equal([a.role, a.raft.term], ["leader", 1]);

  const knowing = followerWith({ b: "voter", c: "voter" }, 2);
  for (let i = 0; i < 5; i++) assert.equal(knowing.waitForDeadline(), []);
});

test("one whose removal is not committed yet stands all the same: it may be the only one that can win (4.2.2)", () => {
  // Of two voters a is to be a learner. It has the configuration that says so; b has not, and can't be elected.
  const cluster = new Cluster(["a", "b"]);
  const a = cluster.elect("a");
  cluster.advance(50);
  a.change({ type: "demote", id: "a" });
  cluster.deliver("a", "b");
  cluster.deliver("b", "a");
  assert.is(membersOf(a), "a(learner),b");
  assert.is(membersOf(cluster.at("b")), "a(demoting),b");
  cluster.crash("a");
  cluster.restart("a");
  cluster.advance(1000);

  assert.is(cluster.leader?.id, "b");
  assert.is(membersOf(cluster.at("b")), "a(learner),b");
});

test("but its own vote does not count for it", () => {
  const a = followerWith({ a: "demoting", b: "voter", c: "voter" }, 2);
  a.receive("b", {
    ...append({ term: 1, prev: [2, 1], commit: 2 }),
    entries: [configurationEntry(3, 1, { a: "learner", b: "voter", c: "voter" })],
  });
  a.waitForDeadline();
  a.receive("b", vote({ term: 2, preVote: true }));
  assert.is(a.role, "pre-candidate");
  a.receive("c", vote({ term: 2, preVote: true }));
  assert.is(a.role, "candidate");
});

test("a machine that has lost its disk gives no vote under its old name, and does not stand (rethinkdb#5289)", () => {
  for (const members of [
    bootstrap(["a", "b", "c"].map((id) => ({ id, url: urlOf(id) }))),
    configured({ a: "voter" }),
  ]) {
    const a = serverA();
    a.isAdmitted = false;
    const named = {
      ...members,
      members: members.members.map((one) => ({ ...one, incarnation: one.incarnation && "lost" })),
    };
    a.disk.snapshots = [{ ...NOTHING, configuration: named } satisfies Snapshot];
    a.restart();
    for (const peer of ["b", "c"]) a.step({ type: "link-up", peer });
    assert.equal(a.receive("b", voteRequest({ term: 5, last: [9, 4] })), []);
    assert.equal(a.receive("b", voteRequest({ term: 5, last: [9, 4], preVote: true })), []);
    assert.equal(a.waitForDeadline(), []);
    assert.is(a.role, "follower");
  }
});

test("until it is admitted, or a configuration names the disk that it has", () => {
  const admitted = serverA();
  admitted.isAdmitted = false;
  admitted.restart();
  admitted.step({ type: "admitted" });
  assert.equal(single(admitted.receive("b", voteRequest({ term: 5, last: [9, 4] }))), vote({ term: 5 }));

  const named = followerWith({ a: "learner", b: "voter", c: "voter" });
  named.isAdmitted = false;
  named.restart();
  named.clock.nowMs += 200;
  assert.equal(single(named.receive("b", voteRequest({ term: 5, last: [9, 4] }))), vote({ term: 5 }));
});

test("so it does not help to elect a leader without what was committed (rethinkdb#5289, rabbitmq-server#12366)", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.isolate("c");
  a.propose("x = 1");
  cluster.settle();
  assert.is(a.raft.commitIndex, 2);

  // Only a and b have the entry. b loses its disk; then a is away, and c asks b for its vote.
  cluster.wipe("b");
  cluster.isolate("a");
  cluster.unmute("b", "c");
  cluster.advance(3000);
  assert.is.not(cluster.at("c").role, "leader");

  cluster.rejoin("a");
  cluster.advance(1000);
  assert.ok(cluster.leader !== undefined);
  assert.equal(commandsOf(cluster.at("c")), ["x = 1"]);
});

test("it is taken in again as a learner, and votes when it keeps up", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  a.propose("x = 1");
  cluster.advance(50);
  cluster.wipe("b");
  cluster.advance(500);
  assert.equal(commandsOf(cluster.at("b")), [], "what it says goes unheard");
  a.change(move("b", "b-disk"));
  cluster.advance(50);
  a.change(move("b", "b-disk-2"));
  cluster.settle();
  assert.equal(
    a.story.flatMap((line) =>
      line.event === "configuration" && line.committed ? [textOfMembers(line.configuration)] : [],
    ),
    ["a,b,c", "a,b(demoting:wiped),c", "a,b(learner:to-vote),c", "a,b(incoming),c", "a,b,c"],
  );
  assert.equal(commandsOf(cluster.at("b")), ["x = 1"]);
  cluster.crash("c");
  a.propose("x = 2");
  cluster.settle();
  assert.equal(commandsOf(a), ["x = 1", "x = 2"], "b has a say again");
});

test("what the leader knows of one process of a name it does not believe of the next (raft-rs#571)", () => {
  const a = leaderA();
  a.change(add("d", false));
  for (const peer of ["b", "d"]) a.receive(peer, accepted(1, 2));
  const matchOfD = (): number | null | undefined =>
    a.raft.role.name === "leader" ? a.raft.role.followers.get("d")?.match : null;
  assert.is(matchOfD(), 2);

  a.change(remove("d"));
  assert.is(matchOfD(), undefined);
  a.receive("b", accepted(1, 3));
  a.receive("d", accepted(1, 3));
  assert.is(matchOfD(), undefined, "it is no member");
  a.change(add("d", false));
  assert.is(matchOfD(), 0, "added again, it begins anew");
  a.receive("b", accepted(1, 4));
  a.receive("d", accepted(1, 4));
  a.change(move("d", "d-disk-2"));
  assert.is(matchOfD(), 0, "as does another disk");
});

test("a heartbeat's commit index is believed up to what this process is known to share with the leader", () => {
  // The leader speaks of what a process of the same name had acknowledged.
  const a = serverA({ log: [1, 1, 1] });
  a.receive("b", heartbeat(2, 1, 3));
  assert.is(a.raft.commitIndex, 0, "the entries may be others than the leader's");
  a.receive("b", append({ term: 2, prev: [2, 1] }), heartbeat(2, 2, 3));
  assert.is(a.raft.commitIndex, 2);
  a.receive("b", append({ term: 2, prev: [3, 1], commit: 2 }));
  a.receive("c", heartbeat(3, 1, 3));
  assert.is(a.raft.commitIndex, 2, "what it shared with one leader it need not share with the next");
});

test("a cluster of one grows to three and shrinks back", () => {
  const cluster = new Cluster(["a"]);
  const a = cluster.at("a");
  a.tick();
  assert.is(a.role, "leader");
  for (const id of ["b", "c"]) cluster.join(id);
  a.change(add("b"), add("c"));
  cluster.advance(100);
  for (const { id } of cluster.servers) assert.is(membersOf(cluster.at(id)), "a,b,c", id);
  a.propose("x = 1");
  cluster.advance(50);
  for (const server of cluster.servers) assert.equal(commandsOf(server), ["x = 1"], server.id);

  cluster.crash("a");
  cluster.advance(500);
  assert.ok(cluster.leader !== undefined, "two of three go on");
  cluster.restart("a");
  cluster.advance(500);
  cluster.leader?.change(remove("a"), remove("b"));
  cluster.advance(500);
  cluster.crash("a");
  cluster.crash("b");
  cluster.advance(500);
  assert.is(cluster.leader?.id, "c");
  cluster.leader?.propose("x = 2");
  cluster.advance(50);
  assert.equal(commandsOf(cluster.at("c")), ["x = 1", "x = 2"]);
  cluster.restart("c");
  assert.is(cluster.at("c").role, "leader", "it has nobody to wait for");
});

test("a candidate asks the members of the configuration that it has, and only counts these", () => {
  const a = followerWith({ a: "voter", d: "voter", e: "voter" });
  for (const peer of ["d", "e"]) a.step({ type: "link-up", peer });
  a.waitForDeadline();
  for (const peer of ["b", "c"]) a.receive(peer, vote({ term: 2, preVote: true }));
  assert.is(a.role, "pre-candidate");
  a.receive("e", vote({ term: 2, preVote: true }));
  assert.is(a.role, "candidate");
});

test("a change is told of when it takes effect, and when it is final", () => {
  const a = leaderA();
  a.change(add("d", false));
  a.receive("b", accepted(1, 2));
  const configuration = configurationOf(a.raft);
  assert.equal(
    a.story.filter(({ event }) => event === "configuration"),
    [false, true].map((committed) => ({ event: "configuration", term: 1, index: 2, configuration, committed })),
  );
  assert.is(first(a.story.filter(({ event }) => event === "follower-caught-up")).event, "follower-caught-up");
  assert.is(memberNamed(configuration, "d")?.role, "learner");
});

test.run();
