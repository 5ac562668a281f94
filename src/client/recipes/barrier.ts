/** Barriers: so many processes wait for one another. */

import type { ClientEnvironment } from "../../environment.ts";
import { ConclaveError } from "../../errors.ts";
import type { barriers } from "../../machine/recipes/barriers.ts";
import { keyOf } from "../../machine/recipes/checks.ts";
import type { ClientOf } from "../machine-client.ts";
import type { Holdings } from "./holdings.ts";
import { getIn, type Place } from "./line.ts";
import { bounded } from "./patience.ts";

/**
 * What waiting at a barrier takes.
 *
 * @example
 * ```ts
 * import type { BarrierOptions } from "conclave/client";
 *
 * const options: BarrierOptions = { parties: 2, ttlMs: 5_000 };
 * await Promise.all([client.barrier("start", options), client.barrier("start", options)]);
 * ```
 */
export interface BarrierOptions {
  /** It opens when so many are there: the same number for all. */
  readonly parties: number;
  /** Who was not heard of for so long does not count any more. Default 10,000 ms. */
  readonly ttlMs?: number;
  /** Ends the waiting, with `ABORTED`. */
  readonly signal?: AbortSignal;
}

/**
 * A barrier has opened.
 *
 * @example
 * ```ts
 * import type { Passed } from "conclave/client";
 *
 * const pass = (): Promise<Passed> => client.barrier("round", { parties: 2 });
 * const [one, other] = await Promise.all([pass(), pass()]);
 * console.log(one.token === other.token); // true
 * ```
 */
export interface Passed {
  /** The same for all who got through together, and larger than that of those who did before. */
  readonly token: number;
}

const TTL_MS = 10_000;

export interface BarrierParts {
  readonly environment: ClientEnvironment;
  readonly holdings: Holdings;
  barriers(): ClientOf<typeof barriers>;
}

export async function barrier(
  parts: BarrierParts,
  name: string,
  { parties, ttlMs = TTL_MS, signal }: BarrierOptions,
): Promise<Passed> {
  const api = parts.barriers();
  const placeOf = (owner: string): Place<number> => {
    const party = { name, owner };
    return {
      enter: async (options) => {
        const { token, revision } = await bounded(api.enter({ ...party, parties, ttlMs }, options));
        return { got: token, revision };
      },
      told: async (fromRevision, ended) => {
        for await (const { change } of api.changes({ topic: keyOf(name, owner), fromRevision, signal: ended })) {
          return { got: change.token };
        }
        return null;
      },
      renew: async (options) => {
        const renewed = await api.renew(party, options);
        return renewed && { got: renewed.token };
      },
      leave: (options) => api.leave(party, options),
    };
  };
  // Who got through has nothing that could be lost.
  const waiting = { ...parts, ttlMs, heldMs: Number.POSITIVE_INFINITY, signal, isPatient: true };
  const granted = await getIn(waiting, placeOf);
  if (granted === null) throw new ConclaveError("LOST", `Nobody let this client through "${name}".`);
  return { token: granted.got };
}
