/** The client on the command line: a REPL on a terminal, one command from the arguments, or commands from a pipe. */

import { createInterface } from "node:readline";
import { type Client, connect } from "../../src/client/index.ts";
import { readConfig } from "../../src/config/index.ts";
import {
  CLIENT_COMMANDS,
  type CommandContext,
  errorLine,
  helpText,
  runWords,
  splitWords,
  startRepl,
} from "../../src/console/index.ts";
import { standardClock } from "../../src/environment/standard.ts";
import { ConclaveError } from "../../src/errors.ts";
import { fail, onStop, readArguments } from "./process.mts";

const USAGE = `usage: client [--config FILE] [--json] [COMMAND ARGUMENTS...]

Without a command: a REPL on a terminal, or one command a line from a pipe.

${helpText(CLIENT_COMMANDS)}`;

/** Options after the command are the command's own. */
const own = process.argv.slice(2);
const commandAt = own.findIndex((word, i) => !word.startsWith("-") && own[i - 1] !== "--config");
const words = commandAt === -1 ? [] : own.slice(commandAt);
if (commandAt !== -1) process.argv.splice(2 + commandAt);

const { values } = readArguments(USAGE, {
  config: { type: "string", default: "cluster.config.json" },
  json: { type: "boolean", default: false },
});

/** Runs one command; its failure goes to standard error. */
async function runOne(line: readonly string[], context: CommandContext): Promise<boolean> {
  try {
    const result = await runWords(CLIENT_COMMANDS, line, context);
    if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    return true;
  } catch (error) {
    if (!(error instanceof ConclaveError)) throw error;
    process.stderr.write(`${errorLine(error)}\n`);
    return false;
  }
}

async function runLines(client: Client, context: CommandContext): Promise<boolean> {
  let allDone = true;
  for await (const line of createInterface({ input: process.stdin })) {
    const parts = splitWords(line);
    if (parts.length > 0 && parts[0] !== "quit" && !(await runOne(parts, context))) allDone = false;
    if (parts[0] === "quit") break;
  }
  await client.close();
  return allDone;
}

async function main(): Promise<void> {
  const config = await readConfig(values.config);
  const { limits } = config;
  const client = await connect({
    directories: config.directories.map(({ url }) => url),
    nodes: config.nodes.map(({ url }) => url),
    cluster: config.cluster,
    keyBytesMax: limits.keyBytesMax,
    valueBytesMax: limits.valueBytesMax,
  });
  const stopping = new AbortController();
  if (words.length === 0 && process.stdin.isTTY === true) {
    const targets = config.nodes.map(({ id }) => id);
    const repl = startRepl({ context: { client, clock: standardClock }, targets });
    onStop(() => repl.close());
    await repl.ended;
    await client.close();
    process.exit(0);
  }
  onStop(() => stopping.abort());
  const print = values.json ? () => {} : (text: string) => void process.stdout.write(`${text}\n`);
  const context: CommandContext = { client, clock: standardClock, print, signal: stopping.signal };
  const done = words.length > 0 ? await runOne(words, context) : await runLines(client, context);
  await client.close();
  process.exit(done ? 0 : 1);
}

main().catch(fail);
