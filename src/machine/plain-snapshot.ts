/**
 * Plain state as pieces of bytes, and back. First comes the root, without what is in its Maps and Sets; then, in the
 * order in which they are met, what is in each of them: its size, and its entries or members. A piece begins with its
 * number and ends behind the one of these that fills it.
 */

import { ByteReader, ByteWriter } from "../bytes.ts";
import { type Collection, isObject } from "./plain-value.ts";
import { readCount, readValue, writeCount, writeValue } from "./value-codec.ts";

/** A piece ends once it holds this much; the room is for what it may hold then. */
export const PIECE_BYTES_MAX = 64 * 1024;
const PIECE_ROOM_BYTES = 8 * 1024;

/** What was in a Map or Set before it was changed; a Map or Set of its own would take ten times as long to make. */
export interface Kept {
  readonly keys: readonly unknown[];
  /** Those of a Map. */
  readonly values: readonly unknown[];
}

export const keptOf = (collection: Collection): Kept => ({
  keys: Array.from(collection.keys()),
  values: collection instanceof Map ? Array.from(collection.values()) : [],
});

/** The pieces of a state as it was when this was made, provided that it is told of each change before it is made. */
export class Drawing implements IterableIterator<Uint8Array> {
  readonly #steps: Generator<Uint8Array, undefined>;
  readonly #pieceBytesMax: number;
  /** What is different by now; null for what was drawn. */
  readonly #kept = new Map<Collection, Kept | null>();
  readonly #onEnd: () => void;

  constructor(root: unknown, pieceBytesMax: number, onEnd: () => void) {
    this.#steps = this.#draw(root);
    this.#pieceBytesMax = pieceBytesMax;
    this.#onEnd = onEnd;
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<Uint8Array, undefined> {
    const step = this.#steps.next();
    if (step.done === true) this.#onEnd();
    return step;
  }

  /** Nobody wants more of them. */
  return(): IteratorResult<Uint8Array, undefined> {
    this.#onEnd();
    return this.#steps.return(undefined);
  }

  /** Does it have to be told what is in a Map or Set before that changes? */
  needs(collection: Collection): boolean {
    return !this.#kept.has(collection);
  }

  keep(collection: Collection, kept: Kept): void {
    this.#kept.set(collection, kept);
  }

  *#draw(root: unknown): Generator<Uint8Array, undefined> {
    let pieces = 0;
    let piece: ByteWriter | null = null;
    for (const write of this.#items(root)) {
      if (piece === null) {
        piece = new ByteWriter(this.#pieceBytesMax + PIECE_ROOM_BYTES);
        writeCount(piece, pieces++);
      }
      write(piece);
      if (piece.length < this.#pieceBytesMax) continue;
      yield piece.finish();
      piece = null;
    }
    if (piece !== null) yield piece.finish();
  }

  *#items(root: unknown): Generator<(piece: ByteWriter) => void, undefined> {
    const found: Collection[] = [];
    const write = (piece: ByteWriter, value: unknown): void =>
      writeValue(piece, value, (collection) => void found.push(collection));
    yield (piece) => write(piece, root);
    for (const collection of found) {
      yield (piece) => writeCount(piece, this.#kept.get(collection)?.keys.length ?? collection.size);
      for (const [key, value] of this.#entriesOf(collection)) {
        yield (piece) => {
          write(piece, key);
          if (collection instanceof Map) write(piece, value);
        };
      }
      this.#kept.set(collection, null);
    }
  }

  /** Those of the Map or Set itself, until it changes; the rest from what was kept of it. */
  *#entriesOf(collection: Collection): Generator<readonly [unknown, unknown], undefined> {
    let at = 0;
    if (!this.#kept.has(collection)) {
      for (const entry of collection.entries()) {
        yield entry;
        at++;
        if (this.#kept.has(collection)) break;
      }
    }
    const { keys, values } = this.#kept.get(collection) ?? NOTHING;
    for (; at < keys.length; at++) yield [keys[at], values[at]];
  }
}

const NOTHING: Kept = { keys: [], values: [] };

/** Roots that readers have made: plain values all through, which nobody has taken yet. */
const madeHere = new WeakSet<object>();

/** Is it such a root? Whoever asks takes it. */
export const takeMade = (root: unknown): boolean => isObject(root) && madeHere.delete(root);

/** A Map or Set that has been met, and within how many containers its items stand. */
interface Found {
  readonly collection: Collection;
  readonly depth: number;
}

/** A state that comes piece by piece. */
export class PlainStateReader {
  readonly #pieces: Uint8Array[] = [];
  readonly #found: Found[] = [];
  #root: unknown;
  /** How many of those found are full, or being filled. */
  #begun = 0;
  /** How many items the last of them lacks. */
  #lacking = 0;
  #isFinished = false;

  /** What is kept of the piece is a copy. @throws RangeError, TypeError if it is not the next piece of a state */
  add(piece: Uint8Array): void {
    const reader = new ByteReader(piece);
    const number = readCount(reader);
    const expected = this.#pieces.length;
    if (number !== expected) throw new RangeError(`piece ${number} of a state comes in place of piece ${expected}`);
    if (number === 0) this.#root = this.#read(reader, 0);
    while (reader.remaining > 0) this.#readNext(reader);
    this.#pieces.push(new Uint8Array(piece));
  }

  /** What was added so far, in pieces of which another reader makes the same. */
  pieces(): Iterable<Uint8Array> {
    return [...this.#pieces];
  }

  /** The root of the state; it can be had once. @throws RangeError if something is missing */
  finish(): unknown {
    const isWhole = this.#begun === this.#found.length && this.#lacking === 0;
    if (this.#pieces.length === 0 || !isWhole) throw new RangeError("the last pieces of a state are missing");
    if (this.#isFinished) throw new RangeError("the state has been taken");
    this.#isFinished = true;
    if (isObject(this.#root)) madeHere.add(this.#root);
    return this.#root;
  }

  #read(reader: ByteReader, depth: number): unknown {
    return readValue(reader, (collection, within) => void this.#found.push({ collection, depth: within }), depth);
  }

  #readNext(reader: ByteReader): void {
    if (this.#lacking === 0) {
      if (this.#begun === this.#found.length) throw new RangeError(`${reader.remaining} bytes too many`);
      this.#begun++;
      this.#lacking = readCount(reader);
      return;
    }
    const found = this.#found[this.#begun - 1];
    if (found === undefined) return;
    this.#lacking--;
    const key = this.#read(reader, found.depth);
    const { collection } = found;
    if (isObject(key) || collection.has(key)) throw new RangeError("a Map or Set has a key that it can't have");
    if (collection instanceof Map) collection.set(key, this.#read(reader, found.depth));
    else collection.add(key);
  }
}
