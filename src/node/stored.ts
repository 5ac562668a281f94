/** Between the log on disk, which knows numbers, and the core, which knows terms and indices. */

import {
  type Configured,
  decodeConfiguration,
  type Entry,
  EntryKind,
  type HardState,
  isEntryKind,
  Log,
  logIndex,
  NO_INDEX,
  NO_TERM,
  type Position,
  type Recovered,
  type Snapshot,
  term,
} from "../raft/index.ts";
import type { Replay, StoredEntry } from "../storage/index.ts";

/** @throws RangeError if no log of ours holds such an entry */
export function toEntry({ index, term: entryTerm, kind, payload }: StoredEntry): Entry {
  if (!isEntryKind(kind)) throw new RangeError(`an entry of kind ${kind} is not known`);
  return { index: logIndex(index), term: term(entryTerm), kind, payload };
}

const toPosition = (index: number, positionTerm: number): Position => ({
  index: logIndex(index),
  term: term(positionTerm),
});

/**
 * Takes the records of a log, and gives what a core starts from: the newest snapshot, and what the log holds behind it.
 * What a log held before that is not needed any more, except to tell whether the two belong together.
 */
export class Recovery implements Replay {
  readonly #snapshot: Snapshot;
  readonly #log: Log;
  readonly #cacheBytesMax: number;
  #configurations: Configured[] = [];
  #hardState: HardState = { term: NO_TERM, vote: null, commitIndex: NO_INDEX };
  /** Where the log on disk stands. */
  #last: Position = { index: NO_INDEX, term: NO_TERM };
  /** The log holds the entry that the snapshot ends with, or goes on behind it. */
  #isJoined: boolean;

  /** @param snapshot the newest on disk; of index 0 if there is none */
  constructor(snapshot: Snapshot, cacheBytesMax: number) {
    this.#snapshot = snapshot;
    this.#cacheBytesMax = cacheBytesMax;
    this.#log = new Log({ index: snapshot.index, term: snapshot.term });
    this.#isJoined = snapshot.index === 0;
  }

  readonly base: Replay["base"] = (index, baseTerm) => this.#goOnBehind(toPosition(index, baseTerm));

  readonly reset: Replay["reset"] = (index, resetTerm) => {
    this.#forget();
    this.#goOnBehind(toPosition(index, resetTerm));
  };

  readonly entry = (stored: StoredEntry): void => {
    // A copy, since the original is a slice of the whole file.
    const entry = toEntry({ ...stored, payload: stored.payload.slice() });
    if (entry.index > this.#last.index + 1) throw new RangeError(`entry ${entry.index} follows ${this.#last.index}`);
    this.#last = { index: entry.index, term: entry.term };
    if (entry.index <= this.#snapshot.index) {
      this.#forget(); // It makes void what was written behind it before.
      this.#isJoined = this.#isEnd(this.#last);
      return;
    }
    // It goes on from another entry than the snapshot ends with: what has made it void comes later, or never got there.
    if (!this.#isJoined) return;
    while ((this.#configurations.at(-1)?.index ?? 0) >= entry.index) this.#configurations.pop();
    this.#log.append(entry);
    this.#log.evict(this.#log.lastIndex, this.#cacheBytesMax);
    if (entry.kind === EntryKind.configuration) {
      this.#configurations.push({ index: entry.index, configuration: decodeConfiguration(entry.payload) });
    }
  };

  readonly state: Replay["state"] = (stored) => {
    this.#hardState = { term: term(stored.term), vote: stored.vote, commitIndex: logIndex(stored.commitIndex) };
  };

  get recovered(): Omit<Recovered, "isAdmitted"> {
    // A crash may have come when a snapshot was durable, and the log had not been begun anew behind it.
    if (!this.#isJoined) this.#forget();
    return {
      hardState: this.#hardState,
      snapshot: this.#snapshot,
      log: this.#log,
      configurations: this.#configurations,
      needsReset: !this.#isJoined,
    };
  }

  /** What comes next follows this entry, which is not in the log. */
  #goOnBehind(position: Position): void {
    const { index } = this.#snapshot;
    if (position.index > index) {
      throw new RangeError(
        `it goes on behind entry ${position.index}, and the newest snapshot ends with entry ${index}`,
      );
    }
    this.#last = position;
    this.#isJoined = this.#isEnd(position);
  }

  #isEnd({ index, term: positionTerm }: Position): boolean {
    return index === this.#snapshot.index && positionTerm === this.#snapshot.term;
  }

  #forget(): void {
    this.#log.reset({ index: this.#snapshot.index, term: this.#snapshot.term });
    this.#configurations = [];
  }
}
