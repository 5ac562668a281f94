/**
 * What the cluster grants for a time, and its holder keeps alive. The client counts that time from before it last asked,
 * and the leader from when the log had that: so the holder knows that it is over before the cluster does, as long as its
 * clock runs no slower than `DRIFT` says.
 */

import type { ClientEnvironment } from "../../environment.ts";
import { ConclaveError, hasCode } from "../../errors.ts";
import type { CallOptions } from "../options.ts";
import { pause } from "../pause.ts";
import { Expiry } from "./expiring-signal.ts";
import type { Holding } from "./holdings.ts";
import { RENEWALS, RETRY_MS, rest } from "./patience.ts";

/** How much slower than the leader's clock the holder's may run, as a share. */
export const DRIFT = 0.01;

/** How much of the time that the log grants its holder may count on. */
export const usableMs = (ttlMs: number): number => ttlMs * (1 - DRIFT);

export interface KeptAliveParts {
  readonly environment: ClientEnvironment;
  /** What messages call it. */
  readonly what: string;
  readonly ttlMs: number;
  /** When it was asked for, at the latest. */
  readonly askedMs: number;
  /** Lets know that it is wanted still. False if it is held no more. */
  renew(options: CallOptions): Promise<boolean>;
  giveUp(options: CallOptions): Promise<unknown>;
}

/** Something that is held as long as its holder lets know of itself. */
export class KeptAlive implements Holding {
  readonly #parts: KeptAliveParts;
  readonly #expiry: Expiry;
  #released: Promise<void> | null = null;

  constructor(parts: KeptAliveParts) {
    this.#parts = parts;
    const { environment, what, askedMs, ttlMs } = parts;
    const late = (): ConclaveError => new ConclaveError("LOST", `${what} could not be renewed in time.`);
    this.#expiry = new Expiry(environment.clock, askedMs + usableMs(ttlMs), late);
    void this.#keep();
  }

  /** Fires as soon as it may be over, and when it is given up. */
  get signal(): AbortSignal {
    return this.#expiry.signal;
  }

  get isHeld(): boolean {
    return !this.#expiry.isOver;
  }

  /** The cluster has said that it is over. */
  lose(): void {
    this.#expiry.end(new ConclaveError("LOST", `${this.#parts.what} is over: its time had run out.`));
  }

  /** Gives it up. Resolves when the cluster has heard of it, or the time is over. */
  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    const { environment, what, ttlMs, giveUp } = this.#parts;
    const wasHeld = this.isHeld;
    this.#expiry.end(new ConclaveError("RELEASED", `${what} was given up.`));
    if (wasHeld) await letGo(environment, ttlMs, giveUp);
  }

  async #keep(): Promise<void> {
    const { environment, ttlMs, renew } = this.#parts;
    const { signal } = this.#expiry;
    try {
      for (;;) {
        await pause(environment, ttlMs / RENEWALS, signal);
        const askedMs = environment.clock.nowMs();
        try {
          const isKept = await renew({ timeoutMs: Math.max(0, this.#expiry.leftMs), signal });
          if (isKept) this.#expiry.extend(askedMs + usableMs(ttlMs));
          else this.lose();
        } catch {
          await pause(environment, RETRY_MS, signal); // There may be time left to try again.
        }
      }
    } catch {
      // It is over, and whoever holds the signal knows why.
    }
  }
}

/** Tells the cluster that something is wanted no more, for as long as the cluster would wait anyway. Never fails. */
export async function letGo(
  environment: ClientEnvironment,
  ttlMs: number,
  giveUp: (options: CallOptions) => Promise<unknown>,
): Promise<void> {
  const endMs = environment.clock.nowMs() + ttlMs;
  for (let leftMs = ttlMs; leftMs > 0; leftMs = endMs - environment.clock.nowMs()) {
    try {
      await giveUp({ timeoutMs: leftMs });
      return;
    } catch (error) {
      if (hasCode(error, "CLOSED", "REJECTED")) return; // Then its time runs out.
      await rest(environment);
    }
  }
}
