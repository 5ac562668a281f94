/** What a log holds, plainly: what the durable one is compared to. */

import {
  type Batch,
  type EntryId,
  type Replay,
  type StoredEntry,
  type StoredState,
  Wal,
  type WalOptions,
} from "../../src/storage/index.ts";
import type { MemoryDisk } from "../../src/testing/memory-disk.ts";

export const FOLDER = "data";
export const SALT = 0x5a17;

export class PlainLog implements Replay {
  /** The index of the entry before the first. */
  start = 0;
  entries: StoredEntry[] = [];
  last: StoredState | null = null;

  get lastIndex(): number {
    return this.start + this.entries.length;
  }

  base(index: number): void {
    this.start = index;
  }

  reset(index: number): void {
    this.start = index;
    this.entries = [];
  }

  entry(entry: StoredEntry): void {
    if (entry.index > this.lastIndex + 1) throw new Error(`entry ${entry.index} leaves a hole`);
    // What it follows was removed, and overwritten by it.
    if (entry.index <= this.start) this.start = entry.index - 1;
    this.entries.length = entry.index - 1 - this.start;
    this.entries.push({ ...entry, payload: new Uint8Array(entry.payload) });
  }

  state(state: StoredState): void {
    this.last = state;
  }

  add({ reset, entries, state }: Batch): this {
    if (reset !== null) this.reset(reset.index);
    for (const entry of entries) this.entry(entry);
    if (state !== null) this.state(state);
    return this;
  }

  /** What a snapshot does not have. */
  behind(index: number): StoredEntry[] {
    return this.entries.slice(Math.max(index - this.start, 0));
  }

  readonly termAt = (index: number): number | null => this.entries[index - this.start - 1]?.term ?? null;

  /** To compare by: one line for each entry behind another one, and the state. */
  lines(behind = 0): string[] {
    const entries = this.behind(behind).map(
      ({ index, term, kind, payload }) => `${index} ${term} ${kind} ${Buffer.from(payload).toString("base64")}`,
    );
    return [...entries, JSON.stringify(this.last, ["term", "vote", "commitIndex"])];
  }
}

export const logOf = (batches: readonly Batch[]): PlainLog =>
  batches.reduce((log, batch) => log.add(batch), new PlainLog());

/** Time passes when a test says so. */
export class ManualClock {
  #timers: { readonly delayMs: number; readonly fire: () => void }[] = [];

  /** What is waited for, in milliseconds. */
  get delays(): number[] {
    return this.#timers.map(({ delayMs }) => delayMs);
  }

  setTimer(delayMs: number, fire: () => void): { cancel(): void } {
    const timer = { delayMs, fire };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((one) => one !== timer);
      },
    };
  }

  fire(): void {
    for (const { fire } of this.#timers.splice(0)) fire();
  }
}

export const walOptions = (segmentBytesMax = 1 << 20): WalOptions => ({
  segmentBytesMax,
  reserveBytes: 100,
  salt: SALT,
  clock: new ManualClock(),
});

export async function openLog(
  disk: MemoryDisk,
  segmentBytesMax?: number,
  options: Partial<WalOptions> = {},
): Promise<{ wal: Wal; found: PlainLog }> {
  const found = new PlainLog();
  const wal = await Wal.open(disk, FOLDER, { ...walOptions(segmentBytesMax), ...options }, found);
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

export const batch = (
  entries: readonly StoredEntry[],
  state: StoredState | null = null,
  reset: EntryId | null = null,
): Batch => ({ reset, entries, state });

/** A batch of one entry and the state that speaks of it. */
export const batchOf = (index: number, term = 1): Batch =>
  batch([entry(index, term)], { term, vote: "node-1", commitIndex: index - 1 });

/** Lets everything happen that waits for nothing but its turn. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
