/** The package as its users get it: built, packed and installed in folders that are gone afterwards. */

import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

export const PROJECT = path.join(import.meta.dirname, "..", "..");

/** Why nothing is packed on another runtime. */
export const ELSEWHERE =
  "Deno" in globalThis || "Bun" in globalThis
    ? "the package is built by Node, whose tests try it on every runtime"
    : null;

/** What npm tells a script about itself would mislead the npm that is started from there. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(npm_(package|lifecycle|command|config_local_prefix)|INIT_CWD)/.test(name),
  ),
);

/** Runs a program to its end, and gives what it printed. @throws Error with all that it said if it failed */
export function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: environment, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let all = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
      all += chunk;
    });
    child.stderr.on("data", (chunk) => {
      all += chunk;
    });
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${command} ${args.join(" ")} ended with ${signal ?? code}:\n${all}`));
    });
  });
}

let folder: string | null = null;

/** Where all of it is. */
function root(): string {
  folder ??= mkdtempSync(path.join(os.tmpdir(), "conclave-package-"));
  return folder;
}

export function removeAll(): void {
  if (folder !== null) rmSync(folder, { recursive: true, force: true });
}

/** An empty project. */
export function emptyProject(name: string): string {
  const project = path.join(root(), name);
  mkdirSync(project, { recursive: true });
  writeFileSync(path.join(project, "package.json"), JSON.stringify({ name, private: true, type: "module" }));
  return project;
}

const NPM_OPTIONS = ["--no-audit", "--no-fund", "--no-package-lock", "--prefer-offline", "--loglevel=error"];

export const npmInstall = (project: string, packages: readonly string[]): Promise<string> =>
  run("npm", ["install", ...NPM_OPTIONS, ...packages], project);

/** A copy of the sources to be built in, so that nobody meets a dist/ that is half done. */
function copyOfProject(): string {
  const copy = path.join(root(), "copy");
  mkdirSync(copy);
  for (const name of ["LICENSE", "README.md", "package.json", "scripts", "src", "tsconfig.json"]) {
    cpSync(path.join(PROJECT, name), path.join(copy, name), { recursive: true });
  }
  symlinkSync(path.join(PROJECT, "node_modules"), path.join(copy, "node_modules"));
  return copy;
}

/** Builds it; gives where dist/ is. */
export async function build(): Promise<string> {
  const copy = copyOfProject();
  await run("npm", ["run", "build"], copy);
  return path.join(copy, "dist");
}

export interface Installed {
  readonly tarball: string;
  readonly project: string;
  /** The package in it. */
  readonly package: string;
}

/** Packs it by `npm pack` alone, which builds it first, and installs it into a project that has nothing else. */
export async function packAndInstall(): Promise<Installed> {
  await run("npm", ["pack", "--pack-destination", root()], copyOfProject());
  const [name = ""] = readdirSync(root()).filter((file) => file.endsWith(".tgz"));
  const tarball = path.join(root(), name);
  const project = emptyProject("user");
  await npmInstall(project, [tarball]);
  return { tarball, project, package: path.join(project, "node_modules", "conclave") };
}
