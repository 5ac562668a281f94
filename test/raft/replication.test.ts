/** AppendEntries that are late, repeated or out of order (paper, 5.3). */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import { accepted, append, heartbeat, ofType, rejected } from "./messages.ts";
import { commandsOf, lead, serverA } from "./server.ts";

const test = suite("raft: replication");

test("a late AppendEntries does not cut off entries that match and came after it", () => {
  const a = serverA();
  const early = append({ term: 1, prev: [0, 0], entries: [1] });
  a.receive("b", early, append({ term: 1, prev: [1, 1], entries: [1, 1] }));
  a.receive("b", early);
  a.receive("b", append({ term: 1, prev: [1, 1] }));

  assert.equal(a.terms, [1, 1, 1]);
  assert.equal(a.durableTerms, [1, 1, 1]);
});

test("its acknowledgement promises no more than it held", () => {
  const a = serverA({ log: [1, 1, 1] });

  assert.equal(a.receive("b", append({ term: 2, prev: [0, 0], entries: [1] })), [{ to: "b", message: accepted(2, 1) }]);
});

test("AppendEntries that overtake each other end in the same log", () => {
  const a = serverA();
  const [one, two, three] = [0, 1, 2].map((i) => append({ term: 1, prev: [i, i && 1], entries: [1], commit: i }));
  if (!one || !two || !three) throw new Error("unreachable");
  assert.equal(a.receive("b", three), [{ to: "b", message: rejected(1, 2, 1) }], "a gap is never filled");
  a.receive("b", one, three, two, three, one);

  assert.equal(a.terms, [1, 1, 1]);
  assert.is(a.raft.commitIndex, 2);
});

test("leaderCommit is believed up to the last entry that the message vouches for, and no further", () => {
  const a = serverA({ log: [1, 1, 1] });
  a.receive("b", append({ term: 2, prev: [1, 1], commit: 3 }));
  assert.is(a.raft.commitIndex, 1, "entries 2 and 3 may conflict with the leader's");

  a.receive("b", append({ term: 2, prev: [1, 1], entries: [2], commit: 3 }));
  assert.is(a.raft.commitIndex, 2);
  assert.equal(a.terms, [1, 2]);
});

test("a heartbeat's commit index never goes past what the leader knows the follower to hold", () => {
  const cluster = new Cluster(["a", "b", "c"], { c: { log: [1, 1, 1, 1] } });
  cluster.mute("a", "c");
  const a = cluster.elect("a");
  a.propose("x = 1");
  cluster.settle();
  assert.is(a.raft.commitIndex, 2);

  cluster.unmute("a", "c");
  a.waitForDeadline();
  cluster.deliver("a", "c");
  assert.is(cluster.at("c").raft.commitIndex, 0, "c's first entries are not a's");
});

test("a commit index never falls", () => {
  const a = serverA();
  a.receive("b", append({ term: 1, prev: [0, 0], entries: [1, 1, 1], commit: 3 }));
  a.receive("b", append({ term: 1, prev: [0, 0], entries: [1], commit: 1 }), heartbeat(1, 1, 0));

  assert.is(a.raft.commitIndex, 3);
});

test("committed entries are never overwritten, whatever a message says", () => {
  const a = serverA();
  a.receive("b", append({ term: 1, prev: [0, 0], entries: [1, 1, 1], commit: 2 }));
  assert.equal(a.receive("b", append({ term: 2, prev: [1, 1], entries: [2] })), [], "nor is it acknowledged");

  assert.equal(a.terms, [1, 1, 1]);
});

test("an acknowledgement that comes late, again, from an earlier term or past the log's end moves nothing", () => {
  const a = serverA({ log: [1, 1, 1, 1] }, {}, ["a", "b", "c", "d", "e"]);
  lead(a);
  a.receive("b", accepted(2, 5));
  a.receive("b", accepted(2, 2));
  a.receive("c", accepted(1, 5));
  a.receive("d", accepted(2, 99));
  assert.is(a.raft.commitIndex, 0, "only a and b have answered");

  a.receive("c", accepted(2, 5));
  assert.is(a.raft.commitIndex, 5);
});

test("a rejection that comes late, again or from an earlier term sends the leader back nowhere", () => {
  const a = serverA({ log: [1, 1, 1] });
  lead(a);
  assert.is(ofType(a.receive("b", rejected(2, 3, 3)), "append-request").length, 1);
  for (const stale of [rejected(2, 3, 2), rejected(1, 2, 1)]) assert.equal(a.receive("b", stale), []);

  a.receive("b", accepted(2, 4));
  for (const stale of [rejected(2, 3, 2), rejected(2, 2, 1)]) assert.equal(a.receive("b", stale), []);
});

test("whatever a conflict hint claims, the next probe is earlier than the last and after what is known to match", () => {
  for (const hint of [rejected(2, 3, 9), rejected(2, 3, 3, 1), rejected(2, 3, 0), rejected(2, 3, 1, 77)]) {
    const a = serverA({ log: [1, 1, 1] });
    lead(a);
    const [retry] = ofType(a.receive("b", hint), "append-request");
    assert.ok(retry !== undefined && retry.prevLogIndex < 3 && retry.prevLogIndex >= 0, JSON.stringify(hint));
  }
});

test("a leader never overwrites or deletes entries in its own log (Leader Append-Only)", () => {
  const a = serverA({ log: [1, 1] });
  lead(a);
  a.propose("x = 1");
  a.receive("b", append({ term: 2, prev: [0, 0], entries: [2] }));

  assert.equal(a.terms, [1, 1, 2, 2]);
});

test("a follower that was away catches up and is reported once", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.crash("c");
  for (let i = 1; i <= 20; i++) a.propose(`x = ${i}`);
  cluster.settle();
  cluster.restart("c");
  cluster.advance(100);

  assert.equal(cluster.at("c").disk.entries, a.disk.entries);
  assert.equal(commandsOf(cluster.at("c")), commandsOf(a));
  const reports = a.story.flatMap((line) => (line.event === "follower-caught-up" ? [line.follower] : []));
  assert.equal(reports, ["b", "c"]);
});

test("a proposal is taken by the leader only, and the others say so", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  cluster.elect("a");
  cluster.at("b").propose("x = 1", 5);

  assert.equal(cluster.at("b").proposals, [{ ticket: 5, refusal: "not-leader" }]);
});

test.run();
