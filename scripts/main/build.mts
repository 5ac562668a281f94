/**
 * Makes what is published of the sources, in dist/: JavaScript for every runtime, its types, and the client for pages.
 *
 * The repository runs from its sources, and the package from dist/, with one package.json: whatever imports `conclave` by
 * its name gets dist/. There `#network` is settled: programs get ws, and pages the module that is made for them.
 */

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { writeDeclarations } from "./build/declarations.mts";
import { writePage } from "./build/page.mts";
import { writePrograms } from "./build/programs.mts";
import { withSignatures } from "./build/signatures.mts";

const PROJECT = path.join(import.meta.dirname, "..", "..");
const DIST = path.join(PROJECT, "dist");
/** What is compiled, module by module: the bundles are made of it, and it is gone in the end. */
const MODULES = path.join(DIST, "modules");
const PLAN = path.join(PROJECT, "scripts", "tsconfig.build.json");
const SCHEMA = path.join("config", "cluster.config.schema.json");
/** What one can import, and what npm runs. */
const ENTRIES = ["index", path.join("client", "index"), path.join("adapters", "index"), path.join("testing", "index")];
const PROGRAM = path.join("cli", "main");

/** A program of a package that this one needs to be built; what it says is shown. */
function run(program: string, args: readonly string[]): void {
  const { status, error } = spawnSync(path.join(PROJECT, "node_modules", ".bin", program), args, { stdio: "inherit" });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(1);
}

function settleNetwork(file: string, from: string, to: string): void {
  const text = readFileSync(file, "utf8");
  if (!text.includes(`"${from}"`)) throw new Error(`${file} does not import ${from}`);
  writeFileSync(file, text.replace(`"${from}"`, `"${to}"`));
}

rmSync(DIST, { recursive: true, force: true });
run("tsc", ["--project", PLAN, "--outDir", MODULES]);
mkdirSync(path.dirname(path.join(DIST, SCHEMA)), { recursive: true });
copyFileSync(path.join(PROJECT, "src", SCHEMA), path.join(DIST, SCHEMA));
const client = path.join(MODULES, "client", "index.js");
settleNetwork(client, "#network", "../environment/websocket.js");
await withSignatures(path.join(MODULES, "machine", "recipes"), () =>
  writePage(run, client, path.join(DIST, "client.min.js")),
);
settleNetwork(client, "../environment/websocket.js", "../environment/ws.js");
await writePrograms(run, MODULES, [...ENTRIES, PROGRAM], DIST);
writeFileSync(path.join(DIST, "client.min.d.ts"), 'export * from "./client/index.js";\n');
writeDeclarations(
  MODULES,
  ENTRIES.map((entry) => `${entry}.d.ts`),
  DIST,
);
rmSync(MODULES, { recursive: true });
