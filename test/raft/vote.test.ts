/** Who may be voted for, and how often (paper, 5.2 and 5.4.1). */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import { accepted, append, heartbeatResponse, single, vote, voteRequest } from "./messages.ts";
import { DEFAULTS, lead, serverA } from "./server.ts";

const test = suite("raft: vote");

test("a log is more up-to-date if its last term is later, or with equal terms if it is longer (5.4.1)", () => {
  const cases: { last: [index: number, term: number]; refusal: "log-behind" | null }[] = [
    { last: [3, 2], refusal: null },
    { last: [4, 2], refusal: null },
    { last: [1, 3], refusal: null },
    { last: [2, 2], refusal: "log-behind" },
    { last: [9, 1], refusal: "log-behind" },
  ];
  for (const { last, refusal } of cases) {
    for (const preVote of [false, true]) {
      const a = serverA({ log: [1, 2, 2], term: 3 });
      const answer = single(a.receive("b", voteRequest({ term: 4, last, preVote })));
      const term = preVote && refusal !== null ? 3 : 4;
      assert.equal(answer, vote({ term, preVote, refusal }), `last entry at ${last}`);
    }
  }
});

test("a server votes once in a term, first come first served (5.2)", () => {
  const a = serverA();
  assert.equal(single(a.receive("b", voteRequest({ term: 1, last: [0, 0] }))), vote({ term: 1 }));
  const second = single(a.receive("c", voteRequest({ term: 1, last: [5, 0] })));
  assert.equal(second, vote({ term: 1, refusal: "voted-for-another" }));
});

test("and still after a crash: the vote is on its disk (Figure 2, persistent state)", () => {
  const a = serverA();
  a.receive("b", voteRequest({ term: 1, last: [0, 0] }));
  a.restart();

  const second = single(a.receive("c", voteRequest({ term: 1, last: [0, 0] })));
  assert.equal(second, vote({ term: 1, refusal: "voted-for-another" }));
  assert.equal(single(a.receive("b", voteRequest({ term: 1, last: [0, 0] }))), vote({ term: 1 }), "the same again");
});

test("also in a term that the server knew before it voted", () => {
  const a = serverA({ term: 1 });
  a.receive("b", voteRequest({ term: 1, last: [0, 0] }));
  a.restart();

  const second = single(a.receive("c", voteRequest({ term: 1, last: [0, 0] })));
  assert.equal(second, vote({ term: 1, refusal: "voted-for-another" }));
});

test("a crash before the vote is durable takes it back, and nobody has heard of it", () => {
  const a = serverA();
  a.diskIsSlow = true;
  assert.equal(a.receive("b", voteRequest({ term: 1, last: [0, 0] })), []);
  a.restart();

  assert.is(a.disk.hardState.vote, null);
  a.receive("c", voteRequest({ term: 1, last: [0, 0] }));
  assert.equal(a.fsync(), [{ to: "c", message: vote({ term: 1 }) }]);
});

test("a vote granted twice waits for the disk the second time too", () => {
  const a = serverA();
  a.diskIsSlow = true;
  a.receive("b", voteRequest({ term: 1, last: [0, 0] }));
  assert.equal(a.receive("b", voteRequest({ term: 1, last: [0, 0] })), [], "the first write is still on its way");
  assert.is(a.fsync().length, 2);
});

test("term and vote are written as one: no crash comes between them", () => {
  const a = serverA({ term: 1, vote: "c" });
  a.diskIsSlow = true;
  a.receive("b", voteRequest({ term: 2, last: [0, 0] }));
  a.fsync(1);

  assert.equal([a.disk.hardState.term, a.disk.hardState.vote], [2, "b"]);
});

test("a candidate votes for itself durably before it asks anybody", () => {
  const a = serverA();
  a.diskIsSlow = true;
  a.waitForDeadline();
  assert.equal(a.receive("b", vote({ term: 1, preVote: true })), [], "no request for a vote");

  const requests = a.fsync();
  assert.is(requests.length, 2);
  assert.equal([a.disk.hardState.term, a.disk.hardState.vote], [1, "a"]);
});

test("a vote that arrives twice counts once", () => {
  const a = serverA({}, {}, ["a", "b", "c", "d", "e"]);
  a.waitForDeadline();
  for (const peer of ["b", "b", "b"]) a.receive(peer, vote({ term: 1, preVote: true }));
  assert.is(a.role, "pre-candidate");
  a.receive("c", vote({ term: 1, preVote: true }));
  assert.is(a.role, "candidate");

  for (const peer of ["b", "b", "b"]) a.receive(peer, vote({ term: 1 }));
  assert.is(a.role, "candidate");
});

