/** The key-value store as a replicated state machine. */

import { messageOf } from "../errors.ts";
import {
  type ChangesPage,
  decodeCommand,
  decodeQuery,
  type Expected,
  encodeChanges,
  encodePage,
  encodeRejected,
  encodeResult,
  type KeyValueCommand,
  type KeyValueEntry,
  type KeyValuePage,
  type KeyValueQuery,
  LIST_LIMIT_MAX,
  type Value,
  valueBytes,
} from "./key-value-protocol.ts";
import {
  type KeyValueState,
  owned,
  readSnapshot,
  SnapshotReader,
  type Store,
  snapshotOf,
} from "./key-value-snapshot.ts";
import type { Replacement, StateMachine } from "./machine.ts";
import { CHANGES_BOUNDS, type ChangesBounds, RecentChanges } from "./recent-changes.ts";
import { emptyTree } from "./tree.ts";

/** A page ends once it holds this much, whatever its limit. */
const PAGE_BYTES_MAX = 2 * 1024 * 1024;
/** More changes than are ever lost with the nodes that had them. */
const REVISION_LEAP = 1_000_000;
/** Whoever has asked for changes that are not his, this many of them, is told so, and need not have them passed again. */
const PASSED_BY_MAX = 1_000;

/** Keys with values, in order; see `key-value-protocol.ts` for what can be asked of it. */
export class KeyValueMachine implements StateMachine {
  readonly #bounds: ChangesBounds;
  #state: KeyValueState;

  /** @param bounds of what is kept for those who watch; others than these, on some replicas, would part them */
  constructor(bounds: ChangesBounds = CHANGES_BOUNDS) {
    this.#bounds = bounds;
    this.#state = { store: emptyTree(), changes: new RecentChanges(bounds) };
  }

