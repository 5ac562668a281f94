/** The scripts as a person runs them. */

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster, type LogLine, leaderOf, PROJECT, Running, scriptCommand, withCluster } from "./cluster.ts";

const test = suite("end to end: scripts");

const isNode = !("Deno" in globalThis) && !("Bun" in globalThis);

/** The Node that a person has on the path, rather than the one in node_modules that `npm test` puts before it. */
const systemNode = (): string =>
  (process.env["PATH"] ?? "")
    .split(path.delimiter)
    .filter((folder) => !folder.includes("node_modules"))
    .map((folder) => path.join(folder, "node"))
    .find((file) => existsSync(file)) ?? process.execPath;

/** One that has ended and whose end nobody has taken note of yet is dead: the system's first process may be slow at it. */
const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return !existsSync(`/proc/${pid}/stat`) || !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
};

const elected = ({ event }: LogLine): boolean => event === "leader-elected";

/** What tests have started; a test that fails half way must not leave it behind. */
const started: { readonly cluster: Cluster; readonly launcher: Running }[] = [];

test.after(async () => {
  for (const { cluster, launcher } of started) {
    await launcher.kill("SIGTERM");
    await cluster.stop();
  }
});

/** The launcher on a cluster of its own; its children's process numbers are in its log. */
async function launch(nodes: number, args: readonly string[] = [], command?: string) {
  const cluster = await Cluster.prepare(nodes);
  const [own, rest] = scriptCommand("start-cluster.ts");
  const script = command === undefined ? rest : [path.join(PROJECT, "scripts", "start-cluster.ts")];
  const all = [...script, "--config", cluster.configFile, "--data", cluster.dataFolder, "--log", "json", ...args];
  const launcher = new Running(command ?? own, all);
  started.push({ cluster, launcher });
  return { cluster, launcher };
}

const childrenOf = (launcher: Running): number[] =>
  launcher.lines.flatMap(({ event, pid }) => (event === "child-started" && typeof pid === "number" ? [pid] : []));

/** Waits until a process is gone; its end can't be an event for one who is not its parent. */
async function gone(pid: number): Promise<void> {
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 20));
}

test("start-cluster elects a leader, and SIGTERM stops it all and leaves no orphan", async () => {
  const { launcher } = await launch(4);
  await launcher.line(elected);
  const children = childrenOf(launcher);
  assert.is(children.length, 5);
  await launcher.kill("SIGTERM");
  assert.equal(await launcher.exited, { code: 0, signal: null });
  assert.equal(children.filter(isAlive), []);
  assert.ok(launcher.lines.some(({ event, process: name }) => event === "stopped" && name === "cluster"));
});

if (isNode) {
  test("start-cluster works as typed on the Node of this machine", async () => {
    const { launcher } = await launch(3, [], systemNode());
    await launcher.line(elected);
    const children = childrenOf(launcher);
    await launcher.kill("SIGTERM");
    await Promise.all(children.map(gone));
    assert.is((await launcher.exited).code, 0);
  });

  test("a Node that can't run TypeScript, without one in node_modules, says what to install", () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-"));
    for (const file of ["client.ts", "hand-over.mjs", "package.json"]) {
      writeFileSync(path.join(folder, file), readFileSync(path.join(PROJECT, "scripts", file)));
    }
    const old = ["--no-experimental-strip-types", path.join(folder, "client.ts")];
    assert.throws(
      () => execFileSync(process.execPath, old, { stdio: "pipe" }),
      (error: Error) => /npm ci/.test(error.message) && "status" in error && error.status === 1,
    );
    rmSync(folder, { recursive: true });
  });
} else {
  test.skip("start-cluster works as typed on the Node of this machine", "it is about Node's own binary");
  test.skip("a Node that can't run TypeScript says what to install", "it is about Node's own binary");
}

/** Why killing the process that hands over can't be tried here; null if it can. */
const noHandOver = isNode
  ? execFileSync(systemNode(), ["-p", "process.features.typescript"], { encoding: "utf8" }).startsWith("strip")
    ? "the Node of this machine runs TypeScript itself"
    : null
  : "it is about Node's own binary";
