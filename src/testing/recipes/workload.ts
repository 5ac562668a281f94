/** What clients do with a key-value store, and beside it with the machines that have names. */

import { DRIFT } from "../../client/recipes/kept-alive.ts";
import { type Crew, keyValueWorkload, type NewWorkload, type Worker } from "../workload.ts";
import { bankExercise } from "./bank-exercise.ts";
import { type NewExercise, rest } from "./exercise.ts";
import { leasesExercise } from "./leases.ts";
import { locksExercise } from "./locks.ts";
import { LogEar } from "./log-ear.ts";
import { oldProgram, program } from "./program.ts";
import { queuesExercise } from "./queues.ts";

/** One for each recipe. */
const RECIPES: readonly NewExercise[] = [locksExercise, queuesExercise, leasesExercise];
/** In half of all runs several clients meet over one of them; in the others one client does all of it alone. */
const MANY = 0.5;
const CLIENTS = 2;
const LINES_OF_WORK = 2;
/** Once nobody does anything any more, what runs out by itself has so long to do so, by the last client's clock. */
const LEFTOVERS_MS_MAX = 10_000;
const LOOK_EVERY_MS = 100;

/**
 * The commands and reads of the key-value store, and beside them locks, queues, leases and a machine of a user.
 *
 * @example
 * ```ts
 * import { recipesWorkload, simulate } from "conclave/testing";
 *
 * console.log((await simulate({ seed: 42, events: 500, workload: recipesWorkload })).breach); // null
 * ```
 */
export const recipesWorkload: NewWorkload = (nowMs, scene) => {
  const keyValue = keyValueWorkload(nowMs);
  const isMany = scene.dice.chance(MANY);
  const log = new LogEar(scene, nowMs);
  const stage = { ...scene, nowMs, log };
  const bank = bankExercise(stage);
  const exercises = [bank, ...RECIPES.map((exercise) => exercise(stage))];
  // What becomes of a machine that is updated shows only if much was done with it before.
  const met = scene.isUpdated ? bank : scene.dice.pick(exercises);
  const busy = isMany ? [met] : exercises;

  const leftovers = async (worker: Worker): Promise<string | null> => {
    for (const exercise of exercises) {
      const found = await exercise.leftovers(worker);
      if (found !== null) return found;
    }
    return log.timers.pending;
  };

  const users: Crew = {
    name: "user",
    clients: isMany ? CLIENTS : 1,
    lines: isMany ? LINES_OF_WORK : 1,
    clockLagMax: DRIFT,
    work: (worker) => worker.dice.pick(busy).work(worker),
  };
  return {
    ...keyValue,
    machine: () => log.listenTo(program(keyValue.machine())),
    older: () => log.listenTo(oldProgram(keyValue.machine())),
    crews: scene.isCrowded ? [users] : [],
    delicate: () => exercises.flatMap((exercise) => exercise.delicate?.() ?? []),
    lookBack: async (worker) => {
      await keyValue.lookBack(worker);
      const { clock } = worker;
      const endMs = clock.nowMs() + LEFTOVERS_MS_MAX;
      for (let found = await leftovers(worker); found !== null; found = await leftovers(worker)) {
        if (clock.nowMs() > endMs) return scene.report("comes-to-an-end", found);
        await rest(clock, LOOK_EVERY_MS);
      }
      for (const exercise of exercises) await exercise.lookBack?.(worker);
    },
  };
};
