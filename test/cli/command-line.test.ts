/** The command line as a person types it in the repository: `node scripts/conclave.ts`. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { COMMAND_NAMES, nearestCommand } from "../../src/cli/commands.ts";
import { realEnvironment } from "../../src/environment/real.ts";
import { Identity, Wal } from "../../src/storage/index.ts";
import { PROJECT, Running, scriptCommand } from "../end-to-end/cluster.ts";
import { withNodes } from "../node/in-process.ts";
import { batchOf, PlainLog, walOptions } from "../storage/plain-log.ts";
import { suite } from "../support/suite.ts";

const test = suite("cli: command line");

const [command, script] = scriptCommand("conclave.ts");

interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs any script, and any command, to its end. */
function runScript(name: string, args: readonly string[], cwd = PROJECT): Ended {
  const [runtime, words] = scriptCommand(name);
  const env = { ...process.env, NO_COLOR: "1" };
  const { status, stdout, stderr } = spawnSync(runtime, [...words, ...args], { cwd, encoding: "utf8", env });
  return { code: status, output: stdout, errors: stderr };
}

const run = (...args: readonly string[]): Ended => runScript("conclave.ts", args);

async function inFolder(body: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-cli-"));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("help, however it is asked for, has a line for each command", () => {
  const { code, output, errors } = run("--help");
  assert.equal([code, errors], [0, ""]);
  for (const name of COMMAND_NAMES) assert.match(output, new RegExp(`^ {2}${name} +\\S`, "m"));
  assert.not.match(output, "bench-load", "what only other commands start is nothing to type");
  assert.ok(output.split("\n").every((line) => line.length <= 120));
  for (const args of [[], ["help"], ["-h"]]) assert.equal(run(...args), { code, output, errors });
});

for (const name of COMMAND_NAMES) {
  test(`${name} --help and help ${name} are the same, and name it as it is called`, () => {
    const { code, output, errors } = run(name, "--help");
    assert.equal([code, errors], [0, ""]);
    assert.ok(output.startsWith(`usage: conclave ${name} `), output);
    assert.equal(run("help", name), { code, output, errors });
  });
}

test("a script is its command under its own name", () => {
  for (const [file, name] of [
    ["start-cluster.ts", "start"],
    ["start-node.ts", "node"],
    ["start-directory.ts", "directory"],
    ["client.ts", "client"],
    ["bench.ts", "bench"],
    ["inspect.ts", "inspect"],
  ] as const) {
    const { code, output } = runScript(file, ["--help"]);
    assert.is(code, 0);
    const [own, rest] = [`usage: ${path.basename(file, ".ts")} `, output.slice(output.indexOf("\n\n"))];
    assert.ok(output.startsWith(own), output);
    assert.ok(run(name, "--help").output.endsWith(rest), "the options are the same");
  }
  assert.match(
    runScript("simulate.ts", ["--help"]).output,
    /^usage: simulate --mutants .*^usage: simulate \[--seed N\]/ms,
  );
});

test("the version is the package's", () => {
  const { version } = JSON.parse(readFileSync(path.join(PROJECT, "package.json"), "utf8"));
  for (const option of ["--version", "-v"]) assert.equal(run(option), { code: 0, output: `${version}\n`, errors: "" });
});

for (const [args, message] of [
  [["strat"], /^INVALID_ARGUMENT "strat" is no command: did you mean start\? .*--help.*\n$/],
  [["help", "nod"], /^INVALID_ARGUMENT "nod" is no command: did you mean node\? .*\n$/],
  [["unlike"], /^INVALID_ARGUMENT "unlike" is no command, as start, node, .*, inspect are\. .*\n$/],
  [["help", "bench-load"], /^INVALID_ARGUMENT "bench-load" is no command.*\n$/],
  [["--json", "client"], /^INVALID_ARGUMENT "--json" is no option of conclave itself: name a command first\..*\n$/],
  [["client", "--bogus"], /^INVALID_ARGUMENT .*--bogus.*--help.*\n$/],
  [["node", "--config", "cluster.config.json"], /^INVALID_ARGUMENT Say which node this is with --id: n1, .*\n$/],
  [["directory", "--url", "ws://127.0.0.1:1"], /^INVALID_ARGUMENT No directory at .* is configured, only ws:.*\n$/],
  [["bench", "--only", "nothing"], /^INVALID_ARGUMENT --only knows no "nothing".*\n$/],
] as const) {
  test(`a mistake is one line, and exit code 1: ${args.join(" ")}`, () => {
    const { code, output, errors } = run(...args);
    assert.equal([code, output], [1, ""]);
    assert.match(errors, message);
  });
}

