/**
 * The client: `conclave/client`. Runs on Node, Deno and Bun, and in a browser over its own WebSocket.
 *
 * @example
 * ```ts
 * import { connect } from "conclave/client";
 *
 * const client = await connect({ directories: ["ws://127.0.0.1:7000"] });
 * client.put("greeting", "hello").catch((error) => console.log(error.code)); // CLOSED
 * await client.close();
 * ```
 */

import { network } from "#network";
import { standardClock, standardRandom } from "../environment/standard.ts";
import { Client } from "./client.ts";
import type { ConnectOptions } from "./options.ts";

export { ConclaveError, ERROR_CODES, type ErrorCode, hasCode } from "../errors.ts";
export type {
  Change,
  Expected,
  KeyValueEntry,
  KeyValuePage,
  KeyValueResults,
  Value,
} from "../machine/key-value-protocol.ts";
export type { Consistency, MemberView, MemberWish, NodeStatus } from "../protocol/node.ts";
export type { BackupPart } from "./backups.ts";
export type { Client, ListOptions, NodeReport } from "./client.ts";
export type { LeaderInfo } from "./leadership.ts";
export type { ChangesOptions, Emission, MachineClient } from "./machine-client.ts";
export type {
  BackupOptions,
  CallOptions,
  ConnectOptions,
  ReadOptions,
  RestoreOptions,
  WatchOptions,
} from "./options.ts";
export type { BarrierOptions, Passed } from "./recipes/barrier.ts";
export type {
  Elected,
  ElectOptions,
  Held,
  LockOptions,
  Observed,
  SemaphoreOptions,
  Turn,
} from "./recipes/coordination.ts";
export type { Counter } from "./recipes/counter.ts";
export type { Lease, LeasedChange, LeasedEntry, LeasedKeys, LeaseOptions } from "./recipes/leases.ts";
export type { DeadJob, Job, PushOptions, Queue, QueueOptions, QueueStatus } from "./recipes/queue.ts";
export type { RateAnswer, RateLimit, RateLimiter } from "./recipes/rate-limiter.ts";
export type { Instance, RegisterOptions, Registration } from "./recipes/registry.ts";
export type { Settings, SettingsChange } from "./recipes/settings.ts";
export type {
  Comparison,
  OperationResult,
  OperationResults,
  Relations,
  Transaction,
  TransactionOperation,
  TransactionResult,
} from "./transactions.ts";

/**
 * Connects to a cluster. Resolves at once: calls wait, within their deadline, for a leader to be found.
 *
 * @example
 * ```ts
 * import { connect } from "conclave/client";
 *
 * const client = await connect({ directories: ["ws://127.0.0.1:7000"] });
 * client.on("leader", (leader) => console.log("the leader is", leader?.id));
 * await client.close();
 * ```
 *
 * @throws ConclaveError `INVALID_ARGUMENT` if no address is given, or one can't be read
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  const environment = options.environment ?? { clock: standardClock, random: standardRandom, network };
  return new Client(options, environment);
}
