/** Does a cluster stay as fast, and as small, however many commands it has taken? */

import { usageOfNodes } from "./idle.ts";
import type { Plan } from "./plan.ts";
import type { GrowthResult, Milestone } from "./results.ts";
import { rounded } from "./samples.ts";
import type { Stage } from "./stage.ts";
import { PIPELINED } from "./workloads.ts";

const MILESTONES = [1_000_000, 2_000_000, 5_000_000, 10_000_000];
const KEYS = 10_000;
const MIB = 1024 * 1024;

/** @throws Failure, ConclaveError */
export function measureGrowth(stage: Stage, { nodes, valueBytes }: Plan): Promise<GrowthResult> {
  return stage.withCluster(nodes, (cluster) => {
    const { config } = cluster;
    const job = { type: "growth", config, keys: KEYS, valueBytes, milestones: MILESTONES, ...PIPELINED } as const;
    return stage.withLoad(job, "growth", async (load) => {
      const at: Milestone[] = [];
      for (const _ of MILESTONES) {
        const { commands, figures } = await load.next("milestone");
        const usage = await usageOfNodes(cluster);
        const rss_mib = [...usage.values()].map(({ residentBytes }) => rounded(residentBytes / MIB, 1));
        at.push({ commands, ...figures, rss_mib });
      }
      await load.next("done");
      return { keys: KEYS, at };
    });
  });
}
