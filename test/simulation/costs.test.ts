/**
 * What commands cost: messages, their bytes, and flushes, of a cluster in a simulated world, where they do not vary with
 * the machine. Speed is for benchmarks; this is so that none of it grows unnoticed.
 */

import * as assert from "uvu/assert";
import { Client } from "../../src/client/client.ts";
import type { Environment, Network, Socket } from "../../src/environment.ts";
import { DEFAULT_LIMITS, KeyValueMachine, startNode } from "../../src/index.ts";
import { Dice, MemoryDisk } from "../../src/testing/index.ts";
import { SimulatedNetwork } from "../../src/testing/network.ts";
import { Process } from "../../src/testing/process.ts";
import { World } from "../../src/testing/world.ts";
import { suite } from "../support/suite.ts";

const CLUSTER = "costs";
const MEMBERS = ["n1", "n2", "n3"].map((id) => ({ id, url: `ws://${id}:7000` }));
const TIMING = { heartbeatMs: 50, electionTimeoutMinMs: 300, electionTimeoutMaxMs: 600 };
/** Clocks that run alike, and disks that take at most this long to flush. */
const EVEN = { least: 1, most: 1 };
const SYNC_MS_MAX = 1;

interface Costs {
  messages: number;
  bytes: number;
  flushes: number;
}

/** Counts what leaves. */
function counted(network: Network, costs: Costs): Network {
  const tell = <S extends Socket>(socket: S): S => {
    const { send } = socket;
    socket.send = (message) => {
      costs.messages++;
      costs.bytes += message.byteLength;
      send(message);
    };
    return socket;
  };
  return {
    connect: (url, options, handlers) => tell(network.connect(url, options, handlers)),
    listen: (options, accept) => network.listen(options, (socket) => accept(tell(socket))),
  };
}

/** Lets some callers on some connections put so many keys each, and gives what all of it together has cost. */
async function costsOf(connections: number, callers: number, puts: number): Promise<Costs> {
  const costs: Costs = { messages: 0, bytes: 0, flushes: 0 };
  const world = new World();
  const dice = new Dice(1);
  const network = new SimulatedNetwork(world, dice.fork());
  const environmentOf = (host: string, memory: MemoryDisk): Environment => {
    const machine = { host, memory, syncMsMax: () => SYNC_MS_MAX, clockRates: EVEN };
    const { environment } = new Process(world, network, dice.fork(), machine);
    memory.watch = (operation) => {
      if (operation === "sync") costs.flushes++;
    };
    return { ...environment, network: counted(environment.network, costs) };
  };
  for (const { id } of MEMBERS) {
    void startNode({
      environment: environmentOf(id, new MemoryDisk()),
      cluster: CLUSTER,
      id,
      members: MEMBERS,
      directories: [],
      host: id,
      port: 7000,
      allowedOrigins: [],
      dataFolder: `/${id}`,
      machine: new KeyValueMachine(),
      timing: TIMING,
      limits: DEFAULT_LIMITS,
      tell: () => {},
      onFatal: (error) => {
        throw error;
      },
    });
  }
  const nodes = MEMBERS.map(({ url }) => url);
  const clients = Array.from({ length: connections }, (_, i) => {
    return new Client({ nodes, cluster: CLUSTER, timeoutMs: 60_000 }, environmentOf(`client${i}`, new MemoryDisk()));
  });
  const done = async (work: Promise<unknown>): Promise<void> => {
    let isOver = false;
    void work.finally(() => {
      isOver = true;
    });
    await world.run(world.nowMs + 600_000, () => isOver);
    await work;
  };
  await done(Promise.all(clients.map((client) => client.put("first", ""))));
  Object.assign(costs, { messages: 0, bytes: 0, flushes: 0 });
  const call = async (client: Client, caller: number): Promise<void> => {
    for (let i = 0; i < puts; i++) await client.put(`key-${caller}-${i}`.padEnd(16, "."), "x".repeat(64));
  };
  const lines = clients.flatMap((client) => Array.from({ length: callers }, (_, i) => call(client, i)));
  await done(Promise.all(lines));
  return costs;
}

const test = suite("costs");

/** What a command may cost at most; the bounds lie a seventh above what it costs now. */
function within(costs: Costs, commands: number, most: Costs): void {
  for (const what of ["messages", "bytes", "flushes"] as const) {
    const each = costs[what] / commands;
    assert.ok(each <= most[what], `${each} ${what} a command, and ${most[what]} are allowed`);
  }
}

test("of 10 connections with 100 callers each: commands share messages and flushes", async () => {
  // A key and a value of 80 bytes travel three times.
  within(await costsOf(10, 100, 10), 10_000, { messages: 0.06, bytes: 342, flushes: 0.024 });
});

test("one command at a time: two messages with its client, four among the nodes, three flushes", async () => {
  within(await costsOf(1, 1, 1_000), 1_000, { messages: 7.2, bytes: 800, flushes: 3.4 });
});

test.run();
