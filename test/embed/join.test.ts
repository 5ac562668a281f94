/** Nodes in a program of the user's own. */

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { connect as connectTcp } from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { freePorts } from "../../src/cli/ports.ts";
import {
  type ClusterNode,
  changesOf,
  connect,
  type JoinOptions,
  join,
  machine,
  Rejection,
  realEnvironment,
} from "../../src/index.ts";
import { codeOf, Events } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const test = suite("join");

/** What a server answers to somebody who wants a WebSocket at that path. */
async function upgraded(port: number, at: string): Promise<string> {
  const socket = connectTcp(port, "127.0.0.1");
  const key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
  socket.write(`GET ${at} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n\r\n`);
  let answer = "";
  for await (const bytes of socket) answer += bytes;
  return answer;
}

type Moved = { readonly from: string; readonly to: string; readonly amount: number };

const bank = machine({
  name: "bank",
  version: 1,
  state: () => ({ accounts: new Map<string, number>() }),
  changes: changesOf<Moved>(),
  commands: {
    open(state, { name, balance }: { name: string; balance: number }) {
      if (state.accounts.has(name)) throw new Rejection("EXISTS", { name });
      state.accounts.set(name, balance);
    },
    transfer(state, { from, to, amount }: Moved, context) {
      const balance = state.accounts.get(from) ?? 0;
      state.accounts.set(from, balance - amount);
      if (balance < amount) throw new Rejection("INSUFFICIENT_FUNDS", { balance });
      state.accounts.set(to, (state.accounts.get(to) ?? 0) + amount);
      context.emit({ from, to, amount });
      return balance - amount;
    },
    remind(state, { name, delayMs }: { name: string; delayMs: number }, context) {
      state.accounts.set(name, 0);
      context.setTimer(name, delayMs, "reminded", { name });
    },
    reminded(state, { name }: { name: string }, context) {
      state.accounts.set(name, context.timeMs);
      context.emit({ from: name, to: name, amount: 0 });
    },
  },
  queries: { balance: (state, { name }: { name: string }) => state.accounts.get(name) ?? null },
});

interface Company {
  readonly folder: string;
  readonly peers: Record<string, string>;
  readonly nodes: Map<string, ClusterNode>;
  start(id: string, options?: Partial<JoinOptions>): Promise<ClusterNode>;
  leader(): Promise<ClusterNode>;
}

