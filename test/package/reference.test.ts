/**
 * The reference: every name that the package offers has a doc comment with an example, and every example does what it says.
 *
 * An example is a module of its own, as strict as the sources. It finds, as if it had made them itself,
 *
 *     client     what `connect` gave, of a cluster that nobody disturbs
 *     cluster    what `testCluster` gave: three nodes that are this example's alone
 *     url        where this machine can be reached, and nobody listens
 *     folder     an empty one
 *
 * Where it has comments such as `console.log(sum); // 3`, what it prints is just that.
 */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { format } from "node:util";
import * as assert from "uvu/assert";
import { freePorts } from "../../src/cli/ports.ts";
import { hasCode } from "../../src/errors.ts";
import { type TestCluster, testCluster } from "../../src/testing/index.ts";
import { suite } from "../support/suite.ts";
import { ELSEWHERE, PROJECT, run } from "./packed.ts";
import type { Example } from "./reference.ts";

const ENTRIES = ["src/index.ts", "src/client/index.ts", "src/testing/index.ts", "src/adapters/index.ts"];
/** Those whose methods are what most users come for. */
const WITH_MEMBERS = ["Client"];
const EXAMPLE_TIMEOUT_MS = 10_000;

const GIVEN = `import type { Client } from "../../src/index.ts";
import type { TestCluster } from "../../src/testing/index.ts";

declare global {
  const client: Client;
  const cluster: TestCluster;
  const url: string;
  const folder: string;
}
`;

const test = suite("reference");
if (ELSEWHERE === null) {
  const { offeredBy, withCompiler } = await import("./reference.ts");
  const offered = offeredBy(ENTRIES, WITH_MEMBERS);
  const examples = offered.flatMap((one) => one.examples);
  // Within the project, where packages are found as by its users.
  mkdirSync(path.join(PROJECT, ".conclave"), { recursive: true });
  const folder = mkdtempSync(path.join(PROJECT, ".conclave", "reference-"));
  const plan = path.join(folder, "tsconfig.json");
  /** On the same lines as in the doc comment. */
  const modules = new Map(examples.map((example) => [writeModule(folder, example), example]));
  writeFileSync(path.join(folder, "given.d.ts"), GIVEN);
  const compilerOptions = { noUnusedLocals: false, typeRoots: [path.join(PROJECT, "node_modules", "@types")] };
  writeFileSync(plan, JSON.stringify({ extends: "../../tsconfig.json", compilerOptions, include: ["."] }));

  test("every name has a doc comment that says what it is, with an example", () => {
    assert.ok(offered.length > 150, "the names were found");
    const bare = offered.filter(({ says, examples: own }) => says === "" || own.length === 0);
    assert.equal(
      bare.map(({ name, file, line }) => `${name} ${file}:${line}`),
      [],
    );
  });

  test("every example is right by its types", () => {
    const mistakes = withCompiler(plan, ({ program }) =>
      [...modules].flatMap(([file, { file: source }]) =>
        [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
          ({ pos, text }) => `${source}:${program.getSourceFile(file)?.text.slice(0, pos).split("\n").length}: ${text}`,
        ),
      ),
    );
    assert.equal(mistakes, []);
  });

  test(
    "every example runs to its end, and prints what it says",
    async () => {
      const undisturbed = await settledCluster();
      const failures: string[] = [];
      for (const [file, example] of modules) {
        const failed = await runExample(file, example, undisturbed).catch((error: unknown) => error);
        if (failed !== undefined) failures.push(`${example.file}:${example.line}: ${format(failed)}`);
      }
      await undisturbed.close();
      assert.is(failures.join("\n"), "");
    },
    { timeoutMs: 180_000 },
  );

  test("one command makes pages of it, with one for every name", async () => {
    const pages = path.join(folder, "docs");
    await run(process.execPath, [path.join(PROJECT, "scripts", "docs.ts"), pages], PROJECT);
    for (const { name } of offered.filter((one) => !/[./]/.test(one.name))) {
      const file = ["", "client", "testing", "adapters"]
        .map((entry) => path.join(pages, entry, "~", `${name}.html`))
        .find((page) => existsSync(page));
      assert.ok(file, `${name} has a page`);
      assert.match(readFileSync(file, "utf8"), /Examples[\s\S]*Usage<[\s\S]* from &quot;conclave/);
    }
  });

  test.after(() => rmSync(folder, { recursive: true }));
} else test.skip("every name has an example, which does what it says", ELSEWHERE);

/** @returns the file */
function writeModule(folder: string, { file, line, code }: Example): string {
  const written = path.join(folder, `${file.replaceAll("/", "-")}-${line}.ts`);
  writeFileSync(written, "\n".repeat(line - 1) + fromSources(code));
  return written;
}

/** The sources stand for the package, which has to be built first. */
function fromSources(code: string): string {
  return code.replaceAll(/ from "conclave(\/\w+)?";/g, (_all, entry: string = "") => {
    return ` from ${JSON.stringify(path.join(PROJECT, "src", entry, "index.ts"))};`;
  });
}

/** Runs a module to its end. @throws whatever it throws, and Error if it hangs, or prints something else */
async function runExample(file: string, { code }: Example, undisturbed: TestCluster): Promise<void> {
  const wantsCluster = /\bcluster\b(?!:)/.test(code) && !/\busing cluster\b/.test(code);
  await using own = wantsCluster ? await settledCluster() : null;
  const client = await (own ?? undisturbed).connect();
  const [port] = await freePorts(1);
  const folder = mkdtempSync(path.join(path.dirname(file), "folder-"));
  Object.assign(globalThis, { client, cluster: own, url: `ws://127.0.0.1:${port}`, folder });
  const printed = await printedBy(() => inTime(import(pathToFileURL(file).href)));
  await client.close();
  const promised = [...code.matchAll(/\bconsole\.log\(.*\);? \/\/ (.*)$/gm)].map(([, text]) => text);
  if (promised.length > 0) assert.equal(printed, promised);
}

/** One that is led, and whose log has taken note of every founder: a change of the members, which refuses others meanwhile. */
async function settledCluster(): Promise<TestCluster> {
  const cluster = await testCluster();
  for (;;) {
    const members = await cluster.client.members();
    const isThrough = await cluster.client.change([]).then(
      () => true,
      (error) => !hasCode(error, "CHANGE_IN_PROGRESS") && Promise.reject(error),
    );
    if (isThrough && members.every(({ incarnation }) => incarnation !== null)) return cluster;
  }
}

async function printedBy(run: () => Promise<void>): Promise<string[]> {
  const printed: string[] = [];
  const { log } = console;
  console.log = (...values) => void printed.push(format(...values));
  try {
    await run();
    return printed;
  } finally {
    console.log = log;
  }
}

async function inTime(running: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not end within ${EXAMPLE_TIMEOUT_MS} ms`)), EXAMPLE_TIMEOUT_MS);
  });
  await Promise.race([running, late]).finally(() => clearTimeout(timer));
}

test.run();
