/**
 * Makes what is published of the sources, in dist/: JavaScript for every runtime, its types, and the client for pages.
 *
 * The repository runs from its sources, and the package from dist/, with one package.json: whatever imports `conclave` by
 * its name gets dist/. There `#network` is settled: programs get ws, and pages the module that is made for them.
 */

import { spawnSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { minify } from "terser";
import { trimDeclarations } from "./build/declarations.mts";
import { writePage } from "./build/page.mts";
import { withSignatures } from "./build/signatures.mts";

const PROJECT = path.join(import.meta.dirname, "..", "..");
const DIST = path.join(PROJECT, "dist");
const PLAN = path.join(PROJECT, "scripts", "tsconfig.build.json");
const SCHEMA = path.join("config", "cluster.config.schema.json");

/** A program of a package that this one needs to be built; what it says is shown. */
function run(program: string, args: readonly string[]): void {
  const { status, error } = spawnSync(path.join(PROJECT, "node_modules", ".bin", program), args, { stdio: "inherit" });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(1);
}

const filesIn = (folder: string, ending: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(ending));

/** All names that one can meet in a stack are kept. Without comments and with short names within, it is a third less. */
async function shorten(file: string): Promise<void> {
  const names = { keep_classnames: true, keep_fnames: true };
  const { code } = await minify(readFileSync(file, "utf8"), {
    ecma: 2020,
    module: true,
    compress: false,
    mangle: { ...names, module: false, toplevel: false },
  });
  writeFileSync(file, code ?? "");
}

function settleNetwork(file: string, from: string, to: string): void {
  const text = readFileSync(file, "utf8");
  if (!text.includes(`"${from}"`)) throw new Error(`${file} does not import ${from}`);
  writeFileSync(file, text.replace(`"${from}"`, `"${to}"`));
}

rmSync(DIST, { recursive: true, force: true });
run("tsc", ["--project", PLAN, "--outDir", DIST]);
copyFileSync(path.join(PROJECT, "src", SCHEMA), path.join(DIST, SCHEMA));
const client = path.join(DIST, "client", "index.js");
settleNetwork(client, "#network", "../environment/websocket.js");
await withSignatures(path.join(DIST, "machine", "recipes"), () =>
  writePage(run, client, path.join(DIST, "client.min.js")),
);
settleNetwork(client, "../environment/websocket.js", "../environment/ws.js");
writeFileSync(path.join(DIST, "client.min.d.ts"), 'export * from "./client/index.js";\n');
for (const file of filesIn(DIST, ".js").filter((name) => name !== "client.min.js")) {
  await shorten(path.join(DIST, file));
}
trimDeclarations(DIST, [
  "index.d.ts",
  "client/index.d.ts",
  "client.min.d.ts",
  "adapters/index.d.ts",
  "testing/index.d.ts",
]);
