/** State machines that are listened to. */

import { crc32 } from "node:zlib";
import type { StateMachine } from "../machine/index.ts";

/** What there is to tell of a state machine. */
export interface MachineEar {
  /** Is its state of interest before a command of that entry is applied? */
  isOfInterest(index: number): boolean;
  /** After all that was applied. */
  hasState(digest: number): void;
  applied(index: number, command: Uint8Array, result: Uint8Array): void;
  /** It goes on from a snapshot. */
  restored(digest: number): void;
}

/** Passes everything on, and tells of it. */
export function watched(machine: StateMachine, ear: MachineEar): StateMachine {
  const { poll } = machine;
  return {
    apply: (command, context) => {
      if (ear.isOfInterest(context.index)) ear.hasState(digestOf(machine));
      const result = machine.apply(command, context);
      ear.applied(context.index, command, result);
      return result;
    },
    query: (query) => machine.query(query),
    ...(poll === undefined ? {} : { poll: (query: Uint8Array) => poll.call(machine, query) }),
    snapshot: () => {
      ear.hasState(digestOf(machine));
      return machine.snapshot();
    },
    restore: async (pieces) => {
      await machine.restore(pieces);
      ear.restored(digestOf(machine));
    },
  };
}

/** Two states are the same if they give the same snapshot. */
export function digestOf(machine: StateMachine): number {
  let digest = 0;
  for (const piece of machine.snapshot()) digest = crc32(piece, digest);
  return digest;
}
