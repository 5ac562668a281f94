/** The package `keyv`: a store for it that is replicated, and whose values are gone when their time is over. */

import type { Client } from "../client/index.ts";
import { ConclaveError, hasCode } from "../errors.ts";
import { caches } from "../machine/recipes/caches.ts";

/**
 * What `keyvStore` takes.
 *
 * @example
 * ```ts
 * import Keyv from "keyv";
 * import { type KeyvStoreOptions, keyvStore } from "conclave/adapters";
 *
 * const options: KeyvStoreOptions = { space: "sessions" };
 * const sessions = new Keyv({ store: keyvStore(client, options), ttl: 60_000 });
 * ```
 */
export interface KeyvStoreOptions {
  /** Stores of different spaces share nothing. Default "keyv". */
  readonly space?: string;
}

type ErrorListener = (error: ConclaveError) => void;

/**
 * A store for Keyv: `new Keyv({ store: keyvStore(client) })`. Values are what Keyv makes of them, text; their time to live
 * is kept by the cluster.
 *
 * @example
 * ```ts
 * import { KeyvStore } from "conclave/adapters";
 *
 * const store = new KeyvStore(client, { space: "pages" });
 * await store.set("start", "<h1>hello</h1>", 60_000);
 * console.log(await store.get("start")); // <h1>hello</h1>
 * ```
 */
export class KeyvStore {
  readonly opts: Readonly<Record<string, unknown>>;
  /** Set by Keyv: what keys begin with. */
  namespace: string | undefined;
  readonly #client: Client;
  readonly #space: string;

  constructor(client: Client, { space = "keyv" }: KeyvStoreOptions = {}) {
    this.#client = client;
    this.#space = space;
    this.opts = { dialect: "conclave", url: "conclave:", space };
  }

  get #caches() {
    return this.#client.of(caches);
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    const [value] = await this.getMany<Value>([key]);
    return value;
  }

  /** All at one moment, unless they are too large for one message. */
  async getMany<Value>(keys: readonly string[]): Promise<(Value | undefined)[]> {
    try {
      const values = await this.#caches.get({ space: this.#space, keys });
      return values.map((value) => (value ?? undefined) as Value | undefined);
    } catch (error) {
      if (keys.length < 2 || !hasCode(error, "ANSWER_TOO_LARGE", "TOO_LARGE")) throw error;
      const half = Math.ceil(keys.length / 2);
      const first = await this.getMany<Value>(keys.slice(0, half));
      return [...first, ...(await this.getMany<Value>(keys.slice(half)))];
    }
  }

  async has(key: string): Promise<boolean> {
    return (await this.get(key)) !== undefined;
  }

  async hasMany(keys: readonly string[]): Promise<boolean[]> {
    return (await this.getMany(keys)).map((value) => value !== undefined);
  }

  async set(key: string, value: unknown, ttl?: number): Promise<boolean> {
    await this.setMany([ttl === undefined ? { key, value } : { key, value, ttl }]);
    return true;
  }

  async setMany(entries: readonly { key: string; value: unknown; ttl?: number | undefined }[]): Promise<void> {
    const given = entries.map(({ key, value, ttl }) => ({ key, value: String(value), ttlMs: ttlMsOf(ttl) }));
    await this.#caches.set({ space: this.#space, entries: given });
  }

  async delete(key: string): Promise<boolean> {
    return (await this.#caches.delete({ space: this.#space, keys: [key] })) > 0;
  }

  async deleteMany(keys: readonly string[]): Promise<boolean> {
    return (await this.#caches.delete({ space: this.#space, keys })) > 0;
  }

  /** Removes what is in Keyv's namespace, or everything if it has none. */
  async clear(): Promise<void> {
    await this.#caches.clear({ space: this.#space, prefix: this.#prefixOf(this.namespace) });
  }

  /** All keys of a namespace with their values. Keyv itself offers an iterator only over stores that it knows by name. */
  async *iterator<Value>(namespace?: string): AsyncGenerator<[string, Value], void, undefined> {
    const prefix = this.#prefixOf(namespace);
    for (let after = ""; ; ) {
      const page = await this.#caches.list({ space: this.#space, prefix, after });
      for (const { key, value } of page) yield [key, value as Value];
      const last = page.at(-1);
      if (last === undefined) return;
      after = last.key;
    }
  }

  /** Errors come from the calls themselves. */
  on(_event: "error", _listener: ErrorListener): this {
    return this;
  }

  #prefixOf(namespace: string | undefined): string {
    return namespace === undefined || namespace === "" ? "" : `${namespace}:`;
  }
}

/** Null for what stays: to Keyv, 0 says so as well. @throws ConclaveError `INVALID_ARGUMENT` */
function ttlMsOf(ttl: number | undefined): number | null {
  const ttlMs = ttl ?? 0;
  if (typeof ttlMs === "number" && ttlMs >= 0 && ttlMs <= Number.MAX_SAFE_INTEGER) return ttlMs === 0 ? null : ttlMs;
  throw new ConclaveError("INVALID_ARGUMENT", `A time to live is a number of milliseconds, not ${ttl}.`);
}

/**
 * A store for Keyv.
 *
 * @example
 * ```ts
 * import Keyv from "keyv";
 * import { keyvStore } from "conclave/adapters";
 *
 * const keyv = new Keyv({ store: keyvStore(client), ttl: 60_000 });
 * await keyv.set("user/7", { name: "ann" });
 * console.log(await keyv.get("user/7")); // { name: 'ann' }
 * ```
 */
export const keyvStore = (client: Client, options: KeyvStoreOptions = {}): KeyvStore => new KeyvStore(client, options);
