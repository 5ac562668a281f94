/** Maintenance without an outage: machines are stopped, added, replaced and removed while clients go on. */

import * as assert from "uvu/assert";
import { freePorts } from "../../src/cli/ports.ts";
import { RecordedClient } from "../../src/testing/recorded-client.ts";
import { suite } from "../support/suite.ts";
import { type Cluster, leaderOf, untilMembers, withCluster } from "./cluster.ts";
import { Crowd, judge } from "./crowd.ts";

const test = suite("end to end: membership");

/** So many calls are answered between one step and the next. */
const ANSWERS = 100;

/** Lets a crowd work while something is done to the cluster, and judges what it was told. */
async function underLoad(cluster: Cluster, act: (crowd: Crowd) => Promise<void>): Promise<void> {
  const crowd = new Crowd();
  const workers = await crowd.begin(cluster);
  await crowd.answered(ANSWERS);
  await Promise.race([act(crowd), ...workers]);
  await crowd.answered(ANSWERS);
  crowd.stop();
  await Promise.all(workers);
  const reader = new RecordedClient(await cluster.client(), "reader", crowd.history);
  for (const key of ["a", "b", "counter"]) await reader.get(key);
  console.log(`the longest pause of a caller: ${crowd.longestMs.toFixed(0)} ms`);
  assert.equal(crowd.failures, [], "no call failed");
  judge(crowd.history);
}

const newUrl = async (): Promise<string> => `ws://127.0.0.1:${(await freePorts(1))[0]}`;

test(
  "a rolling restart of all nodes costs no call",
  () =>
    withCluster(3, (cluster) =>
      underLoad(cluster, async (crowd) => {
        for (const id of cluster.ids) {
          const before = cluster.node(id);
          process.kill(before.pid, "SIGTERM");
          assert.is((await before.exited).code, 0);
          const after = await cluster.startNode(id);
          await after.line(({ event }) => event === "following");
          await crowd.answered(ANSWERS);
        }
      }),
    ),
  { timeoutMs: 60_000 },
);

test(
  "all machines are replaced, one after the other, and no call is lost",
  () =>
    withCluster(3, (cluster) =>
      underLoad(cluster, async (crowd) => {
        const admin = await cluster.client({ timeoutMs: 20_000 });
        for (const [i, old] of cluster.ids.entries()) {
          const id = `n${i + 4}`;
          const url = await newUrl();
          await admin.change([{ type: "replace", id: old, by: id, url }]);
          const [member = ""] = (await admin.members()).flatMap((one) => (one.id === id ? [] : [one.url]));
          await cluster.startNode(id, ["--url", url, "--join", member]);
          await untilMembers(admin, (members) => {
            const voters = members.filter(({ role }) => role === "voter").map((one) => one.id);
            return members.length === 3 && voters.length === 3 && voters.includes(id) && !voters.includes(old);
          });
          const gone = cluster.node(old);
          await gone.line(({ event }) => event === "removed");
          assert.is((await gone.exited).code, 1);
          assert.match(gone.errors, "REMOVED");
          await crowd.answered(ANSWERS);
        }
        const again = cluster.run("start-node.ts", ["--id", "n1", "--data", cluster.dataFolder]);
        assert.is((await again.exited).code, 1);
        assert.match(again.errors, "REMOVED");
      }),
    ),
  { timeoutMs: 90_000 },
);

test("a new node needs one address, and is a voter once it keeps up", () =>
  withCluster(3, async (cluster) => {
    const client = await cluster.client();
    await client.put("k", "1");
    const url = await newUrl();
    const node = await cluster.startNode("n4", ["--url", url, "--join", [...cluster.urls.values()][0] ?? ""]);
    await untilMembers(client, (members) => members.find(({ id }) => id === "n4")?.role === "voter");
    assert.is((await client.get("k", { node: "n4" }))?.value, "1");
    // Its address and its members are on its disk: it needs neither the one who took it in nor anybody's configuration.
    await node.kill("SIGKILL");
    const again = await cluster.startNode("n4", ["--url", url, "--join", "ws://127.0.0.1:1"]);
    await again.line(({ event }) => event === "following");
    await client.transfer("n4");
    await leaderOf(client, (id) => id === "n4");
    await client.put("k", "2");
  }));

test("the leader is removed: another one leads, and the removed one stops", () =>
  withCluster(3, async (cluster) => {
    const client = await cluster.client({ timeoutMs: 20_000 });
    await client.put("k", "1");
    const leader = await leaderOf(client);
    await client.change([{ type: "remove", id: leader }]).catch((error) => {
      // The one who had to answer has gone by then, at times.
      assert.is(error.code, "UNKNOWN_OUTCOME");
    });
    await untilMembers(client, (members) => members.length === 2 && !members.some(({ id }) => id === leader));
    assert.is((await cluster.node(leader).exited).code, 1);
    assert.match(cluster.node(leader).errors, "REMOVED");
    await client.put("k", "2");
    assert.is((await client.get("k"))?.value, "2");
  }));

test("a node that has moved says so itself, and stays the member that it was", () =>
  withCluster(3, async (cluster) => {
    const client = await cluster.client();
    await client.put("k", "1");
    const leader = await leaderOf(client);
    const moved = cluster.ids.find((id) => id !== leader) ?? "";
    await cluster.node(moved).kill("SIGTERM");
    const url = await newUrl();
    await cluster.startNode(moved, ["--url", url]);
    await untilMembers(client, (members) => members.find(({ id }) => id === moved)?.url === url);
    assert.ok((await client.members()).every(({ role }) => role === "voter"));
    await client.put("k", "2");
    await client.transfer(moved);
    await client.put("k", "3");
  }));

/** Few enough for a test that runs every time; `CONCLAVE_KEYS=1000000` takes minutes. */
const KEYS = Number(process.env["CONCLAVE_KEYS"] ?? 40_000);
/** Much less than the store is in bytes, so that only a snapshot has it all. */
const SMALL_LOG = { limits: { logBytesMax: KEYS * 100, segmentBytesMax: KEYS * 25 } };

test(
  "a new node gets a large store by snapshot while clients go on, and keeps up",
  () =>
    withCluster(
      3,
      async (cluster) => {
        const client = await cluster.client({ timeoutMs: 20_000 });
        const value = "x".repeat(200);
        const write = async (key: number): Promise<void> => void (await client.put(`key-${key}`, value));
        for (let key = 0; key < KEYS; key += 1_000) {
          await Promise.all(Array.from({ length: 1_000 }, (_, i) => write(key + i)));
        }
        await underLoad(cluster, async () => {
          const url = await newUrl();
          const node = await cluster.startNode("n4", ["--url", url, "--join", [...cluster.urls.values()][1] ?? ""]);
          await node.line(({ event }) => event === "snapshot-installed");
          await untilMembers(client, (members) => members.find(({ id }) => id === "n4")?.role === "voter");
        });
        let keys = 0;
        let after = "";
        for (let more = true; more; ) {
          const page = await client.list("key-", { node: "n4", limit: 10_000, after });
          assert.ok(page.entries.every((entry) => entry.value === value));
          keys += page.entries.length;
          after = page.entries.at(-1)?.key ?? "";
          more = page.more;
        }
        assert.is(keys, KEYS);
      },
      SMALL_LOG,
    ),
  { timeoutMs: 90_000 + KEYS },
);

test.run();
