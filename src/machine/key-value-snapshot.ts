/** The state of the key-value store as pieces of bytes: first the keys, then the changes that are remembered. */

import { ByteReader, ByteWriter } from "../bytes.ts";
import {
  type Change,
  type KeyValueEntry,
  readChange,
  readEntry,
  type Value,
  writeChange,
  writeEntry,
} from "./key-value-protocol.ts";
import { type ChangesBounds, RecentChanges } from "./recent-changes.ts";
import { emptyTree, type Tree } from "./tree.ts";

/** Ordered, for listing; and cheap to clone, for snapshots. */
export type Store = Tree<string, KeyValueEntry>;

export interface KeyValueState {
  readonly store: Store;
  readonly changes: RecentChanges;
}

/** A piece ends once it holds this much; the room is for what it may hold then. */
const PIECE_BYTES_MAX = 64 * 1024;
const PIECE_ROOM_BYTES = PIECE_BYTES_MAX + 8 * 1024;

/** What a piece holds. */
const Part = { entries: 1, changes: 2 } as const;

/** The state as it is now, whatever happens to it while the pieces are drawn. */
export function snapshotOf({ store, changes }: KeyValueState): Iterable<Uint8Array> {
  const { firstRevision, lastRevision } = changes;
  return piecesOf(store.clone(), changes.all(), (part) => begin(part, firstRevision, lastRevision));
}

const begin = (part: number, firstRevision: number, lastRevision: number): ByteWriter =>
  new ByteWriter(PIECE_ROOM_BYTES).u8(part).u53(firstRevision).u53(lastRevision);

function* piecesOf(
  store: Store,
  changes: readonly Change[],
  beginPiece: (part: number) => ByteWriter,
): Generator<Uint8Array> {
  yield* packed(store.values(), () => beginPiece(Part.entries), writeEntry);
  yield* packed(changes, () => beginPiece(Part.changes), writeChange);
}

function* packed<Item>(
  items: Iterable<Item>,
  beginPiece: () => ByteWriter,
  write: (piece: ByteWriter, item: Item) => void,
): Generator<Uint8Array> {
  let piece = beginPiece();
  for (const item of items) {
    write(piece, item);
    if (piece.length < PIECE_BYTES_MAX) continue;
    yield piece.finish();
    piece = beginPiece();
  }
  yield piece.finish();
}

/** @throws RangeError, TypeError if the pieces are no snapshot; or what they end in */
export async function readSnapshot(pieces: AsyncIterable<Uint8Array>, bounds: ChangesBounds): Promise<KeyValueState> {
  const reader = new SnapshotReader(bounds);
  for await (const piece of pieces) reader.add(piece);
  return reader.finish();
}

/** A state that comes piece by piece. */
export class SnapshotReader {
  readonly #bounds: ChangesBounds;
  /** Null before the first piece. */
  #read: (KeyValueState & { readonly revision: number }) | null = null;

  constructor(bounds: ChangesBounds) {
    this.#bounds = bounds;
  }

  /** @throws RangeError, TypeError if the piece is none of this snapshot */
  add(piece: Uint8Array): void {
    const reader = new ByteReader(piece);
    const part = reader.u8();
    const firstRevision = reader.u53();
    const revision = reader.u53();
    const changes = (): RecentChanges => new RecentChanges(this.#bounds, firstRevision - 1);
    this.#read ??= { store: emptyTree(), changes: changes(), revision };
    const read = this.#read;
    if (revision !== read.revision) throw new RangeError(`revision ${revision} is mixed with ${read.revision}`);
    if (part === Part.entries) readEntries(reader, read.store);
    else if (part === Part.changes) readChanges(reader, read.changes);
    else throw new RangeError(`a piece of kind ${part} is not known`);
  }

  /** What was added, as it is now, in pieces of which another reader makes the same. */
  pieces(): Iterable<Uint8Array> {
    if (this.#read === null) return [];
    const { store, changes, revision } = this.#read;
    const { firstRevision } = changes;
    return piecesOf(store.clone(), changes.all(), (part) => begin(part, firstRevision, revision));
  }

  /** @throws RangeError if something is missing */
  finish(): KeyValueState {
    if (this.#read === null) throw new RangeError("a snapshot has pieces, and there are none");
    const { store, changes, revision } = this.#read;
    const { lastRevision } = changes;
    if (lastRevision !== revision) throw new RangeError(`the changes end at ${lastRevision} of ${revision}`);
    if (!changes.areWhole) throw new RangeError("the changes end within a transaction");
    return { store, changes };
  }
}

function readEntries(reader: ByteReader, store: Store): void {
  while (reader.remaining > 0) {
    const { key, value, revision } = readEntry(reader);
    store.set(key, { key, value: owned(value), revision });
  }
}

function readChanges(reader: ByteReader, changes: RecentChanges): void {
  while (reader.remaining > 0) {
    const change = readChange(reader);
    changes.restore(change.type === "put" ? { ...change, value: owned(change.value) } : change);
  }
}

/** A value is a slice of the message or piece that brought it: a copy lets go of the rest. */
export const owned = (value: Value): Value => (typeof value === "string" ? value : new Uint8Array(value));
