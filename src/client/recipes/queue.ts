/** Work queues: jobs that somebody adds, and that are taken, and acknowledged, by whoever has time for one. */

/// <reference lib="esnext.disposable" preserve="true" />

import type { ClientEnvironment } from "../../environment.ts";
import { ConclaveError, messageOf } from "../../errors.ts";
import { keyOf } from "../../machine/recipes/checks.ts";
import type { GivenJob } from "../../machine/recipes/queue-state.ts";
import type { queues } from "../../machine/recipes/queues.ts";
import { decodeValue, encodeValue } from "../../machine/value-codec.ts";
import { endable } from "../endable.ts";
import { invalid } from "../failures.ts";
import type { ClientOf } from "../machine-client.ts";
import type { CallOptions, ReadOptions } from "../options.ts";
import { Expiry } from "./expiring-signal.ts";
import type { Holding, Holdings } from "./holdings.ts";
import { letGo, usableMs } from "./kept-alive.ts";
import { getIn, type Place } from "./line.ts";
import { bounded } from "./patience.ts";

/**
 * How a client uses a queue. Others may use the same one otherwise: each job goes by the terms of who has taken it.
 *
 * @example
 * ```ts
 * import type { QueueOptions } from "conclave/client";
 *
 * const options: QueueOptions = { visibleMs: 60_000, attemptsMax: 3 };
 * const mails = client.queue<{ to: string }>("mails", options);
 * ```
 */
export interface QueueOptions {
  /** A job that was taken is visible to others again if it was not acknowledged within this time. Default 30,000 ms. */
  readonly visibleMs?: number;
  /** A job that so many attempts have failed at is a dead letter. Default 5. */
  readonly attemptsMax?: number;
  /** More jobs than this, dead letters included, are not added: `BUSY`. Default 100,000. */
  readonly itemsMax?: number;
  /** Nor more bytes than this. Default 64 MiB. */
  readonly bytesMax?: number;
}

/**
 * What adding a job takes.
 *
 * @example
 * ```ts
 * import type { PushOptions } from "conclave/client";
 *
 * const options: PushOptions = { id: "reminder-7", delayMs: 60_000 };
 * console.log(await client.queue<string>("reminders").push("ann", options)); // true
 * console.log(await client.queue<string>("reminders").push("ann", options)); // false
 * ```
 */
export interface PushOptions extends CallOptions {
  /**
   * Which job it is. One of an id that is in the queue, or was acknowledged not long ago, is not added again: so a push
   * whose outcome is unknown can be repeated. Default: an id of its own.
   */
  readonly id?: string;
  /** It is visible after this time only. Default 0. */
  readonly delayMs?: number;
}

/**
 * A job in the hands of this client.
 *
 * @example
 * ```ts
 * import type { Job } from "conclave/client";
 *
 * async function resize(job: Job<string>): Promise<void> {
 *   await job.extend(); // It takes longer.
 *   await job.ack();
 * }
 * const photos = client.queue<string>("photos");
 * await photos.push("7.jpg");
 * await resize(await photos.take());
 * ```
 */
