/** Other packages over a cluster: the real ones. */

import Keyv from "keyv";
import cron, { type TaskContext } from "node-cron";
import * as assert from "uvu/assert";
import { cronCoordinator, keyvStore } from "../../src/adapters/index.ts";
import { testCluster } from "../../src/testing/index.ts";
import { codeOf, eventually } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const test = suite("adapters");

test("a task of node-cron runs in one of all processes that have scheduled it", async () => {
  await using cluster = await testCluster();
  const clients = await Promise.all([1, 2, 3].map(() => cluster.connect()));
  const runs = new Map<string, number>();
  const skipped = new Map<string, number>();
  const count = (counts: Map<string, number>) => (context: TaskContext) =>
    void counts.set(context.date.toISOString(), (counts.get(context.date.toISOString()) ?? 0) + 1);
  const tasks = clients.map((client) => {
    const options = { name: "clean-up", distributed: true, runCoordinator: cronCoordinator(client) };
    const task = cron.schedule("* * * * * *", count(runs), options);
    task.on("execution:skipped", count(skipped));
    return task;
  });
  const isSkippedByOthers = (times: number): boolean => times === clients.length - 1;
  await eventually(
    "two turns of which all have heard",
    () => [...skipped.values()].filter(isSkippedByOthers).length > 1,
  );
  for (const task of tasks) await task.destroy();
  for (const [second, times] of skipped) {
    if (isSkippedByOthers(times)) assert.is(runs.get(second), 1, second);
  }
  assert.ok([...runs.values()].every((times) => times === 1));
});

test("a process that can't reach the cluster runs nothing", async () => {
  const cluster = await testCluster({ nodes: 1 });
  const client = await cluster.connect({ timeoutMs: 50 });
  await client.put("a", "1", { timeoutMs: 5_000 });
  cluster.kill("n1");
  const failed = await cronCoordinator(client)
    .shouldRun("task:now", 1_000)
    .then(
      () => false,
      () => true,
    );
  assert.ok(failed);
  await cluster.close();
});

test("Keyv keeps its values in the cluster", async () => {
  await using cluster = await testCluster();
  const [one, other] = await Promise.all([1, 2].map(() => cluster.connect()));
  if (one === undefined || other === undefined) throw new Error("there are clients");
  const keyv = new Keyv({ store: keyvStore(one), namespace: "a", throwOnErrors: true });
  const same = new Keyv({ store: keyvStore(other), namespace: "a", throwOnErrors: true });
  const different = new Keyv({ store: keyvStore(other), namespace: "b", throwOnErrors: true });
  await keyv.set("key", { deep: [1, null, "text"] });
  assert.equal(await same.get("key"), { deep: [1, null, "text"] });
  assert.is(await different.get("key"), undefined);
  await different.set("key", 1);
  cluster.kill((await cluster.leader()).id);
  assert.ok(await same.has("key"));
  assert.equal(await same.getMany(["key", "none"]), [{ deep: [1, null, "text"] }, undefined]);
  await keyv.setMany([
    { key: "x", value: 1 },
    { key: "y", value: 2 },
  ]);
  const seen: unknown[] = [];
  for await (const [key] of keyvStore(other).iterator("a")) seen.push(key);
  assert.equal(seen, ["a:key", "a:x", "a:y"]);
  assert.is(await keyv.delete("x"), true);
  assert.is(await keyv.delete("x"), false);
  await keyv.clear();
  assert.is(await same.get("y"), undefined);
  assert.is(await different.get("key"), 1);
});

test("a value whose time is over takes no room in the cluster any more", async () => {
  await using cluster = await testCluster({ nodes: 1 });
  const store = keyvStore(cluster.client);
  const keyv = new Keyv({ store, throwOnErrors: true });
  await keyv.set("short", "lived", 20);
  await keyv.set("long", "lived", 60_000);
  await keyv.set("renewed", "lived", 20);
  await keyv.set("renewed", "lived", 60_000);
  for (;;) {
    const keys: unknown[] = [];
    for await (const [key] of store.iterator()) keys.push(key);
    if (!keys.includes("keyv:short")) {
      assert.equal(keys, ["keyv:long", "keyv:renewed"]);
      return;
    }
  }
});

test("values that are too large for one answer are had one after the other", async () => {
  await using cluster = await testCluster({ nodes: 1 });
  const store = keyvStore(cluster.client);
  const value = "x".repeat(20_000);
  const keys = Array.from({ length: 600 }, (_, i) => `key ${String(i).padStart(3, "0")}`);
  const entries = keys.map((key) => ({ key, value }));
  for (const half of [entries.slice(0, 300), entries.slice(300)]) await store.setMany(half);
  const seen: string[] = [];
  for await (const [key, found] of store.iterator()) {
    assert.is(found, value);
    seen.push(key);
  }
  assert.equal(seen, keys);
  assert.equal(
    await store.getMany([...keys, "none"]),
    [...keys, "none"].map((key) => (key === "none" ? undefined : value)),
  );
  const strangers = Array.from({ length: 10_000 }, (_, i) => `${i}`.padStart(1_000, "-"));
  assert.ok((await store.hasMany(strangers)).every((is) => !is));
});

test("a time to live is one, or none", async () => {
  await using cluster = await testCluster({ nodes: 1 });
  const store = keyvStore(cluster.client);
  for (const ttl of [-1, Number.NaN, Number.POSITIVE_INFINITY, "60" as never]) {
    assert.is(await codeOf(store.set("key", "value", ttl)), "INVALID_ARGUMENT", String(ttl));
    assert.is(await codeOf(store.setMany([{ key: "key", value: "value", ttl }])), "INVALID_ARGUMENT", String(ttl));
  }
  assert.not(await store.has("key"));
  await store.set("key", "value", 0);
  await store.set("other", "value", 20);
  while (await store.has("other"));
  assert.is(await store.get("key"), "value");
});

test.run();
