/** Other packages over a cluster: `conclave/adapters`. */

export { KeyvStore, type KeyvStoreOptions, keyvStore } from "./keyv.ts";
export { type CronCoordinator, cronCoordinator } from "./node-cron.ts";
