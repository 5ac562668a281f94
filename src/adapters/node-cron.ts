/** The package `node-cron`, whose tasks may run in many processes: each time is one process's turn. */

import type { Client } from "../client/index.ts";
import { locks } from "../machine/recipes/locks.ts";

/**
 * What `node-cron` asks before it runs a task (`RunCoordinator`).
 *
 * @example
 * ```ts
 * import { type CronCoordinator, cronCoordinator } from "conclave/adapters";
 *
 * const coordinator: CronCoordinator = cronCoordinator(client);
 * console.log(await coordinator.shouldRun("clean-up", 60_000)); // true
 * console.log(await coordinator.shouldRun("clean-up", 60_000)); // false
 * ```
 */
export interface CronCoordinator {
  shouldRun(key: string, ttlMs: number): Promise<boolean>;
}

/**
 * Has each run of a task of `node-cron` happen in one process of all that have scheduled it.
 *
 * Whoever comes first has the turn, and keeps it for the lease of the task (`distributedLease`), whether it is done sooner
 * or not: a process whose clock is behind would run it again otherwise. A process that can't reach the cluster runs
 * nothing.
 *
 * @example
 * ```ts
 * import cron from "node-cron";
 * import { cronCoordinator } from "conclave/adapters";
 *
 * const options = { name: "clean-up", distributed: true, runCoordinator: cronCoordinator(client) };
 * const task = cron.createTask("0 3 * * *", () => console.log("cleaning up"), options);
 * await task.destroy();
 * ```
 */
export const cronCoordinator = (client: Client): CronCoordinator => ({
  shouldRun: async (key, ttlMs) => {
    const wish = { name: `cron:${key}`, owner: client.newId(), ttlMs, permits: 1, value: null, wait: false };
    const { token } = await client.of(locks).acquire(wish);
    return token !== null;
  },
});
