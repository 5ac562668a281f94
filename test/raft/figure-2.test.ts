/** Figure 2 of the paper, rule by rule. */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import {
  accepted,
  append,
  entriesOf,
  first,
  heartbeat,
  heartbeatResponse,
  ofType,
  receiversOf,
  rejected,
  single,
  vote,
  voteRequest,
} from "./messages.ts";
import { commandsOf, lead, serverA } from "./server.ts";

const test = suite("raft: Figure 2");

test("state: currentTerm, votedFor and the log are on stable storage before a server responds to RPCs", () => {
  const a = serverA();
  a.diskIsSlow = true;

  assert.equal(a.receive("b", voteRequest({ term: 1, last: [0, 0] })), [], "no vote before the disk has it");
  assert.equal(a.fsync(), [{ to: "b", message: vote({ term: 1 }) }]);
  assert.is(a.disk.hardState.term, 1);
  assert.is(a.disk.hardState.vote, "b");

  assert.equal(a.receive("b", append({ term: 1, prev: [0, 0], entries: [1] })), [], "no acknowledgement before it");
  assert.equal(a.fsync(), [{ to: "b", message: accepted(1, 1) }]);
  assert.equal(a.durableTerms, [1]);
});

test("state: a leader's nextIndex starts after its last entry and its matchIndex at 0", () => {
  const a = serverA({ log: [1, 1, 2] });
  const probes = ofType(lead(a), "append-request");

  assert.equal(
    probes.map(({ prevLogIndex, prevLogTerm }) => [prevLogIndex, prevLogTerm]),
    [
      [3, 2],
      [3, 2],
    ],
  );
  assert.is(a.raft.commitIndex, 0, "nobody is known to hold anything");
});

test("AppendEntries 1: refused with the current term if the sender's term is lower", () => {
  const a = serverA({ log: [1], term: 3 });
  const answer = single(a.receive("b", append({ term: 2, prev: [1, 1], entries: [2] })));

  assert.is(answer.term, 3);
  assert.is.not(answer.type, "append-accepted");
  assert.equal(a.terms, [1]);
});

test("AppendEntries 2: refused if the log has no entry at prevLogIndex whose term is prevLogTerm", () => {
  const a = serverA({ log: [1, 1] });

  assert.equal(single(a.receive("b", append({ term: 2, prev: [3, 1], entries: [2] }))), rejected(2, 3, 3));
  assert.equal(single(a.receive("b", append({ term: 2, prev: [2, 2], entries: [2] }))), rejected(2, 2, 1, 1));
  assert.equal(a.terms, [1, 1]);
});

test("AppendEntries 3: an existing entry that conflicts with a new one goes, and all that follow it", () => {
  const a = serverA({ log: [1, 1, 2, 2, 2] });
  const answer = single(a.receive("b", append({ term: 3, prev: [2, 1], entries: [3] })));

  assert.equal(answer, accepted(3, 3));
  assert.equal(a.terms, [1, 1, 3]);
  assert.equal(a.durableTerms, [1, 1, 3]);
});

test("AppendEntries 4: new entries not already in the log are appended", () => {
  const a = serverA({ log: [1, 1] });
  const answer = single(a.receive("b", append({ term: 2, prev: [1, 1], entries: [1, 2, 2] })));

  assert.equal(answer, accepted(2, 4));
  assert.equal(a.terms, [1, 1, 2, 2]);
});

test("AppendEntries 5: the commit index becomes the lesser of leaderCommit and the last new entry", () => {
  const a = serverA({ log: [1, 1, 1] });

  a.receive("b", append({ term: 2, prev: [1, 1], commit: 1 }));
  assert.is(a.raft.commitIndex, 1);
  a.receive("b", append({ term: 2, prev: [1, 1], entries: [1], commit: 9 }));
  assert.is(a.raft.commitIndex, 2, "entry 3 may not be the leader's");
});

test("RequestVote 1: refused with the current term if the candidate's term is lower", () => {
  const a = serverA({ term: 3 });
  const answer = single(a.receive("b", voteRequest({ term: 2, last: [5, 2] })));

  assert.equal(answer, vote({ term: 3, refusal: "term-behind" }));
});

