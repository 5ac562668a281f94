/** The house keeps its plan: which room may import which, what only the rim may touch, and what nobody writes. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { suite } from "./support/suite.ts";

/** Packages are written as they are imported, rooms and the files beside them by their name in src/. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  raft: [],
  link: ["machine/value-codec.ts", "bytes.ts", "environment.ts", "errors.ts", "shape.ts"],
  actor: [
    "link",
    "machine/value-codec.ts",
    "alarm.ts",
    "bytes.ts",
    "environment.ts",
    "errors.ts",
    "passing.ts",
    "shape.ts",
  ],
  machine: ["bytes.ts", "errors.ts", "sorted-btree"],
  storage: ["bytes.ts", "environment.ts", "errors.ts", "node:zlib", "valibot"],
  protocol: ["actor", "bytes.ts", "shape.ts"],
  directory: ["actor", "protocol", "environment.ts", "errors.ts", "limits.ts"],
  node: [
    "actor",
    "link",
    "protocol",
    "raft",
    "machine",
    "storage",
    "alarm.ts",
    "bytes.ts",
    "environment.ts",
    "errors.ts",
    "limits.ts",
    "passing.ts",
  ],
  client: [
    "actor",
    "link",
    "protocol",
    "machine/commands.ts",
    "machine/definition.ts",
    "machine/key-value-parts.ts",
    "machine/key-value-protocol.ts",
    "machine/recipes/barriers.ts",
    "machine/recipes/checks.ts",
    "machine/recipes/leases.ts",
    "machine/recipes/locks.ts",
    "machine/key-value-transaction.ts",
    "machine/recipes/queue-state.ts",
    "machine/recipes/queues.ts",
    "machine/recipes/rate-limits.ts",
    "machine/restoration-steps.ts",
    "machine/typed-protocol.ts",
    "machine/value-codec.ts",
    "environment/standard.ts",
    "#network",
    "alarm.ts",
    "environment.ts",
    "errors.ts",
    "limits.ts",
    "passing.ts",
  ],
  adapters: ["client", "machine/recipes/caches.ts", "machine/recipes/locks.ts", "errors.ts"],
  embed: [
    "client",
    "config",
    "directory",
    "machine",
    "node",
    "environment/loopback.ts",
    "environment/mode.ts",
    "environment/real.ts",
    "environment/ws.ts",
    "environment.ts",
    "errors.ts",
    "node:http",
    "node:path",
  ],
  backup: ["client", "machine", "storage", "environment.ts", "errors.ts"],
  config: ["errors.ts", "limits.ts", "node:fs/promises", "node:path", "valibot", "@valibot/to-json-schema"],
  console: [
    "actor",
    "backup",
    "client",
    "directory",
    "node",
    "environment.ts",
    "errors.ts",
    "chalk",
    "valibot",
    "node:fs",
    "node:os",
    "node:path",
    "node:readline",
    "node:util",
  ],
  environment: ["environment.ts", "errors.ts", "nanoid", "ws", "node:*"],
  cli: [
    "client",
    "config",
    "console",
    "directory",
    "embed/directories.ts",
    "environment/lock.ts",
    "environment/real.ts",
    "environment/standard.ts",
    "machine",
    "node",
    "storage",
    "testing",
    "actor",
    "environment.ts",
    "errors.ts",
    "node:*",
    "valibot",
  ],
  testing: [
    "actor",
    "client",
    "directory",
    "embed",
    "environment/memory-network.ts",
    "environment/standard.ts",
    "machine",
    "node",
    "protocol",
    "raft",
    "storage",
    "bytes.ts",
    "environment.ts",
    "errors.ts",
    "limits.ts",
    "node:zlib",
  ],
  "alarm.ts": ["environment.ts"],
  "environment.ts": [],
  "errors.ts": [],
  "bytes.ts": [],
  "passing.ts": [],
  "limits.ts": [],
  "shape.ts": ["errors.ts"],
  "index.ts": [
    "backup",
    "client",
    "config",
    "directory",
    "embed",
    "environment/real.ts",
    "environment.ts",
    "limits.ts",
    "machine",
    "node",
    "storage",
  ],
};

/** What reads a clock, sets a timer, draws a random number, or knows that there is a process. */
const OUTSIDE = [
  /\bset(Timeout|Interval|Immediate)\b/,
  /\bDate\b/,
  /\bMath\.random\b/,
  /\bperformance\b/,
  /\bcrypto\b/,
  /\bprocess\.(env\b|pid\b|exit\b|on\b|std)/,
  /\bBuffer\b/,
  /\bAbortSignal\.timeout\b/,
];
const RIM = ["environment", "console", "config", "cli"];

