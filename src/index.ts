/**
 * Conclave: Raft for Node, Deno and Bun. This entry holds what a server needs; programs that only talk to a cluster
 * import `conclave/client`.
 */

export { restoreBackup, saveBackup } from "./backup/index.ts";
export * from "./client/index.ts";
export { type Config, hostOf, parseConfig, portOf, readConfig } from "./config/index.ts";
export { type DirectoryOptions, type RunningDirectory, startDirectory } from "./directory/index.ts";
export { realEnvironment } from "./environment/real.ts";
export type { Disk, Environment } from "./environment.ts";
export { DEFAULT_LIMITS, type Limits } from "./limits.ts";
export { type ApplyContext, KeyValueMachine, type Replacement, type StateMachine } from "./machine/index.ts";
export {
  type Member,
  type NodeOptions,
  type NodeProcessStory,
  type RunningNode,
  startNode,
  type Timing,
} from "./node/index.ts";
export { type VerifiedBackup, verifyBackup } from "./storage/index.ts";