test("RequestVote 2: granted if votedFor is null or the candidate, and its log is at least as up-to-date", () => {
  const a = serverA({ log: [1, 1] });

  assert.equal(single(a.receive("b", voteRequest({ term: 2, last: [2, 1] }))), vote({ term: 2 }));
  assert.equal(single(a.receive("b", voteRequest({ term: 2, last: [2, 1] }))), vote({ term: 2 }), "asked again");
  assert.equal(
    single(a.receive("c", voteRequest({ term: 2, last: [2, 1] }))),
    vote({ term: 2, refusal: "voted-for-another" }),
  );
});

test("all servers: committed entries are applied, in order and once", () => {
  const a = serverA();
  a.receive("b", append({ term: 1, prev: [0, 0], entries: [1, 1, 1], commit: 2 }));
  a.receive("b", append({ term: 1, prev: [3, 1], commit: 3 }));
  a.receive("b", append({ term: 1, prev: [0, 0], entries: [1, 1, 1], commit: 2 }));

  assert.equal(a.applied, entriesOf([1, 1, 1]));
});

test("all servers: a term above the own one in any request or response makes a follower of that term", () => {
  const messages = [
    append({ term: 7, prev: [0, 0] }),
    heartbeat(7),
    voteRequest({ term: 7, last: [9, 6], transfer: true }),
    vote({ term: 7, refusal: "term-behind" }),
    accepted(7, 1),
    rejected(7, 1, 1),
    heartbeatResponse(7, 0),
  ];
  for (const message of messages) {
    const leader = serverA();
    lead(leader);
    const candidate = serverA();
    candidate.waitForDeadline();
    candidate.receive("b", vote({ term: 1, preVote: true }));
    assert.is(candidate.role, "candidate");

    for (const server of [leader, candidate, serverA()]) {
      server.receive("b", message);
      assert.is(server.role, "follower", message.type);
      assert.is(server.raft.term, 7, message.type);
      assert.is(server.disk.hardState.term, 7, message.type);
    }
  }
});

test("followers: an election timeout without word from a leader starts an election, with a pre-vote first", () => {
  const a = serverA({ log: [1] });
  const requests = ofType(a.waitForDeadline(), "vote-request");

  assert.equal(
    requests,
    [0, 1].map(() => voteRequest({ term: 2, preVote: true, last: [1, 1] })),
  );
  assert.is(a.raft.term, 1);
});

test("followers: AppendEntries, heartbeats and a granted vote each put the election off", () => {
  for (const message of [append({ term: 1, prev: [0, 0] }), heartbeat(1), voteRequest({ term: 1, last: [0, 0] })]) {
    const a = serverA();
    a.clock.nowMs = a.deadlineMs - 1;
    a.receive("b", message);

    assert.ok(a.deadlineMs >= a.clock.nowMs + a.config.electionTimeoutMinMs, message.type);
  }
});

test("followers: a refused vote does not put the election off", () => {
  const a = serverA({ log: [1, 1] });
  const { deadlineMs } = a;
  a.receive("b", voteRequest({ term: 2, last: [1, 1] }));

  assert.is(a.deadlineMs, deadlineMs);
});

test("candidates: the election increments the term, votes for itself, resets the timer and asks all others", () => {
  const a = serverA({ log: [1] });
  a.waitForDeadline();
  const sent = a.receive("b", vote({ term: 2, preVote: true }));

  assert.is(a.role, "candidate");
  assert.is(a.raft.term, 2);
  assert.is(a.disk.hardState.vote, "a");
  assert.ok(a.deadlineMs >= a.clock.nowMs + a.config.electionTimeoutMinMs);
  assert.equal(receiversOf(sent, "vote-request"), ["b", "c"]);
  assert.equal(first(ofType(sent, "vote-request")), voteRequest({ term: 2, last: [1, 1] }));
});

