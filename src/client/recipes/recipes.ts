/** The recipes as methods of the client. They need no more of it than its way to machines. */

import type { ClientEnvironment } from "../../environment.ts";
import type { Machine } from "../../machine/definition.ts";
import { locks } from "../../machine/recipes/locks.ts";
import type { MachineClient } from "../machine-client.ts";
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

/** What every client can do with the machines that every cluster has. */
export abstract class Recipes {
  readonly #holdings: Holdings;
  readonly #coordination: Coordination;

  constructor(environment: ClientEnvironment) {
    this.#holdings = new Holdings(environment.clock);
    const shared = { environment, holdings: this.#holdings };
    this.#coordination = new Coordination({ ...shared, locks: () => this.of(locks) });
  }

  /** A machine of the cluster, to be called. */
  abstract of<State, Emitted, C, Q, A>(machine: Machine<State, Emitted, C, Q, A>): MachineClient<C, Q, A, Emitted>;

  /**
   * Waits in line for a lock, and holds it until it is released, or this client was not heard of for its time to live.
   *
   * @example
   * await using lock = await client.lock("invoices", { ttlMs: 5_000 });
   * await store.write(invoice, { fencingToken: lock.token, signal: lock.signal });
   *
   * @throws ConclaveError `ABORTED`, `CLOSED`; `REJECTED` if what is asked for makes no sense
   */
  lock(name: string, options: LockOptions = {}): Promise<Held> {
    return this.#coordination.lock(name, options);
  }

  /** Takes a lock if nobody holds it; null otherwise. @throws as every call */
  tryLock(name: string, options: Omit<LockOptions, "reentrant"> = {}): Promise<Held | null> {
    return this.#coordination.tryLock(name, options);
  }

  /** Waits in line for one of so many permits. */
  semaphore(name: string, options: SemaphoreOptions): Promise<Held> {
    return this.#coordination.semaphore(name, options);
  }

  /** Stands for an election, and resolves when it is won: of all who stand for it one is elected at a time. */
  elect(name: string, options: ElectOptions = {}): Promise<Elected> {
    return this.#coordination.elect(name, options);
  }

  /**
   * Who is elected, or null: first as it is, and then every change, in order. It goes on until the loop is left, or fails
   * with `ABORTED` or `CLOSED`.
   */
  observe(name: string, options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<Observed | null> {
    return this.#coordination.observe(name, options.signal);
  }

  /**
   * Runs a function in one of all the processes that call this: in the one that is elected, and in another one as soon as
   * that is gone, by default within a second. The function is to stop when its signal fires; it is run again, here, when
   * this process is elected again. What it returns, or throws, while it is the one, ends the call, and another process's
   * turn begins: a function that is to go on for ever waits for its signal.
   *
   * @example
   * await client.runOnLeader("nightly", async ({ signal, token }) => {
   *   while (!signal.aborted) await nextNight(signal).then(() => cleanUp(token));
   * });
   *
   * @throws whatever the function throws; ConclaveError `ABORTED`, `CLOSED`
   */
  runOnLeader<T>(name: string, run: (turn: Turn) => Promise<T> | T, options: ElectOptions = {}): Promise<T> {
    return this.#coordination.runOnLeader(name, run, options);
  }

  /** Gives up whatever is held, so that nobody else has to wait until its time has run out. */
  protected releaseHeld(): Promise<void> {
    return this.#holdings.releaseAll();
  }
}
