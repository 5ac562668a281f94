/** A load process: does one job on a cluster through the public client, and checks the answers. */

import { createInterface } from "node:readline";
import type { Client } from "../../../client/index.ts";
import { type Config, readConfig } from "../../../config/index.ts";
import { ConclaveError } from "../../../errors.ts";
import type { Call } from "../../call.ts";
import { connectTo } from "../../connect.ts";
import { onStop, stopCode } from "../../process.ts";
import { Failure } from "../failure.ts";
import type { Job, News, Order } from "../job.ts";
import { runCrowd } from "./crowd.ts";
import { runGrowth, runThroughput } from "./throughput.ts";
import { runWriter } from "./writer.ts";

/** Longer than anything that is done to the cluster on purpose takes. */
const CALL_TIMEOUT_MS = 30_000;

const tell = (news: News): void => void process.stdout.write(`${JSON.stringify(news)}\n`);

const heed = (listener: (order: Order) => void): void =>
  void createInterface({ input: process.stdin }).on("line", (line) => listener(JSON.parse(line)));

const connectOne = (config: Config): Promise<Client> => connectTo(config, { timeoutMs: CALL_TIMEOUT_MS });
const connectAll = (config: Config, count: number): Promise<Client[]> =>
  Promise.all(Array.from({ length: count }, () => connectOne(config)));

async function work(job: Job): Promise<void> {
  const config = await readConfig(job.config);
  switch (job.type) {
    case "throughput": {
      const figures = await runThroughput(await connectAll(config, job.connections), job, tell);
      return tell({ type: "figures", figures });
    }
    case "growth":
      return runGrowth(await connectAll(config, job.connections), job, tell);
    case "writer":
      return runWriter(await connectOne(config), job, tell, heed);
    case "crowd":
      return runCrowd(() => connectOne(config), job, tell);
  }
}

/** In a line, if it is one of ours; with where it came from otherwise. */
function failure(error: unknown): News {
  if (error instanceof Failure || error instanceof ConclaveError) {
    return { type: "failed", code: error.code, error: error.message };
  }
  return { type: "failed", code: "INTERNAL", error: error instanceof Error ? (error.stack ?? "") : String(error) };
}

/** Its argument is the job, as JSON. */
export async function run({ args: [job = "null"] }: Call): Promise<void> {
  onStop((reason) => process.exit(stopCode(reason)));
  await work(JSON.parse(job)).then(
    () => tell({ type: "done" }),
    (error: unknown) => tell(failure(error)),
  );
  // Only once all is written: some runtimes would lose what is not.
  process.stdout.write("", () => process.exit(0));
}
