/** Services and where they are to be had: instances that are listed as long as they let know of themselves. */

/// <reference lib="esnext.disposable" preserve="true" />

import { ConclaveError, hasCode } from "../../errors.ts";
import type { LeasedEntry } from "../../machine/recipes/leases.ts";
import { endable } from "../endable.ts";
import { invalid } from "../failures.ts";
import type { CallOptions, ReadOptions } from "../options.ts";
import { pause } from "../pause.ts";
import { followLeased, type LeasesParts, listLeased, newLease, type RawLease } from "./leases.ts";
import { isPassing, isRefused, RENEWALS, RETRY_MS } from "./patience.ts";

/**
 * What registering an instance of a service takes.
 *
 * @example
 * ```ts
 * import type { RegisterOptions } from "conclave/client";
 *
 * const options: RegisterOptions = { address: "http://10.0.0.7:8080", meta: { zone: "a" }, ttlMs: 2_000 };
 * await using registration = await client.register("search", options);
 * ```
 */
export interface RegisterOptions {
  /** Which instance it is. A later registration of the same id takes its place. Default: one of its own. */
  readonly id?: string;
  /** Where it is reached, in whatever form those understand who look for it. */
  readonly address: string;
  /** What else they are to know: a plain value. */
  readonly meta?: unknown;
  /** It is listed no more when it was not heard of for so long. Default 5,000 ms. */
  readonly ttlMs?: number;
  /** Ends the registering, with `ABORTED`. */
  readonly signal?: AbortSignal;
}

/**
 * An instance of a service, as others see it.
 *
 * @example
 * ```ts
 * import type { Instance } from "conclave/client";
 *
 * const addressOf = ({ address }: Instance): string => address;
 * console.log((await client.instances("search")).map(addressOf));
 * ```
 */
export interface Instance {
  readonly id: string;
  readonly address: string;
  readonly meta: unknown;
  /** Larger than that of every registration before it. */
  readonly token: number;
}

/**
 * An instance that is registered, and kept so: should the cluster not hear of it for too long, it is registered anew, as
 * soon as that can be done.
 *
 * @example
 * ```ts
 * import type { Registration } from "conclave/client";
 *
 * const registration: Registration = await client.register("search", { address: "http://10.0.0.7:8080" });
 * await registration.update({ load: 0.7 });
 * await registration.unregister();
 * ```
 */
export interface Registration {
  readonly service: string;
  readonly id: string;
  readonly address: string;
  /** That of the present registration: a larger one each time that it had to be registered anew. */
  readonly token: number;
  /** Is it listed, as far as this process can know? */
  readonly isListed: boolean;
  /** Fires when it is over for good: it was unregistered, or a later registration has its id. */
  readonly signal: AbortSignal;
  /** Tells something else to those who look for the service. @throws ConclaveError `LOST`; and as every call */
  update(meta: unknown, options?: CallOptions): Promise<void>;
  /** It is listed no more as soon as the cluster hears of it. */
  unregister(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const TTL_MS = 5_000;

const serviceOf = (name: string): string => {
  if (typeof name === "string" && name.isWellFormed()) return `service:${encodeURIComponent(name)}/`;
  throw invalid("A service has a name without lone surrogates.");
};

type Wish = Pick<Instance, "id" | "address" | "meta"> & { readonly ttlMs: number };

class Kept implements Registration {
  readonly service: string;
  readonly id: string;
  readonly address: string;
  readonly #parts: LeasesParts;
  readonly #ttlMs: number;
  readonly #author: string;
  readonly #end = new AbortController();
  #meta: unknown;
  #lease: RawLease | null = null;
  /** It was listed with the present lease. */
  #isTold = false;

  constructor(parts: LeasesParts, service: string, { id, address, meta, ttlMs }: Wish) {
    this.service = service;
    this.id = id;
    this.address = address;
    this.#parts = parts;
    this.#meta = meta;
    this.#ttlMs = ttlMs;
    this.#author = parts.environment.random.id();
  }

  /** @throws ConclaveError as every call */
  async begin(options: CallOptions): Promise<void> {
    await this.#ask(options);
    await this.#tell(false, options);
    void this.#stay();
  }

  get token(): number {
    return this.#lease?.token ?? 0;
  }

  get isListed(): boolean {
    return this.#lease?.isHeld === true && this.#isTold;
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  async update(meta: unknown, options: CallOptions = {}): Promise<void> {
    if (this.signal.aborted) throw new ConclaveError("LOST", `"${this.id}" is registered no more.`);
    const before = this.#meta;
    this.#meta = meta;
    try {
      await this.#tell(true, options);
    } catch (error) {
      if (hasCode(error, "LOST") && !this.signal.aborted) return; // It will be told with the next registration.
      if (!isPassing(error)) this.#meta = before;
      throw isTaken(error) ? this.#replaced() : error;
    }
  }

  async unregister(): Promise<void> {
    this.#end.abort(new ConclaveError("RELEASED", `"${this.id}" was unregistered.`));
    await this.#lease?.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.unregister();
  }

  async #ask({ signal = this.signal }: CallOptions): Promise<void> {
    this.#isTold = false;
    this.#lease = await newLease(this.#parts, { ttlMs: this.#ttlMs, signal }, (keys) => {
      // Somebody else may have the id by now: that is for the cluster to say.
      if (this.#isTold && keys === 0) this.update(this.#meta).catch(() => {});
    });
  }

  /** @param isFree not in place of another process: this one may have stood still while that took over */
  async #tell(isFree: boolean, options: CallOptions): Promise<void> {
    const value = { address: this.address, meta: this.#meta };
    await this.#lease?.put(serviceOf(this.service) + this.id, value, options, { author: this.#author, isFree });
    this.#isTold = true;
  }

  /** Registers anew whenever the lease was lost. */
  async #stay(): Promise<void> {
    while (this.#lease !== null && !this.signal.aborted) {
      const { signal } = this.#lease;
      await fired(signal);
      if (!hasCode(signal.reason, "LOST"))
        this.#end.abort(signal.reason); // Given up, as when the client is closed.
      else await this.#again();
    }
  }

