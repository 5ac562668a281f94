/** Simulates whole clusters, each on a seed, until an invariant breaks or time is up. */

import { setImmediate } from "node:timers/promises";
import { colours } from "../../src/console/index.ts";
import { type Breach, type Progress, type SimulationResult, shrink, type TraceLine } from "../../src/testing/index.ts";
import { fail, onStop, readArguments, stopCode } from "./process.mts";
import { ProgressLine } from "./progress-line.mts";
import { simulateOne } from "./simulate-one.mts";
import { OPTIONS, type Plan, readPlan, SEEDS_END, USAGE } from "./simulation-plan.mts";
import {
  commandOf,
  failureText,
  progressText,
  type RunOptions,
  speed,
  summaryText,
  traceText,
} from "./simulation-text.mts";
import { addTo, emptyTally, type Tally } from "./tally.mts";

const args = process.argv.slice(2);
if (args.includes("--mutants")) {
  // Part of the tests, and not of what is published.
  const { runMutants } = await import("../../test/simulation/mutants/run.ts");
  process.exit(await runMutants(args.filter((word) => word !== "--mutants")).catch(fail));
}

const { values } = readArguments(USAGE, OPTIONS);

/** A run that broke an invariant. */
interface Failure {
  readonly options: RunOptions;
  readonly breach: Breach;
  readonly result: SimulationResult;
}

/** Thrown to end a run that is under way. */
class Interrupted extends Error {}

const progress = new ProgressLine({ isSilent: values.trace === true });
const tally = emptyTally();
const startedMs = performance.now();
let endedMs: number | null = null;
/** The exit code of one that was told to stop. */
let stopped: number | null = null;

/** What shrinking takes does not count. */
const elapsedMs = (): number => (endedMs ?? performance.now()) - startedMs;
const print = (text: string): void => {
  progress.clear();
  process.stdout.write(`${text}\n`);
};
const printUnlessJson = (text: string): void => {
  if (values.json !== true) print(text);
};

/** Signals and timers have their turn. */
async function breathe(text: () => string): Promise<void> {
  await setImmediate();
  if (stopped !== null) throw new Interrupted();
  progress.show(text);
}

const freshSeed = (): number => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;

async function runAll({ firstSeed, seedsMax, minutesMax, profiles, run }: Plan): Promise<Failure | null> {
  const first = firstSeed ?? freshSeed();
  const pause = ({ events, virtualMs }: Progress): Promise<void> =>
    breathe(() => {
      const soFar: Tally = { ...tally, events: tally.events + events, virtualMs: tally.virtualMs + virtualMs };
      return progressText(soFar, elapsedMs());
    });
  for (let i = 0; i < seedsMax && elapsedMs() < minutesMax * 60_000; i++) {
    const profile = profiles[i % profiles.length];
    const options: RunOptions = { ...run, ...(profile && { profile }), seed: (first + i) % SEEDS_END };
    const trace = (line: TraceLine): void => print(traceText(line));
    const result = await simulateOne({ ...options, pause, ...(values.trace === true ? { trace } : {}) });
    addTo(tally, result);
    if (result.breach !== null) return { options, breach: result.breach, result };
  }
  return null;
}

/** The same failure with less around it. */
async function shrunken({ options, breach, result }: Failure): Promise<Failure> {
  let text = (): string => "shrinking";
  const pause = (): Promise<void> => breathe(() => text());
  const shrunk = await shrink({ ...options, pause }, result, {
    simulate: simulateOne,
    onAttempt: ({ attempts, faults, events }) => {
      text = () => `shrinking: ${faults} faults and ${events} events left after ${attempts} attempts`;
    },
  });
  const { pause: _, ...smaller } = shrunk.options;
  return { options: smaller, breach: shrunk.result.breach ?? breach, result: shrunk.result };
}

const printFailure = ({ options, breach, result }: Failure): void =>
  printUnlessJson(failureText(options, breach, result.recent));

function printSummary(failure: Failure | null, { seedsMax }: Plan): void {
  if (failure === null && stopped === null) printUnlessJson(`${colours.green("✔")} every invariant held`);
  if (values.trace !== true) printUnlessJson(summaryText(tally, elapsedMs()));
  if (failure === null && stopped === null && Number.isFinite(seedsMax) && tally.seeds < seedsMax) {
    printUnlessJson(`Time was up after ${tally.seeds} of ${seedsMax} seeds.`);
  }
  if (values.json !== true) return;
  const broken = failure && {
    ...failure.breach,
    ...failure.options,
    faults: failure.result.faults,
    command: commandOf(failure.options),
  };
  const eventsPerSecond = speed(tally, elapsedMs());
  print(JSON.stringify({ ...tally, eventsPerSecond, interrupted: stopped !== null, failure: broken }));
}

async function main(): Promise<void> {
  const plan = readPlan(values);
  onStop((reason) => {
    stopped = stopCode(reason);
  });
  let failure: Failure | null = null;
  try {
    failure = await runAll(plan);
    endedMs = performance.now();
    if (failure !== null) printFailure(failure);
    if (failure !== null && values.shrink === true) {
      failure = await shrunken(failure);
      printFailure(failure);
    }
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
  }
  printSummary(failure, plan);
  const exitCode = stopped ?? (failure === null ? 0 : 1);
  // Only once all is written: some runtimes would lose what is not.
  process.stdout.write("", () => process.exit(exitCode));
}

main().catch(fail);
