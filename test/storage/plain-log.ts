/** What a log holds, plainly: what the durable one is compared to. */

import { type Batch, type Replay, type StoredEntry, type StoredState, Wal } from "../../src/storage/index.ts";
import type { MemoryDisk } from "../../src/testing/memory-disk.ts";

export const FOLDER = "data";
export const SALT = 0x5a17;

export class PlainLog implements Replay {
  readonly entries: StoredEntry[] = [];
  last: StoredState | null = null;

  entry(entry: StoredEntry): void {
    if (entry.index > this.entries.length + 1) throw new Error(`entry ${entry.index} leaves a hole`);
    this.entries.length = entry.index - 1;
    this.entries.push({ ...entry, payload: new Uint8Array(entry.payload) });
  }

  state(state: StoredState): void {
    this.last = state;
  }

  add({ entries, state }: Batch): this {
    for (const entry of entries) this.entry(entry);
    if (state !== null) this.state(state);
    return this;
  }

  readonly termAt = (index: number): number | null => this.entries[index - 1]?.term ?? null;

  /** To compare by: one line for each entry, and the state. */
  lines(): string[] {
    const entries = this.entries.map(
      ({ index, term, kind, payload }) => `${index} ${term} ${kind} ${Buffer.from(payload).toString("base64")}`,
    );
    return [...entries, JSON.stringify(this.last, ["term", "vote", "commitIndex"])];
  }
}

export const logOf = (batches: readonly Batch[]): PlainLog =>
  batches.reduce((log, batch) => log.add(batch), new PlainLog());

export async function openLog(disk: MemoryDisk, segmentBytesMax = 1 << 20): Promise<{ wal: Wal; found: PlainLog }> {
  const found = new PlainLog();
  const wal = await Wal.open(disk, FOLDER, { segmentBytesMax, salt: SALT }, found);
  return { wal, found };
}

/** What a process finds that starts on this disk. */
export const linesOn = async (disk: MemoryDisk): Promise<string[]> => (await openLog(disk)).found.lines();

export const entry = (index: number, term: number, payload: string | Uint8Array = `entry ${index}.`): StoredEntry => ({
  index,
  term,
  kind: 1,
  payload: typeof payload === "string" ? new TextEncoder().encode(payload) : payload,
});

/** A batch of one entry and the state that speaks of it. */
export const batchOf = (index: number, term = 1): Batch => ({
  entries: [entry(index, term)],
  state: { term, vote: "node-1", commitIndex: index - 1 },
});

/** Lets everything happen that waits for nothing but its turn. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
