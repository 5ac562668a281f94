/** Runs the micro-benchmarks, each of which lies beside the code that it measures. */

import { readdir } from "node:fs/promises";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { run } from "mitata";
import { fail, readArguments } from "../../src/cli/process.ts";
import { ConclaveError } from "../../src/errors.ts";

const USAGE = `usage: bench-micro [--only WORD]

Measures parts of Conclave by themselves: time, and with --expose-gc memory, for each call. The files are
src/**/*.bench.ts.

  --only WORD   those with WORD in their name`;

const SRC = path.join(import.meta.dirname, "..", "..", "src");

const { values } = readArguments(USAGE, process.argv.slice(2), { only: { type: "string" } });

async function main(): Promise<void> {
  const word = values.only ?? "";
  const files = (await readdir(SRC, { recursive: true }))
    .filter((file) => file.endsWith(".bench.ts") && file.includes(word))
    .sort();
  if (files.length === 0) throw new ConclaveError("INVALID_ARGUMENT", `No micro-benchmark has ${word} in its name.`);
  for (const file of files) await import(pathToFileURL(path.join(SRC, file)).href);
  await run();
}

main().catch(fail);
