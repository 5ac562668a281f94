/**
 * A backup that is being restored: what has come of it stands beside the machine's state, is a part of the replicated
 * state itself, and takes the other's place in one step.
 */

import { ByteReader, ByteWriter } from "../bytes.ts";
import { messageOf } from "../errors.ts";
import type { Replacement, StateMachine } from "./machine.ts";
import { decodeStep, type RestorationStep, type StepRefusal } from "./restoration-steps.ts";

/** What has come so far, at one moment. */
export interface RestorationSnapshot {
  /** To be given to `Restoration.open`. */
  readonly head: Uint8Array;
  /** To be given to `reopen`'s machine one by one. */
  readonly pieces: Iterable<Uint8Array>;
}

/** What has come of one backup. */
interface Staged {
  /** Whose it is: it ends with that session. */
  readonly session: number;
  readonly force: boolean;
  readonly replacement: Replacement;
  /** How many whole pieces have come. */
  pieces: number;
  /** Of a piece that has not come whole. */
  parts: Uint8Array[];
}

const EXISTING: StepRefusal = {
  code: "NOT_EMPTY",
  message: "The cluster holds data, which the backup would replace: restore into a new one, or insist with --force.",
};
const IMPOSSIBLE: StepRefusal = {
  code: "INVALID_ARGUMENT",
  message: "The state machine of this cluster can't be restored from a backup.",
};
const ABANDONED: StepRefusal = {
  code: "RESTORE_ABANDONED",
  message: "Another backup is being restored, or the session of this one had ended; it has changed nothing.",
};

/** The one backup that may be on its way into a machine. */
export class Restoration {
  readonly #machine: StateMachine;
  #staged: Staged | null = null;

  constructor(machine: StateMachine) {
    this.#machine = machine;
  }

  /** Null if the step was taken. Whoever is refused, for whatever reason, has to begin anew. */
  apply(session: number, bytes: Uint8Array): StepRefusal | null {
    let step: RestorationStep;
    try {
      step = decodeStep(bytes);
    } catch (error) {
      return { code: "INVALID_ARGUMENT", message: messageOf(error) };
    }
    if (step.type === "begin") return this.#begin(session, step.force);
    const staged = this.#staged;
    if (staged?.session !== session) return ABANDONED;
    const refusal = this.#take(staged, step);
    if (refusal !== null) this.#staged = null;
    return refusal;
  }

  /** Nobody is left to go on with it. */
  sessionEnded(session: number): void {
    if (this.#staged?.session === session) this.#staged = null;
  }

  /** As it is now; null if nothing is being restored. */
  snapshot(): RestorationSnapshot | null {
    if (this.#staged === null) return null;
    const { session, force, pieces, parts, replacement } = this.#staged;
    const head = new ByteWriter(64)
      .u53(session)
      .u8(force ? 1 : 0)
      .u53(pieces);
    for (const part of parts) head.raw(part);
    return { head: head.finish(), pieces: replacement.snapshot() };
  }

  /** Goes on where a snapshot was taken, once its pieces have been added by the function returned. @throws RangeError */
  open(head: Uint8Array): (piece: Uint8Array) => void {
    const replacement = this.#machine.replacement?.();
    if (replacement === undefined) throw new RangeError("a backup was being restored, and this machine takes none");
    const reader = new ByteReader(head);
    const [session, force, pieces] = [reader.u53(), reader.u8() === 1, reader.u53()];
    const parts = reader.remaining === 0 ? [] : [reader.raw(reader.remaining).slice()];
    this.#staged = { session, force, replacement, pieces, parts };
    return (piece) => replacement.add(piece);
  }

  #begin(session: number, force: boolean): StepRefusal | null {
    if (!force && !this.#isEmpty) return EXISTING;
    const replacement = this.#machine.replacement?.();
    if (replacement === undefined) return IMPOSSIBLE;
    this.#staged = { session, force, replacement, pieces: 0, parts: [] };
    return null;
  }

  #take(staged: Staged, step: Exclude<RestorationStep, { type: "begin" }>): StepRefusal | null {
    switch (step.type) {
      case "part":
        staged.parts.push(step.bytes.slice());
        return null;
      case "piece":
        return this.#add(staged, step.bytes);
      case "end":
        return this.#commit(staged, step.pieces);
      case "abandon":
        this.#staged = null;
        return null;
    }
  }

  #add(staged: Staged, bytes: Uint8Array): StepRefusal | null {
    const piece = staged.parts.length === 0 ? bytes : joined([...staged.parts, bytes]);
    staged.parts = [];
    staged.pieces++;
    try {
      staged.replacement.add(piece);
      return null;
    } catch (error) {
      return foreign(messageOf(error));
    }
  }

  /** What was empty at the beginning may not be so any more. */
  #commit({ force, pieces, parts, replacement }: Staged, announced: number): StepRefusal | null {
    if (pieces !== announced || parts.length > 0) return foreign(`${pieces} pieces have come of ${announced}`);
    if (!force && !this.#isEmpty) return EXISTING;
    try {
      replacement.finish()();
    } catch (error) {
      return foreign(messageOf(error));
    }
    this.#staged = null;
    return null;
  }

  get #isEmpty(): boolean {
    return this.#machine.isEmpty?.() === true;
  }
}

const foreign = (why: string): StepRefusal => ({
  code: "DATA_CORRUPT",
  message: `This is not what a machine like that of this cluster has given for a backup: ${why}.`,
});

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new ByteWriter(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  for (const part of parts) whole.raw(part);
  return whole.finish();
}