  apply(bytes: Uint8Array): Uint8Array {
    let command: KeyValueCommand;
    try {
      command = decodeCommand(bytes);
    } catch (error) {
      return encodeRejected({ code: "INVALID_ARGUMENT", message: messageOf(error) });
    }
    switch (command.op) {
      case "put":
        return encodeResult("put", { revision: this.#set(command.key, command.value) });
      case "delete": {
        const existed = this.#store.delete(command.key);
        if (existed) this.#changes.delete(command.key);
        return encodeResult("delete", { existed, revision: this.#revision });
      }
      case "cas": {
        const swapped = matches(this.#store.get(command.key), command.expected);
        const revision = swapped ? this.#set(command.key, command.value) : this.#revision;
        return encodeResult("cas", { swapped, revision });
      }
      case "increment":
        return this.#increment(command.key, command.by);
      case "append":
        return this.#append(command.key, command.value, command.valueBytesMax);
    }
  }

  query(bytes: Uint8Array): Uint8Array {
    const query = queryIn(bytes);
    switch (query?.op) {
      case "get": {
        const stored = this.#store.get(query.key);
        return encodePage(this.#page(stored === undefined ? [] : [stored], false));
      }
      case "list":
        return encodePage(this.#list(query.prefix, query.after, query.limit));
      case "changes":
        return encodeChanges(this.#find(query));
      case undefined:
        return encodePage(this.#page([], false));
    }
  }

  /** Changes are waited for; all else is answered at once. */
  poll(bytes: Uint8Array): Uint8Array | null {
    const query = queryIn(bytes);
    if (query?.op !== "changes") return this.query(bytes);
    const page = this.#find(query);
    const isNews =
      page.type === "compacted" || page.changes.length > 0 || page.nextRevision - query.fromRevision >= PASSED_BY_MAX;
    return isNews ? encodeChanges(page) : null;
  }

  snapshot(): Iterable<Uint8Array> {
    return snapshotOf(this.#state);
  }

  async restore(pieces: AsyncIterable<Uint8Array>): Promise<void> {
    this.#state = await readSnapshot(pieces, this.#bounds);
  }

  /** Who has watched changes that are lost is told so, and none of their revisions will come to mean another. */
  leap(): void {
    const changes = new RecentChanges(this.#bounds, this.#revision + REVISION_LEAP);
    this.#state = { store: this.#store, changes };
  }

  isEmpty(): boolean {
    return this.#store.size === 0;
  }

  replacement(): Replacement {
    const reader = new SnapshotReader(this.#bounds);
    return {
      add: (piece) => reader.add(piece),
      snapshot: () => reader.pieces(),
      finish: () => {
        const state = reader.finish();
        return () => this.#replace(state);
      },
    };
  }

  /**
   * A store that nothing was ever done with goes on as the other one, revisions and changes included. Where somebody may
   * have watched, what the other remembers is not what came next: the changes begin anew, behind the revisions of both.
   */
  #replace(state: KeyValueState): void {
    const own = this.#revision;
    const changes = new RecentChanges(this.#bounds, Math.max(own, state.changes.lastRevision) + 1);
    this.#state = own === 0 ? state : { store: state.store, changes };
  }

  get #store(): Store {
    return this.#state.store;
  }

  get #changes(): RecentChanges {
    return this.#state.changes;
  }

  /** It counts the changes of the whole store. */
  get #revision(): number {
    return this.#changes.lastRevision;
  }

  #set(key: string, given: Value): number {
    const change = this.#changes.put(key, owned(given));
    // What is stored is what has changed: one object for both, since each of them is kept.
    this.#store.set(key, change);
    return change.revision;
  }

  #find({ prefix, fromRevision, limit }: KeyValueQuery & { readonly op: "changes" }): ChangesPage {
    const { firstRevision } = this.#changes;
    if (fromRevision < firstRevision) return { type: "compacted", firstRevision };
    return { type: "changes", ...this.#changes.find(prefix, fromRevision, Math.min(limit, LIST_LIMIT_MAX)) };
  }

  #page(entries: readonly KeyValueEntry[], more: boolean): KeyValuePage {
    return { entries, more, revision: this.#revision };
  }

  #increment(key: string, by: number): Uint8Array {
    const present = this.#store.get(key)?.value ?? "0";
    const number = typeof present === "string" && /^-?\d+$/.test(present) ? Number(present) : Number.NaN;
    const sum = number + by;
    if (!Number.isSafeInteger(number) || !Number.isSafeInteger(sum)) {
      return encodeRejected({ code: "NOT_A_NUMBER", message: `${quoted(key)} plus ${by} is not a safe integer.` });
    }
    return encodeResult("increment", { value: sum, revision: this.#set(key, String(sum)) });
  }

  #append(key: string, value: Value, valueBytesMax: number): Uint8Array {
    const present = this.#store.get(key)?.value ?? (typeof value === "string" ? "" : new Uint8Array(0));
    const joined = join(present, value);
    if (joined === null) {
      const message = `${quoted(key)} holds ${typeof present === "string" ? "text" : "bytes"}, and the other was to be appended.`;
      return encodeRejected({ code: "WRONG_TYPE", message });
    }
    const bytes = valueBytes(joined);
    if (bytes > valueBytesMax) {
      return encodeRejected({
        code: "TOO_LARGE",
        message: `${quoted(key)} would grow to ${bytes} bytes, of ${valueBytesMax}.`,
      });
    }
    return encodeResult("append", { bytes, revision: this.#set(key, joined) });
  }

  #list(prefix: string, after: string, limit: number): KeyValuePage {
    const entries: KeyValueEntry[] = [];
    let bytes = 0;
    const start = after > prefix ? after : prefix;
    for (const [key, stored] of this.#store.entries(start)) {
      if (!key.startsWith(prefix)) break;
      if (key === after && after !== "") continue;
      if (entries.length >= Math.min(limit, LIST_LIMIT_MAX) || bytes >= PAGE_BYTES_MAX)
        return this.#page(entries, true);
      entries.push(stored);
      bytes += key.length + valueBytes(stored.value);
    }
    return this.#page(entries, false);
  }
}

function queryIn(bytes: Uint8Array): KeyValueQuery | null {
  try {
    return decodeQuery(bytes);
  } catch {
    return null;
  }
}

/** Whatever the length of a key, an error that names it stays short. */
const quoted = (key: string): string => `"${key.length > 64 ? `${key.slice(0, 64)}…` : key}"`;

function matches(stored: KeyValueEntry | undefined, expected: Expected): boolean {
  if ("revision" in expected) return (stored?.revision ?? 0) === expected.revision;
  return stored !== undefined && equal(stored.value, expected.value);
}

function equal(a: Value, b: Value): boolean {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i]);
}

/** Text joins text, and bytes join bytes. */
function join(a: Value, b: Value): Value | null {
  if (typeof a === "string" && typeof b === "string") return a + b;
  if (typeof a === "string" || typeof b === "string") return null;
  const joined = new Uint8Array(a.byteLength + b.byteLength);
  joined.set(a);
  joined.set(b, a.byteLength);
  return joined;
}
