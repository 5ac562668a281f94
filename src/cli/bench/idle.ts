/** What a cluster takes of the machine while nobody asks it for anything. */

import type { BenchCluster } from "./cluster.ts";
import { sleep, untilLeader } from "./leaders.ts";
import type { Plan } from "./plan.ts";
import type { IdleResult } from "./results.ts";
import { rounded } from "./samples.ts";
import type { Stage } from "./stage.ts";
import { type Usage, usageOf } from "./usage.ts";

const SECONDS = 20;
/** What a start costs is not part of it; nor is what the engine compiles at first of what recurs ever after. */
const SETTLE_MS = 15_000;
const MIB = 1024 * 1024;

/** @throws Failure, ConclaveError */
export function measureIdle(stage: Stage, { nodes }: Plan): Promise<IdleResult> {
  return stage.withCluster(nodes, (cluster) =>
    stage.withClient(cluster, async (client) => {
      stage.show(`idle for ${SECONDS} s`);
      const { id: leader } = await untilLeader(client);
      await sleep(SETTLE_MS);
      const before = await usageOfNodes(cluster);
      const startMs = performance.now();
      await sleep(SECONDS * 1_000);
      const elapsedMs = performance.now() - startMs;
      const after = await usageOfNodes(cluster);
      const each = cluster.ids.map((id) => {
        const cpuMs = (after.get(id)?.cpuMs ?? 0) - (before.get(id)?.cpuMs ?? 0);
        return {
          id,
          role: id === leader ? "leader" : "follower",
          cpu_percent: rounded((100 * cpuMs) / elapsedMs, 2),
          rss_mib: rounded((after.get(id)?.residentBytes ?? 0) / MIB, 1),
        } as const;
      });
      return { seconds: SECONDS, nodes: each };
    }),
  );
}

/** By the name of the node. */
export async function usageOfNodes(cluster: BenchCluster): Promise<ReadonlyMap<string, Usage>> {
  const each = cluster.ids.map(async (id) => [id, await usageOf(cluster.pid(id) ?? 0)] as const);
  return new Map(await Promise.all(each));
}
