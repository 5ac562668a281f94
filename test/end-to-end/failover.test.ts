/** Processes that die, hang and come back: what clients see of it. */

import { rmSync } from "node:fs";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { ConclaveError } from "../../src/client/index.ts";
import { suite } from "../support/suite.ts";
import { type Cluster, leaderOf, untilMembers, withCluster } from "./cluster.ts";

const test = suite("end to end: failover");

/** The code that a call fails with; "" if it does not. */
const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "",
    (error) => (error instanceof ConclaveError ? error.code : String(error)),
  );

/** Timeouts that no pause of a busy machine reaches: whatever deposes a leader here, it is not that. */
const PATIENT = { electionTimeoutMinMs: 3_000, electionTimeoutMaxMs: 4_000 };

test("a cluster elects a leader, and takes and gives back what is written", () =>
  withCluster(4, async (cluster) => {
    const client = await cluster.client();
    await client.put("greeting", "hello");
    assert.is((await client.get("greeting"))?.value, "hello");
    assert.is((await client.increment("visits", 41)).value, 41);
    assert.is((await client.increment("visits")).value, 42);
    assert.ok((await client.cas("greeting", { value: "hello" }, "bye")).swapped);
    assert.not((await client.cas("greeting", { value: "hello" }, "again")).swapped);
    await client.append("greeting", "!");
    const { entries } = await client.list("");
    assert.equal(
      entries.map(({ key, value }) => [key, value]),
      [
        ["greeting", "bye!"],
        ["visits", "42"],
      ],
    );
    await client.delete("visits");
    assert.is(await client.get("visits"), null);
  }));

test("the leader is killed: a new one takes writes, and nothing acknowledged is lost", () =>
  withCluster(4, async (cluster) => {
    const client = await cluster.client();
    await client.put("before", "1");
    const dead = await leaderOf(client);
    await cluster.node(dead).kill("SIGKILL");
    await client.put("after", "2");
    assert.is((await client.get("before"))?.value, "1");
    assert.is.not(await leaderOf(client, (id) => id !== dead), dead);
  }));

test("leaders are killed under a watch: it sees every acknowledged write, once and in order", () =>
  withCluster(3, async (cluster) => {
    const [writer, reader] = [await cluster.client(), await cluster.client()];
    const seen = (async () => {
      const keys: string[] = [];
      for await (const { key } of reader.watch("", { fromRevision: 1 })) if (keys.push(key) && key === "last") break;
      return keys;
    })();
    const written: string[] = [];
    for (let i = 0; i < 60; i++) {
      if (i % 20 === 10) await cluster.node(await leaderOf(writer)).kill("SIGKILL");
      if (i % 20 === 19) for (const [id, node] of cluster.nodes) if (node.isOver) await cluster.startNode(id);
      const code = await codeOf(writer.put(`${i}`, ""));
      assert.ok(code === "" || code === "UNKNOWN_OUTCOME", code);
      if (code === "") written.push(`${i}`);
    }
    await writer.put("last", "");
    const keys = await seen;
    assert.is(new Set(keys).size, keys.length);
    const acknowledged = new Set([...written, "last"]);
    assert.equal(
      keys.filter((key) => acknowledged.has(key)),
      [...acknowledged],
    );
  }));

test("without a majority writes fail with a code and stale reads go on; with it they succeed again", () =>
  withCluster(4, async (cluster) => {
    const client = await cluster.client();
    await client.put("a", "1");
    const leader = await leaderOf(client);
    const [first = "", second = ""] = cluster.ids.filter((id) => id !== leader);
    await Promise.all([first, second].map((id) => cluster.node(id).kill("SIGKILL")));

    const code = await codeOf(client.put("b", "2", { timeoutMs: 1_500 }));
    assert.ok(["UNKNOWN_OUTCOME", "NO_LEADER", "TIMEOUT", "BUSY"].includes(code), `the write ended with "${code}"`);
    assert.is((await client.get("a", { consistency: "stale" }))?.value, "1");
    const linearizable = await codeOf(client.get("a", { timeoutMs: 500 }));
    assert.ok(["NO_LEADER", "TIMEOUT"].includes(linearizable), `the read ended with "${linearizable}"`);

    await cluster.startNode(first);
    await client.put("c", "3");
    assert.is((await client.get("c"))?.value, "3");
  }));

test("everything is killed and started again: what was acknowledged is there, and nothing that was never written", () =>
  withCluster(3, async (cluster) => {
    const writer = await cluster.client();
    const acknowledged = new Set<number>();
    const writes = Array.from({ length: 2_000 }, async (_, i) => {
      await writer.put(`key${i}`, `value${i}`);
      acknowledged.add(i);
      // Half way through the power goes.
      if (acknowledged.size === 1_000) for (const node of cluster.nodes.values()) process.kill(node.pid, "SIGKILL");
    });
    const all = Promise.allSettled(writes);
    await Promise.all([...cluster.nodes.values()].map((node) => node.exited));
    await Promise.all(cluster.ids.map((id) => cluster.startNode(id)));
    await all;
    assert.ok(acknowledged.size >= 1_000);
    const reader = await cluster.client();
    const { entries, more } = await reader.list("", { limit: 10_000 });
    assert.not(more);
    const found = new Map(entries.map(({ key, value }) => [key, value]));
    for (const i of acknowledged) assert.is(found.get(`key${i}`), `value${i}`, `key${i} was acknowledged`);
    for (const [key, value] of found) assert.is(key.replace(/^key(?=\d+$)/, "value"), value, `${key} was written so`);
    assert.ok(found.size <= writes.length);
  }));

