/** Clusters in memory, for the tests of those who use one. */

import * as assert from "uvu/assert";
import { hasCode } from "../../src/errors.ts";
import { machine } from "../../src/index.ts";
import { testCluster } from "../../src/testing/index.ts";
import { codeOf } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const test = suite("test cluster");

const counter = machine({
  name: "counter",
  version: 1,
  state: () => ({ value: 0 }),
  commands: {
    add(state, by: number) {
      state.value += by;
      return state.value;
    },
  },
  queries: { value: (state) => state.value },
});

test("a cluster outlives its leader, which comes back with what it had promised", async () => {
  await using cluster = await testCluster({ machines: [counter] });
  const api = cluster.client.of(counter);
  for (let i = 1; i <= 10; i++) assert.is(await api.add(1), i);
  const first = await cluster.leader();
  cluster.kill(first.id);
  assert.throws(() => cluster.node(first.id), /does not run/);
  assert.is(await api.add(1), 11);
  assert.is.not((await cluster.leader()).id, first.id);
  const back = await cluster.restart(first.id);
  assert.is(await back.client.of(counter).value(), 11);
  // All of them at once: what was acknowledged is on their disks.
  for (const id of cluster.ids) cluster.kill(id);
  await Promise.all(cluster.ids.map((id) => cluster.restart(id)));
  assert.is(await cluster.client.of(counter).value(undefined, { timeoutMs: 20_000 }), 11);
});

test("who is cut off from the majority does nothing, and goes on when it is healed", async () => {
  await using cluster = await testCluster({ machines: [counter], config: { electionTimeoutMaxMs: 400 } });
  assert.is(await cluster.client.of(counter).add(1), 1);
  const { id } = await cluster.leader();
  const others = cluster.ids.filter((other) => other !== id);
  cluster.partition([id], [...others, "client"]);
  const alone = cluster.node(id).client.of(counter);
  assert.is(await codeOf(alone.value(undefined, { timeoutMs: 100 })), "TIMEOUT");
  assert.is(await cluster.client.of(counter).add(1, { timeoutMs: 30_000 }), 2);
  cluster.heal();
  assert.is(await alone.value(undefined, { timeoutMs: 30_000 }), 2);
});

test("a node of its own has a client beside it that needs no network", async () => {
  await using cluster = await testCluster({ nodes: 1, machines: [counter] });
  cluster.partition(["n1"], ["client"]);
  assert.is(await cluster.node("n1").client.of(counter).add(5), 5);
  assert.throws(() => cluster.kill("n9"), /only n1/);
});

test("who is closed leads no more, and nobody waits for a leader of a cluster that is closed", async () => {
  await using cluster = await testCluster({ nodes: 1 });
  const node = await cluster.leader();
  await node.close();
  assert.not(node.isLeader);
  assert.equal([node.status().role, node.status().leader], ["follower", null]);
  const next = cluster.leader();
  assert.is(await cluster.restart("n1"), await next);
  cluster.kill("n1");
  const none = codeOf(cluster.leader());
  await cluster.close();
  assert.is(await none, "CLOSED");
  assert.is(await codeOf(cluster.leader()), "CLOSED");
});

for (const nodes of [0, -1, 2.5, 32, Number.NaN, "3" as never]) {
  test(`there are no clusters of ${JSON.stringify(nodes)} nodes`, async () => {
    const error = await testCluster({ nodes }).then(
      (cluster) => cluster.close(),
      (reason: unknown) => reason,
    );
    assert.ok(hasCode(error, "INVALID_ARGUMENT"));
    assert.match(error.message, `1 to 31 nodes, not ${nodes}.`);
  });
}

test("a partition is one between groups of those that there are", async () => {
  await using cluster = await testCluster({ nodes: 2 });
  const mistakes: readonly (readonly [unknown[], RegExp])[] = [
    [[], /not 0/],
    [[["n1"]], /not 1/],
    [["n1", "n2"], /array of names, not n1/],
    [[["n1"], null], /not null/],
    [[["n1"], ["n2", "n3"]], /no node "n3", only n1, n2, client/],
  ];
  for (const [groups, message] of mistakes) {
    assert.throws(
      () => cluster.partition(...(groups as string[][])),
      (error: unknown) => hasCode(error, "INVALID_ARGUMENT") && message.test(error.message),
    );
  }
  await cluster.client.put("nobody", "is cut off");
});

test("a node that is being restarted is restarted once", async () => {
  await using cluster = await testCluster({ nodes: 1, machines: [counter] });
  await cluster.client.of(counter).add(1);
  const [one, other] = await Promise.all([cluster.restart("n1"), cluster.restart("n1")]);
  assert.is(one, other);
  assert.is(cluster.node("n1"), one);
  assert.is(await cluster.client.of(counter).value(), 1);
});

test("a cluster that is closed takes part in nothing, and leaves nobody behind who was about to start", async () => {
  const cluster = await testCluster({ nodes: 1 });
  const restarted = cluster.restart("n1");
  await cluster.close();
  assert.not((await restarted).isLeader);
  assert.is(await (await restarted).stopped, null);
  assert.is(await codeOf(cluster.restart("n1")), "CLOSED");
  assert.is(await codeOf(cluster.connect()), "CLOSED");
  const isClosed = (error: unknown): boolean => hasCode(error, "CLOSED");
  assert.throws(() => cluster.kill("n1"), isClosed);
  assert.throws(() => cluster.partition(["n1"], ["client"]), isClosed);
  assert.throws(() => cluster.heal(), isClosed);
});

test.run();
