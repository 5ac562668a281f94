/**
 * Makes the reference of what the package offers, by its doc comments, as pages in docs/, or in a folder that is named.
 *
 * Deno names modules as users do only where it finds them in its own configuration, which is to lie beside the sources:
 * so it gets a copy of them. The package's name it leaves out, and that is put in afterwards.
 */

import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

const PROJECT = path.join(import.meta.dirname, "..", "..");
const PACKAGE = "conclave";

const [, , named] = process.argv;
const output = named === undefined ? path.join(PROJECT, "docs") : path.resolve(named);
const modules: Readonly<Record<string, string>> = JSON.parse(
  readFileSync(path.join(PROJECT, "jsr.json"), "utf8"),
).exports;

function writePages(): void {
  const copy = mkdtempSync(path.join(os.tmpdir(), "conclave-docs-"));
  try {
    for (const name of ["package.json", "src"])
      cpSync(path.join(PROJECT, name), path.join(copy, name), { recursive: true });
    cpSync(path.join(PROJECT, "jsr.json"), path.join(copy, "deno.json"));
    symlinkSync(path.join(PROJECT, "node_modules"), path.join(copy, "node_modules"), "junction");
    const deno = path.join(PROJECT, "node_modules", ".bin", "deno");
    const args = ["doc", "--quiet", "--html", `--name=${PACKAGE}`, `--output=${output}`, ...Object.values(modules)];
    const { status, error } = spawnSync(deno, args, { cwd: copy, stdio: "inherit" });
    if (error !== undefined) throw error;
    if (status !== 0) throw new Error(`deno doc ended with ${status}`);
  } finally {
    rmSync(copy, { recursive: true });
  }
}

/** How each module is imported, in place of what Deno calls it. */
function nameModules(): void {
  for (const file of readdirSync(output, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".html")) continue;
    const page = path.join(output, file);
    const text = readFileSync(page, "utf8").replaceAll(/ from &quot;([^&]+)&quot;;/g, (all, name: string) => {
      if (name === ".") return ` from &quot;${PACKAGE}&quot;;`;
      return `./${name}` in modules ? ` from &quot;${PACKAGE}/${name}&quot;;` : all;
    });
    writeFileSync(page, text);
  }
}

if (named === undefined) rmSync(output, { recursive: true, force: true });
else if (existsSync(output)) throw new Error(`${output} is there already: name a folder that is not`);
writePages();
nameModules();
console.log(`the reference begins at ${path.join(output, "index.html")}`);
