/**
 * Several machines that share one log, each with a name space of its own. One needs no name and is there from the
 * beginning; the others are, from the entry on by which the leader has activated them.
 */

import { ByteReader, ByteWriter } from "../bytes.ts";
import { ConclaveError } from "../errors.ts";
import type { AnyMachine } from "./definition.ts";
import type {
  ApplyContext,
  MachineTimer,
  MachineVersion,
  Replacement,
  StateMachine,
  SupportedMachine,
} from "./machine.ts";
import { TypedMachine, type TypedMachineOptions } from "./typed-machine.ts";
import { absent, addressee, type CallRefusal, inactive } from "./typed-protocol.ts";

/** Between the name of a machine, which has none in it, and that of its timer. */
const COLON = ":";
const Piece = { names: 1, named: 2, root: 3 } as const;

/**
 * Machines that share one log, as one.
 *
 * @example
 * ```ts
 * import { KeyValueMachine, Machines, machine } from "conclave";
 *
 * const tally = machine({
 *   name: "tally",
 *   version: 1,
 *   state: () => ({ sum: 0 }),
 *   commands: { add: (state, by: number) => (state.sum += by) },
 * });
 * // What `startNode` takes for its machine.
 * const both = new Machines(new KeyValueMachine(), [tally], { isGuarded: true });
 * console.log(both.supported().map(({ name }) => name)); // [ 'tally' ]
 * ```
 */
export class Machines implements StateMachine {
  readonly #root: StateMachine;
  readonly #definitions: ReadonlyMap<string, AnyMachine>;
  readonly #options: TypedMachineOptions;
  /** Only if the machine without a name can be restored from a backup. */
  readonly replacement?: () => Replacement;
  /** Those that are active, in the order of their names. */
  #active: ReadonlyMap<string, TypedMachine> = new Map();

  /**
   * @param root the one that has no name
   * @throws ConclaveError `INVALID_ARGUMENT` if two have the same name
   */
  constructor(root: StateMachine, definitions: readonly AnyMachine[], options: TypedMachineOptions) {
    this.#root = root;
    this.#definitions = new Map(definitions.map((definition) => [definition.name, definition]));
    this.#options = options;
    if (this.#definitions.size < definitions.length) {
      throw new ConclaveError("INVALID_ARGUMENT", "Two machines have the same name.");
    }
    const { replacement } = root;
    if (replacement !== undefined) this.replacement = () => this.#replacement(replacement.call(root));
  }

  apply(command: Uint8Array, context: ApplyContext): Uint8Array {
    const address = addressIn(command);
    if (address === null) return this.#root.apply(command, context);
    const machine = this.#active.get(address.machine);
    if (machine === undefined) return absent(address.rest, unknown(address.machine));
    return machine.apply(address.rest, named(address.machine, context));
  }

  query(query: Uint8Array): Uint8Array {
    const address = addressIn(query);
    if (address === null) return this.#root.query(query);
    return this.#active.get(address.machine)?.query(address.rest) ?? absent(address.rest, unknown(address.machine));
  }

