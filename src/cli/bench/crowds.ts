/** What a connected client costs a node, and how soon all of them know of another leader. */

import type { Client } from "../../client/index.ts";
import { type BenchCluster, DIRECTORY } from "./cluster.ts";
import { openFilesMax } from "./file-limit.ts";
import { handOver, nowMs, sleep, untilLeader } from "./leaders.ts";
import type { LoadProcess } from "./load-process.ts";
import type { Plan } from "./plan.ts";
import type { CrowdResult, Skipped } from "./results.ts";
import { rounded } from "./samples.ts";
import type { Stage } from "./stage.ts";
import { usageOf } from "./usage.ts";

/** More in one load process would measure that process. */
const CLIENTS_PER_PROCESS_MAX = 2_500;
/** What a process has open beside the links of clients, generously. */
const OTHER_FILES = 200;
/** A moment after the start, or after the last one has connected, for what goes on by itself. */
const SETTLE_MS = 3_000;
const KIB = 1_024;

/** How many processes they are spread over, or why they can't be had here. */
export function spread(clients: number, nodes: number, filesMax: number): readonly number[] | Skipped {
  const needed = clients + OTHER_FILES;
  if (needed > filesMax) {
    return {
      skipped: `a node with ${clients} clients has ${needed} files open, and the limit here is ${filesMax} (ulimit -Hn)`,
    };
  }
  // While it looks for a leader a client has links to the directory and to every node.
  const fitting = Math.floor((filesMax - OTHER_FILES) / (nodes + 1));
  const each = Math.max(1, Math.min(CLIENTS_PER_PROCESS_MAX, fitting));
  const processes = Math.ceil(clients / each);
  return Array.from({ length: processes }, (_, i) => Math.floor((clients + i) / processes));
}

/** @throws Failure, ConclaveError */
export async function measureCrowd(
  stage: Stage,
  { nodes }: Plan,
  name: string,
  clients: number,
): Promise<CrowdResult | Skipped> {
  const parts = spread(clients, nodes, openFilesMax());
  if ("skipped" in parts) return parts;
  return stage.withCluster(nodes, (cluster) =>
    stage.withClient(cluster, async (client) => {
      stage.show(name);
      await untilLeader(client);
      await sleep(SETTLE_MS);
      const before = await residentKiB(cluster);
      const startMs = performance.now();
      const jobs = parts.map((part) => ({ type: "crowd", config: cluster.config, clients: part }) as const);
      return stage.withLoads(jobs, name, async (loads) => {
        await Promise.all(loads.map((load) => load.next("ready")));
        const connectSeconds = (performance.now() - startMs) / 1_000;
        await sleep(SETTLE_MS);
        const after = await residentKiB(cluster);
        const grownBy = (process: string): number =>
          rounded(((after.get(process) ?? 0) - (before.get(process) ?? 0)) / clients, 1);
        return {
          clients,
          connect_seconds: rounded(connectSeconds, 2),
          // Whoever leads now has links to all of them.
          node_kib_per_client: grownBy((await untilLeader(client)).id),
          directory_kib_per_client: grownBy(DIRECTORY),
          ...(nodes === 1 ? {} : { leader_change_ms: rounded(await changeLeader(stage, client, loads), 1) }),
        };
      });
    }),
  );
}

/** From the call that hands leadership over to the moment in which the last client knows who leads. */
async function changeLeader(stage: Stage, client: Client, loads: readonly LoadProcess[]): Promise<number> {
  stage.show("a leader change");
  const { term } = await untilLeader(client);
  const startMs = nowMs();
  const seen = loads.map(async (load) => {
    for (;;) {
      const news = await load.next("leader-seen");
      if (news.term > term) return news.atMs;
    }
  });
  const [, ...lastMs] = await Promise.all([handOver(client), ...seen]);
  return Math.max(...lastMs) - startMs;
}

async function residentKiB(cluster: BenchCluster): Promise<ReadonlyMap<string, number>> {
  const each = [DIRECTORY, ...cluster.ids].map(async (name) => {
    const { residentBytes } = await usageOf(cluster.pid(name) ?? 0);
    return [name, residentBytes / KIB] as const;
  });
  return new Map(await Promise.all(each));
}