const KILLED_OUTSIDE = "an older Node that has handed over and is killed takes everything with it, within two seconds";

if (noHandOver === null) {
  test(KILLED_OUTSIDE, async () => {
    const { cluster, launcher } = await launch(3, [], systemNode());
    await launcher.line(elected);
    const children = childrenOf(launcher);
    // Those who take leave wait a while for one that does not answer.
    const hung = cluster.run("client.ts", []);
    hung.child.stdin?.write("put a 1\n");
    await hung.text(/ok revision 1/);
    process.kill(hung.pid, "SIGSTOP");
    const killed = performance.now();
    // The launcher itself has the output open until it ends.
    await launcher.kill("SIGKILL");
    await Promise.all(children.map(gone));
    const tookMs = performance.now() - killed;
    await hung.kill("SIGKILL");
    assert.ok(tookMs < 2_000, `the promise is two seconds, not ${tookMs} ms`);
  });
} else {
  test.skip(KILLED_OUTSIDE, noHandOver);
}

test("a launcher that is killed takes its children with it, within two seconds", async () => {
  const { launcher } = await launch(3);
  await launcher.line(elected);
  const children = childrenOf(launcher);
  const killed = performance.now();
  await launcher.kill("SIGKILL");
  await Promise.all(children.map(gone));
  assert.ok(performance.now() - killed < 2_000, "the promise is two seconds");
});

test("start-cluster that is told to stop while its children start takes them with it, in order", async () => {
  const { launcher } = await launch(3);
  await launcher.line(({ event }) => event === "child-started");
  await launcher.kill("SIGTERM");
  assert.equal(await launcher.exited, { code: 0, signal: null }, launcher.errors);
  assert.is(launcher.errors, "");
  assert.equal(childrenOf(launcher).filter(isAlive), []);
  assert.is(launcher.lines.at(-1)?.event, "stopped");
  assert.equal(
    launcher.lines.filter(({ event, expected }) => event === "child-exited" && expected !== true),
    [],
    "each of them was told to",
  );
});

test("Ctrl-C that a child hears before the launcher does ends them all in order, too", async () => {
  const { launcher } = await launch(3);
  const { pid } = await launcher.line(({ event }) => event === "child-started");
  process.kill(Number(pid), "SIGINT");
  assert.equal(await launcher.exited, { code: 0, signal: null }, launcher.errors);
  assert.is(launcher.errors, "");
  assert.equal(childrenOf(launcher).filter(isAlive), []);
  assert.is(launcher.lines.at(-1)?.event, "stopped");
});

test("a child that dies by itself is reported, and not restarted silently", async () => {
  const { launcher } = await launch(3);
  await launcher.line(elected);
  const { pid } = await launcher.line(({ event, child }) => event === "child-started" && child === "n2");
  process.kill(Number(pid), "SIGKILL");
  const report = await launcher.line(({ event, child }) => event === "child-exited" && child === "n2");
  assert.is(report["expected"], false);
  assert.match(String(report["how"]), "SIGKILL");
  assert.is(launcher.lines.filter(({ event, child }) => event === "child-started" && child === "n2").length, 1);
  await launcher.kill("SIGTERM");
});

test("a cluster that is stopped and started again still has what was written; --fresh starts empty", async () => {
  const { cluster, launcher: first } = await launch(3);
  await first.line(elected);
  await (await cluster.client()).put("kept", "yes");
  await first.kill("SIGTERM");

  const again = async (args: readonly string[], value: string | undefined): Promise<void> => {
    const run = cluster.run("start-cluster.ts", ["--data", cluster.dataFolder, "--log", "json", ...args]);
    started.push({ cluster, launcher: run });
    await run.line(elected);
    const client = await cluster.client();
    assert.is((await client.get("kept"))?.value, value);
    await run.kill("SIGTERM");
  };
  await again([], "yes");
  await again(["--fresh"], undefined);
});

