/**
 * What a node's disk holds durably, learned from the writes and flushes themselves: the node's own opinion is not asked.
 */

import type { Disk, DiskFile } from "../environment.ts";
import { type Configuration, decodeConfiguration, EntryKind, NOBODY } from "../raft/index.ts";
import { FRAME_HEADER_BYTES, replayBody, type StoredEntry } from "../storage/wal-format.ts";
import { DurableSnapshots, type FoundSnapshot } from "./durable-snapshots.ts";
import { MemoryDisk } from "./memory-disk.ts";

/** A log and a hard state as a restart would find them. */
export interface Version {
  /** Where the snapshot ends that the log goes on behind; 0 if there is none. */
  readonly snapshot: number;
  /** The log goes on there; if not, it has to be begun anew. */
  readonly goesOn: boolean;
  /** The terms of the entries behind it. */
  readonly terms: readonly number[];
  readonly term: number;
  readonly vote: string | null;
}

/** What a disk has to tell, to whoever wants to know. */
export interface DurableLogOptions {
  readonly cluster: string;
  /** A snapshot is durable there that was not before. */
  onSnapshot(snapshot: FoundSnapshot): void;
  /** An entry has been removed, and no snapshot that is durable has what was in it. */
  onLoss(index: number): void;
}

interface Position {
  readonly index: number;
  readonly term: number;
}

type WalRecord =
  | { readonly type: "reset"; readonly to: Position }
  | { readonly type: "entry"; readonly entry: StoredEntry }
  | { readonly type: "state"; readonly term: number; readonly vote: string | null };

interface Frame {
  readonly path: string;
  readonly offset: number;
  readonly records: readonly WalRecord[];
}

interface Held {
  readonly term: number;
  /** The segment that it is in. */
  readonly path: string;
  readonly configuration: Configuration | null;
}

const IS_SEGMENT = /\/wal-\d+\.log$/;
const BEFORE_ALL: Position = { index: 0, term: 0 };
const UNKNOWN_TERM = -1;

/** The records of a log, one after the other. */
class Records {
  base: Position = BEFORE_ALL;
  last = 0;
  term = 0;
  vote: string | null = null;
  readonly entries = new Map<number, Held>();
  readonly #frames: Frame[] = [];

  copy(): Records {
    const copy = new Records();
    Object.assign(copy, { base: this.base, last: this.last, term: this.term, vote: this.vote });
    for (const [index, held] of this.entries) copy.entries.set(index, held);
    copy.#frames.push(...this.#frames);
    return copy;
  }

  /** What is left without a segment, and is read from where the oldest of the others begins. */
  without(path: string, start: Position): Records {
    const rest = new Records();
    Object.assign(rest, { base: start, last: start.index });
    for (const frame of this.#frames) if (frame.path !== path) rest.take(frame);
    return Object.assign(rest, { term: this.term, vote: this.vote });
  }

  take(frame: Frame): void {
    const { path, records } = frame;
    this.#frames.push(frame);
    for (const record of records) {
      if (record.type === "state") {
        this.term = record.term;
        this.vote = record.vote;
      } else if (record.type === "reset") {
        this.entries.clear();
        this.base = record.to;
        this.last = record.to.index;
      } else this.#append(record.entry, path);
    }
  }

  /** Does the log hold that entry, or go on behind it? */
  goesOnBehind({ index, term }: Position): boolean {
    if (index === 0) return this.base.index === 0;
    return this.entries.get(index)?.term === term || (this.base.index === index && this.base.term === term);
  }

  #append({ index, term, kind, payload }: StoredEntry, path: string): void {
    for (let at = index; at <= this.last; at++) this.entries.delete(at);
    if (index <= this.base.index) this.base = { index: index - 1, term: UNKNOWN_TERM };
    const configuration = kind === EntryKind.configuration ? decodeConfiguration(payload) : null;
    this.entries.set(index, { term, path, configuration });
    this.last = index;
  }
}

export class DurableLog {
  #records = new Records();
  readonly #options: DurableLogOptions;
  readonly #snapshots: DurableSnapshots;
  #memory = new MemoryDisk();
  /** The members that the cluster began with, as far as this disk knows. */
  #founders: Configuration = NOBODY;
  /** Where each segment began. */
  readonly #starts = new Map<string, Position>();
  /** Written and not flushed, oldest first. */
  #pending: Frame[] = [];
  /** Of those, what a failed flush should have made durable. */
  readonly #doubtful = new Set<Frame>();
  /** All that a restart may find. */
  #possible: readonly Possible[] = [{ version: versionOf(new Records(), BEFORE_ALL), records: new Records() }];
  #isSettled = false;

  constructor(options: DurableLogOptions = { cluster: "", onSnapshot: () => {}, onLoss: () => {} }) {
    this.#options = options;
    this.#snapshots = new DurableSnapshots(options.cluster, (snapshot) => options.onSnapshot(snapshot));
  }

  get term(): number {
    return this.#records.term;
  }

  get vote(): string | null {
    return this.#records.vote;
  }

  get lastIndex(): number {
    const { index } = this.#snapshot;
    return this.#isJoined ? Math.max(this.#records.last, index) : index;
  }

