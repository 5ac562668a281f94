/** Leases with keys on them, and services with instances, among clients of a cluster that loses its leaders. */

import * as assert from "uvu/assert";
import { leases } from "../../../src/machine/recipes/leases.ts";
import { codeOf } from "../../support/network.ts";
import { suite } from "../../support/suite.ts";
import { cutOff, fired, nextOf, withClients } from "./clients.ts";

const test = suite("leases");

test("keys are there as long as their lease is, for all to see", () =>
  withClients(async ([a, b], cluster) => {
    const lease = await a.lease({ ttlMs: 1_000 });
    await lease.put("workers/1", { at: "a" });
    const { token } = lease;
    assert.equal(await b.leased.get("workers/1"), { key: "workers/1", value: { at: "a" }, token });
    assert.is(await b.leased.get("workers/2"), null);
    const seen = b.leased.watch("workers/");
    const current = { type: "current", entries: [{ key: "workers/1", value: { at: "a" }, token }] };
    assert.equal(await nextOf(seen), current);
    cluster.kill((await cluster.leader()).id);
    await lease.put("other/1", 1);
    const few = b.leased.watch("workers/2");
    assert.equal(await nextOf(few), { type: "current", entries: [] });
    await lease.put("workers/1", "anew");
    await lease.put("workers/2", 2);
    assert.equal(await nextOf(seen), { type: "put", key: "workers/1", value: "anew", token });
    assert.equal(await nextOf(seen), { type: "put", key: "workers/2", value: 2, token });
    assert.equal(await nextOf(few), { type: "put", key: "workers/2", value: 2, token });
    assert.ok(await lease.delete("workers/2"));
    assert.not(await lease.delete("workers/2"));
    assert.equal(await nextOf(seen), { type: "deleted", key: "workers/2", token });
    assert.equal(
      (await b.leased.list("")).map(({ key }) => key),
      ["other/1", "workers/1"],
    );
    await lease.release();
    assert.equal(await nextOf(seen), { type: "deleted", key: "workers/1", token });
    assert.not(lease.isHeld);
    assert.is(await codeOf(lease.put("workers/1", 1)), "LOST");
    assert.is(await codeOf(a.lease({ ttlMs: 1 })), "REJECTED");
    const waiting = seen.next();
    await seen.return?.();
    assert.is((await waiting).done, true);
  }));

test("a lease that is not heard of is over, first for its owner and then for all", () =>
  withClients(async ([a], cluster) => {
    const lonely = await cluster.node("n1").client.lease({ ttlMs: 300 });
    await lonely.put("k", 1);
    const seen = a.leased.watch("k");
    assert.is((await nextOf(seen)).type, "current");
    cutOff(cluster, "n1");
    const change = await nextOf(seen);
    assert.equal(change, { type: "expired", key: "k", token: lonely.token });
    assert.not(lonely.isHeld);
    assert.is(((await fired(lonely.signal)) as { code: string }).code, "LOST");
    assert.ok((await a.lease()).token > lonely.token);
  }));

test("a lease outlives its time to live, and leaders, as long as its owner is there", () =>
  withClients(async ([a, b], cluster) => {
    const lease = await a.lease({ ttlMs: 1_500 });
    await lease.put("k", 1);
    for (let i = 0; i < 2; i++) {
      const { id } = await cluster.leader();
      cluster.kill(id);
      await b.put("still", "there");
      await cluster.restart(id);
    }
    // One that nobody keeps alive, and that lasts for longer, is over by then.
    const seen = b.leased.watch("orphan");
    assert.is((await nextOf(seen)).type, "current");
    await b.of(leases).grant({ owner: "nobody", ttlMs: 1_600 });
    await b.of(leases).put({ owner: "nobody", key: "key:orphan", value: null });
    assert.is((await nextOf(seen)).type, "put");
    assert.is((await nextOf(seen)).type, "expired");
    assert.ok(lease.isHeld);
    assert.is((await b.leased.get("k"))?.token, lease.token);
  }));

test("instances of a service come and go, and are pushed to whoever watches", () =>
  withClients(async ([a, b, c], cluster) => {
    const seen = c.watchInstances("search");
    assert.equal(await nextOf(seen), []);
    const first = await a.register("search", { id: "1", address: "ws://one", meta: { zone: "x" } });
    const one = { id: "1", address: "ws://one", meta: { zone: "x" }, token: first.token };
    assert.equal(await nextOf(seen), [one]);
    cluster.kill((await cluster.leader()).id);
    const second = await b.register("search", { address: "ws://two" });
    const two = { id: second.id, address: "ws://two", meta: null, token: second.token };
    assert.equal((await nextOf(seen)).length, 2);
    assert.equal(new Set(await c.instances("search")), new Set([one, two]));
    assert.equal(await c.instances("search/1"), []);
    await first.update({ zone: "y" });
    assert.equal(
      (await nextOf(seen)).find(({ id }) => id === "1"),
      { ...one, meta: { zone: "y" } },
    );
    await first.unregister();
    assert.ok(first.signal.aborted);
    assert.is(await codeOf(first.update(1)), "LOST");
    assert.equal(await nextOf(seen), [two]);
    await b.close();
    assert.equal(await nextOf(seen), []);
    assert.ok(second.signal.aborted);
    assert.is(await codeOf(a.register("search", { id: "", address: "x" })), "INVALID_ARGUMENT");
  }));

test("an instance that was cut off is listed no more, and again when it is back", () =>
  withClients(async ([a], cluster) => {
    const lonely = await cluster.node("n1").client.register("search", { id: "1", address: "ws://one", ttlMs: 300 });
    const { token } = lonely;
    const seen = a.watchInstances("search");
    assert.is((await nextOf(seen)).length, 1);
    // What can't be told is not tried again when it is back.
    assert.is(await codeOf(lonely.update("x".repeat(70_000))), "TOO_LARGE");
    cutOff(cluster, "n1");
    assert.is((await nextOf(seen)).length, 0);
    assert.not(lonely.isListed);
    cluster.heal();
    const [back] = await nextOf(seen);
    assert.ok((back?.token ?? 0) > token);
    assert.is(back?.meta, null);
    assert.not(lonely.signal.aborted);
  }));

test("an instance whose id another process has taken meanwhile does not take it back", () =>
  withClients(async ([a], cluster) => {
    const lonely = await cluster.node("n1").client.register("search", { id: "1", address: "ws://old", ttlMs: 300 });
    cutOff(cluster, "n1");
    const next = await a.register("search", { id: "1", address: "ws://new" });
    while (lonely.isListed) await a.get("is it?");
    cluster.heal();
    assert.is(((await fired(lonely.signal)) as { code: string }).code, "LOST");
    await next.update("there");
    assert.equal(
      (await a.instances("search")).map(({ address, meta }) => [address, meta]),
      [["ws://new", "there"]],
    );
  }));

test("an instance is told when another process takes its id", () =>
  withClients(async ([a, b]) => {
    const old = await a.register("search", { id: "1", address: "ws://old", ttlMs: 300 });
    const next = await b.register("search", { id: "1", address: "ws://new", ttlMs: 300 });
    assert.is(((await fired(old.signal)) as { code: string }).code, "LOST");
    assert.is(await codeOf(old.update(1)), "LOST");
    assert.not(old.isListed);
    assert.ok(next.isListed);
    assert.is((await a.instances("search"))[0]?.address, "ws://new");
  }));

test.run();
