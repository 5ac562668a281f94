/** Leases, and the keys that hang on them. */

/// <reference lib="esnext.disposable" preserve="true" />

import type { ClientEnvironment } from "../../environment.ts";
import { ConclaveError } from "../../errors.ts";
import type { LeasedEntry, leases } from "../../machine/recipes/leases.ts";
import { endable } from "../endable.ts";
import type { ClientOf } from "../machine-client.ts";
import type { CallOptions, ReadOptions } from "../options.ts";
import { follow, readAll, type Step } from "./follow.ts";
import type { Holding, Holdings } from "./holdings.ts";
import { KeptAlive } from "./kept-alive.ts";
import { getIn, type Place } from "./line.ts";
import { bounded } from "./patience.ts";

export type { LeasedEntry } from "../../machine/recipes/leases.ts";

/**
 * What asking for a lease takes.
 *
 * @example
 * ```ts
 * import type { LeaseOptions } from "conclave/client";
 *
 * const options: LeaseOptions = { ttlMs: 2_000 };
 * await using lease = await client.lease(options);
 * ```
 */
export interface LeaseOptions {
  /** The lease is over when its owner was not heard of for so long. Default 10,000 ms. */
  readonly ttlMs?: number;
  /** Ends the asking, with `ABORTED`. */
  readonly signal?: AbortSignal;
}

/**
 * A lease, which this client keeps alive.
 *
 * @example
 * ```ts
 * import type { Lease } from "conclave/client";
 *
 * const lease: Lease = await client.lease();
 * await lease.put("workers/w1", { since: Date.now() });
 * lease.signal.addEventListener("abort", () => console.log("the key is gone, or soon will be"));
 * await lease.release();
 * ```
 */
