/** What is in flight and in memory is bounded; what is lost is sent again (thesis, 10.2.1 and 10.2.2: pipelining). */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import { accepted, append, first, heartbeatResponse, ofType, rejected } from "./messages.ts";
import { commandsOf, lead, type Server, type Settings, serverA } from "./server.ts";

const test = suite("raft: flow control");

/** Leader "a", whose follower "b" has answered once and gets entries as they come. */
function leaderA(settings: Settings): Server {
  const a = serverA({}, settings);
  lead(a);
  a.receive("b", accepted(1, 1));
  return a;
}

const appendsTo = (server: Server, to: string) => ofType(server.outbox.splice(0), "append-request", to);

test("a follower in doubt gets one AppendEntries at a time", () => {
  const a = serverA();
  lead(a);
  a.outbox = [];
  for (let i = 0; i < 5; i++) a.propose(`x = ${i}`);
  assert.equal(appendsTo(a, "b"), [], "the probe is still out");

  a.receive("b", accepted(1, 1));
  assert.is(first(appendsTo(a, "b")).entries.length, 5);
});

test("no more AppendEntries are in flight to a follower than the window allows", () => {
  const a = leaderA({ appendsInFlightMax: 3 });
  a.outbox = [];
  for (let i = 0; i < 10; i++) a.propose(`x = ${i}`);
  assert.equal(
    appendsTo(a, "b").map(({ entries }) => entries.length),
    [1, 1, 1],
  );

  a.receive("b", accepted(1, 2));
  const next = appendsTo(a, "b");
  assert.is(next.length, 1, "each answer makes room for one");
  assert.is(first(next).entries.length, 7, "which takes all that has gathered");
});

test("one acknowledgement answers every AppendEntries before it", () => {
  const a = leaderA({ appendsInFlightMax: 3 });
  for (let i = 0; i < 3; i++) a.propose(`x = ${i}`);
  a.outbox = [];
  a.receive("b", accepted(1, 4));
  for (let i = 0; i < 3; i++) a.propose(`y = ${i}`);

  assert.is(appendsTo(a, "b").length, 3);
});

test("no more bytes are in flight than the window allows, give or take one AppendEntries", () => {
  const a = leaderA({ appendsInFlightMax: 100, appendBytesMax: 150, appendBytesInFlightMax: 300 });
  a.outbox = [];
  for (let i = 0; i < 20; i++) a.propose("0123456789"); // 42 bytes each.
  const bytes = appendsTo(a, "b").flatMap(({ entries }) => entries).length * 42;

  assert.ok(bytes >= 300 && bytes < 300 + 150, `${bytes} bytes`);
  a.receive("b", accepted(1, a.raft.log.lastIndex));
  assert.is(a.raft.role.name === "leader" && a.raft.role.followers.get("b")?.inFlightBytes, 0);
});

test("an AppendEntries carries no more bytes than allowed, but one entry however large", () => {
  const a = leaderA({ appendBytesMax: 100 });
  a.outbox = [];
  const propose = (text: string) => ({ type: "propose", ticket: 0, payload: new TextEncoder().encode(text) }) as const;
  a.step(propose("0123456789"), propose("0123456789"), propose("0123456789"), propose("x".repeat(500)), propose("z"));

  assert.equal(
    appendsTo(a, "b").map(({ entries }) => entries.length),
    [2, 1, 1, 1],
  );
});

test("a batch of proposals travels in one AppendEntries and one write", () => {
  const a = leaderA({});
  a.diskIsSlow = true;
  a.outbox = [];
  const proposals = [1, 2, 3].map((ticket) => ({ type: "propose", ticket, payload: new Uint8Array(1) }) as const);
  a.step(...proposals);

  assert.equal(
    appendsTo(a, "b").map(({ entries }) => entries.length),
    [3],
  );
  assert.is(a.writes.length, 1);
});

test("a follower far behind gets what left memory from the disk", () => {
  const cluster = new Cluster(["a", "b", "c"], {}, { logCacheBytesMax: 100, appendBytesMax: 120 });
  const a = cluster.elect("a");
  cluster.crash("c");
  for (let i = 0; i < 30; i++) {
    a.propose(`x = ${i}`);
    cluster.settle();
  }
  assert.ok(a.raft.log.cacheBytes <= 100);

  a.fetchesAreSlow = true;
  cluster.restart("c");
  let fetches = 0;
  for (cluster.settle(); a.fetched.length > 0; cluster.settle()) {
    assert.is(a.fetched.length, 1, "one fetch at a time");
    a.answerFetch();
    fetches++;
  }
  assert.ok(fetches > 1);
  assert.equal(cluster.at("c").disk.entries, a.disk.entries);
});

test("entries that come from the disk when the follower needs others are not sent", () => {
  const a = leaderA({ logCacheBytesMax: 0 });
  for (let index = 2; index <= 5; index++) {
    a.propose(`x = ${index}`);
    a.receive("b", accepted(1, index));
  }
  a.fetchesAreSlow = true;
  a.step({ type: "link-lost", peer: "c" }, { type: "link-up", peer: "c" });
  assert.is(a.fetched[0]?.entries[0]?.index, 1);

  a.receive("c", accepted(1, 2)); // A late answer: it holds two of them.
  assert.equal(a.answerFetch(), []);
  assert.is(a.fetched[0]?.entries[0]?.index, 3, "the right ones are read");
  const [request] = ofType(a.answerFetch(), "append-request", "c");
  assert.equal([request?.prevLogIndex, request?.entries[0]?.index], [2, 3]);
});

