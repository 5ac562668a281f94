/** How long a caller is held up when the leader dies, or hands over. */

import type { Client } from "../../client/index.ts";
import type { BenchCluster } from "./cluster.ts";
import { handOver, untilCaughtUp, untilLeader } from "./leaders.ts";
import type { LoadProcess } from "./load-process.ts";
import type { Plan } from "./plan.ts";
import type { Pauses, Skipped } from "./results.ts";
import { median, rounded } from "./samples.ts";
import type { Stage } from "./stage.ts";

const ROUNDS = 10;
const KEYS = 1_000;
/** Fewer nodes can't lose one. */
const FAILOVER_NODES_MIN = 3;
const TRANSFER_NODES_MIN = 2;

interface Round {
  readonly cluster: BenchCluster;
  readonly client: Client;
}

/** Kills leaders; each comes back, and has everything again, before the next one is killed. @throws Failure, ConclaveError */
export async function measureFailover(stage: Stage, plan: Plan): Promise<Pauses | Skipped> {
  if (plan.nodes < FAILOVER_NODES_MIN) return { skipped: `it needs ${FAILOVER_NODES_MIN} nodes or more` };
  return measurePauses(stage, plan, "failover", async ({ cluster, client }) => {
    const { id, term } = await untilLeader(client);
    await cluster.kill(id);
    await untilLeader(client, (leader) => leader.term > term);
    await cluster.restart(id);
    await untilCaughtUp(client, id);
  });
}

/** Hands leadership over again and again. @throws Failure, ConclaveError */
export async function measureTransfer(stage: Stage, plan: Plan): Promise<Pauses | Skipped> {
  if (plan.nodes < TRANSFER_NODES_MIN) return { skipped: `it needs ${TRANSFER_NODES_MIN} nodes or more` };
  return measurePauses(stage, plan, "transfer", ({ client }) => handOver(client));
}

/** The longest pause of a continuous writer in each round. */
function measurePauses(
  stage: Stage,
  { nodes, valueBytes }: Plan,
  name: string,
  interrupt: (round: Round) => Promise<unknown>,
): Promise<Pauses> {
  return stage.withCluster(nodes, (cluster) =>
    stage.withLoad({ type: "writer", config: cluster.config, keys: KEYS, valueBytes }, name, (load) =>
      stage.withClient(cluster, async (client) => {
        await load.next("ready");
        await pauseOf(load);
        const pauses: number[] = [];
        for (let round = 1; round <= ROUNDS; round++) {
          stage.show(`${name} ${round} of ${ROUNDS}`);
          await interrupt({ cluster, client });
          pauses.push(await pauseOf(load));
        }
        load.tell({ type: "end" });
        await load.next("done");
        return { median_ms: rounded(median(pauses)), max_ms: Math.max(...pauses), pauses_ms: pauses };
      }),
    ),
  );
}

/** The longest one since this was last asked. */
async function pauseOf(load: LoadProcess): Promise<number> {
  load.tell({ type: "lap" });
  return (await load.next("lap")).pauseMs;
}
