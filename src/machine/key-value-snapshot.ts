/** The state of the key-value store as pieces of bytes: first the keys, then the changes that are remembered. */

import { ByteReader, ByteWriter } from "../bytes.ts";
import { type Change, readChange, readEntry, type Value, writeChange, writeEntry } from "./key-value-protocol.ts";
import { type ChangesBounds, RecentChanges } from "./recent-changes.ts";
import { emptyTree, type Tree } from "./tree.ts";

/** Ordered, for listing; and cheap to clone, for snapshots. */
export type Store = Tree<string, Stored>;

export interface Stored {
  readonly value: Value;
  /** That of the key's last change. */
  readonly revision: number;
}

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
  const begin = (part: number): ByteWriter =>
    new ByteWriter(PIECE_ROOM_BYTES).u8(part).u53(firstRevision).u53(lastRevision);
  return piecesOf(store.clone(), changes.all(), begin);
}

function* piecesOf(
  store: Store,
  changes: readonly Change[],
  begin: (part: number) => ByteWriter,
): Generator<Uint8Array> {
  const writeStored = (piece: ByteWriter, [key, stored]: [string, Stored]): void =>
    writeEntry(piece, { key, ...stored });
  yield* packed(store.entries(), () => begin(Part.entries), writeStored);
  yield* packed(changes, () => begin(Part.changes), writeChange);
}

function* packed<Item>(
  items: Iterable<Item>,
  begin: () => ByteWriter,
  write: (piece: ByteWriter, item: Item) => void,
): Generator<Uint8Array> {
  let piece = begin();
  for (const item of items) {
    write(piece, item);
    if (piece.length < PIECE_BYTES_MAX) continue;
    yield piece.finish();
    piece = begin();
  }
  yield piece.finish();
}

/** @throws RangeError, TypeError if the pieces are no snapshot; or what they end in */
export async function readSnapshot(pieces: AsyncIterable<Uint8Array>, bounds: ChangesBounds): Promise<KeyValueState> {
  let state: (KeyValueState & { readonly revision: number }) | null = null;
  for await (const piece of pieces) {
    const reader = new ByteReader(piece);
    const part = reader.u8();
    const firstRevision = reader.u53();
    const revision = reader.u53();
    state ??= { store: emptyTree(), changes: new RecentChanges(bounds, firstRevision - 1), revision };
    if (revision !== state.revision) throw new RangeError(`revision ${revision} is mixed with ${state.revision}`);
    if (part === Part.entries) readEntries(reader, state.store);
    else if (part === Part.changes) readChanges(reader, state.changes);
    else throw new RangeError(`a piece of kind ${part} is not known`);
  }
  if (state === null) throw new RangeError("a snapshot has pieces, and there are none");
  const { lastRevision } = state.changes;
  if (lastRevision !== state.revision) throw new RangeError(`the changes end at ${lastRevision} of ${state.revision}`);
  return state;
}

function readEntries(reader: ByteReader, store: Store): void {
  while (reader.remaining > 0) {
    const { key, value, revision } = readEntry(reader);
    store.set(key, { value: owned(value), revision });
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