export interface Lease {
  /** Larger than that of every lease before it. */
  readonly token: number;
  /** Fires before the cluster gives the lease up, as that of a lock; see `Held`. */
  readonly signal: AbortSignal;
  /** As far as this process can know. */
  readonly isHeld: boolean;
  /**
   * Sets a key, which is gone when the lease is. It may have hung on an earlier lease before; one of a later lease is
   * refused. Values are plain ones, as in machines.
   *
   * @throws ConclaveError `LOST`; `REJECTED` with the reason `TAKEN`; `BUSY`, `TOO_LARGE`; and as every call
   */
  put(key: string, value: unknown, options?: CallOptions): Promise<void>;
  /** Removes a key; false if it does not hang on this lease. @throws as every call */
  delete(key: string, options?: CallOptions): Promise<boolean>;
  /** Gives the lease up, with its keys. Resolves when the cluster has heard of it, or the time is over. */
  release(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * What a watch of leased keys tells: all that is there, in place of what was told before; or one change.
 *
 * @example
 * ```ts
 * import type { LeasedChange } from "conclave/client";
 *
 * const inWords = (change: LeasedChange): string =>
 *   change.type === "current" ? `there are ${change.entries.length}` : `${change.key}: ${change.type}`;
 * for await (const change of client.leased.watch("desks/")) {
 *   console.log(inWords(change)); // there are 0
 *   break;
 * }
 * ```
 */
export type LeasedChange =
  | { readonly type: "current"; readonly entries: readonly LeasedEntry[] }
  | ({ readonly type: "put" } & LeasedEntry)
  /** Deleted by its owner, with its lease or without; or gone since the lease has run out. */
  | { readonly type: "deleted" | "expired"; readonly key: string; readonly token: number };

/**
 * The keys that hang on leases, for whoever wants to know.
 *
 * @example
 * ```ts
 * import type { LeasedKeys } from "conclave/client";
 *
 * const isThere = async (leased: LeasedKeys, key: string): Promise<boolean> => (await leased.get(key)) !== null;
 * console.log(await isThere(client.leased, "workers/none")); // false
 * ```
 */
export interface LeasedKeys {
  /** Null if it is not there. Linearizable unless told otherwise. */
  get(key: string, options?: ReadOptions): Promise<LeasedEntry | null>;
  /** All with a prefix, in order. */
  list(prefix: string, options?: ReadOptions): Promise<readonly LeasedEntry[]>;
  /**
   * All with a prefix: first those that are there, and then every change, in order. Where changes were missed, since the
   * cluster keeps them no more, all that is there comes anew. It goes on until the loop is left, or fails with `ABORTED`
   * or `CLOSED`. Best with a whole first segment, such as "workers/": others are sent changes that are not theirs.
   */
  watch(prefix: string, options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<LeasedChange>;
}

const TTL_MS = 10_000;
/** What users call their keys, apart from what the client itself keeps. */
const KEYS = "key:";

export interface LeasesParts {
  readonly environment: ClientEnvironment;
  readonly holdings: Holdings;
  leases(): ClientOf<typeof leases>;
}

/** Who puts a key. */
export interface Author {
  readonly author: string;
  /** Only if it is not there, or the author's own. */
  readonly isFree: boolean;
}

/** A lease, by the keys of the machine. */
export interface RawLease extends Holding {
  readonly token: number;
  readonly isHeld: boolean;
  /** @param as for whoever goes on with another lease when this one is lost */
  put(key: string, value: unknown, options?: CallOptions, as?: Author): Promise<void>;
  delete(key: string, options?: CallOptions): Promise<boolean>;
}

/**
 * @param onRenewed is told how many keys hang on it, whenever it was renewed
 * @throws ConclaveError as every call; `BUSY` if there are too many
 */
export async function newLease(
  parts: LeasesParts,
  { ttlMs = TTL_MS, signal }: LeaseOptions,
  onRenewed: (keys: number) => void = () => {},
): Promise<RawLease> {
  const { environment, holdings } = parts;
  const api = parts.leases();
  let owner = "";
  const place = (given: string): Place<number> => {
    owner = given;
    const enter = async (options: CallOptions): Promise<{ readonly got: number; readonly revision: number }> => {
      const { token } = await bounded(api.grant({ owner, ttlMs }, options));
      return { got: token, revision: 0 };
    };
    // Nobody waits in line for a lease.
    return { enter, renew: enter, told: async () => null, leave: (options) => api.revoke({ owner }, options) };
  };
  const granted = await getIn({ environment, holdings, ttlMs, signal, isPatient: false }, place);
  if (granted === null) throw new ConclaveError("LOST", "The lease was over before it was granted.");
  const kept = new KeptAlive({
    environment,
    what: "The lease",
    ttlMs,
    askedMs: granted.askedMs,
    renew: async (options) => {
      const renewed = await api.renew({ owner }, options);
      if (renewed !== null) onRenewed(renewed.keys);
      return renewed !== null;
    },
    giveUp: (options) => api.revoke({ owner }, options),
  });
  const lost = (): ConclaveError => new ConclaveError("LOST", "The lease is held no more.");
  return holdings.keep({
    token: granted.got,
    signal: kept.signal,
    get isHeld() {
      return kept.isHeld;
    },
    put: async (key, value, options, as) => {
      if (!kept.isHeld) throw lost();
      if (await bounded(api.put({ owner, key, value, ...as }, options))) return;
      kept.lose();
      throw lost();
    },
    delete: (key, options) => api.delete({ owner, key }, options),
    release: () => kept.release(),
  });
}

export async function lease(parts: LeasesParts, options: LeaseOptions): Promise<Lease> {
  const raw = await newLease(parts, options);
  return {
    token: raw.token,
    signal: raw.signal,
    get isHeld() {
      return raw.isHeld;
    },
    put: (key, value, callOptions) => raw.put(KEYS + key, value, callOptions),
    delete: (key, callOptions) => raw.delete(KEYS + key, callOptions),
    release: raw.release,
    [Symbol.asyncDispose]: raw.release,
  };
}

/** @throws ConclaveError as every read */
export async function listLeased(
  api: ClientOf<typeof leases>,
  prefix: string,
  options: ReadOptions,
): Promise<readonly LeasedEntry[]> {
  const { entries } = await readAll((after) => api.list({ prefix, after }, options));
  return entries;
}

/** What of a lease's keys is there, and every change. */
export function followLeased(
  { environment, leases: api }: LeasesParts,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<Step<LeasedEntry, Exclude<LeasedChange, { readonly type: "current" }>>, void, undefined> {
  const end = prefix.indexOf("/");
  const topic = end < 0 ? {} : { topic: prefix.slice(0, end + 1) };
  return follow({
    environment,
    page: (after) => api().list({ prefix, after }, { signal }),
    changes: async function* (fromRevision) {
      for await (const emission of api().changes({ ...topic, fromRevision, signal })) {
        if (emission.change.key.startsWith(prefix)) yield emission;
      }
    },
  });
}

export function leasedKeys(parts: LeasesParts): LeasedKeys {
  const named = <T extends { readonly key: string }>(one: T): T => ({ ...one, key: one.key.slice(KEYS.length) });
  return {
    get: async (key, options) => {
      const entry = await parts.leases().get(KEYS + key, options);
      return entry && named(entry);
    },
    list: async (prefix, options = {}) => (await listLeased(parts.leases(), KEYS + prefix, options)).map(named),
    watch: (prefix, { signal } = {}) =>
      endable(signal, async function* (ended) {
        for await (const step of followLeased(parts, KEYS + prefix, ended)) {
          yield step.type === "current" ? { ...step, entries: step.entries.map(named) } : named(step.change);
        }
      }),
  };
}