  async #again(): Promise<void> {
    while (!this.signal.aborted) {
      try {
        await this.#ask({});
        if (this.signal.aborted) await this.#lease?.release();
        else await this.#tell(true, {});
        return;
      } catch (error) {
        await this.#lease?.release();
        if (isTaken(error)) this.#replaced();
        else if (hasCode(error, "CLOSED")) this.#end.abort(error);
        else await this.#rest(hasCode(error, "BUSY") ? this.#ttlMs / RENEWALS : RETRY_MS);
      }
    }
  }

  /** Or until it is over. */
  async #rest(ms: number): Promise<void> {
    await pause(this.#parts.environment, ms, this.signal).catch(() => {});
  }

  #replaced(): ConclaveError {
    const why = new ConclaveError("LOST", `"${this.id}" was registered again by another process.`);
    this.#end.abort(why);
    void this.#lease?.release();
    return why;
  }
}

/** @throws ConclaveError `INVALID_ARGUMENT`, `ABORTED`, `BUSY`; and as every call */
export async function register(
  parts: LeasesParts,
  service: string,
  { id = parts.environment.random.id(), address, meta = null, ttlMs = TTL_MS, signal }: RegisterOptions,
): Promise<Registration> {
  serviceOf(service);
  if (typeof address !== "string" || typeof id !== "string" || id === "") {
    throw invalid("An instance has an address, and an id that is not empty.");
  }
  const kept = new Kept(parts, service, { id, address, meta, ttlMs });
  try {
    await kept.begin(signal === undefined ? {} : { signal });
    return kept;
  } catch (error) {
    await kept.unregister();
    throw error;
  }
}

/** @throws ConclaveError as every read */
export async function instances(
  parts: LeasesParts,
  service: string,
  options: ReadOptions,
): Promise<readonly Instance[]> {
  const prefix = serviceOf(service);
  const entries = await listLeased(parts.leases(), prefix, options);
  return entries.map((entry) => instanceOf(entry, prefix));
}

export function watchInstances(
  parts: LeasesParts,
  service: string,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<readonly Instance[]> {
  const prefix = serviceOf(service);
  return endable(signal, async function* (ended) {
    let known = new Map<string, Instance>();
    for await (const step of followLeased(parts, prefix, ended)) {
      if (step.type === "current") known = new Map(step.entries.map((entry) => [entry.key, instanceOf(entry, prefix)]));
      else if (step.change.type === "put") known.set(step.change.key, instanceOf(step.change, prefix));
      else known.delete(step.change.key);
      yield [...known.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
    }
  });
}

const isTaken = (error: unknown): boolean => isRefused(error, "TAKEN");

function instanceOf({ key, value, token }: LeasedEntry, prefix: string): Instance {
  const { address, meta } = value as Pick<Instance, "address" | "meta">;
  return { id: key.slice(prefix.length), address, meta, token };
}

const fired = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
