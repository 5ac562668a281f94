/** The client for pages: one module without imports, as small as it gets. */

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { minify } from "terser";
import { ERROR_CODES } from "../../../src/errors.ts";

/** What no page has, and code that is there for it is not needed. */
const ABSENT = ["globalThis.Buffer", "globalThis.setImmediate"];

/**
 * Bun puts the modules together, leaves out what nobody calls, and gives private fields short names; terser finds more
 * to shorten in the result. What each error code means stays behind: it stands in the types.
 */
export async function writePage(
  run: (program: string, args: readonly string[]) => void,
  entry: string,
  file: string,
): Promise<void> {
  const joined = `${file}.joined`;
  const absent = ABSENT.map((name) => `--define=${name}=undefined`);
  run("bun", ["build", entry, "--target=browser", "--format=esm", "--minify", ...absent, `--outfile=${joined}`]);
  let code = readFileSync(joined, "utf8");
  rmSync(joined);
  for (const meaning of Object.values(ERROR_CODES)) {
    if (!code.includes(JSON.stringify(meaning))) throw new Error(`"${meaning}" is not in the module for pages`);
    code = code.replace(JSON.stringify(meaning), '""');
  }
  const shorter = await minify(code, {
    module: true,
    ecma: 2020,
    compress: { ecma: 2020, passes: 3, lhs_constants: false },
    mangle: true,
  });
  writeFileSync(file, `${shorter.code}\n`);
}