  get lastTerm(): number {
    const { lastIndex } = this;
    const { index, term } = this.#snapshot;
    return lastIndex === index ? term : (this.#records.entries.get(lastIndex)?.term ?? 0);
  }

  /** Who the members are by what is durable here: the newest configuration counts, be it in the log or the snapshot. */
  get configuration(): Configuration {
    const snapshot = this.#snapshots.newest;
    if (this.#isJoined) {
      for (let index = this.#records.last; index > (snapshot?.index ?? 0); index--) {
        const configuration = this.#records.entries.get(index)?.configuration;
        if (configuration != null) return configuration;
      }
    }
    return snapshot?.configuration ?? this.#founders;
  }

  /** The index that the newest durable snapshot ends with; 0 if there is none. */
  get snapshotIndex(): number {
    return this.#snapshot.index;
  }

  /** Is the entry at `index` here, or a snapshot that stands for it? */
  holds(index: number, term: number): boolean {
    if (index <= this.#snapshot.index) return true;
    return this.#isJoined && this.#records.entries.get(index)?.term === term;
  }

  /** All that a restart may find: what was flushed when the last life ended, and of the rest the oldest part. */
  get possible(): readonly Version[] {
    return this.#possible.map(({ version }) => version);
  }

  /** A life has ended. One that did not get as far as `settle` has changed nothing. */
  ended(): void {
    if (this.#isSettled) this.#possible = this.#versions();
    this.#isSettled = false;
    this.#pending = [];
  }

  /**
   * A restart found this, and has made it durable again. False if it can't be what was written.
   *
   * @param founders the members that the cluster began with, as far as this disk knows
   */
  settle(found: Version, founders: Configuration): boolean {
    const text = JSON.stringify(found);
    const match = this.#possible.find(({ version }) => JSON.stringify(version) === text);
    if (match !== undefined) this.#records = match.records.copy();
    this.#snapshots.look(this.#memory);
    this.#founders = founders;
    this.#pending = [];
    this.#isSettled = true;
    return match !== undefined;
  }

  /** A disk that passes everything on, and is listened to. */
  listenTo(memory: MemoryDisk): Disk {
    this.#memory = memory;
    return {
      makeFolder: (path) => memory.makeFolder(path),
      list: (path) => memory.list(path),
      open: async (path, mode) => {
        const file = await memory.open(path, mode);
        return IS_SEGMENT.test(path) ? this.#listenTo(file, path) : file;
      },
      rename: (from, to) => memory.rename(from, to),
      remove: async (path) => {
        await memory.remove(path);
        if (IS_SEGMENT.test(path) && this.#memory === memory) this.#removed(path);
      },
      syncFolder: async (path) => {
        await memory.syncFolder(path);
        if (this.#memory === memory) this.#snapshots.look(memory);
      },
      lock: (path) => memory.lock(path),
    };
  }

  get #snapshot(): Position {
    return this.#snapshots.newest ?? BEFORE_ALL;
  }

  /** Does the log go on where the snapshot ends? If not, a restart would begin it anew there. */
  get #isJoined(): boolean {
    return this.#records.goesOnBehind(this.#snapshot);
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
        const { last, entries, base } = this.#records;
        if (offset === 0) {
          this.#starts.set(path, { index: last, term: entries.get(last)?.term ?? base.term });
        }
        for (const chunk of chunks) {
          // At the start there is the header, which only repeats what older segments hold. Zeros are room for frames.
          if (offset > 0 && chunk.some((byte) => byte !== 0)) this.#pending.push(frameOf(path, offset, chunk));
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
        for (const frame of due) if (!this.#doubtful.has(frame)) this.#records.take(frame);
        this.#pending = this.#pending.filter((frame) => !due.includes(frame) || this.#doubtful.has(frame));
      },
    };
  }

  /** A segment is gone; the log goes on where the next one began. */
  #removed(path: string): void {
    const { index: covered } = this.#snapshot;
    for (const [index, held] of this.#records.entries) {
      if (held.path === path && index > covered && this.#isJoined) this.#options.onLoss(index);
    }
    this.#starts.delete(path);
    const oldest = [...this.#starts.keys()].sort()[0];
    const start = oldest === undefined ? undefined : this.#starts.get(oldest);
    this.#records = this.#records.without(path, start ?? this.#records.base);
  }

  #versions(): Possible[] {
    const snapshots = [this.#snapshot, ...this.#snapshots.possible(this.#memory)];
    const logs = [this.#records.copy()];
    for (const frame of this.#pending) {
      const next = (logs.at(-1) ?? this.#records).copy();
      next.take(frame);
      logs.push(next);
    }
    return logs.flatMap((records) => snapshots.map((snapshot) => ({ version: versionOf(records, snapshot), records })));
  }
}

interface Possible {
  readonly version: Version;
  readonly records: Records;
}

/** What a restart makes of a log and a snapshot: if the one does not go on behind the other, nothing of it is left. */
function versionOf(records: Records, snapshot: Position): Version {
  const { last } = records;
  // Whoever has a snapshot of a term has come to that term, and given no vote in it that a log tells of.
  const { term, vote } = snapshot.term > records.term ? { term: snapshot.term, vote: null } : records;
  const terms: number[] = [];
  const goesOn = records.goesOnBehind(snapshot);
  for (let index = snapshot.index + 1; goesOn && index <= last; index++) {
    terms.push(records.entries.get(index)?.term ?? UNKNOWN_TERM);
  }
  return { snapshot: snapshot.index, goesOn, terms, term, vote };
}

function frameOf(path: string, offset: number, bytes: Uint8Array): Frame {
  const records: WalRecord[] = [];
  replayBody(bytes.subarray(FRAME_HEADER_BYTES), {
    reset: (index, term) => void records.push({ type: "reset", to: { index, term } }),
    entry: (entry) => void records.push({ type: "entry", entry: { ...entry, payload: entry.payload.slice() } }),
    state: ({ term, vote }) => void records.push({ type: "state", term, vote }),
  });
  return { path, offset, records };
}
