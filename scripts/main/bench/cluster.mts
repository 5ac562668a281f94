/** The cluster that is measured: real processes on free ports, with their data in a folder that goes with them. */

import { mkdir, rm, writeFile } from "node:fs/promises";
import * as path from "node:path";
import type { LogEntry } from "../../../src/console/index.ts";
import { freePorts } from "../ports.mts";
import { Supervisor } from "../supervisor.mts";

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

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.config = path.join(options.folder, "cluster.config.json");
    this.ids = Array.from({ length: options.nodes }, (_, i) => `n${i + 1}`);
    this.#supervisor = new Supervisor((entry) => this.#hear(entry));
  }

  /** Starts all of it. @throws ConclaveError */
  async start(): Promise<void> {
    const { folder, nodes } = this.#options;
    const [directory, ...ports] = (await freePorts(nodes + 1)).map((port) => `ws://127.0.0.1:${port}`);
    const members = this.ids.map((id, i) => ({ id, url: ports[i] }));
    await mkdir(folder, { recursive: true });
    await writeFile(
      this.config,
      JSON.stringify({ cluster: "bench", directories: [{ url: directory }], nodes: members }),
    );
    const common = ["--config", this.config];
    const data = ["--data", path.join(folder, "data")];
    await Promise.all([
      this.#supervisor.start(DIRECTORY, "start-directory.ts", common),
      ...this.ids.map((id) => this.#supervisor.start(id, "start-node.ts", [...common, ...data, "--id", id])),
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

  /** @throws ConclaveError */
  restart(id: string): Promise<void> {
    return this.#supervisor.restart(id);
  }

  /** Ends every process, at once since nothing of it is kept, and removes the folder. */
  async stop(): Promise<void> {
    const running = this.#supervisor.names.filter((name) => this.pid(name) !== null);
    await Promise.all(running.map((name) => this.#supervisor.kill(name)));
    await rm(this.#options.folder, { recursive: true, force: true });
  }

  #hear({ story }: LogEntry): void {
    if (story.event === "failed") this.#complaint = `: ${story.error}`;
    if (story.event !== "child-exited" || story.expected) return;
    this.#options.onDeath(new Error(`${story.child} ${story.how}${this.#complaint}`));
  }
}
