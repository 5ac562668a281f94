/** A program with a node in it, which uses the ledger in some version, or no machine of its own. */

import { join } from "../../../src/index.ts";
import { busyUntil, codeOf, fail, obey, settingsOf, tell } from "./common.ts";
import { ledger1, ledger2 } from "./ledger.ts";

/** What it is started with. */
export interface MemberSettings {
  readonly id: string;
  readonly config: object;
  readonly dataDir: string;
  /** Of the ledger; 0 for none. */
  readonly version: 0 | 1 | 2;
}

/** What a long computation was, and what the node said right after it. */
export interface Stall {
  readonly ms: number;
  readonly term: number;
  /** Did it still take itself for the leader? */
  readonly ledItself: boolean;
  /** What a linearizable read, and one under a lease, found that were made in the same turn. */
  readonly read: readonly string[];
  readonly leased: readonly string[];
}

const { id, config, dataDir, version } = settingsOf<MemberSettings>();
const machines = [[], [ledger1], [ledger2]][version];
const node = await join({ id, config, dataDir, machines, tell: (story) => tell(story.event, story) }).catch(fail);
void node.stopped.then((error) => error !== null && fail(error));
process.once("SIGTERM", () => void node.close().then(() => process.exit(0), fail));

const ledger = node.client.of(ledger1);
const idsOf = (entries: readonly { readonly id: string }[]): string[] => entries.map((entry) => entry.id);
let written = 0;
let isWriting = true;
let writer = Promise.resolve();

async function writeOne(): Promise<void> {
  const entry = { id: `${id} ${++written}`, euros: written };
  try {
    await ledger.add(entry, { timeoutMs: 20_000 });
    tell("acknowledged", { id: entry.id });
  } catch (error) {
    tell("write-failed", { id: entry.id, code: codeOf(error) });
  }
}

obey({
  status: () => node.status(),
  /** What this node has. */
  entries() {
    const own = { consistency: "stale", node: id } as const;
    return version === 2 ? node.client.of(ledger2).entries(undefined, own) : ledger.entries(undefined, own);
  },

  /** Writes from now on, one after the other. */
  async write() {
    await writeOne();
    writer = (async () => {
      while (isWriting) await writeOne();
    })();
  },

  /** Waits until so many more are written. */
  async more(count: number) {
    for (const until = written + count; written < until; ) await new Promise((resolve) => setImmediate(resolve));
  },

  async finish() {
    isWriting = false;
    await writer;
  },

  /** If it leads: reads huge texts for so long, and until a file is there, in one turn of the event loop. */
  async stall({ ms, gate }: { readonly ms: number; readonly gate: string }): Promise<Stall> {
    const text = JSON.stringify(Array.from({ length: 100_000 }, (_, i) => ({ number: i, text: `text ${i}` })));
    const { term } = node.status();
    if (!node.isLeader) throw new Error("it does not lead");
    tell("stalling");
    const last = writeOne(); // Not on its way yet when all stands still.
    const startMs = performance.now();
    const parse = (): void => void JSON.parse(text);
    while (performance.now() < startMs + ms) parse();
    busyUntil(gate, parse);
    const stalledMs = performance.now() - startMs;
    const ledItself = node.isLeader;
    const reads = [ledger.entries(), ledger.entries(undefined, { consistency: "lease" })];
    const [read = [], leased = []] = await Promise.all(reads);
    await last;
    return { ms: stalledMs, term, ledItself, read: idsOf(read), leased: idsOf(leased) };
  },
});
tell("ready");
