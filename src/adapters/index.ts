/**
 * Other packages over a cluster: `conclave/adapters`.
 *
 * @example
 * ```ts
 * import Keyv from "keyv";
 * import { keyvStore } from "conclave/adapters";
 *
 * const sessions = new Keyv({ store: keyvStore(client), ttl: 60_000 });
 * ```
 */

export { KeyvStore, type KeyvStoreOptions, keyvStore } from "./keyv.ts";
export { type CronCoordinator, cronCoordinator } from "./node-cron.ts";
