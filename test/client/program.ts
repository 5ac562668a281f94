/** Programs for `test/client/process.test.ts`: what must not be tried in the test's own process, lest it hang. */

import * as assert from "uvu/assert";
import { codeOf } from "../support/network.ts";
import { onStage, type Stage, silent } from "./fakes.ts";

const PROGRAMS: Readonly<Record<string, (stage: Stage) => Promise<unknown>>> = {
  /** Calls of every kind are open; with `close` nothing is left that keeps a process alive. */
  "close-and-exit": async ({ client, n1, n2, directory, deadUrl }) => {
    const open = await client({ directories: [directory.url, deadUrl], nodes: [n1.url, n2.url] });
    await open.put("a", "1");
    open.on("leader", () => {});
    n1.commandScript = [silent];
    n1.readScript = [silent];
    n2.readScript = [silent];
    const hour = { timeoutMs: 3_600_000 };
    const calls = [
      open.put("b", "1", hour),
      open.get("a", hour),
      open.get("a", { ...hour, consistency: "stale" }),
      open.get("a", { ...hour, consistency: "stale", node: "nobody" }),
    ].map(codeOf);
    await n1.batches.first(2);
    await open.close();
    return Promise.all(calls);
  },
  "too-large-for-any-message": async ({ client, n1 }) => {
    const large = await client({ nodes: [n1.url], valueBytesMax: 64 * 1024 * 1024 });
    await large.put("a", "1");
    const refused = await codeOf(large.put("k", new Uint8Array(9 * 1024 * 1024), { timeoutMs: 1_000 }));
    await large.put("b", "1");
    return refused;
  },
  /** A listener that throws is told of where uncaught errors are. */
  "listener-throws": async ({ client }) => {
    const thrown = Promise.withResolvers<string>();
    process.on("uncaughtException", (error) => thrown.resolve(error.message));
    const follower = await client();
    follower.on("leader", () => {
      throw new Error("it broke");
    });
    const reached = new Promise<string>((resolve) => {
      follower.on("leader", (leader) => resolve(leader?.id ?? ""));
    });
    return [await reached, await thrown.promise];
  },
  "nonsense-members": async ({ client, n1, directory }) => {
    directory.members.unshift({ name: "evil", url: "not an address" });
    const victim = await client();
    await victim.put("a", "1");
    assert.is(n1.batches.all.length, 1);
    return "alive";
  },
  "nonsense-leader": async ({ client, n1, n2, directory }) => {
    directory.view = { term: 1, leader: { id: "evil", url: "not an address" } };
    for (const node of [n1, n2]) node.view = directory.view;
    const victim = await client({ directories: [directory.url], nodes: [n1.url] });
    await n1.subscribed.first(1);
    directory.push(n1.leading(2));
    await victim.put("a", "1");
    return "alive";
  },
};

await onStage(async (stage) => {
  const result = await PROGRAMS[process.argv.at(-1) ?? ""]?.(stage);
  console.log(`result: ${JSON.stringify(result)}`);
});
