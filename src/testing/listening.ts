/** State machines that are listened to. */

import type { ApplyContext, StateMachine } from "../machine/index.ts";

/** Takes every command that was applied, and its result. */
export type OnApplied = (command: Uint8Array, context: ApplyContext, result: Uint8Array) => void;

/** The same machine, but for one who hears what it applies. */
export function listening(machine: StateMachine, applied: OnApplied): StateMachine {
  return passedOn(machine, {
    apply: (command, context) => {
      const result = machine.apply(command, context);
      applied(command, context, result);
      return result;
    },
  });
}

/** What a machine may do without. */
const OPTIONAL = [
  "poll",
  "leap",
  "replacement",
  "isEmpty",
  "timers",
  "fire",
  "supported",
  "activate",
  "rehearse",
] as const;

/** The same machine, but for some of its methods. */
export function passedOn(machine: StateMachine, own: Partial<StateMachine>): StateMachine {
  const optional = OPTIONAL.flatMap((name) => {
    const method = machine[name] as ((...args: never) => unknown) | undefined;
    return method === undefined ? [] : [[name, method.bind(machine)] as const];
  });
  return {
    apply: (command, context) => machine.apply(command, context),
    query: (query) => machine.query(query),
    snapshot: () => machine.snapshot(),
    restore: (pieces) => machine.restore(pieces),
    ...(machine.snapshotForm === undefined ? {} : { snapshotForm: machine.snapshotForm }),
    ...Object.fromEntries(optional),
    ...own,
  };
}
