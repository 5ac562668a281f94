/** State machines that are listened to. */

import type { ApplyContext, StateMachine } from "../machine/index.ts";

/** Takes every command that was applied, and its result. */
export type OnApplied = (command: Uint8Array, context: ApplyContext, result: Uint8Array) => void;

/** The same machine, but for one who hears what it applies. */
export function listening(machine: StateMachine, applied: OnApplied): StateMachine {
  const { poll, replacement, isEmpty } = machine;
  return {
    apply: (command, context) => {
      const result = machine.apply(command, context);
      applied(command, context, result);
      return result;
    },
    query: (query) => machine.query(query),
    ...(poll === undefined ? {} : { poll: (query) => poll.call(machine, query) }),
    snapshot: () => machine.snapshot(),
    restore: (pieces) => machine.restore(pieces),
    ...(replacement === undefined ? {} : { replacement: () => replacement.call(machine) }),
    ...(isEmpty === undefined ? {} : { isEmpty: () => isEmpty.call(machine) }),
  };
}
