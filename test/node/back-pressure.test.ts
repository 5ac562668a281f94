/** Whatever is slow or greedy, what a node holds is bounded, what it accepts is served, and the others are served, too. */

import * as assert from "uvu/assert";
import { ConclaveError, hasCode, retryAfterMs } from "../../src/errors.ts";
import { realEnvironment } from "../../src/index.ts";
import { encodeList, encodePayload } from "../../src/machine/commands.ts";
import type { Raft } from "../../src/raft/index.ts";
import { codeOf } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { ASK, command, type NodeRef, openSession, put, typesOf } from "./asking.ts";
import { HangingDisk } from "./hanging-disk.ts";
import { type InProcess, withNodes } from "./in-process.ts";
import { Puppet } from "./puppet.ts";

const KiB = 1024;
const LONG = { timeoutMs: 20_000 };

interface Stage {
  readonly cluster: InProcess;
  readonly n2: Puppet;
  readonly n3: Puppet;
  /** The disk of n1, which leads. */
  readonly disk: HangingDisk;
  /** The core of n1. */
  readonly raft: Raft;
  /** n1, as a process of that name sees it. */
  node(name: string): NodeRef;
}

/** n1 leads, and n2 and n3 are puppets. */
const onStage = (body: (stage: Stage) => Promise<void>, limits: object = {}): Promise<void> =>
  withNodes(
    3,
    async (cluster) => {
      const [n2, n3] = [new Puppet(cluster, "n2"), new Puppet(cluster, "n3")];
      const hanging = new HangingDisk();
      const cores: Raft[] = [];
      await cluster.start("n1", {
        environment: { ...realEnvironment, disk: hanging.disk },
        onStart: (raft) => cores.push(raft),
      });
      await cluster.leader();
      const [raft] = cores;
      if (raft === undefined) throw new Error("n1 has no core");
      const node = (name: string): NodeRef => cluster.ref(cluster.system(name), "n1");
      try {
        await body({ cluster, n2, n3, disk: hanging, raft, node });
      } finally {
        hanging.goOn();
        // Nobody is left to hand leadership over to.
        await Promise.all([n2.system.close(), n3.system.close()]);
      }
    },
    { idle: true, limits },
  );

/** A batch of one command. */
const batchOf = (session: number, first: number, bytes: number) =>
  ({
    type: "commands",
    batch: encodePayload({ type: "commands", session, floor: 1, first, commands: [put("k", "x".repeat(bytes))] }),
  }) as const;

/** Sends until it is refused: how many were taken, and why no more were. The answers of those taken are not awaited. */
async function flood(node: NodeRef, session: number, bytes: number, countMax = 1_000) {
  let refusal: ConclaveError | null = null;
  let taken = 0;
  for (let i = 1; i <= countMax && refusal === null; i++) {
    taken++;
    node.ask(batchOf(session, i, bytes), LONG).catch((error: unknown) => {
      if (!(error instanceof ConclaveError) || error.code !== "BUSY") return;
      taken--;
      refusal ??= error;
    });
    // An answer that comes at once comes before this one.
    await node.ask({ type: "status" }, ASK);
  }
  return { taken, refusal: refusal as ConclaveError | null };
}

const test = suite("node: back-pressure");

test("one connection that takes what it can get leaves room for another, whose calls go on", () =>
  onStage(
    async ({ n2, n3, node }) => {
      const [greedy, modest] = [node("greedy"), node("modest")];
      const [hers, his] = [await openSession(greedy), await openSession(modest)];
      for (const puppet of [n2, n3]) puppet.accepts = false;
      const { taken, refusal } = await flood(greedy, hers, 10);
      assert.is(taken, 4);
      assert.match(refusal?.message ?? "", /of this connection/);
      assert.ok((retryAfterMs(refusal) ?? 0) > 0);
      const modestly = command(modest, his, [put("a", "1")]);
      await modest.ask({ type: "status" }, ASK); // It was not refused, or that would be known by now.
      for (const puppet of [n2, n3]) puppet.accepts = true;
      assert.equal(typesOf(await modestly), ["applied"]);
    },
    { linkProposalsMax: 4, proposalsMax: 64 },
  ));

