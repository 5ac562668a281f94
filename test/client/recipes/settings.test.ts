/** Counters and settings: the key-value store in other words. */

import * as assert from "uvu/assert";
import type { Settings } from "../../../src/index.ts";
import { codeOf } from "../../support/network.ts";
import { suite } from "../../support/suite.ts";
import { nextOf, withClients } from "./clients.ts";

const test = suite("settings");

interface App {
  readonly theme: string;
  readonly pageSize: number;
  readonly owners: readonly string[];
}

test("a counter counts what everybody adds, whoever leads", () =>
  withClients(async (clients, cluster) => {
    const counters = clients.map((client) => client.counter("visits"));
    const all = counters.map(async (counter, i) => {
      for (let n = 0; n < 10; n++) {
        await counter.add();
        if (i === 0 && n === 5) cluster.kill((await cluster.leader()).id);
      }
    });
    await Promise.all(all);
    const [visits] = counters;
    assert.is(await visits?.get(), 30);
    assert.is(await visits?.add(-31), -1);
    await visits?.reset();
    assert.is(await visits?.get(), 0);
    await visits?.reset(7);
    assert.is(await visits?.add(0), 7);
    const [client] = clients;
    assert.is(await client.counter("none").get(), 0);
    await client.put("text", "1.5");
    assert.is(await codeOf(client.counter("text").get()), "NOT_A_NUMBER");
    assert.is(await codeOf(client.counter("text").reset(0.5)), "NOT_A_NUMBER");
  }));

test("settings keep their types, and are there all at once", () =>
  withClients(async ([a, b]) => {
    const settings: Settings<App> = a.settings<App>("app/");
    assert.is(await settings.get("theme"), null);
    await settings.set("theme", "true");
    await settings.set("pageSize", 50);
    await settings.set("owners", ["ann", "bob"]);
    await a.put("application", "no setting");
    await b.put("app/more", "no JSON");
    const theirs = b.settings<App & { more: string }>("app/");
    assert.equal(await theirs.all(), { theme: "true", pageSize: 50, owners: ["ann", "bob"], more: "no JSON" });
    assert.equal(await theirs.get("owners"), ["ann", "bob"]);
    assert.ok(await settings.delete("theme"));
    assert.not(await settings.delete("theme"));
    assert.is(await settings.get("theme"), null);
    const others = a.settings("other/");
    assert.is(await codeOf(others.set("f", () => {})), "INVALID_ARGUMENT");
    assert.is(await codeOf(others.set("n", 1n)), "INVALID_ARGUMENT");
  }));

test("whoever watches has all settings first, and then every change, whoever leads", () =>
  withClients(async ([a, b], cluster) => {
    const settings = a.settings<App>("app/");
    await settings.set("theme", "dark");
    const seen = b.settings<App>("app/").watch();
    assert.equal(await nextOf(seen), { type: "current", values: { theme: "dark" } });
    await settings.set("pageSize", 50);
    cluster.kill((await cluster.leader()).id);
    await a.put("other", "1");
    await settings.set("pageSize", 60);
    await settings.delete("theme");
    assert.equal(await nextOf(seen), { type: "set", key: "pageSize", value: 50 });
    assert.equal(await nextOf(seen), { type: "set", key: "pageSize", value: 60 });
    assert.equal(await nextOf(seen), { type: "deleted", key: "theme" });
    await seen.return?.();
    const end = new AbortController();
    const others = b.settings("app/").watch({ signal: end.signal });
    await nextOf(others);
    const failing = codeOf(others.next());
    end.abort();
    assert.is(await failing, "ABORTED");
  }));

test("more settings than a message holds come all the same", () =>
  withClients(async ([a]) => {
    const settings = a.settings<Record<string, string>>("large/");
    const text = "x".repeat(900_000);
    for (let i = 0; i < 10; i++) await settings.set(`${i}`, text);
    const all = await settings.all();
    assert.is(Object.keys(all).length, 10);
    assert.is(all["9"], text);
  }));

test.run();
