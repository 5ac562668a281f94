/** Clients that add jobs to a queue, and others that take them: none may be lost, nor be in the hands of two. */

import type { Job, Queue } from "../../client/index.ts";
import { isPassing } from "../../client/recipes/patience.ts";
import { hasCode } from "../../errors.ts";
import type { Worker } from "../workload.ts";
import { type NewExercise, rest } from "./exercise.ts";
import { type Holding, Holdings } from "./holdings.ts";
import { jobName, QueueLog } from "./queue-log.ts";

const QUEUE = "q";
const VISIBLE_MS = [200, 400, 800];
const ATTEMPTS_MAX = 3;
const DELAY_MS_MAX = 300;
const PATIENCE_MS_MAX = 1_000;
const TURNS_MAX = 8;
const TURN_MS_MAX = 150;
const LATE_MS_MAX = 300;
/** What becomes of a job: it is done; or given back; or its taker does nothing more about it. */
const DONE = 0.6;
const GIVEN_BACK = 0.8;
const EXTENDED = 0.3;

export const queuesExercise: NewExercise = (stage) => {
  const log = new QueueLog(stage, QUEUE);
  const holdings = new Holdings(stage, log);
  let pushed = 0;

  const use = async (worker: Worker, job: Job<number>, holding: Holding): Promise<void> => {
    const { dice, clock } = worker;
    for (let turns = dice.below(TURNS_MAX); turns > 0 && !holding.signal.aborted; turns--) {
      holdings.write(worker, holding);
      await rest(clock, dice.between(0, TURN_MS_MAX));
      if (dice.chance(EXTENDED) && !holding.signal.aborted) await job.extend();
    }
  };

  const take = async (worker: Worker, queue: Queue<number>): Promise<void> => {
    const { dice, clock } = worker;
    const end = new AbortController();
    clock.setTimer(dice.between(0, PATIENCE_MS_MAX), () => end.abort());
    const job = await queue.take({ signal: end.signal });
    const holding = { name: jobName(job.id), token: job.token, signal: job.signal };
    holdings.begin(worker, holding);
    await use(worker, job, holding);
    // Whoever is late may not know it, and does as if it had the job: by then another one may have it.
    if (job.signal.aborted) await rest(clock, dice.between(0, LATE_MS_MAX));
    const kind = dice.next();
    if (kind < DONE) await job.ack();
    else if (kind < GIVEN_BACK) {
      const given = job.nack(dice.chance(0.5) ? {} : { delayMs: dice.between(0, DELAY_MS_MAX) });
      holdings.end(worker, holding);
      await given;
    }
  };

  return {
    work: async (worker) => {
      const { client, dice } = worker;
      const queue = client.queue<number>(QUEUE, { visibleMs: dice.pick(VISIBLE_MS), attemptsMax: ATTEMPTS_MAX });
      try {
        if (dice.chance(0.5)) await take(worker, queue);
        else await queue.push(++pushed, dice.chance(0.7) ? {} : { delayMs: dice.between(0, DELAY_MS_MAX) });
      } catch (error) {
        if (!isPassing(error) && !hasCode(error, "ABORTED", "LOST")) throw error;
      }
    },
    delicate: () => holdings.holders,
    leftovers: async ({ client }) => {
      const queue = client.queue<number>(QUEUE);
      for await (const { id } of queue.dead()) await queue.discard(id);
      let { ready } = await queue.status();
      for (; ready > 0; ready--) await (await queue.take()).ack();
      return log.open === 0 ? null : `${log.open} jobs of ${QUEUE} have not come to their end`;
    },
  };
};
