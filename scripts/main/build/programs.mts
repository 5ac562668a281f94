/** What programs import: an ES module for each entry, and what several of them share in modules beside them. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { minify } from "terser";

/** All names that one can meet in a stack are kept, and no function becomes a part of another one. */
const NAMES = { keep_classnames: true, keep_fnames: true };

/** Three hundred modules as they are would be a tenth larger. */
export async function writePrograms(
  run: (program: string, args: readonly string[]) => void,
  modules: string,
  entries: readonly string[],
  folder: string,
): Promise<void> {
  const names = ["--chunk-naming=parts/[name]-[hash].[ext]", `--root=${modules}`, `--outdir=${folder}`];
  const files = entries.map((entry) => path.join(modules, `${entry}.js`));
  run("bun", [
    "build",
    ...files,
    "--target=node",
    "--format=esm",
    "--packages=external",
    "--splitting",
    "--minify-syntax",
    ...names,
  ]);
  const parts = readdirSync(path.join(folder, "parts")).map((file) => path.join("parts", file));
  const written = [...entries.map((entry) => `${entry}.js`), ...parts].map((file) => path.join(folder, file));
  const texts = withOwnNames(new Map(written.map((file) => [file, readFileSync(file, "utf8")])));
  for (const [file, text] of texts) writeFileSync(file, await shortened(text));
}

/** Bun puts a number after the name of a class that an entry exports: it goes where it tells no two classes apart. */
function withOwnNames(texts: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const all = [...texts.values()].join("\n");
  const numbered = [...all.matchAll(/^class (\w+?)2 /gm)].map(([, name = ""]) => name);
  const own = new Set(numbered.filter((name) => !all.includes(`\nclass ${name} `)));
  const named = (text: string): string =>
    text.replaceAll(/\b(\w+?)2\b/g, (whole, name: string) => (own.has(name) ? name : whole));
  return new Map([...texts].map(([file, text]) => [file, named(text)]));
}

async function shortened(text: string): Promise<string> {
  const { code = "" } = await minify(text, {
    ecma: 2020,
    module: true,
    compress: { ...NAMES, ecma: 2020, passes: 2, inline: false, reduce_funcs: false, lhs_constants: false },
    mangle: NAMES,
  });
  return code;
}
