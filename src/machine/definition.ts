/**
 * Machines as their users write them: plain synchronous functions over plain state. A definition says what a machine
 * does; nodes run it (`typed-machine.ts`), and clients know from it what they may call.
 */

import { ConclaveError } from "../errors.ts";

/**
 * Thrown by a command to refuse it: the state stays as it was, and the caller gets a `ConclaveError` with the code
 * `REJECTED`, this code as `details.reason`, and these details as `details.details`. Anything else that a command throws
 * is a bug of the machine.
 *
 * @example
 * ```ts
 * import { ConclaveError, machine, Rejection } from "conclave";
 * import { testCluster } from "conclave/testing";
 *
 * const till = machine({
 *   name: "till",
 *   version: 1,
 *   state: () => ({ left: 10 }),
 *   commands: {
 *     take(state, amount: number) {
 *       state.left -= amount;
 *       if (state.left < 0) throw new Rejection("NOT_ENOUGH"); // Nothing has changed.
 *     },
 *   },
 * });
 * await using cluster = await testCluster({ machines: [till] });
 * const refusal = await cluster.client.of(till).take(11).catch((error) => error);
 * console.log(refusal.code, refusal.details.reason); // REJECTED NOT_ENOUGH
 * ```
 */
export class Rejection extends Error {
  override readonly name = "Rejection";
  readonly code: string;
  readonly details: unknown;

