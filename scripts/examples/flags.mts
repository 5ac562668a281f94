/**
 * Feature flags that are pushed to every process in the moment in which they change: `node scripts/examples/flags.mts` shows
 * them for as long as it runs, and `node scripts/examples/flags.mts NAME on|off` sets one. NODES may name the nodes.
 */

import { connect } from "../../src/index.ts"; // In a program of your own: "conclave".

const client = await connect({ nodes: (process.env["NODES"] ?? "ws://127.0.0.1:7101").split(",") });
const PREFIX = "flags/";

/** What is on at the moment: asking costs nothing, and needs no cluster. */
class Flags {
  readonly #on = new Map<string, boolean>();

  isOn(name: string): boolean {
    return this.#on.get(name) === true;
  }

  /** All flags as they are, and then every change of one. */
  async follow(signal: AbortSignal, changed: (name: string) => void): Promise<void> {
    const { entries, revision } = await client.list(PREFIX, { limit: 10_000 });
    for (const { key, value } of entries) this.#set(key, value === "on", changed);
    for await (const change of client.watch(PREFIX, { fromRevision: revision + 1, signal })) {
      this.#set(change.key, change.type === "put" && change.value === "on", changed);
    }
  }

  #set(key: string, isOn: boolean, changed: (name: string) => void): void {
    const name = key.slice(PREFIX.length);
    this.#on.set(name, isOn);
    changed(name);
  }
}

const [name, value] = process.argv.slice(2);
if (name !== undefined) {
  await client.put(PREFIX + name, value === "on" ? "on" : "off");
  await client.close();
} else {
  const flags = new Flags();
  const end = new AbortController();
  process.once("SIGTERM", () => end.abort());
  console.log("flags:");
  await flags
    .follow(end.signal, (changed) => console.log(`${changed} is ${flags.isOn(changed) ? "on" : "off"}`))
    .catch((error) => end.signal.aborted || Promise.reject(error));
  await client.close();
}
