/** Snapshots in place of the log (paper, section 7 and Figure 13; thesis, chapter 5). */

import * as assert from "uvu/assert";
import {
  bootstrap,
  compactableThrough,
  configurationOf,
  createRaft,
  Log,
  logIndex,
  type Outgoing,
  type Snapshot,
  term,
  wantedSnapshots,
} from "../../src/raft/index.ts";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import {
  accepted,
  append,
  heartbeatResponse,
  ofType,
  receiversOf,
  rejected,
  snapshotOffer,
  vote,
  voteRequest,
} from "./messages.ts";
import { commandsOf, lead, type Server, type Settings, serverA, urlOf } from "./server.ts";

const test = suite("raft: snapshots");

const snapshotOf = (index: number, termThere: number, ids: readonly string[] = ["a", "b", "c"]): Snapshot => ({
  index: logIndex(index),
  term: term(termThere),
  configuration: bootstrap(ids.map((id) => ({ id, url: urlOf(id) }))),
});

/** Leader "a" of term 2 with b following; its log has entries up to 5, and begins behind entry 3. */
function leaderA(settings: Settings = {}): Server {
  const a = serverA({ log: [1, 1, 1, 1] }, settings);
  lead(a);
  a.receive("b", accepted(2, 5));
  assert.is(a.raft.commitIndex, 5);
  a.takeSnapshot();
  a.compact(3);
  a.outbox = [];
  return a;
}

/** c asks for what a has let go of. */
const fallBack = (a: Server): Outgoing[] => a.receive("c", rejected(2, 4, 2));

const offersTo = (sent: readonly Outgoing[], id: string) => ofType(sent, "snapshot-offer", id);

test("what a snapshot stands for leaves the log; its last entry's term is still known (section 7)", () => {
  const a = leaderA();

  assert.equal([a.raft.log.base, a.terms], [{ index: 3, term: 1 }, [1, 2]]);
  assert.equal([a.disk.base, a.durableTerms], [{ index: 3, term: 1 }, [1, 2]]);
  a.restart();
  assert.equal([a.raft.log.base, a.terms], [{ index: 3, term: 1 }, [1, 2]]);
  assert.is(a.raft.commitIndex, 5, "what is in a snapshot was committed");
});

test("nothing leaves the log that no snapshot stands for, or that the state machine has yet to apply", () => {
  const a = leaderA();
  a.machineIsSlow = true;
  a.propose("x = 1");
  a.receive("b", accepted(2, 6));
  assert.throws(() => a.compact(6), /no snapshot stands for entry 6/);

  a.receiveSnapshot(snapshotOf(6, 2));
  assert.is(compactableThrough(a.raft), 3, "c may still be reached");
  assert.throws(() => a.compact(6), /entry 6 has yet to be applied/);
  a.step({ type: "link-lost", peer: "c" });
  assert.is(compactableThrough(a.raft), 5);
  a.apply();
  assert.is(compactableThrough(a.raft), 6);
});

test("a follower that needs what has left the log is offered the newest snapshot", () => {
  const a = leaderA();

  assert.equal(fallBack(a), [{ to: "c", message: snapshotOffer(2, [5, 2]) }]);
  assert.equal(a.story.at(-1), { event: "snapshot-offered", term: 2, to: "c", index: 5 });
});

test("Figure 13, 1: an offer of an earlier term is answered with the current one, and not taken", () => {
  const a = serverA({ term: 3 });

  assert.equal(a.receive("b", snapshotOffer(2, [9, 2])), [{ to: "b", message: heartbeatResponse(3, 0) }]);
  assert.is(a.offer, null);
});

test("an offer is heard as a heartbeat is, and taken by who does not know that far to be committed", () => {
  const a = serverA({ log: [1, 1, 1] });
  a.receive("b", snapshotOffer(2, [3, 1]));

  assert.equal(a.offer, { from: "b", snapshot: { index: 3, term: 1 } });
  assert.equal([a.raft.term, a.raft.role.name === "follower" && a.raft.role.leader], [2, "b"]);
  assert.ok(a.deadlineMs >= a.clock.nowMs + a.config.electionTimeoutMinMs);
});

test("an offer of what is known to be committed is declined by telling how far that is (etcd#1763)", () => {
  const a = serverA({ log: [1, 1, 1], commitIndex: 2 });

  assert.equal(a.receive("b", snapshotOffer(2, [2, 1])), [{ to: "b", message: accepted(2, 2) }]);
  assert.is(a.offer, null);
});

