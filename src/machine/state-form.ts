/** How the state of a machine stands in a snapshot: as plain values, piece by piece, or in a form of its user's own. */

import { ByteReader, ByteWriter } from "../bytes.ts";
import { messageOf } from "../errors.ts";
import type { AnyMachine, SnapshotForm } from "./definition.ts";
import { type PlainState, PlainStateReader } from "./plain-state.ts";

/** A state that comes piece by piece. */
export interface StateReader {
  /** What is kept of the piece is a copy. @throws RangeError, TypeError if it is not the next piece of a state */
  add(piece: Uint8Array): void;
  /** What was added so far, in pieces of which another reader makes the same. */
  pieces(): Iterable<Uint8Array>;
  /** The root of the state; it can be had once. @throws RangeError if something is missing, or makes no sense */
  finish(): unknown;
}

const PIECE_BYTES_MAX = 64 * 1024;

/** The state as it is now, whatever happens to it while the pieces are drawn. @throws whatever its user's form throws */
export function statePieces({ name, snapshot }: AnyMachine, state: PlainState<unknown>): Iterable<Uint8Array> {
  if (snapshot === undefined) return state.snapshot();
  const bytes: unknown = state.look((seen) => snapshot.save(seen as never));
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`"${name}" has saved what is no Uint8Array`);
  return cut(bytes);
}

export const stateReader = (definition: AnyMachine): StateReader =>
  definition.snapshot === undefined ? new PlainStateReader() : new OwnFormReader(definition.name, definition.snapshot);

/** How many bytes there are goes first. */
function* cut(bytes: Uint8Array): Generator<Uint8Array> {
  yield new ByteWriter().u53(bytes.byteLength).finish();
  for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES_MAX) yield bytes.subarray(at, at + PIECE_BYTES_MAX);
}

class OwnFormReader implements StateReader {
  readonly #name: string;
  readonly #form: SnapshotForm<unknown>;
  readonly #pieces: Uint8Array[] = [];
  #byteLength: number | null = null;
  #missing = 0;

  constructor(name: string, form: SnapshotForm<unknown>) {
    this.#name = name;
    this.#form = form;
  }

  add(piece: Uint8Array): void {
    if (this.#byteLength === null) {
      const reader = new ByteReader(piece);
      this.#byteLength = reader.u53();
      this.#missing = this.#byteLength;
      reader.end();
      return;
    }
    if (piece.byteLength > this.#missing) throw new RangeError(`${piece.byteLength - this.#missing} bytes too many`);
    this.#missing -= piece.byteLength;
    this.#pieces.push(piece.slice());
  }

  *pieces(): Generator<Uint8Array> {
    if (this.#byteLength === null) return;
    yield new ByteWriter().u53(this.#byteLength).finish();
    yield* [...this.#pieces];
  }

  finish(): unknown {
    if (this.#byteLength === null || this.#missing > 0) throw new RangeError("the last pieces of a state are missing");
    const bytes = new Uint8Array(this.#byteLength);
    let at = 0;
    for (const piece of this.#pieces) {
      bytes.set(piece, at);
      at += piece.byteLength;
    }
    try {
      return this.#form.load(bytes);
    } catch (cause) {
      throw new RangeError(`"${this.#name}" can't load its state: ${messageOf(cause)}`, { cause });
    }
  }
}
