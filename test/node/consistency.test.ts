/** Linearizable reads that a follower serves, and reads under a leader's lease: what they cost, and what they wait for. */

import * as assert from "uvu/assert";
import { KeyValueMachine, realEnvironment } from "../../src/index.ts";
import { encodeList } from "../../src/machine/commands.ts";
import type { Consistency } from "../../src/protocol/node.ts";
import { logIndex, type Message, term } from "../../src/raft/index.ts";
import { codeOf, eventually, turns } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { ASK, command, type NodeRef, openSession, put } from "./asking.ts";
import { type InProcess, type NodeChanges, withNodes } from "./in-process.ts";
import { Puppet } from "./puppet.ts";

/** No timer of an election or a lease runs out while a test looks at something else. */
const SLOW = { heartbeatMs: 500, electionTimeoutMinMs: 3_000, electionTimeoutMaxMs: 4_000 };
const LEASES = { clockDriftMax: 0.1 };
/** Newer than any that n1 may have begun by itself. */
const TERM = term(1_000);

const query = (consistency: Consistency, anywhere = false) =>
  ({ type: "queries", consistency, anywhere, minIndex: 0, queries: encodeList([]) }) as const;

interface Stage {
  readonly cluster: InProcess;
  readonly n2: Puppet;
  readonly n3: Puppet;
  /** n1, as a client's process sees it. */
  readonly node: NodeRef;
}

/** n1 follows n2, which is a puppet like n3. */
const asFollower = (changes: NodeChanges, body: (stage: Stage) => Promise<void>): Promise<void> =>
  withNodes(
    3,
    async (cluster) => {
      const [n2, n3] = [new Puppet(cluster, "n2"), new Puppet(cluster, "n3")];
      await cluster.start("n1", changes);
      await cluster.told("n1").when("its admission", ({ event }) => event === "admitted");
      n2.say(HEARTBEAT);
      await cluster.told("n1").when("the leader", ({ event }) => event === "following");
      try {
        await body({ cluster, n2, n3, node: cluster.ref(cluster.system("client"), "n1") });
      } finally {
        // Nobody is left to hand leadership over to.
        await Promise.all([n2.system.close(), n3.system.close()]);
      }
    },
    { idle: true, timing: SLOW },
  );

const HEARTBEAT: Message = { type: "heartbeat-request", term: TERM, round: 1, commitIndex: logIndex(0) };

/** n1 leads: n2 has told it to. */
const asLeader = (changes: NodeChanges, body: (stage: Stage) => Promise<void>): Promise<void> =>
  asFollower(changes, async (stage) => {
    stage.n2.say({ type: "timeout-now", term: TERM });
    await stage.cluster.leader();
    await body(stage);
  });

/** What a puppet was told of that kind. */
const count = (puppet: Puppet, type: Message["type"]): number =>
  puppet.received.all.filter((message) => message.type === type).length;

const setBeats = ({ n2, n3 }: Stage, beats: boolean): void => {
  for (const puppet of [n2, n3]) puppet.beats = beats;
};

/** n1 has the answers of a majority to a round of heartbeats, and gets none from now on. */
async function holdLease(stage: Stage): Promise<void> {
  await stage.node.ask(query("linearizable"), ASK);
  setBeats(stage, false);
}

/** Is the read answered by the time that n1 has answered what was asked after it? */
async function isAnswered(read: Promise<unknown>, { node }: Stage): Promise<boolean> {
  let answered = false;
  const note = (): void => {
    answered = true;
  };
  read.then(note, note);
  for (let i = 0; i < 2; i++) await node.ask({ type: "status" }, ASK);
  await turns();
  return answered;
}

/** A lease read waits for a round of heartbeats like any other, and is answered once a majority has answered one. */
async function waitsForRound(stage: Stage): Promise<void> {
  const read = stage.node.ask(query("lease"), ASK);
  assert.not(await isAnswered(read, stage));
  setBeats(stage, true);
  assert.is((await read).type, "results");
}

const test = suite("node: consistency");