test("what is half like a command is taken for it, and no more", () => {
  const meant = ["strt", "inpsect", "nodes", "simulation", "benchmark", "directoy", "STOP", "put", ""].map(
    nearestCommand,
  );
  assert.equal(meant, ["start", "inspect", "node", "simulate", "bench", "directory", null, null, null]);
  for (const name of COMMAND_NAMES) assert.is(nearestCommand(name), name);
});

test("inspect shows what a node's folder holds", () =>
  inFolder(async (folder) => {
    const own = path.join(folder, "n1");
    mkdirSync(own);
    const { salt } = await Identity.open(realEnvironment, own, "demo", "n1", []);
    const wal = await Wal.open(realEnvironment.disk, own, { ...walOptions(), salt }, new PlainLog());
    await wal.append(batchOf(1));
    await wal.close();
    const { code, output, errors } = run("inspect", folder);
    assert.equal([code, errors], [0, ""]);
    assert.match(output, /^n1 of cluster demo, .*^no damage$/ms);
    assert.equal(runScript("inspect.ts", [folder]).output, output);
  }));

test("client runs a command on a cluster; what follows the command is the command's", () =>
  withNodes(3, async (cluster) => {
    const config = path.join(cluster.folder, "cluster.config.json");
    const directories = [{ url: cluster.directoryUrl }];
    writeFileSync(config, JSON.stringify({ cluster: "test", directories, nodes: cluster.members }));
    await cluster.startDirectory();
    const client = async (...args: readonly string[]): Promise<Running> => {
      const running = new Running(command, [...script, "client", "--config", config, ...args]);
      await running.exited;
      return running;
    };
    assert.is((await client("put", "a", "1")).output, "ok revision 1\n");
    const json = await client("--json", "get", "a");
    assert.equal(JSON.parse(json.output), { key: "a", value: "1", revision: 1 });
    assert.match((await client("list", "a", "--stale")).output, /^key +revision +value\na +1 +1\n$/);
    const wrong = await client("incr", "a", "x");
    assert.equal([await wrong.exited, wrong.output], [{ code: 1, signal: null }, ""]);
    assert.match(wrong.errors, /^INVALID_ARGUMENT an increment is a whole number.*\n$/);
  }));

test("simulate runs a seed", () => {
  const { code, output, errors } = run("simulate", "--seed", "7", "--events", "300");
  assert.is(code, 0, errors);
  assert.match(output, /^✔ every invariant held\nseeds +1\n/);
});

test("start where there is no configuration writes that of a demo, once, and says so", () =>
  inFolder((folder) => {
    const none = path.join(folder, "none");
    mkdirSync(none);
    // It ends before it takes any port: its data can't be where there is a file.
    writeFileSync(path.join(folder, "data"), "");
    const start = (): Ended => runScript("conclave.ts", ["start", "--no-repl", "--data", "../data"], none);
    const first = start();
    assert.is(first.code, 1);
    assert.match(first.errors, /^There was no cluster\.config\.json here.*\nDISK_FAILED .*\n$/);
    assert.equal(readdirSync(none), ["cluster.config.json"]);
    assert.match(start().errors, /^DISK_FAILED .*\n$/);

    // Only there, and only if none was named.
    rmSync(path.join(none, "cluster.config.json"));
    const named = runScript("conclave.ts", ["start", "--config", "my.json"], none);
    assert.match(named.errors, /^CONFIG_INVALID .*my\.json: there is no such file.*\n$/);
    assert.match(
      runScript("conclave.ts", ["client", "leader"], none).errors,
      /^CONFIG_INVALID .*there is no such file/,
    );
    assert.not(existsSync(path.join(none, "cluster.config.json")));
  }));

test.run();
