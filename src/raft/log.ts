/**
 * The log as the core sees it: the term of every entry behind its base, and the newest entries themselves. Older entries
 * leave memory once they are durable and applied; whoever needs them again reads them from the disk. What lies before
 * the base is in a snapshot (paper, section 7).
 */

import { type Entry, entryBytes, type LogIndex, logIndex, NO_INDEX, NO_TERM, type Term } from "./types.ts";

/** A run of consecutive entries of one term. A log has few of them, so the term of any index costs little to keep. */
interface TermRun {
  readonly term: Term;
  readonly firstIndex: LogIndex;
}

/** A place in the log: an entry's index, and its term. */
export interface Position {
  readonly index: LogIndex;
  readonly term: Term;
}

const BEFORE_ALL: Position = { index: NO_INDEX, term: NO_TERM };

export class Log {
  #base: Position;
  #runs: TermRun[] = [];
  /** Cached entries, oldest first; the slots before `#head` are empty. */
  #cache: (Entry | null)[] = [];
  #head = 0;
  #cacheBytes = 0;
  #lastIndex: LogIndex;

  /** @param base the entry that this log follows; what comes before it is in a snapshot */
  constructor(base: Position = BEFORE_ALL) {
    this.#base = base;
    this.#lastIndex = base.index;
  }

  /** The entry that the first one here follows. Its term is known, and it is committed. */
  get base(): Position {
    return this.#base;
  }

  get lastIndex(): LogIndex {
    return this.#lastIndex;
  }

  get lastTerm(): Term {
    return this.#runs.at(-1)?.term ?? this.#base.term;
  }

  get cacheBytes(): number {
    return this.#cacheBytes;
  }

  /** The term of an entry, the base included; `null` past the end of the log, and before the base. */
  termAt(index: LogIndex): Term | null {
    if (index === this.#base.index) return this.#base.term;
    if (index > this.#lastIndex || index < this.#base.index) return null;
    return this.#runs[this.#runAt(index)]?.term ?? null;
  }

  /** The first index of the term that the entry at `index` belongs to, as far back as the log goes; not for its base. */
  firstIndexOfTermAt(index: LogIndex): LogIndex {
    return Math.max(this.#runs[this.#runAt(index)]?.firstIndex ?? 0, this.#base.index + 1) as LogIndex;
  }

  /** The last index whose term is at most `term`; 0 if none is known. Terms never fall along a log. */
  lastIndexUpToTerm(term: Term): LogIndex {
    for (let i = this.#runs.length - 1; i >= 0; i--) {
      const run = this.#runs[i];
      if (run !== undefined && run.term <= term) {
        const next = this.#runs[i + 1];
        return next === undefined ? this.#lastIndex : logIndex(next.firstIndex - 1);
      }
    }
    return this.#base.term <= term ? this.#base.index : NO_INDEX;
  }

  /**
   * Appends one entry. One at or before the end replaces that entry and everything after it, which is how a follower
   * drops what conflicts with its leader, and how recovery replays a log file in which that has happened.
   */
  append(entry: Entry): void {
    if (entry.index <= this.#base.index || entry.index > this.#lastIndex + 1) {
      throw new RangeError(`entry ${entry.index} can't follow entry ${this.#lastIndex}`);
    }
    if (entry.index <= this.#lastIndex) this.#truncateFrom(entry.index);
    if (entry.term < this.lastTerm) throw new RangeError(`term ${entry.term} follows term ${this.lastTerm}`);
    if (entry.term !== this.#runs.at(-1)?.term) this.#runs.push({ term: entry.term, firstIndex: entry.index });
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
    this.#dropCached((entry) => entry.index <= through && this.#cacheBytes > bytesMax);
  }

  #dropCached(isDropped: (oldest: Entry) => boolean): void {
    for (let oldest = this.#cache[this.#head]; oldest != null && isDropped(oldest); oldest = this.#cache[this.#head]) {
      this.#cacheBytes -= entryBytes(oldest);
      this.#cache[this.#head++] = null;
    }
    if (this.#head * 2 > this.#cache.length) {
      this.#cache = this.#cache.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Forgets everything up to `index`, which a snapshot stands for from now on; it must be in this log. */
  compact(index: LogIndex): void {
    if (index <= this.#base.index) return;
    const termThere = this.termAt(index);
    if (termThere === null) throw new RangeError(`entry ${index} is not in the log, which ends at ${this.#lastIndex}`);
    this.#base = { index, term: termThere };
    this.#dropCached((entry) => entry.index <= index);
    while ((this.#runs[1]?.firstIndex ?? this.#lastIndex + 1) <= index + 1 && this.#runs.length > 0) this.#runs.shift();
  }

  /** Forgets everything, and goes on behind a snapshot. */
  reset(base: Position): void {
    this.#base = base;
    this.#runs = [];
    this.#cache = [];
    this.#head = 0;
    this.#cacheBytes = 0;
    this.#lastIndex = base.index;
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