test("but not before that is durable", () => {
  const a = serverA();
  a.diskIsSlow = true;
  a.receive("b", append({ term: 1, prev: [0, 0], entries: [1, 1], commit: 2 }));
  a.receive("b", snapshotOffer(1, [2, 1]));
  assert.equal(a.outbox, []);
  a.fsync();
  assert.equal(receiversOf(a.outbox, "append-accepted"), ["b", "b"]);
});

test("a snapshot that comes late truncates nothing, and restores nothing (etcd#1763)", () => {
  const a = serverA({ log: [1, 1, 1, 1], commitIndex: 3 });
  a.receive("b", append({ term: 1, prev: [4, 1] }));
  const sent = a.receiveSnapshot(snapshotOf(2, 1));

  assert.equal([a.terms, a.raft.commitIndex, a.restored], [[1, 1, 1, 1], 3, null]);
  assert.equal(sent, [{ to: "b", message: accepted(1, 2) }]);
  a.compact();
  assert.equal([a.raft.log.base.index, a.terms], [2, [1, 1]], "it serves to let go of the log");

  a.takeSnapshot();
  a.step({ type: "snapshot-received", snapshot: snapshotOf(2, 1) });
  assert.equal(wantedSnapshots(a.raft), [3], "and takes the place of none that is newer");
});

test("Figure 13, 6: if the log holds the snapshot's last entry, what follows that is kept", () => {
  const a = serverA({ log: [1, 1, 1, 1] });
  a.receive("b", append({ term: 2, prev: [4, 1] }));
  const sent = a.receiveSnapshot(snapshotOf(3, 1));

  assert.equal([a.raft.log.base.index, a.terms, a.durableTerms.at(-1)], [3, [1], 1]);
  assert.equal(a.restored?.index, 3, "the state machine had not come so far");
  assert.is(a.raft.commitIndex, 3);
  assert.equal(sent, [{ to: "b", message: accepted(2, 3) }]);
});

test("Figure 13, 7: otherwise all of the log is discarded, whether it is too short or goes another way", () => {
  for (const log of [
    [1, 1],
    [1, 1, 1, 1],
  ]) {
    const a = serverA({ log });
    a.receive("b", snapshotOffer(3, [3, 2]));
    const sent = a.receiveSnapshot(snapshotOf(3, 2));

    assert.equal([a.raft.log.base, a.terms], [{ index: 3, term: 2 }, []]);
    assert.equal([a.disk.base, a.disk.entries], [{ index: 3, term: 2 }, []]);
    assert.equal(sent, [{ to: "b", message: accepted(3, 3) }]);
  }
});

test("Figure 13, 8: the state machine goes on from the snapshot, and the members are those that it names", () => {
  const a = serverA({ log: [1, 1] });
  a.receive("b", snapshotOffer(2, [9, 2]));
  a.receiveSnapshot(snapshotOf(9, 2, ["a", "b", "x"]));

  assert.is(a.restored?.index, 9);
  assert.equal(
    configurationOf(a.raft).members.map(({ id }) => id),
    ["a", "b", "x"],
  );
  a.receive("b", append({ term: 2, prev: [9, 2], entries: [2], commit: 10 }));
  assert.equal(
    a.applied.map(({ index }) => index),
    [10],
    "what follows is applied to it",
  );
  a.takeSnapshot();
  assert.is(a.snapshot.configuration.members[2]?.id, "x", "and so it stands in this server's own snapshots");
  a.restart();
  assert.equal(configurationOf(a.raft).members.length, 3);
  assert.is(configurationOf(a.raft).members[2]?.id, "x");
});

test("the log on the disk begins anew in one record with the entries that follow: there is no gap (redisraft#43)", () => {
  const a = serverA({ log: [1, 1] });
  a.receive("b", snapshotOffer(2, [9, 2]));
  a.diskIsSlow = true;
  a.offer = null;
  a.step(
    { type: "snapshot-received", snapshot: snapshotOf(9, 2) },
    { type: "message", from: "b", message: append({ term: 2, prev: [9, 2], entries: [2, 2] }) },
  );

  assert.is(a.writes.length, 1);
  const persist = a.writes[0]?.persist;
  assert.equal([persist?.reset, persist?.entries.map(({ index }) => index)], [{ index: 9, term: 2 }, [10, 11]]);
  assert.equal(a.outbox, [], "nothing is acknowledged before that");
  a.fsync();
  assert.equal(ofType(a.outbox, "append-accepted", "b"), [accepted(2, 9), accepted(2, 11)]);
});