test("so it is with bytes", () =>
  onStage(
    async ({ n2, n3, node }) => {
      const [greedy, modest] = [node("greedy"), node("modest")];
      const [hers, his] = [await openSession(greedy), await openSession(modest)];
      for (const puppet of [n2, n3]) puppet.accepts = false;
      assert.is((await flood(greedy, hers, 30 * KiB)).taken, 4);
      assert.is((await flood(modest, his, 30 * KiB, 1)).taken, 1);
      for (const puppet of [n2, n3]) puppet.accepts = true;
    },
    { linkProposalBytesMax: 100 * KiB },
  ));

test("and with reads, be they many or large", () =>
  onStage(
    async ({ n2, n3, node }) => {
      const [greedy, modest] = [node("greedy"), node("modest")];
      const read = (ref: NodeRef, bytes: number) =>
        ref.ask(
          {
            type: "queries",
            consistency: "linearizable",
            anywhere: false,
            minIndex: 0,
            queries: encodeList([new Uint8Array(bytes)]),
          },
          ASK,
        );
      await read(greedy, 1).catch(() => {}); // The leader has committed something of its term by now.
      for (const puppet of [n2, n3]) puppet.beats = false;
      for (const [bytes, count] of [
        [1, 4],
        [60 * KiB, 2],
      ] as const) {
        const name = `greedy with ${bytes}`;
        const ref = node(name);
        const open = Array.from({ length: count }, () => read(ref, bytes).catch((error: unknown) => error));
        const refused = await read(ref, bytes).catch((error: unknown) => error);
        assert.ok(hasCode(refused, "BUSY") && retryAfterMs(refused) !== null, `${name}: ${String(refused)}`);
        const modestly = read(modest, 1).catch((error: unknown) => error);
        await modest.ask({ type: "status" }, ASK);
        for (const puppet of [n2, n3]) puppet.beats = true;
        for (const outcome of await Promise.all([...open, modestly])) assert.not(hasCode(outcome, "BUSY"));
        for (const puppet of [n2, n3]) puppet.beats = false;
      }
    },
    { linkReadsMax: 4, linkReadBytesMax: 100 * KiB },
  ));

test("a modest client's calls go on while another floods the leader for real", () =>
  withNodes(
    1,
    async (cluster) => {
      const modest = await cluster.client();
      await modest.put("a", "0");
      const greedy = cluster.ref(cluster.system("greedy"), "n1");
      const session = await openSession(greedy);
      let isOver = false;
      let refused = 0;
      const flooding = async (): Promise<void> => {
        while (!isOver) {
          const asked = Array.from({ length: 500 }, (_, i) => greedy.ask(batchOf(session, 1 + i, 2 * KiB), LONG));
          const outcomes = await Promise.allSettled(asked);
          refused += outcomes.filter(({ status }) => status === "rejected").length;
        }
      };
      const flooded = flooding();
      for (let i = 1; i <= 50; i++) await modest.put("a", String(i), { timeoutMs: 2_000 });
      assert.is((await modest.get("a"))?.value, "50");
      isOver = true;
      await flooded;
      assert.ok(refused > 0, "the flood was none");
    },
    { limits: { linkProposalsMax: 32, sessionWindowMax: 4_096 } },
  ));

test("a disk that hangs: what waits for it is bounded, and the rest is told so at once and not at its deadline", () =>
  onStage(
    async ({ n2, n3, disk, raft, node }) => {
      const greedy = node("greedy");
      const session = await openSession(greedy);
      for (const puppet of [n2, n3]) puppet.accepts = false;
      const before = raft.log.cacheBytes;
      disk.hang();
      const { taken, refusal } = await flood(greedy, session, 10 * KiB);
      assert.ok(refusal !== null && taken <= 11, `${taken} were taken`);
      assert.ok(raft.log.cacheBytes - before < 150 * KiB, `${raft.log.cacheBytes} bytes`);
      assert.ok(disk.writtenBytes < 150 * KiB, `${disk.writtenBytes} bytes were written ahead of the flush`);
    },
    { proposalBytesMax: 200 * KiB, linkProposalBytesMax: 100 * KiB },
  ));

