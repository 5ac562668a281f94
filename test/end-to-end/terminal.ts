/** A script on a terminal of its own, typed at and watched as by a person. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import * as path from "node:path";
import { Cluster, scriptCommand } from "./cluster.ts";

/** util-linux's `script` gives a command a pseudo-terminal. */
const SCRIPT = "/usr/bin/script";
export const hasTerminal = existsSync(SCRIPT);
/** Less than a test may take, so that it is the screen that tells what did not come. */
const PATIENCE_MS = 25_000;

export class Terminal {
  /** Everything that was written to it. */
  screen = "";
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  #seen = 0;
  #over = false;
  #woken = (): void => {};

  constructor(words: readonly string[], env: NodeJS.ProcessEnv) {
    // Not every shell gives way to its last command, and one that stays dies of the Ctrl-C itself.
    const command = `exec ${words.map((word) => `'${word}'`).join(" ")}`;
    this.#child = spawn(SCRIPT, ["-qefc", command, "/dev/null"], { env, stdio: ["pipe", "pipe", "inherit"] });
    this.#child.stdout?.on("data", (chunk) => {
      this.screen += String(chunk);
      this.#woken();
    });
    this.ended = new Promise((resolve) => {
      this.#child.once("close", (code) => {
        this.#over = true;
        this.#woken();
        resolve(code);
      });
    });
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** Waits for text that comes after everything that was waited for before. */
  async see(pattern: RegExp): Promise<RegExpExecArray> {
    const [match] = await this.seeAll(pattern);
    if (match === undefined) throw new RangeError("there is a match for each pattern");
    return match;
  }

  /** Waits for all of these, in whichever order they come. */
  async seeAll(...patterns: readonly RegExp[]): Promise<RegExpExecArray[]> {
    let isLate = false;
    const patience = setTimeout(() => {
      isLate = true;
      this.#woken();
    }, PATIENCE_MS);
    try {
      for (;;) {
        const rest = this.screen.slice(this.#seen);
        const matches = patterns.map((pattern) => pattern.exec(rest)).filter((match) => match !== null);
        if (matches.length === patterns.length) {
          this.#seen += Math.max(...matches.map((match) => match.index + match[0].length));
          return matches;
        }
        if (this.#over || isLate) throw new Error(`${patterns.join(" and ")} did not come:\n${this.screen}`);
        await new Promise<void>((resolve) => {
          this.#woken = resolve;
        });
      }
    } finally {
      clearTimeout(patience);
    }
  }

  /** Leaves at the prompt, as a person would. */
  async leave(): Promise<void> {
    if (!this.#over) this.type("\u0004");
    await this.ended;
  }

  /** Takes the terminal away, whatever is going on there. */
  async close(): Promise<void> {
    if (!this.#over) this.#child.kill("SIGTERM");
    await this.ended;
  }
}

/** What tests have started; a test that fails half way must not leave it behind. */
const started: { readonly terminal: Terminal; readonly cluster: Cluster }[] = [];

export async function closeTerminals(): Promise<void> {
  for (const { terminal, cluster } of started) {
    await terminal.close();
    await cluster.stop();
  }
}

/** Runs a test with `start-cluster` on a terminal; at its end the prompt must be there. */
export async function onTerminal(
  nodes: number,
  body: (terminal: Terminal, cluster: Cluster) => Promise<void>,
  env: Readonly<Record<string, string>> = { FORCE_COLOR: "0" },
): Promise<void> {
  const cluster = await Cluster.prepare(nodes);
  const [command, rest] = scriptCommand("start-cluster.ts");
  const words = [command, ...rest, "--config", cluster.configFile, "--data", cluster.dataFolder];
  // All that bears on whether a terminal gets colours; chalk gives none where CI is set.
  const { FORCE_COLOR: _force, NO_COLOR: _no, CI: _ci, COLORTERM: _term, ...inherited } = process.env;
  const CONCLAVE_HISTORY = path.join(cluster.folder, "history");
  const terminal = new Terminal(words, { ...inherited, TERM: "xterm", CONCLAVE_HISTORY, ...env });
  started.push({ terminal, cluster });
  await body(terminal, cluster);
  await terminal.leave();
  await cluster.stop();
}
