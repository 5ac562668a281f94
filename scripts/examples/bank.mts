/** A bank with three replicas in one program, whose leader leaves in the middle of business: no money is lost or made. */

import { mkdtempSync, rmSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { type ClusterNode, ConclaveError, changesOf, join, machine, Rejection } from "../../src/index.ts"; // In a program of your own: "conclave".

const bank = machine({
  name: "bank",
  version: 1,
  state: () => ({ accounts: new Map<string, number>() }),
  changes: changesOf<{ from: string; to: string; amount: number }>(),
  commands: {
    open(state, { name, balance }: { name: string; balance: number }) {
      if (state.accounts.has(name)) throw new Rejection("ACCOUNT_EXISTS");
      state.accounts.set(name, balance);
    },
    transfer(state, { from, to, amount }: { from: string; to: string; amount: number }, context) {
      const [source, target] = [state.accounts.get(from), state.accounts.get(to)];
      if (source === undefined || target === undefined) throw new Rejection("NO_SUCH_ACCOUNT");
      state.accounts.set(from, source - amount);
      // Whatever was changed before is undone.
      if (source < amount) throw new Rejection("INSUFFICIENT_FUNDS", { balance: source });
      state.accounts.set(to, target + amount);
      context.emit({ from, to, amount });
      return source - amount;
    },
  },
  queries: {
    balances: (state) => Object.fromEntries(state.accounts),
    total: (state) => [...state.accounts.values()].reduce((sum, balance) => sum + balance, 0),
  },
});

const firstPort = Number(process.env["PORT"] ?? 7201);
const peers = Object.fromEntries(["a", "b", "c"].map((id, i) => [id, `ws://127.0.0.1:${firstPort + i}`]));
const dataDir = mkdtempSync(path.join(os.tmpdir(), "bank-"));
const start = (id: string): Promise<ClusterNode> => join({ id, peers, dataDir, machines: [bank] });
const nodes = await Promise.all(Object.keys(peers).map(start));
const people = ["ann", "bob", "eve"];

const [first] = nodes;
for (const name of people) await first?.client.of(bank).open({ name, balance: 100 });

/** Random transfers through one node's client; those that are refused are counted. */
async function trade({ client }: ClusterNode, times: number): Promise<number> {
  let refused = 0;
  for (let i = 0; i < times; i++) {
    const [from = "", to = ""] = [...people].sort(() => Math.random() - 0.5);
    await client
      .of(bank)
      .transfer({ from, to, amount: Math.ceil(Math.random() * 60) })
      .catch((error) => {
        if (!(error instanceof ConclaveError) || error.code !== "REJECTED") throw error;
        refused++;
      });
  }
  return refused;
}

const leader = nodes.find(({ isLeader }) => isLeader) ?? nodes[0];
const others = nodes.filter((node) => node !== leader);
const trading = Promise.all(others.map((node) => trade(node, 200)));
await leader?.close();
console.log(`the leader, ${leader?.id}, has left; ${others.map(({ id }) => id).join(" and ")} go on`);
const refused = (await trading).reduce((sum, count) => sum + count, 0);
console.log(`400 transfers, of which ${refused} were refused`);
const total = await others[1]?.client.of(bank).total();
console.log("balances", await others[0]?.client.of(bank).balances(), "in all", total);
await Promise.all(others.map((node) => node.close()));
rmSync(dataDir, { recursive: true });
