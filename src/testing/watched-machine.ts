/** State machines that are listened to. */

import { crc32 } from "node:zlib";
import { ByteWriter } from "../bytes.ts";
import type { StateMachine } from "../machine/index.ts";
import { passedOn } from "./listening.ts";

/** What there is to tell of a state machine. */
export interface MachineEar {
  /** Is its state of interest before a command of that entry is applied? */
  isOfInterest(index: number): boolean;
  /** After all that was applied. */
  hasState(digest: number): void;
  /** A command, a timer that has run out, or the activation of a machine: each with what it was given and has answered. */
  applied(index: number, command: Uint8Array, result: Uint8Array): void;
  /** Is it to come to another state than it should? */
  mayMisapply(): boolean;
  /** It has. */
  misapplied(): void;
  /** It goes on from a snapshot. */
  restored(digest: number): void;
}

/** Passes everything on, and tells of it. */
export function watched(machine: StateMachine, ear: MachineEar): StateMachine {
  const look = (index: number): void => {
    if (ear.isOfInterest(index)) ear.hasState(digestOf(machine));
  };
  // Its snapshots come in parts, of which no replacement could make anything.
  const { replacement: _, ...heard } = passedOn(machine, {
    apply: (command, context) => {
      look(context.index);
      const result = machine.apply(command, context);
      if (ear.mayMisapply()) {
        const right = digestOf(machine);
        machine.apply(command, context);
        if (digestOf(machine) !== right) ear.misapplied();
      }
      ear.applied(context.index, command, result);
      return result;
    },
    fire: (id, generation, context) => {
      look(context.index);
      machine.fire?.(id, generation, context);
      ear.applied(context.index, new ByteWriter().text(id).u53(generation).finish(), NOTHING);
    },
    activate: (version, context) => {
      look(context.index);
      machine.activate?.(version, context);
      ear.applied(context.index, new ByteWriter().text(version.name).u32(version.version).finish(), NOTHING);
    },
    snapshot: () => {
      ear.hasState(digestOf(machine));
      return split(machine.snapshot());
    },
    restore: async (pieces) => {
      await machine.restore(joined(pieces));
      ear.restored(digestOf(machine));
    },
  });
  return heard;
}

/** Neither timers nor activations answer anything. */
const NOTHING = new Uint8Array(0);

/** How large a piece of a snapshot may be: so small that there are several, even of a small state. */
const PIECE_BYTES_MAX = 512;
const LAST = 1;
const GOES_ON = 0;

function* split(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  for (const piece of pieces) {
    let at = 0;
    for (; at + PIECE_BYTES_MAX < piece.byteLength; at += PIECE_BYTES_MAX) {
      yield new Uint8Array([GOES_ON, ...piece.subarray(at, at + PIECE_BYTES_MAX)]);
    }
    yield new Uint8Array([LAST, ...piece.subarray(at)]);
  }
}

async function* joined(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let whole: number[] = [];
  for await (const part of parts) {
    whole.push(...part.subarray(1));
    if (part[0] !== LAST) continue;
    yield new Uint8Array(whole);
    whole = [];
  }
}

/** Two states are the same if they give the same snapshot. */
export function digestOf(machine: StateMachine): number {
  let digest = 0;
  for (const piece of machine.snapshot()) digest = crc32(piece, digest);
  return digest;
}
