/** One real node among puppets: what the driver around the core promises to members, clients and strangers. */

import * as assert from "uvu/assert";
import type { Disk } from "../../src/environment.ts";
import { realEnvironment } from "../../src/index.ts";
import { HEADER_BYTES } from "../../src/link/index.ts";
import { encodeList, encodePayload } from "../../src/machine/commands.ts";
import { encodeMessage } from "../../src/node/raft-codec.ts";
import { EntryKind, logIndex, term } from "../../src/raft/index.ts";
import { codeOf, eventually } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { ASK, command, type NodeRef, openSession, put, typesOf } from "./asking.ts";
import { type InProcess, withNodes } from "./in-process.ts";
import { Puppet } from "./puppet.ts";

interface Stage {
  readonly cluster: InProcess;
  readonly n2: Puppet;
  readonly n3: Puppet;
  /** n1, as a client's process sees it. */
  readonly node: NodeRef;
}

/** n1 leads, and n2 and n3 are puppets. */
const onStage = (body: (stage: Stage) => Promise<void>, limits: object = {}): Promise<void> =>
  withNodes(
    3,
    async (cluster) => {
      const [n2, n3] = [new Puppet(cluster, "n2"), new Puppet(cluster, "n3")];
      await cluster.start("n1");
      await cluster.leader();
      await body({ cluster, n2, n3, node: cluster.ref(cluster.system("client"), "n1") });
      // Nobody is left to hand leadership over to.
      await Promise.all([n2.system.close(), n3.system.close()]);
    },
    { idle: true, limits },
  );

/** The node has handled everything that was said before. */
const heard = async (ref: NodeRef): Promise<void> => {
  for (let i = 0; i < 2; i++) await ref.ask({ type: "status" }, ASK);
};

const test = suite("node: driver");

test("what a majority holds is acknowledged, what it does not is not", () =>
  onStage(async ({ n2, n3, node }) => {
    const session = await openSession(node);
    assert.equal(typesOf(await command(node, session, [put("a", "1"), put("b", "2")])), ["applied", "applied"]);
    n2.accepts = false;
    n3.accepts = false;
    const batch = encodePayload({ type: "commands", session, floor: 1, first: 3, commands: [put("c", "3")] });
    assert.is(await codeOf(node.ask({ type: "commands", batch }, { timeoutMs: 300 })), "TIMEOUT");
  }));

test("a follower's acknowledgement waits for its disk, and its word that the leader lives does not", () =>
  withNodes(
    3,
    async (cluster) => {
      const { disk } = realEnvironment;
      let flushed = Promise.resolve();
      const slow: Disk = {
        ...disk,
        open: async (path, mode) => {
          const file = await disk.open(path, mode);
          return { ...file, sync: () => flushed.then(() => file.sync()) };
        },
      };
      const [n2, n3] = [new Puppet(cluster, "n2"), new Puppet(cluster, "n3")];
      n2.grants = false;
      n3.grants = false;
      await cluster.start("n1", { environment: { ...realEnvironment, disk: slow } });
      const isUp = ({ event, peer }: { readonly event: string; readonly peer?: string }): boolean =>
        event === "link-up" && peer === "n2";
      await cluster.told("n1").when("the link to n2", isUp);
      await cluster.told("n1").when("its admission", ({ event }) => event === "admitted");

      const gate = Promise.withResolvers<void>();
      flushed = gate.promise;
      const [index, first] = [logIndex(1), term(1_000)];
      const entries = [{ index, term: first, kind: EntryKind.noop, payload: new Uint8Array(0) }];
      const before = { prevLogIndex: logIndex(0), prevLogTerm: term(0), leaderCommit: logIndex(0) };
      n2.say({ type: "append-request", term: first, ...before, entries });
      for (const round of [1, 2, 3]) {
        n2.say({ type: "heartbeat-request", term: first, round, commitIndex: logIndex(0) });
        await n2.received.when("word", (message) => message.type === "heartbeat-response" && message.round === round);
      }
      const accepted = ({ type }: { readonly type: string }): boolean => type === "append-accepted";
      assert.not(n2.received.all.some(accepted), "nothing is on the disk yet");
      gate.resolve();
      await n2.received.when("the acknowledgement", accepted);
      await Promise.all([n2.system.close(), n3.system.close()]);
    },
    { idle: true },
  ));

test("while leadership is handed over, commands and sessions are refused with BUSY; once that failed, they are taken", () =>
  onStage(async ({ cluster, node }) => {
    const session = await openSession(node);
    const handedOver = codeOf(node.ask({ type: "transfer", to: "n2" }, ASK));
    assert.is(await codeOf(command(node, session, [put("a", "1")])), "BUSY");
    assert.is(await codeOf(openSession(node)), "BUSY");
    assert.is(await handedOver, "TRANSFER_FAILED");
    assert.ok(cluster.told("n1").all.some(({ event }) => event === "transfer-failed"));
    assert.equal(typesOf(await command(node, session, [put("a", "1")])), ["applied"]);
  }));

