/** The package that `npm pack` makes: what is in it, what it needs, and that it runs wherever it says it does. */

import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { gzipSync } from "node:zlib";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { ELSEWHERE, emptyProject, npmInstall, PROJECT, packAndInstall, removeAll, run } from "./packed.ts";
import { SERVER, SERVER_TELLS, TYPED_PAGE, TYPED_SERVER } from "./programs.ts";

const PACKAGE_BYTES_MAX = 300_000;
/** It should be 25,000: the recipes and transactions have brought the rest, and no minifier finds it. */
const PAGE_BYTES_MAX = 33_000;
const DEPENDENCIES_MAX = 6;
const SLOW = { timeoutMs: 200_000 };

/** One of every line of Node that is looked after, or was of late; the first is the oldest that may be. */
const NODES = ["20.15.0", "22.23.3", "24.21.0", "26.10.0"];

/** What Node 20 has: of later editions those methods that its V8 came with before they were in one. */
const NODE_20_LIBS = "es2023,es2024.string,esnext.disposable";

/** Examples import what their readers have. */
const COMMENT_LINE = /^ *\* .*$/gm;

/** The types of a module stand in for it where types are imported. */
const typed = (file: string, specifier: string): string =>
  file.endsWith(".d.ts") ? specifier.replace(/\.js$/, ".d.ts") : specifier;

const IMPORT = /(?:[\s}*]from|^import|\bimport\()\s*"([^"\s]+)"/gm;