export interface Job<T> {
  readonly id: string;
  readonly item: T;
  /** 1 for who has it first. */
  readonly attempt: number;
  /** A fencing token: larger than that of everyone who had this job before. */
  readonly token: number;
  /** Fires before anybody else can have it, as that of a lock; see `Held`. And once it is acknowledged, or given back. */
  readonly signal: AbortSignal;
  /** The job is done. @throws ConclaveError `LOST` if another one has it, or had it, meanwhile; and as every call */
  ack(options?: CallOptions): Promise<void>;
  /** The attempt has failed: others may take the job, after the delay, or it is a dead letter. @throws as every call */
  nack(options?: CallOptions & { readonly delayMs?: number }): Promise<void>;
  /** It takes longer: the whole time from now on. @throws ConclaveError `LOST`; and as every call */
  extend(options?: CallOptions): Promise<void>;
  /** As `nack`, if it was not acknowledged. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A job that too many attempts have failed at.
 *
 * @example
 * ```ts
 * import type { DeadJob } from "conclave/client";
 *
 * const calls = client.queue<string>("calls", { attemptsMax: 1 });
 * await calls.push("ann");
 * await (await calls.take()).nack();
 * const inWords = ({ item, attempts }: DeadJob<string>): string => `${item}, after ${attempts}`;
 * for await (const dead of calls.dead()) console.log(inWords(dead)); // ann, after 1
 * ```
 */
export interface DeadJob<T> {
  readonly id: string;
  readonly item: T;
  readonly attempts: number;
}

/**
 * How many jobs a queue has of each kind, how many ask for one, and what the jobs take.
 *
 * @example
 * ```ts
 * import type { QueueStatus } from "conclave/client";
 *
 * const isIdle = ({ ready, delayed, taken }: QueueStatus): boolean => ready + delayed + taken === 0;
 * console.log(isIdle(await client.queue("nothing").status())); // true
 * ```
 */
export interface QueueStatus {
  readonly ready: number;
  readonly delayed: number;
  readonly taken: number;
  readonly dead: number;
  readonly waiting: number;
  readonly bytes: number;
}

/**
 * A queue of jobs. Items are plain values, as in machines, of at most 1 MiB.
 *
 * @example
 * ```ts
 * import type { Queue } from "conclave/client";
 *
 * const orders: Queue<{ tea: number }> = client.queue("orders");
 * await orders.push({ tea: 2 });
 * await using job = await orders.take();
 * console.log(job.item.tea); // 2
 * await job.ack();
 * ```
 */
export interface Queue<T> {
  /**
   * Adds a job. False if one of its id is there, or was acknowledged not long ago.
   *
   * @throws ConclaveError `BUSY` if the queue is full; `TOO_LARGE`, `INVALID_ARGUMENT`, `REJECTED`; and as every call
   */
  push(item: T, options?: PushOptions): Promise<boolean>;
  /**
   * Takes the job that has waited longest, as soon as there is one: who asks first has it first.
   *
   * @throws ConclaveError `ABORTED`, `CLOSED`, `REJECTED`
   */
  take(options?: { readonly signal?: AbortSignal }): Promise<Job<T>>;
  /** Takes one job after the other, each when the next one is asked for, until the loop is left. @throws as `take` */
  jobs(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<Job<T>>;
  /** The dead letters, the oldest first. @throws as every read */
  dead(options?: ReadOptions): AsyncIterableIterator<DeadJob<T>>;
  /** Makes a dead letter a job again, as if it were new. False if there is none of that id. @throws as every call */
  revive(id: string, options?: CallOptions): Promise<boolean>;
  /** Removes a dead letter. False if there is none of that id. @throws as every call */
  discard(id: string, options?: CallOptions): Promise<boolean>;
  /** @throws as every read */
  status(options?: ReadOptions): Promise<QueueStatus>;
}

/** Who waits in line lets know of itself in this time. */
const LINE_TTL_MS = 15_000;
const DEAD_PAGE = 100;

export interface QueueParts {
  readonly environment: ClientEnvironment;
  readonly holdings: Holdings;
  queues(): ClientOf<typeof queues>;
}

class TakenJob<T> implements Job<T>, Holding {
  readonly id: string;
  readonly item: T;
  readonly attempt: number;
  readonly token: number;
  readonly #parts: QueueParts;
  readonly #place: { readonly queue: string; readonly taker: string };
  readonly #visibleMs: number;
  readonly #expiry: Expiry;

  constructor(
    parts: QueueParts,
    place: { readonly queue: string; readonly taker: string },
    { id, item, attempt, token }: GivenJob,
    { visibleMs, askedMs }: { readonly visibleMs: number; readonly askedMs: number },
  ) {
    this.id = id;
    this.item = itemIn<T>(id, item);
    this.attempt = attempt;
    this.token = token;
    this.#parts = parts;
    this.#place = place;
    this.#visibleMs = visibleMs;
    this.#expiry = new Expiry(parts.environment.clock, askedMs + usableMs(visibleMs), () => this.#lost());
  }

  get signal(): AbortSignal {
    return this.#expiry.signal;
  }

  async ack(options: CallOptions = {}): Promise<void> {
    const isDone = await this.#parts.queues().ack({ ...this.#self, token: this.token }, options);
    this.#expiry.end(isDone ? this.#settled() : this.#lost());
    if (!isDone) throw this.#lost();
  }

  async nack({ delayMs = 0, ...options }: CallOptions & { readonly delayMs?: number } = {}): Promise<void> {
    this.#expiry.end(this.#settled());
    await this.#parts.queues().nack({ ...this.#self, token: this.token, delayMs }, options);
  }

