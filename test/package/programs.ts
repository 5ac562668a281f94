/** Programs of users, who have nothing but the package. */

/** Embeds a node, talks to it as a client would, and has a cluster in memory for its tests. */
export const SERVER = `
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { join, machine } from "conclave";
import { connect, hasCode } from "conclave/client";
import { simulate, testCluster } from "conclave/testing";

const port = await new Promise((resolve) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});
const url = "ws://127.0.0.1:" + port;
const dataDir = mkdtempSync(joinPath(tmpdir(), "conclave-user-"));
const counter = machine({
  name: "counter",
  version: 1,
  state: () => ({ names: new Set(), sum: 0 }),
  commands: {
    add(state, { name, by }) {
      state.names.add(name);
      return (state.sum += by);
    },
  },
  queries: { names: ({ names }) => [...names] },
});

const node = await join({ id: "a", peers: { a: url }, dataDir, machines: [counter] });
const client = await connect({ nodes: [url] });
await node.client.of(counter).add({ name: "ann", by: 2 });
await client.put("greeting", "hello");
const told = [
  await client.of(counter).add({ name: "bob", by: 3 }),
  await client.of(counter).names(),
  (await client.get("greeting")).value,
  await client.increment("greeting").catch((error) => hasCode(error, "NOT_A_NUMBER")),
];
await client.close();
await node.close();
rmSync(dataDir, { recursive: true });

const cluster = await testCluster({ machines: [counter] });
await cluster.client.of(counter).add({ name: "ann", by: 1 });
cluster.kill((await cluster.leader()).id);
told.push(await cluster.client.of(counter).add({ name: "ann", by: 1 }));
await cluster.close();

const { breach, events, virtualMs } = await simulate({ seed: 1, events: 500 });
console.log(JSON.stringify({ told, breach, run: [events, virtualMs] }));
`;

export const SERVER_TELLS = [5, ["ann", "bob"], "hello", true, 2];

/** What a program is checked against that is written in TypeScript: what is wrong in it has to be found. */
export const TYPED_SERVER = `
import { type ClusterNode, join, machine, type NodeProcessStory, Rejection } from "conclave";
import { connect, ConclaveError, type ErrorCode } from "conclave/client";
import { check, History, simulate, testCluster } from "conclave/testing";

const bank = machine({
  name: "bank",
  version: 1,
  state: () => ({ accounts: new Map<string, number>() }),
  commands: {
    open(state, { name }: { name: string }) {
      if (state.accounts.has(name)) throw new Rejection("EXISTS");
      state.accounts.set(name, 0);
      return state.accounts.size;
    },
  },
});
const node: ClusterNode = await join({ id: "a", peers: {}, dataDir: "d", machines: [bank], tell: (_: NodeProcessStory) => {} });
const size: number = await node.client.of(bank).open({ name: "ann" });
const code: ErrorCode = "BUSY";
// @ts-expect-error a name is a text
await node.client.of(bank).open({ name: size });
export const all = [connect, ConclaveError, check, History, simulate, testCluster, code];
`;

export const TYPED_PAGE = `
import { type Client, connect, hasCode } from "conclave/client";
import * as smaller from "conclave/client.min.js";

const client: Client = await connect({ directories: ["ws://example.org"] });
const value: string | Uint8Array | undefined = (await smaller.connect({ nodes: [] })).leader === null ? "" : undefined;
await client.put("title", document.title);
for await (const change of client.watch("t")) if (change.type === "put") document.title = String(change.value ?? value);
// @ts-expect-error a value is a text or bytes
await client.put("title", 7).catch((error: unknown) => hasCode(error, "BUSY"));
`;