test("a leader's disk that hangs while the others commit: what waits for it is bounded all the same", () =>
  onStage(
    async ({ disk, raft, node }) => {
      const greedy = node("greedy");
      const session = await openSession(greedy);
      disk.hang();
      const before = raft.log.cacheBytes;
      const { taken, refusal } = await flood(greedy, session, 10 * KiB);
      assert.ok(raft.commitIndex > 5, "the others commit");
      assert.match(refusal?.message ?? "", /leader's disk/);
      assert.ok(taken <= 21, `${taken} were taken`);
      assert.ok(raft.log.cacheBytes - before < 250 * KiB, `${raft.log.cacheBytes} bytes`);
      disk.goOn();
      for (let first = taken + 1; ; ) {
        const outcome = await greedy.ask(batchOf(session, first, 1), ASK).catch((error: unknown) => error);
        if (!hasCode(outcome, "BUSY")) break; // Once the disk has caught up it is taken.
      }
    },
    { proposalBytesMax: 200 * KiB, logCacheBytesMax: 10 * KiB },
  ));

test("nobody is let in behind commands that have stood still for longer than they may, and who waits is served", () =>
  onStage(
    async ({ n2, n3, node }) => {
      const [first, second] = [node("first"), node("second")];
      const session = await openSession(first);
      for (const puppet of [n2, n3]) puppet.accepts = false;
      const accepted = command(first, session, [put("a", "1")]);
      const startMs = realEnvironment.clock.nowMs();
      let refusal: unknown = null;
      while (refusal === null) {
        refusal = await second.ask({ type: "open-session" }, { timeoutMs: 5 }).then(
          () => null,
          (error: unknown) => (hasCode(error, "BUSY") ? error : null),
        );
      }
      assert.ok(realEnvironment.clock.nowMs() - startMs >= 90, "not before its time");
      assert.match(String(refusal), /to be done within 100 ms/);
      for (const puppet of [n2, n3]) puppet.accepts = true;
      assert.equal(typesOf(await accepted), ["applied"]);
      await openSession(second);
    },
    { proposalWaitMsMax: 100 },
  ));

test("every BUSY has a hint: of sessions, of handovers, of newcomers, of windows", () =>
  onStage(
    async ({ node }) => {
      const ref = node("client");
      const session = await openSession(ref);
      const hintOf = (promise: Promise<unknown>): Promise<number | null> => promise.then(() => null, retryAfterMs);
      assert.ok(((await hintOf(openSession(ref))) ?? 0) > 0, "sessions");
      const three = [put("a", "1"), put("b", "1"), put("c", "1")];
      assert.ok(((await hintOf(command(ref, session, three))) ?? 0) > 0, "windows");
      const handedOver = codeOf(ref.ask({ type: "transfer", to: "n2" }, ASK));
      assert.ok(((await hintOf(command(ref, session, [put("a", "1")]))) ?? 0) > 0, "handovers");
      assert.is(await handedOver, "TRANSFER_FAILED", "the puppet stays where it is");
    },
    { sessionsMax: 1, sessionWindowMax: 2 },
  ));

test("a newcomer's BUSY, too", () =>
  withNodes(
    3,
    async (cluster) => {
      await cluster.start("n1");
      const node = cluster.ref(cluster.system("client"), "n1");
      const read = node.ask(
        { type: "queries", consistency: "stale", anywhere: true, minIndex: 0, queries: encodeList([]) },
        ASK,
      );
      assert.ok(((await read.then(() => null, retryAfterMs)) ?? 0) > 0);
    },
    { idle: true },
  ));

test("one connection opens so many sessions and no more, and another one still gets its own", () =>
  withNodes(1, async (cluster) => {
    await cluster.leader();
    const greedy = cluster.ref(cluster.system("greedy"), "n1");
    for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 100 }, () => openSession(greedy)));
    const refused = await openSession(greedy).catch((error: unknown) => error);
    assert.ok(hasCode(refused, "BUSY") && retryAfterMs(refused) !== null, String(refused));
    await openSession(cluster.ref(cluster.system("modest"), "n1"));
  }));

test.run();
