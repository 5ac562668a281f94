/** A user's definition as a replicated state machine: its functions over plain state, its timers and its changes. */

import { ConclaveError, messageOf } from "../errors.ts";
import { type AnyMachine, type CommandContext, Rejection } from "./definition.ts";
import { determined } from "./determinism.ts";
import { plainOf } from "./draft.ts";
import { KeptChanges } from "./kept-changes.ts";
import type { ApplyContext, MachineTimer, Replacement, StateMachine } from "./machine.ts";
import { checkedState, checkSynchronous } from "./plain-state.ts";
import { randomOf } from "./seeded-random.ts";
import {
  type Alarm,
  boundsOf,
  newParts,
  nextAfter,
  type Parts,
  PartsReader,
  snapshotOf,
  versionOf,
} from "./typed-parts.ts";
import {
  type Call,
  type CallRefusal,
  decodeCall,
  encodeCallResult,
  encodeTypedChanges,
  inactive,
  type TypedChangesPage,
} from "./typed-protocol.ts";
import { decodeValue, encodeValue } from "./value-codec.ts";

/** Further than anybody got with what was lost. */
const LEAP = 1_000_000;
/** Whoever has asked for changes that are not his, this many of them, is told so, and need not have them passed again. */
const PASSED_BY_MAX = 1_000;

export interface TypedMachineOptions {
  /** Clocks, randomness and the like throw while a command runs: a help for those who write machines. */
  readonly isGuarded: boolean;
}

type Invocation = Call & { readonly type: "command" | "query" };

export class TypedMachine implements StateMachine {
  readonly #newest: AnyMachine;
  readonly #options: TypedMachineOptions;
  #parts: Parts;

  /**
   * @param newest the definition that this program has
   * @param version the one to begin with: its own, or that of a definition that it has come from
   * @throws ConclaveError `MACHINE_MISSING`
   */
  constructor(newest: AnyMachine, version: number, options: TypedMachineOptions) {
    this.#newest = newest;
    this.#options = options;
    this.#parts = this.#determined(() => newParts(versionOf(newest, version)));
  }

  /** The version that is in force. */
  get version(): number {
    return this.#parts.definition.version;
  }

  apply(bytes: Uint8Array, context: ApplyContext): Uint8Array {
    const call = callIn(bytes);
    if (call?.type !== "command") return refusal("BAD_CALL", "This is no command.");
    const tooNew = this.#tooNew(call);
    if (tooNew !== null) return encodeCallResult(tooNew);
    return refusals(() => {
      const { name, args } = this.#modern(call);
      return this.#run(name, args, context);
    });
  }

