/** The cluster that is measured: real processes on free ports, with their data in a folder that goes with them. */

import { mkdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import * as path from "node:path";
import type { LogEntry } from "../../console/index.ts";
import { freePorts } from "../ports.ts";
import { Supervisor } from "../supervisor.ts";
import { failed, interrupted } from "./failure.ts";

export interface ClusterOptions {
  readonly nodes: number;
  /** For its configuration and its data; made here, and removed in the end. */
  readonly folder: string;
  /** A process has ended unasked. */
  readonly onDeath: (error: Error) => void;
}

/** What the directory's process is called. */
export const DIRECTORY = "directory";

export class BenchCluster {
  readonly config: string;
  readonly ids: readonly string[];
  readonly #options: ClusterOptions;
  readonly #supervisor: Supervisor;
  /** The newest complaint of any process. */
  #complaint = "";
  #isOver = false;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.config = path.join(options.folder, "cluster.config.json");
    this.ids = Array.from({ length: options.nodes }, (_, i) => `n${i + 1}`);
    this.#supervisor = new Supervisor((entry) => this.#hear(entry));
  }

  /** Starts all of it. @throws ConclaveError; Error if it was stopped meanwhile */
  async start(): Promise<void> {
    const { folder, nodes } = this.#options;
    const [directory, ...urls] = (await freePorts(nodes + 1)).map((port) => `ws://127.0.0.1:${port}`);
    this.#assertOpen();
    const members = this.ids.map((id, i) => ({ id, url: urls[i] }));
    mkdirSync(folder, { recursive: true });
    writeFileSync(this.config, JSON.stringify({ cluster: "bench", directories: [{ url: directory }], nodes: members }));
    const common = ["--config", this.config];
    const data = ["--data", path.join(folder, "data")];
    await Promise.all([
      this.#supervisor.start(DIRECTORY, "directory", common),
      ...this.ids.map((id) => this.#supervisor.start(id, "node", [...common, ...data, "--id", id])),
    ]);
  }

  /** The number of a process; null while it does not run. */
  pid(name: string): number | null {
    return this.#supervisor.pid(name);
  }

  /** SIGKILL. @throws ConclaveError if it does not run */
  kill(id: string): Promise<void> {
    return this.#supervisor.kill(id);
  }

  /** Starts one again that was killed. @throws ConclaveError; Error if all were stopped meanwhile */
  async restart(id: string): Promise<void> {
    this.#assertOpen();
    await this.#supervisor.restart(id);
  }

  /** Ends every process, at once since nothing of it is kept, and removes the folder. */
  async stop(): Promise<void> {
    this.#isOver = true;
    const running = this.#supervisor.names.filter((name) => this.pid(name) !== null);
    await Promise.all(running.map((name) => this.#supervisor.kill(name)));
    await rm(this.#options.folder, { recursive: true, force: true });
  }

  /** Whoever is at work while all is stopped must not start anything anew. */
  #assertOpen(): void {
    if (this.#isOver) throw new Error("The cluster was stopped.");
  }

  #hear({ story }: LogEntry): void {
    if (story.event === "failed") this.#complaint = `: ${story.error}`;
    if (story.event !== "child-exited" || story.expected) return;
    const why = failed(`${story.child} ${story.how}${this.#complaint}`);
    this.#options.onDeath(this.#supervisor.wasInterrupted ? interrupted() : why);
  }
}
