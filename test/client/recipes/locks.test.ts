/** Locks, semaphores and elections, among clients of a cluster that loses its leaders. */

import * as assert from "uvu/assert";
import type { Client, Held } from "../../../src/index.ts";
import { locks } from "../../../src/machine/recipes/locks.ts";
import { type TestCluster, testCluster } from "../../../src/testing/index.ts";
import { codeOf } from "../../support/network.ts";
import { suite } from "../../support/suite.ts";

const test = suite("locks");

async function withClients(body: (clients: readonly Client[], cluster: TestCluster) => Promise<void>): Promise<void> {
  await using cluster = await testCluster();
  await body(await Promise.all([1, 2, 3].map(() => cluster.connect())), cluster);
}

const fired = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });

test("one holds a lock at a time, in the order in which they asked, with tokens that grow", () =>
  withClients(async (clients, cluster) => {
    let holders = 0;
    const order: number[] = [];
    const tokens: number[] = [];
    const [first] = clients;
    const gate = await first?.lock("door");
    const all = clients.map(async (client, i) => {
      await using lock = await client.lock("door");
      holders++;
      assert.is(holders, 1);
      assert.ok(lock.isHeld);
      order.push(i);
      tokens.push(lock.token);
      if (i === 1) cluster.kill((await cluster.leader()).id);
      await client.put(`by ${i}`, "done");
      holders--;
    });
    for (;;) {
      const { waiting } = await lookAt(cluster.client, "lock:door");
      if (waiting === clients.length) break;
    }
    await gate?.release();
    await Promise.all(all);
    assert.is(order.length, 3);
    assert.equal(
      [gate?.token ?? 0, ...tokens],
      [gate?.token ?? 0, ...tokens].toSorted((a, b) => a - b),
    );
    assert.is(await clients[0]?.tryLock("door").then((lock) => lock !== null), true);
  }));

test("a lock that is held is not to be had, and one that was given up is", () =>
  withClients(async ([a, b]) => {
    if (a === undefined || b === undefined) throw new Error("there are clients");
    const lock = await a.lock("door");
    assert.is(await b.tryLock("door"), null);
    assert.is(await codeOf(b.lock("door", { signal: aborted() })), "ABORTED");
    const end = new AbortController();
    const waiting = codeOf(b.lock("door", { signal: end.signal }));
    end.abort();
    assert.is(await waiting, "ABORTED");
    await lock.release();
    assert.ok(lock.signal.aborted);
    assert.not(lock.isHeld);
    const next = await b.tryLock("door");
    assert.ok((next?.token ?? 0) > lock.token);
    assert.is(await codeOf(a.semaphore("s", { permits: 0 })), "REJECTED");
  }));

test("whoever is not heard of any more loses its lock: its own signal fires before another one holds it", () =>
  withClients(async ([a, b], cluster) => {
    if (a === undefined || b === undefined) throw new Error("there are clients");
    const lonely = await cluster.node("n1").client.lock("door", { ttlMs: 300 });
    const lost = fired(lonely.signal);
    const [others] = [cluster.ids.filter((id) => id !== "n1")];
    const taking = b.lock("door", { ttlMs: 300 });
    cluster.partition(["n1"], [...others, "client"]);
    const taken: Held = await taking;
    assert.not(lonely.isHeld);
    assert.is(((await lost) as { code: string }).code, "LOST");
    assert.ok(taken.token > lonely.token);
    cluster.heal();
    await taken.release();
  }));

test("a hold outlives a change of leader", () =>
  withClients(async ([a, b], cluster) => {
    const lock = await a?.lock("door", { ttlMs: 2_000 });
    for (let i = 0; i < 2; i++) {
      const { id } = await cluster.leader();
      cluster.kill(id);
      await b?.put("still", "there");
      await cluster.restart(id);
    }
    assert.ok(lock?.isHeld);
    assert.is(await b?.tryLock("door"), null);
  }));

