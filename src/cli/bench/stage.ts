/** Everything that a benchmark has started, so that all of it ends and nothing is left, whatever happens. */

import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import type { Client } from "../../client/index.ts";
import { readConfig } from "../../config/index.ts";
import { connectTo } from "../connect.ts";
import { Ceiling, type CeilingOptions } from "./ceiling.ts";
import { BenchCluster } from "./cluster.ts";
import type { Job } from "./job.ts";
import { LoadProcess } from "./load-process.ts";

interface Stoppable {
  stop(): Promise<void>;
}

export interface StageOptions {
  /** Tells what is done now. */
  readonly show: (text: string) => void;
}

export class Stage {
  readonly folder: string;
  readonly show: (text: string) => void;
  /** Rejects once something has failed that nobody waits for. */
  readonly #broken: Promise<never>;
  readonly #started = new Set<Stoppable>();
  #reject: (error: Error) => void = () => {};
  #isOver = false;
  #folders = 0;

  /** Makes the folder at once: whoever is told to stop from now on knows of it. */
  constructor({ show }: StageOptions) {
    this.folder = mkdtempSync(path.join(os.tmpdir(), "conclave-bench-"));
    this.show = show;
    this.#broken = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.#broken.catch(() => {}); // Whoever waits for something on this stage hears of it.
  }

  /** Does something with a cluster that runs, and is gone afterwards. */
  withCluster<Result>(nodes: number, act: (cluster: BenchCluster) => Promise<Result>): Promise<Result> {
    const cluster = new BenchCluster({ nodes, folder: this.#newFolder(), onDeath: (error) => this.fail(error) });
    return this.#while(cluster, async () => {
      await cluster.start();
      return act(cluster);
    });
  }

  /** Does something with a load process, which is gone afterwards. */
  withLoad<Result>(job: Job, doing: string, act: (load: LoadProcess) => Promise<Result>): Promise<Result> {
    const only = ([load]: readonly LoadProcess[]): Promise<Result> => {
      if (load === undefined) throw new Error("there is no load process");
      return act(load);
    };
    return this.withLoads([job], doing, only);
  }

  /** Does something with several of them, which are gone afterwards. */
  withLoads<Result>(
    jobs: readonly Job[],
    doing: string,
    act: (loads: readonly LoadProcess[]) => Promise<Result>,
  ): Promise<Result> {
    this.#assertOpen();
    this.show(doing);
    const done = jobs.map(() => 0);
    const loads = jobs.map(
      (job, i) =>
        new LoadProcess(job, {
          onProgress: (count) => {
            done[i] = count;
            this.show(`${doing}: ${done.reduce((sum, each) => sum + each, 0).toLocaleString("en-US")}`);
          },
          onFailure: (error) => this.fail(error),
        }),
    );
    return this.#while({ stop: async () => void (await Promise.all(loads.map((load) => load.stop()))) }, () =>
      act(loads),
    );
  }

  /** Does something with a client of the benchmark's own, which is closed afterwards. */
  async withClient<Result>({ config }: BenchCluster, act: (client: Client) => Promise<Result>): Promise<Result> {
    const client = await connectTo(await readConfig(config));
    return this.#while({ stop: () => client.close() }, () => act(client));
  }

  /** Runs the ceiling once. */
  runCeiling(options: Omit<CeilingOptions, "folder">) {
    this.show("the ceiling");
    const ceiling = new Ceiling({ ...options, folder: this.#newFolder() });
    return this.#while(ceiling, () => ceiling.run());
  }

  /** Whatever is under way fails with this. */
  fail(error: Error): void {
    this.#reject(error);
  }

  /** Ends everything and removes the folder. */
  async close(): Promise<void> {
    this.#isOver = true;
    this.fail(new Error("The benchmark was ended."));
    await Promise.all([...this.#started].map((one) => one.stop()));
    await rm(this.folder, { recursive: true, force: true });
  }

  async #while<Result>(one: Stoppable, act: () => Promise<Result>): Promise<Result> {
    this.#assertOpen();
    this.#started.add(one);
    try {
      return await Promise.race([act(), this.#broken]);
    } finally {
      await one.stop();
      this.#started.delete(one);
    }
  }

  #assertOpen(): void {
    if (this.#isOver) throw new Error("The benchmark was ended.");
  }

  #newFolder(): string {
    return path.join(this.folder, String(++this.#folders));
  }
}