  async extend(options: CallOptions = {}): Promise<void> {
    const { environment, queues: api } = this.#parts;
    if (this.#expiry.isOver) throw this.#lost();
    const askedMs = environment.clock.nowMs();
    const renewed = await api().renew(this.#place, options);
    if (renewed?.job?.token === this.token) this.#expiry.extend(askedMs + usableMs(this.#visibleMs));
    else this.#expiry.end(this.#lost());
    if (this.#expiry.isOver) throw this.#lost();
  }

  /** As if it had never been taken: its client is closed. */
  async release(): Promise<void> {
    const { environment, queues: api } = this.#parts;
    this.#expiry.end(this.#settled());
    await letGo(environment, this.#visibleMs, (options) => api().leave(this.#place, options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#expiry.isOver) await this.nack();
  }

  get #self() {
    return { queue: this.#place.queue, id: this.id };
  }

  #settled(): ConclaveError {
    return new ConclaveError("RELEASED", `Job "${this.id}" was acknowledged or given back.`);
  }

  #lost(): ConclaveError {
    return new ConclaveError("LOST", `Job "${this.id}" was not acknowledged in time: others may have it.`);
  }
}

/** What `client.queue` gives. */
export class WorkQueue<T> implements Queue<T> {
  readonly #parts: QueueParts;
  readonly #name: string;
  readonly #options: Required<QueueOptions>;

  constructor(parts: QueueParts, name: string, options: QueueOptions) {
    const { visibleMs = 30_000, attemptsMax = 5, itemsMax = 100_000, bytesMax = 64 * 1024 * 1024 } = options;
    this.#parts = parts;
    this.#name = name;
    this.#options = { visibleMs, attemptsMax, itemsMax, bytesMax };
  }

  async push(item: T, { id = this.#parts.environment.random.id(), delayMs = 0, ...options }: PushOptions = {}) {
    const { itemsMax, bytesMax } = this.#options;
    const job = { queue: this.#name, id, item: bytesOf(item), delayMs, itemsMax, bytesMax };
    return bounded(this.#api.push(job, options));
  }

  async take({ signal }: { readonly signal?: AbortSignal } = {}): Promise<Job<T>> {
    const { environment, holdings } = this.#parts;
    const { visibleMs } = this.#options;
    const waiting = { environment, holdings, ttlMs: LINE_TTL_MS, heldMs: visibleMs, signal, isPatient: true };
    let taker = "";
    const granted = await getIn(waiting, (owner) => {
      taker = owner;
      return this.#placeOf(taker);
    });
    if (granted === null) throw new ConclaveError("LOST", `Nobody gave this client a job of "${this.#name}".`);
    const { got, askedMs } = granted;
    return holdings.keep(new TakenJob<T>(this.#parts, { queue: this.#name, taker }, got, { visibleMs, askedMs }));
  }

  jobs({ signal }: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<Job<T>> {
    const take = (ended: AbortSignal): Promise<Job<T>> => this.take({ signal: ended });
    return endable(signal, async function* (ended) {
      for (;;) yield await take(ended);
    });
  }

  async *dead(options: ReadOptions = {}): AsyncGenerator<DeadJob<T>, void, undefined> {
    for (let from: number | null = 0; from !== null; ) {
      const page = await this.#api.dead({ queue: this.#name, from, limit: DEAD_PAGE }, options);
      for (const letter of page.letters) yield { ...letter, item: itemIn<T>(letter.id, letter.item) };
      from = page.next;
    }
  }

  revive(id: string, options?: CallOptions): Promise<boolean> {
    return this.#api.revive({ queue: this.#name, id }, options);
  }

  discard(id: string, options?: CallOptions): Promise<boolean> {
    return this.#api.discard({ queue: this.#name, id }, options);
  }

  status(options?: ReadOptions): Promise<QueueStatus> {
    return this.#api.look(this.#name, options);
  }

  get #api(): ClientOf<typeof queues> {
    return this.#parts.queues();
  }

  #placeOf(taker: string): Place<GivenJob> {
    const place = { queue: this.#name, taker };
    const { visibleMs, attemptsMax } = this.#options;
    return {
      enter: async (options) => {
        const wish = { ...place, visibleMs, attemptsMax, ttlMs: LINE_TTL_MS, wait: true };
        const { job, revision } = await bounded(this.#api.take(wish, options));
        return { got: job, revision };
      },
      // The job itself is asked for: changes are kept for a while, and jobs may be large.
      told: async (fromRevision, signal) => {
        const topic = keyOf(this.#name, taker);
        for await (const _given of this.#api.changes({ topic, fromRevision, signal })) return { got: null };
        return null;
      },
      renew: async (options) => {
        const renewed = await this.#api.renew(place, options);
        return renewed && { got: renewed.job };
      },
      leave: (options) => this.#api.leave(place, options),
    };
  }
}

/** @throws ConclaveError `BAD_MESSAGE` if no client of ours has pushed it */
function itemIn<T>(id: string, bytes: Uint8Array): T {
  try {
    return decodeValue(bytes) as T;
  } catch (cause) {
    throw new ConclaveError("BAD_MESSAGE", `The item of job "${id}" makes no sense: ${messageOf(cause)}`, { cause });
  }
}

function bytesOf(item: unknown): Uint8Array {
  try {
    return encodeValue(item);
  } catch (cause) {
    throw invalid(`The item: ${messageOf(cause)}`, cause);
  }
}