test("a session that was refused during a handover takes no place from those to come", () =>
  onStage(
    async ({ node }) => {
      const handedOver = codeOf(node.ask({ type: "transfer", to: "n2" }, ASK));
      assert.is(await codeOf(openSession(node)), "BUSY");
      assert.is(await handedOver, "TRANSFER_FAILED");
      await openSession(node);
    },
    { sessionsMax: 1 },
  ));

test("the heir is told to start its election once it has everything", () =>
  onStage(async ({ n2, node }) => {
    const handedOver = codeOf(node.ask({ type: "transfer", to: "n2" }, ASK));
    await n2.received.when("the order", ({ type }) => type === "timeout-now");
    assert.is(await handedOver, "TRANSFER_FAILED", "the puppet stays where it is");
  }));

test("leadership lost: what was proposed before is answered at once, with UNKNOWN_OUTCOME", () =>
  onStage(async ({ cluster, n2, n3, node }) => {
    const session = await openSession(node);
    for (const puppet of [n2, n3]) Object.assign(puppet, { accepts: false, grants: false });
    const open = codeOf(command(node, session, [put("a", "1")]));
    await n2.received.when("the entry", (message) => message.type === "append-request" && message.entries.length > 0);
    await heard(node);
    const newer = cluster.node("n1").status().term + 1;
    n2.say({ type: "heartbeat-request", term: term(newer), round: 1, commitIndex: logIndex(0) });
    assert.is(await open, "UNKNOWN_OUTCOME");
  }));

test("leadership lost in the very batch that brought the command: its sender is answered at once all the same", () =>
  onStage(async ({ cluster, n2, n3 }) => {
    const session = await openSession(n2.real);
    for (const puppet of [n2, n3]) Object.assign(puppet, { accepts: false, grants: false });
    const newer = cluster.node("n1").status().term + 1;
    // Both leave in one frame, and arrive in one batch.
    const open = codeOf(command(n2.real, session, [put("a", "1")]));
    n2.say({ type: "heartbeat-request", term: term(newer), round: 1, commitIndex: logIndex(0) });
    assert.ok(["UNKNOWN_OUTCOME", "NOT_LEADER"].includes(await open), await open);
  }));

test("the number of uncommitted commands is bounded: BUSY", () =>
  onStage(
    async ({ n2, n3, node }) => {
      const session = await openSession(node);
      for (const puppet of [n2, n3]) puppet.accepts = false;
      const open = [1, 2].map((first) => command(node, session, [put("a", "1")], { first }));
      assert.is(await codeOf(command(node, session, [put("a", "1")], { first: 3 })), "BUSY");
      assert.is(await codeOf(openSession(node)), "BUSY");
      for (const puppet of [n2, n3]) puppet.accepts = true;
      await Promise.all(open);
      assert.equal(typesOf(await command(node, session, [put("a", "1")], { first: 3 })), ["applied"]);
    },
    { proposalsMax: 4 }, // One connection takes no more than it leaves free.
  ));

test("the number of reads that wait is bounded: BUSY; a stale read waits for nobody", () =>
  onStage(
    async ({ n2, n3, node }) => {
      const queries = encodeList([]);
      const read = () =>
        node.ask({ type: "queries", consistency: "linearizable", anywhere: false, minIndex: 0, queries }, ASK);
      await read();
      for (const puppet of [n2, n3]) puppet.beats = false;
      const open = [read(), read()];
      assert.is(await codeOf(read()), "BUSY");
      assert.is(
        (await node.ask({ type: "queries", consistency: "stale", anywhere: true, minIndex: 0, queries }, ASK)).type,
        "results",
      );
      for (const puppet of [n2, n3]) puppet.beats = true;
      await Promise.allSettled(open);
    },
    { readsMax: 4 },
  ));

test("a leader that can't reach a majority serves no linearizable read", () =>
  onStage(async ({ cluster, n2, n3, node }) => {
    for (const puppet of [n2, n3]) Object.assign(puppet, { beats: false, accepts: false, grants: false });
    const read = node.ask(
      { type: "queries", consistency: "linearizable", anywhere: false, minIndex: 0, queries: encodeList([]) },
      ASK,
    );
    assert.is(await codeOf(read), "NOT_LEADER");
    assert.ok(cluster.told("n1").all.some((story) => story.event === "stepped-down" && story.reason === "quorum-lost"));
  }));

test("the commands of one session that are unanswered are bounded: BUSY", () =>
  onStage(
    async ({ node }) => {
      const session = await openSession(node);
      const three = [put("a", "1"), put("b", "1"), put("c", "1")];
      assert.is(await codeOf(command(node, session, three)), "BUSY");
      assert.is(await codeOf(command(node, session, three.slice(1), { first: 2 })), "BUSY");
      assert.equal(typesOf(await command(node, session, three.slice(1))), ["applied", "applied"]);
    },
    { sessionWindowMax: 2 },
  ));