test("candidates: votes from a majority make a leader, and one less does not", () => {
  const a = serverA({}, {}, ["a", "b", "c", "d", "e"]);
  a.waitForDeadline();
  for (const peer of ["b", "c"]) a.receive(peer, vote({ term: 1, preVote: true }));
  a.receive("b", vote({ term: 1 }));
  assert.is(a.role, "candidate", "two votes of five");

  a.receive("c", vote({ term: 1 }));
  assert.is(a.role, "leader", "three votes of five");
});

test("candidates: AppendEntries from a new leader of the term makes a follower of it", () => {
  const a = serverA();
  a.waitForDeadline();
  a.receive("b", vote({ term: 1, preVote: true }));
  assert.is(a.role, "candidate");

  a.receive("c", append({ term: 1, prev: [0, 0] }));
  assert.is(a.role, "follower");
  assert.is(a.raft.term, 1);
});

test("candidates: an election timeout that elapses starts a new election", () => {
  const a = serverA();
  a.waitForDeadline();
  a.receive("b", vote({ term: 1, preVote: true }));
  assert.is(a.role, "candidate");

  const sent = a.waitForDeadline();
  assert.equal(first(ofType(sent, "vote-request")), voteRequest({ term: 2, preVote: true, last: [0, 0] }));
  a.receive("b", vote({ term: 2, preVote: true }));
  assert.is(a.raft.term, 2);
});

test("leaders: an election is announced to every server at once, and repeated while idle", () => {
  const a = serverA();
  assert.equal(receiversOf(lead(a), "append-request"), ["b", "c"]);

  const wonMs = a.clock.nowMs;
  const heartbeats = receiversOf(a.waitForDeadline(), "heartbeat-request");
  assert.is(a.clock.nowMs, wonMs + a.config.heartbeatMs);
  assert.equal(heartbeats, ["b", "c"]);
});

test("leaders: a command is appended to the local log, and applied once it is committed", () => {
  const a = serverA();
  lead(a);
  a.propose("x = 1", 77);

  assert.equal(a.proposals, [{ ticket: 77, index: 2, term: 1 }]);
  assert.equal(a.durableTerms, [1, 1]);
  assert.equal(commandsOf(a), []);

  a.receive("b", accepted(1, 2));
  assert.equal(commandsOf(a), ["x = 1"]);
});

test("leaders: a follower whose nextIndex is not past the log gets the entries from there on", () => {
  const a = serverA();
  lead(a);
  a.receive("b", accepted(1, 1));
  const request = first(ofType(a.propose("x = 1"), "append-request", "b"));

  assert.equal([request.prevLogIndex, request.prevLogTerm], [1, 1]);
  assert.equal(
    request.entries.map(({ index }) => index),
    [2],
  );
});

test("leaders: a success moves nextIndex and matchIndex on", () => {
  const a = serverA({ log: [1, 1] });
  lead(a);
  assert.equal(a.receive("b", accepted(2, 3)), [], "nothing more to send");

  const request = first(ofType(a.propose("x = 1"), "append-request", "b"));
  assert.is(request.prevLogIndex, 3);
});

test("leaders: a failure moves nextIndex back and retries", () => {
  const a = serverA({ log: [1, 1, 1] });
  lead(a);
  const retry = first(ofType(a.receive("b", rejected(2, 3, 2)), "append-request", "b"));

  assert.is(retry.prevLogIndex, 1);
  assert.equal(
    retry.entries.map(({ term }) => term),
    [1, 1, 2],
  );
});

test("leaders: commitIndex moves to N once a majority's matchIndex is at N and the entry is of this term", () => {
  const a = serverA({ log: [1, 1] }, {}, ["a", "b", "c", "d", "e"]);
  lead(a);
  a.receive("b", accepted(2, 3));
  assert.is(a.raft.commitIndex, 0, "two of five");

  a.receive("c", accepted(2, 2));
  assert.is(a.raft.commitIndex, 0, "three of five, but entry 2 is of an earlier term");

  a.receive("d", accepted(2, 3));
  assert.is(a.raft.commitIndex, 3, "three of five hold the no-op of term 2, and with it all before");
});

test.run();
