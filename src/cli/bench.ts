/** Measures a cluster of real processes, and checks its answers. */

import { existsSync, statSync } from "node:fs";
import { statfs, writeFile } from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import { errorColours } from "../console/index.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import { checkCeiling } from "./bench/ceiling.ts";
import { measureCrowd } from "./bench/crowds.ts";
import { Failure } from "./bench/failure.ts";
import { measureGrowth } from "./bench/growth.ts";
import { measureIdle } from "./bench/idle.ts";
import { measureFailover, measureTransfer } from "./bench/interruptions.ts";
import { OPTIONS, type Plan, readPlan, usage } from "./bench/plan.ts";
import { jsonOf, type Results } from "./bench/results.ts";
import { Stage } from "./bench/stage.ts";
import { resultsText } from "./bench/text.ts";
import { measureThroughput } from "./bench/throughput.ts";
import { CROWDS } from "./bench/workloads.ts";
import type { Call } from "./call.ts";
import { fail, onStop, readArguments, stopCode } from "./process.ts";
import { ProgressLine } from "./progress-line.ts";

const PROGRESS_EVERY_MS = 250;

/** Whatever runs it. */
function runtime(): string {
  for (const name of ["deno", "bun"]) {
    const version = process.versions[name];
    if (version !== undefined) return `${name} ${version}`;
  }
  return `node ${process.versions.node}`;
}

/** The type of a file system in memory (TMPFS_MAGIC). */
const TMPFS = 0x0102_1994;

/** Nothing is flushed where there is no disk. */
async function warnOfMemory(folder: string): Promise<void> {
  if (process.platform !== "linux" || (await statfs(folder)).type !== TMPFS) return;
  process.stderr.write(
    `${folder} is in memory, where a flush costs nothing: TMPDIR=FOLDER names one that is on a disk.\n`,
  );
}

/** Not only after all those minutes. @throws ConclaveError `INVALID_ARGUMENT` */
function checkSave(file: string): void {
  const folder = path.dirname(path.resolve(file));
  if (!existsSync(folder)) throw new ConclaveError("INVALID_ARGUMENT", `--save: there is no folder ${folder}.`);
  const isFolder = statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isFolder) throw new ConclaveError("INVALID_ARGUMENT", `--save: ${file} is a folder, and no file.`);
}

/** Runs what was chosen, one after the other. */
async function measureAll(stage: Stage, plan: Plan, results: Results): Promise<void> {
  const isChosen = (name: string): boolean => plan.workloads.includes(name);
  await measureThroughput(stage, plan, results);
  if (isChosen("transfer")) results.transfer = await measureTransfer(stage, plan);
  if (isChosen("failover")) results.failover = await measureFailover(stage, plan);
  if (isChosen("idle")) results.idle = await measureIdle(stage, plan);
  for (const { name, clients } of CROWDS) {
    if (isChosen(name)) results.crowds[name] = await measureCrowd(stage, plan, name, clients);
  }
  if (isChosen("growth")) results.growth = await measureGrowth(stage, plan);
}

export async function run({ name, args }: Call): Promise<void> {
  const { values } = readArguments(usage(name), args, OPTIONS);
  const progress = new ProgressLine();
  const plan = readPlan(values);
  if (plan.ceiling !== null) checkCeiling(plan.ceiling);
  if (values.save !== undefined) checkSave(values.save);
  let doing = "";
  const stage = new Stage({
    show: (text) => {
      doing = text;
    },
  });
  const ticking = setInterval(() => progress.show(() => doing), PROGRESS_EVERY_MS);
  /** Ends everything, once; then whoever asked for it ends the process. */
  const close = async (): Promise<void> => {
    clearInterval(ticking);
    progress.clear();
    await stage.close();
  };
  process.on("uncaughtException", (error) => stage.fail(error));
  let isStopping = false;
  onStop((reason) => {
    isStopping = true;
    close().then(() => process.exit(stopCode(reason)), fail);
  });

  await warnOfMemory(stage.folder);
  const [{ model: cpu = "unknown" } = {}] = os.cpus();
  const results: Results = {
    nodes: plan.nodes,
    value_bytes: plan.valueBytes,
    seconds: plan.seconds,
    warm_up_seconds: plan.warmUpSeconds,
    started: new Date().toISOString(),
    machine: { runtime: runtime(), platform: `${os.platform()} ${os.release()}`, cpu, cpus: os.availableParallelism() },
    throughput: {},
    crowds: {},
  };
  try {
    await measureAll(stage, plan, results);
  } catch (error) {
    if (isStopping) return; // It was cut short, and whoever did that ends the process.
    await close();
    if (!(error instanceof Failure)) fail(error);
    if (error.code === "INTERRUPTED") process.exit(stopCode("SIGINT"));
    process.stderr.write(`${errorColours.red(error.code)} ${error.message}\n`);
    process.exit(1);
  }
  await close();
  const text = values.json === true ? jsonOf(results) : resultsText(results);
  const save = async (): Promise<void> => {
    if (values.save !== undefined) await writeFile(values.save, `${jsonOf(results, 2)}\n`);
  };
  const failSave = (error: unknown): never => fail(new ConclaveError("DISK_FAILED", `--save: ${messageOf(error)}`));
  // Only once all is written: some runtimes would lose what is not. And what can't be saved was shown at least.
  process.stdout.write(`${text}\n`, () => save().then(() => process.exit(0), failSave));
}