test("under a lease reads are served without a round of heartbeats, and others are not", () =>
  asLeader(LEASES, async (stage) => {
    const { n2, node } = stage;
    await holdLease(stage);
    const before = count(n2, "heartbeat-request");
    for (let i = 0; i < 50; i++) assert.is((await node.ask(query("lease"), ASK)).type, "results");
    assert.ok(count(n2, "heartbeat-request") - before < 10, "those that fell due, and none for a read");
    const linearizable = node.ask(query("linearizable"), ASK);
    assert.not(await isAnswered(linearizable, stage));
    setBeats(stage, true);
    await linearizable;
  }));

test("a read under a lease sees the write that was acknowledged just before", () =>
  withNodes(
    3,
    async (cluster) => {
      await Promise.all(cluster.ids.map((id) => cluster.start(id, LEASES)));
      const [writer, reader] = [await cluster.client(), await cluster.client()];
      for (let i = 1; i <= 20; i++) {
        await writer.put("k", `${i}`);
        assert.is((await reader.get("k", { consistency: "lease" }))?.value, `${i}`);
      }
    },
    { idle: true },
  ));

test("where leases are not in use, a lease read is a linearizable one", () =>
  asLeader({}, async (stage) => {
    await holdLease(stage);
    await waitsForRound(stage);
  }));

test("the lease ends with the order to another one to stand", () =>
  asLeader(LEASES, async (stage) => {
    const { n2, node } = stage;
    await holdLease(stage);
    const handedOver = codeOf(node.ask({ type: "transfer", to: "n2" }, ASK));
    await n2.received.when("the order", ({ type }) => type === "timeout-now");
    await waitsForRound(stage);
    assert.is(await handedOver, "TRANSFER_FAILED", "the puppet stays where it is");
  }));

test("the lease ends with a stall: whatever held the node up may have held up its clock, too", () => {
  let aheadMs = 0;
  const clock = { ...realEnvironment.clock, nowMs: () => realEnvironment.clock.nowMs() + aheadMs };
  return asLeader({ ...LEASES, environment: { ...realEnvironment, clock } }, async (stage) => {
    const { cluster, node } = stage;
    await holdLease(stage);
    assert.is((await node.ask(query("lease"), ASK)).type, "results");
    aheadMs += 2 * SLOW.heartbeatMs + 1; // By its clock alone the lease would go on.
    await waitsForRound(stage);
    assert.ok(cluster.node("n1").status().lagMs >= SLOW.heartbeatMs);
  });
});

test("no lease serves a read before an entry of the leader's term is committed", () =>
  asFollower(LEASES, async (stage) => {
    const { cluster, n2, n3, node } = stage;
    for (const puppet of [n2, n3]) puppet.accepts = false;
    n2.say({ type: "timeout-now", term: TERM });
    await cluster.leader();
    const isBeat = ({ type }: Message): boolean => type === "heartbeat-request";
    await n2.received.when("a round of heartbeats", isBeat);
    const read = node.ask(query("lease"), ASK);
    assert.not(await isAnswered(read, stage), "a majority has answered the round, and has no entry");
    const { term: now, lastIndex } = cluster.node("n1").status();
    n2.say({ type: "append-accepted", term: term(now), matchIndex: logIndex(lastIndex) });
    assert.is((await read).type, "results");
  }));

test("a follower whose link to the leader breaks votes for nobody while the leader may hold a lease", () =>
  asFollower(LEASES, async ({ cluster, n2, n3 }) => {
    await n2.system.close();
    await cluster.told("n1").when("the end of the link", (story) => story.event === "link-lost" && story.peer === "n2");
    for (const preVote of [true, false]) {
      const last = { lastLogIndex: logIndex(0), lastLogTerm: term(0) };
      n3.say({ type: "vote-request", term: term(TERM + 1), preVote, transfer: false, ...last });
      const isAnswer = (message: Message): boolean => message.type === "vote-response" && message.preVote === preVote;
      const answer = await n3.received.when("the answer", isAnswer);
      assert.equal(answer, { type: "vote-response", term: TERM, preVote, refusal: "leader-is-alive" });
    }
  }));

