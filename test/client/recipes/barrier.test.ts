/** Barriers among clients of a cluster that loses its leaders. */

import * as assert from "uvu/assert";
import type { Client } from "../../../src/index.ts";
import { barriers } from "../../../src/machine/recipes/barriers.ts";
import { codeOf } from "../../support/network.ts";
import { suite } from "../../support/suite.ts";
import { cutOff, withClients } from "./clients.ts";

const test = suite("barrier");

/** Asks until so many wait there. */
async function whenWaiting(client: Client, name: string, count: number): Promise<void> {
  while ((await client.of(barriers).look(name)).waiting !== count);
}

test("all go on once they are so many, whoever leads", () =>
  withClients(async ([a, b, c], cluster) => {
    let through = 0;
    const wait = async (client: Client): Promise<number> => {
      const { token } = await client.barrier("start", { parties: 3, ttlMs: 120_000 });
      through++;
      return token;
    };
    const first = [wait(a), wait(b)];
    await whenWaiting(c, "start", 2);
    cluster.kill((await cluster.leader()).id);
    await c.put("still", "there");
    assert.is(through, 0);
    const tokens = await Promise.all([...first, wait(c)]);
    assert.is(new Set(tokens).size, 1);
    const again = await Promise.all([wait(a), wait(a), wait(b)]);
    assert.ok((again[0] ?? 0) > (tokens[0] ?? 0));
  }));

test("who is cut off while it waits does not count, and does again when it is back", () =>
  withClients(async ([a, b, c], cluster) => {
    const options = { parties: 2, ttlMs: 300 };
    const lonely = cluster.node("n1").client.barrier("start", options);
    await whenWaiting(c, "start", 1);
    cutOff(cluster, "n1");
    await whenWaiting(c, "start", 0);
    const { token } = (await Promise.all([a.barrier("start", options), b.barrier("start", options)]))[0];
    cluster.heal();
    await whenWaiting(c, "start", 1);
    const [mine, last] = await Promise.all([lonely, c.barrier("start", options)]);
    assert.is(mine.token, last.token);
    assert.ok(mine.token > token);
  }));

test("who wants to wait no more, or is closed, does not count", () =>
  withClients(async ([a, b, c]) => {
    const options = { parties: 3, ttlMs: 60_000 };
    const end = new AbortController();
    const stopped = codeOf(a.barrier("start", { ...options, signal: end.signal }));
    const gone = codeOf(b.barrier("start", options));
    await whenWaiting(c, "start", 2);
    end.abort();
    assert.is(await stopped, "ABORTED");
    await b.close();
    assert.is(await gone, "CLOSED");
    await whenWaiting(c, "start", 0);
    assert.is(await codeOf(c.barrier("start", { parties: 0 })), "REJECTED");
    assert.ok((await c.barrier("start", { parties: 1 })).token > 0);
  }));

test.run();
