/** Losing a link is evidence (design: "Losing a link is evidence"; thesis, 6.2 and 9.6 for what it may not disturb). */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import { accepted, heartbeat, ofType, vote } from "./messages.ts";
import { lead, type Server, serverA } from "./server.ts";

const test = suite("raft: links");

const told = (server: Server, event: "quorum-lost" | "quorum-regained"): number =>
  server.story.filter((line) => line.event === event).length;

test("a follower that loses its link to the leader starts a pre-vote after a short delay, and says why", () => {
  const a = serverA();
  a.receive("b", heartbeat(1));
  a.step({ type: "link-lost", peer: "b" });
  assert.ok(a.deadlineMs <= a.clock.nowMs + a.config.evidenceDelayMaxMs);

  a.waitForDeadline();
  assert.equal(a.story.at(-1), { event: "pre-vote", term: 1, reason: "leader-link-lost" });
});

test("losing the link to anybody else is no evidence", () => {
  const a = serverA();
  a.receive("b", heartbeat(1));
  const { deadlineMs } = a;
  a.step({ type: "link-lost", peer: "c" });
  assert.is(a.deadlineMs, deadlineMs);
});

test("a crashed leader is replaced long before an election timeout is over", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const cluster = new Cluster(["a", "b", "c", "d", "e"], {}, {}, seed);
    cluster.elect("a");
    cluster.advance(50);
    cluster.crash("a");
    cluster.advance(cluster.at("b").config.electionTimeoutMinMs / 2);

    assert.ok(cluster.leader !== undefined, `seed ${seed}`);
  }
});

test("a cable cut between the leader and one follower disturbs nobody", () => {
  const cluster = new Cluster(["a", "b", "c", "d", "e"]);
  const a = cluster.elect("a");
  cluster.advance(50);
  cluster.cut("a", "b");
  cluster.advance(3000);

  assert.is(a.role, "leader");
  assert.ok(cluster.servers.every(({ raft }) => raft.term === 1));
  cluster.heal("a", "b");
  a.propose("x = 1");
  cluster.advance(100);
  assert.equal(cluster.at("b").terms, [1, 1]);
});

test("a vote that no link can bring is as good as refused: the candidate does not wait for it", () => {
  const a = serverA();
  a.waitForDeadline();
  a.receive("b", vote({ term: 1, preVote: true }));
  a.receive("b", vote({ term: 1, refusal: "voted-for-another" }));
  assert.is(a.role, "candidate");

  a.step({ type: "link-lost", peer: "c" });
  assert.is(a.role, "follower");
  assert.ok(a.deadlineMs <= a.clock.nowMs + 2 * a.config.evidenceDelayMaxMs);
});

test("a candidate asks a server whose link comes up during the election", () => {
  const a = serverA();
  a.step({ type: "link-lost", peer: "c" });
  a.waitForDeadline();
  assert.is(ofType(a.step({ type: "link-up", peer: "c" }), "vote-request", "c")[0]?.preVote, true);

  a.receive("c", vote({ term: 1, preVote: true }));
  const again = [{ type: "link-lost", peer: "b" } as const, { type: "link-up", peer: "b" } as const];
  assert.is(ofType(a.step(...again), "vote-request", "b")[0]?.preVote, false);
});

test("a server without links to a majority says so once, and does not call elections", () => {
  const a = serverA();
  for (const peer of ["b", "c"]) a.step({ type: "link-lost", peer });
  for (let i = 0; i < 10; i++) assert.equal(a.waitForDeadline(), []);

  assert.is(told(a, "quorum-lost"), 1);
  assert.is(a.raft.term, 0);
});

test("it looks again soon when a link comes up, and says that the quorum is back once there is a leader", () => {
  const a = serverA();
  for (const peer of ["b", "c"]) a.step({ type: "link-lost", peer });
  a.waitForDeadline();
  a.step({ type: "link-up", peer: "b" });
  assert.ok(a.deadlineMs <= a.clock.nowMs + a.config.evidenceDelayMaxMs);
  assert.is(told(a, "quorum-regained"), 0);

  a.receive("b", heartbeat(1), heartbeat(1, 2));
  assert.is(told(a, "quorum-regained"), 1);
});

test("a leader whose followers crash says that the quorum is lost; when they are back, that it is regained", () => {
  const cluster = new Cluster(["a", "b", "c"]);
  const a = cluster.elect("a");
  cluster.crash("b");
  cluster.crash("c");
  cluster.advance(1000);
  assert.is.not(a.role, "leader");
  assert.is(told(a, "quorum-lost"), 1);

  cluster.restart("b");
  cluster.advance(2 * a.config.electionTimeoutMinMs);
  assert.ok(cluster.leader !== undefined);
  assert.is(told(a, "quorum-lost"), 1);
  assert.is(told(a, "quorum-regained"), 1);
});

test("nothing is sent where there is no link", () => {
  const a = serverA();
  lead(a);
  const sent = [
    ...a.step({ type: "link-lost", peer: "b" }),
    ...a.propose("x = 1"),
    ...a.read(1),
    ...a.receive("c", accepted(1, 1)),
    ...a.waitForDeadline(),
  ];

  assert.equal([...new Set(sent.map(({ to }) => to))], ["c"]);
});

test.run();
