/** A machine of the cluster as an object: its commands and queries for methods, and the changes that it emits. */

import type { ClientEnvironment } from "../environment.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import { type AnyMachine, checkedArgs, type Machine, type MethodsOf } from "../machine/definition.ts";
import {
  decodeCallResult,
  decodeTypedChanges,
  encodeCall,
  refusalError,
  type TypedChangesPage,
} from "../machine/typed-protocol.ts";
import { decodeValue } from "../machine/value-codec.ts";
import { invalid } from "./failures.ts";
import { MachineGate } from "./machine-gate.ts";
import type { CallOptions, ReadOptions, WatchOptions } from "./options.ts";
import type { Source, SourcePage } from "./watches.ts";

/**
 * A change that a machine has emitted, and which one it is: each has a revision of its own, one more than the last.
 *
 * @example
 * ```ts
 * import { type Change, changesOf, type Emission, machine } from "conclave";
 * import { testCluster } from "conclave/testing";
 *
 * const chat = machine({
 *   name: "chat",
 *   version: 1,
 *   state: () => ({}),
 *   changes: changesOf<string>(),
 *   commands: { say: (_, text: string, context) => context.emit(text) },
 * });
 * await using cluster = await testCluster({ machines: [chat] });
 * await cluster.client.of(chat).say("hello");
 * const show = ({ revision, change }: Emission<string>): void => console.log(revision, change); // 1 hello
 * for await (const emission of cluster.client.of(chat).changes({ fromRevision: 1 })) {
 *   show(emission);
 *   break;
 * }
 * ```
 */
export interface Emission<Change> {
  readonly revision: number;
  readonly change: Change;
}

/**
 * What subscribing to a machine takes.
 *
 * @example
 * ```ts
 * import { type ChangesOptions, changesOf, type Client, machine } from "conclave";
 *
 * const chat = machine({
 *   name: "chat",
 *   version: 1,
 *   state: () => ({}),
 *   changes: changesOf<string>(),
 *   commands: { say: (_, said: { room: string; text: string }, context) => context.emit(said.text, said.room) },
 * });
 * async function read(client: Client, room: string): Promise<void> {
 *   const options: ChangesOptions = { topic: room };
 *   for await (const { change } of client.of(chat).changes(options)) console.log(change);
 * }
 * ```
 */
export interface ChangesOptions extends WatchOptions {
  /** Only changes that were emitted for this topic. */
  readonly topic?: string;
}

/**
 * What `client.of` gives.
 *
 * @example
 * ```ts
 * import { type MachineClient, machine } from "conclave";
 * import { testCluster } from "conclave/testing";
 *
 * const commands = { add: (state: { sum: number }, by: number) => (state.sum += by) };
 * const tally = machine({ name: "tally", version: 1, state: () => ({ sum: 0 }), commands });
 * await using cluster = await testCluster({ machines: [tally] });
 * const { add }: MachineClient<typeof commands, object, object, never> = cluster.client.of(tally);
 * console.log(await add(2), await add(3)); // 2 5
 * ```
 */
export type MachineClient<C, Q, A, Change> = MethodsOf<C, A, CallOptions> &
  MethodsOf<Q, A, ReadOptions> & {
    /**
     * What the machine emits, each change once and in order, as `Client.watch` gives those of the key-value store.
     *
     * @throws ConclaveError `COMPACTED`, `MACHINE_INACTIVE`, and as `Client.watch`
     */
    readonly changes: (options?: ChangesOptions) => AsyncIterableIterator<Emission<Change>>;
  };

/** The client of a machine, by the type of its definition. */
export type ClientOf<M> =
  M extends Machine<infer _State, infer Change, infer C, infer Q, infer A> ? MachineClient<C, Q, A, Change> : never;

/** The ways into the cluster. */
export interface MachineDoors {
  readonly environment: ClientEnvironment;
  readonly timeoutMs: number;
  readonly callsMax: number;
  command<T>(bytes: Uint8Array, read: (result: Uint8Array) => T, options: CallOptions): Promise<T>;
  query(bytes: Uint8Array, options: ReadOptions): Promise<Uint8Array>;
  watch<Change>(
    source: Source<Change>,
    options: WatchOptions,
  ): AsyncIterableIterator<Change & { readonly revision: number }>;
}

/** @returns the object, and how to end what waits in it */
export function machineClient(
  machine: AnyMachine,
  doors: MachineDoors,
): { readonly methods: unknown; readonly close: () => void } {
  const { name, version } = machine;
  const everything = changesOf(machine, null);
  const gate = new MachineGate({
    ...doors,
    probe: async (options) => everything.newest(await doors.query(everything.newestQuery, options)),
  });
  const call = (type: "command" | "query", called: string, given: unknown): Uint8Array => {
    const args = checkedArgs(machine, called, given);
    try {
      return encodeCall(name, { type, version, name: called, args });
    } catch (cause) {
      throw invalid(`${name}.${called}: ${messageOf(cause)}`, cause);
    }
  };
  const methods = new Map<string, unknown>();
  for (const called of Object.keys(machine.commands)) {
    methods.set(called, (args: unknown, options: CallOptions = {}) =>
      attempt(() => {
        const bytes = call("command", called, args);
        return gate.pass(options, (left) => doors.command(bytes, valueIn, left));
      }),
    );
  }
  for (const called of Object.keys(machine.queries ?? {})) {
    methods.set(called, (args: unknown, options: ReadOptions = {}) =>
      attempt(() => {
        const bytes = call("query", called, args);
        return gate.pass(options, (left) => doors.query(bytes, left).then(valueIn));
      }),
    );
  }
  methods.set("changes", ({ topic, ...options }: ChangesOptions = {}) =>
    doors.watch(topic === undefined ? everything : changesOf(machine, topic), options),
  );
  return { methods: Object.freeze(Object.fromEntries(methods)), close: () => gate.close() };
}

/** What is thrown at once comes as a rejection like any other. */
function attempt<T>(run: () => Promise<T>): Promise<T> {
  try {
    return run();
  } catch (error) {
    return Promise.reject(error);
  }
}

/** @throws ConclaveError `REJECTED`, `MACHINE_INACTIVE` */
function valueIn(bytes: Uint8Array): unknown {
  const result = decodeCallResult(bytes);
  if (result.type === "done") return result.value;
  throw refusalError(result);
}

function changesOf({ name, version }: AnyMachine, topic: string | null): Source<Emission<unknown>> {
  const query = (fromRevision: number, limit: number): Uint8Array =>
    encodeCall(name, { type: "changes", version, topic, fromRevision, limit });
  return {
    newestQuery: query(0, 0),
    newest: (answer) => {
      const page = present(answer);
      return page.type === "changes" ? page.nextRevision - 1 : page.firstRevision - 1;
    },
    query,
    read: (answer): SourcePage<Emission<unknown>> => {
      const page = present(answer);
      if (page.type === "compacted") return page;
      const changes = page.changes.map(({ revision, bytes }) => ({ revision, change: decodeValue(bytes) }));
      return { ...page, changes };
    },
  };
}

/** @throws ConclaveError `MACHINE_INACTIVE` */
function present(answer: Uint8Array): Exclude<TypedChangesPage, { readonly type: "inactive" }> {
  const page = decodeTypedChanges(answer);
  if (page.type === "inactive") throw new ConclaveError("MACHINE_INACTIVE", page.message);
  return page;
}
