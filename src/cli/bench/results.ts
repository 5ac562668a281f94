/** What was measured. In JSON workloads stand beside the header, and the names of their fields are those of the ceiling. */

import type { Figures } from "./job.ts";

/** What a throughput workload came to. */
export interface ThroughputResult extends Figures {
  readonly connections: number;
  readonly outstanding: number;
  /** Where they differ from those of the whole run. */
  readonly nodes?: number;
  readonly value_bytes?: number;
  /** Of the operations a second of the ceiling, where it has such a workload. */
  readonly ops_share?: number;
  /** How many times that of the ceiling its median latency is. */
  readonly p50_multiple?: number;
}

/** Why a workload was not run. */
export interface Skipped {
  readonly skipped: string;
}

/** How long a continuous writer was held up, each time something was done to the leader. */
export interface Pauses {
  readonly median_ms: number;
  readonly max_ms: number;
  readonly pauses_ms: readonly number[];
}

export interface IdleNode {
  readonly id: string;
  readonly role: "leader" | "follower";
  /** Of one processor. */
  readonly cpu_percent: number;
  readonly rss_mib: number;
}

export interface IdleResult {
  readonly seconds: number;
  readonly nodes: readonly IdleNode[];
}

export interface CrowdResult {
  readonly clients: number;
  readonly connect_seconds: number;
  /** By how much the resident memory of the leader has grown, for each client. */
  readonly node_kib_per_client: number;
  readonly directory_kib_per_client: number;
  /** Until the last client knew of the next leader. */
  readonly leader_change_ms?: number;
}

/** How fast, and how large, a cluster was after so many commands. */
export interface Milestone extends Figures {
  readonly commands: number;
  /** Of each node. */
  readonly rss_mib: readonly number[];
}

export interface GrowthResult {
  readonly keys: number;
  readonly at: readonly Milestone[];
}

/** Where it was measured. */
export interface Machine {
  readonly runtime: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cpus: number;
}

/** What the ceiling prints. */
export type CeilingResult = Readonly<Record<string, Figures>>;

/** All that a run came to. */
export interface Results {
  readonly nodes: number;
  readonly value_bytes: number;
  readonly seconds: number;
  readonly warm_up_seconds: number;
  /** ISO 8601. */
  readonly started: string;
  readonly machine: Machine;
  /** With as many nodes and values as long as the whole run has; other workloads have others of their own. */
  ceiling?: { readonly before: CeilingResult; readonly after: CeilingResult };
  /** By the names of the workloads. */
  readonly throughput: Record<string, ThroughputResult>;
  transfer?: Pauses | Skipped;
  failover?: Pauses | Skipped;
  idle?: IdleResult;
  /** By the names of the workloads. */
  readonly crowds: Record<string, CrowdResult | Skipped>;
  growth?: GrowthResult;
}

/** For machines; with an indent if people are to look at it, too. */
export const jsonOf = ({ throughput, crowds, ...rest }: Results, indent = 0): string =>
  JSON.stringify({ ...rest, ...throughput, ...crowds }, null, indent);
