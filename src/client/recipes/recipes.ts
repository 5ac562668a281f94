/** The recipes as methods of the client. They need no more of it than its way to machines. */

import type { ClientEnvironment } from "../../environment.ts";
import type { Machine } from "../../machine/definition.ts";
import { barriers } from "../../machine/recipes/barriers.ts";
import { leases } from "../../machine/recipes/leases.ts";
import { locks } from "../../machine/recipes/locks.ts";
import { queues } from "../../machine/recipes/queues.ts";
import { rateLimits } from "../../machine/recipes/rate-limits.ts";
import { endable } from "../endable.ts";
import type { MachineClient } from "../machine-client.ts";
import type { ReadOptions } from "../options.ts";
import { type BarrierOptions, type BarrierParts, barrier, type Passed } from "./barrier.ts";
import {
  Coordination,
  type Elected,
  type ElectOptions,
  type Held,
  type LockOptions,
  type Observed,
  type SemaphoreOptions,
  type Turn,
} from "./coordination.ts";
import { Holdings } from "./holdings.ts";
import { type Lease, type LeasedKeys, type LeaseOptions, type LeasesParts, lease, leasedKeys } from "./leases.ts";
import { type Queue, type QueueOptions, type QueueParts, WorkQueue } from "./queue.ts";
import { type RateLimit, type RateLimiter, rateLimiter } from "./rate-limiter.ts";
import {
  type Instance,
  instances,
  type RegisterOptions,
  type Registration,
  register,
  watchInstances,
} from "./registry.ts";

/** What every client can do with the machines that every cluster has. */
export abstract class Recipes {
  readonly #holdings: Holdings;
  readonly #coordination: Coordination;
  readonly #barriers: BarrierParts;
  readonly #leases: LeasesParts;
  readonly #queues: QueueParts;

