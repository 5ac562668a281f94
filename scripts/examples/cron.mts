/**
 * A cron job in as many processes as you like, of which one has each turn: `node scripts/examples/cron.mts URL...` with the
 * addresses of nodes, several times. Whichever process is killed, the others go on.
 */

import cron from "node-cron";
import { cronCoordinator } from "../../src/adapters/index.ts"; // In a program of your own: "conclave/adapters".
import { connect } from "../../src/index.ts"; // In a program of your own: "conclave".

const nodes = process.argv.slice(2);
const client = await connect({ nodes: nodes.length > 0 ? nodes : ["ws://127.0.0.1:7101"] });

const task = cron.schedule(
  "* * * * * *",
  async ({ date }) => {
    // A number that grows with every turn, whoever has it: what is written late by somebody who stood still is older.
    const { value } = await client.increment("example/turns");
    console.log(`${date.toISOString()} process ${process.pid} has turn ${value}`);
  },
  { name: "example", distributed: true, runCoordinator: cronCoordinator(client) },
);

process.once("SIGTERM", async () => {
  await task.destroy();
  await client.close();
});
