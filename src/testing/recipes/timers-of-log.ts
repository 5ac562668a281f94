/** The timers that machines set, by the log: none may run out before its time, and in the end all have to. */

import type { MachineTimer } from "../../machine/index.ts";
import type { Scene } from "../workload.ts";

/** What an event takes, and what is lost when times are converted. */
const TOLERANCE_MS = 1;
/** Nobody waits in the end for what takes longer. */
const LONG_MS = 5_000;

export class TimersOfLog {
  readonly #scene: Scene;
  readonly #nowMs: () => number;
  readonly #set = new Map<string, MachineTimer & { readonly sinceMs: number }>();

  constructor(scene: Scene, nowMs: () => number) {
    this.#scene = scene;
    this.#nowMs = nowMs;
  }

  set(timer: MachineTimer): void {
    this.#set.set(timer.id, { ...timer, sinceMs: this.#nowMs() });
  }

  clear(id: string): void {
    this.#set.delete(id);
  }

  /** The log says that a timer has run out. False if that means nothing: it was set anew since, or cleared. */
  fire(id: string, generation: number): boolean {
    const timer = this.#set.get(id);
    if (timer?.generation !== generation) return false;
    this.#scene.count("timersRunOut");
    const passedMs = this.#nowMs() - timer.sinceMs;
    // Its leader's clock may be fast, and can't have begun before.
    if ((passedMs + TOLERANCE_MS) * this.#scene.fastestClock < timer.delayMs) {
      this.#scene.report("timers-kept", `${id} runs out after ${passedMs.toFixed(0)} ms of ${timer.delayMs}`);
    }
    this.#set.delete(id);
    return true;
  }

  /** One that is set and not for long, in words. */
  get pending(): string | null {
    const first = [...this.#set.values()].find(({ delayMs }) => delayMs <= LONG_MS);
    return first === undefined ? null : `the timer ${first.id}, of ${first.delayMs} ms, has not run out`;
  }
}