test("a granted pre-vote is never counted as a vote", () => {
  const a = serverA();
  a.waitForDeadline();
  a.receive("b", vote({ term: 1, preVote: true }));
  assert.is(a.role, "candidate");

  a.receive("c", vote({ term: 1, preVote: true }));
  assert.is(a.role, "candidate");
});

test("a pre-vote granted for an earlier term, or a later one, is not counted", () => {
  const a = serverA({ term: 3 });
  a.waitForDeadline();
  for (const term of [3, 5]) a.receive("b", vote({ term, preVote: true }));
  assert.is(a.role, "pre-candidate");
});

test("a vote of an earlier term, a refused one, or a stranger's is not counted", () => {
  const a = serverA({ term: 3 });
  a.waitForDeadline();
  a.receive("b", vote({ term: 4, preVote: true }));
  a.receive("b", vote({ term: 3 }));
  a.receive("stranger", vote({ term: 4 }));
  a.receive("c", vote({ term: 4, refusal: "voted-for-another" }));

  assert.is(a.role, "candidate");
});

test("a request is answered whoever it comes from: who the members are, its sender may know better (thesis, 4.1)", () => {
  const asked = serverA({ term: 3 });
  assert.equal(single(asked.receive("stranger", voteRequest({ term: 9, last: [9, 9] }))), vote({ term: 9 }));

  const fed = serverA({ term: 3 });
  const entries = append({ term: 9, prev: [0, 0], entries: [9] });
  assert.equal(single(fed.receive("stranger", entries)), accepted(9, 1));
  assert.equal(fed.terms, [9]);
});

test("a stranger's answers count for nothing, and are not spoken of", () => {
  const candidate = serverA();
  candidate.waitForDeadline();
  candidate.receive("b", vote({ term: 1, preVote: true }));
  const told = candidate.story.length;
  for (const stranger of ["x", "y", "z"]) candidate.receive(stranger, vote({ term: 1 }));
  assert.equal([candidate.role, candidate.story.length], ["candidate", told]);

  const leader = serverA();
  lead(leader);
  leader.read(1);
  for (const stranger of ["x", "y", "z"]) leader.receive(stranger, accepted(1, 1), heartbeatResponse(1, 1));
  assert.equal([leader.raft.commitIndex, leader.reads], [0, []]);
});

test("a leader is not moved by a late vote, nor by a refusal of its own term", () => {
  const a = serverA();
  lead(a);
  a.receive("c", vote({ term: 1 }), vote({ term: 1, refusal: "voted-for-another" }));

  assert.is(a.role, "leader");
  assert.is(a.terms.length, 1, "one no-op");
});

test("a split vote is tried again soon, and not after a whole timeout (5.2)", () => {
  const a = serverA();
  a.waitForDeadline();
  a.receive("b", vote({ term: 1, preVote: true }));
  for (const peer of ["b", "c"]) a.receive(peer, vote({ term: 1, refusal: "voted-for-another" }));
  assert.ok(a.deadlineMs <= a.clock.nowMs + 2 * a.config.evidenceDelayMaxMs);

  a.waitForDeadline();
  assert.equal(a.story.at(-1), { event: "pre-vote", term: 1, reason: "vote-split" });
});

test("four servers that all stand at once have a leader within a few election timeouts", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const cluster = new Cluster(["a", "b", "c", "d"], {}, {}, seed);
    cluster.clock.nowMs += 1000;
    for (const server of cluster.servers) server.tick();
    cluster.advance(2 * DEFAULTS.electionTimeoutMaxMs);
    assert.ok(cluster.leader !== undefined, `seed ${seed}`);
  }
});

test("rivals whose votes split again and again wait longer each time, but never past an election timeout", () => {
  const a = serverA();
  const waits: number[] = [];
  for (let term = 1; term <= 12; term++) {
    a.waitForDeadline();
    a.receive("b", vote({ term, preVote: true }));
    for (const peer of ["b", "c"]) a.receive(peer, vote({ term, refusal: "voted-for-another" }));
    assert.is(a.role, "follower");
    waits.push(a.deadlineMs - a.clock.nowMs);
  }
  assert.ok(Math.max(...waits.slice(0, 2)) <= 4 * a.config.evidenceDelayMaxMs);
  assert.ok(Math.max(...waits) > 4 * a.config.evidenceDelayMaxMs, `${waits}`);
  assert.ok(Math.max(...waits) <= a.config.electionTimeoutMaxMs);
});

test.run();
