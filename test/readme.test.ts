/** The README's code runs as it stands there. */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { stripVTControlCharacters } from "node:util";
import * as assert from "uvu/assert";
import { COMMAND_NAMES } from "../src/cli/commands.ts";
import { freePorts } from "../src/cli/ports.ts";
import { PROJECT, Running, scriptCommand, withCluster } from "./end-to-end/cluster.ts";
import { suite } from "./support/suite.ts";

const test = suite("README");

const readme = readFileSync(path.join(PROJECT, "README.md"), "utf8");

const blocks = (language: string): string[] =>
  [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , code = ""]) => code);

/** The program in which that stands. */
function program(part: string): string {
  const found = blocks("ts").find((code) => code.includes(part));
  if (found === undefined) throw new Error(`no program has ${part}`);
  return found;
}

/** The package under its name has to be built first, and has tests of its own: here the sources stand for it. */
const fromSources = (code: string): string =>
  code.replaceAll(/ from "conclave(\/\w+)?";/g, (_all, entry: string = "") => {
    return ` from ${JSON.stringify(path.join(PROJECT, "src", entry, "index.ts"))};`;
  });

/** Runs a program and gives what it printed. */
async function outputOf(code: string): Promise<string> {
  const folder = path.join(PROJECT, ".conclave");
  const file = path.join(folder, `readme-${process.pid}.ts`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, fromSources(code));
  try {
    const run = new Running(process.execPath, ["Deno" in globalThis ? ["run", "--allow-all"] : [], file].flat());
    assert.equal(await run.exited, { code: 0, signal: null }, run.errors);
    // Deno takes any FORCE_COLOR for a wish.
    return stripVTControlCharacters(run.output);
  } finally {
    rmSync(file);
  }
}

test("the library in ten lines runs against a cluster", () =>
  withCluster(3, async (cluster) => {
    const code = program("ws://127.0.0.1:7000");
    assert.ok(code.trim().split("\n").length <= 10);
    const printed = await outputOf(code.replace("ws://127.0.0.1:7000", cluster.directoryUrl));
    assert.match(printed, /^(the leader is n\d\n)+hello, world 1\ngreeting hello, world\n$/);
  }));

test("the bank in a program of one's own does what it says", async () => {
  const [port = 0] = await freePorts(1);
  const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-readme-"));
  try {
    const code = program("await join({")
      .replace(/peers: \{.*\}/, `peers: { a: "ws://127.0.0.1:${port}" }`)
      .replace('dataDir: "data"', `dataDir: ${JSON.stringify(folder)}`);
    assert.is(await outputOf(code), "70\nchange 1: 30 for bob\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the machine that is not the same on every replica is caught, as it says", async () => {
  const code = program("simulate(");
  const shown = blocks("text").find((text) => text.startsWith("state-machine-safety"));
  assert.is(await outputOf(code), shown);
});

test("the simulated run is the one that it shows, but for the time that it takes", () => {
  const [shown] = blocks("console").filter((block) => block.includes("simulate.ts --seed 42"));
  const [command, script] = scriptCommand("simulate.ts");
  const env = { ...process.env, NO_COLOR: "1" };
  const { stdout } = spawnSync(command, [...script, "--seed", "42"], { encoding: "utf8", env });
  const timeless = (text = ""): string => text.replace(/, [\d,]+ a second/, "").trimEnd();
  assert.is(timeless(shown), `$ node scripts/simulate.ts --seed 42\n${timeless(stdout)}`);
});

test("its table has every command of the command line, with a script of the same options", () => {
  const rows = [...readme.matchAll(/^\| `npx conclave (\w+)(.*?)` \| `node scripts\/([\w-]+)\.ts(.*?)` \|/gm)];
  assert.equal(
    rows.map(([, name]) => name),
    COMMAND_NAMES,
  );
  for (const [, name = "", options, script = "", same] of rows) {
    assert.is(options, same);
    const text = readFileSync(path.join(PROJECT, "scripts", `${script}.ts`), "utf8");
    assert.ok(text.includes(`"${name}"`) || script === name, `${script} is ${name}`);
  }
});

test("a mistaken command is answered as it shows", () => {
  const [, shown = ""] = /^\$ npx conclave strat\n(.*\n)/m.exec(readme) ?? [];
  const [command, script] = scriptCommand("conclave.ts");
  const env = { ...process.env, NO_COLOR: "1" };
  assert.is(spawnSync(command, [...script, "strat"], { encoding: "utf8", env }).stderr, shown);
});

test("its commands are scripts of this project", () => {
  const { scripts } = JSON.parse(readFileSync(path.join(PROJECT, "package.json"), "utf8"));
  for (const [, name = ""] of readme.matchAll(/`npm (?:run )?(test[:\w]*|check)`/g)) assert.ok(name in scripts, name);
  for (const [, script = ""] of readme.matchAll(/node (scripts\/[\w-]+\.ts)/g)) {
    assert.ok(readFileSync(path.join(PROJECT, script), "utf8").length > 0);
  }
});

test.run();
