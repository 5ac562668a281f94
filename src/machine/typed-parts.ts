/** Everything that is replicated of a typed machine, and its way into a snapshot and back. */

import { ByteReader, ByteWriter } from "../bytes.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import type { AnyMachine } from "./definition.ts";
import { type KeptBounds, KeptChanges } from "./kept-changes.ts";
import type { MachineTimer } from "./machine.ts";
import { checkSynchronous, PlainState } from "./plain-state.ts";
import { type StateReader, statePieces, stateReader } from "./state-form.ts";

/** A timer, and what is to be done when it has run out. */
export interface Alarm extends MachineTimer {
  readonly command: string;
  readonly args: Uint8Array;
}

export interface Parts {
  /** The definition that is in force: the newest one, or one that it has come from. */
  readonly definition: AnyMachine;
  readonly state: PlainState<unknown>;
  readonly changes: KeptChanges;
  /** Those that are set, the one that was set last at the end. */
  readonly timers: Map<string, Alarm>;
  /** Counts what is given out only once: tokens, ids, settings of timers. */
  readonly serial: number;
}

const NO_CHANGES: KeptBounds = { countMax: 0, bytesMax: 0 };

/** What a machine keeps of its changes: by the definition in force, which all replicas agree on. */
export const boundsOf = ({ changes }: AnyMachine): KeptBounds => changes ?? NO_CHANGES;

/** @throws ConclaveError `MACHINE_FAILED` */
export const newParts = (definition: AnyMachine): Parts => ({
  definition,
  state: firstState(definition),
  changes: new KeptChanges(boundsOf(definition)),
  timers: new Map(),
  serial: 0,
});

function firstState({ name, state }: AnyMachine): PlainState<unknown> {
  try {
    const first = state();
    checkSynchronous(first, "what makes a state");
    return new PlainState(first);
  } catch (cause) {
    throw new ConclaveError("MACHINE_FAILED", `"${name}" can't begin: ${messageOf(cause)}`, { cause });
  }
}

/** The definition itself, or one that it has come from. @throws ConclaveError `MACHINE_MISSING` */
export function versionOf(newest: AnyMachine, version: number): AnyMachine {
  for (let at: AnyMachine | undefined = newest; at !== undefined; at = at.upgrade?.from) {
    if (at.version === version) return at;
  }
  const message = `The cluster uses machine "${newest.name}" in version ${version}, and this program has version ${newest.version}, with no way from one to the other: update it.`;
  throw new ConclaveError("MACHINE_MISSING", message);
}

/** The oldest definition that is newer than `version`. */
export function nextAfter(newest: AnyMachine, version: number): AnyMachine {
  let next = newest;
  while (next.upgrade !== undefined && next.upgrade.from.version > version) next = next.upgrade.from;
  return next;
}

const Piece = { head: 1, timers: 2, changes: 3, state: 4 } as const;
const PIECE_BYTES_MAX = 64 * 1024;

/**
 * The parts as they are now, whatever happens to them while the pieces are drawn.
 *
 * @throws whatever the machine throws where it writes its state itself
 */
export function snapshotOf({ definition, state, changes, timers, serial }: Parts): Iterable<Uint8Array> {
  const kept = changes.all();
  const set = [...timers.values()];
  const writer = new ByteWriter().u8(Piece.head).u32(definition.version).u53(serial).u53(changes.firstRevision);
  return piecesOf(writer.u32(kept.length).u32(set.length).finish(), kept, set, statePieces(definition, state));
}

function* piecesOf(
  head: Uint8Array,
  changes: ReturnType<KeptChanges["all"]>,
  timers: readonly Alarm[],
  state: Iterable<Uint8Array>,
): Generator<Uint8Array> {
  yield head;
  yield* packed(Piece.changes, changes, (writer, { topic, bytes }) => void writer.text(topic).bytes(bytes));
  yield* packed(Piece.timers, timers, (writer, { id, generation, delayMs, command, args }) => {
    writer.text(id).u53(generation).u53(delayMs).text(command).bytes(args);
  });
  for (const piece of state) yield new ByteWriter(1 + piece.byteLength).u8(Piece.state).raw(piece).finish();
}

function* packed<T>(
  kind: number,
  items: readonly T[],
  write: (writer: ByteWriter, item: T) => void,
): Generator<Uint8Array> {
  let writer = new ByteWriter().u8(kind);
  for (const item of items) {
    write(writer, item);
    if (writer.length < PIECE_BYTES_MAX) continue;
    yield writer.finish();
    writer = new ByteWriter().u8(kind);
  }
  if (writer.length > 1) yield writer.finish();
}

/** Parts that come piece by piece. */
export class PartsReader {
  readonly #newest: AnyMachine;
  #head: { readonly bytes: Uint8Array; readonly counts: { changes: number; timers: number } } | null = null;
  #parts: (Omit<Parts, "state"> & { readonly state: StateReader }) | null = null;

  /** @param newest the definition that this program has */
  constructor(newest: AnyMachine) {
    this.#newest = newest;
  }

  /** @throws RangeError, TypeError if the piece is none of this snapshot; ConclaveError `MACHINE_MISSING` */
  add(piece: Uint8Array): void {
    const reader = new ByteReader(piece);
    const kind = reader.u8();
    if (kind === Piece.head && this.#parts === null) {
      const definition = versionOf(this.#newest, reader.u32());
      const serial = reader.u53();
      const changes = new KeptChanges(boundsOf(definition), reader.u53() - 1);
      this.#parts = { definition, state: stateReader(definition), changes, timers: new Map(), serial };
      this.#head = { bytes: piece.slice(), counts: { changes: reader.u32(), timers: reader.u32() } };
      reader.end();
      return;
    }
    const parts = this.#parts;
    if (parts === null) throw new RangeError("a snapshot of a machine begins with its head");
    if (kind === Piece.state) parts.state.add(reader.raw(reader.remaining));
    else if (kind === Piece.changes) {
      while (reader.remaining > 0) parts.changes.add({ topic: reader.text(), bytes: reader.bytes().slice() });
    } else if (kind === Piece.timers) while (reader.remaining > 0) readTimer(reader, parts.timers);
    else throw new RangeError(`a piece of kind ${kind} is not known`);
  }

  /** What was added, as it is now, in pieces of which another reader makes the same. */
  pieces(): Iterable<Uint8Array> {
    if (this.#parts === null || this.#head === null) return [];
    const { changes, timers, state } = this.#parts;
    return piecesOf(this.#head.bytes, changes.all(), [...timers.values()], state.pieces());
  }

  /** @throws RangeError if something is missing */
  finish(): Parts {
    if (this.#parts === null || this.#head === null) throw new RangeError("a snapshot has pieces, and there are none");
    const { changes, timers, state } = this.#parts;
    const { counts } = this.#head;
    if (changes.all().length !== counts.changes || timers.size !== counts.timers) {
      throw new RangeError("changes or timers of the machine are missing");
    }
    return { ...this.#parts, state: new PlainState(state.finish()) };
  }
}

function readTimer(reader: ByteReader, timers: Map<string, Alarm>): void {
  const id = reader.text();
  const generation = reader.u53();
  const delayMs = reader.u53();
  const command = reader.text();
  timers.set(id, { id, generation, delayMs, command, args: reader.bytes().slice() });
}
