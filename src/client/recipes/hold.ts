/**
 * What somebody holds of a lock: got in line for, kept alive, and given up. The client counts the time of a hold from
 * before it last asked for it, and the leader from when the log had that: so it knows that it is over before anybody else
 * can have the lock, as long as its clock runs no slower than `DRIFT` says.
 */

import type { ClientEnvironment } from "../../environment.ts";
import { ConclaveError, hasCode, messageOf } from "../../errors.ts";
import type { locks } from "../../machine/recipes/locks.ts";
import { aborted } from "../call.ts";
import type { ClientOf } from "../machine-client.ts";
import type { CallOptions } from "../options.ts";
import { pause } from "../pause.ts";
import { Expiry } from "./expiring-signal.ts";

/** How much slower than the leader's clock the holder's may run, as a share. */
const DRIFT = 0.01;
/** So often within its time to live somebody lets know of itself. */
const RENEWALS = 3;
const RETRY_MS = 50;

export interface Wish {
  readonly name: string;
  readonly permits: number;
  readonly ttlMs: number;
  readonly value: unknown;
  readonly signal?: AbortSignal | undefined;
}

export interface HoldParts {
  readonly environment: ClientEnvironment;
  readonly locks: ClientOf<typeof locks>;
}

/** What somebody holds. */
export class Hold {
  readonly name: string;
  readonly token: number;
  readonly #parts: HoldParts;
  readonly #owner: string;
  readonly #ttlMs: number;
  readonly #expiry: Expiry;
  #released: Promise<void> | null = null;

  constructor(parts: HoldParts, owner: string, { name, ttlMs }: Wish, token: number, askedMs: number) {
    this.name = name;
    this.token = token;
    this.#parts = parts;
    this.#owner = owner;
    this.#ttlMs = ttlMs;
    const late = (): ConclaveError => new ConclaveError("LOST", `The hold of "${name}" could not be renewed in time.`);
    this.#expiry = new Expiry(parts.environment.clock, askedMs + usableMs(ttlMs), late);
    void this.#keep();
  }

  /** Fires as soon as somebody else may have the lock, and when it is given up. */
  get signal(): AbortSignal {
    return this.#expiry.signal;
  }

  get isHeld(): boolean {
    return !this.#expiry.isOver;
  }

  /** Gives it up: others may have it, as soon as the cluster hears of it, or when its time has run out. */
  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  /** @throws ConclaveError `LOST` */
  async update(value: unknown, options: CallOptions = {}): Promise<void> {
    const { name } = this;
    const isHeld = await this.#parts.locks.update({ name, owner: this.#owner, value }, options);
    if (!isHeld) throw new ConclaveError("LOST", `"${name}" is held no more.`);
  }

  async #release(): Promise<void> {
    const wasHeld = this.isHeld;
    this.#expiry.end(new ConclaveError("RELEASED", `"${this.name}" was given up.`));
    if (wasHeld) await letGo(this.#parts, { name: this.name, owner: this.#owner }, this.#ttlMs);
  }