test("a crash between the snapshot and that record leaves a log that leads up to nothing, and is void", () => {
  for (const log of [
    [1, 1],
    [1, 1, 1, 1],
  ]) {
    const a = serverA({ log });
    a.receive("b", snapshotOffer(3, [3, 2]));
    a.diskIsSlow = true;
    a.receiveSnapshot(snapshotOf(3, 2));
    a.restart();
    a.diskIsSlow = false;
    a.fsync();

    assert.equal([a.raft.log.base, a.terms, a.raft.commitIndex], [{ index: 3, term: 2 }, [], 3]);
    a.receive("b", append({ term: 3, prev: [3, 2], entries: [3] }));
    assert.equal(a.durableTerms, [3]);
  }
});

test("a snapshot that is durable before the term that it was offered in raises the term on its own", () => {
  const a = serverA({ log: [1], term: 1, vote: "b" });
  a.diskIsSlow = true;
  a.receive("c", snapshotOffer(4, [9, 4]));
  a.receiveSnapshot(snapshotOf(9, 4));
  a.restart();
  a.diskIsSlow = false;
  assert.equal([a.raft.term, a.raft.vote], [4, null]);
  assert.equal(a.receive("b", append({ term: 1, prev: [1, 1], entries: [1] })), [
    { to: "b", message: heartbeatResponse(4, 0) },
  ]);

  const late = serverA({ log: [1], term: 1 });
  late.receiveSnapshot(snapshotOf(9, 4));
  assert.is(late.raft.term, 4, "so does one that comes after a start");
});

test("an entry that comes along with a snapshot that holds it is not missed by the disk", () => {
  const a = serverA({ log: [1] });
  a.diskIsSlow = true;
  a.disk.snapshots.push(snapshotOf(3, 1));
  a.step(
    { type: "message", from: "b", message: append({ term: 1, prev: [1, 1], entries: [1, 1, 1], commit: 1 }) },
    { type: "snapshot-received", snapshot: snapshotOf(3, 1) },
  );
  assert.equal([a.raft.log.base.index, a.terms], [3, [1]]);
  assert.equal(a.writes[0]?.persist.reset, { index: 3, term: 1 });
  a.fsync();
  assert.equal([a.disk.base.index, a.durableTerms, a.raft.durableIndex], [3, [1], 4]);
});

test("nor is one that leaves the log in the batch in which it came", () => {
  const a = serverA({ log: [1], commitIndex: 1 });
  a.diskIsSlow = true;
  a.machineIsSlow = true;
  a.disk.snapshots.push(snapshotOf(3, 1));
  a.step(
    { type: "message", from: "b", message: append({ term: 1, prev: [1, 1], entries: [1, 1, 1], commit: 3 }) },
    { type: "snapshot-received", snapshot: snapshotOf(3, 1) },
    { type: "applied", index: logIndex(3) },
    { type: "compact", index: logIndex(3) },
  );
  assert.equal(a.writes[0]?.persist.reset, { index: 3, term: 1 });
  a.fsync();
  assert.equal([a.disk.base.index, a.durableTerms, a.raft.durableIndex], [3, [1], 4]);
});

test("AppendEntries that begin before the base are taken: what lies there is committed, and so the leader's", () => {
  const a = serverA();
  a.receive("b", snapshotOffer(2, [4, 2]));
  a.receiveSnapshot(snapshotOf(4, 2));

  assert.equal(a.receive("b", append({ term: 2, prev: [1, 1], entries: [1, 2] })), [
    { to: "b", message: accepted(2, 3) },
  ]);
  assert.equal(a.receive("b", append({ term: 2, prev: [2, 1], entries: [2, 2, 2] })), [
    { to: "b", message: accepted(2, 5) },
  ]);
  assert.equal(a.terms, [2]);
});

test("a candidate and a leader take a snapshot as well: it is of what every leader to come must hold", () => {
  const candidate = serverA({ log: [1, 1, 1] });
  candidate.waitForDeadline();
  candidate.receive("b", vote({ term: 2, preVote: true }));
  assert.equal(candidate.receiveSnapshot(snapshotOf(2, 1)), [], "there is nobody to tell");
  assert.equal([candidate.role, candidate.raft.commitIndex, candidate.terms], ["candidate", 2, [1]]);
  candidate.receive("b", vote({ term: 2 }));
  assert.is(candidate.role, "leader");

  const leader = serverA({ log: [1, 1, 1] });
  lead(leader);
  leader.receiveSnapshot(snapshotOf(2, 1));
  assert.equal([leader.role, leader.restored?.index, leader.terms], ["leader", 2, [1, 2]]);
  leader.receive("b", accepted(2, 4));
  assert.equal(
    leader.applied.map(({ index }) => index),
    [3, 4],
  );
});

