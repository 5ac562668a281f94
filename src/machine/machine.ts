/** What a user's replicated state machine has to be. */

/**
 * What goes with a command: the same on every replica.
 *
 * @example
 * ```ts
 * import type { ApplyContext, StateMachine } from "conclave";
 *
 * const stamp: StateMachine["apply"] = (_command: Uint8Array, { timeMs }: ApplyContext) =>
 *   new TextEncoder().encode(new Date(timeMs).toISOString()); // The leader's time: the same everywhere.
 * ```
 */
export interface ApplyContext {
  /** Where in the log its entry stands. */
  readonly index: number;
  /** Which command of its entry it is, from 0 on. */
  readonly position: number;
  /** The time of day at the leader that took it in, in milliseconds since 1970. It never goes back along the log. */
  readonly timeMs: number;
  readonly timers: Timers;
}

/**
 * Timers of the replicated state. A machine sets them in `apply`, and keeps them as a part of its state: what is told
 * here is only for whoever leads, which lets the log know once one has run out. A new leader gives each its full time.
 *
 * @example
 * ```ts
 * import type { Timers } from "conclave";
 *
 * const expire = (timers: Timers, id: string, generation: number): void =>
 *   timers.set({ id, generation, delayMs: 60_000 });
 * ```
 */
export interface Timers {
  set(timer: MachineTimer): void;
  clear(id: string): void;
}

/**
 * A timer of the replicated state, as it is set.
 *
 * @example
 * ```ts
 * import type { MachineTimer } from "conclave";
 *
 * const again = (timer: MachineTimer): MachineTimer => ({ ...timer, generation: timer.generation + 1 });
 * ```
 */
export interface MachineTimer {
  readonly id: string;
  /** Another one for each setting of the timer. */
  readonly generation: number;
  readonly delayMs: number;
}

/**
 * A machine that shares the log with others, and which version of it.
 *
 * @example
 * ```ts
 * import type { MachineVersion } from "conclave";
 *
 * const isKnown = ({ name, version }: MachineVersion): boolean => name === "tally" && version <= 2;
 * ```
 */
export interface MachineVersion {
  readonly name: string;
  readonly version: number;
}

/**
 * A machine that a program can run.
 *
 * @example
 * ```ts
 * import type { SupportedMachine } from "conclave";
 *
 * const isNewer = ({ versions: [newest = 0], active }: SupportedMachine): boolean => newest > (active ?? 0);
 * ```
 */
export interface SupportedMachine {
  readonly name: string;
  /** Its versions, the newest first. */
  readonly versions: readonly number[];
  /** The version that the cluster uses, as far as its log was applied; null if it does not use it yet. */
  readonly active: number | null;
}

/**
 * A state on its way into a machine, piece by piece, beside the one that the machine has.
 *
 * @example
 * ```ts
 * import type { Replacement } from "conclave";
 *
 * function replacement(use: (text: string) => void): Replacement {
 *   const pieces: Uint8Array[] = [];
 *   return {
 *     add: (piece) => void pieces.push(piece.slice()),
 *     snapshot: () => [...pieces],
 *     finish: () => {
 *       const [piece] = pieces;
 *       if (piece === undefined) throw new Error("there is no piece");
 *       return () => use(new TextDecoder().decode(piece));
 *     },
 *   };
 * }
 * ```
 */
export interface Replacement {
  /**
   * Takes the next piece of what `snapshot` gave elsewhere. It is applied like a command: the same on every replica, and
   * in no more time than a command may take. What is kept of the piece has to be copied.
   *
   * @throws if it is no such piece
   */
  add(piece: Uint8Array): void;
  /** What was added so far, as pieces that make the same of a new replacement; as it is at the call, like a snapshot. */
  snapshot(): Iterable<Uint8Array>;
  /**
   * Looks whether all is there; nothing has changed yet.
   *
   * @returns what puts it in the place of the machine's state, all at once, and can't fail
   * @throws if the pieces are not all there
   */
  finish(): () => void;
}

