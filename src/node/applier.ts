/** Feeds committed entries to the replicated state, a slice at a time so that heartbeats are never kept waiting. */

import type { Clock } from "../environment.ts";
import type { Applied } from "../machine/commands.ts";
import type { Replica } from "../machine/index.ts";
import { type Entry, EntryKind, type Log, type LogIndex, logIndex } from "../raft/index.ts";

const SLICE_BYTES_MAX = 256 * 1024;
/** How long one turn may go on applying, and how long answering. */
export const TURN_MS_MAX = 5;

export interface ApplierOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly replica: Replica;
  /** Reads entries that have left memory; they come back through `fetched`. */
  fetch(from: LogIndex, through: LogIndex, bytesMax: number): void;
  /** Calls `run` again in a later turn. */
  continueLater(): void;
  onApplied(entry: Entry, applied: Applied | null): void;
}

export class Applier {
  readonly #options: ApplierOptions;
  #commitIndex: LogIndex;
  #fetching = false;
  /** How many snapshots the state is to go on from, before anything is applied to it. */
  #pauses = 0;
  /** Committed entries that came back from the disk. */
  #fetched: readonly Entry[] = [];

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#commitIndex = logIndex(0);
  }

  get appliedIndex(): LogIndex {
    return logIndex(this.#options.replica.appliedIndex);
  }

  /** Everything known to be committed has been applied. */
  get isCurrent(): boolean {
    return this.appliedIndex >= this.#commitIndex;
  }

  /** The state is being replaced. */
  get isPaused(): boolean {
    return this.#pauses > 0;
  }

  pause(): void {
    this.#pauses++;
  }

  resume(): void {
    this.#pauses--;
  }

  commit(index: LogIndex): void {
    if (index > this.#commitIndex) this.#commitIndex = index;
  }

  /** Applies what there is time for. */
  run(): void {
    const { clock } = this.#options;
    const endMs = clock.nowMs() + TURN_MS_MAX;
    while (!this.#fetching && !this.isCurrent && !this.isPaused) {
      const entries = this.#next();
      if (entries === null) {
        this.#fetching = true;
        this.#options.fetch(logIndex(this.appliedIndex + 1), this.#commitIndex, SLICE_BYTES_MAX);
        return;
      }
      if (entries.length === 0) throw new RangeError(`entry ${this.appliedIndex + 1} is committed and not in the log`);
      this.#apply(entries, endMs);
      if (clock.nowMs() >= endMs && !this.isCurrent) {
        this.#options.continueLater();
        return;
      }
    }
  }

  fetched(entries: readonly Entry[]): void {
    this.#fetching = false;
    this.#fetched = entries;
  }

  /** What can be applied next: what was fetched, or what is in memory; null if it has to be fetched. */
  #next(): readonly Entry[] | null {
    const next = logIndex(this.appliedIndex + 1);
    const fetched = this.#fetched.filter(({ index }) => index >= next);
    // The state may have been replaced by an older one since they were fetched.
    this.#fetched = fetched[0]?.index === next ? fetched : [];
    return this.#fetched.length > 0 ? this.#fetched : this.#options.log.slice(next, SLICE_BYTES_MAX, this.#commitIndex);
  }

  /** Applies entries until time is up. */
  #apply(entries: readonly Entry[], endMs: number): void {
    const { clock, replica, onApplied } = this.#options;
    for (const entry of entries) {
      const payload = entry.kind === EntryKind.command ? entry.payload : null;
      onApplied(entry, replica.apply(entry.index, payload));
      if (clock.nowMs() >= endMs) return;
    }
  }
}
