/** The processes of a cluster on this machine, as children of the launcher. */

import { createInterface } from "node:readline";
import { type LogEntry, logEntry, parseLog, type Story } from "../console/index.ts";
import { ConclaveError, type ErrorCode, isErrorCode } from "../errors.ts";
import { type Child, ended, send, spawnCommand } from "./child.ts";

/** A child that has not ended this long after SIGTERM is killed. */
const STOP_PATIENCE_MS = 5_000;

interface Supervised {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  process: Child | null;
  /** Its end was asked for, and is no news. */
  ending: boolean;
  paused: boolean;
}

export class Supervisor {
  readonly #children = new Map<string, Supervised>();
  readonly #show: (entry: LogEntry) => void;
  #wasInterrupted = false;

  /** @param show takes what the children tell, and what there is to tell of them */
  constructor(show: (entry: LogEntry) => void) {
    this.#show = show;
  }

  get names(): string[] {
    return [...this.#children.keys()];
  }

  /** Ctrl-C has reached a child that could not leave it to the launcher yet; the launcher may hear of it later. */
  get wasInterrupted(): boolean {
    return this.#wasInterrupted;
  }

  /** The number of its process; null while it does not run. */
  pid(name: string): number | null {
    return this.#children.get(name)?.process?.pid ?? null;
  }

  isPaused(name: string): boolean {
    return this.#children.get(name)?.paused === true;
  }

  /**
   * Starts a command under the name by which it tells its stories; resolves once it listens.
   *
   * @throws ConclaveError if it ends before
   */
  start(name: string, command: string, args: readonly string[]): Promise<void> {
    const child: Supervised = { name, command, args, process: null, ending: false, paused: false };
    this.#children.set(name, child);
    return this.#run(child);
  }

  /** Starts a child that has ended anew. @throws ConclaveError */
  restart(name: string): Promise<void> {
    const child = this.#child(name);
    if (child.process !== null) throw new ConclaveError("INVALID_ARGUMENT", `${name} is running: kill it first.`);
    return this.#run(child);
  }

  /** SIGKILL: no farewell, nothing flushed. @throws ConclaveError */
  async kill(name: string): Promise<void> {
    const child = this.#child(name);
    const { process: running } = child;
    if (running === null) throw new ConclaveError("INVALID_ARGUMENT", `${name} is not running.`);
    child.ending = true;
    await ended(running, () => send(running, "SIGKILL"));
  }

  /** SIGSTOP: the process stays, and does nothing until it is resumed. @throws ConclaveError */
  pause(name: string): void {
    const child = this.#child(name);
    if (child.process === null) throw new ConclaveError("INVALID_ARGUMENT", `${name} is not running.`);
    send(child.process, "SIGSTOP");
    child.paused = true;
  }

  /** @throws ConclaveError */
  resume(name: string): void {
    const child = this.#child(name);
    if (child.process === null) throw new ConclaveError("INVALID_ARGUMENT", `${name} is not running.`);
    send(child.process, "SIGCONT");
    child.paused = false;
  }

  /** Stops every child and waits for it: the last one started first, those of one kind together. */
  async stop(): Promise<void> {
    for (const child of this.#children.values()) child.ending = true;
    const commands = [...new Set([...this.#children.values()].map(({ command }) => command))].reverse();
    for (const command of commands) {
      const alike = [...this.#children.values()].filter((child) => child.command === command);
      await Promise.all(alike.map((child) => this.#stopChild(child)));
    }
  }

  async #stopChild(child: Supervised): Promise<void> {
    const { process: running } = child;
    if (running === null) return;
    const patience = setTimeout(() => send(running, "SIGKILL"), STOP_PATIENCE_MS);
    await ended(running, () => {
      if (child.paused) send(running, "SIGCONT");
      send(running, "SIGTERM");
    });
    clearTimeout(patience);
  }

  #child(name: string): Supervised {
    const child = this.#children.get(name);
    if (child !== undefined) return child;
    throw new ConclaveError("INVALID_ARGUMENT", `There is no "${name}", only ${this.names.join(", ")}.`);
  }

  #tell(story: Story): void {
    this.#show(logEntry("cluster", story));
  }

  #run(child: Supervised): Promise<void> {
    const running = spawnCommand(child.command, [...child.args, "--log", "json"], { isServer: true });
    child.process = running;
    child.ending = false;
    child.paused = false;
    if (running.pid !== undefined) this.#tell({ event: "child-started", child: child.name, pid: running.pid });
    return new Promise((resolve, reject) => {
      let failure = "";
      let code: ErrorCode = "CLOSED";
      let listens = false;
      createInterface({ input: running.stdout }).on("line", (line) => {
        const entry = parseLog(line);
        if (entry === null) return;
        this.#show(entry);
        if (entry.story.event === "failed") {
          failure = entry.story.error;
          if (isErrorCode(entry.story.code)) code = entry.story.code;
        }
        // A directory in a node's process listens before the node does.
        if (entry.story.event === "listening" && entry.process === child.name) {
          listens = true;
          resolve();
        }
      });
      createInterface({ input: running.stderr }).on("line", (line) => {
        failure ||= line;
        this.#tell({ event: "failed", code: "STDERR", error: `${child.name}: ${line}` });
      });
      running.once("error", (error) => {
        failure = error.message;
      });
      running.once("close", (exitCode, signal) => {
        child.process = null;
        if (signal === "SIGINT") this.#wasInterrupted = true;
        const how = signal === null ? `ended with code ${exitCode}` : `was ended by ${signal}`;
        this.#tell({ event: "child-exited", child: child.name, how, expected: child.ending });
        if (!listens) reject(new ConclaveError(code, `${child.name} did not start: ${failure || how}`));
      });
    });
  }
}
