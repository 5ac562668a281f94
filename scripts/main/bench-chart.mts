/** Draws the results of a benchmark. */

import { readFile } from "node:fs/promises";
import { fail, readArguments } from "../../src/cli/process.ts";
import { ConclaveError, messageOf } from "../../src/errors.ts";
import { svgOf } from "./bench/chart.mts";
import { chartOf } from "./bench/chart-data.mts";

const USAGE = `usage: bench-chart RESULTS

Prints a chart, as SVG, of what bench --json has printed into that file.`;

const { words } = readArguments(USAGE, process.argv.slice(2), {}, ["RESULTS"]);

async function main(): Promise<void> {
  const [file = ""] = words;
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new ConclaveError("INVALID_ARGUMENT", `${file} can't be read: ${messageOf(cause)}`);
  });
  process.stdout.write(svgOf(chartOf(text)));
}

main().catch(fail);