const SRC = path.join(import.meta.dirname, "..", "src");
const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".bench.ts")) // Those measure, and are measured by nobody.
  .sort();

const textOf = (file: string): string => readFileSync(path.join(SRC, file), "utf8");
const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:"'`])\/\/.*$/gm, "$1");
/** Words in texts are not code; what a template inserts still is. */
const codeOf = (file: string): string => withoutComments(textOf(file)).replace(/"(?:[^"\\\n]|\\.)*"/g, '""');

/** `raft` for raft/step.ts, and `errors.ts` for errors.ts. */
const roomOf = (file: string): string => file.split("/")[0] ?? file;

interface Import {
  /** A file in src/, or a package. */
  readonly target: string;
  readonly typeOnly: boolean;
}

function importsOf(file: string): Import[] {
  const code = withoutComments(textOf(file));
  const found = [
    ...code.matchAll(/^(?:import|export)\s+(type\s+)?[\w\s{},*$]+?\s+from\s+"([^"]+)"/gm),
    ...code.matchAll(/^import(\s+)"([^"]+)"/gm),
    ...code.matchAll(/\bimport(\()\s*"([^"]+)"/g),
  ];
  return found.map(([, type = "", specifier = ""]) => ({
    target: specifier.startsWith(".") ? path.posix.join(path.posix.dirname(file), specifier) : specifier,
    typeOnly: type.startsWith("type"),
  }));
}

const isAllowed = (room: string, target: string): boolean =>
  roomOf(target) === room ||
  (ALLOWED[room] ?? []).some((allowed) =>
    allowed.endsWith("*") ? target.startsWith(allowed.slice(0, -1)) : target === allowed || roomOf(target) === allowed,
  );

/** Every file that is loaded with this one in a browser, types included. */
function closureOf(file: string): Map<string, string> {
  const cameFrom = new Map<string, string>([[file, "the start"]]);
  for (const [reached] of cameFrom) {
    if (!files.includes(reached)) continue;
    for (const { target } of importsOf(reached)) {
      const next = target === "#network" ? "environment/websocket.ts" : target;
      if (!cameFrom.has(next)) cameFrom.set(next, reached);
    }
  }
  return cameFrom;
}

const test = suite("structure");

test("every relative import leads to a file that is there", () => {
  for (const file of files) {
    for (const { target } of importsOf(file)) {
      const isFile = target.endsWith(".ts") && !target.startsWith("#");
      assert.ok(!isFile || existsSync(path.join(SRC, target)), `${file} imports ${target}, which is not there`);
    }
  }
});

test("every room imports only what the plan lets it", () => {
  for (const file of files) {
    const room = roomOf(file);
    assert.ok(room in ALLOWED, `src/${room} is not in the plan: say what it may import`);
    for (const { target } of importsOf(file)) {
      assert.ok(isAllowed(room, target), `the arrow ${room} -> ${roomOf(target)} is broken: ${file} imports ${target}`);
    }
  }
});

test("the plan names no arrow that nobody follows", () => {
  for (const [room, allowed] of Object.entries(ALLOWED)) {
    const targets = files.filter((file) => roomOf(file) === room).flatMap((file) => importsOf(file));
    for (const arrow of allowed) {
      const followed = targets.some(
        ({ target }) => target === arrow || roomOf(target) === arrow || arrow === `${target.split(":")[0]}:*`,
      );
      assert.ok(followed, `${room} may import ${arrow} and does not`);
    }
  }
});

test("the console knows nodes and directories only by their types", () => {
  for (const file of files.filter((name) => roomOf(name) === "console")) {
    for (const { target, typeOnly } of importsOf(file)) {
      const isServer = ["node", "directory", "actor", "client"].includes(roomOf(target));
      assert.ok(!isServer || typeOnly, `${file} imports more than types from ${target}`);
    }
  }
});

