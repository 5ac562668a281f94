/** What clients of real processes were told while leaders died under them, judged by the check for linearizability. */

import { RecordedClient } from "../../src/testing/recorded-client.ts";
import { suite } from "../support/suite.ts";
import { type Cluster, leaderOf, withCluster } from "./cluster.ts";
import { Crowd, judge } from "./crowd.ts";

const test = suite("end to end: linearizability");

/** At least; and until a call was lost with its leader. */
const KILLS = 3;
/** So many answers come between a failover and the next kill. */
const ANSWERS = 200;

async function killTheLeader(cluster: Cluster, crowd: Crowd): Promise<void> {
  const observer = await cluster.client();
  const leader = await leaderOf(observer);
  await cluster.node(leader).kill("SIGKILL");
  crowd.giveUp();
  await leaderOf(observer, (id) => id !== leader);
  await cluster.startNode(leader);
  await crowd.answered(ANSWERS);
}

test(
  "whatever clients are told while leaders are killed and come back, one copy of the data could have said",
  () =>
    withCluster(3, async (cluster) => {
      const crowd = new Crowd();
      const { history } = crowd;
      const workers = await crowd.begin(cluster);
      for (let kills = 0; kills < KILLS || crowd.lost === 0; kills++) {
        await Promise.race([killTheLeader(cluster, crowd), ...workers]);
      }
      crowd.stop();
      await Promise.all(workers);
      const reader = new RecordedClient(await cluster.client(), "reader", history);
      for (const key of ["a", "b", "counter"]) await reader.get(key);

      judge(history);
    }),
  { timeoutMs: 60_000 },
);

test.run();