test("the directory stops and comes back while writes go on throughout", () =>
  withCluster(3, async (cluster) => {
    const client = await cluster.client();
    await client.put("k", "0");
    let acknowledged = 0;
    let wanted = true;
    // A write that fails fails the test: the writer is waited for.
    const writer = (async () => {
      for (let i = 1; wanted; i++) {
        await client.put("k", String(i));
        acknowledged = i;
      }
    })();
    const more = async (): Promise<void> => {
      const least = acknowledged + 50;
      while (acknowledged < least) await Promise.race([writer, new Promise((resolve) => setImmediate(resolve))]);
    };
    await more();
    await cluster.directory?.kill("SIGTERM");
    await more();
    await cluster.startDirectory();
    for (const id of cluster.ids) {
      await cluster.directory?.line(({ event, name }) => event === "member-registered" && name === id);
    }
    await cluster.directory?.line(({ event }) => event === "leader-announced");
    await more();
    wanted = false;
    await writer;
    const newcomer = await cluster.client();
    assert.is((await newcomer.get("k"))?.value, String(acknowledged));
  }));

test("with the directory gone, clients follow the leader from node to node", () =>
  withCluster(3, async (cluster) => {
    const client = await cluster.client();
    await client.put("k", "1");
    const leader = await leaderOf(client);
    await cluster.directory?.kill("SIGKILL");
    await cluster.node(leader).kill("SIGKILL");
    await client.put("k", "2");
    assert.is((await client.get("k"))?.value, "2");
  }));

test("a leader that hangs past the election timeout is replaced, and follows when it wakes", () =>
  withCluster(3, async (cluster) => {
    const client = await cluster.client();
    await client.put("k", "1");
    const hung = await leaderOf(client);
    const node = cluster.node(hung);
    const told = node.lines.length;
    process.kill(node.pid, "SIGSTOP");
    await client.put("k", "2");
    const next = await leaderOf(client, (id) => id !== hung);
    process.kill(node.pid, "SIGCONT");
    await node.line(({ event, leader }) => event === "following" && leader === next, told);
    await client.put("k", "3");
    // What it now has of its own is what the others have, and no write of its hung self.
    let value: unknown;
    do {
      value = (await client.get("k", { consistency: "stale", node: hung }))?.value;
      assert.ok(["1", "2", "3"].includes(String(value)));
    } while (value !== "3");
  }));

test("an orderly stop of the leader hands leadership over first", () =>
  withCluster(3, async (cluster) => {
    const client = await cluster.client();
    await client.put("k", "1");
    const leader = await leaderOf(client);
    const node = cluster.node(leader);
    await node.kill("SIGTERM");
    assert.ok(node.lines.some(({ event, reason }) => event === "stepped-down" && reason === "transferred"));
    assert.is((await node.exited).code, 0);
    await client.put("k", "2");
  }));

test("a node that was away catches up, and does not depose the leader when it returns", () =>
  withCluster(
    3,
    async (cluster) => {
      const client = await cluster.client();
      await client.put("k", "1");
      const leader = await leaderOf(client);
      const away = cluster.ids.find((id) => id !== leader) ?? "";
      await cluster.node(away).kill("SIGKILL");
      await Promise.all(Array.from({ length: 500 }, (_, i) => client.put(`k${i}`, "x")));
      const told = cluster.node(leader).lines.length;
      await cluster.startNode(away);
      await cluster.node(leader).line(({ event, peer }) => event === "link-up" && peer === away, told);
      while ((await client.get("k499", { consistency: "stale", node: away }))?.value !== "x");
      assert.is(client.leader?.id, leader);
    },
    PATIENT,
  ));

test("a wiped node is taken in anew under its old name, and has everything again", () =>
  withCluster(3, async (cluster) => {
    const client = await cluster.client();
    await client.put("k", "1");
    const leader = await leaderOf(client);
    const wiped = cluster.ids.find((id) => id !== leader) ?? "";
    await cluster.node(wiped).kill("SIGKILL");
    wipe(cluster, wiped);
    const node = await cluster.startNode(wiped);
    await node.line(({ event }) => event === "unrecognized");
    await untilMembers(client, (members) => members.find(({ id }) => id === wiped)?.role === "voter");
    assert.ok(!node.lines.some(({ event }) => event === "admitted"), "its word did not count before");
    assert.is((await client.get("k", { node: wiped }))?.value, "1");
  }));

const wipe = (cluster: Cluster, id: string): void => rmSync(path.join(cluster.dataFolder, id), { recursive: true });

test(
  "a command that is retried across ten failovers is applied once",
  () =>
    withCluster(3, async (cluster) => {
      const client = await cluster.client({ timeoutMs: 20_000 });
      let stop = false;
      let acknowledged = 0;
      const writer = (async () => {
        while (!stop) {
          await Promise.all(Array.from({ length: 10 }, () => client.increment("counter")));
          acknowledged += 10;
        }
      })();
      for (let round = 0; round < 10; round++) {
        const leader = await leaderOf(client);
        await cluster.node(leader).kill("SIGKILL");
        await leaderOf(client, (id) => id !== leader);
        await cluster.startNode(leader);
        const before = acknowledged;
        while (acknowledged === before) await new Promise((resolve) => setImmediate(resolve));
      }
      stop = true;
      await writer;
      assert.is((await client.get("counter"))?.value, String(acknowledged));
    }),
  { timeoutMs: 60_000 },
);

test.run();
