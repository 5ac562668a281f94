/** A server that was held up listens before it asks for votes: what was said meanwhile may still be unread. */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { heartbeat, vote } from "./messages.ts";
import { lead, type Server, serverA } from "./server.ts";

const test = suite("raft: stall");

/** Nothing happens for so long, and then the server is told. */
function stall(server: Server, ms: number): void {
  server.clock.nowMs += ms;
  server.step({ type: "stalled" });
}

const asked = (server: Server): number => server.story.filter(({ event }) => event === "pre-vote").length;

test("silence during a stall is no evidence: the leader has two heartbeats' time to be heard", () => {
  const a = serverA();
  a.receive("b", heartbeat(1));
  stall(a, 10_000);
  assert.is(asked(a), 0);
  const { heartbeatMs } = a.config;
  assert.ok(a.deadlineMs >= a.clock.nowMs + 2 * heartbeatMs, "two heartbeats");
  assert.ok(a.deadlineMs <= a.clock.nowMs + 3 * heartbeatMs, "and not much more");
  a.receive("b", heartbeat(1));
  assert.ok(a.deadlineMs >= a.clock.nowMs + a.config.electionTimeoutMinMs);
  assert.is(a.role, "follower");
});

test("whatever else is first after the stall starts no election either", () => {
  const a = serverA();
  a.receive("b", heartbeat(1));
  a.clock.nowMs += 10_000;
  a.step({ type: "stalled" }, { type: "tick" }, { type: "read", ticket: 1, lease: false });
  assert.is(asked(a), 0);
});

test("a leader that is still not heard is given up", () => {
  const a = serverA();
  a.receive("b", heartbeat(1));
  stall(a, 10_000);
  a.waitForDeadline();
  assert.is(asked(a), 1);
});

test("a deadline that is further away stays", () => {
  const a = serverA();
  a.receive("b", heartbeat(1));
  const { deadlineMs } = a;
  a.step({ type: "stalled" });
  assert.is(a.deadlineMs, deadlineMs);
});

test("those who were held up together do not ask all at once", () => {
  const deadlines = ["a", "b", "c"].map((id) => {
    const server = serverA({}, {}, ["a", "b", "c"]);
    for (let i = 0; i < id.charCodeAt(0) - 97; i++) server.receive("b", heartbeat(1)); // Each draws another number.
    stall(server, 10_000);
    return server.deadlineMs;
  });
  assert.is(new Set(deadlines).size, 3);
});

test("a link that was lost is evidence all the same: all that came over it was read before", () => {
  const a = serverA();
  a.receive("b", heartbeat(1));
  a.step({ type: "link-lost", peer: "b" });
  stall(a, 10_000);
  assert.is(asked(a), 1);
});

test("a candidate waits for votes that may be there already", () => {
  const a = serverA();
  a.waitForDeadline();
  assert.is(a.role, "pre-candidate");
  stall(a, 10_000);
  assert.is(asked(a), 1);
  a.receive("b", vote({ term: 1, preVote: true }));
  assert.is(a.role, "candidate");
});

test("a leader learns nothing from its own stall: whether it has lost its majority is for check-quorum to say", () => {
  const a = serverA();
  lead(a);
  stall(a, a.config.electionTimeoutMinMs - 1);
  assert.is(a.role, "leader");
  stall(a, 10_000);
  assert.is(a.role, "follower");
});

test("a server that is held up again and again does not listen for ever", () => {
  const a = serverA();
  a.receive("b", heartbeat(1));
  for (let i = 0; i < 100 && asked(a) === 0; i++) stall(a, a.config.electionTimeoutMaxMs);
  assert.is(asked(a), 1);
  for (let i = 0; i < 20; i++) {
    a.receive("b", heartbeat(1));
    stall(a, a.config.electionTimeoutMaxMs);
  }
  assert.is(asked(a), 1, "nor is the count kept once a leader was heard");
});

test.run();
