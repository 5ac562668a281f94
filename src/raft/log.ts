/**
 * The log as the core sees it: the term of every entry, and the newest entries themselves. Older entries leave memory
 * once they are durable and applied; whoever needs them again reads them from the disk.
 */

import { type Entry, entryBytes, type LogIndex, logIndex, NO_INDEX, NO_TERM, type Term } from "./types.ts";

/** A run of consecutive entries of one term. A log has few of them, so the term of any index costs little to keep. */
interface TermRun {
  readonly term: Term;
  readonly firstIndex: LogIndex;
}

export class Log {
  #runs: TermRun[] = [];
  /** Cached entries, oldest first; the slots before `#head` are empty. */
  #cache: (Entry | null)[] = [];
  #head = 0;
  #cacheBytes = 0;
  #lastIndex: LogIndex = NO_INDEX;

  get lastIndex(): LogIndex {
    return this.#lastIndex;
  }

  get lastTerm(): Term {
    return this.#runs.at(-1)?.term ?? NO_TERM;
  }

  get cacheBytes(): number {
    return this.#cacheBytes;
  }

  /** The term of an entry; 0 for index 0, `null` past the end of the log. */
  termAt(index: LogIndex): Term | null {
    if (index === NO_INDEX) return NO_TERM;
    if (index > this.#lastIndex) return null;
    return this.#runs[this.#runAt(index)]?.term ?? null;
  }

  /** The first index of the term that the entry at `index` belongs to. */
  firstIndexOfTermAt(index: LogIndex): LogIndex {
    return this.#runs[this.#runAt(index)]?.firstIndex ?? NO_INDEX;
  }

  /** The last index whose term is at most `term`; 0 if there is none. Terms never fall along a log. */
  lastIndexUpToTerm(term: Term): LogIndex {
    for (let i = this.#runs.length - 1; i >= 0; i--) {
      const run = this.#runs[i];
      if (run !== undefined && run.term <= term) {
        const next = this.#runs[i + 1];
        return next === undefined ? this.#lastIndex : logIndex(next.firstIndex - 1);
      }
    }
    return NO_INDEX;
  }

  /**
   * Appends one entry. One at or before the end replaces that entry and everything after it, which is how a follower
   * drops what conflicts with its leader, and how recovery replays a log file in which that has happened.
   */
  append(entry: Entry): void {
    if (entry.index < 1 || entry.index > this.#lastIndex + 1) {
      throw new RangeError(`entry ${entry.index} can't follow entry ${this.#lastIndex}`);
    }
    if (entry.index <= this.#lastIndex) this.#truncateFrom(entry.index);
    if (entry.term < this.lastTerm) throw new RangeError(`term ${entry.term} follows term ${this.lastTerm}`);
    if (entry.term > this.lastTerm) this.#runs.push({ term: entry.term, firstIndex: entry.index });
    this.#cache.push(entry);
    this.#cacheBytes += entryBytes(entry);
    this.#lastIndex = entry.index;
  }

  /**
   * Entries from `from` on: as many as fit in `bytesMax`, but at least one if there is one, and none past `through`.
   * `null` if the first of them is no longer in memory.
   */
  slice(from: LogIndex, bytesMax: number, through: LogIndex = this.#lastIndex): Entry[] | null {
    if (from > through) return [];
    const firstCached = this.#lastIndex - (this.#cache.length - this.#head) + 1;
    if (from < firstCached) return null;
    const entries: Entry[] = [];
    let bytes = 0;
    for (let i = this.#head + (from - firstCached); i < this.#cache.length; i++) {
      const entry = this.#cache[i];
      if (entry == null || entry.index > through) break;
      bytes += entryBytes(entry);
      if (bytes > bytesMax && entries.length > 0) break;
      entries.push(entry);
    }
    return entries;
  }

  /** Drops the oldest cached entries up to `through` while the cache holds more than `bytesMax`. */
  evict(through: LogIndex, bytesMax: number): void {
    while (this.#cacheBytes > bytesMax) {
      const oldest = this.#cache[this.#head];
      if (oldest == null || oldest.index > through) break;
      this.#cacheBytes -= entryBytes(oldest);
      this.#cache[this.#head++] = null;
    }
    if (this.#head * 2 > this.#cache.length) {
      this.#cache = this.#cache.slice(this.#head);
      this.#head = 0;
    }
  }

  #truncateFrom(index: LogIndex): void {
    while (this.#cache.length > this.#head) {
      const newest = this.#cache.at(-1);
      if (newest == null || newest.index < index) break;
      this.#cacheBytes -= entryBytes(newest);
      this.#cache.pop();
    }
    while ((this.#runs.at(-1)?.firstIndex ?? NO_INDEX) >= index) this.#runs.pop();
    this.#lastIndex = logIndex(index - 1);
  }

  /** The position of the run that holds `index`: the last one that starts at or before it. */
  #runAt(index: LogIndex): number {
    let low = 0;
    let high = this.#runs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#runs[middle]?.firstIndex ?? NO_INDEX) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
