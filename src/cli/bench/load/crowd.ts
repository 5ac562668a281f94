/** Many clients that do nothing but know who leads. */

import type { Client, LeaderInfo } from "../../../client/index.ts";
import type { CrowdJob } from "../job.ts";
import { type Tell, teller } from "./drive.ts";

/** So many connect at a time. */
const CONNECTING_MAX = 50;

/**
 * Connects them; then tells of every leader that all of them have seen, until the process ends.
 *
 * @param connect makes one client
 */
export async function runCrowd(connect: () => Promise<Client>, { clients }: CrowdJob, tell: Tell): Promise<never> {
  const onConnected = teller(tell);
  const tally = new LeaderTally(clients, tell);
  let begun = 0;
  const connectOnes = async (): Promise<void> => {
    while (begun < clients) {
      begun++;
      await watch(await connect(), tally);
      onConnected();
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONNECTING_MAX, clients) }, connectOnes));
  tell({ type: "ready" });
  return new Promise(() => {});
}

/** Resolves once the client knows a leader. */
function watch(client: Client, tally: LeaderTally): Promise<void> {
  let term = 0;
  return new Promise((resolve) => {
    client.on("leader", (leader) => {
      // The same leader is told again after a doubt.
      if (leader === null || leader.term <= term) return;
      term = leader.term;
      tally.count(leader);
      resolve();
    });
  });
}

/** How many clients have seen which leader. */
class LeaderTally {
  readonly #clients: number;
  readonly #tell: Tell;
  readonly #seen = new Map<number, number>();

  constructor(clients: number, tell: Tell) {
    this.#clients = clients;
    this.#tell = tell;
  }

  count({ term, id }: LeaderInfo): void {
    const seen = (this.#seen.get(term) ?? 0) + 1;
    this.#seen.set(term, seen);
    if (seen < this.#clients) return;
    this.#tell({ type: "leader-seen", term, leader: id, atMs: performance.timeOrigin + performance.now() });
  }
}