  async #keep(): Promise<void> {
    const { environment, locks: api } = this.#parts;
    const { signal } = this.#expiry;
    const hold = { name: this.name, owner: this.#owner };
    try {
      for (;;) {
        await pause(environment, this.#ttlMs / RENEWALS, signal);
        const askedMs = environment.clock.nowMs();
        try {
          const kept = await api.renew(hold, { timeoutMs: Math.max(0, this.#expiry.leftMs), signal });
          if (kept?.token === this.token) this.#expiry.extend(askedMs + usableMs(this.#ttlMs));
          else this.#expiry.end(new ConclaveError("LOST", `"${this.name}" has gone to somebody else.`));
        } catch {
          await pause(environment, RETRY_MS, signal); // There may be time left to try again.
        }
      }
    } catch {
      // It is over, and whoever holds the signal knows why.
    }
  }
}

const isAborted = (signal: AbortSignal | undefined): signal is AbortSignal => signal?.aborted === true;

const usableMs = (ttlMs: number): number => ttlMs * (1 - DRIFT);

/** Tells the cluster, for as long as it would wait anyway. */
async function letGo({ environment, locks: api }: HoldParts, hold: { name: string; owner: string }, ttlMs: number) {
  const endMs = environment.clock.nowMs() + ttlMs;
  for (let leftMs = ttlMs; leftMs > 0; leftMs = endMs - environment.clock.nowMs()) {
    try {
      await api.release(hold, { timeoutMs: leftMs });
      return;
    } catch (error) {
      if (hasCode(error, "CLOSED")) return; // Then its time runs out.
      await rest(environment);
    }
  }
}

/**
 * Gets in line, and waits to be let in.
 *
 * @param isPatient false to get in at once or not at all: null
 * @throws ConclaveError `ABORTED`, `CLOSED`, `REJECTED`; `BUSY`, `TIMEOUT` and such where the cluster can't be asked
 */
export async function hold(parts: HoldParts, wish: Wish, isPatient: boolean): Promise<Hold | null> {
  const { environment, locks: api } = parts;
  const { signal, name, ttlMs, permits, value } = wish;
  for (;;) {
    if (isAborted(signal)) throw aborted(signal);
    const place = { name, owner: environment.random.id() };
    const askedMs = environment.clock.nowMs();
    const options = signal === undefined ? {} : { signal };
    try {
      const { token, revision } = await api.acquire({ ...place, ttlMs, permits, value, wait: isPatient }, options);
      const granted = token !== null ? { token, askedMs } : null;
      if (granted === null && !isPatient) return null;
      const held = granted ?? (await waitInLine(parts, place, wish, revision + 1, askedMs));
      const fresh = held === null ? null : await refreshed(parts, place, wish, held);
      if (fresh !== null) return new Hold(parts, place.owner, wish, fresh.token, fresh.askedMs);
      // Its place is lost: it was not heard of for too long.
    } catch (error) {
      if (hasCode(error, "REJECTED")) throw error;
      void letGo(parts, place, ttlMs); // It may be in line, or even have been let in.
      if (isAborted(signal)) throw aborted(signal);
      if (!isPatient || !PASSING.some((code) => hasCode(error, code))) throw error;
      await rest(environment);
    }
  }
}

/** Who waits for a lock can as well wait for a cluster that does not answer just now. */
const PASSING = ["UNKNOWN_OUTCOME", "TIMEOUT", "NO_LEADER", "BUSY", "MACHINE_INACTIVE"] as const;

const rest = ({ clock }: ClientEnvironment): Promise<void> =>
  new Promise((resolve) => void clock.setTimer(RETRY_MS, resolve));

interface Granted {
  readonly token: number;
  /** When it was last let know that somebody waits, before that was answered. */
  readonly askedMs: number;
}

/** Who was let in after a long time without an answer has its time anew, or nothing: null. @throws as `hold` */
async function refreshed(
  { environment, locks: api }: HoldParts,
  place: { readonly name: string; readonly owner: string },
  { ttlMs, signal }: Wish,
  held: Granted,
): Promise<Granted | null> {
  const askedMs = environment.clock.nowMs();
  if (askedMs - held.askedMs < ttlMs / 2) return held;
  const renewed = await api.renew(place, signal === undefined ? {} : { signal });
  return renewed?.token === held.token ? { token: held.token, askedMs } : null;
}

/** Null if the place in line is lost. @throws as `hold` */
async function waitInLine(
  { environment, locks: api }: HoldParts,
  place: { readonly name: string; readonly owner: string },
  { ttlMs, signal }: Wish,
  fromRevision: number,
  firstAskedMs: number,
): Promise<Granted | null> {
  const end = new AbortController();
  const ended = signal === undefined ? end.signal : AbortSignal.any([end.signal, signal]);
  let askedMs = firstAskedMs;
  const told = async (): Promise<Granted | null> => {
    for await (const { change } of api.changes({ topic: place.name, fromRevision, signal: ended })) {
      if (change.owner !== place.owner) continue;
      return change.type === "granted" ? { token: change.token, askedMs } : null;
    }
    return null;
  };
  const kept = async (): Promise<Granted | null> => {
    let lastMs = firstAskedMs;
    for (;;) {
      await pause(environment, ttlMs / RENEWALS, ended);
      const nowMs = environment.clock.nowMs();
      try {
        const renewed = await api.renew(place, { timeoutMs: ttlMs, signal: ended });
        if (renewed === null) return null;
        lastMs = nowMs;
        askedMs = nowMs;
        if (renewed.token !== null) return { token: renewed.token, askedMs: nowMs };
      } catch (error) {
        if (ended.aborted || hasCode(error, "CLOSED")) throw error;
        if (environment.clock.nowMs() - lastMs > ttlMs) return null;
      }
    }
  };
  const both = [told(), kept()];
  try {
    return await Promise.race(both);
  } catch (error) {
    // Changes that are kept no more say nothing of the place: the renewals will.
    if (hasCode(error, "COMPACTED")) return (await both[1]) ?? null;
    if (isAborted(signal)) throw aborted(signal);
    throw error instanceof ConclaveError ? error : new ConclaveError("ABORTED", messageOf(error), { cause: error });
  } finally {
    end.abort();
    for (const one of both) one.catch(() => {});
  }
}
