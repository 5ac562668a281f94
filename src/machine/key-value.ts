/** The key-value store as a replicated state machine. */

import { ByteReader, ByteWriter } from "../bytes.ts";
import { messageOf } from "../errors.ts";
import {
  decodeCommand,
  decodeQuery,
  type Expected,
  encodePage,
  encodeRejected,
  encodeResult,
  type KeyValueCommand,
  type KeyValueEntry,
  type KeyValuePage,
  type KeyValueQuery,
  LIST_LIMIT_MAX,
  readEntry,
  type Value,
  valueBytes,
  writeEntry,
} from "./key-value-protocol.ts";
import type { StateMachine } from "./machine.ts";
import { emptyTree, type Tree } from "./tree.ts";

/** Ordered, for listing; and cheap to clone, for snapshots. */
type Store = Tree<string, Stored>;

interface Stored {
  readonly value: Value;
  readonly revision: number;
}

/** A page ends once it holds this much, whatever its limit. */
const PAGE_BYTES_MAX = 2 * 1024 * 1024;
/** A piece ends once it holds this much; the room is for what it may hold then. */
const PIECE_BYTES_MAX = 64 * 1024;
const PIECE_ROOM_BYTES = PIECE_BYTES_MAX + 8 * 1024;

/** Keys with values, in order; see `key-value-protocol.ts` for what can be asked of it. */
export class KeyValueMachine implements StateMachine {
  #store: Store = emptyTree();
  #revision = 0;

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
        if (existed) this.#revision++;
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
    let query: KeyValueQuery;
    try {
      query = decodeQuery(bytes);
    } catch {
      return encodePage({ entries: [], more: false });
    }
    if (query.op === "list") return encodePage(this.#list(query.prefix, query.after, query.limit));
    const stored = this.#store.get(query.key);
    return encodePage({ entries: stored === undefined ? [] : [{ key: query.key, ...stored }], more: false });
  }

  snapshot(): Iterable<Uint8Array> {
    return piecesOf(this.#store.clone(), this.#revision);
  }

  async restore(pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const store: Store = emptyTree();
    let revision = 0;
    for await (const piece of pieces) {
      const reader = new ByteReader(piece);
      revision = reader.u53();
      while (reader.remaining > 0) {
        const { key, value, revision: ofKey } = readEntry(reader);
        store.set(key, { value: owned(value), revision: ofKey });
      }
    }
    this.#store = store;
    this.#revision = revision;
  }

  #set(key: string, value: Value): number {
    this.#revision++;
    this.#store.set(key, { value: owned(value), revision: this.#revision });
    return this.#revision;
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
      if (entries.length >= Math.min(limit, LIST_LIMIT_MAX) || bytes >= PAGE_BYTES_MAX) return { entries, more: true };
      entries.push({ key, ...stored });
      bytes += key.length + valueBytes(stored.value);
    }
    return { entries, more: false };
  }
}

/** A value is a slice of the message that brought it: a copy lets go of the rest. */
const owned = (value: Value): Value => (typeof value === "string" ? value : new Uint8Array(value));

/** Whatever the length of a key, an error that names it stays short. */
const quoted = (key: string): string => `"${key.length > 64 ? `${key.slice(0, 64)}…` : key}"`;

function matches(stored: Stored | undefined, expected: Expected): boolean {
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

/** The store must be a clone: it is read while the machine goes on. */
function* piecesOf(store: Store, revision: number): Generator<Uint8Array> {
  let piece = new ByteWriter(PIECE_ROOM_BYTES).u53(revision);
  for (const [key, stored] of store.entries()) {
    writeEntry(piece, { key, ...stored });
    if (piece.length < PIECE_BYTES_MAX) continue;
    yield piece.finish();
    piece = new ByteWriter(PIECE_ROOM_BYTES).u53(revision);
  }
  yield piece.finish();
}
