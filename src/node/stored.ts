/** Between the log on disk, which knows numbers, and the core, which knows terms and indices. */

import {
  type Entry,
  type EntryKind,
  type HardState,
  Log,
  logIndex,
  NO_INDEX,
  NO_TERM,
  type Recovered,
  term,
} from "../raft/index.ts";
import type { Replay, StoredEntry } from "../storage/index.ts";

export const toEntry = ({ index, term: entryTerm, kind, payload }: StoredEntry): Entry => ({
  index: logIndex(index),
  term: term(entryTerm),
  kind: kind as EntryKind,
  payload,
});

/** Takes the records of a log file and gives what a core starts from. */
export class Recovery implements Replay {
  readonly #log = new Log();
  readonly #cacheBytesMax: number;
  #hardState: HardState = { term: NO_TERM, vote: null, commitIndex: NO_INDEX };

  constructor(cacheBytesMax: number) {
    this.#cacheBytesMax = cacheBytesMax;
  }

  readonly entry = (stored: StoredEntry): void => {
    // A copy, since the original is a slice of the whole file.
    this.#log.append(toEntry({ ...stored, payload: stored.payload.slice() }));
    this.#log.evict(this.#log.lastIndex, this.#cacheBytesMax);
  };

  readonly state: Replay["state"] = (stored) => {
    this.#hardState = { term: term(stored.term), vote: stored.vote, commitIndex: logIndex(stored.commitIndex) };
  };

  get recovered(): Omit<Recovered, "isAdmitted"> {
    return { hardState: this.#hardState, log: this.#log };
  }
}