test("nor are they when the link has gone meanwhile", () => {
  const a = leaderA({ logCacheBytesMax: 0 });
  a.receive("c", accepted(1, 1));
  a.propose("x = 1");
  a.receive("b", accepted(1, 2));
  a.fetchesAreSlow = true;
  a.step({ type: "link-lost", peer: "c" }, { type: "link-up", peer: "c" });
  a.receive("c", rejected(1, 2, 2));
  assert.is(a.fetched.length, 1);

  a.step({ type: "link-lost", peer: "c" });
  assert.equal(a.answerFetch(), []);
});

test("entries read from the disk in an earlier term of office are not sent once others have replaced them", () => {
  const a = leaderA({ logCacheBytesMax: 0 });
  a.propose("committed");
  a.receive("b", accepted(1, 2));
  a.propose("lost"); // Entry 3 of term 1.

  // c needs entries that have left memory. The read of them is slow, and takes with it what follows.
  a.fetchesAreSlow = true;
  a.step({ type: "link-lost", peer: "c" }, { type: "link-up", peer: "c" });
  const late = first(a.fetched.splice(0));
  assert.equal(late.entries, a.disk.entries);

  // b leads term 2 and replaces entry 3. Then a leads term 3, and reads for c from the same entry on.
  a.receive("b", append({ term: 2, prev: [2, 1], entries: [2, 2] }));
  lead(a);
  a.receive("c", rejected(3, 4, 1));
  assert.is(a.fetched[0]?.entries[0]?.index, late.entries[0]?.index);

  // Now the first read ends.
  for (const { entries } of ofType(a.step(late), "append-request", "c")) {
    for (const entry of entries) assert.equal(entry, a.entryAt(entry.index), `entry ${entry.index} is not in a's log`);
  }
});

test("entries stay in memory until they are applied and durable", () => {
  const a = serverA({}, { logCacheBytesMax: 0 });
  lead(a);
  a.diskIsSlow = true;
  a.propose("x = 1");
  for (const peer of ["b", "c"]) a.receive(peer, accepted(1, 2));
  assert.equal(commandsOf(a), ["x = 1"], "committed by b and c");
  assert.ok(a.raft.log.cacheBytes > 0, "applied, not durable");

  a.fsync();
  assert.is(a.raft.log.cacheBytes, 0);

  a.diskIsSlow = false;
  a.propose("x = 2");
  assert.ok(a.raft.log.cacheBytes > 0, "durable, not applied");
});

test("a lost AppendEntries is sent again after an election timeout, from what is known to match", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  a.propose("x = 1");
  cluster.drop("a", "b");
  cluster.settle();
  assert.equal(cluster.at("b").terms, [1]);

  cluster.advance(a.config.electionTimeoutMaxMs + a.config.heartbeatMs);
  assert.equal(cluster.at("b").terms, [1, 1]);
  assert.is(a.raft.term, 1);
});

test("the first thing sent again is the first that may be missing", () => {
  const a = leaderA({});
  for (let i = 0; i < 3; i++) a.propose(`x = ${i}`); // All lost.
  a.outbox = [];
  const sentMs = a.clock.nowMs;
  while (a.clock.nowMs < sentMs + a.config.electionTimeoutMaxMs) {
    a.waitForDeadline();
    a.receive("b", heartbeatResponse(1, 1));
  }

  const [request] = appendsTo(a, "b");
  assert.equal([request?.prevLogIndex, request?.entries.length], [1, 3]);
});

test("also while reads keep every heartbeat from falling due", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  a.propose("x = 1");
  cluster.drop("a", "b");
  for (let ticket = 0; ticket < 100; ticket++) {
    a.read(ticket);
    cluster.advance(a.config.heartbeatMs / 2);
  }

  assert.is(a.raft.term, 1);
  assert.equal(cluster.at("b").terms, [1, 1]);
});

test("so is one whose acknowledgement was lost", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.mute("a", "c");
  a.propose("x = 1");
  cluster.deliver("a", "b");
  cluster.drop("b", "a");
  assert.is(a.raft.commitIndex, 1);

  cluster.advance(a.config.electionTimeoutMaxMs + a.config.heartbeatMs);
  assert.is(a.raft.commitIndex, 2);
});

test("a gap that a lost AppendEntries left is found by the next, and filled", () => {
  const a = leaderA({});
  a.propose("x = 1"); // Lost.
  a.outbox = [];
  a.propose("x = 2");
  const [retry] = ofType(a.receive("b", rejected(1, 2, 2)), "append-request", "b");

  assert.is(retry?.prevLogIndex, 1);
  assert.is(retry?.entries.length, 2);
});

test("a new link starts with a probe: what the old one carried is lost", () => {
  const a = leaderA({});
  a.propose("x = 1");
  a.propose("x = 2");
  a.step({ type: "link-lost", peer: "b" });
  const probes = ofType(a.step({ type: "link-up", peer: "b" }), "append-request", "b");

  assert.is(probes.length, 1);
});

test.run();
