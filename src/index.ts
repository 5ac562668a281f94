/**
 * Conclave: Raft for Node, Deno and Bun. This entry holds what a server needs; programs that only talk to a cluster
 * import `conclave/client`.
 *
 * In the examples, `client` is what `connect` gave, `cluster` what `testCluster` gave, `url` where this machine can be
 * reached, such as "ws://10.0.0.1:7101", and `folder` a folder.
 *
 * @example
 * ```ts
 * import { join } from "conclave";
 *
 * await using node = await join({ id: "n1", peers: { n1: url }, dataDir: folder });
 * await node.client.put("greeting", "hello");
 * ```
 */

export { restoreBackup, saveBackup } from "./backup/index.ts";
export * from "./client/index.ts";
export { type Config, hostOf, parseConfig, portOf, readConfig } from "./config/index.ts";
export { type DirectoryOptions, type RunningDirectory, startDirectory } from "./directory/index.ts";
export { type ClusterNode, type JoinOptions, join } from "./embed/index.ts";
export { realEnvironment } from "./environment/real.ts";
export type { Disk, Environment } from "./environment.ts";
export { DEFAULT_LIMITS, type Limits } from "./limits.ts";
export {
  type AnyMachine,
  type ApplyContext,
  type Changes,
  type CommandContext,
  changesOf,
  KeyValueMachine,
  type Machine,
  type MachineOptions,
  Machines,
  type MachineTimer,
  type MachineVersion,
  machine,
  Rejection,
  type Replacement,
  type SnapshotForm,
  type StandardSchema,
  type StateMachine,
  type SupportedMachine,
  type Timers,
  type Upgrade,
} from "./machine/index.ts";
export {
  type Member,
  type NodeOptions,
  type NodeProcessStory,
  type RunningNode,
  startNode,
  type Timing,
} from "./node/index.ts";
export { type VerifiedBackup, verifyBackup } from "./storage/index.ts";