for (const args of [[], ["--fresh"]]) {
  test(`start-cluster ${args.join(" ")} beside a cluster that runs takes nothing from it, and says so once`, async () => {
    const { cluster, launcher } = await launch(3);
    await launcher.line(elected);
    const client = await cluster.client();
    await client.put("kept", "yes");
    // Its data is nobody's at the moment, and yet not free to be taken.
    const { pid } = await launcher.line(({ event, child }) => event === "child-started" && child === "n1");
    process.kill(Number(pid), "SIGKILL");
    await launcher.line(({ event, child }) => event === "child-exited" && child === "n1");
    const before = filesIn(cluster.dataFolder);

    const second = cluster.run("start-cluster.ts", ["--data", cluster.dataFolder, "--log", "json", ...args]);
    started.push({ cluster, launcher: second });
    assert.is((await second.exited).code, 1);
    assert.match(second.errors, /^DATA_LOCKED .*\n$/);
    assert.equal(second.lines, [], "no process was started");
    assert.equal(filesIn(cluster.dataFolder), before);
    assert.is((await client.get("kept"))?.value, "yes");
    await launcher.kill("SIGTERM");
  });
}

/** What the nodes have stored; locks come and go with their processes. */
const filesIn = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => path.basename(file) !== "lock")
    .sort();

/** Runs a script to its end. */
async function runToEnd(script: string, args: readonly string[], input = ""): Promise<Running> {
  const [command, rest] = scriptCommand(script);
  const running = new Running(command, [...rest, ...args]);
  running.child.stdin?.end(input);
  await running.exited;
  return running;
}

test("every mistake in a configuration is one line, and exit code 1", async () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-"));
  const file = path.join(folder, "c.json");
  writeFileSync(file, '{"cluster":"x","directories":[{"url":"ws://127.0.0.1:1"}],"nodes":[],"nodez":[]}');
  for (const script of ["start-cluster.ts", "start-node.ts", "start-directory.ts", "client.ts"]) {
    const { errors, exited } = await runToEnd(script, ["--config", file]);
    assert.is((await exited).code, 1, script);
    assert.match(errors, /^CONFIG_INVALID .*c\.json: \S+: .*\n$/, script);
  }
  const missing = await runToEnd("start-cluster.ts", ["--config", path.join(folder, "none.json")]);
  assert.match(missing.errors, /^CONFIG_INVALID .*none\.json: there is no such file.*\n$/);
  const relative = await runToEnd("start-cluster.ts", ["--config", "none.json"]);
  assert.ok(relative.errors.startsWith(`CONFIG_INVALID ${path.resolve("none.json")}: there is`), relative.errors);
  const aFolder = await runToEnd("start-cluster.ts", ["--config", folder]);
  assert.is(aFolder.errors, `CONFIG_INVALID ${folder}: this is a folder: name the file in it with --config\n`);
  rmSync(folder, { recursive: true });
});

