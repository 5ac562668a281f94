/** Locks, semaphores, elections, and a singleton in one line: what programs need of one another. */

/// <reference lib="esnext.disposable" preserve="true" />

import type { ClientEnvironment } from "../../environment.ts";
import { ConclaveError, hasCode } from "../../errors.ts";
import { Rejection } from "../../machine/definition.ts";
import { checkNames } from "../../machine/recipes/checks.ts";
import type { Holder, locks } from "../../machine/recipes/locks.ts";
import { refusalError } from "../../machine/typed-protocol.ts";
import { aborted } from "../failures.ts";
import type { ClientOf } from "../machine-client.ts";
import { eitherOf } from "./expiring-signal.ts";
import { type Hold, hold } from "./hold.ts";
import type { Holdings } from "./holdings.ts";
import { isAborted } from "./line.ts";
import { patiently } from "./patience.ts";

/**
 * What asking for a lock takes.
 *
 * @example
 * ```ts
 * import type { LockOptions } from "conclave/client";
 *
 * const options: LockOptions = { ttlMs: 5_000, signal: AbortSignal.timeout(2_000) };
 * await using lock = await client.lock("invoices", options);
 * ```
 */
export interface LockOptions {
  /** The lock is free again when its holder was not heard of for so long. Default 10,000 ms. */
  readonly ttlMs?: number;
  /** Ends the waiting, with `ABORTED`. */
  readonly signal?: AbortSignal;
  /** This client may ask again for what it holds: it has the same hold, until the last of them is released. */
  readonly reentrant?: boolean;
}

/**
 * What asking for a permit of a semaphore takes.
 *
 * @example
 * ```ts
 * import type { SemaphoreOptions } from "conclave/client";
 *
 * const options: SemaphoreOptions = { permits: 3, ttlMs: 5_000 };
 * await using permit = await client.semaphore("downloads", options);
 * ```
 */
export interface SemaphoreOptions extends Omit<LockOptions, "reentrant"> {
  /** How many may hold one at once: the same number for all who ask. */
  readonly permits: number;
}

/**
 * A lock that is held, or a permit, or a leadership.
 *
 * @example
 * ```ts
 * import type { Held } from "conclave/client";
 *
 * async function bill({ token, signal }: Held): Promise<void> {
 *   if (!signal.aborted) await client.put("invoices/7", `written under ${token}`);
 * }
 * await using lock = await client.lock("invoices");
 * await bill(lock);
 * ```
 */