test("votes are judged by the log behind a snapshot as by any other (5.4.1)", () => {
  const a = leaderA();
  a.receive("b", heartbeatResponse(3, 0));
  a.compact();
  const ask = (last: [number, number]) => a.receive("c", voteRequest({ term: 4, last }));

  assert.equal(ask([4, 1]), [{ to: "c", message: vote({ term: 4, refusal: "log-behind" }) }]);
  assert.equal(ask([5, 2]), [{ to: "c", message: vote({ term: 4 }) }]);
});

test("an offer is repeated once an answer is overdue, and not for anything that comes late (async-raft#76)", () => {
  const a = leaderA();
  assert.is(offersTo(fallBack(a), "c").length, 1);
  for (const late of [rejected(2, 4, 2), rejected(2, 3, 1), accepted(2, 1)]) {
    assert.equal(a.receive("c", late), [], late.type);
  }
  const toldBefore = a.story.length;
  const startMs = a.clock.nowMs;
  const sent: Outgoing[] = [];
  while (a.clock.nowMs < startMs + a.config.electionTimeoutMaxMs) {
    assert.equal(offersTo(sent, "c"), []);
    sent.push(...a.waitForDeadline(), ...a.receive("b", heartbeatResponse(2, 1)));
  }
  assert.is(offersTo(sent, "c").length, 1);
  assert.is(a.story.length, toldBefore, "it is told of once");
});

test("whoever has the snapshot goes on from there", () => {
  const a = leaderA();
  fallBack(a);
  a.propose("x = 1");
  const [request] = ofType(a.receive("c", accepted(2, 5)), "append-request", "c");

  assert.equal([request?.prevLogIndex, request?.prevLogTerm, request?.entries.length], [5, 2, 1]);
});

test("what was offered stays the offer, though there is a newer snapshot, as long as the log goes on behind it", () => {
  const a = leaderA();
  fallBack(a);
  a.propose("x = 1");
  a.receive("b", accepted(2, 6));
  a.takeSnapshot();
  const again = a.step({ type: "link-lost", peer: "c" }, { type: "link-up", peer: "c" });

  assert.equal(offersTo(again, "c"), [snapshotOffer(2, [5, 2])], "what is half there need not begin anew");
  assert.equal(wantedSnapshots(a.raft), [6, 5]);
  assert.is(compactableThrough(a.raft), 5);
  a.receive("c", accepted(2, 5));
  assert.equal(wantedSnapshots(a.raft), [6]);
});

test("once the log has gone on without it, the newest takes its place", () => {
  const a = leaderA();
  fallBack(a);
  a.propose("x = 1");
  a.receive("b", accepted(2, 6));
  a.takeSnapshot();
  a.compact();
  const again = a.step({ type: "link-lost", peer: "c" }, { type: "link-up", peer: "c" });
  assert.equal(offersTo(again, "c"), [snapshotOffer(2, [6, 2])]);
});

test("so it does when the one that was offered is lost, after a while", () => {
  const a = leaderA();
  fallBack(a);
  a.propose("x = 1");
  a.receive("b", accepted(2, 6));
  a.takeSnapshot();
  assert.equal(a.step({ type: "snapshot-lost", index: logIndex(5) }), []);

  a.clock.nowMs += a.config.electionTimeoutMaxMs;
  const sent = a.receive("b", heartbeatResponse(2, 1));
  assert.equal(offersTo(sent, "c"), [snapshotOffer(2, [6, 2])]);
});

test("followers that are reached hold the log, and those that have been silent for long do not", () => {
  const a = leaderA();
  assert.is(
    compactableThrough(a.raft),
    3,
    "c is reached, and is not known to hold anything; nothing before 3 is there",
  );
  a.receive("c", accepted(2, 4));
  assert.is(compactableThrough(a.raft), 4);

  const startMs = a.clock.nowMs;
  while (a.clock.nowMs < startMs + 11 * a.config.electionTimeoutMaxMs) {
    a.waitForDeadline();
    a.receive("b", heartbeatResponse(2, 1));
  }
  assert.is(compactableThrough(a.raft), 5, "be there a link to c or not: its answers may not be counted any more");
});