test("a data folder that can't be used is one line, and exit code 1", async () => {
  const cluster = await Cluster.prepare(1);
  const args = ["--config", cluster.configFile, "--id", "n1", "--data", cluster.configFile];
  const { errors, exited } = await runToEnd("start-node.ts", args);
  assert.is((await exited).code, 1);
  assert.match(errors, /^DISK_FAILED The data folder .* can't be used: ENOTDIR[^\n]*\n$/);
  await cluster.stop();
});

test("an unknown option is named in one line, with where to find the others", async () => {
  for (const script of ["start-cluster.ts", "start-node.ts", "start-directory.ts", "client.ts"]) {
    const { errors, exited } = await runToEnd(script, ["--bogus"]);
    assert.is((await exited).code, 1, script);
    assert.match(errors, /^INVALID_ARGUMENT .*--bogus.*--help.*\n$/, script);
  }
});

test("a port in use is named, with the node that wanted it", async () => {
  await withCluster(1, async (cluster) => {
    const port = new URL(cluster.urls.get("n1") ?? "").port;
    const other = path.join(cluster.folder, "other");
    const args = ["--config", cluster.configFile, "--id", "n1", "--data", other];
    const { errors, exited } = await runToEnd("start-node.ts", args);
    assert.is((await exited).code, 1);
    assert.match(errors, new RegExp(`^ADDRESS_IN_USE n1: Port ${port} .*\\n$`));
  });
});

test("a second process on the same data is refused with a clear error", async () => {
  await withCluster(1, async (cluster) => {
    const args = ["--config", cluster.configFile, "--id", "n1", "--data", cluster.dataFolder];
    const { errors, exited } = await runToEnd("start-node.ts", args);
    assert.is((await exited).code, 1);
    assert.match(errors, /^DATA_LOCKED .*\n$/);
    assert.match(errors, String(cluster.node("n1").pid));
  });
});

test("the client runs one command from its arguments, or one a line from a pipe", async () => {
  await withCluster(3, async (cluster) => {
    const client = (args: readonly string[], input?: string): Promise<Running> =>
      runToEnd("client.ts", ["--config", cluster.configFile, ...args], input);
    assert.match((await client(["put", "greeting", "hello world"])).output, "ok revision 1");
    assert.match((await client(["get", "greeting"])).output, "hello world revision 1");

    const json = await client(["--json", "get", "greeting"]);
    assert.equal(JSON.parse(json.output), { key: "greeting", value: "hello world", revision: 1 });

    const wrong = await client(["incr", "greeting"]);
    assert.is((await wrong.exited).code, 1);
    assert.match(wrong.errors, /^NOT_A_NUMBER /);

    const piped = await client([], 'put a "1 2"\nincr n 5\nincr n x\nput a "1\nget a\nlist\n');
    assert.is((await piped.exited).code, 1, "one of the lines had failed");
    assert.match(piped.output, /ok revision 2\n5 revision 3\n1 2 revision 2\n/);
    assert.match(
      piped.errors,
      /^INVALID_ARGUMENT an increment is a whole number, not "x"\nINVALID_ARGUMENT the quote " is not closed.*\n$/,
    );

    const leader = await client(["--json", "leader"]);
    assert.ok(cluster.ids.includes(JSON.parse(leader.output).id));
    assert.is(JSON.parse((await client(["--json", "status"])).output).length, 3);
    assert.match((await client(["bench", "200"])).output, /^200 puts, \d+ a second/);
  });
});

test("a client that watches tells each change in a line of JSON, until it is interrupted", async () => {
  await withCluster(1, async (cluster) => {
    const writer = await cluster.client();
    await writer.put("a", "1");
    const watching = cluster.run("client.ts", ["--json", "watch", "a", "--from", "1"]);
    await watching.text(/revision/);
    await writer.delete("a");
    await watching.text(/delete/);
    await watching.kill("SIGINT");
    assert.equal(await watching.exited, { code: 130, signal: null });
    assert.is(
      watching.output,
      '{"type":"put","key":"a","value":"1","revision":1}\n{"type":"delete","key":"a","revision":2}\n',
    );
  });
});

for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  test(`a client with commands from a pipe ends at ${signal}, in the middle of one and with more to come`, async () => {
    await withCluster(1, async (cluster) => {
      const client = cluster.run("client.ts", []);
      client.child.stdin?.write(`put a 1\nwatch leader\n${"put a 2\n".repeat(1_000)}`);
      await client.text(/ok revision 1\n.*leader n1/s);
      await client.kill(signal);
      assert.equal(await client.exited, { code: exitCode, signal: null });
      assert.is(client.errors, "");
      assert.is((await (await cluster.client()).get("a"))?.value, "1", "nothing after it was run");
    });
  });

  test(`a client that waits for its next line ends at ${signal}`, async () => {
    await withCluster(1, async (cluster) => {
      const client = cluster.run("client.ts", []);
      client.child.stdin?.write("put a 1\n");
      await client.text(/ok revision 1\n/);
      await client.kill(signal);
      assert.equal(await client.exited, { code: exitCode, signal: null });
    });
  });
}

test("a follower that is told to stop leaves the leader alone", async () => {
  await withCluster(
    3,
    async (cluster) => {
      const client = await cluster.client();
      await client.put("k", "1");
      const leader = await leaderOf(client);
      const follower = cluster.ids.find((id) => id !== leader) ?? "";
      await cluster.node(follower).kill("SIGTERM");
      await client.put("k", "2");
      assert.is(client.leader?.id, leader);
    },
    { electionTimeoutMinMs: 3_000, electionTimeoutMaxMs: 4_000 },
  );
});

test.run();
