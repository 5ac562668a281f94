/** What a client's stale reads show on a node that lags: its own writes and all that it has seen, or nothing at all. */

import * as assert from "uvu/assert";
import { hasCode } from "../../src/errors.ts";
import { realEnvironment } from "../../src/index.ts";
import { encodeList } from "../../src/machine/commands.ts";
import { codeOf, eventually, turns } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { ASK } from "./asking.ts";
import { HangingDisk } from "./hanging-disk.ts";
import { type InProcess, withNodes } from "./in-process.ts";

interface Stage {
  readonly cluster: InProcess;
  readonly leader: string;
  /** A follower that has everything up to here, and nothing more: its disk hangs. */
  readonly behind: string;
  readonly disk: HangingDisk;
}

/** "k" is "1" on all nodes; what is written from now on does not reach one of them. */
const withOneBehind = (body: (stage: Stage) => Promise<void>): Promise<void> =>
  withNodes(
    3,
    async (cluster) => {
      const disks = new Map(cluster.ids.map((id) => [id, new HangingDisk()]));
      const starting = [...disks].map(([id, { disk }]) =>
        cluster.start(id, { environment: { ...realEnvironment, disk } }),
      );
      await Promise.all(starting);
      const client = await cluster.client();
      await client.put("k", "1");
      const leader = await cluster.leader();
      const { commitIndex } = cluster.node(leader).status();
      const hasAll = (id: string): boolean => cluster.node(id).status().appliedIndex >= commitIndex;
      await eventually("all to have it", () => cluster.ids.every(hasAll));
      const behind = cluster.ids.find((id) => id !== leader) ?? "";
      const disk = disks.get(behind) ?? new HangingDisk();
      disk.hang();
      try {
        await body({ cluster, leader, behind, disk });
      } finally {
        disk.goOn();
      }
    },
    { idle: true },
  );

const staleAt = (node: string) => ({ consistency: "stale", node }) as const;

/** Whether a call is still open after its node has had more than one chance to answer. */
async function isOpen(call: Promise<unknown>, { cluster, behind }: Stage): Promise<boolean> {
  let open = true;
  const settled = (): void => {
    open = false;
  };
  call.then(settled, settled);
  const node = cluster.ref(cluster.system(), behind);
  for (let i = 0; i < 3; i++) await node.ask({ type: "status" }, ASK);
  await turns();
  return open;
}

const test = suite("node: session guarantees");

test("a stale read at a follower that lags waits for the write that its client was acknowledged, and shows it", () =>
  withOneBehind(async (stage) => {
    const { cluster, behind, disk } = stage;
    const [writer, stranger] = [await cluster.client(), await cluster.client()];
    await writer.put("k", "2");
    const own = writer.get("k", staleAt(behind));
    assert.is((await stranger.get("k", staleAt(behind)))?.value, "1", "who has seen nothing is shown what is there");
    assert.ok(await isOpen(own, stage));
    disk.goOn();
    assert.is((await own)?.value, "2");
  }));

test("stale reads of one client do not go back when it changes from one node to another", () =>
  withOneBehind(async (stage) => {
    const { cluster, leader, behind, disk } = stage;
    const [writer, reader] = [await cluster.client(), await cluster.client()];
    assert.is((await reader.get("k", staleAt(behind)))?.value, "1");
    await writer.put("k", "2");
    assert.is((await reader.get("k", staleAt(leader)))?.value, "2");
    const again = reader.get("k", staleAt(behind));
    assert.ok(await isOpen(again, stage));
    disk.goOn();
    assert.is((await again)?.value, "2");
  }));

test("so it is with what a linearizable read has shown", () =>
  withOneBehind(async (stage) => {
    const { cluster, behind, disk } = stage;
    const [writer, reader] = [await cluster.client(), await cluster.client()];
    await writer.put("k", "2");
    assert.is((await reader.get("k"))?.value, "2");
    const again = reader.list("", staleAt(behind));
    assert.ok(await isOpen(again, stage));
    disk.goOn();
    assert.is((await again).entries[0]?.value, "2");
  }));

test("the wait is bounded: by the call's deadline for the caller, and by less than that on the node", () =>
  withOneBehind(async ({ cluster, behind }) => {
    const writer = await cluster.client();
    await writer.put("k", "2");
    const code = await codeOf(writer.get("k", { ...staleAt(behind), timeoutMs: 400 }));
    assert.ok(code === "TIMEOUT" || code === "BUSY", code);
    const node = cluster.ref(cluster.system(), behind);
    const question = { type: "queries", consistency: "stale", anywhere: true, queries: encodeList([]) } as const;
    const forged = { ...question, minIndex: Number.MAX_SAFE_INTEGER };
    const error = await node.ask(forged, ASK).catch((thrown: unknown) => thrown);
    const { appliedIndex } = cluster.node(behind).status();
    assert.ok(hasCode(error, "BUSY") && error.details["appliedIndex"] === appliedIndex, String(error));
  }));

test("a node that was started again knows of less than it has shown, and shows nothing until it knows as much again", () =>
  withNodes(3, async (cluster) => {
    const [client, stranger] = [await cluster.client(), await cluster.client()];
    const leader = await cluster.leader();
    const [restarted = "", other = ""] = cluster.ids.filter((id) => id !== leader);
    for (let i = 1; i <= 5; i++) await client.put("k", `${i}`);
    assert.is((await client.get("k", staleAt(restarted)))?.value, "5");
    await cluster.stop(restarted);
    await Promise.all([leader, other].map((id) => cluster.stop(id)));
    await cluster.start(restarted);
    const before = await stranger.get("k", staleAt(restarted));
    assert.is.not(before?.value, "5", "what is committed is for a leader to say");
    const again = client.get("k", staleAt(restarted));
    await Promise.all([leader, other].map((id) => cluster.start(id)));
    assert.is((await again)?.value, "5");
  }));

test("a client that outlives its cluster is answered by one that was begun anew under the same name", () =>
  withNodes(3, async (cluster) => {
    const client = await cluster.client();
    for (let i = 0; i < 20; i++) await client.put("k", "1");
    await Promise.all(cluster.ids.map((id) => cluster.stop(id)));
    for (const id of cluster.ids) cluster.wipe(id);
    await cluster.startAll();
    assert.is(await client.get("k", { consistency: "stale" }), null);
    const [first = ""] = cluster.ids;
    assert.is(await client.get("k", staleAt(first)), null);
  }));

test.run();
