/** What a caller may set. */

import type { ClientEnvironment, Random } from "../environment.ts";
import type { Consistency } from "../protocol/node.ts";

/**
 * What `connect` takes.
 *
 * @example
 * ```ts
 * import { type ConnectOptions, connect } from "conclave/client";
 *
 * const options: ConnectOptions = { directories: ["ws://10.0.0.1:7000", "ws://10.0.0.2:7000"], timeoutMs: 2_000 };
 * const client = await connect(options);
 * await client.close();
 * ```
 */
export interface ConnectOptions {
  /** Where directories listen: `ws://host:port`. Any one that answers will do. */
  readonly directories?: readonly string[];
  /** Where nodes listen. Needed only without directories; with them, a help when all of them are down. */
  readonly nodes?: readonly string[];
  /** @internal The node in this very process, which is listened to all the time. */
  readonly ownNode?: string;
  /** The name of the cluster, to be sure not to talk to another one. Any by default. */
  readonly cluster?: string;
  /** How long a call may take that sets no deadline of its own. Default 5,000 ms. */
  readonly timeoutMs?: number;
  /** Longer keys are refused with `TOO_LARGE`. Default 1 KiB. */
  readonly keyBytesMax?: number;
  /** Larger values are refused with `TOO_LARGE`. Default 1 MiB. */
  readonly valueBytesMax?: number;
  /** The largest message on a link, as the nodes have it. Default 8 MiB. */
  readonly messageBytesMax?: number;
  /** How many calls may wait; further ones are refused with `BUSY`. Default 100,000. */
  readonly callsMax?: number;
  /** The outside world; the real one by default. */
  readonly environment?: ClientEnvironment;
}

/**
 * What every call takes.
 *
 * @example
 * ```ts
 * import type { CallOptions } from "conclave/client";
 *
 * const options: CallOptions = { timeoutMs: 2_000, signal: AbortSignal.timeout(5_000) };
 * await client.put("greeting", "hello", options);
 * ```
 */
export interface CallOptions {
  /** The call fails after this long. */
  readonly timeoutMs?: number;
  /** Ends the call early: with `ABORTED` if nothing was sent, else with `UNKNOWN_OUTCOME`. */
  readonly signal?: AbortSignal;
}

/**
 * What reads take.
 *
 * @example
 * ```ts
 * import type { ReadOptions } from "conclave/client";
 *
 * const nearby: ReadOptions = { consistency: "stale", node: "n2" };
 * const greeting = await client.get("greeting", nearby);
 * ```
 */
export interface ReadOptions extends CallOptions {
  /** Default `linearizable`; see `Consistency` for what the others promise. */
  readonly consistency?: Consistency;
  /** The id of the node to ask, which asks the leader first if it has to. Default: the leader; for `stale`, any. */
  readonly node?: string;
}

/**
 * What a watch takes.
 *
 * @example
 * ```ts
 * import type { WatchOptions } from "conclave/client";
 *
 * const { entries, revision } = await client.list("jobs/");
 * const options: WatchOptions = { fromRevision: revision + 1, signal: AbortSignal.timeout(1) };
 * const watch = async (): Promise<void> => {
 *   for await (const { key } of client.watch("jobs/", options)) console.log(key);
 * };
 * await watch().catch((error) => console.log(error.code)); // ABORTED
 * ```
 */
export interface WatchOptions {
  /** The first revision of interest; by default that after the newest there is, and nothing that comes later is missed. */
  readonly fromRevision?: number;
  /** Ends the watch, with `ABORTED`. */
  readonly signal?: AbortSignal;
  /** The id of the node to ask. Default: any that answers. */
  readonly node?: string;
}

/**
 * What a backup takes.
 *
 * @example
 * ```ts
 * import { type BackupOptions, realEnvironment, saveBackup } from "conclave";
 *
 * const options: BackupOptions = { node: "n3", timeoutMs: 60_000 };
 * await saveBackup(realEnvironment.disk, `${folder}/demo.backup`, client, options);
 * ```
 */
export interface BackupOptions {
  /** The id of the node to take it from. Default: the leader, or another one if that has no room for it. */
  readonly node?: string;
  /** It fails if nothing has come of it for this long. Default 30,000 ms. */
  readonly timeoutMs?: number;
  /** Ends it, with `ABORTED`. */
  readonly signal?: AbortSignal;
}

/**
 * What the restoring of a backup takes.
 *
 * @example
 * ```ts
 * import { type RestoreOptions, realEnvironment, restoreBackup, saveBackup } from "conclave";
 *
 * const options: RestoreOptions = { force: true };
 * await saveBackup(realEnvironment.disk, `${folder}/demo.backup`, cluster.client);
 * await restoreBackup(realEnvironment.disk, `${folder}/demo.backup`, cluster.client, options);
 * ```
 */
export interface RestoreOptions {
  /** Replaces what the cluster holds. Otherwise it is refused with `NOT_EMPTY` if it holds anything. */
  readonly force?: boolean;
  /** It fails if one step of it takes longer than this. Default 30,000 ms, and for the first that of every call. */
  readonly timeoutMs?: number;
  /** Ends it: with `ABORTED` or `RESTORE_ABANDONED` before the last step was sent, and after that with `UNKNOWN_OUTCOME`. */
  readonly signal?: AbortSignal;
}

/** A question that was sent is given up for lost after this long, whatever its callers' deadlines. */
export const ASK_TIMEOUT_MS = 60_000;
/** The wait before another try where the last one was refused for lack of room, or for a reason that passes. */
export const RETRY_DELAY_MS = 20;
/** However long a server asks to be left alone, it is asked again after this. */
const PAUSE_MS_MAX = 5_000;

/** How long to leave a server alone that asked for it: not less, and not in step with others that it told the same. */
export const pauseMs = (askedMs: number, random: Random): number =>
  Math.min(askedMs, PAUSE_MS_MAX) * (1 + random.next() / 2);