  constructor(environment: ClientEnvironment) {
    this.#holdings = new Holdings(environment.clock);
    const shared = { environment, holdings: this.#holdings };
    this.#coordination = new Coordination({ ...shared, locks: () => this.of(locks) });
    this.#barriers = { ...shared, barriers: () => this.of(barriers) };
    this.#queues = { ...shared, queues: () => this.of(queues) };
    this.#leases = { ...shared, leases: () => this.of(leases) };
  }

  /** A machine of the cluster, to be called. */
  abstract of<State, Emitted, C, Q, A>(machine: Machine<State, Emitted, C, Q, A>): MachineClient<C, Q, A, Emitted>;

  /**
   * Waits in line for a lock, and holds it until it is released, or this client was not heard of for its time to live.
   *
   * @example
   * ```ts
   * await using lock = await client.lock("invoices", { ttlMs: 5_000 });
   * if (!lock.signal.aborted) await client.put("invoices/7", `written under ${lock.token}`);
   * ```
   *
   * @throws ConclaveError `ABORTED`, `CLOSED`; `REJECTED` if what is asked for makes no sense
   */
  lock(name: string, options: LockOptions = {}): Promise<Held> {
    return this.#coordination.lock(name, options);
  }

  /**
   * Takes a lock if nobody holds it; null otherwise.
   *
   * @example
   * ```ts
   * const lock = await client.tryLock("clean-up");
   * if (lock === null) console.log("somebody else is at it");
   * else await lock.release();
   * ```
   *
   * @throws as every call
   */
  tryLock(name: string, options: Omit<LockOptions, "reentrant"> = {}): Promise<Held | null> {
    return this.#coordination.tryLock(name, options);
  }

  /**
   * Waits in line for one of so many permits.
   *
   * @example
   * ```ts
   * await using permit = await client.semaphore("downloads", { permits: 3 });
   * ```
   */
  semaphore(name: string, options: SemaphoreOptions): Promise<Held> {
    return this.#coordination.semaphore(name, options);
  }

  /**
   * Stands for an election, and resolves when it is won: of all who stand for it one is elected at a time.
   *
   * @example
   * ```ts
   * await using elected = await client.elect("scheduler", { value: "http://10.0.0.7:8080" });
   * console.log(elected.isHeld); // true
   * ```
   */
  elect(name: string, options: ElectOptions = {}): Promise<Elected> {
    return this.#coordination.elect(name, options);
  }

  /**
   * Who is elected, or null: first as it is, and then every change, in order. It goes on until the loop is left, or fails
   * with `ABORTED` or `CLOSED`.
   *
   * @example
   * ```ts
   * await using elected = await client.elect("scheduler", { value: "http://10.0.0.7:8080" });
   * for await (const now of client.observe("scheduler")) {
   *   console.log(now?.value); // http://10.0.0.7:8080
   *   break;
   * }
   * ```
   */
  observe(name: string, options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<Observed | null> {
    return endable(options.signal, (ended) => this.#coordination.observe(name, ended));
  }

  /**
   * Runs a function in one of all the processes that call this: in the one that is elected, and in another one as soon as
   * that is gone, by default within a second. The function is to stop when its signal fires; it is run again, here, when
   * this process is elected again. What it returns, or throws, while it is the one, ends the call, and another process's
   * turn begins: a function that is to go on for ever waits for its signal.
   *
   * @example
   * ```ts
   * const done = await client.runOnLeader("nightly", async ({ signal, token }) => {
   *   if (!signal.aborted) await client.put("nightly/done", `${token}`);
   *   return "done";
   * });
   * ```
   *
   * @throws whatever the function throws; ConclaveError `ABORTED`, `CLOSED`
   */
  runOnLeader<T>(name: string, run: (turn: Turn) => Promise<T> | T, options: ElectOptions = {}): Promise<T> {
    return this.#coordination.runOnLeader(name, run, options);
  }

  /**
   * Asks for a lease, and keeps it alive until it is released, or this client is closed or not heard of for its time to
   * live. Keys can hang on it: they are gone when it is. Whoever wants to know of them reads or watches `leased`.
   *
   * @example
   * ```ts
   * await using lease = await client.lease({ ttlMs: 5_000 });
   * await lease.put("workers/w1", { since: Date.now() });
   * ```
   *
   * @throws ConclaveError `BUSY` if there are too many; `REJECTED` if what is asked for makes no sense; and as every call
   */
  lease(options: LeaseOptions = {}): Promise<Lease> {
    return lease(this.#leases, options);
  }

  /**
   * The keys that hang on leases, whosever they are.
   *
   * @example
   * ```ts
   * await using lease = await client.lease();
   * await lease.put("rooms/blue", "taken");
   * for (const { key, value } of await client.leased.list("rooms/")) console.log(key, value); // rooms/blue taken
   * ```
   */
  get leased(): LeasedKeys {
    return leasedKeys(this.#leases);
  }

  /**
   * Registers an instance of a service, and keeps it registered, until it is unregistered or this client is closed. It is
   * listed as long as its process lets know of itself.
   *
   * @example
   * ```ts
   * await using registration = await client.register("search", { address: "http://10.0.0.7:8080", meta: { zone: "a" } });
   * ```
   *
   * @throws ConclaveError `INVALID_ARGUMENT`, `REJECTED`, `BUSY`, `ABORTED`; and as every call
   */
  register(service: string, options: RegisterOptions): Promise<Registration> {
    return register(this.#leases, service, options);
  }

  /**
   * The instances of a service that are registered, in the order of their ids. Linearizable unless told otherwise.
   *
   * @example
   * ```ts
   * await using own = await client.register("mail", { address: "http://10.0.0.8:8080" });
   * const [one] = await client.instances("mail");
   * console.log(one?.address); // http://10.0.0.8:8080
   * ```
   */
  instances(service: string, options: ReadOptions = {}): Promise<readonly Instance[]> {
    return instances(this.#leases, service, options);
  }

  /**
   * The instances of a service: first as they are, and then anew with every change, as it is pushed. It goes on until the
   * loop is left, or fails with `ABORTED` or `CLOSED`.
   *
   * @example
   * ```ts
   * for await (const instances of client.watchInstances("search")) {
   *   console.log(instances.map(({ address }) => address));
   *   break; // It would go on for ever.
   * }
   * ```
   */
  watchInstances(
    service: string,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncIterableIterator<readonly Instance[]> {
    return watchInstances(this.#leases, service, options.signal);
  }

  /**
   * A queue of jobs that is there as soon as somebody uses it. Each job goes to one taker at a time, to another one if it is
   * not acknowledged in time, and to the dead letters if that has happened too often: it is done at least once, and the
   * `token` of a job lets whatever it writes to refuse who comes late.
   *
   * @example
   * ```ts
   * const mails = client.queue<{ to: string }>("mails", { visibleMs: 60_000, attemptsMax: 3 });
   * await mails.push({ to: "ann@example.org" });
   * for await (const job of mails.jobs()) {
   *   console.log(job.item.to); // ann@example.org
   *   await job.ack();
   *   break;
   * }
   * ```
   */
  queue<T = unknown>(name: string, options: QueueOptions = {}): Queue<T> {
    return new WorkQueue<T>(this.#queues, name, options);
  }

  /**
   * A rate limit that all clients of the cluster share who name the same numbers. It goes by the time of the nodes that
   * lead, which never goes back; keys that were not asked for lately are forgotten.
   *
   * @example
   * ```ts
   * const api = client.rateLimiter("api", { limit: 100, perMs: 60_000 });
   * const { allowed, retryAfterMs } = await api.take("ann");
   * if (!allowed) console.log(`try again in ${retryAfterMs} ms`);
   * ```
   */
  rateLimiter(name: string, limit: RateLimit): RateLimiter {
    return rateLimiter(() => this.of(rateLimits), name, limit);
  }

  /**
   * Waits until so many are there, who then all go on at once. Who is not heard of any more while it waits does not count;
   * who comes later waits for as many others.
   *
   * @example
   * ```ts
   * await Promise.all([
   *   client.barrier("load-test", { parties: 2 }), // In one process,
   *   client.barrier("load-test", { parties: 2 }), // and in another.
   * ]);
   * ```
   *
   * @throws ConclaveError `ABORTED`, `CLOSED`; `REJECTED` if others wait for another number, or what is asked for makes no
   * sense
   */
  barrier(name: string, options: BarrierOptions): Promise<Passed> {
    return barrier(this.#barriers, name, options);
  }

  /** Gives up whatever is held, so that nobody else has to wait for it; null if that is nothing, and takes no time. */
  protected releaseHeld(): Promise<void> | null {
    return this.#holdings.releaseAll();
  }
}
