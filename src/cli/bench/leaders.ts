/** Waiting for a cluster to come to rest, for a bounded time. */

import { type Client, hasCode, type LeaderInfo } from "../../client/index.ts";

import { failed } from "./failure.ts";

const PATIENCE_MS = 60_000;
const POLL_EVERY_MS = 20;
const TRANSFER_ATTEMPTS = 5;

/** Now, in milliseconds that processes of one machine agree on. */
export const nowMs = (): number => performance.timeOrigin + performance.now();

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The leader, once the client knows one that fits. @throws Failure if there is none for long */
export function untilLeader(client: Client, fits: (leader: LeaderInfo) => boolean = () => true): Promise<LeaderInfo> {
  return new Promise((resolve, reject) => {
    const patience = setTimeout(() => {
      off();
      reject(failed(`No leader was found within ${PATIENCE_MS / 1_000} s.`));
    }, PATIENCE_MS);
    const off = client.on("leader", (leader) => {
      if (leader === null || !fits(leader)) return;
      clearTimeout(patience);
      queueMicrotask(() => off());
      resolve(leader);
    });
  });
}

/** Hands leadership over, and resolves with who leads then. @throws Failure, ConclaveError */
export async function handOver(client: Client): Promise<LeaderInfo> {
  const { term } = await untilLeader(client);
  for (let attempt = 1; ; attempt++) {
    try {
      await client.transfer();
      return await untilLeader(client, (leader) => leader.term > term);
    } catch (error) {
      // On a busy machine the other may not take over in time.
      if (!hasCode(error, "TRANSFER_FAILED") || attempt === TRANSFER_ATTEMPTS) throw error;
    }
  }
}

/** A node has applied all that was committed when this was called. @throws Failure if it does not in a long while */
export async function untilCaughtUp(client: Client, id: string): Promise<void> {
  let target: number | null = null;
  for (const endMs = performance.now() + PATIENCE_MS; performance.now() < endMs; await sleep(POLL_EVERY_MS)) {
    const answers = (await client.status()).flatMap((report) => ("error" in report ? [] : [report]));
    target ??= answers.find(({ role }) => role === "leader")?.commitIndex ?? null;
    const applied = answers.find((report) => report.id === id)?.appliedIndex ?? 0;
    if (target !== null && applied >= target) return;
  }
  throw failed(`${id} has not caught up within ${PATIENCE_MS / 1_000} s.`);
}
