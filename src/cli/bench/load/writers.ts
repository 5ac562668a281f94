/** Clients that write, each put of theirs in the ledger. */

import type { Client } from "../../../client/index.ts";
import { type Held, KEY_PREFIX, keyOf, Ledger } from "../ledger.ts";

const PAGE_BYTES_MAX = 2 * 1024 * 1024;
const PAGE_ENTRIES_MAX = 5_000;
const ENTRY_OVERHEAD_BYTES = 64;

/** What of a client a writer needs. */
type Store = Pick<Client, "put" | "list">;

export interface WritersOptions {
  readonly clients: readonly Store[];
  readonly keys: number;
  readonly valueBytes: number;
}

export class Writers {
  readonly ledger: Ledger;
  readonly #options: WritersOptions;

  constructor(options: WritersOptions) {
    this.#options = options;
    this.ledger = new Ledger(options);
  }

  /** Writes to the key after the one that was written to before. @throws Failure, ConclaveError */
  async put(connection: number): Promise<void> {
    const { clients, keys } = this.#options;
    const key = this.ledger.puts % keys;
    const put = this.ledger.issue(connection, key);
    const answer = await clients[connection]?.put(keyOf(key), this.ledger.valueOf(put));
    this.ledger.acknowledge(put, answer?.revision);
  }

  /** One put each, so that links and sessions are open before time is taken. */
  async open(): Promise<void> {
    await Promise.all(this.#options.clients.map((_, i) => this.put(i)));
  }

  /** Looks at what was answered, and at all that the store holds. @throws Failure, ConclaveError */
  async check(): Promise<void> {
    this.ledger.checkOrder();
    const [client] = this.#options.clients;
    if (client === undefined) return;
    const { held, revision } = await readAll(client, this.#options.valueBytes);
    this.ledger.checkStore(held, revision);
  }
}

/** All that the store holds, and its revision: nobody writes meanwhile. */
async function readAll(client: Store, valueBytes: number) {
  const held = new Map<string, Held>();
  const room = Math.floor(PAGE_BYTES_MAX / (valueBytes + ENTRY_OVERHEAD_BYTES));
  const limit = Math.max(1, Math.min(PAGE_ENTRIES_MAX, room));
  for (let after = ""; ; ) {
    const page = await client.list(KEY_PREFIX, { limit, after });
    for (const { key, value, revision } of page.entries) held.set(key, { value, revision });
    after = page.entries.at(-1)?.key ?? after;
    if (!page.more) return { held, revision: page.revision };
  }
}