async function withCompany(count: number, body: (company: Company) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-join-"));
  const ports = await freePorts(count);
  const peers = Object.fromEntries(ports.map((port, i) => [`n${i + 1}`, `ws://127.0.0.1:${port}`]));
  const nodes = new Map<string, ClusterNode>();
  const company: Company = {
    folder,
    peers,
    nodes,
    start: async (id, options = {}) => {
      const node = await join({ id, peers, dataDir: folder, machines: [bank], ...options });
      nodes.set(id, node);
      return node;
    },
    leader: async () => {
      for (;;) {
        const found = [...nodes.values()].find(({ isLeader }) => isLeader);
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    },
  };
  try {
    await body(company);
  } finally {
    await Promise.all([...nodes.values()].map((node) => node.close()));
    rmSync(folder, { recursive: true, force: true });
  }
}

test("three nodes in one program share a machine of the user's own", () =>
  withCompany(3, async ({ start, leader }) => {
    const [a, b, c] = await Promise.all(["n1", "n2", "n3"].map((id) => start(id)));
    if (a === undefined || b === undefined || c === undefined) throw new Error("three have started");
    // At once: the machine comes into use while the calls wait.
    await a.client.of(bank).open({ name: "ann", balance: 10 });
    assert.is(await b.client.of(bank).transfer({ from: "ann", to: "bob", amount: 4 }), 6);
    assert.is(await c.client.of(bank).balance({ name: "bob" }), 4);
    assert.is(await c.client.of(bank).balance({ name: "eve" }, { consistency: "stale" }), null);
    await c.client.put("key", "value");
    assert.is((await a.client.get("key"))?.value, "value");
    const refused = await b.client
      .of(bank)
      .transfer({ from: "ann", to: "bob", amount: 40 })
      .then(
        () => null,
        (error: unknown) => error,
      );
    assert.equal((refused as { code: string }).code, "REJECTED");
    assert.equal((refused as { details: unknown }).details, { reason: "INSUFFICIENT_FUNDS", details: { balance: 6 } });
    assert.is(await c.client.of(bank).balance({ name: "ann" }), 6);
    assert.ok((await leader()).status().sessions >= 2);
  }));

test("commands of one client take effect in the order of their calls, be they the first", () =>
  withCompany(1, async ({ start }) => {
    const { client } = await start("n1");
    const api = client.of(bank);
    const results = await Promise.all([
      api.open({ name: "a", balance: 100 }),
      ...Array.from({ length: 50 }, (_, i) => api.transfer({ from: "a", to: "b", amount: i % 2 })),
    ]);
    assert.equal(
      results.slice(1),
      Array.from({ length: 50 }, (_, i) => 100 - Math.ceil(i / 2)),
    );
  }));

test("subscribers get every change once, from any revision that is kept", () =>
  withCompany(3, async ({ start, peers }) => {
    const [a] = await Promise.all(["n1", "n2", "n3"].map((id) => start(id)));
    const api = a?.client.of(bank);
    await api?.open({ name: "ann", balance: 100 });
    for (let i = 0; i < 5; i++) await api?.transfer({ from: "ann", to: "bob", amount: i });
    const other = await connect({ nodes: Object.values(peers) });
    const seen: number[] = [];
    for await (const { revision, change } of other.of(bank).changes({ fromRevision: 2 })) {
      assert.is(revision, change.amount + 1);
      if (seen.push(change.amount) === 4) break;
    }
    assert.equal(seen, [1, 2, 3, 4]);
    await other.close();
  }));

test("timers run out by the log, and again in full under a new leader", () =>
  withCompany(3, async ({ start, leader, nodes }) => {
    const [a] = await Promise.all(["n1", "n2", "n3"].map((id) => start(id)));
    const first = await leader();
    const other = [...nodes.values()].find((node) => node !== first) ?? a;
    const api = other?.client.of(bank);
    const changes = api?.changes({ fromRevision: 1 });
    await api?.remind({ name: "soon", delayMs: 20 });
    assert.equal((await changes?.next())?.value?.change.from, "soon");
    await api?.remind({ name: "later", delayMs: 300 });
    nodes.delete(first.id);
    await first.close();
    assert.equal((await changes?.next())?.value?.change.from, "later");
    const balance = await api?.balance({ name: "later" });
    assert.ok(Math.abs(Number(balance) - realEnvironment.clock.timeMs()) < 60_000);
    await changes?.return?.();
  }));

test("a node without a machine that its cluster uses stops, and says why", () =>
  withCompany(3, async ({ start, nodes }) => {
    await Promise.all(["n1", "n2", "n3"].map((id) => start(id)));
    await nodes.get("n1")?.client.of(bank).open({ name: "ann", balance: 10 });
    await nodes.get("n3")?.close();
    const poor = await start("n3", { machines: [] });
    const why = await poor.stopped;
    assert.is(why?.code, "MACHINE_MISSING");
    assert.match(why?.message ?? "", /"bank" in version 1/);
  }));

test("a machine comes into use only once every node that can be reached has it", () =>
  withCompany(3, async ({ start, nodes }) => {
    await Promise.all(["n1", "n2", "n3"].map((id) => start(id, id === "n3" ? { machines: [] } : {})));
    const client = nodes.get("n1")?.client;
    await client?.put("a", "1");
    const early = client?.of(bank).open({ name: "ann", balance: 1 }, { timeoutMs: 300 });
    assert.is(await codeOf(early ?? Promise.reject()), "MACHINE_INACTIVE");
    await nodes.get("n3")?.close();
    await start("n3");
    await client?.of(bank).open({ name: "ann", balance: 1 });
    assert.is(await nodes.get("n3")?.client.of(bank).balance({ name: "ann" }), 1);
  }));

test("a node that was closed does not say that it leads", () =>
  withCompany(1, async ({ start }) => {
    const node = await start("n1");
    await node.client.put("a", "1");
    assert.ok(node.isLeader);
    await node.close();
    assert.not(node.isLeader);
    assert.equal([node.status().role, node.status().leader], ["follower", null]);
  }));

test("a node shares a server, and so a port, with what the program serves otherwise", () =>
  withCompany(1, async ({ start, peers }) => {
    const port = Number(new URL(peers["n1"] ?? "").port);
    const server = createServer((_request, response) => response.end("hello"));
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    const url = `ws://127.0.0.1:${port}/conclave`;
    const node = await start("n1", { peers: { n1: url }, server });
    await node.client.of(bank).open({ name: "ann", balance: 1 });
    const client = await connect({ nodes: [url] });
    assert.is(await client.of(bank).balance({ name: "ann" }), 1);
    assert.is(await (await fetch(`http://127.0.0.1:${port}/`)).text(), "hello");
    assert.match(await upgraded(port, "/other"), /^HTTP\/1\.1 404 /, "nobody else is there to answer");
    await client.close();
    await node.close();
    assert.is(await (await fetch(`http://127.0.0.1:${port}/`)).text(), "hello");
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }));

test("what a machine threw is a warning, once, where nobody asked to be told of anything", () =>
  withCompany(1, async ({ start }) => {
    const hasty = machine({ name: "hasty", version: 1, state: () => ({}), commands: { now: () => Date.now() } });
    const { client } = await start("n1", { machines: [hasty] });
    const warnings = new Events<string>();
    const listen = ({ name, message }: Error): void => {
      if (name === "ConclaveWarning") warnings.add(message);
    };
    process.on("warning", listen);
    for (let i = 0; i < 2; i++) assert.is(await codeOf(client.of(hasty).now()), "MACHINE_FAILED");
    const [warning] = await warnings.first(1);
    process.off("warning", listen);
    assert.is(warning, "A state machine has failed: The present time would part the replicas: use context.timeMs.");
    assert.is(warnings.all.length, 1);
  }));

test("a server's other WebSockets are left alone", () =>
  withCompany(1, async ({ start, peers }) => {
    const port = Number(new URL(peers["n1"] ?? "").port);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    await start("n1", { peers: { n1: `ws://127.0.0.1:${port}/conclave` }, server });
    const own: string[] = [];
    server.on("upgrade", ({ url }, socket) => {
      if (url !== "/own") return;
      own.push(url);
      socket.end("HTTP/1.1 400 Own\r\n\r\n");
    });
    assert.match(await upgraded(port, "/own"), /^HTTP\/1\.1 400 Own/);
    assert.equal(own, ["/own"]);
    server.closeAllConnections();
    server.close();
  }));

test("a node runs the directory that its configuration says it runs", () =>
  withCompany(2, async ({ folder, nodes, peers }) => {
    const [url, directory] = [peers["n1"], peers["n2"] ?? ""];
    const config = { cluster: "test", directories: [{ url: directory, node: "n1" }], nodes: [{ id: "n1", url }] };
    nodes.set("n1", await join({ id: "n1", dataDir: folder, config }));
    const client = await connect({ directories: [directory] });
    await client.put("a", "1");
    await client.close();
  }));

test("what can't be joined is refused", async () => {
  const dataDir = "nowhere";
  assert.is(await codeOf(join({ id: "a", dataDir })), "INVALID_ARGUMENT");
  assert.is(await codeOf(join({ id: "a", dataDir, peers: { b: "ws://127.0.0.1:1" } })), "CONFIG_INVALID");
  assert.is(await codeOf(join({ id: "a", dataDir, peers: { a: "nonsense" } })), "CONFIG_INVALID");
  assert.is(await codeOf(join({ id: "a", dataDir, config: "none.json" })), "CONFIG_INVALID");
});

test.run();
