/** What replicating and flushing cost on this machine with no consensus in it: what others are measured against. */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import * as path from "node:path";
import * as v from "valibot";
import { ConclaveError } from "../../../src/errors.ts";
import { runtimeArguments } from "../child.mts";
import type { Figures } from "./job.mts";
import type { CeilingResult } from "./results.mts";
import { rounded } from "./samples.mts";
import { COUNTERPARTS } from "./workloads.mts";

const PROJECT = path.join(import.meta.dirname, "..", "..", "..");

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

/** The program as a process; it is none of ours, and has children of its own that go with it. */
export class Ceiling {
  readonly #options: CeilingOptions;
  #stop = (): void => {};

  constructor(options: CeilingOptions) {
    this.#options = options;
  }

  /** @throws Error if it fails, or prints something else than figures */
  async run(): Promise<CeilingResult> {
    const { file, nodes, valueBytes, folder } = this.#options;
    await mkdir(folder, { recursive: true });
    const args = [path.resolve(file), "--nodes", `${nodes}`, "--value", `${valueBytes}`, "--json"];
    // In a group of its own, so that all of it can be ended; it finds `ws` from the project's folder.
    const child = spawn(process.execPath, [...runtimeArguments, ...args], {
      cwd: PROJECT,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, TMPDIR: folder },
    });
    this.#stop = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // Nothing of it is left.
      }
    };
    let [output, errors] = ["", ""];
    child.stdout.on("data", (chunk) => {
      output += String(chunk);
    });
    child.stderr.on("data", (chunk) => {
      errors += String(chunk);
    });
    const how = await new Promise<string | null>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("close", (code, signal) => resolve(code === 0 ? null : `${signal ?? `code ${code}`}: ${errors}`));
    });
    await this.stop();
    if (how !== null) throw new Error(`The ceiling has failed, ${how}`);
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), resultSchema), output);
    if (!parsed.success) throw new Error(`The ceiling printed no figures, but ${output.slice(0, 200)}`);
    return parsed.output as CeilingResult;
  }

  /** Ends all of it. */
  async stop(): Promise<void> {
    this.#stop();
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
