/** Throughput workloads, each with a load process of its own. */

import { shareOf } from "./ceiling.ts";
import type { BenchCluster } from "./cluster.ts";
import type { Plan } from "./plan.ts";
import type { Results, ThroughputResult } from "./results.ts";
import type { Stage } from "./stage.ts";
import { THROUGHPUTS, type Throughput } from "./workloads.ts";

/** Workloads on one cluster. */
interface Group {
  readonly nodes: number;
  readonly valueBytes: number;
  readonly isCompared: boolean;
  readonly workloads: Throughput[];
}

/** Runs what the plan has of them, and puts the figures with the results. @throws Failure, ConclaveError */
export async function measureThroughput(stage: Stage, plan: Plan, results: Results): Promise<void> {
  const chosen = THROUGHPUTS.filter(({ name }) => plan.workloads.includes(name));
  for (const group of groupsOf(chosen, plan)) await measureGroup(stage, plan, group, results);
}

/** What is compared with the same has the same cluster; so has all that is compared with nothing. */
function groupsOf(chosen: readonly Throughput[], plan: Plan): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const workload of chosen) {
    const isCompared = workload.counterpart !== undefined;
    const { nodes = plan.nodes, valueBytes = plan.valueBytes } = workload;
    const key = `${isCompared}/${workload.nodes ?? "any"}/${valueBytes}`;
    const group = groups.get(key) ?? { nodes, valueBytes, isCompared, workloads: [] };
    group.workloads.push(workload);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** What is compared stands close together in time: machines drift. */
async function measureGroup(stage: Stage, plan: Plan, group: Group, results: Results): Promise<void> {
  const { nodes, valueBytes, workloads } = group;
  const file = group.isCompared ? plan.ceiling : null;
  const before = file === null ? null : await stage.runCeiling({ file, nodes, valueBytes });
  await stage.withCluster(nodes, async (cluster) => {
    for (const workload of workloads) {
      results.throughput[workload.name] = await measure(stage, cluster, workload, plan);
    }
  });
  if (file === null || before === null) return;
  const after = await stage.runCeiling({ file, nodes, valueBytes });
  if (nodes === plan.nodes && valueBytes === plan.valueBytes) results.ceiling ??= { before, after };
  for (const { name, counterpart = "" } of workloads) {
    const [result, first, second] = [results.throughput[name], before[counterpart], after[counterpart]];
    if (result === undefined || first === undefined || second === undefined) continue;
    results.throughput[name] = { ...result, ...shareOf(result, first, second) };
  }
}

async function measure(
  stage: Stage,
  { config }: BenchCluster,
  workload: Throughput,
  { seconds, warmUpSeconds, valueBytes: planned }: Plan,
): Promise<ThroughputResult> {
  const { name, operation, connections, outstanding, keys, nodes, valueBytes = planned } = workload;
  const crew = { connections, outstanding };
  const job = { type: "throughput", config, operation, ...crew, keys, valueBytes, warmUpSeconds, seconds } as const;
  const figures = await stage.withLoad(job, name, async (load) => {
    const { figures } = await load.next("figures");
    await load.next("done");
    return figures;
  });
  const own = {
    ...(nodes === undefined ? {} : { nodes }),
    ...(workload.valueBytes === undefined ? {} : { value_bytes: workload.valueBytes }),
  };
  return { ...crew, ...own, ...figures };
}
