/**
 * What replicas do to their state machines: the same commands in the same order, with the same results, and snapshots in
 * place of those that they have not seen.
 */

import type { Report } from "./invariant-names.ts";

/** Where a state machine is: the entry, and how many commands of it were applied; null if a snapshot brought it there. */
interface At {
  readonly index: number;
  readonly commands: number | null;
}

/** States are compared after so many entries, and wherever a snapshot was taken. */
const ENTRIES_PER_COMPARISON = 16;

const BEFORE_ALL: At = { index: 0, commands: 0 };

export class Replicas {
  readonly #report: Report;
  readonly #at = new Map<string, At>();
  /** How many commands each entry has brought to the state machine, once a replica is past it. */
  readonly #commands: number[] = [];
  readonly #applied: { readonly command: Uint8Array; readonly result: Uint8Array }[][] = [];
  /** What the state is once all commands of an entry are applied, and who came to it first. */
  readonly #states = new Map<number, { readonly id: string; readonly digest: number }>();
  /** Those whose state is wrong, as far as can be told from outside: what they come to says nothing about the others. */
  readonly #wrong = new Set<string>();
  /** Those that were, since the last one was made to be. */
  readonly #wereWrong = new Set<string>();

  constructor(report: Report) {
    this.#report = report;
  }

  /** The state machine of a replica has done what it should not; once all were right again. */
  misapplied(id: string): void {
    this.#wereWrong.clear();
    this.#wereWrong.add(id);
    this.#wrong.add(id);
  }

  /** The nodes have found it to be right again. */
  agrees(id: string): void {
    this.#wrong.delete(id);
  }

  /** Is every state right? */
  get areRight(): boolean {
    return this.#wrong.size === 0;
  }

  isWrong(id: string): boolean {
    return this.#wrong.has(id);
  }

  /** Was any state ever wrong? Its snapshots may have come to others. */
  get wasAnyWrong(): boolean {
    return this.#wereWrong.size > 0;
  }

  /** May a node have found a majority that has another state, although its own is right? */
  mayBeOutnumbered(members: number): boolean {
    return this.wasAnyWrong && 2 * this.#wereWrong.size >= members;
  }

  /** A replica begins, with nothing or with a snapshot. */
  begin(id: string, index: number): void {
    this.#at.set(id, index === 0 ? BEFORE_ALL : { index, commands: null });
    if (index === 0) this.#wrong.delete(id);
  }

  end(id: string): void {
    this.#at.delete(id);
  }

  /** A replica goes on from a snapshot; if that is to replace a state that is wrong, it may go back. */
  restored(id: string, index: number, digest: number, isReplacement: boolean): void {
    const before = this.#at.get(id);
    if (before !== undefined && index < before.index && !isReplacement) {
      this.#report("applied-in-order", `${id} goes back from entry ${before.index} to a snapshot of entry ${index}`);
    }
    this.begin(id, index);
    const last = this.#lastWithCommands(index);
    if (!this.wasAnyWrong) this.#compare(id, last, digest);
    // It may be its own from before, or that of one that is wrong and has offered it.
    else if (this.#states.get(last)?.digest === digest) this.#wrong.delete(id);
    else {
      this.#wrong.add(id);
      this.#wereWrong.add(id);
    }
  }

  /** Is the state of a replica of interest before it applies a command of that entry? */
  isOfInterest(id: string, next: number): boolean {
    const at = this.#at.get(id);
    if (at === undefined || at.commands === null || next <= at.index) return false;
    return at.index % ENTRIES_PER_COMPARISON === 0 || this.#states.has(at.index);
  }

  /** The state of a replica, after all that it has applied. */
  hasState(id: string, digest: number): void {
    const at = this.#at.get(id);
    if (at !== undefined && !this.isWrong(id)) this.#compare(id, this.#lastWithCommands(at.index), digest);
  }

  /** A replica has applied a command of an entry, the next one of that entry if it is the same as before. */
  applied(id: string, index: number, commitIndex: number, command: Uint8Array, result: Uint8Array): void {
    const at = this.#at.get(id) ?? BEFORE_ALL;
    const isPast = index < at.index || (index === at.index && at.commands === null);
    if (isPast || index > commitIndex) {
      const bounds = `after entry ${at.index}, with ${commitIndex} committed`;
      this.#report("applied-in-order", `${id} applies entry ${index} ${bounds}`);
      return;
    }
    if (index > at.index) this.#passed(id, at, index);
    const position = index === at.index ? (at.commands ?? 0) : 0;
    this.#at.set(id, { index, commands: position + 1 });
    if (!this.isWrong(id)) this.#checkResult(id, index, position, command, result);
  }

  /** Every replica has to take as many commands from an entry, be it none. */
  #passed(id: string, { index, commands }: At, next: number): void {
    for (let at = index; at < next; at++) {
      if (at === index && commands === null) continue; // They are in the snapshot.
      const own = at === index ? (commands ?? 0) : 0;
      const others = this.#commands[at] ?? own;
      this.#commands[at] = others;
      if (own === others) continue;
      this.#report(
        "applied-in-order",
        `${id} applies ${own} commands of entry ${at}, and another has applied ${others}`,
      );
    }
  }

  #checkResult(id: string, index: number, position: number, command: Uint8Array, result: Uint8Array): void {
    this.#applied[index] ??= [];
    const known = this.#applied[index][position];
    if (known === undefined) {
      // Machines may use their buffers again.
      this.#applied[index][position] = { command: command.slice(), result: result.slice() };
      return;
    }
    const where = `command ${position + 1} of entry ${index}`;
    if (!equal(known.command, command)) {
      this.#report("state-machine-safety", `${id} applies another ${where} than a replica before it`);
    } else if (!equal(known.result, result)) {
      this.#report("state-machine-safety", `${id} comes to another result for ${where} than a replica before it`);
    }
  }

  /** The state after an entry without commands is that after the last one with some. */
  #lastWithCommands(index: number): number {
    let last = index;
    while (last > 0 && this.#applied[last] === undefined) last--;
    return last;
  }

  #compare(id: string, index: number, digest: number): void {
    const known = this.#states.get(index);
    if (known === undefined) this.#states.set(index, { id, digest });
    else if (known.digest !== digest) {
      this.#report("snapshot-exact", `${id} has another state after entry ${index} than ${known.id} had`);
    }
  }
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.byteLength !== b.byteLength) return false;
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false;
  return true;
}