/**
 * State that a log of commands drives. Every replica applies the same commands in the same order and must come to the
 * same state: no clock, no randomness, no I/O in `apply`. Commands, queries and results are bytes that only the
 * machine and its clients understand.
 *
 * @example
 * ```ts
 * import type { StateMachine } from "conclave";
 * import { testCluster } from "conclave/testing";
 *
 * class Sum implements StateMachine {
 *   #sum = 0;
 *   apply(command: Uint8Array): Uint8Array {
 *     this.#sum += command[0] ?? 0;
 *     return this.query();
 *   }
 *   query(): Uint8Array {
 *     return Uint8Array.of(this.#sum);
 *   }
 *   snapshot(): Iterable<Uint8Array> {
 *     return [this.query()];
 *   }
 *   async restore(pieces: AsyncIterable<Uint8Array>): Promise<void> {
 *     for await (const [sum = 0] of pieces) this.#sum = sum;
 *   }
 * }
 * await using cluster = await testCluster({ machine: () => new Sum() });
 * await cluster.client.command(Uint8Array.of(2));
 * console.log(await cluster.client.command(Uint8Array.of(3))); // Uint8Array(1) [ 5 ]
 * ```
 */
export interface StateMachine {
  /**
   * Applies one command and returns its result. Must not throw: a command that can't be carried out is a result too.
   */
  apply(command: Uint8Array, context: ApplyContext): Uint8Array;
  /** Answers a question about the state without changing it. */
  query(query: Uint8Array): Uint8Array;
  /**
   * Answers a question that may have to wait for what it asks about; null if it has to: then it is asked again after
   * more was applied. A machine without this method takes no such questions.
   */
  poll?(query: Uint8Array): Uint8Array | null;
  /**
   * The whole state, in pieces of bounded size. It is as it was at the call: the pieces are drawn one by one while
   * `apply` goes on, and no more of them than are wanted. The same state gives the same pieces on every replica: by them
   * replicas find out whether one of them has come to another state.
   */
  snapshot(): Iterable<Uint8Array>;
  /**
   * Another number whenever a new version of the program gives other pieces for the same state: replicas of different
   * forms are not compared. Default 0.
   */
  readonly snapshotForm?: number;
  /**
   * Replaces the state by one that `snapshot` gave, once all of its pieces have come. They are read from the disk one by
   * one as they are asked for; should they end in an error, the old state stays as it was.
   *
   * @throws if the pieces are not what `snapshot` gave, or can't be read
   */
  restore(pieces: AsyncIterable<Uint8Array>): Promise<void>;
  /**
   * The state goes on without what was applied after it elsewhere, where clients have seen the results and nothing else
   * is left of them. Whatever the machine counts, such as revisions, has to go on so far ahead that nothing is given out
   * twice that has meant something else.
   */
  leap?(): void;
  /**
   * Begins to take in a state from a backup, which comes through the log as commands do. A machine without this method
   * can't be restored from a backup.
   */
  replacement?(): Replacement;
  /** Is there nothing in it that a backup would replace? A machine without this method is never taken for empty. */
  isEmpty?(): boolean;
  /** Every timer that is set. */
  timers?(): Iterable<MachineTimer>;
  /** A timer has run out, unless it was set anew or cleared since. It is applied like a command. */
  fire?(id: string, generation: number, context: ApplyContext): void;
  /** The machines with names that this program can run. */
  supported?(): readonly SupportedMachine[];
  /**
   * From here on the cluster uses that machine, in that version. It is applied like a command.
   *
   * @throws ConclaveError `MACHINE_MISSING` if this program has no such machine, and `MACHINE_FAILED` if it can't be
   * brought into use: the node can't go on
   */
  activate?(machine: MachineVersion, context: ApplyContext): void;
  /** Looks whether `activate` would go through by now: a leader asks before it has all do it. @throws the same */
  rehearse?(machine: MachineVersion): void;
}
