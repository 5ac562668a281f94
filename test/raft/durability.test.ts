/** Nothing counts before it is durable (paper, Figure 2 and 5.4; thesis, 10.2.1: a leader writes while it sends). */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import { accepted, append, ofType, voteRequest } from "./messages.ts";
import { commandsOf, lead, serverA } from "./server.ts";

const test = suite("raft: durability");

test("a follower acknowledges entries only once its disk has them", () => {
  const a = serverA();
  a.diskIsSlow = true;
  assert.equal(a.receive("b", append({ term: 1, prev: [0, 0], entries: [1] })), []);
  assert.equal(a.receive("b", append({ term: 1, prev: [1, 1], entries: [1] })), []);

  assert.equal(a.fsync(1), [{ to: "b", message: accepted(1, 1) }]);
  assert.equal(a.fsync(1), [{ to: "b", message: accepted(1, 2) }]);
});

test("entries sent again while they are on their way to the disk are not acknowledged early", () => {
  const a = serverA();
  a.diskIsSlow = true;
  a.receive("b", append({ term: 1, prev: [0, 0], entries: [1, 1] }));
  assert.equal(a.receive("b", append({ term: 1, prev: [0, 0], entries: [1, 1] })), [], "nothing new, but not durable");

  a.restart();
  assert.equal(a.terms, [], "and rightly so");
});

test("a leader sends entries while its own disk writes them, and counts itself only afterwards (10.2.1)", () => {
  const a = serverA({}, {}, ["a", "b", "c", "d"]);
  lead(a);
  for (const peer of ["b", "c"]) a.receive(peer, accepted(1, 1));
  assert.is(a.raft.commitIndex, 1);

  a.diskIsSlow = true;
  assert.is(ofType(a.propose("x = 1"), "append-request").length, 2, "sent to b and c at once; d has not answered yet");
  for (const peer of ["b", "c"]) a.receive(peer, accepted(1, 2));
  assert.is(a.raft.commitIndex, 1, "two of four");

  a.fsync();
  assert.is(a.raft.commitIndex, 2, "three of four");
});

test("the others can commit without the leader's disk", () => {
  const a = serverA();
  lead(a);
  a.diskIsSlow = true;
  a.propose("x = 1");
  for (const peer of ["b", "c"]) a.receive(peer, accepted(1, 2));

  assert.is(a.raft.commitIndex, 2);
  assert.equal(commandsOf(a), ["x = 1"]);
});

test("a cluster of one commits only what is durable (etcd#14370)", () => {
  const a = serverA({}, {}, ["a"]);
  assert.is(a.role, "leader", "it elected itself at once");
  a.diskIsSlow = true;
  a.propose("x = 1");
  a.propose("x = 2");
  assert.equal(commandsOf(a), []);

  a.fsync(1);
  assert.equal(commandsOf(a), ["x = 1"]);
  a.diskIsSlow = false;
  a.restart();
  assert.equal(commandsOf(a), ["x = 1"]);
});

test("a write that was overwritten before it ended does not make its replacement durable", () => {
  const a = serverA({}, {}, ["a", "b", "c", "d", "e"]);
  lead(a);
  a.diskIsSlow = true;
  a.propose("lost"); // Entry 2 of term 1: write 1.
  a.receive("b", append({ term: 2, prev: [1, 1], entries: [2] })); // It is replaced: write 2.

  assert.equal(a.fsync(1), []);
  assert.is(a.raft.durableIndex, 1, "what write 1 held at entry 2 is void");
  assert.equal(a.fsync(1), [{ to: "b", message: accepted(2, 2) }]);
  assert.is(a.raft.durableIndex, 2);
});

test("an entry that takes the place of a durable one is not durable for that", () => {
  const a = serverA({ log: [1, 1, 1] });
  assert.is(a.raft.durableIndex, 3);
  a.diskIsSlow = true;
  assert.equal(a.receive("b", append({ term: 2, prev: [1, 1], entries: [2] })), []);

  assert.is(a.raft.durableIndex, 1);
  a.fsync();
  assert.is(a.raft.durableIndex, 2);
});

test("a leader's writes do not count, once it follows, for the entries that replaced them", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.advance(50);
  assert.is(a.raft.commitIndex, 1);

  // a takes two commands, which reach neither its disk nor anybody else.
  a.diskIsSlow = true;
  cluster.isolate("a");
  a.propose("lost 1");
  a.propose("lost 2");

  // b leads the next term; its no-op replaces them at a.
  const { raft: b } = cluster.elect("b");
  cluster.rejoin("a");
  cluster.advance(300);
  assert.equal(a.terms, [1, 2]);

  // a's disk completes the writes of the two lost commands and no more.
  a.fsync(2);
  assert.equal(a.durableTerms, [1, 1, 1]);
  assert.is(a.raft.durableIndex, 1);
  cluster.settle();
  assert.is(b.role.name === "leader" && b.role.followers.get("a")?.match, 0);

  a.fsync();
  assert.equal(a.durableTerms, [1, 2]);
  assert.is(a.raft.durableIndex, 2);
});

test("what was committed before a crash is applied again from the disk, without waiting for a leader", () => {
  const a = serverA();
  a.receive("b", append({ term: 1, prev: [0, 0], entries: [1, 1] }));
  a.receive("b", append({ term: 1, prev: [2, 1], entries: [1], commit: 2 }));
  a.restart();

  assert.is(a.applied.length, 2);
  assert.is(a.raft.commitIndex, 2);
});

test("the commit index on the disk never runs ahead of the entries there (PySyncObj#197)", () => {
  const a = serverA();
  a.diskIsSlow = true;
  a.receive("b", append({ term: 1, prev: [0, 0], entries: [1, 1], commit: 2 }));
  a.receive("c", voteRequest({ term: 2, last: [2, 1] }));
  for (let written = 0; a.writes.length > 0; written++) {
    a.fsync(1);
    assert.ok(a.disk.hardState.commitIndex <= a.disk.entries.length, `after ${written + 1} writes`);
  }
});

test("a message waits for the write that is on its way, even if it adds none of its own", () => {
  const a = serverA({ log: [1] });
  a.diskIsSlow = true;
  a.receive("b", append({ term: 1, prev: [1, 1], entries: [1] }));
  assert.equal(a.receive("b", append({ term: 1, prev: [1, 1] })), []);
  assert.equal(a.fsync(), [
    { to: "b", message: accepted(1, 2) },
    { to: "b", message: accepted(1, 1) },
  ]);
});

test.run();
