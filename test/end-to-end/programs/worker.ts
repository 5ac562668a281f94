/** A program of which one at a time is to work, and which tells when it does. */

import { connect } from "../../../src/client/index.ts";
import { sharedNowMs } from "../clock.ts";
import { fail, obey, settingsOf, tell } from "./common.ts";

/** What it is started with. */
export interface WorkerSettings {
  readonly nodes: readonly string[];
}

const WORK_MS = 5;

obey({});
const client = await connect({ nodes: settingsOf<WorkerSettings>().nodes }).catch(fail);
await client.runOnLeader("work", async ({ signal, token }) => {
  for (let works = "begins"; !signal.aborted; works = "works") {
    tell(works, { token, atMs: sharedNowMs() });
    await new Promise((resolve) => setTimeout(resolve, WORK_MS));
  }
  tell("stops", { token, atMs: sharedNowMs() });
});
