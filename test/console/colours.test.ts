/** Colours: only for those who want them (no-color.org, force-color.org). */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { colourOf } from "../../src/console/index.ts";
import { suite } from "../support/suite.ts";

// Within the project, for there Deno finds its packages.
const scratch = path.join(import.meta.dirname, "..", "..", ".conclave");
mkdirSync(scratch, { recursive: true });
const folder = mkdtempSync(path.join(scratch, "colours-"));
const script = path.join(folder, "shout.ts");
const consoleUrl = new URL("../../src/console/index.ts", import.meta.url).href;
writeFileSync(
  script,
  `import { colourOf, colours } from "${consoleUrl}";\nconsole.log(colours.red("bad") + colourOf("n1")("n1"));\n`,
);

/** What a script prints in colour, in a process with this environment and no terminal. */
function shout(env: Readonly<Record<string, string>>): string {
  const { NO_COLOR: _no, FORCE_COLOR: _force, ...rest } = process.env;
  const args = "Deno" in globalThis ? ["run", "--allow-all", "--no-lock", script] : [script];
  const { stdout, stderr } = spawnSync(process.execPath, args, { env: { ...rest, ...env }, encoding: "utf8" });
  if (!stdout.includes("bad")) throw new Error(stderr);
  return stdout.trimEnd();
}

const test = suite("console: colours");
test.after(() => rmSync(folder, { recursive: true, force: true }));

test("where nothing is a terminal there are no colours", () => assert.is(shout({}), "badn1"));

test("FORCE_COLOR gives colours to a pipe", () => assert.ok(shout({ FORCE_COLOR: "1" }).includes("\u001b[31mbad")));

test("FORCE_COLOR=0 takes them away", () => assert.is(shout({ FORCE_COLOR: "0" }), "badn1"));

test("NO_COLOR takes them away", () => assert.is(shout({ NO_COLOR: "1" }), "badn1"));

test("FORCE_COLOR wins over NO_COLOR", () =>
  assert.ok(shout({ FORCE_COLOR: "1", NO_COLOR: "1" }).includes("\u001b[31m")));

test("an empty NO_COLOR counts as none", () =>
  assert.ok(shout({ FORCE_COLOR: "1", NO_COLOR: "" }).includes("\u001b[31m")));

test("a process keeps its colour", () => {
  for (const name of ["n1", "n2", "directory"]) assert.is(colourOf(name)("x"), colourOf(name)("x"));
});

test.run();
