/** Watches of a real cluster in one process: exactly the changes that were made, whatever happens to the nodes. */

import * as assert from "uvu/assert";
import { type Change, type Client, hasCode } from "../../src/client/index.ts";
import { encodeQuery } from "../../src/machine/key-value-protocol.ts";
import { codeOf } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { ASK } from "./asking.ts";
import { type InProcess, withNodes } from "./in-process.ts";

const test = suite("node: watches");

/** Reads until a change of that key came. */
async function readTo(last: string, watch: AsyncIterable<Change>): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const change of watch) {
    changes.push(change);
    if (change.key === last) break;
  }
  return changes;
}

/** Writes one after the other until told to stop; gives the revision of each key whose write was acknowledged. */
async function writeUntil(isOver: () => boolean, client: Client, prefix: string): Promise<Map<string, number>> {
  const acknowledged = new Map<string, number>();
  for (let i = 0; !isOver(); i++) {
    try {
      const { revision } = await client.put(`${prefix}${i}`, `${i}`);
      acknowledged.set(`${prefix}${i}`, revision);
    } catch (error) {
      if (!hasCode(error, "UNKNOWN_OUTCOME")) throw error;
    }
  }
  return acknowledged;
}

/** Stops the leader and starts it again, so many times. */
async function unseat(cluster: InProcess, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const leader = await cluster.leader();
    await cluster.stop(leader);
    await cluster.leader();
    await cluster.start(leader);
  }
}

test("leaders go and come: watches of any node, and of none in particular, see each change once and in order", () =>
  withNodes(3, async (cluster) => {
    const [writer, reader] = [await cluster.client(), await cluster.client()];
    await writer.put("first", "");
    const readers = [
      ...[undefined, ...cluster.ids].map((node) =>
        readTo("a/last", reader.watch("a/", node === undefined ? { fromRevision: 1 } : { fromRevision: 1, node })),
      ),
      readTo("a/last", writer.watch("a/")),
    ];
    let isOver = false;
    const writing = [writeUntil(() => isOver, writer, "a/"), writeUntil(() => isOver, reader, "b/")];
    await unseat(cluster, 2);
    isOver = true;
    const [acknowledged = new Map<string, number>(), others] = await Promise.all(writing);
    await writer.put("a/last", "");

    const [seen = [], ...alike] = await Promise.all(readers);
    for (const other of alike) assert.equal(other, seen);
    const revisions = seen.map(({ revision }) => revision);
    assert.equal(
      revisions,
      [...new Set(revisions)].sort((a, b) => a - b),
    );
    const byKey = new Map(seen.map(({ key, revision }) => [key, revision]));
    assert.is(byKey.size, seen.length, "each key was written once");
    for (const [key, revision] of acknowledged) assert.is(byKey.get(key), revision, key);
    assert.ok(acknowledged.size > 0 && (others?.size ?? 0) > 0);
  }));

test("a node that is cut off sends its watchers on, and once the cluster is whole they go on where they were", () =>
  withNodes(3, async (cluster) => {
    const client = await cluster.client();
    await client.put("a", "1");
    const leader = await cluster.leader();
    const [left = "", other = ""] = cluster.ids.filter((id) => id !== leader);
    const node = cluster.ref(cluster.system(), left);
    const query = encodeQuery({ op: "changes", prefix: "", fromRevision: 2, limit: 1 });
    const parked = codeOf(node.ask({ type: "poll", id: 1, waitMs: 60_000, query }, { timeoutMs: 60_000 }));
    const watch = readTo("b", client.watch("", { fromRevision: 1, node: left }));
    await Promise.all([cluster.stop(leader), cluster.stop(other)]);
    assert.is(await parked, "NO_LEADER");
    await Promise.all([cluster.start(leader), cluster.start(other)]);
    await client.put("b", "2");
    assert.equal(
      (await watch).map(({ key }) => key),
      ["a", "b"],
    );
  }));

test("a question is parked until something is applied, and answered in time if nothing is", () =>
  withNodes(1, async (cluster) => {
    const client = await cluster.client();
    await client.put("a", "1");
    const node = cluster.ref(cluster.system(), "n1");
    const ask = (id: number, waitMs: number, fromRevision: number) => {
      const query = encodeQuery({ op: "changes", prefix: "", fromRevision, limit: 1 });
      return node.ask({ type: "poll", id, waitMs, query }, ASK);
    };
    const answered = async (answer: ReturnType<typeof ask>): Promise<boolean | string> => {
      const got = await answer;
      return got.type === "polled" ? got.result !== null : got.type;
    };
    assert.is(await answered(ask(1, 60_000, 1)), true);
    assert.is(await answered(ask(2, 20, 2)), false);
    const waiting = answered(ask(3, 60_000, 2));
    assert.is(await codeOf(ask(3, 60_000, 2)), "BAD_MESSAGE", "the same question once more");
    await client.put("a", "2");
    assert.is(await waiting, true);
  }));

test("questions whose link is lost, or that are taken back, leave room for others", () =>
  withNodes(
    1,
    async (cluster) => {
      await (await cluster.client()).put("a", "1");
      const query = encodeQuery({ op: "changes", prefix: "", fromRevision: 2, limit: 1 });
      const system = cluster.system();
      const node = cluster.ref(system, "n1");
      const park = (id: number) => codeOf(node.ask({ type: "poll", id, waitMs: 60_000, query }, { timeoutMs: 30_000 }));
      const [first, second] = [park(1), park(2)];
      assert.is(await park(3), "BUSY");
      node.tell({ type: "end-poll", id: 2 });
      const third = park(4);
      assert.is(await park(5), "BUSY");
      await system.close();
      assert.equal(await Promise.all([first, second, third]), ["CLOSED", "CLOSED", "CLOSED"]);

      const other = cluster.ref(cluster.system(), "n1");
      const again = () => other.ask({ type: "poll", id: 1, waitMs: 0, query }, ASK).catch((error: unknown) => error);
      let answer = await again();
      while (hasCode(answer, "BUSY")) answer = await again(); // The node may not have heard of the link's end yet.
      assert.equal(answer, { type: "polled", result: null });
    },
    { limits: { pollsMax: 2 } },
  ));

test.run();
