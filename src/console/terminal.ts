/** A prompt at the bottom of the terminal, and lines above it that never tear it. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as readline from "node:readline";
import { CLIENT_COMMANDS, type Command, type CommandContext, errorLine, leaderLine, runWords } from "./commands.ts";
import { splitWords } from "./words.ts";

const HISTORY_LINES_MAX = 1_000;
const PROMPT = "conclave> ";

/** Where history is kept between runs: `CONCLAVE_HISTORY`, or a file in the home folder. */
const historyFile = (): string => process.env["CONCLAVE_HISTORY"] ?? path.join(os.homedir(), ".conclave_history");

function readHistory(): string[] {
  try {
    return existsSync(historyFile()) ? readFileSync(historyFile(), "utf8").split("\n").filter(Boolean) : [];
  } catch {
    return []; // A history that can't be read is not worth a word.
  }
}

function writeHistory(lines: readonly string[]): void {
  try {
    mkdirSync(path.dirname(historyFile()), { recursive: true });
    writeFileSync(historyFile(), `${lines.slice(0, HISTORY_LINES_MAX).join("\n")}\n`, { mode: 0o600 });
  } catch {
    // Nor is one that can't be written.
  }
}

/** Words that may complete the line, and the part of it that they complete. */
function complete(commands: readonly Command[], targets: readonly string[], line: string): [string[], string] {
  const words = splitWords(line);
  const isFirst = words.length <= 1 && !line.endsWith(" ");
  const part = line.endsWith(" ") ? "" : (words.at(-1) ?? "");
  const options = isFirst ? [...commands.map(({ name }) => name), "help", "quit"] : targets;
  return [options.filter((option) => option.startsWith(part)).map((option) => `${option} `), part];
}

export interface ReplOptions {
  readonly context: Pick<CommandContext, "client" | "clock">;
  /** Commands beside those of every client. */
  readonly extras?: readonly Command[];
  /** What arguments are completed from: names of nodes. */
  readonly targets?: readonly string[];
}

export interface Repl {
  /** Shows lines above the prompt. */
  print(text: string): void;
  /** Resolves once the person has left, by `quit`, Ctrl-D, or Ctrl-C at an empty prompt. */
  readonly ended: Promise<void>;
  close(): void;
}

/** Reads commands from the terminal and runs them, one at a time, until the person leaves. */
export function startRepl({ context, extras = [], targets = [] }: ReplOptions): Repl {
  const commands = [...CLIENT_COMMANDS, ...extras];
  const input = readline.createInterface({
    input: process.stdin,
    output: process.stdout,
    prompt: PROMPT,
    history: readHistory(),
    historySize: HISTORY_LINES_MAX,
    removeHistoryDuplicates: true,
    completer: (line: string) => complete(commands, targets, line),
  });
  let history: readonly string[] = readHistory();
  let running: AbortController | null = null;
  let open = true;

  const print = (text: string): void => {
    if (!open) {
      process.stdout.write(`${text}\n`);
      return;
    }
    readline.clearLine(process.stdout, 0);
    readline.cursorTo(process.stdout, 0);
    process.stdout.write(`${text}\n`);
    if (running === null) input.prompt(true);
  };

  const run = async (line: string): Promise<void> => {
    const words = splitWords(line);
    if (words.length === 0) return;
    if (words[0] === "quit" || words[0] === "exit") {
      input.close();
      return;
    }
    running = new AbortController();
    try {
      await runWords(commands, words, { ...context, print, signal: running.signal });
    } catch (error) {
      print(errorLine(error));
    }
    running = null;
  };

  // One line after the other: what is pasted runs in order.
  let queue = Promise.resolve();
  input.on("line", (line) => {
    queue = queue.then(async () => {
      if (!open) return;
      await run(line);
      if (open) input.prompt();
    });
  });
  input.on("history", (lines) => {
    history = lines;
  });
  input.on("SIGINT", () => {
    if (running !== null) running.abort();
    else if (input.line === "") input.close();
    else {
      input.write(null, { ctrl: true, name: "e" });
      input.write(null, { ctrl: true, name: "u" });
    }
  });
  const off = context.client.on("leader", (leader) => print(leaderLine(leader)));
  const ended = new Promise<void>((resolve) => {
    input.once("close", () => {
      open = false;
      off();
      running?.abort();
      writeHistory(history);
      process.stdout.write("\n");
      resolve();
    });
  });
  input.prompt();
  return { print, ended, close: () => input.close() };
}
