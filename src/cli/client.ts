/** The client on the command line: a REPL on a terminal, one command from the arguments, or commands from a pipe. */

import { createInterface } from "node:readline";
import { readConfig } from "../config/index.ts";
import {
  CLIENT_COMMANDS,
  type CommandContext,
  errorLine,
  helpText,
  runWords,
  splitWords,
  startRepl,
} from "../console/index.ts";
import { realEnvironment } from "../environment/real.ts";
import { standardClock } from "../environment/standard.ts";
import { ConclaveError } from "../errors.ts";
import { type Call, usageLines } from "./call.ts";
import { connectTo } from "./connect.ts";
import { CONFIG_FILE } from "./demo.ts";
import { onStop, readArguments, stopCode } from "./process.ts";

const usage = (name: string): string => `${usageLines(name, "[--config FILE] [--json] [COMMAND ARGUMENTS...]")}

Without a command: a REPL on a terminal, or one command a line from a pipe.

${helpText(CLIENT_COMMANDS)}`;

const OPTIONS = {
  config: { type: "string", default: CONFIG_FILE },
  json: { type: "boolean", default: false },
} as const;

/** Options after the command are the command's own. */
function parted(args: readonly string[]): { readonly own: readonly string[]; readonly words: readonly string[] } {
  const commandAt = args.findIndex((word, i) => !word.startsWith("-") && args[i - 1] !== "--config");
  return commandAt === -1 ? { own: args, words: [] } : { own: args.slice(0, commandAt), words: args.slice(commandAt) };
}

async function runOne(line: readonly string[], context: CommandContext): Promise<void> {
  const result = await runWords(CLIENT_COMMANDS, line, context);
  if (result !== undefined) context.emit?.(result);
}

/** Did it all go well? What did not goes to standard error, in a line. */
async function goesWell(run: () => Promise<void>): Promise<boolean> {
  try {
    await run();
    return true;
  } catch (error) {
    if (!(error instanceof ConclaveError)) throw error;
    process.stderr.write(`${errorLine(error)}\n`);
    return false;
  }
}

/** Runs one command a line; false if one has failed. */
async function runLines(context: CommandContext): Promise<boolean> {
  const { signal } = context;
  const lines = createInterface({ input: process.stdin });
  signal.addEventListener("abort", () => lines.close());
  let allDone = true;
  for await (const line of lines) {
    // Lines that were read before it was closed still come.
    if (signal.aborted || line.trim() === "quit") break;
    const done = await goesWell(async () => {
      const parts = splitWords(line);
      if (parts.length > 0) await runOne(parts, context);
    });
    if (!done) allDone = false;
  }
  return allDone;
}

export async function run({ name, args }: Call): Promise<void> {
  const { own, words } = parted(args);
  const { values } = readArguments(usage(name), own, OPTIONS);
  const stopping = new AbortController();
  let code = 0;
  onStop((reason) => {
    code = stopCode(reason);
    stopping.abort();
  });
  const config = await readConfig(values.config);
  const nodes = config.nodes.map(({ id }) => id);
  const { disk } = realEnvironment;
  const client = await connectTo(config);
  if (words.length === 0 && process.stdin.isTTY === true) {
    const repl = startRepl({ context: { client, clock: standardClock, disk, nodes }, targets: nodes });
    stopping.signal.addEventListener("abort", () => repl.close());
    await repl.ended;
  } else {
    const print = values.json ? () => {} : (text: string) => void process.stdout.write(`${text}\n`);
    const emit = (value: unknown): void => {
      if (values.json) process.stdout.write(`${JSON.stringify(value)}\n`);
    };
    const context: CommandContext = { client, clock: standardClock, disk, nodes, print, emit, signal: stopping.signal };
    const done = words.length > 0 ? await goesWell(() => runOne(words, context)) : await runLines(context);
    if (!done && code === 0) code = 1;
  }
  await client.close();
  process.exit(code);
}
