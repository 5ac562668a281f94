/** Starts a whole cluster on this machine: directories and nodes, each a process of its own, and a REPL to talk to it. */

import * as path from "node:path";
import type { Client } from "../client/index.ts";
import { type Config, readConfig } from "../config/index.ts";
import {
  type Command,
  formatLog,
  type LogEntry,
  type LogFormat,
  logEntry,
  type Repl,
  startRepl,
} from "../console/index.ts";
import { realEnvironment } from "../environment/real.ts";
import { standardClock } from "../environment/standard.ts";
import { ConclaveError } from "../errors.ts";
import { type Call, usageLines } from "./call.ts";
import { connectTo } from "./connect.ts";
import { prepareData } from "./data.ts";
import { CONFIG_FILE, writeDemo } from "./demo.ts";
import { directoryName } from "./names.ts";
import { fail, logFormat, onStop, readArguments } from "./process.ts";
import { Supervisor } from "./supervisor.ts";

const usage = (name: string): string => `${usageLines(
  name,
  "[--config FILE] [--data DIR] [--fresh] [--no-repl] [--log pretty|json]",
)}

  --config FILE  default cluster.config.json, which is written for a demo on this machine if there is none
  --data DIR     where nodes keep their data, each in a folder of its own; default .conclave
  --fresh        start with empty logs: what the nodes had stored is removed
  --no-repl      logs only, even on a terminal
  --log json     one JSON object a line`;

const OPTIONS = {
  config: { type: "string" },
  data: { type: "string", default: ".conclave" },
  fresh: { type: "boolean", default: false },
  "no-repl": { type: "boolean", default: false },
  log: { type: "string" },
} as const;

/** Commands that act on the processes. `leader` stands for whichever node leads. */
function processCommands(supervisor: Supervisor): Command[] {
  const act = (
    name: string,
    help: string,
    run: (process: string) => void | Promise<void>,
    done: (process: string) => string,
  ): Command => ({
    name,
    usage: `${name} NODE`,
    help,
    takes: { words: [1, 1] },
    run: async ({ words: [target = ""] }, { client, print }) => {
      const node = target === "leader" ? client.leader?.id : target;
      if (node === undefined) throw new ConclaveError("NO_LEADER", "No leader is known now.");
      await run(node);
      print(done(node));
      return { node };
    },
  });
  return [
    act(
      "kill",
      "end a process with SIGKILL; NODE may be leader or directory",
      (name) => supervisor.kill(name),
      (name) => `${name} is killed; "restart ${name}" starts it again`,
    ),
    act(
      "restart",
      "start it again",
      (name) => supervisor.restart(name),
      (name) => `${name} runs again`,
    ),
    act(
      "pause",
      "stop a process with SIGSTOP",
      (name) => supervisor.pause(name),
      (name) => `${name} is paused; "resume ${name}" lets it go on`,
    ),
    act(
      "resume",
      "let it go on with SIGCONT",
      (name) => supervisor.resume(name),
      (name) => `${name} goes on`,
    ),
  ];
}

/** @param file the configuration's @param data the folder for what nodes keep */
async function startAll(supervisor: Supervisor, config: Config, file: string, data: string): Promise<void> {
  const common = ["--config", file];
  const directories = config.directories
    .filter(({ node }) => node === undefined) // The others are started with their nodes.
    .map(({ url }) => supervisor.start(directoryName(config, url), "directory", [...common, "--url", url]));
  const nodes = config.nodes.map(({ id }) => supervisor.start(id, "node", [...common, "--id", id, "--data", data]));
  const results = await Promise.allSettled([...directories, ...nodes]);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

export async function run({ name, args }: Call): Promise<void> {
  const { values } = readArguments(usage(name), args, OPTIONS);
  const interactive = process.stdin.isTTY === true && process.stdout.isTTY === true && !values["no-repl"];
  let format: LogFormat = "pretty";
  let repl: Repl | null = null;
  let client: Client | null = null;
  const show = (entry: LogEntry): void => {
    const line = formatLog(format, entry);
    if (repl !== null) repl.print(line);
    else process.stdout.write(`${line}\n`);
  };
  const supervisor = new Supervisor(show);
  let stopping = false;

  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    show(logEntry("cluster", { event: "stopping" }));
    repl?.close();
    await client?.close();
    await supervisor.stop();
    show(logEntry("cluster", { event: "stopped" }));
    process.exit(0);
  };
  // Before there are children: none of them may be left to find out for itself.
  onStop(() => void stop().catch(fail));

  format = logFormat(values.log);
  if (values.config === undefined && (await writeDemo())) {
    process.stderr.write(`There was no ${CONFIG_FILE} here: it was written, for a demo on this machine.\n`);
  }
  const file = values.config ?? CONFIG_FILE;
  const config = await readConfig(file);
  await prepareData(
    config.nodes.map(({ id }) => path.join(values.data, id)),
    { empty: values.fresh },
  );
  if (stopping) return;
  try {
    await startAll(supervisor, config, file, values.data);
  } catch (error) {
    if (stopping) return; // It was cut short, and whoever did that ends the process.
    if (supervisor.wasInterrupted) return stop();
    await supervisor.stop();
    fail(error);
  }
  if (stopping || !interactive) return;
  client = await connectTo(config);
  repl = startRepl({
    context: {
      client,
      clock: standardClock,
      disk: realEnvironment.disk,
      nodes: config.nodes.map(({ id }) => id),
      isPaused: (name) => supervisor.isPaused(name),
    },
    extras: processCommands(supervisor),
    targets: [...supervisor.names, "leader"],
  });
  await repl.ended;
  repl = null;
  await stop();
}
