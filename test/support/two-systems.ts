/** A program for `test/actor/closing.test.ts`: two systems talk, close, and the process has to end by itself. */

import { standardClock } from "../../src/environment/standard.ts";
import { ASK, echo, obedient, protocol, world } from "./systems.ts";

let closingMs = 0;
await world(async (start) => {
  const [home, caller] = [await start("home", { known: true }), await start("caller", { known: true })];
  const actor = obedient(home.system);
  obedient(caller.system).context.keepLink(home.url);
  await home.network.changes.until("a connection", () => home.network.open === 1);
  actor.context.keepLink("ws://127.0.0.1:1"); // Nobody is there: it is dialled again and again.
  const ref = caller.system.ref(`${home.url}/actor`, protocol);
  await ref.ask(echo(1), ASK);
  actor.context.keepLink(caller.url);
  const open = ref.ask({ do: "keep", value: 2 }, { timeoutMs: 60_000 }).catch((error) => error.code);
  const startMs = standardClock.nowMs();
  await caller.system.close();
  closingMs = standardClock.nowMs() - startMs;
  console.log(`open question: ${await open}`);
});
console.log(`closed in ${closingMs} ms`);
