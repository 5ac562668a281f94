/** The commands that start processes, from the command line's one entry. */

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { freePorts } from "../../src/cli/ports.ts";
import { suite } from "../support/suite.ts";
import { Cluster, type LogLine, Running, scriptCommand } from "./cluster.ts";

const test = suite("end to end: command line");

const SCRIPT = "conclave.ts";
const [command, script] = scriptCommand(SCRIPT);

const elected = ({ event }: LogLine): boolean => event === "leader-elected";
const listening = ({ event }: LogLine): boolean => event === "listening";
const childrenOf = ({ lines }: Running): unknown[] =>
  lines.flatMap(({ event, child }) => (event === "child-started" ? [child] : []));

/** What a test has started; if it fails half way, nothing of it must stay. */
const started: { readonly cluster: Cluster; readonly processes: Running[] }[] = [];

test.after(async () => {
  for (const { cluster, processes } of started) {
    await Promise.all(processes.map((one) => one.kill("SIGTERM")));
    await cluster.stop();
  }
});

/** Runs commands with the configuration of a cluster. */
async function prepare(nodes: number, settings: object = {}) {
  const cluster = await Cluster.prepare(nodes, settings);
  const processes: Running[] = [];
  started.push({ cluster, processes });
  const run = (...args: readonly string[]): Running => {
    const running = new Running(command, [...script, ...args, "--config", cluster.configFile, "--log", "json"]);
    processes.push(running);
    return running;
  };
  return { cluster, run };
}

test("start runs a cluster until it is told to stop, each of its processes a command of its own", async () => {
  const { cluster, run } = await prepare(3);
  const start = run("start", "--no-repl", "--data", cluster.dataFolder);
  await start.line(elected);
  assert.equal(childrenOf(start).sort(), ["directory", "n1", "n2", "n3"]);
  await (await cluster.client()).put("a", "1");
  await start.kill("SIGTERM");
  assert.equal(await start.exited, { code: 0, signal: null }, start.errors);
  assert.is(start.errors, "");
  assert.is(start.lines.at(-1)?.event, "stopped");
});

test("node and directory are the processes of a cluster, one by one", async () => {
  const { cluster, run } = await prepare(1);
  const directory = run("directory");
  const node = run("node", "--id", "n1", "--data", cluster.dataFolder);
  await Promise.all([directory.line(listening), node.line(elected)]);
  await directory.line(({ event }) => event === "leader-announced");
  await node.kill("SIGTERM");
  await directory.kill("SIGTERM");
  assert.equal([(await node.exited).code, (await directory.exited).code], [0, 0]);
});

/** A cluster the first of whose directories n1 runs. */
async function prepareShared() {
  const [own, other] = await freePorts(2);
  const [first, second] = [`ws://127.0.0.1:${own}`, `ws://127.0.0.1:${other}`];
  return { first, second, ...(await prepare(2, { directories: [{ url: first, node: "n1" }, { url: second }] })) };
}

test("a node runs the directory that the configuration gives it, and start leaves it to the node", async () => {
  const { cluster, first, second, run } = await prepareShared();
  const start = run("start", "--no-repl", "--data", cluster.dataFolder);
  await start.line(elected);
  assert.equal(childrenOf(start).sort(), ["directory2", "n1", "n2"]);
  const places = start.lines.filter(listening).map(({ process, url }) => [process, url]);
  assert.equal(places.filter(([name]) => String(name).startsWith("directory")).sort(), [
    ["directory", first],
    ["directory2", second],
  ]);
  const announced = (name: string) => (line: LogLine) => line.event === "leader-announced" && line.process === name;
  await Promise.all([start.line(announced("directory")), start.line(announced("directory2"))]);
  await start.kill("SIGTERM");
  assert.equal(await start.exited, { code: 0, signal: null }, start.errors);
  const stopped = start.lines.filter(({ event }) => event === "child-exited").map(({ expected }) => expected);
  assert.equal(stopped, [true, true, true]);
});

test("a node that does not start ends the launcher, though its directory listened already", async () => {
  const { cluster, run } = await prepareShared();
  const port = Number(new URL(cluster.urls.get("n1") ?? "").port);
  const taken = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => taken.listen(port, "127.0.0.1", resolve));
  taken.unref();
  const start = run("start", "--no-repl", "--data", cluster.dataFolder);
  assert.equal(await start.exited, { code: 1, signal: null });
  assert.match(start.errors, new RegExp(`^ADDRESS_IN_USE n1 did not start: .*Port ${port} .*\\n$`));
  await new Promise((resolve) => taken.close(resolve));
});

test("directory is by default the first that no node runs", async () => {
  const { cluster, second, run } = await prepareShared();
  const directory = run("directory");
  const { url, process: name } = await directory.line(listening);
  assert.equal([url, name], [second, "directory2"]);
  await directory.kill("SIGTERM");

  const alone = await prepare(1, { directories: [{ url: cluster.directoryUrl, node: "n1" }] });
  const refused = alone.run("directory");
  assert.is((await refused.exited).code, 1);
  assert.match(refused.errors, /^INVALID_ARGUMENT Every directory is run by a node.*--url: ws:.*\n$/);
});

test("a node whose directory can't be had does not start, and says why", async () => {
  const { cluster, run } = await prepareShared();
  const first = run("node", "--id", "n1", "--data", cluster.dataFolder);
  await first.line(({ event, process: name }) => event === "listening" && name === "n1");
  const second = run("node", "--id", "n1", "--data", path.join(cluster.folder, "other"));
  assert.is((await second.exited).code, 1);
  assert.match(second.errors, /^ADDRESS_IN_USE directory: Port \d+ .*\n$/);
  assert.not(second.lines.some(({ process: name }) => name === "n1"));
});

test(
  "bench measures a cluster whose processes, and its load, are commands, too",
  async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-cli-bench-"));
    try {
      const args = [
        ...script,
        "bench",
        "--only",
        "latency",
        "--seconds",
        "0.5",
        "--warm-up",
        "0",
        "--nodes",
        "1",
        "--json",
      ];
      const bench = new Running(command, args, { TMPDIR: folder });
      assert.equal(await bench.exited, { code: 0, signal: null }, bench.errors);
      assert.ok(JSON.parse(bench.output).latency.ops > 0, bench.output);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  { timeoutMs: 90_000 },
);

test.run();