test("a client that is closed gives up what it held", () =>
  withClients(async ([a, b]) => {
    const lock = await a?.lock("door", { ttlMs: 60_000 });
    const next = b?.lock("door");
    await a?.close();
    assert.ok(lock?.signal.aborted);
    assert.ok(((await next)?.token ?? 0) > (lock?.token ?? 0));
  }));

test("a client that is closed while it waits leaves the line", () =>
  withClients(async ([a, b, c], cluster) => {
    const lock = await a?.lock("door");
    const gone = codeOf(b?.lock("door", { ttlMs: 60_000 }) ?? Promise.resolve());
    while ((await lookAt(cluster.client, "lock:door")).waiting < 1);
    const next = c?.lock("door");
    while ((await lookAt(cluster.client, "lock:door")).waiting < 2);
    await b?.close();
    assert.is(await gone, "CLOSED");
    await lock?.release();
    assert.ok(((await next)?.token ?? 0) > (lock?.token ?? 0));
  }));

test("who asks for it may enter again, and has left when all of its holds are released", () =>
  withClients(async ([a, b]) => {
    if (a === undefined || b === undefined) throw new Error("there are clients");
    const [outer, inner] = await Promise.all([
      a.lock("door", { reentrant: true }),
      a.lock("door", { reentrant: true }),
    ]);
    assert.is(outer.token, inner.token);
    await inner.release();
    await inner.release();
    assert.ok(outer.isHeld);
    assert.is(await b.tryLock("door"), null);
    await outer.release();
    assert.ok(await b.tryLock("door"));
  }));

test("who waits to enter again ends its own waiting only, and the last to do so that of its client", () =>
  withClients(async ([a, b], cluster) => {
    if (a === undefined || b === undefined) throw new Error("there are clients");
    const lock = await b.lock("door");
    const ends = [1, 2, 3].map(() => new AbortController());
    const asked = ends.map(({ signal }) => a.lock("door", { reentrant: true, signal }));
    while ((await lookAt(cluster.client, "lock:door")).waiting < 1);
    for (const i of [0, 2]) {
      ends[i]?.abort();
      assert.is(await codeOf(asked[i] ?? Promise.resolve()), "ABORTED");
    }
    assert.is(await codeOf(a.lock("door", { reentrant: true, signal: aborted() })), "ABORTED");
    await lock.release();
    const held = await asked[1];
    ends[1]?.abort();
    assert.ok(held?.isHeld);
    assert.is(await codeOf(a.lock("door", { reentrant: true, signal: aborted() })), "ABORTED");
    await held?.release();
    const again = await b.lock("door");
    const last = new AbortController();
    const gone = codeOf(a.lock("door", { reentrant: true, signal: last.signal }));
    while ((await lookAt(cluster.client, "lock:door")).waiting < 1);
    last.abort();
    assert.is(await gone, "ABORTED");
    while ((await lookAt(cluster.client, "lock:door")).waiting > 0);
    const anew = a.lock("door", { reentrant: true });
    await again.release();
    assert.ok((await anew).token > again.token);
  }));

test("a name that a queue can't have is refused before anything is sent", () =>
  withClients(async ([a], cluster) => {
    if (a === undefined) throw new Error("there is a client");
    const ofQueue = await refusal(a.queue("").push(1));
    cluster.partition(["client"], cluster.ids);
    for (const name of ["", 5 as unknown as string, "x".repeat(513)]) {
      const asked = [
        a.lock(name),
        a.lock(name, { reentrant: true }),
        a.tryLock(name),
        a.semaphore(name, { permits: 1 }),
        a.elect(name),
        a.runOnLeader(name, () => {}),
        a.observe(name).next(),
      ];
      for (const refused of await Promise.all(asked.map(refusal))) assert.equal(refused, ofQueue);
    }
    cluster.heal();
  }));

