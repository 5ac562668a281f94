/** Rate limits that all clients of a cluster share. */

import type { rateLimits } from "../../machine/recipes/rate-limits.ts";
import type { ClientOf } from "../machine-client.ts";
import type { CallOptions } from "../options.ts";
import { bounded } from "./patience.ts";

/**
 * How much is allowed: `limit` at once, and as much again evenly in every `perMs`. Whole numbers.
 *
 * @example
 * ```ts
 * import type { RateLimit } from "conclave/client";
 *
 * const perMinute: RateLimit = { limit: 100, perMs: 60_000 };
 * const api = client.rateLimiter("api", perMinute);
 * ```
 */
export interface RateLimit {
  readonly limit: number;
  readonly perMs: number;
}

/**
 * What a call was told.
 *
 * @example
 * ```ts
 * import type { RateAnswer } from "conclave/client";
 *
 * const status = ({ allowed }: RateAnswer): number => (allowed ? 200 : 429);
 * console.log(status(await client.rateLimiter("logins", { limit: 5, perMs: 60_000 }).take("ann"))); // 200
 * ```
 */
export interface RateAnswer {
  readonly allowed: boolean;
  /** What further calls may cost, at this moment. */
  readonly remaining: number;
  /** After so long a call of this cost is allowed, if there is no other before it; 0 for one that was. */
  readonly retryAfterMs: number;
}

/**
 * What `client.rateLimiter` gives.
 *
 * @example
 * ```ts
 * import type { RateLimiter } from "conclave/client";
 *
 * const sms: RateLimiter = client.rateLimiter("sms", { limit: 1, perMs: 60_000 });
 * console.log((await sms.take("ann")).allowed, (await sms.take("ann")).allowed); // true false
 * ```
 */
export interface RateLimiter {
  /**
   * May this be done? If so, it counts.
   *
   * @param key each has the whole limit for itself, such as the name of a user
   * @param cost a whole number, at most the limit; 0 only looks. Default 1
   * @throws ConclaveError `REJECTED` if the numbers make no sense; `BUSY` if there are too many limits; and as every call:
   * after `UNKNOWN_OUTCOME` it may have been counted
   */
  take(key?: string, cost?: number, options?: CallOptions): Promise<RateAnswer>;
}

export const rateLimiter = (
  api: () => ClientOf<typeof rateLimits>,
  name: string,
  { limit, perMs }: RateLimit,
): RateLimiter => ({
  take: (key = "", cost = 1, options = {}) => bounded(api().take({ name, limit, perMs, key, cost }, options)),
});
