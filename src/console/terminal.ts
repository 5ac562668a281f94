/** A prompt at the bottom of the terminal, and lines above it that never tear it. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as readline from "node:readline";
import { CLIENT_COMMANDS, type Command, type CommandContext, errorLine, runWords } from "./commands.ts";
import { leaderLine } from "./show.ts";
import { splitWords, wordsSoFar } from "./words.ts";

const HISTORY_LINES_MAX = 1_000;
const PROMPT = "conclave> ";
/** While a command runs: what is typed meanwhile is run after it. */
const BUSY_PROMPT = "… ";

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
  const { words } = wordsSoFar(line);
  const isFirst = words.length <= 1 && !line.endsWith(" ");
  const part = line.endsWith(" ") ? "" : (words.at(-1) ?? "");
  const options = isFirst ? [...commands.map(({ name }) => name), "help", "quit"] : targets;
  return [options.filter((option) => option.startsWith(part)).map((option) => `${option} `), part];
}

interface ReplOptions {
  readonly context: Omit<CommandContext, "print" | "signal">;
  /** Commands beside those of every client. */
  readonly extras?: readonly Command[];
  /** What arguments are completed from: names of nodes. */
  readonly targets?: readonly string[];
  /** The terminal; that of the process by default. */
  readonly input?: NodeJS.ReadableStream;
  readonly output?: NodeJS.WritableStream;
}

export interface Repl {
  /** Shows lines above the prompt. */
  print(text: string): void;
  /** Resolves once the person has left, by `quit`, Ctrl-D, or Ctrl-C at an empty prompt. */
  readonly ended: Promise<void>;
  close(): void;
}

/**
 * Reads commands from the terminal and runs them, one at a time, until the person leaves. The lowest rows are those of
 * the prompt and of what is being typed, at any time; everything else is shown above them.
 */
export function startRepl(options: ReplOptions): Repl {
  const { context, extras = [], targets = [], input: keys = process.stdin, output = process.stdout } = options;
  const commands = [...CLIENT_COMMANDS, ...extras];
  const input = readline.createInterface({
    input: keys,
    output,
    terminal: true,
    prompt: PROMPT,
    history: readHistory(),
    historySize: HISTORY_LINES_MAX,
    removeHistoryDuplicates: true,
    completer: (line: string) => complete(commands, targets, line),
  });
  let history: readonly string[] = readHistory();
  /** Lines that wait for the command before them. */
  const waiting: string[] = [];
  let running: AbortController | null = null;
  let open = true;

  /** Tells readline how many rows the cursor is below the prompt's: it loses count where text is pasted. */
  const atRow = (prevRows: number): unknown => Object.assign(input, { prevRows });
  const recount = (): unknown => atRow(input.getCursorPos().rows);

  /** Clears every row of prompt and input; the cursor may be in any of them. */
  const clear = (): void => {
    const { rows } = input.getCursorPos();
    output.write(`${rows > 0 ? `\u001b[${rows}A` : ""}\r\u001b[J`);
    atRow(0);
  };

  const print = (text: string): void => {
    if (open) clear();
    output.write(`${text}\n`);
    if (open) input.prompt(true);
  };

  const run = async (line: string): Promise<void> => {
    running = new AbortController();
    try {
      const words = splitWords(line);
      if (words[0] === "quit" || words[0] === "exit") input.close();
      else if (words.length > 0) await runWords(commands, words, { ...context, print, signal: running.signal });
    } catch (error) {
      print(errorLine(error));
    }
    running = null;
  };

  /** Runs a line, and then those that were typed meanwhile. */
  const runAll = async (first: string): Promise<void> => {
    input.setPrompt(BUSY_PROMPT);
    input.prompt();
    await run(first);
    for (let line = waiting.shift(); open && line !== undefined; line = waiting.shift()) {
      print(PROMPT + line);
      await run(line);
    }
    if (!open) return;
    clear();
    input.setPrompt(PROMPT);
    input.prompt(true);
  };

  keys.on("keypress", recount);
  input.on("line", (line) => {
    if (running !== null) waiting.push(line);
    if (running !== null || line.trim() === "") input.prompt();
    else void runAll(line);
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
      if (running === null) output.write("\n");
      else clear();
      open = false;
      off();
      keys.off("keypress", recount);
      running?.abort();
      writeHistory(history);
      resolve();
    });
  });
  input.prompt();
  return { print, ended, close: () => input.close() };
}
