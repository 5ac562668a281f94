/** Feeds committed entries to the replicated state, a slice at a time so that heartbeats are never kept waiting. */

import type { Clock } from "../environment.ts";
import type { Applied } from "../machine/commands.ts";
import type { Replica } from "../machine/index.ts";
import { type Entry, EntryKind, type Log, type LogIndex, logIndex } from "../raft/index.ts";

const SLICE_BYTES_MAX = 256 * 1024;
/** How long one turn may go on applying. */
const TURN_MS_MAX = 5;

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

  commit(index: LogIndex): void {
    if (index > this.#commitIndex) this.#commitIndex = index;
  }

  /** Applies what there is time for. */
  run(): void {
    const { clock, log } = this.#options;
    const endMs = clock.nowMs() + TURN_MS_MAX;
    while (!this.#fetching && !this.isCurrent) {
      const next = logIndex(this.appliedIndex + 1);
      const entries = log.slice(next, SLICE_BYTES_MAX, this.#commitIndex);
      if (entries === null) {
        this.#fetching = true;
        this.#options.fetch(next, this.#commitIndex, SLICE_BYTES_MAX);
        return;
      }
      this.#apply(entries);
      if (clock.nowMs() >= endMs && !this.isCurrent) {
        this.#options.continueLater();
        return;
      }
    }
  }

  fetched(entries: readonly Entry[]): void {
    this.#fetching = false;
    this.#apply(entries);
  }

  #apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const payload = entry.kind === EntryKind.command ? entry.payload : null;
      this.#options.onApplied(entry, this.#options.replica.apply(entry.index, payload));
    }
  }
}
