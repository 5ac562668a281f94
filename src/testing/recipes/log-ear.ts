/**
 * What the log brings to machines with names, told once: when the first replica has applied it. What is to be true of
 * holders, changes and timers is found out from this, and not from what the machines remember.
 */

import type { Emission } from "../../client/index.ts";
import type { ApplyContext, MachineTimer, StateMachine } from "../../machine/index.ts";
import {
  addressee,
  type CallResult,
  decodeCall,
  decodeCallResult,
  decodeTypedChanges,
  encodeCall,
  NAMED,
} from "../../machine/typed-protocol.ts";
import { decodeValue } from "../../machine/value-codec.ts";
import { passedOn } from "../listening.ts";
import type { Scene } from "../workload.ts";
import { TimersOfLog } from "./timers-of-log.ts";

/** A command that was applied, or a timer that has run out. */
export interface Deed {
  /** The id of the timer that has run out; null for a command. */
  readonly timer: string | null;
  /** Null for a timer. */
  readonly call: { readonly name: string; readonly args: unknown } | null;
  readonly result: CallResult | null;
  /** Asks the machine, as it is now on that replica. */
  ask(query: string, args?: unknown): unknown;
  /** What it has emitted from a revision on. */
  changes<Change>(fromRevision: number): (Emission<Change> & { readonly topic: string })[];
}

/** The version of every machine that is spoken of here: of any later one, questions are the same. */
const VERSION = 1;
const CHANGES_MAX = 1_000;

export class LogEar {
  readonly timers: TimersOfLog;
  readonly #report: Scene["report"];
  readonly #listeners = new Map<string, (deed: Deed) => void>();
  /** The last that was applied anywhere. */
  #last = { index: 0, position: 0, timeMs: 0 };

  constructor(scene: Scene, nowMs: () => number) {
    this.#report = scene.report;
    this.timers = new TimersOfLog(scene, nowMs);
  }

  /** Tells of all that is done with that machine. */
  on(machine: string, listener: (deed: Deed) => void): void {
    this.#listeners.set(machine, listener);
  }

  /** A replica's machines. */
  listenTo(machines: StateMachine): StateMachine {
    return passedOn(machines, {
      apply: (command, context) => {
        if (!this.#isNews(context)) return machines.apply(command, context);
        if (command[0] !== NAMED) return machines.apply(command, context);
        const result = machines.apply(command, this.#heard(context));
        this.#tellCall(machines, command, result);
        return result;
      },
      fire: (id, generation, context) => {
        if (!this.#isNews(context)) {
          machines.fire?.(id, generation, context);
          return;
        }
        const isMoot = !this.timers.fire(id, generation);
        machines.fire?.(id, generation, this.#heard(context, isMoot));
        if (isMoot) return;
        const end = id.indexOf(":");
        this.#tell(id.slice(0, end), machines, { timer: id.slice(end + 1), call: null, result: null });
      },
    });
  }

  #isNews({ index, position, timeMs }: ApplyContext): boolean {
    const last = this.#last;
    if (index < last.index || (index === last.index && position <= last.position)) return false;
    if (timeMs < last.timeMs) {
      const before = `${timeMs - last.timeMs} ms before that of entry ${last.index}`;
      this.#report("time-forward", `the time of entry ${index} is ${before}`);
    }
    this.#last = { index, position, timeMs };
    return true;
  }

  /** @param isMoot nothing is to come of it: a timer was set anew or cleared meanwhile */
  #heard(context: ApplyContext, isMoot = false): ApplyContext {
    const check = (id: string): void => {
      if (isMoot) this.#report("timers-kept", `${id} is touched by a timer that was set anew, or cleared`);
    };
    return {
      ...context,
      timers: {
        set: (timer: MachineTimer) => {
          check(timer.id);
          this.timers.set(timer);
          context.timers.set(timer);
        },
        clear: (id) => {
          check(id);
          this.timers.clear(id);
          context.timers.clear(id);
        },
      },
    };
  }

  #tellCall(machines: StateMachine, command: Uint8Array, result: Uint8Array): void {
    const { machine, rest } = addressee(command) ?? { machine: "", rest: command };
    if (!this.#listeners.has(machine)) return;
    const call = decodeCall(rest);
    if (call.type !== "command") return;
    this.#tell(machine, machines, { timer: null, call, result: decodeCallResult(result) });
  }

  #tell(machine: string, machines: StateMachine, done: Pick<Deed, "timer" | "call" | "result">): void {
    this.#listeners.get(machine)?.({
      ...done,
      ask: (name, args) => {
        const query = encodeCall(machine, { type: "query", version: VERSION, name, args });
        const answer = decodeCallResult(machines.query(query));
        if (answer.type !== "done") throw new RangeError(`${machine}.${name} answers ${JSON.stringify(answer)}`);
        return answer.value;
      },
      changes: <Change>(fromRevision: number) => {
        const question = { type: "changes", version: VERSION, topic: null, fromRevision, limit: CHANGES_MAX } as const;
        const page = decodeTypedChanges(machines.query(encodeCall(machine, question)));
        if (page.type !== "changes") throw new RangeError(`the changes of ${machine} are ${page.type}`);
        return page.changes.map(({ revision, topic, bytes }) => ({
          revision,
          topic,
          change: decodeValue(bytes) as Change,
        }));
      },
    });
  }
}