test("nothing but the command line imports the console", () => {
  for (const file of files.filter((name) => !["console", "cli"].includes(roomOf(name)))) {
    for (const { target } of importsOf(file)) assert.is.not(roomOf(target), "console", `${file} imports ${target}`);
  }
});

test("nothing that runs a cluster imports what tests it", () => {
  const isTest = (file: string): boolean => roomOf(file) === "testing" || file.startsWith("cli/simulat");
  for (const file of files.filter((name) => !isTest(name))) {
    for (const { target } of importsOf(file)) assert.is.not(roomOf(target), "testing", `${file} imports ${target}`);
  }
  for (const file of closureOf("cli/node.ts").keys()) assert.is.not(roomOf(file), "testing");
});

test("the check for linearizability knows of calls, and of nothing else", () => {
  const general = ["linearizability.ts", "history.ts", "order.ts"].map((name) => `testing/${name}`);
  for (const file of general) {
    for (const { target } of importsOf(file)) assert.ok(general.includes(target), `${file} imports ${target}`);
  }
});

test("nothing imports scripts, and no other room the command line", () => {
  for (const file of files) {
    for (const { target } of importsOf(file)) {
      assert.not(target.includes("scripts/"), `${file} imports ${target}`);
      assert.ok(roomOf(target) !== "cli" || roomOf(file) === "cli", `${file} imports ${target}`);
    }
  }
});

test("the client runs in a browser: no node: module, no server's room, however far one follows its imports", () => {
  const closure = closureOf("client/index.ts");
  assert.ok(closure.size > 20, "the imports were followed");
  for (const [file, from] of closure) {
    assert.not(file.startsWith("node:"), `${from} imports ${file}`);
    assert.is.not(file, "ws", `${from} imports ws`);
    assert.not(
      ["raft", "storage", "node", "directory", "console", "config"].includes(roomOf(file)),
      `${from} -> ${file}`,
    );
  }
});

test("the core and what it is made of load nothing from a package", () => {
  for (const file of closureOf("raft/index.ts").keys()) assert.is(roomOf(file), "raft");
});

test("only the rim touches clocks, timers, chance and the process", () => {
  for (const file of files.filter((name) => !RIM.includes(roomOf(name)))) {
    for (const word of OUTSIDE) {
      // Where there is one it makes text of bytes in a third of the time, and where there is none nothing depends on it.
      if (file === "bytes.ts" && word.source.includes("Buffer")) continue;
      // Dates are values like others; and what keeps the present time from users has to name it.
      const isValue = file === "machine/plain-value.ts";
      if ((isValue && word.source.includes("Date")) || file === "machine/determinism.ts") continue;
      const found = word.exec(codeOf(file));
      assert.is(found, null, `${file} uses ${found?.[0]}: that is for environment/ to do`);
    }
  }
});

test("the types are erasable and hide nothing", () => {
  const forbidden: readonly (readonly [RegExp, string])[] = [
    [/^\s*(?:export\s+)?(?:declare\s+)?(?:const\s+)?enum\s/m, "an enum"],
    [/^\s*(?:export\s+)?(?:declare\s+)?(?:namespace|module)\s+\w/m, "a namespace"],
    [/[:<|&(,]\s*any\b(?!\s*:)|\bas any\b/, "any"],
    [/\bconstructor\((?:[^)]*,)?\s*(?:private|public|protected|readonly)\s+\w+\s*[:?]/, "a parameter property"],
    [/^\s*@\w+/m, "a decorator"],
    [/[\w)\]]!(?:[.;,)[\]]|$)/m, "a non-null assertion"],
  ];
  for (const file of files) {
    for (const [pattern, what] of forbidden) {
      assert.is(pattern.exec(codeOf(file))?.[0] ?? null, null, `${file} has ${what}`);
    }
    assert.not(/@ts-(ignore|nocheck|expect-error)/.test(textOf(file)), `${file} silences the type checker`);
    assert.not(/\b(TODO|FIXME|XXX)\b/.test(textOf(file)), `${file} leaves something to do`);
  }
});

test("every file says in its first line what it is about", () => {
  for (const file of files) {
    // What is run by its name has to say first what runs it.
    const text = textOf(file).replace(/^#!.*\n/, "");
    assert.ok(text.startsWith("/**"), `${file} begins without a comment`);
  }
});

test.run();