  constructor(code: string, details?: unknown, message = code) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/**
 * What a command gets beside state and arguments: all that it may know, the same on every replica.
 *
 * @example
 * ```ts
 * import { type CommandContext, machine } from "conclave";
 *
 * const add = (state: Map<string, string>, text: string, context: CommandContext): string => {
 *   const id = context.id();
 *   state.set(id, text);
 *   context.setTimer(id, 60_000, "forget", id);
 *   return id;
 * };
 * const notes = machine({
 *   name: "notes",
 *   version: 1,
 *   state: () => new Map<string, string>(),
 *   commands: { add, forget: (state, id: string) => state.delete(id) },
 * });
 * ```
 */
export interface CommandContext<Change = unknown> {
  /** Where in the log the command stands. */
  readonly index: number;
  /** The time of day when a leader took it in, in milliseconds since 1970. It never goes back. */
  readonly timeMs: number;
  /** In [0, 1), from a source that is seeded by the command's place in the log. */
  random(): number;
  /** A text that no other call of this machine gives, now or later; short, and not hard to guess. */
  id(): string;
  /** A number that no other call of this machine gives, and larger than every one before: a fencing token. */
  token(): number;
  /** The revision of the last change that was emitted before: whoever subscribes behind it misses nothing that follows. */
  readonly revision: number;
  /** Tells subscribers of a change, if the command goes through: those to everything, and those to this topic. */
  emit(change: Change, topic?: string): void;
  /**
   * Has a command of this machine applied once `delayMs` have passed by the leader's clock, or later: a new leader gives
   * every timer its full time again. A timer of the same id is set anew.
   */
  setTimer(id: string, delayMs: number, command: string, args?: unknown): void;
  /** A timer that is not set needs no clearing. */
  clearTimer(id: string): void;
}

/** Changes the state, and may return a plain value. */
export type CommandFunction<State, Change> = (state: State, args: never, context: CommandContext<Change>) => unknown;
/** Looks at the state, and returns a plain value. */
export type QueryFunction<State> = (state: State, args: never, context: QueryContext) => unknown;

/** What a query gets beside state and arguments. */
export interface QueryContext {
  /** The revision of the last change that was emitted: whoever subscribes behind it misses nothing that follows. */
  readonly revision: number;
}

/**
 * What Standard Schema libraries, such as valibot, zod and arktype, have in common (standardschema.dev).
 *
 * @example
 * ```ts
 * import { machine, type StandardSchema } from "conclave";
 *
 * const text: StandardSchema<string> = {
 *   "~standard": {
 *     version: 1,
 *     vendor: "by hand",
 *     validate: (value) => (typeof value === "string" ? { value } : { issues: [{ message: "a text is needed" }] }),
 *   },
 * };
 * const names = machine({
 *   name: "names",
 *   version: 1,
 *   state: () => new Set<string>(),
 *   commands: { add: (state, name: string) => void state.add(name) },
 *   args: { add: text },
 * });
 * ```
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/**
 * How many of the changes that a machine emits are kept for those who subscribe later, and of what type they are.
 *
 * @example
 * ```ts
 * import { type Changes, changesOf } from "conclave";
 *
 * const moves: Changes<{ from: string; to: string }> = changesOf({ countMax: 1_000 });
 * ```
 */
export interface Changes<Change> {
  readonly countMax: number;
  readonly bytesMax: number;
  /** Only a type: nothing is ever there. */
  readonly change?: Change;
}

/**
 * Says that a machine emits changes of this type, and keeps the last of them. Every node must have the same bounds.
 *
 * @example
 * ```ts
 * import { changesOf, machine } from "conclave";
 *
 * const chat = machine({
 *   name: "chat",
 *   version: 1,
 *   state: () => ({}),
 *   changes: changesOf<{ text: string }>(),
 *   commands: { say: (_, text: string, context) => context.emit({ text }) },
 * });
 * ```
 */
export const changesOf = <Change>(
  bounds: { readonly countMax?: number; readonly bytesMax?: number } = {},
): Changes<Change> => ({ countMax: 10_000, bytesMax: 8 * 1024 * 1024, ...bounds });

type Commands<State, Change> = Readonly<Record<string, CommandFunction<State, Change>>>;
type Queries<State> = Readonly<Record<string, QueryFunction<State>>>;
type Schemas = Readonly<Record<string, StandardSchema | undefined>>;

/**
 * What `machine` takes.
 *
 * @example
 * ```ts
 * import { type MachineOptions, machine } from "conclave";
 *
 * const commands = { add: (state: { sum: number }, by: number) => (state.sum += by) };
 * const options: MachineOptions<{ sum: number }, never, typeof commands, object, object> = {
 *   name: "tally",
 *   version: 1,
 *   state: () => ({ sum: 0 }),
 *   commands,
 * };
 * ```
 */
export interface MachineOptions<State, Change, C, Q, A> {
  /** Its name in the cluster: letters, digits, "-" and "_". */
  readonly name: string;
  /** A whole number from 1 on; a larger one for each change of what commands do or what the state holds. */
  readonly version: number;
  /** The state before the first command: objects, arrays, Map, Set, text, numbers, bigint, Date, typed arrays. */
  readonly state: () => State;
  readonly commands: C;
  readonly queries?: Q;
  readonly changes?: Changes<Change>;
  /**
   * What arguments are checked with before they are sent, by name of the command or query: any Standard Schema. It is the
   * caller that checks: one with another definition may send others, which a command can still reject.
   */
  readonly args?: A;
  /** What its state looks like in snapshots, if not as plain values do. */
  readonly snapshot?: SnapshotForm<NoInfer<State>>;
  /** How this version came from the one before. Without it, a cluster that runs another version can't go over to this. */
  readonly upgrade?: Upgrade<State>;
}

/**
 * A form of its own in which a machine's state stands in snapshots: smaller than plain values, say, or without what can be
 * found out from the rest. All of it is written and read at once, and the node does nothing else meanwhile. Another form
 * is another version of the machine.
 *
 * @example
 * ```ts
 * import { machine } from "conclave";
 *
 * const seats = machine({
 *   name: "seats",
 *   version: 1,
 *   state: () => ({ taken: new Set<number>() }),
 *   commands: { take: (state, seat: number) => void state.taken.add(seat) },
 *   snapshot: {
 *     save: ({ taken }) => Uint8Array.from(taken),
 *     load: (bytes) => ({ taken: new Set(bytes) }),
 *   },
 * });
 * console.log(seats.snapshot?.save({ taken: new Set([7, 9]) }).byteLength); // 2
 * ```
 */
export interface SnapshotForm<State> {
  /** The same bytes on every replica, since replicas compare them. */
  save(state: State): Uint8Array;
  /** The state, from what `save` has made of it. */
  load(bytes: Uint8Array): State;
}

/**
 * The way from one version to the next. A node that has the new version runs the old one, exactly as it was, until the
 * whole cluster goes over at one entry of the log; that is why the old definition is a part of the new one.
 *
 * @example
 * ```ts
 * import { machine, type Upgrade } from "conclave";
 *
 * const common = { name: "tally", commands: { add: (state: { sum: number }, by: number) => (state.sum += by) } };
 * const first = machine({ ...common, version: 1, state: () => ({ sum: 0 }) });
 * const upgrade: Upgrade<{ sum: number; note: string }> = {
 *   from: first,
 *   state: ({ sum }: { sum: number }) => ({ sum, note: "from version 1" }),
 * };
 * const second = machine({ ...common, version: 2, state: () => ({ sum: 0, note: "" }), upgrade });
 * ```
 */
export interface Upgrade<State> {
  readonly from: AnyMachine;
  /** The state of the new version, from a copy of the old one's. */
  readonly state: (old: never) => State;
  /** What a command of the old version is in the new one. By default the command of the same name and arguments. */
  readonly command?: (name: string, args: unknown) => { readonly name: string; readonly args: unknown };
}

/**
 * A machine: what nodes run and clients call. Made by `machine`.
 *
 * @example
 * ```ts
 * import { type Client, type Machine, machine } from "conclave";
 *
 * const tally = machine({
 *   name: "tally",
 *   version: 1,
 *   state: () => ({ sum: 0 }),
 *   commands: { add: (state, by: number) => (state.sum += by) },
 * });
 * ```
 */
export interface Machine<State, Change, C, Q, A> extends MachineOptions<State, Change, C, Q, A> {
  readonly queries: Q;
}

/**
 * Some machine, whatever its types: its functions know what they take, and nobody else need.
 *
 * @example
 * ```ts
 * import { type AnyMachine, machine } from "conclave";
 *
 * const tally = machine({ name: "tally", version: 1, state: () => ({ sum: 0 }), commands: {} });
 * const titleOf = ({ name, version }: AnyMachine): string => `${name} ${version}`;
 * console.log(titleOf(tally)); // tally 1
 * ```
 */
export interface AnyMachine {
  readonly name: string;
  readonly version: number;
  readonly state: () => unknown;
  readonly commands: Readonly<Record<string, (state: never, args: never, context: never) => unknown>>;
  readonly queries?: Readonly<Record<string, (state: never, args: never, context: never) => unknown>>;
  readonly changes?: Changes<unknown>;
  readonly args?: Schemas;
  readonly snapshot?: SnapshotForm<unknown>;
  readonly upgrade?: Upgrade<unknown>;
}

const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/;
/** What a client's object has beside commands and queries, or must not have. */
const TAKEN = ["changes", "then", "constructor", "__proto__"];

/**
 * Defines a machine.
 *
 * @example
 * ```ts
 * import { machine } from "conclave";
 * import { testCluster } from "conclave/testing";
 *
 * const tally = machine({
 *   name: "tally",
 *   version: 1,
 *   state: () => ({ sum: 0 }),
 *   commands: { add: (state, { by }: { by: number }) => (state.sum += by) },
 *   queries: { sum: (state) => state.sum },
 * });
 * await using cluster = await testCluster({ machines: [tally] });
 * await cluster.client.of(tally).add({ by: 2 });
 * console.log(await cluster.client.of(tally).sum()); // 2
 * ```
 *
 * @throws ConclaveError `INVALID_ARGUMENT` if a name can't be used or is unknown, or versions do not follow one another
 */
export function machine<
  State,
  C extends Commands<State, Change>,
  Q extends Queries<State>,
  A extends Schemas,
  Change = never,
>(options: MachineOptions<State, Change, C, Q, A> & Known<C, Q, A>): Machine<State, Change, C, Q, A> {
  const { name, version, commands, queries = {} as Q, args = {}, upgrade } = options;
  const wrong = (why: string): ConclaveError => new ConclaveError("INVALID_ARGUMENT", `The machine "${name}" ${why}.`);
  if (!NAME.test(name)) throw wrong('needs a name of letters, digits, "-" and "_", and at most 63 of them');
  if (!Number.isInteger(version) || version < 1 || version > 2 ** 31) throw wrong("needs a version from 1 on");
  for (const called of [...Object.keys(commands), ...Object.keys(queries)]) {
    if (TAKEN.includes(called)) throw wrong(`can't have a command or query named "${called}"`);
    if (Object.hasOwn(commands, called) && Object.hasOwn(queries, called)) {
      throw wrong(`has a command and a query named "${called}"`);
    }
  }
  for (const checked of Object.keys(args)) {
    if (!Object.hasOwn(commands, checked) && !Object.hasOwn(queries, checked)) {
      throw wrong(`has no command or query named "${checked}" to check arguments of`);
    }
  }
  if (upgrade !== undefined && (upgrade.from.name !== name || upgrade.from.version >= version)) {
    throw wrong(`can be an upgrade only of an older version of itself`);
  }
  return { ...options, queries };
}

/** What was left out of a definition is inferred as any names there could be. */
type Given<T> = string extends keyof T ? Record<never, never> : T;

/** Arguments are checked only of commands and queries that there are. */
interface Known<C, Q, A> {
  readonly args?: Readonly<Record<Exclude<keyof Given<A>, keyof C | keyof Given<Q>>, never>>;
}

/** What `name` takes, before it is checked if there is a schema for it. */
type ArgsIn<F, A, K> = K extends keyof A
  ? A[K] extends StandardSchema<infer Input, unknown>
    ? Input
    : ArgsOf<F>
  : ArgsOf<F>;
type ArgsOf<F> = F extends (state: never, ...rest: infer Rest) => unknown ? Rest[0] : never;
type ResultOf<F> = F extends (...args: never) => infer Result ? Result : never;

/** Arguments that a function has no type for, since it does not look at them, are `never`. */
type Method<Args, Options, Result> = [Args] extends [never]
  ? (args?: undefined, options?: Options) => Promise<Result>
  : undefined extends Args
    ? (args?: Args, options?: Options) => Promise<Result>
    : (args: Args, options?: Options) => Promise<Result>;

/** The functions of a machine as methods of its client. */
export type MethodsOf<F, A, Options> = {
  readonly [K in keyof Given<F>]: Method<ArgsIn<Given<F>[K], Given<A>, K>, Options, ResultOf<Given<F>[K]>>;
};

/**
 * Checks the arguments of a call.
 *
 * @returns what the schema makes of them
 * @throws ConclaveError `INVALID_ARGUMENT`
 */
export function checkedArgs({ name: machineName, args: schemas }: AnyMachine, name: string, given: unknown): unknown {
  const schema = schemas !== undefined && Object.hasOwn(schemas, name) ? schemas[name] : undefined;
  if (schema === undefined) return given;
  const result = schema["~standard"].validate(given);
  const wrong = (why: string): ConclaveError => new ConclaveError("INVALID_ARGUMENT", `${machineName}.${name}: ${why}`);
  // To wait for it would let a later command overtake this one.
  if (result instanceof Promise) throw wrong("a schema that takes its time to answer can't be used here");
  if (result.issues === undefined) return result.value;
  throw wrong(result.issues.map(issueText).join("; "));
}

function issueText({ message, path = [] }: SchemaIssue): string {
  const where = path.map((step) => String(typeof step === "object" ? step.key : step)).join(".");
  return where === "" ? message : `${where}: ${message}`;
}
