/** What was measured. In JSON workloads stand beside the header, and the names of their fields are those of the ceiling. */

import type { Figures } from "./job.mts";

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

/** Where it was measured. */
export interface Machine {
  readonly runtime: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cpus: number;
}

/** What the ceiling prints. */
export type CeilingResult = Readonly<Record<string, Figures>>;

/** What every run says of itself. */
export interface Header {
  readonly nodes: number;
  readonly value_bytes: number;
  readonly seconds: number;
  /** ISO 8601. */
  readonly started: string;
  readonly machine: Machine;
}

/** All of it; throughput workloads under their names. */
export interface Results extends Header {
  readonly throughput: Record<string, ThroughputResult>;
  ceiling?: { readonly before: CeilingResult; readonly after: CeilingResult };
}

/** For machines. */
export const jsonOf = ({ throughput, ...rest }: Results): string => JSON.stringify({ ...rest, ...throughput });
