/**
 * Runs every test file in a process of its own, on the runtime that runs this one, two at a time, and adds up what
 * uvu reports. The last line is `N passed, N failed`.
 *
 *     node test/run.ts [PATTERN] [--without A,B]     only files whose path contains PATTERN, and none of the others
 */

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import * as path from "node:path";
import { parseArgs } from "node:util";

const FILES_AT_ONCE = 2;
/** Longer than any test's own limit: only a process that blocks its own event loop gets here. */
const FILE_TIMEOUT_MS = 240_000;

interface Result {
  readonly file: string;
  readonly passed: number;
  readonly skipped: number;
  readonly failed: number;
  readonly output: string;
  readonly seconds: number;
}

const folder = import.meta.dirname;
const { positionals, values } = parseArgs({
  options: { without: { type: "string", default: "" } },
  allowPositionals: true,
});
const [pattern = ""] = positionals;
const without = values.without.split(",").filter((part) => part !== "");
const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.ts") && file.includes(pattern))
  .filter((file) => !without.some((part) => file.includes(part)))
  .sort((a, b) => Number(b.startsWith("end-to-end")) - Number(a.startsWith("end-to-end")) || a.localeCompare(b));

const runtimeArguments = "Deno" in globalThis ? ["run", "--allow-all"] : [];
const numberAfter = (output: string, label: string): number => {
  const matches = [...output.matchAll(new RegExp(`^\\s*${label}:\\s+(\\d+)`, "gm"))];
  return matches.reduce((sum, match) => sum + Number(match[1]), 0);
};

function runFile(file: string): Promise<Result> {
  const started = performance.now();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [...runtimeArguments, path.join(folder, file)], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, FORCE_COLOR: "0" },
    });
    let output = "";
    const collect = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const limit = setTimeout(() => {
      output += `\n${file} did not end within ${FILE_TIMEOUT_MS} ms and was killed.\n`;
      child.kill("SIGKILL");
    }, FILE_TIMEOUT_MS);
    child.once("close", (code) => {
      clearTimeout(limit);
      const total = numberAfter(output, "Total");
      const passed = numberAfter(output, "Passed");
      const skipped = numberAfter(output, "Skipped");
      // A file that died, or ran nothing at all, has failed even if no test in it says so.
      const failed = Math.max(total - passed, code !== 0 || total + skipped === 0 ? 1 : 0);
      const seconds = (performance.now() - started) / 1000;
      resolve({ file, passed, skipped, failed, output, seconds });
    });
  });
}

const results: Result[] = [];
const queue = [...files];
await Promise.all(
  Array.from({ length: FILES_AT_ONCE }, async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await runFile(file);
      results.push(result);
      const { passed, skipped, failed, output, seconds } = result;
      const counts = `${passed} passed${skipped > 0 ? `, ${skipped} skipped` : ""}${failed > 0 ? `, ${failed} FAILED` : ""}`;
      console.log(`${failed > 0 ? "✘" : "✔"} ${file}: ${counts} (${seconds.toFixed(1)} s)`);
      const notes = output.split("\n").filter((line) => /^(skipped|told): /.test(line));
      if (failed > 0) console.log(output);
      else for (const note of notes) console.log(`  ${note.replace(/^told: /, "")}`);
    }
  }),
);

const sum = (pick: (result: Result) => number): number => results.reduce((total, result) => total + pick(result), 0);
const failed = sum((result) => result.failed);
console.log(`\nuvu on ${process.execPath.split("/").at(-1)}:`);
console.log(`  Total:     ${sum((result) => result.passed + result.failed)}`);
console.log(`  Passed:    ${sum((result) => result.passed)}`);
console.log(`  Skipped:   ${sum((result) => result.skipped)}`);
console.log(`${sum((result) => result.passed)} passed, ${failed} failed`);
process.exitCode = failed > 0 || results.length === 0 ? 1 : 0;
