/** Throughput workloads, each with a load process of its own. */

import { shareOf } from "./ceiling.ts";
import type { BenchCluster } from "./cluster.ts";
import type { Plan } from "./plan.ts";
import type { CeilingResult, Results, ThroughputResult } from "./results.ts";
import type { Stage } from "./stage.ts";
import { COUNTERPARTS, THROUGHPUTS, type Throughput } from "./workloads.ts";

/** Runs what the plan has of them, and puts the figures with the results. @throws Failure, ConclaveError */
export async function measureThroughput(stage: Stage, plan: Plan, results: Results): Promise<void> {
  const chosen = THROUGHPUTS.filter(({ name }) => plan.workloads.includes(name));
  const compared = chosen.filter(({ name }) => COUNTERPARTS.includes(name));
  const measureAll = (workloads: readonly Throughput[], nodes: number): Promise<void> =>
    stage.withCluster(nodes, async (cluster) => {
      for (const workload of workloads) {
        results.throughput[workload.name] = await measure(stage, cluster, workload, plan);
      }
    });

  // What is compared stands close together in time: machines drift.
  const { ceiling: file, nodes, valueBytes } = plan;
  const before = file === null ? null : await stage.runCeiling({ file, nodes, valueBytes });
  if (compared.length > 0) await measureAll(compared, nodes);
  if (file !== null && before !== null) {
    const after = await stage.runCeiling({ file, nodes, valueBytes });
    results.ceiling = { before, after };
    compareAll(results.throughput, before, after);
  }

  const others = chosen.filter((workload) => !compared.includes(workload));
  const sharing = others.filter((workload) => workload.nodes === undefined);
  if (sharing.length > 0) await measureAll(sharing, nodes);
  for (const workload of others) if (workload.nodes !== undefined) await measureAll([workload], workload.nodes);
}

function compareAll(figures: Record<string, ThroughputResult>, before: CeilingResult, after: CeilingResult): void {
  for (const [name, result] of Object.entries(figures)) {
    const [first, second] = [before[name], after[name]];
    if (first !== undefined && second !== undefined) figures[name] = { ...result, ...shareOf(result, first, second) };
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