  /** @throws ConclaveError `BAD_MESSAGE` if the machine without a name takes no such questions */
  poll(query: Uint8Array): Uint8Array | null {
    const address = addressIn(query);
    if (address !== null) {
      const machine = this.#active.get(address.machine);
      return machine === undefined ? absent(address.rest, unknown(address.machine)) : machine.poll(address.rest);
    }
    if (this.#root.poll !== undefined) return this.#root.poll(query);
    throw new ConclaveError("BAD_MESSAGE", "This state machine takes no questions that wait for their answers.");
  }

  snapshot(): Iterable<Uint8Array> {
    const machines = [...this.#active].map(([name, machine]) => ({ name, version: machine.version, machine }));
    const pieces = machines.map(({ machine }) => machine.snapshot());
    return piecesOf(namesPiece(machines), pieces, this.#root.snapshot());
  }

  get snapshotForm(): number {
    return this.#root.snapshotForm ?? 0;
  }

  async restore(pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const machines = new Map<string, TypedMachine>();
    const reader = new NamedReader(({ name, version }) => {
      const machine = this.#create(name, version);
      machines.set(name, machine);
      return machine.reception();
    });
    // The machine without a name comes last: should anything fail before it is restored, all is as it was.
    await this.#root.restore(rootPieces(pieces, reader));
    reader.finish()();
    this.#active = machines;
  }

  leap(): void {
    for (const machine of this.#active.values()) machine.leap();
    this.#root.leap?.();
  }

  isEmpty(): boolean {
    return this.#root.isEmpty?.() === true && [...this.#active.values()].every((machine) => machine.isEmpty());
  }

  *timers(): Iterable<MachineTimer> {
    for (const [name, machine] of this.#active) {
      for (const timer of machine.timers()) yield { ...timer, id: name + COLON + timer.id };
    }
    yield* this.#root.timers?.() ?? [];
  }

  fire(id: string, generation: number, context: ApplyContext): void {
    const end = id.indexOf(COLON);
    const name = id.slice(0, Math.max(0, end));
    const machine = this.#active.get(name);
    if (machine === undefined) this.#root.fire?.(id, generation, context);
    else machine.fire(id.slice(end + 1), generation, named(name, context));
  }

  supported(): readonly SupportedMachine[] {
    return [...this.#definitions.values()].map((definition) => ({
      name: definition.name,
      versions: versionsOf(definition),
      active: this.#active.get(definition.name)?.version ?? null,
    }));
  }

  activate({ name, version }: MachineVersion): void {
    const present = this.#active.get(name);
    if (present === undefined) {
      const entries = [...this.#active, [name, this.#create(name, version)] as const];
      this.#active = new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
    } else if (present.version < version) present.upgradeTo(version);
  }

  rehearse({ name, version }: MachineVersion): void {
    const present = this.#active.get(name);
    if (present === undefined) this.#create(name, version);
    else present.rehearseUpgrade(version);
  }

  /**
   * What a backup may hold is decided by what is active, which every replica agrees on, and not by what this program has.
   */
  #replacement(root: Replacement): Replacement {
    const missing = new Map(this.#active);
    const reader = new NamedReader(({ name, version }) => {
      const machine = this.#active.get(name);
      if (machine?.version !== version) throw new RangeError(notHere(name, version, machine?.version));
      missing.delete(name);
      return machine.replacement();
    });
    return {
      add: (piece) => {
        if (piece[0] === Piece.root) root.add(piece.subarray(1));
        else reader.add(piece);
      },
      snapshot: () => piecesOf(reader.namesPiece, reader.snapshots(), root.snapshot()),
      finish: () => {
        const replaceAll = [reader.finish(), root.finish()];
        return () => {
          for (const replace of replaceAll) replace();
          for (const machine of missing.values()) machine.startOver();
        };
      },
    };
  }

  /** @throws ConclaveError `MACHINE_MISSING`, `MACHINE_FAILED` */
  #create(name: string, version: number): TypedMachine {
    const definition = this.#definitions.get(name);
    if (definition !== undefined) return new TypedMachine(definition, version, this.#options);
    const message = `The cluster uses machine "${name}" in version ${version}, and this program does not have it: start one that does.`;
    throw new ConclaveError("MACHINE_MISSING", message);
  }
}

function versionsOf(newest: AnyMachine): number[] {
  const versions: number[] = [];
  for (let at: AnyMachine | undefined = newest; at !== undefined; at = at.upgrade?.from) versions.push(at.version);
  return versions;
}

/** Null for the machine that has no name. */
function addressIn(bytes: Uint8Array): ReturnType<typeof addressee> {
  try {
    return addressee(bytes);
  } catch {
    return { machine: "", rest: bytes };
  }
}

const unknown = (name: string): CallRefusal => inactive(name, `The cluster uses no machine named "${name}".`);

const notHere = (name: string, version: number, own: number | undefined): string =>
  own === undefined
    ? `it holds machine "${name}", which this cluster does not use`
    : `it holds machine "${name}" in version ${version}, and this cluster uses version ${own}`;

/** The context for a machine that has a name: its timers have it, too. */
const named = (name: string, { timers, ...context }: ApplyContext): ApplyContext => ({
  ...context,
  timers: {
    set: (timer) => timers.set({ ...timer, id: name + COLON + timer.id }),
    clear: (id) => timers.clear(name + COLON + id),
  },
});

/** Which machines with names there are. */
function namesPiece(machines: readonly MachineVersion[]): Uint8Array {
  const writer = new ByteWriter().u8(Piece.names).u32(machines.length);
  for (const { name, version } of machines) writer.text(name).u32(version);
  return writer.finish();
}

function* piecesOf(
  names: Uint8Array,
  machines: readonly Iterable<Uint8Array>[],
  root: Iterable<Uint8Array>,
): Generator<Uint8Array> {
  yield names;
  for (const [i, pieces] of machines.entries()) {
    for (const piece of pieces) yield new ByteWriter(5 + piece.byteLength).u8(Piece.named).u32(i).raw(piece).finish();
  }
  for (const piece of root) yield new ByteWriter(1 + piece.byteLength).u8(Piece.root).raw(piece).finish();
}

/** The pieces of the machine that has no name, once all of those with names are whole. */
async function* rootPieces(pieces: AsyncIterable<Uint8Array>, reader: NamedReader): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    if (piece[0] !== Piece.root) reader.add(piece);
    else {
      reader.finish();
      yield piece.subarray(1);
    }
  }
  reader.finish();
}

/** The pieces of the machines that have names. */
class NamedReader {
  readonly #begin: (machine: MachineVersion) => Replacement;
  #machines: readonly Replacement[] | null = null;
  #names = new Uint8Array(0);
  #finished: readonly (() => void)[] | null = null;

  constructor(begin: (machine: MachineVersion) => Replacement) {
    this.#begin = begin;
  }

  get namesPiece(): Uint8Array {
    return this.#names;
  }

  snapshots(): Iterable<Uint8Array>[] {
    return (this.#machines ?? []).map((machine) => machine.snapshot());
  }

  /** @throws if it is no piece of this snapshot */
  add(piece: Uint8Array): void {
    const reader = new ByteReader(piece);
    const kind = reader.u8();
    if (kind === Piece.names && this.#machines === null) {
      const machines: MachineVersion[] = [];
      for (let left = reader.u32(); left > 0; left--) machines.push({ name: reader.text(), version: reader.u32() });
      reader.end();
      this.#names = piece.slice();
      this.#machines = machines.map(this.#begin);
      return;
    }
    const machine = kind === Piece.named ? this.#machines?.[reader.u32()] : undefined;
    if (machine === undefined || this.#finished !== null)
      throw new RangeError(`a piece of kind ${kind} is out of place`);
    machine.add(reader.raw(reader.remaining));
  }

  /** @throws if a piece is missing */
  finish(): () => void {
    if (this.#machines === null) throw new RangeError("a snapshot begins with the names of its machines");
    this.#finished ??= this.#machines.map((machine) => machine.finish());
    const replaceAll = this.#finished;
    return () => {
      for (const replace of replaceAll) replace();
    };
  }
}
