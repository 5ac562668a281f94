/** What clients do with the machines that have names, and what has to come of it: an exercise for each of them. */

import type { Clock } from "../../environment.ts";
import type { Scene, Worker } from "../workload.ts";
import type { LogEar } from "./log-ear.ts";

/** What an exercise has around it. */
export interface Stage extends Scene {
  nowMs(): number;
  /** Everything that the log brings to machines with names. */
  readonly log: LogEar;
}

export interface Exercise {
  /** One piece of work, called again and again. It catches the errors that it expects; any other ends the run. */
  work(worker: Worker): Promise<void>;
  /** As `Workload.delicate`. */
  delicate?(): readonly string[];
  /**
   * Once all is well, and nobody does anything any more: what is still to come to an end, in words. Asked again until it
   * is null, or too much time has passed.
   */
  leftovers(worker: Worker): Promise<string | null>;
  /** One last look, after that. */
  lookBack?(worker: Worker): Promise<void>;
}

/** Calls everybody who wants to know. */
export class Calls {
  readonly #acts: ((name: string) => void)[] = [];

  add(act: (name: string) => void): void {
    this.#acts.push(act);
  }

  all(name: string): void {
    for (const act of this.#acts) act(name);
  }
}

/** Listens to the log from the beginning on. */
export type NewExercise = (stage: Stage) => Exercise;

export const rest = (clock: Pick<Clock, "setTimer">, forMs: number): Promise<void> =>
  new Promise((resolve) => void clock.setTimer(forMs, resolve));