test("nor does one that was offered a snapshot and is gone", () => {
  const a = leaderA();
  fallBack(a);
  a.propose("x = 1");
  a.receive("b", accepted(2, 6));
  a.takeSnapshot();
  a.step({ type: "link-lost", peer: "c" });
  assert.is(compactableThrough(a.raft), 5, "it may be back soon");

  const startMs = a.clock.nowMs;
  while (a.clock.nowMs < startMs + 11 * a.config.electionTimeoutMaxMs) {
    a.waitForDeadline();
    a.receive("b", heartbeatResponse(2, 1));
  }
  assert.is(compactableThrough(a.raft), 6);
});

test("entries that come from the disk when the log has been compacted past them are not sent", () => {
  const a = serverA({}, { logCacheBytesMax: 0 });
  lead(a);
  for (let index = 1; index <= 5; index++) {
    a.receive("b", accepted(1, index));
    a.propose(`x = ${index}`);
  }
  a.takeSnapshot();
  a.fetchesAreSlow = true;
  a.step({ type: "link-lost", peer: "c" }, { type: "link-up", peer: "c" });
  a.receive("c", rejected(1, 1, 1));
  assert.is(a.fetched[0]?.entries[0]?.index, 1);
  a.compact(1);

  assert.equal(ofType(a.answerFetch(), "append-request", "c"), []);
  assert.equal(a.raft.role.name === "leader" && a.raft.role.followers.get("c")?.mode, "snapshot");
});

test("a follower that was away for long installs one snapshot, and the rest from the log", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.crash("c");
  for (let i = 1; i <= 20; i++) {
    a.propose(`x = ${i}`);
    cluster.settle();
    if (i % 5 === 0) a.takeSnapshot();
    if (i % 5 === 0) a.compact(compactableThrough(a.raft));
  }
  a.propose("x = 21");
  cluster.restart("c");
  cluster.advance(100);

  const c = cluster.at("c");
  assert.equal(commandsOf(c), ["x = 21"]);
  assert.is(c.restored?.index, 21);
  assert.is(c.story.filter(({ event }) => event === "snapshot-installed").length, 1);
  assert.equal(c.disk.entries, a.disk.entries.slice(-1));
});

test("also while commands keep coming and the leader keeps taking snapshots: it does not install for ever", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.crash("c");
  let commands = 0;
  const goOn = (): void => {
    a.propose(`x = ${++commands}`);
    cluster.settle(["a", "b"]);
    a.takeSnapshot();
    a.compact(compactableThrough(a.raft));
  };
  for (let i = 0; i < 10; i++) goOn();
  cluster.restart("c");
  for (let i = 0; i < 10; i++) goOn();
  while (cluster.deliver("a", "c"));
  for (let i = 0; i < 10; i++) goOn();
  cluster.draw("c");
  for (let i = 0; i < 10; i++) {
    goOn();
    cluster.settle();
  }
  assert.is(cluster.at("c").story.filter(({ event }) => event === "snapshot-installed").length, 1);
  assert.equal(cluster.at("c").raft.log.lastIndex, a.raft.log.lastIndex);
});

test("a follower takes snapshots and lets go of its log by itself; as leader it offers its own", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.isolate("c");
  for (let i = 1; i <= 5; i++) a.propose(`x = ${i}`);
  cluster.settle();
  a.propose("x = 6");
  cluster.settle();
  const b = cluster.at("b");
  b.takeSnapshot();
  b.compact();
  assert.is(b.raft.log.base.index, 6);

  cluster.crash("a");
  cluster.rejoin("c");
  cluster.elect("b");
  assert.is(cluster.at("c").restored?.index, 6);
  cluster.advance(50);
  assert.is(cluster.at("c").raft.commitIndex, 8);
});

test("a server refuses to start where a gap lies between its snapshot and its log (redisraft#43)", () => {
  const { config, disk } = serverA();
  const log = new Log({ index: logIndex(3), term: term(1) });
  const start = (index: number) => () =>
    createRaft(
      config,
      { ...disk, log, snapshot: snapshotOf(index, 1), configurations: [], needsReset: false, isAdmitted: true },
      0,
      1,
    );

  assert.throws(start(2), /the log begins behind 3, and the snapshot ends at 2/);
  start(3)();
});

test.run();
