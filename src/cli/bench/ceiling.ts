/** What replicating and flushing cost on this machine with no consensus in it: what others are measured against. */

import { existsSync, mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import * as path from "node:path";
import * as v from "valibot";
import { ConclaveError } from "../../errors.ts";
import { type Child, ended, send, spawnCommand } from "../child.ts";
import { PACKAGE_FOLDER } from "../entry.ts";
import { type Failure, failed, interrupted } from "./failure.ts";
import type { Figures } from "./job.ts";
import type { CeilingResult } from "./results.ts";
import { rounded } from "./samples.ts";
import { COUNTERPARTS } from "./workloads.ts";

const figuresSchema = v.looseObject({ ops: v.number(), p50_ms: v.number(), p99_ms: v.number() });
const resultSchema = v.looseObject(Object.fromEntries(COUNTERPARTS.map((name) => [name, figuresSchema])));

export interface CeilingOptions {
  readonly file: string;
  readonly nodes: number;
  readonly valueBytes: number;
  /** For its data: made here, and removed in the end. */
  readonly folder: string;
}

/** @throws ConclaveError `INVALID_ARGUMENT` if there is no such program */
export function checkCeiling(file: string): void {
  if (!existsSync(file))
    throw new ConclaveError("INVALID_ARGUMENT", `--ceiling: there is no file ${path.resolve(file)}.`);
}

/** The program as a process, with children of its own that go with it. */
export class Ceiling {
  readonly #options: CeilingOptions;
  #child: Child | null = null;

  constructor(options: CeilingOptions) {
    this.#options = options;
  }

  /** @throws Failure if it fails, or prints something else than figures */
  async run(): Promise<CeilingResult> {
    const { file, nodes, valueBytes, folder } = this.#options;
    mkdirSync(folder, { recursive: true });
    const args = [path.resolve(file), "--nodes", `${nodes}`, "--value", `${valueBytes}`, "--json"];
    // It finds `ws` from the package's folder.
    const child = spawnCommand("bench-ceiling", args, { cwd: PACKAGE_FOLDER, env: { TMPDIR: folder } });
    this.#child = child;
    let [output, errors] = ["", ""];
    child.stdout.on("data", (chunk) => {
      output += String(chunk);
    });
    child.stderr.on("data", (chunk) => {
      errors += String(chunk);
    });
    const failure = await new Promise<Failure | null>((resolve) => {
      child.once("error", (error) => resolve(failed(`The ceiling can't be run: ${error.message}`)));
      child.once("close", (code, signal) => {
        const why = failed(`The ceiling has failed, ${signal ?? `code ${code}`}: ${errors}`);
        resolve(code === 0 ? null : signal === "SIGINT" ? interrupted() : why);
      });
    });
    this.#child = null;
    if (failure !== null) throw failure;
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), resultSchema), output);
    if (!parsed.success) throw failed(`The ceiling printed no figures, but ${output.slice(0, 200)}`);
    return parsed.output as CeilingResult;
  }

  /** Ends all of it. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child !== null) await ended(child, () => send(child, "SIGTERM"));
    await rm(this.#options.folder, { recursive: true, force: true });
  }
}

/** A figure as a share of the mean of the ceiling's two. */
export function shareOf({ ops, p50_ms }: Figures, before: Figures, after: Figures) {
  return {
    ops_share: rounded((2 * ops) / (before.ops + after.ops)),
    p50_multiple: rounded((2 * p50_ms) / (before.p50_ms + after.p50_ms)),
  };
}
