/**
 * What a node's disk holds durably, learned from the writes and flushes themselves: the node's own opinion is not asked.
 */

import type { Disk, DiskFile } from "../environment.ts";
import { FRAME_HEADER_BYTES, replayBody } from "../storage/wal-format.ts";

/** A log and a hard state as a restart would find them. */
export interface Version {
  /** The term of each entry, the first at index 1. */
  readonly terms: readonly number[];
  readonly term: number;
  readonly vote: string | null;
}

interface Frame {
  readonly path: string;
  readonly offset: number;
  readonly entries: readonly { readonly index: number; readonly term: number }[];
  readonly state: { readonly term: number; readonly vote: string | null } | null;
}

const IS_SEGMENT = /\/wal-\d+\.log$/;
const NO_TERM = 0;
const EMPTY: Version = { terms: [], term: 0, vote: null };

export class DurableLog {
  /** At index - 1. */
  #terms: number[] = [];
  #term = 0;
  #vote: string | null = null;
  /** Written and not flushed, oldest first. */
  #pending: Frame[] = [];
  /** Of those, what a failed flush should have made durable. */
  readonly #doubtful = new Set<Frame>();
  /** All that a restart may find. */
  #possible: readonly Version[] = [EMPTY];
  #isSettled = false;

  get term(): number {
    return this.#term;
  }

  get vote(): string | null {
    return this.#vote;
  }

  get lastIndex(): number {
    return this.#terms.length;
  }

  /** The term of the entry at `index`; null if there is none. */
  termAt(index: number): number | null {
    return index === 0 ? NO_TERM : (this.#terms[index - 1] ?? null);
  }

  /** All that a restart may find: what was flushed when the last life ended, and of the rest the oldest part. */
  get possible(): readonly Version[] {
    return this.#possible;
  }

  /** A life has ended. One that did not get as far as `settle` has changed nothing. */
  ended(): void {
    if (this.#isSettled) this.#possible = this.#versions();
    this.#isSettled = false;
    this.#pending = [];
  }

  /** A restart found this, and has made it durable again. */
  settle({ terms, term, vote }: Version): void {
    this.#terms = [...terms];
    this.#term = term;
    this.#vote = vote;
    this.#pending = [];
    this.#isSettled = true;
  }

  /** A disk that passes everything on, and is listened to. */
  listenTo(disk: Disk): Disk {
    return {
      makeFolder: (path) => disk.makeFolder(path),
      list: (path) => disk.list(path),
      open: async (path, mode) => {
        const file = await disk.open(path, mode);
        return IS_SEGMENT.test(path) ? this.#listenTo(file, path) : file;
      },
      rename: (from, to) => disk.rename(from, to),
      remove: (path) => disk.remove(path),
      syncFolder: (path) => disk.syncFolder(path),
      lock: (path) => disk.lock(path),
    };
  }

  #listenTo(file: DiskFile, path: string): DiskFile {
    return {
      size: () => file.size(),
      read: (offset, length) => file.read(offset, length),
      truncate: async (length) => {
        await file.truncate(length);
        // What a full disk took of a frame is cut off, and was never whole.
        this.#pending = this.#pending.filter((frame) => frame.path !== path || frame.offset < length);
      },
      close: () => file.close(),
      write: async (offset, chunks) => {
        for (const chunk of chunks) {
          // At the start there is the header, which only repeats what older segments hold.
          if (offset > 0) this.#pending.push(frameOf(path, offset, chunk));
        }
        await file.write(offset, chunks);
      },
      sync: async () => {
        const due = this.#pending.filter((frame) => frame.path === path);
        try {
          await file.sync();
        } catch (error) {
          // No later flush writes them (cockroach#37102). A restart may find them all the same.
          for (const frame of due) this.#doubtful.add(frame);
          throw error;
        }
        for (const frame of due) if (!this.#doubtful.has(frame)) this.#take(frame);
        this.#pending = this.#pending.filter((frame) => !due.includes(frame) || this.#doubtful.has(frame));
      },
    };
  }

  #take({ entries, state }: Frame): void {
    for (const { index, term } of entries) {
      this.#terms.length = index - 1;
      this.#terms.push(term);
    }
    if (state === null) return;
    this.#term = state.term;
    this.#vote = state.vote;
  }

  #versions(): Version[] {
    const next = this.#copy();
    const versions = [next.#version()];
    for (const frame of this.#pending) {
      next.#take(frame);
      versions.push(next.#version());
    }
    return versions;
  }

  #copy(): DurableLog {
    const copy = new DurableLog();
    copy.settle(this.#version());
    return copy;
  }

  #version(): Version {
    return { terms: [...this.#terms], term: this.#term, vote: this.#vote };
  }
}

function frameOf(path: string, offset: number, bytes: Uint8Array): Frame {
  const entries: { index: number; term: number }[] = [];
  let state: Frame["state"] = null;
  replayBody(bytes.subarray(FRAME_HEADER_BYTES), {
    reset: () => {
      throw new RangeError("no node installs snapshots yet");
    },
    entry: ({ index, term }) => void entries.push({ index, term }),
    state: ({ term, vote }) => {
      state = { term, vote };
    },
  });
  return { path, offset, entries, state };
}