export interface Held {
  readonly name: string;
  /**
   * A fencing token: larger than that of everyone who held any lock before. Whoever gets it with a request can refuse one
   * that comes late from somebody who holds the lock no more.
   */
  readonly token: number;
  /**
   * Fires before somebody else can have it: when it was not renewed in time. Whoever asks `signal.aborted` asks the clock;
   * the event comes by a timer, which a process that stood still gets to late. So may what `AbortSignal.any` makes of it.
   */
  readonly signal: AbortSignal;
  /** As far as this process can know: false as soon as somebody else may have it. */
  readonly isHeld: boolean;
  /** Gives it up. Resolves when the cluster has heard of it, or the time is over. */
  release(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * What standing for an election takes.
 *
 * @example
 * ```ts
 * import type { ElectOptions } from "conclave/client";
 *
 * const options: ElectOptions = { value: "http://10.0.0.7:8080", ttlMs: 2_000 };
 * await using elected = await client.elect("scheduler", options);
 * ```
 */
export interface ElectOptions {
  /** What observers are told of the one who is elected. */
  readonly value?: unknown;
  /** Another one is elected when the one who was is not heard of for so long. Default 5,000 ms. */
  readonly ttlMs?: number;
  /** Ends the waiting, with `ABORTED`. */
  readonly signal?: AbortSignal;
}

/**
 * An election that was won.
 *
 * @example
 * ```ts
 * import type { Elected } from "conclave/client";
 *
 * const elected: Elected = await client.elect("scheduler", { value: "starting" });
 * await elected.proclaim("ready");
 * await elected.release();
 * ```
 */
export interface Elected extends Held {
  /** Tells observers something else. @throws ConclaveError `LOST` */
  proclaim(value: unknown): Promise<void>;
}

/**
 * Who is elected: what it wants others to know, and its fencing token.
 *
 * @example
 * ```ts
 * import type { Observed } from "conclave/client";
 *
 * const inWords = (now: Observed | null): string => (now === null ? "nobody" : `${now.value}`);
 * for await (const now of client.observe("reporter")) {
 *   console.log(inWords(now)); // nobody
 *   break;
 * }
 * ```
 */
export interface Observed {
  readonly token: number;
  readonly value: unknown;
}

/**
 * What `runOnLeader` passes to what it runs.
 *
 * @example
 * ```ts
 * import type { Turn } from "conclave/client";
 *
 * async function sweep({ signal, token }: Turn): Promise<void> {
 *   if (!signal.aborted) await client.put("swept", `${token}`);
 * }
 * await client.runOnLeader("sweep", sweep);
 * ```
 */
export interface Turn {
  /** Fires before anybody else may run, and when the caller's signal does: stop then. */
  readonly signal: AbortSignal;
  /** Larger than that of every run before. */
  readonly token: number;
}

const LOCK_TTL_MS = 10_000;
const ELECTION_TTL_MS = 5_000;
/** So that another process goes on within a second of a killed one. */
const SINGLETON_TTL_MS = 800;

export interface CoordinationParts {
  readonly environment: ClientEnvironment;
  readonly holdings: Holdings;
  locks(): ClientOf<typeof locks>;
}

interface Shared {
  readonly hold: Promise<Hold>;
  /** Ends the wait for it. */
  readonly end: AbortController;
  /** How many have it, or wait for it. */
  count: number;
}

export class Coordination {
  readonly #parts: CoordinationParts;
  readonly #shared = new Map<string, Shared>();

  constructor(parts: CoordinationParts) {
    this.#parts = parts;
  }

  async lock(name: string, options: LockOptions): Promise<Held> {
    if (options.reentrant === true) return this.#shareLock(name, options);
    return this.#held(await this.#hold(nameOf("lock", name), 1, options), name);
  }

  async tryLock(name: string, { ttlMs = LOCK_TTL_MS, signal }: LockOptions): Promise<Held | null> {
    const wish = { name: nameOf("lock", name), permits: 1, ttlMs, value: null, signal };
    const made = await hold(this.#holdParts, wish, false);
    return made === null ? null : this.#held(made, name);
  }

  async semaphore(name: string, { permits, ...options }: SemaphoreOptions): Promise<Held> {
    return this.#held(await this.#hold(nameOf("semaphore", name), permits, options), name);
  }

  async elect(name: string, { value = null, ttlMs = ELECTION_TTL_MS, signal }: ElectOptions): Promise<Elected> {
    const made = await this.#hold(nameOf("election", name), 1, { ttlMs, signal }, value);
    return Object.assign(this.#held(made, name), { proclaim: (next: unknown) => made.update(next) });
  }

  /** The one who is elected, or null, first as it is and then every change. */
  async *observe(name: string, signal: AbortSignal): AsyncGenerator<Observed | null, void, undefined> {
    const { environment } = this.#parts;
    const election = nameOf("election", name);
    for (let told: number | null | undefined; ; ) {
      const { holders, revision } = await patiently(environment, () => this.#locks.look(election, { signal }));
      const [holder = null] = holders;
      // After changes that were missed it may be as it was.
      if (told === undefined || holder !== null || told !== null) yield holder === null ? null : observed(holder);
      told = holder?.token ?? null;
      try {
        for await (const { change } of this.#locks.changes({
          signal,
          topic: election,
          fromRevision: revision + 1,
        })) {
          const next = "value" in change ? observed(change) : null;
          told = next?.token ?? null;
          yield next;
        }
      } catch (error) {
        if (!hasCode(error, "COMPACTED")) throw error;
      }
    }
  }

  async runOnLeader<T>(name: string, run: (turn: Turn) => Promise<T> | T, options: ElectOptions): Promise<T> {
    for (;;) {
      const elected = await this.elect(name, { ...options, ttlMs: options.ttlMs ?? SINGLETON_TTL_MS });
      const { token } = elected;
      const signal = eitherOf(elected.signal, options.signal);
      try {
        const result = await run({ signal, token });
        // What was done while somebody else may have begun is not done.
        if (elected.isHeld) return result;
      } catch (error) {
        if (elected.isHeld && options.signal?.aborted !== true) throw error;
      } finally {
        await elected.release();
      }
      if (options.signal?.aborted === true) throw aborted(options.signal);
    }
  }

  get #locks(): ClientOf<typeof locks> {
    return this.#parts.locks();
  }

  get #holdParts() {
    return { ...this.#parts, locks: this.#locks };
  }

  async #hold(
    name: string,
    permits: number,
    { ttlMs = LOCK_TTL_MS, signal }: Pick<LockOptions, "ttlMs"> & { readonly signal?: AbortSignal | undefined },
    value: unknown = null,
  ): Promise<Hold> {
    const made = await hold(this.#holdParts, { name, permits, ttlMs, value, signal }, true);
    if (made === null) throw new ConclaveError("LOST", `Nobody let this client in for "${name}".`);
    return made;
  }

  #held(made: Hold, name: string, release = (): Promise<void> => made.release()): Held {
    return {
      name,
      token: made.token,
      signal: made.signal,
      get isHeld() {
        return made.isHeld;
      },
      release,
      [Symbol.asyncDispose]: release,
    };
  }

  /** One hold for all of this client that ask for it, and one wait, which goes on as long as one of them waits. */
  async #shareLock(name: string, options: LockOptions): Promise<Held> {
    const { signal } = options;
    if (isAborted(signal)) throw aborted(signal);
    let shared = this.#shared.get(name);
    if (shared === undefined) {
      const end = new AbortController();
      shared = { hold: this.#hold(nameOf("lock", name), 1, { ...options, signal: end.signal }), end, count: 0 };
      this.#shared.set(name, shared);
    }
    const own = shared;
    own.count++;
    const forget = (): void => {
      if (this.#shared.get(name) === own) this.#shared.delete(name);
    };
    /** True for the last of them. */
    const leave = (): boolean => {
      own.count--;
      if (own.count === 0) forget();
      return own.count === 0;
    };
    let made: Hold;
    try {
      made = await unlessAborted(own.hold, signal);
    } catch (error) {
      if (!isAborted(signal)) forget();
      if (leave()) {
        own.end.abort();
        own.hold.then(
          (late) => late.release(), // It was let in just now.
          () => {},
        );
      }
      throw error;
    }
    if (!made.isHeld) {
      forget();
      return this.#shareLock(name, options);
    }
    let isReleased = false;
    return this.#held(made, name, async () => {
      if (isReleased) return;
      isReleased = true;
      if (leave()) await made.release();
    });
  }
}

/** @throws ConclaveError `ABORTED` as soon as the signal fires, whatever becomes of what is waited for */
function unlessAborted<T>(wanted: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return wanted;
  return new Promise((resolve, reject) => {
    const end = (): void => reject(aborted(signal));
    signal.addEventListener("abort", end);
    wanted.then(resolve, reject).finally(() => signal.removeEventListener("abort", end));
  });
}

/** @throws ConclaveError `REJECTED`, as the machine would: it can't tell an empty name from what stands before it */
function nameOf(kind: "lock" | "semaphore" | "election", name: string): string {
  try {
    checkNames(name);
  } catch (error) {
    if (!(error instanceof Rejection)) throw error;
    const { code, message, details } = error;
    throw refusalError({ type: "rejected", code, message, details });
  }
  return `${kind}:${name}`;
}

const observed = ({ token, value }: Pick<Holder, "token" | "value">): Observed => ({ token, value });
