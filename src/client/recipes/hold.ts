/** What somebody holds of a lock: got in line for, kept alive, and given up. */

import type { ClientEnvironment } from "../../environment.ts";
import { ConclaveError } from "../../errors.ts";
import type { locks } from "../../machine/recipes/locks.ts";
import type { ClientOf } from "../machine-client.ts";
import type { CallOptions } from "../options.ts";
import type { Holding, Holdings } from "./holdings.ts";
import { KeptAlive } from "./kept-alive.ts";
import { getIn, type Place } from "./line.ts";

export interface Wish {
  readonly name: string;
  readonly permits: number;
  readonly ttlMs: number;
  readonly value: unknown;
  readonly signal?: AbortSignal | undefined;
}

export interface HoldParts {
  readonly environment: ClientEnvironment;
  readonly holdings: Holdings;
  readonly locks: ClientOf<typeof locks>;
}

/** What somebody holds. */
export class Hold implements Holding {
  readonly name: string;
  readonly token: number;
  readonly #parts: HoldParts;
  readonly #owner: string;
  readonly #kept: KeptAlive;

  constructor(parts: HoldParts, owner: string, { name, ttlMs }: Wish, token: number, askedMs: number) {
    const { environment, locks: api } = parts;
    this.name = name;
    this.token = token;
    this.#parts = parts;
    this.#owner = owner;
    this.#kept = new KeptAlive({
      environment,
      what: `The hold of "${name}"`,
      ttlMs,
      askedMs,
      renew: async (options) => (await api.renew({ name, owner }, options))?.token === token,
      giveUp: (options) => api.release({ name, owner }, options),
    });
  }

  /** Fires as soon as somebody else may have the lock, and when it is given up. */
  get signal(): AbortSignal {
    return this.#kept.signal;
  }

  get isHeld(): boolean {
    return this.#kept.isHeld;
  }

  /** Gives it up: others may have it, as soon as the cluster hears of it, or when its time has run out. */
  release(): Promise<void> {
    return this.#kept.release();
  }

  /** @throws ConclaveError `LOST` */
  async update(value: unknown, options: CallOptions = {}): Promise<void> {
    const { name } = this;
    const isHeld = await this.#parts.locks.update({ name, owner: this.#owner, value }, options);
    if (!isHeld) throw new ConclaveError("LOST", `"${name}" is held no more.`);
  }
}

/**
 * Gets in line, and waits to be let in.
 *
 * @param isPatient false to get in at once or not at all: null
 * @throws ConclaveError `ABORTED`, `CLOSED`, `REJECTED`; if it is not patient, as every call
 */
export async function hold(parts: HoldParts, wish: Wish, isPatient: boolean): Promise<Hold | null> {
  const { name, ttlMs, signal } = wish;
  let owner = "";
  const granted = await getIn({ ...parts, ttlMs, signal, isPatient }, (given) => {
    owner = given;
    return placeIn(parts.locks, { name, owner }, wish, isPatient);
  });
  return granted && parts.holdings.keep(new Hold(parts, owner, wish, granted.got, granted.askedMs));
}

/** A place in line for a lock; what comes of it is a token. */
function placeIn(
  api: ClientOf<typeof locks>,
  place: { readonly name: string; readonly owner: string },
  { ttlMs, permits, value }: Wish,
  wait: boolean,
): Place<number> {
  return {
    enter: async (options) => {
      const { token, revision } = await api.acquire({ ...place, ttlMs, permits, value, wait }, options);
      return { got: token, revision };
    },
    told: async (fromRevision, signal) => {
      for await (const { change } of api.changes({ topic: place.name, fromRevision, signal })) {
        if (change.owner !== place.owner) continue;
        return change.type === "granted" ? { got: change.token } : null;
      }
      return null;
    },
    renew: async (options) => {
      const renewed = await api.renew(place, options);
      return renewed && { got: renewed.token };
    },
    leave: (options) => api.release(place, options),
  };
}
