/** The cluster that is started where nobody has configured one. */

import { writeFile } from "node:fs/promises";
import * as path from "node:path";
import { ConclaveError, messageOf } from "../errors.ts";

/** Where commands look for the configuration unless they are told otherwise. */
export const CONFIG_FILE = "cluster.config.json";

/** A directory and four nodes on this machine. */
export const DEMO = {
  cluster: "demo",
  directories: [{ url: "ws://127.0.0.1:7000" }],
  nodes: [1, 2, 3, 4].map((n) => ({ id: `n${n}`, url: `ws://127.0.0.1:${7100 + n}` })),
  heartbeatMs: 100,
  electionTimeoutMinMs: 300,
  electionTimeoutMaxMs: 600,
};

/** Writes its configuration where commands look for one. False if there is one already. @throws ConclaveError */
export async function writeDemo(file = CONFIG_FILE): Promise<boolean> {
  try {
    await writeFile(file, `${JSON.stringify(DEMO, null, 2)}\n`, { flag: "wx" });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw new ConclaveError("DISK_FAILED", `${path.resolve(file)} can't be written: ${messageOf(error)}`);
  }
}
