/** Looks for the least that has to go wrong for an invariant to break. */

import { DEFAULT_EVENTS, type SimulationOptions, type SimulationResult, simulate } from "./simulate.ts";

/**
 * How a failing run is made smaller.
 *
 * @example
 * ```ts
 * import type { ShrinkOptions } from "conclave/testing";
 *
 * const options: ShrinkOptions = { attemptsMax: 50, onAttempt: ({ attempts }) => console.log(attempts) };
 * ```
 */
export interface ShrinkOptions {
  /** At most so many runs are tried; default 200. */
  readonly attemptsMax?: number;
  /** Called after each of them. */
  readonly onAttempt?: (progress: ShrinkProgress) => void;
  /** Runs a simulation, in place of `simulate`. */
  readonly simulate?: (options: SimulationOptions) => Promise<SimulationResult>;
}

/**
 * How far shrinking has come.
 *
 * @example
 * ```ts
 * import type { ShrinkProgress } from "conclave/testing";
 *
 * const show = ({ attempts, faults, events }: ShrinkProgress): void =>
 *   console.log(`${attempts}: ${faults} faults in ${events} events`);
 * ```
 */
export interface ShrinkProgress {
  readonly attempts: number;
  /** How many faults are left. */
  readonly faults: number;
  /** How many events are left. */
  readonly events: number;
}

/**
 * The smallest failing run that was found.
 *
 * @example
 * ```ts
 * import type { Shrunk } from "conclave/testing";
 *
 * const commandFor = ({ options }: Shrunk): string =>
 *   `npx conclave simulate --seed ${options.seed} --events ${options.events}`;
 * ```
 */
export interface Shrunk {
  /** With these it comes about again. */
  readonly options: SimulationOptions;
  readonly result: SimulationResult;
  readonly attempts: number;
}

const ATTEMPTS_MAX = 200;
/** Fewer events than this part of them are not worth another attempt. */
const LEAST_PART = 1 / 32;

/**
 * Leaves faults out of a failing run, and ends it earlier, for as long as the same invariant still breaks. The faults
 * go by delta debugging (Zeller and Hildebrandt, 2002): first large parts of them, then smaller ones, until none can be
 * left out alone or the attempts are used up. The same run shrinks to the same one, always.
 *
 * @example
 * ```ts
 * import { keyValueWorkload, type NewWorkload, shrink, simulate } from "conclave/testing";
 *
 * const wrong: NewWorkload = (nowMs) => ({
 *   ...keyValueWorkload(nowMs),
 *   judge: (report) => report("workload", "nothing is ever right"),
 * });
 * const options = { seed: 42, events: 500, workload: wrong };
 * const { result } = await shrink(options, await simulate(options), { attemptsMax: 5 });
 * console.log(result.breach?.invariant, result.faults); // workload []
 * ```
 *
 * @param failing what came of a run with these options
 */
export async function shrink(
  options: SimulationOptions,
  failing: SimulationResult,
  shrinkOptions: ShrinkOptions = {},
): Promise<Shrunk> {
  const search = new Search(options, failing, shrinkOptions);
  await search.endEarlier();
  await search.leaveOutFaults();
  await search.endEarlier();
  return search.smallest;
}

class Search {
  readonly #options: ShrinkOptions;
  readonly #failing: SimulationResult;
  #best: Omit<Shrunk, "attempts">;
  #attempts = 0;

  constructor(options: SimulationOptions, failing: SimulationResult, shrinkOptions: ShrinkOptions) {
    if (failing.breach === null) throw new RangeError("a run in which no invariant broke has nothing to shrink");
    this.#options = shrinkOptions;
    this.#failing = failing;
    this.#best = withinBounds(options, failing);
  }

  get smallest(): Shrunk {
    return { ...this.#best, attempts: this.#attempts };
  }

  get #isSpent(): boolean {
    return this.#attempts >= (this.#options.attemptsMax ?? ATTEMPTS_MAX);
  }

  async leaveOutFaults(): Promise<void> {
    // Often the fault is in the code alone.
    if (this.#faults.length === 0 || (await this.#breaksWith({ faults: [] }))) return;
    for (let parts = 2; parts <= this.#faults.length && !this.#isSpent; ) {
      if (await this.#leaveOutOneOf(parts)) parts = Math.max(parts - 1, 2);
      else if (parts === this.#faults.length) return;
      else parts = Math.min(2 * parts, this.#faults.length);
    }
  }

  /** Leaves out the first of so many parts without which the invariant still breaks. */
  async #leaveOutOneOf(parts: number): Promise<boolean> {
    const faults = this.#faults;
    for (let part = 0; part < parts; part++) {
      const from = Math.floor((part * faults.length) / parts);
      const to = Math.floor(((part + 1) * faults.length) / parts);
      if (await this.#breaksWith({ faults: faults.filter((_, i) => i < from || i >= to) })) return true;
    }
    return false;
  }

  /** For an invariant that is looked at only at the end: then the event of the breach tells nothing. */
  async endEarlier(): Promise<void> {
    const { breach } = this.#best.result;
    if (breach !== null && breach.event <= this.#events) return;
    const least = Math.max(1, Math.floor(this.#events * LEAST_PART));
    for (let step = Math.floor(this.#events / 2); step >= least && !this.#isSpent; ) {
      const events = this.#events - step;
      if (events < 1 || !(await this.#breaksWith({ events }))) step = Math.floor(step / 2);
    }
  }

  get #faults(): readonly number[] {
    return this.#best.result.faults;
  }

  get #events(): number {
    return this.#best.options.events ?? DEFAULT_EVENTS;
  }

  async #breaksWith(less: Pick<SimulationOptions, "faults" | "events">): Promise<boolean> {
    if (this.#isSpent) return false;
    const options = { ...this.#best.options, ...less };
    this.#attempts++;
    const result = await (this.#options.simulate ?? simulate)(options);
    const breaks = result.breach?.invariant === this.#failing.breach?.invariant;
    if (breaks) this.#best = withinBounds(options, result);
    this.#options.onAttempt?.({ attempts: this.#attempts, faults: this.#faults.length, events: this.#events });
    return breaks;
  }
}

/** Nothing that comes after the breach is needed. */
function withinBounds(options: SimulationOptions, result: SimulationResult): Omit<Shrunk, "attempts"> {
  const { events = DEFAULT_EVENTS } = options;
  return { options: { ...options, events: Math.min(events, result.breach?.event ?? events) }, result };
}
