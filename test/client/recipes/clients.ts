/** A cluster in memory with some clients, and what the tests of recipes wait for. */

import type { Client } from "../../../src/index.ts";
import { type TestCluster, testCluster } from "../../../src/testing/index.ts";

type Clients = readonly [Client, Client, Client];

/** Runs a test with a cluster of three nodes and three clients beside it. */
export async function withClients(body: (clients: Clients, cluster: TestCluster) => Promise<void>): Promise<void> {
  await using cluster = await testCluster();
  await body([await cluster.connect(), await cluster.connect(), await cluster.connect()], cluster);
}

/** The reason, as soon as the signal fires. */
export const fired = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });

/** Cuts a node, and the client in it, off from all others and from the clients beside the cluster. */
export const cutOff = (cluster: TestCluster, id: string): void =>
  cluster.partition([id], [...cluster.ids.filter((other) => other !== id), "client"]);

/** The next of what is read one by one. @throws Error if there is none */
export async function nextOf<T>(steps: AsyncIterator<T, unknown>): Promise<T> {
  const { done, value } = await steps.next();
  if (done === true) throw new Error("there is nothing more");
  return value as T;
}