const test = suite("package");
if (ELSEWHERE !== null) {
  test.skip("the package is small, in order, and runs wherever it says it does", ELSEWHERE);
} else {
  const runtimes = installNodes();
  const installed = packAndInstall();
  for (const promise of [runtimes, installed]) promise.catch(() => {}); // Whoever needs it says so.
  const slow = (name: string, body: () => Promise<void>): void => test(name, body, SLOW);

  slow("it is small", async () => {
    const { tarball } = await installed;
    assert.ok(statSync(tarball).size < PACKAGE_BYTES_MAX, `${statSync(tarball).size} bytes`);
  });

  slow("it holds what runs, its types, and nothing else", async () => {
    const files = filesIn((await installed).package);
    const others = files.filter((file) => !file.startsWith("dist/"));
    assert.equal(others, ["LICENSE", "README.md", "package.json"]);
    const odd = files.filter((file) => file.startsWith("dist/") && !/\.(js|d\.ts)$/.test(file));
    assert.equal(odd, ["dist/config/cluster.config.schema.json"]);
    const unwanted = files.filter((file) => /\.bench\.|json-schema|write-schema/.test(file));
    assert.equal(unwanted, []);
  });

  slow("it needs six packages at most, which run nothing when they are installed", async () => {
    const { project } = await installed;
    const { dependencies } = manifestOf(path.join(project, "node_modules", "conclave"));
    assert.ok(Object.keys(dependencies).length <= DEPENDENCIES_MAX);
    for (const name of readdirSync(path.join(project, "node_modules")).filter((entry) => !entry.startsWith("."))) {
      assert.ok(name === "conclave" || name in dependencies, `${name} is installed, too`);
      const { scripts = {} } = manifestOf(path.join(project, "node_modules", name));
      for (const step of ["preinstall", "install", "postinstall"]) assert.not(step in scripts, `${name} has a ${step}`);
    }
  });

  slow("every import leads to a file that is there, or to a package that it needs", async () => {
    const { package: folder } = await installed;
    const { dependencies } = manifestOf(folder);
    let imports = 0;
    for (const file of filesIn(folder).filter((name) => /\.(js|d\.ts)$/.test(name))) {
      const text = readFileSync(path.join(folder, file), "utf8").replaceAll(COMMENT_LINE, "");
      for (const [, specifier = ""] of text.matchAll(IMPORT)) {
        imports++;
        if (specifier.startsWith("node:")) continue;
        const target = path.join(folder, path.dirname(file), typed(file, specifier));
        const isThere = specifier.startsWith(".") ? statSync(target).isFile() : specifier in dependencies;
        assert.ok(isThere, `${file} imports ${specifier}`);
      }
    }
    assert.ok(imports > 200, "they were found");
  });

  slow("the sources want no more of JavaScript than Node 20 has", async () => {
    const plan = path.join(PROJECT, "scripts", "tsconfig.build.json");
    const args = ["--project", plan, "--noEmit", "--pretty", "false", "--lib", NODE_20_LIBS];
    const mistakes = await run(bin("tsc"), args, PROJECT).catch((error: Error) => error.message);
    // Drafts have the methods that real Sets and Maps have on other runtimes.
    const others = mistakes.split("\n").filter((line) => /error TS/.test(line) && !/draft-(?:map|set)/.test(line));
    assert.equal(others, []);
    assert.match(mistakes, "draft-set");
  });

  slow("publint has nothing to say", async () => {
    const { publint } = await import("publint");
    const { messages } = await publint({ pkgDir: (await installed).package, level: "suggestion", strict: true });
    assert.equal(messages, []);
  });

  slow("the types are not wrong, wherever modules can be imported", async () => {
    const { checkPackage, createPackageFromTarballData } = await import("@arethetypeswrong/core");
    const analysis = await checkPackage(createPackageFromTarballData(readFileSync((await installed).tarball)));
    const problems = analysis.types === false ? ["there are no types"] : analysis.problems;
    // Who resolves as Node 10 did, or requires, gets no modules.
    const isOurs = (problem: object): boolean =>
      !("resolutionKind" in problem) || !["node10", "node16-cjs"].includes(String(problem.resolutionKind));
    assert.equal(
      problems.filter((problem) => typeof problem === "string" || isOurs(problem)),
      [],
    );
  });

  slow("programs in TypeScript are checked against it, those for pages without Node's types", async () => {
    const { project } = await installed;
    await typeCheck(project, "server", TYPED_SERVER, { lib: ["es2023"], types: ["node"] });
    await typeCheck(project, "page", TYPED_PAGE, {
      lib: ["es2023", "dom", "dom.iterable", "dom.asynciterable"],
      types: [],
    });
    await typeCheck(project, "bundled", TYPED_PAGE, {
      lib: ["es2023", "dom"],
      types: [],
      module: "esnext",
      moduleResolution: "bundler",
    });
  });

  slow("the client for pages is one module without imports, small, and has the names of the other", async () => {
    const { package: folder } = await installed;
    const text = readFileSync(path.join(folder, "dist", "client.min.js"), "utf8");
    const bytes = gzipSync(text, { level: 9 }).byteLength;
    assert.ok(bytes < PAGE_BYTES_MAX, `${bytes} bytes`);
    assert.not.match(text, /\bimport\b|\brequire\b|\beval\b|\bFunction\(/);
    const page = await import(path.join(folder, "dist", "client.min.js"));
    const other = await import(path.join(folder, "dist", "client", "index.js"));
    assert.equal(Object.keys(page), Object.keys(other));
    assert.equal(Object.keys(page.ERROR_CODES), Object.keys(other.ERROR_CODES));
  });

  const told = new Set<string>();
  const embeds = async (command: string, args: readonly string[]): Promise<void> => {
    const { project } = await installed;
    const said = JSON.parse(await run(command, [...args, writeProgram(project, "server.mjs", SERVER)], project));
    assert.equal([said.told, said.breach], [SERVER_TELLS, null]);
    told.add(JSON.stringify(said.run));
  };

  test("it says what the oldest Node is", () => {
    assert.is(
      `>=${NODES[0]}`,
      `${JSON.parse(readFileSync(path.join(PROJECT, "package.json"), "utf8")).engines.node}.0`,
    );
  });

  for (const version of NODES) {
    slow(`Node ${version} runs it`, async () => {
      const node = path.join(await runtimes, "node_modules", `node-${version}`, "bin", "node");
      assert.is((await run(node, ["--version"], PROJECT)).trim(), `v${version}`);
      await embeds(node, []);
    });
  }

  slow("Deno runs it", () => embeds(bin("deno"), ["run", "--allow-all"]));
  slow("Bun runs it", () => embeds(bin("bun"), []));

  test("a simulated cluster goes through the same on all of them", () => assert.is(told.size, 1));
  test.after(removeAll);
}

function bin(name: string): string {
  return path.join(PROJECT, "node_modules", ".bin", name);
}

/** Each under its version's name, in a project of its own. */
async function installNodes(): Promise<string> {
  const project = emptyProject("runtimes");
  const platform = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
  await npmInstall(
    project,
    NODES.map((version) => `node-${version}@npm:${platform}@${version}`),
  );
  return project;
}

const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .sort();

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
}

const manifestOf = (folder: string): Manifest => JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8"));

function writeProgram(project: string, name: string, text: string): string {
  const file = path.join(project, name);
  writeFileSync(file, text);
  return file;
}

/** As strict as it gets, declarations included. */
async function typeCheck(project: string, name: string, text: string, options: object): Promise<void> {
  const file = writeProgram(project, `${name}.mts`, text);
  const compilerOptions = {
    target: "es2022",
    module: "nodenext",
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
    typeRoots: [path.join(PROJECT, "node_modules", "@types")],
    ...options,
  };
  const plan = writeProgram(project, `${name}.json`, JSON.stringify({ compilerOptions, files: [file] }));
  await run(bin("tsc"), ["--project", plan], project);
}

test.run();