test("a member that sends nonsense is told of, and the node goes on", () =>
  onStage(async ({ cluster, n2, node }) => {
    n2.real.tell({ type: "raft", packed: Uint8Array.of(1, 2, 3) });
    const story = await cluster.told("n1").when("the refusal", ({ event }) => event === "message-refused");
    assert.ok("from" in story && story.from === "n2");
    await openSession(node);
  }));

test("whoever is not a member is not heard when it speaks Raft", () =>
  onStage(async ({ cluster }) => {
    const before = cluster.node("n1").status().term;
    for (const name of ["client", "n2", "n9"]) {
      const { say, ref } = speaker(cluster, name);
      say();
      await heard(ref);
    }
    assert.is(cluster.node("n1").status().term, before);
  }));

test("whoever comes from the directory's address is not heard as a member, whatever its name", () =>
  withNodes(
    3,
    async (cluster) => {
      await cluster.start("n1");
      const { say, ref } = speaker(cluster, "n2", cluster.directoryUrl);
      await heard(ref);
      say();
      await heard(ref).catch(() => {}); // To cut it off is an answer, too.
      assert.is(cluster.node("n1").status().term, 0);
      assert.equal(cluster.node("n1").status().links, { n2: false, n3: false });
    },
    { idle: true },
  ));

/** A process that would depose any leader, if it were heard. */
function speaker(cluster: InProcess, name: string, url?: string): { readonly ref: NodeRef; say(): void } {
  const ref = cluster.ref(cluster.system(name, url === undefined ? {} : { url }), "n1");
  const packed = encodeMessage({ type: "heartbeat-request", term: term(99), round: 1, commitIndex: logIndex(0) });
  return { ref, say: () => void ref.tell({ type: "raft", packed }) };
}

test("what a process says in answer to anything does not count if it is not the member whose name it bears", () =>
  onStage(async ({ cluster, n2, n3, node }) => {
    const session = await openSession(node);
    for (const puppet of [n2, n3]) puppet.accepts = false;
    const batch = encodePayload({ type: "commands", session, floor: 1, first: 1, commands: [put("a", "1")] });
    const open = codeOf(node.ask({ type: "commands", batch }, { timeoutMs: 300 }));
    await heard(node);
    const { term: now, lastIndex } = cluster.node("n1").status();
    const packed = encodeMessage({ type: "append-accepted", term: term(now), matchIndex: logIndex(lastIndex) });
    // The disk of the one was lost, and the other was never a member.
    for (const name of ["n2", "n9"]) {
      const impostor = cluster.ref(
        cluster.system(name, { url: "ws://127.0.0.1:1", incarnation: "another life" }),
        "n1",
      );
      impostor.tell({ type: "raft", packed });
      await heard(impostor);
    }
    assert.is(await open, "TIMEOUT");
    assert.ok(cluster.node("n1").status().commitIndex < lastIndex);
  }));

test("the biggest command that a link takes must not stop the cluster for good", () =>
  onStage(
    async ({ node }) => {
      const session = await openSession(node);
      const empty = encodePayload({ type: "commands", session, floor: 1, first: 1, commands: [put("k", "")] });
      // A frame of exactly the largest size: header, letter ("node", from nobody), tag, batch.
      const room = 64 * 1024 - HEADER_BYTES - 2 - 4 - 1 - empty.byteLength;
      const code = await codeOf(command(node, session, [put("k", "x".repeat(room))])).catch(() => "applied");
      assert.ok(["TOO_LARGE", "applied"].includes(code), `the big command ended with ${code}`);
      const next = await openSession(node);
      assert.equal(typesOf(await command(node, next, [put("k", "1")])), ["applied"]);
    },
    { messageBytesMax: 64 * 1024, appendBytesMax: 16 * 1024 },
  ));

test("a node that does not lead says who does, to whatever needs a leader", () =>
  onStage(async ({ cluster, n2, node }) => {
    const newer = cluster.node("n1").status().term + 1;
    const entries = [{ index: logIndex(9), term: term(newer), kind: 0 as const, payload: new Uint8Array(0) }];
    n2.say({
      type: "append-request",
      term: term(newer),
      prevLogIndex: logIndex(8),
      prevLogTerm: term(1),
      leaderCommit: logIndex(0),
      entries,
    });
    await eventually("n1 to follow n2", () => cluster.node("n1").status().leader === "n2");
    const batch = encodePayload({ type: "commands", session: 1, floor: 1, first: 1, commands: [put("a", "1")] });
    for (const question of [
      { type: "commands", batch },
      { type: "open-session" },
      { type: "transfer", to: null },
      { type: "queries", consistency: "linearizable", anywhere: false, minIndex: 0, queries: encodeList([]) },
    ] as const) {
      const error = await node.ask(question, ASK).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof Error && "code" in error && "details" in error, question.type);
      assert.is(error.code, "NOT_LEADER", question.type);
      assert.equal(error.details, { view: { term: newer, leader: { id: "n2", url: cluster.urlOf("n2") } } });
    }
  }));

test.run();
