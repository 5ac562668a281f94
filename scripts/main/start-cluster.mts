/** Starts a whole cluster on this machine: directories and nodes, each a process of its own, and a REPL to talk to it. */

import { existsSync, rmSync } from "node:fs";
import * as path from "node:path";
import { connect } from "../../src/client/index.ts";
import { type Config, readConfig } from "../../src/config/index.ts";
import { type Command, formatLog, type LogEntry, logEntry, type Repl, startRepl } from "../../src/console/index.ts";
import { standardClock } from "../../src/environment/standard.ts";
import { ConclaveError } from "../../src/errors.ts";
import { fail, logFormat, onStop, readArguments } from "./process.mts";
import { Supervisor } from "./supervisor.mts";

const USAGE = `usage: start-cluster [--config FILE] [--data DIR] [--fresh] [--no-repl] [--log pretty|json]

  --config FILE  default cluster.config.json
  --data DIR     where nodes keep their data, each in a folder of its own; default .conclave
  --fresh        start with empty logs: what the nodes had stored is removed
  --no-repl      logs only, even on a terminal
  --log json     one JSON object a line`;

const { values } = readArguments(USAGE, {
  config: { type: "string", default: "cluster.config.json" },
  data: { type: "string", default: ".conclave" },
  fresh: { type: "boolean", default: false },
  "no-repl": { type: "boolean", default: false },
  log: { type: "string" },
});

/** Commands that act on the processes. `leader` stands for whichever node leads. */
function processCommands(supervisor: Supervisor): Command[] {
  const act = (name: string, help: string, run: (node: string) => void | Promise<void>): Command => ({
    name,
    usage: `${name} NODE`,
    help,
    run: async (args, { client }) => {
      const [target] = args;
      if (target === undefined || args.length > 1) throw new ConclaveError("INVALID_ARGUMENT", `usage: ${name} NODE`);
      const node = target === "leader" ? client.leader?.id : target;
      if (node === undefined) throw new ConclaveError("NO_LEADER", "No leader is known now.");
      await run(node);
      return { node };
    },
  });
  return [
    act("kill", "end a process with SIGKILL; NODE may be leader", (node) => supervisor.kill(node)),
    act("restart", "start it again", (node) => supervisor.restart(node)),
    act("pause", "stop a process with SIGSTOP", (node) => supervisor.pause(node)),
    act("resume", "let it go on with SIGCONT", (node) => supervisor.resume(node)),
  ];
}

function removeData(config: Config, folder: string): void {
  for (const { id } of config.nodes) {
    const data = path.join(folder, id);
    if (existsSync(data)) rmSync(data, { recursive: true });
  }
}

async function startAll(supervisor: Supervisor, config: Config): Promise<void> {
  const common = ["--config", values.config];
  const directories = config.directories.map(({ url }, i) =>
    supervisor.start(i === 0 ? "directory" : `directory${i + 1}`, "start-directory.ts", [...common, "--url", url]),
  );
  const nodes = config.nodes.map(({ id }) =>
    supervisor.start(id, "start-node.ts", [...common, "--id", id, "--data", values.data]),
  );
  const results = await Promise.allSettled([...directories, ...nodes]);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

async function main(): Promise<void> {
  const format = logFormat(values.log);
  const config = await readConfig(values.config);
  if (values.fresh) removeData(config, values.data);
  const interactive = process.stdin.isTTY === true && process.stdout.isTTY === true && !values["no-repl"];
  let repl: Repl | null = null;
  const show = (entry: LogEntry): void => {
    const line = formatLog(format, entry);
    if (repl !== null) repl.print(line);
    else process.stdout.write(`${line}\n`);
  };
  const supervisor = new Supervisor(show, () => {});
  let client: Awaited<ReturnType<typeof connect>> | null = null;

  const stop = async (exitCode: number): Promise<void> => {
    show(logEntry("cluster", { event: "stopping" }));
    repl?.close();
    await client?.close();
    await supervisor.stop();
    show(logEntry("cluster", { event: "stopped" }));
    process.exit(exitCode);
  };
  onStop(() => void stop(0).catch(fail));

  try {
    await startAll(supervisor, config);
  } catch (error) {
    await supervisor.stop();
    fail(error);
  }
  if (!interactive) return;
  client = await connect({ directories: config.directories.map(({ url }) => url), cluster: config.cluster });
  repl = startRepl({
    context: { client, clock: standardClock },
    extras: processCommands(supervisor),
    targets: [...config.nodes.map(({ id }) => id), "leader"],
  });
  await repl.ended;
  repl = null;
  await stop(0);
}

main().catch(fail);
