/** One machine on one replica, and a leader's clock that is moved by hand: what a machine does, without a cluster. */

import type { AnyMachine } from "../../../src/machine/definition.ts";
import { type ApplyContext, KeyValueMachine, Machines, type MachineTimer } from "../../../src/machine/index.ts";
import {
  type CallResult,
  decodeCallResult,
  decodeTypedChanges,
  encodeCall,
} from "../../../src/machine/typed-protocol.ts";
import { decodeValue } from "../../../src/machine/value-codec.ts";

type Functions = Readonly<Record<string, (state: never, args: never, context: never) => unknown>>;
type ArgsOf<F> = F extends (state: never, args: infer Args, context: never) => unknown ? Args : never;
type ResultOf<F> = F extends (...args: never) => infer Result ? Result : never;

export class Stage<C extends Functions, Q extends Functions> {
  readonly #name: string;
  readonly #machines: Machines;
  readonly #timers = new Map<string, MachineTimer & { readonly atMs: number }>();
  #index = 1;
  nowMs = 0;
  /** The leader's time of day less its clock's time. */
  dayMs = 1_700_000_000_000;

  constructor(machine: AnyMachine & { readonly commands: C; readonly queries: Q }) {
    this.#name = machine.name;
    this.#machines = new Machines(new KeyValueMachine(), [machine], { isGuarded: true });
    this.#machines.activate({ name: machine.name, version: 1 });
  }

  /** Carries out a command. @throws Error with the code of a rejection for its message */
  do<K extends keyof C & string>(name: K, args: ArgsOf<C[K]>): ResultOf<C[K]> {
    const call = encodeCall(this.#name, { type: "command", version: 1, name, args });
    return resultIn(this.#machines.apply(call, this.#context())) as ResultOf<C[K]>;
  }

  ask<K extends keyof Q & string>(name: K, args: ArgsOf<Q[K]>): ResultOf<Q[K]> {
    const call = encodeCall(this.#name, { type: "query", version: 1, name, args });
    return resultIn(this.#machines.query(call)) as ResultOf<Q[K]>;
  }

  /** The changes of a topic, or of all if it is null. */
  changes(topic: string | null = null): unknown[] {
    const call = { type: "changes", version: 1, topic, fromRevision: 1, limit: 1_000_000 } as const;
    const page = decodeTypedChanges(this.#machines.query(encodeCall(this.#name, call)));
    return page.type === "changes" ? page.changes.map(({ bytes }) => decodeValue(bytes)) : [page.type];
  }

  /** Time passes, and timers run out in their order. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers.values()].sort((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      this.#machines.fire(next.id, next.generation, this.#context());
    }
    this.nowMs = endMs;
  }

  /** Every timer has its full time again. */
  changeLeader(): void {
    for (const timer of this.#machines.timers()) this.#set(timer);
  }

  get timers(): number {
    return [...this.#machines.timers()].length;
  }

  /** The bytes of a snapshot: whatever is kept is in it. */
  get bytes(): number {
    return [...this.#machines.snapshot()].reduce((sum, piece) => sum + piece.byteLength, 0);
  }

  #set(timer: MachineTimer): void {
    this.#timers.set(timer.id, { ...timer, atMs: this.nowMs + timer.delayMs });
  }

  #context(): ApplyContext {
    const timers = {
      set: (timer: MachineTimer) => this.#set(timer),
      clear: (id: string) => void this.#timers.delete(id),
    };
    return { index: ++this.#index, position: 0, timeMs: Math.floor(this.dayMs + this.nowMs), timers };
  }
}

function resultIn(bytes: Uint8Array): unknown {
  const result: CallResult = decodeCallResult(bytes);
  if (result.type === "done") return result.value;
  throw new Error(result.code);
}
