/** How fast calls of one kind are answered. */

import type { Client } from "../../../client/index.ts";
import type { Figures, GrowthJob, ThroughputJob } from "../job.ts";
import { keyOf } from "../ledger.ts";
import { drive, type Tell, teller } from "./drive.ts";
import { Writers } from "./writers.ts";

/** Over so many puts before a milestone it is told how fast they were. */
const SPAN_MAX = 500_000;
/** With so many outstanding the keys are written that will be read. */
const PREPARATION_OUTSTANDING = 1_000;

/** @throws Failure, ConclaveError */
export async function runThroughput(clients: readonly Client[], job: ThroughputJob, tell: Tell): Promise<Figures> {
  const writers = new Writers({ ...job, clients });
  await writers.open();
  const call =
    job.operation === "put" ? (connection: number) => writers.put(connection) : await reader(clients, writers, job);
  const onAnswer = teller(tell);
  const driveFor = (seconds: number): Promise<Figures> => {
    const endMs = performance.now() + seconds * 1_000;
    return drive({ ...job, call, goesOn: (nowMs) => nowMs < endMs, onAnswer });
  };
  await driveFor(job.warmUpSeconds);
  const figures = await driveFor(job.seconds);
  await writers.check();
  return figures;
}

/** Writes every key once; then gives the call that reads one after the other. */
async function reader(clients: readonly Client[], writers: Writers, { keys, operation }: ThroughputJob) {
  const { ledger } = writers;
  await drive({
    connections: clients.length,
    outstanding: Math.ceil(PREPARATION_OUTSTANDING / clients.length),
    call: (connection) => writers.put(connection),
    goesOn: () => ledger.puts < keys,
  });
  // Whoever has seen the end of it is shown nothing older, however stale its later questions may be.
  await Promise.all(clients.map((client) => client.get(keyOf(0))));
  const newest = ledger.newest();
  const options = operation === "stale-get" ? ({ consistency: "stale" } as const) : {};
  let asked = 0;
  return async (connection: number): Promise<void> => {
    const key = asked++ % keys;
    ledger.checkHeld(key, newest.get(key) ?? 0, await clients[connection]?.get(keyOf(key), options));
  };
}

/** @throws Failure, ConclaveError */
export async function runGrowth(clients: readonly Client[], job: GrowthJob, tell: Tell): Promise<void> {
  const writers = new Writers({ ...job, clients });
  await writers.open();
  const onAnswer = teller(tell);
  const putUntil = (commands: number): Promise<Figures> =>
    drive({
      ...job,
      call: (connection) => writers.put(connection),
      goesOn: () => writers.ledger.puts < commands,
      onAnswer,
    });
  for (const commands of job.milestones) {
    await putUntil(commands - Math.min(SPAN_MAX, commands / 2));
    tell({ type: "milestone", commands, figures: await putUntil(commands) });
  }
  await writers.check();
}
