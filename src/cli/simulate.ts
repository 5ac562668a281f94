/** Simulates whole clusters, each on a seed, until an invariant breaks or time is up. */

import { setImmediate } from "node:timers/promises";
import { colours } from "../console/index.ts";
import { type Breach, type Progress, type SimulationResult, shrink, type TraceLine } from "../testing/index.ts";
import type { Call } from "./call.ts";
import { onStop, readArguments, stopCode } from "./process.ts";
import { ProgressLine } from "./progress-line.ts";
import { type Given, OPTIONS, type Plan, readPlan, SEEDS_END, usage } from "./simulation/plan.ts";
import { simulateOne } from "./simulation/simulate-one.ts";
import { addTo, emptyTally, type Tally } from "./simulation/tally.ts";
import {
  commandOf,
  failureText,
  progressText,
  type RunOptions,
  speed,
  summaryText,
  traceText,
} from "./simulation/text.ts";

/** A run that broke an invariant. */
interface Failure {
  readonly options: RunOptions;
  readonly breach: Breach;
  readonly result: SimulationResult;
}

/** Thrown to end a run that is under way. */
class Interrupted extends Error {}

const freshSeed = (): number => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;

/** All that one call of the command runs, and what it prints of it. */
class Simulations {
  readonly #plan: Plan;
  readonly #given: Given;
  /** What a person types to run it again. */
  readonly #typed: string;
  readonly #progress: ProgressLine;
  readonly #tally = emptyTally();
  readonly #startedMs = performance.now();
  #endedMs: number | null = null;
  /** The exit code of one that was told to stop. */
  #stopped: number | null = null;

  constructor(plan: Plan, given: Given, typed: string) {
    this.#plan = plan;
    this.#given = given;
    this.#typed = typed;
    this.#progress = new ProgressLine({ isSilent: given.trace === true });
  }

  /** What is under way ends soon. @param exitCode what the process is to end with */
  stop(exitCode: number): void {
    this.#stopped = exitCode;
  }

  /** @returns the exit code */
  async run(): Promise<number> {
    let failure: Failure | null = null;
    try {
      failure = await this.#runAll();
      this.#endedMs = performance.now();
      if (failure !== null) this.#printFailure(failure);
      if (failure !== null && this.#given.shrink === true) {
        failure = await this.#shrunken(failure);
        this.#printFailure(failure);
      }
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error;
    }
    this.#printSummary(failure);
    return this.#stopped ?? (failure === null ? 0 : 1);
  }

  async #runAll(): Promise<Failure | null> {
    const { firstSeed, seedsMax, minutesMax, profiles, run } = this.#plan;
    const first = firstSeed ?? freshSeed();
    const tally = this.#tally;
    const pause = ({ events, virtualMs }: Progress): Promise<void> =>
      this.#breathe(() => {
        const soFar: Tally = { ...tally, events: tally.events + events, virtualMs: tally.virtualMs + virtualMs };
        return progressText(soFar, this.#elapsedMs());
      });
    for (let i = 0; i < seedsMax && this.#elapsedMs() < minutesMax * 60_000; i++) {
      const profile = profiles[i % profiles.length];
      const options: RunOptions = { ...run, ...(profile && { profile }), seed: (first + i) % SEEDS_END };
      const trace = (line: TraceLine): void => this.#print(traceText(line));
      const result = await simulateOne({ ...options, pause, ...(this.#given.trace === true ? { trace } : {}) });
      addTo(tally, result);
      if (result.breach !== null) return { options, breach: result.breach, result };
    }
    return null;
  }

  /** The same failure with less around it. */
  async #shrunken({ options, breach, result }: Failure): Promise<Failure> {
    let text = (): string => "shrinking";
    const pause = (): Promise<void> => this.#breathe(() => text());
    const shrunk = await shrink({ ...options, pause }, result, {
      simulate: simulateOne,
      onAttempt: ({ attempts, faults, events }) => {
        text = () => `shrinking: ${faults} faults and ${events} events left after ${attempts} attempts`;
      },
    });
    const { pause: _, ...smaller } = shrunk.options;
    return { options: smaller, breach: shrunk.result.breach ?? breach, result: shrunk.result };
  }

  /** Signals and timers have their turn. */
  async #breathe(text: () => string): Promise<void> {
    await setImmediate();
    if (this.#stopped !== null) throw new Interrupted();
    this.#progress.show(text);
  }

  /** What shrinking takes does not count. */
  #elapsedMs(): number {
    return (this.#endedMs ?? performance.now()) - this.#startedMs;
  }

  #print(text: string): void {
    this.#progress.clear();
    process.stdout.write(`${text}\n`);
  }

  #printUnlessJson(text: string): void {
    if (this.#given.json !== true) this.#print(text);
  }

  #printFailure({ options, breach, result }: Failure): void {
    this.#printUnlessJson(failureText(options, breach, result.recent, this.#typed));
  }

  #printSummary(failure: Failure | null): void {
    const { seedsMax } = this.#plan;
    const [tally, stopped] = [this.#tally, this.#stopped];
    if (failure === null && stopped === null) this.#printUnlessJson(`${colours.green("✔")} every invariant held`);
    if (this.#given.trace !== true) this.#printUnlessJson(summaryText(tally, this.#elapsedMs()));
    if (failure === null && stopped === null && Number.isFinite(seedsMax) && tally.seeds < seedsMax) {
      this.#printUnlessJson(`Time was up after ${tally.seeds} of ${seedsMax} seeds.`);
    }
    if (this.#given.json !== true) return;
    const broken = failure && {
      ...failure.breach,
      ...failure.options,
      faults: failure.result.faults,
      command: commandOf(failure.options, this.#typed),
    };
    const eventsPerSecond = speed(tally, this.#elapsedMs());
    this.#print(JSON.stringify({ ...tally, eventsPerSecond, interrupted: stopped !== null, failure: broken }));
  }
}

export async function run({ name, typed, args }: Call): Promise<void> {
  const { values } = readArguments(usage(name), args, OPTIONS);
  const simulations = new Simulations(readPlan(values), values, typed);
  onStop((reason) => simulations.stop(stopCode(reason)));
  const exitCode = await simulations.run();
  // Only once all is written: some runtimes would lose what is not.
  process.stdout.write("", () => process.exit(exitCode));
}