test("a follower serves a linearizable read by itself, and shows the write that was acknowledged just before", () =>
  withNodes(
    3,
    async (cluster) => {
      const machines = new Map(cluster.ids.map((id) => [id, new CountingMachine()]));
      await Promise.all([...machines].map(([id, machine]) => cluster.start(id, { machine })));
      const [writer, reader] = [await cluster.client(), await cluster.client()];
      await writer.put("k", "0");
      const leader = await cluster.leader();
      const followers = cluster.ids.filter((id) => id !== leader);
      for (let i = 1; i <= 10; i++) {
        await writer.put("k", `${i}`);
        for (const node of followers) assert.is((await reader.get("k", { node }))?.value, `${i}`);
      }
      const served = cluster.ids.map((id) => [id, machines.get(id)?.queries]);
      assert.equal(Object.fromEntries(served), { ...Object.fromEntries(followers.map((id) => [id, 10])), [leader]: 0 });
    },
    { idle: true },
  ));

class CountingMachine extends KeyValueMachine {
  queries = 0;

  override query(bytes: Uint8Array): Uint8Array {
    this.queries++;
    return super.query(bytes);
  }
}

test("a follower asks the leader once for all the reads that came together", () =>
  asFollower({}, async ({ n2, node }) => {
    const reads = [1, 2, 3].map(() => node.ask(query("linearizable", true), ASK));
    const asked = await n2.received.when("the question", ({ type }) => type === "read-request");
    const id = asked.type === "read-request" ? asked.id : 0;
    assert.is(count(n2, "read-request"), 1);
    n2.say({ type: "read-response", term: TERM, id, index: logIndex(0) });
    assert.equal(
      (await Promise.all(reads)).map(({ type }) => type),
      ["results", "results", "results"],
    );
  }));

test("the leader dies with a follower's question: the read is refused at once, and the client asks on until it is served", () =>
  asFollower({}, async ({ cluster, n2, node }) => {
    const client = await cluster.client({ nodes: [cluster.urlOf("n1")] });
    const raw = codeOf(node.ask(query("linearizable", true), ASK));
    const read = client.get("k", { node: "n1" });
    await eventually("both to be asked for", () => count(n2, "read-request") >= 2);
    await n2.system.close();
    assert.is(await raw, "NOT_LEADER");
    assert.is(await read, null);
    assert.is(cluster.node("n1").status().role, "leader", "n3 has voted for it");
  }));

test("a follower that knows of no leader refuses, and a client that wants it waits until it has one", () =>
  asFollower({}, async ({ cluster, n2, n3, node }) => {
    n3.grants = false;
    await n2.system.close();
    await cluster.told("n1").when("the end of the link", (story) => story.event === "link-lost" && story.peer === "n2");
    assert.is(await codeOf(node.ask(query("linearizable", true), ASK)), "NOT_LEADER");
    const client = await cluster.client({ nodes: [cluster.urlOf("n1")] });
    const read = client.get("k", { node: "n1" });
    n3.say({ ...HEARTBEAT, term: term(TERM + 1) });
    const asked = await n3.received.when("the question", ({ type }) => type === "read-request");
    assert.ok(asked.type === "read-request");
    n3.say({ type: "read-response", term: term(TERM + 1), id: asked.id, index: logIndex(0) });
    assert.is(await read, null);
  }));

test("a follower's answer waits until it has applied what the leader has named", () =>
  asFollower({}, async (stage) => {
    const { n2, node } = stage;
    const read = node.ask(query("linearizable", true), ASK);
    const asked = await n2.received.when("the question", ({ type }) => type === "read-request");
    assert.ok(asked.type === "read-request");
    n2.say({ type: "read-response", term: TERM, id: asked.id, index: logIndex(1) });
    assert.not(await isAnswered(read, stage));
    const entries = [{ index: logIndex(1), term: TERM, kind: 0 as const, payload: new Uint8Array(0) }];
    const before = { prevLogIndex: logIndex(0), prevLogTerm: term(0), leaderCommit: logIndex(1) };
    n2.say({ type: "append-request", term: TERM, ...before, entries });
    const answer = await read;
    assert.ok(answer.type === "results" && answer.index === 1);
  }));

test("at the leader, a read that any node may answer is served under the lease as well", () =>
  asLeader(LEASES, async (stage) => {
    const session = await openSession(stage.node);
    await command(stage.node, session, [put("k", "1")]);
    await holdLease(stage);
    assert.is((await stage.node.ask(query("lease", true), ASK)).type, "results");
  }));

test.run();
