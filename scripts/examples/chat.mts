/**
 * A chat in browser pages: `npm run build && node scripts/examples/chat.mts` runs three servers, with the page and a node of
 * the cluster on one port, 7301 to 7303. With a name it runs one of them: whichever is killed, the pages go on.
 */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import * as os from "node:os";
import * as path from "node:path";
import { changesOf, join, machine, Rejection } from "../../src/index.ts"; // In a program of your own: "conclave".

const isText = (given: unknown): boolean => typeof given === "string" && /\S/.test(given) && given.length <= 1_000;
const chat = machine({
  name: "chat",
  version: 1,
  state: () => ({ count: 0 }),
  changes: changesOf<{ who: string; text: string; timeMs: number }>(), // The last 10,000 are kept.
  commands: {
    say(state, { who, text }: { who: string; text: string }, context) {
      if (!isText(who) || !isText(text)) throw new Rejection("NO_TEXT"); // Anything may come from a browser.
      context.emit({ who, text, timeMs: context.timeMs });
      return ++state.count;
    },
  },
});

const firstPort = Number(process.env["PORT"] ?? 7301);
const nodes = ["a", "b", "c"].map((id, i) => ({ id, url: `ws://127.0.0.1:${firstPort + i}/cluster` }));
const directories = [{ url: `ws://127.0.0.1:${firstPort + nodes.length}`, node: "a" }];
const allowedOrigins = nodes.map(({ url }) => `http://${new URL(url).host}`);
const config = { cluster: "chat", nodes, directories, allowedOrigins };
// All that a page has to know of the machine is what it is called, and what can be called.
const signature = JSON.stringify(chat, (_key, value) => (typeof value === "function" ? 0 : value));
const PAGE = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Chat</title><link rel="icon" href="data:,">
<style>body { font: 1rem/1.6 system-ui; max-width: 40rem; margin: 2rem auto } time, output { color: gray }</style>
<ol></ol><output>looking for a leader</output>
<form><input name="who" placeholder="Your name" required> <input name="text" required> <button>Say</button></form>
<script type="module">
  import { connect, hasCode } from "/conclave.js";
  const [list, form, state] = ["ol", "form", "output"].map((name) => document.querySelector(name));
  const client = await connect({ nodes: ${JSON.stringify(nodes.map(({ url }) => url))} });
  client.on("leader", (leader) => { state.textContent = leader ? leader.id + " leads" : "looking for a leader"; });
  const room = client.of(${signature});
  form.onsubmit = (event) => {
    event.preventDefault();
    const said = { who: form.who.value, text: form.text.value };
    room.say(said).catch((error) => { state.textContent = '"' + said.text + '": ' + error.message; });
    form.text.value = "";
  };
  const show = async (fromRevision) => {
    for await (const { change } of room.changes({ fromRevision })) {
      const item = list.appendChild(document.createElement("li"));
      item.textContent = change.who + ": " + change.text + " ";
      item.appendChild(document.createElement("time")).textContent = new Date(change.timeMs).toLocaleTimeString();
    }
  };
  const showFrom = (revision) => show(revision).catch((error) => {
    if (!hasCode(error, "COMPACTED")) throw error;
    return showFrom(error.details.firstRevision); // What was said before is kept no more.
  });
  await showFrom(1);
</script>`;
const MODULE = readFileSync(new URL("../../dist/client.min.js", import.meta.url)); // "conclave/client.min.js"
const dataDir = mkdtempSync(path.join(os.tmpdir(), "chat-"));
const ids = process.argv.length > 2 ? process.argv.slice(2) : ["a", "b", "c"];
const own = nodes.filter(({ id }) => ids.includes(id));
const running = own.map(async ({ id, url }) => {
  const server = createServer((request, response) => {
    const isModule = request.url === "/conclave.js";
    response.setHeader("content-type", isModule ? "text/javascript" : "text/html").end(isModule ? MODULE : PAGE);
  });
  server.listen(Number(new URL(url).port), "127.0.0.1", () => console.log(`${id}: http://${new URL(url).host}`));
  const node = await join({ id, config, dataDir, machines: [chat], server });
  return () => node.close().finally(() => server.close().closeAllConnections());
});
process.once("SIGTERM", async () => {
  for (const close of await Promise.all(running)) await close();
  rmSync(dataDir, { recursive: true });
});