  query(bytes: Uint8Array): Uint8Array {
    const call = callIn(bytes);
    if (call?.type === "changes") return encodeTypedChanges(this.#page(call));
    if (call?.type !== "query") return refusal("BAD_CALL", "This is no query.");
    const tooNew = this.#tooNew(call);
    if (tooNew !== null) return encodeCallResult(tooNew);
    const { queries = {} } = this.#parts.definition;
    const query = Object.hasOwn(queries, call.name) ? queries[call.name] : undefined;
    if (query === undefined) return refusal("NO_SUCH_QUERY", `There is no query "${call.name}".`);
    const { state, changes } = this.#parts;
    const context = { revision: changes.lastRevision };
    return refusals(() =>
      state.look((seen) => refusable(() => done(query(seen as never, call.args as never, context as never)))),
    );
  }

  /** Changes are waited for; all else is answered at once. */
  poll(bytes: Uint8Array): Uint8Array | null {
    const call = callIn(bytes);
    if (call?.type !== "changes") return this.query(bytes);
    const page = this.#page(call);
    const isNews =
      page.type !== "changes" ||
      page.changes.length > 0 ||
      call.fromRevision === 0 ||
      page.nextRevision - call.fromRevision >= PASSED_BY_MAX;
    return isNews ? encodeTypedChanges(page) : null;
  }

  timers(): Iterable<MachineTimer> {
    return this.#parts.timers.values();
  }

  fire(id: string, generation: number, context: ApplyContext): void {
    const { timers } = this.#parts;
    const alarm = timers.get(id);
    if (alarm?.generation !== generation) return;
    setOrClear(timers, context, id, null);
    refusals(() => this.#run(alarm.command, decodeValue(alarm.args), context));
  }

  /** The cluster goes over to a newer version. @throws like `rehearseUpgrade` */
  upgradeTo(version: number): void {
    const { state, changes } = this.#parts;
    const definition = versionOf(this.#newest, version);
    state.set(this.#upgraded(definition));
    const kept = new KeptChanges(boundsOf(definition), changes.firstRevision - 1);
    for (const change of changes.all()) kept.add(change);
    this.#parts = { ...this.#parts, changes: kept, definition };
  }

  /** @throws ConclaveError `MACHINE_FAILED` if it could not go over to that version as it is; `MACHINE_MISSING` */
  rehearseUpgrade(version: number): void {
    this.#upgraded(versionOf(this.#newest, version));
  }

  /** What the state is in a newer version, by way of all that are between. */
  #upgraded({ name, version }: AnyMachine): unknown {
    const { definition, state } = this.#parts;
    try {
      return state.look((old) => {
        let upgraded = plainOf(old);
        for (let at = definition.version; at < version; ) {
          const next = nextAfter(this.#newest, at);
          const made = this.#determined(() => next.upgrade?.state(upgraded as never));
          checkSynchronous(made, "an upgrade");
          upgraded = checkedState(plainOf(made));
          at = next.version;
        }
        return upgraded;
      });
    } catch (cause) {
      const why = `"${name}" can't go over from version ${definition.version} to ${version}: ${messageOf(cause)}`;
      throw new ConclaveError("MACHINE_FAILED", why, { cause });
    }
  }

  snapshot(): Iterable<Uint8Array> {
    return this.#determined(() => snapshotOf(this.#parts));
  }

  async restore(pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const reception = this.reception();
    for await (const piece of pieces) reception.add(piece);
    reception.finish()();
  }

  /** A state that is to be this one's, as it was. */
  reception(): Replacement {
    return this.#reception((parts) => parts);
  }

  /** What was given out since the state was as it is must not be given out again. */
  leap(): void {
    const { definition, changes, serial } = this.#parts;
    const leaped = new KeptChanges(boundsOf(definition), changes.lastRevision + LEAP);
    this.#parts = { ...this.#parts, changes: leaped, serial: serial + LEAP };
  }

  /** Nothing was ever done with it. */
  isEmpty(): boolean {
    return this.#parts.serial === 0;
  }

  replacement(): Replacement {
    return this.#reception((parts) => this.#goingOn(parts));
  }

  /** As if nothing had ever been done with it, but for what was given out. */
  startOver(): void {
    this.#parts = this.#goingOn(this.#determined(() => newParts(this.#parts.definition)));
  }

  #reception(adapt: (parts: Parts) => Parts): Replacement {
    const reader = new PartsReader(this.#newest);
    return {
      add: (piece) => reader.add(piece),
      snapshot: () => reader.pieces(),
      finish: () => {
        const parts = this.#determined(() => reader.finish());
        return () => {
          this.#parts = adapt(parts);
        };
      },
    };
  }

  /** What was given out here must not be given out again, nor a revision come to mean another change. */
  #goingOn(parts: Parts): Parts {
    const { changes: own, serial } = this.#parts;
    if (serial === 0) return parts;
    const changes = new KeptChanges(
      boundsOf(parts.definition),
      Math.max(own.lastRevision, parts.changes.lastRevision) + 1,
    );
    return { ...parts, serial: Math.max(serial, parts.serial), changes };
  }

  /** What to answer a call of a version that the cluster has not gone over to yet. */
  #tooNew({ version }: Call): CallRefusal | null {
    const { name, version: own } = this.#parts.definition;
    if (version <= own) return null;
    return inactive(
      name,
      `The cluster runs "${name}" in version ${own} still, and this is a call of version ${version}.`,
    );
  }

  /** What an older command is in the version that is in force. */
  #modern({ version, name, args }: Invocation): { readonly name: string; readonly args: unknown } {
    let call: { readonly name: string; readonly args: unknown } = { name, args };
    for (let at = version; at < this.version; ) {
      const next = nextAfter(this.#newest, at);
      call = next.upgrade?.command?.(call.name, call.args) ?? call;
      at = next.version;
    }
    return call;
  }

  /** Carries out a command; if it throws, nothing of it has happened. */
  #run(name: string, args: unknown, context: ApplyContext): Uint8Array {
    const { definition, state, changes, timers } = this.#parts;
    const command = Object.hasOwn(definition.commands, name) ? definition.commands[name] : undefined;
    if (command === undefined) return refusal("NO_SUCH_COMMAND", `There is no command "${name}".`);
    const doing = new Doing(definition, context, this.#parts.serial, changes.lastRevision);
    const result = state.change((draft) =>
      refusable(() => done(this.#determined(() => command(draft as never, args as never, doing as never)))),
    );
    doing.end();
    this.#parts = { ...this.#parts, serial: doing.serial + 1 }; // One more, to tell that something was done.
    for (const change of doing.emitted) changes.add(change);
    for (const [id, alarm] of doing.alarms) setOrClear(timers, context, id, alarm);
    return result;
  }

  #determined<T>(run: () => T): T {
    return this.#options.isGuarded ? determined(run) : run();
  }

  #page(call: Call & { readonly type: "changes" }): TypedChangesPage {
    const tooNew = this.#tooNew(call);
    if (tooNew !== null) return { type: "inactive", message: tooNew.message };
    const { topic, fromRevision, limit } = call;
    return this.#parts.changes.page(topic, fromRevision, limit);
  }
}

/** What one command does beside its state, to come true if it goes through. */
class Doing implements CommandContext {
  readonly index: number;
  readonly timeMs: number;
  readonly random: () => number;
  readonly revision: number;
  readonly emitted: { readonly topic: string; readonly bytes: Uint8Array }[] = [];
  /** By id; null for one that is to be cleared. */
  readonly alarms = new Map<string, Alarm | null>();
  serial: number;
  readonly #definition: AnyMachine;
  #isOver = false;

  constructor(definition: AnyMachine, { index, position, timeMs }: ApplyContext, serial: number, revision: number) {
    this.#definition = definition;
    this.index = index;
    this.timeMs = timeMs;
    this.random = randomOf(index, position);
    this.serial = serial;
    this.revision = revision;
  }

  id(): string {
    return `${this.index.toString(36)}-${this.token().toString(36)}`;
  }

  token(): number {
    this.#check();
    return ++this.serial;
  }

  emit(change: unknown, topic = ""): void {
    this.#check();
    const { changes, name } = this.#definition;
    if (changes === undefined) throw new TypeError(`"${name}" declares no changes, and emits one`);
    this.emitted.push({ topic, bytes: encodeValue(plainOf(change)) });
  }

  setTimer(id: string, delayMs: number, command: string, args?: unknown): void {
    if (!Object.hasOwn(this.#definition.commands, command)) throw new TypeError(`there is no command "${command}"`);
    if (!(delayMs >= 0 && delayMs <= Number.MAX_SAFE_INTEGER)) throw new RangeError(`${delayMs} ms is no delay`);
    const alarm = {
      id,
      generation: this.token(),
      delayMs: Math.ceil(delayMs),
      command,
      args: encodeValue(plainOf(args)),
    };
    this.alarms.delete(id); // One that is set anew is set after those that were set meanwhile.
    this.alarms.set(id, alarm);
  }

  clearTimer(id: string): void {
    this.#check();
    this.alarms.set(id, null);
  }

  end(): void {
    this.#isOver = true;
  }

  #check(): void {
    if (this.#isOver) throw new TypeError("the command is over: its context can't be used any more");
  }
}

function setOrClear(timers: Map<string, Alarm>, context: ApplyContext, id: string, alarm: Alarm | null): void {
  const wasSet = timers.delete(id);
  if (alarm !== null) {
    timers.set(id, alarm);
    context.timers.set(alarm);
  } else if (wasSet) context.timers.clear(id);
}

/** @throws TypeError if there is nothing to answer with yet */
function done(value: unknown): Uint8Array {
  checkSynchronous(value, "a command or query");
  return encodeCallResult({ type: "done", value: plainOf(value) });
}

/** A rejection on its way out of a draft. */
class Refused extends Error {
  readonly answer: Uint8Array;

  constructor(answer: Uint8Array) {
    super("refused");
    this.answer = answer;
  }
}

/** Its details may be parts of the draft, which can't be read once that is over. */
function refusable<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof Rejection)) throw error;
    const { code, message, details } = error;
    throw new Refused(encodeCallResult({ type: "rejected", code, message, details: plainOf(details) }));
  }
}

/** A rejection is an answer like any other. */
function refusals(run: () => Uint8Array): Uint8Array {
  try {
    return run();
  } catch (error) {
    if (error instanceof Refused) return error.answer;
    throw error;
  }
}

const refusal = (code: string, message: string): Uint8Array =>
  encodeCallResult({ type: "rejected", code, message, details: undefined });

/** Null for what no client of ours has sent. */
function callIn(bytes: Uint8Array): Call | null {
  try {
    return decodeCall(bytes);
  } catch {
    return null;
  }
}
