/** What the benchmark asks of a load process, and what they say to each other: a line of JSON each. */

/** What is measured, or written all along. */
export type Operation = "put" | "get" | "stale-get";

/** So many callers, each of whom waits for one answer before the next question. */
export interface Crew {
  readonly connections: number;
  /** Callers that share a connection. */
  readonly outstanding: number;
}

/** Calls as fast as they are answered, for a while. */
export interface ThroughputJob extends Crew {
  readonly type: "throughput";
  readonly operation: Operation;
  readonly keys: number;
  readonly valueBytes: number;
  /** They are not measured from the start. */
  readonly warmUpSeconds: number;
  readonly seconds: number;
}

/** Puts as fast as they are answered; at each of these counts it tells how fast the last ones were. */
export interface GrowthJob extends Crew {
  readonly type: "growth";
  readonly keys: number;
  readonly valueBytes: number;
  readonly milestones: readonly number[];
}

/** One put after the other, until it is told to end. */
export interface WriterJob {
  readonly type: "writer";
  readonly keys: number;
  readonly valueBytes: number;
}

/** Clients that do nothing but know who leads. */
export interface CrowdJob {
  readonly type: "crowd";
  readonly clients: number;
}

export type Job = (ThroughputJob | GrowthJob | WriterJob | CrowdJob) & {
  /** The configuration of the cluster. */
  readonly config: string;
};

/** What a load process is told meanwhile. */
export type Order =
  /** To the writer: how long was the longest pause since the last lap, or the start? One more answer is waited for. */
  | { readonly type: "lap" }
  /** To the writer: look at all that was written. */
  | { readonly type: "end" };

/** What a load process tells. */
export type News =
  /** So many calls were answered, or clients have found the leader. */
  | { readonly type: "progress"; readonly done: number }
  /** The clients of a crowd, or the writer, are at it. */
  | { readonly type: "ready" }
  | { readonly type: "lap"; readonly pauseMs: number }
  /** So many puts were answered, the last of them this fast. */
  | { readonly type: "milestone"; readonly commands: number; readonly figures: Figures }
  /** Every client of a crowd has seen that this one leads in that term; the last of them at that time of the day. */
  | { readonly type: "leader-seen"; readonly term: number; readonly leader: string; readonly atMs: number }
  | { readonly type: "figures"; readonly figures: Figures }
  /** All is done, and every answer was right. */
  | { readonly type: "done" }
  | { readonly type: "failed"; readonly code: string; readonly error: string };

/** How fast a crew was. */
export interface Figures {
  /** Calls a second. */
  readonly ops: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
}
