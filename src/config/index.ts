/** `cluster.config.json`. */

export { hostOf, parseConfig, portOf, readConfig } from "./config.ts";
export type { Config } from "./schema.ts";