test("a semaphore lets as many in as it has permits", () =>
  withClients(async ([a, b, c]) => {
    if (a === undefined || b === undefined || c === undefined) throw new Error("there are clients");
    const options = { permits: 2 };
    const [one] = await Promise.all([a.semaphore("s", options), b.semaphore("s", options)]);
    let isIn = false;
    const third = c.semaphore("s", options).then((permit) => {
      isIn = true;
      return permit;
    });
    assert.is(await codeOf(c.semaphore("s", { permits: 3 })), "REJECTED");
    assert.not(isIn);
    await one.release();
    assert.ok((await third).token > one.token);
  }));

test("observers get who is elected first, and then every change", () =>
  withClients(async ([a, b, c]) => {
    if (a === undefined || b === undefined || c === undefined) throw new Error("there are clients");
    const first = await a.elect("chief", { value: { at: "a" } });
    const seen = c.observe("chief");
    assert.equal((await seen.next()).value, { token: first.token, value: { at: "a" } });
    await first.proclaim("still a");
    assert.equal((await seen.next()).value, { token: first.token, value: "still a" });
    const second = b.elect("chief", { value: "b" });
    await first.release();
    assert.is((await seen.next()).value, null);
    assert.equal((await seen.next()).value, { token: (await second).token, value: "b" });
    assert.is(await codeOf(first.proclaim("late")), "LOST");
    await seen.return?.();
    const nobody = c.observe("nobody");
    assert.is((await nobody.next()).value, null);
    await nobody.return?.();
  }));

test("an observer waits for a cluster that does not answer, however long that takes", () =>
  withClients(async ([a], cluster) => {
    const first = await a?.elect("chief", { value: "a" });
    const lonely = await cluster.connect({ timeoutMs: 100 });
    cluster.partition(["client"], cluster.ids);
    const seen = lonely.observe("chief").next();
    for (let i = 0; i < 3; i++) assert.match(await codeOf(lonely.get("out of reach")), /NO_LEADER|TIMEOUT/);
    cluster.heal();
    assert.equal((await seen).value, { token: first?.token, value: "a" });
    const end = new AbortController();
    cluster.partition(["client"], cluster.ids);
    const late = codeOf(lonely.observe("chief", { signal: end.signal }).next());
    assert.match(await codeOf(lonely.get("out of reach")), /NO_LEADER|TIMEOUT/);
    end.abort();
    assert.is(await late, "ABORTED");
    cluster.heal();
  }));

test("a singleton runs in one place, and goes on in another when that is gone", () =>
  withClients(async ([a, b], cluster) => {
    if (a === undefined || b === undefined) throw new Error("there are clients");
    const told: string[] = [];
    let running = 0;
    const run = (name: string) => async (turn: { signal: AbortSignal }) => {
      assert.is(++running, 1);
      told.push(name);
      await fired(turn.signal);
      running--;
    };
    const lonely = cluster.node("n1").client;
    const end = new AbortController();
    const alone = codeOf(lonely.runOnLeader("job", run("n1"), { ttlMs: 1_000, signal: end.signal }));
    while (told.length === 0) await cluster.client.get("turn");
    const next = a.runOnLeader("job", run("a"), { ttlMs: 1_000, signal: end.signal });
    cluster.partition(["n1"], [...cluster.ids.filter((id) => id !== "n1"), "client"]);
    while (told.length === 1) await b.get("turn");
    assert.equal(told, ["n1", "a"]);
    end.abort();
    assert.is(await next, undefined);
    assert.is(await alone, "ABORTED");
    cluster.heal();
    assert.is(await b.runOnLeader("job", ({ token }) => token > 0), true);
    assert.match(
      await b
        .runOnLeader("job", () => {
          throw new Error("its own");
        })
        .catch(String),
      /its own/,
    );
  }));

const aborted = (): AbortSignal => AbortSignal.abort();

/** What an error says. */
const refusal = async (asked: Promise<unknown>): Promise<object> => {
  const { code, details, message } = await asked.then(
    () => assert.unreachable(),
    (error) => error,
  );
  return { code, details, message };
};

/** What the machine says of a lock. */
const lookAt = (client: Client, name: string): Promise<{ readonly waiting: number }> => client.of(locks).look(name);

test.run();
