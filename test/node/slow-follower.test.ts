/** A follower that does not keep up costs its leader a window, and no more; nor does it lose its link over it. */

import * as assert from "uvu/assert";
import { realEnvironment } from "../../src/index.ts";
import type { Raft } from "../../src/raft/index.ts";
import { suite } from "../support/suite.ts";
import { command, type NodeRef, openSession, put } from "./asking.ts";
import { CloggedNetwork } from "./clogged-network.ts";
import { type InProcess, withNodes } from "./in-process.ts";
import { Puppet } from "./puppet.ts";

const KiB = 1024;

const LIMITS = {
  messageBytesMax: 256 * KiB,
  sendBufferBytesMax: 512 * KiB,
  appendBytesMax: 64 * KiB,
  appendBytesInFlightMax: 128 * KiB,
  logCacheBytesMax: 100 * KiB,
};
const WINDOW_BYTES = LIMITS.appendBytesInFlightMax;
const TIMING = { heartbeatMs: 50, electionTimeoutMinMs: 200, electionTimeoutMaxMs: 250 };
/** So often the leader has sent again what was not acknowledged. */
const REMINDERS = 6;

interface Stage {
  readonly cluster: InProcess;
  readonly n2: Puppet;
  readonly n3: Puppet;
  readonly clogged: CloggedNetwork;
  /** The core of n1, which leads. */
  readonly raft: Raft;
  readonly node: NodeRef;
  /** Commits this much, with the help of n3, in commands numbered from `first`; the number of the next. */
  commit(session: number, bytes: number, first: number): Promise<number>;
}

const onStage = (body: (stage: Stage) => Promise<void>): Promise<void> =>
  withNodes(
    3,
    async (cluster) => {
      const [n2, n3] = [new Puppet(cluster, "n2"), new Puppet(cluster, "n3")];
      const clogged = new CloggedNetwork();
      const cores: Raft[] = [];
      await cluster.start("n1", {
        environment: { ...realEnvironment, network: clogged.network },
        onStart: (raft) => cores.push(raft),
      });
      await cluster.leader();
      const [raft] = cores;
      if (raft === undefined) throw new Error("n1 has no core");
      const node = cluster.ref(cluster.system("client"), "n1");
      const commit = async (session: number, bytes: number, from: number): Promise<number> => {
        let first = from;
        for (let left = bytes; left > 0; left -= 60 * KiB) {
          await command(node, session, [put("k", "x".repeat(60 * KiB))], { first, floor: first });
          first++;
        }
        return first;
      };
      await body({ cluster, n2, n3, clogged, raft, node, commit });
      // Nobody is left to hand leadership over to.
      await Promise.all([n2.system.close(), n3.system.close()]);
    },
    { idle: true, limits: LIMITS, timing: TIMING },
  );

/** Commits on for as long as it takes to be reminded so often. */
async function outlast({ node }: Stage, session: number, from: number): Promise<void> {
  const { clock } = realEnvironment;
  const endMs = clock.nowMs() + REMINDERS * (TIMING.electionTimeoutMaxMs + TIMING.heartbeatMs);
  for (let first = from; clock.nowMs() < endMs; first++) {
    await command(node, session, [put("k", "x")], { first, floor: first });
  }
}

const test = suite("node: slow follower");

test("one that never reads: what waits for it is bounded, and its link stands", () =>
  onStage(async (stage) => {
    const { cluster, clogged, raft, node, commit } = stage;
    const session = await openSession(node);
    clogged.deaf = "n2";
    const next = await commit(session, 2_048 * KiB, 1);
    await outlast(stage, session, next);
    assert.ok(clogged.heldBytesMax > WINDOW_BYTES, `only ${clogged.heldBytesMax} bytes were held`);
    // A window, and what is sent again because it is late, until that would be another.
    const mostBytes = 2 * WINDOW_BYTES + 2 * LIMITS.appendBytesMax;
    assert.ok(clogged.heldBytesMax < mostBytes, `${clogged.heldBytesMax} bytes were held`);
    assert.ok(raft.log.cacheBytes <= LIMITS.logCacheBytesMax, `${raft.log.cacheBytes} bytes in the log`);
    assert.is(cluster.node("n1").status().links["n2"], true, "it was not cut off for its slowness");
    assert.is(cluster.node("n1").status().term, 1);
  }));

test("one that reads again gets what it lacks", () =>
  onStage(async (stage) => {
    const { clogged, n2, raft, node, commit } = stage;
    const session = await openSession(node);
    clogged.deaf = "n2";
    const next = await commit(session, 1_024 * KiB, 1);
    await outlast(stage, session, next);
    // What was on its way is lost here: for the leader that is the same.
    clogged.deaf = null;
    clogged.heldBytes = 0;
    const last = raft.log.lastIndex;
    await n2.received.when("the last entry", (message) => {
      return message.type === "append-request" && message.entries.some(({ index }) => index === last);
    });
  }));

test("one that never acknowledges: the leader keeps a window open for it, and its log on the disk", () =>
  onStage(async (stage) => {
    const { n2, raft, node, commit } = stage;
    const session = await openSession(node);
    n2.accepts = false;
    const from = n2.received.all.length;
    const next = await commit(session, 2_048 * KiB, 1);
    await outlast(stage, session, next);
    const sent = n2.received.all.slice(from).flatMap((message) => (message.type === "append-request" ? [message] : []));
    const bytes = sent.flatMap(({ entries }) => entries).reduce((sum, { payload }) => sum + payload.byteLength, 0);
    assert.ok(bytes > WINDOW_BYTES / 2, `only ${bytes} bytes were sent`);
    const mostBytes = WINDOW_BYTES + (2 * REMINDERS + 1) * LIMITS.appendBytesMax;
    assert.ok(bytes < mostBytes, `${bytes} bytes were sent`);
    assert.ok(raft.log.cacheBytes <= LIMITS.logCacheBytesMax, `${raft.log.cacheBytes} bytes in the log`);
    const progress = raft.role.name === "leader" ? raft.role.followers.get("n2") : undefined;
    assert.ok((progress?.inFlightBytes ?? Number.NaN) <= WINDOW_BYTES + LIMITS.appendBytesMax);
  }));

test.run();
