/** Counters: a key of the key-value store that is added to. */

import { ConclaveError } from "../../errors.ts";
import type { Client } from "../client.ts";
import type { CallOptions, ReadOptions } from "../options.ts";

/**
 * A number that everybody may add to: a safe integer.
 *
 * @example
 * ```ts
 * import type { Counter } from "conclave/client";
 *
 * const likes: Counter = client.counter("likes");
 * await likes.reset();
 * console.log(await likes.add(), await likes.add(5), await likes.get()); // 1 6 6
 * ```
 */
export interface Counter {
  /**
   * Adds, and tells what comes of it.
   *
   * @throws ConclaveError `NOT_A_NUMBER`; and as every call: after `UNKNOWN_OUTCOME` it may have been added
   */
  add(by?: number, options?: CallOptions): Promise<number>;
  /** 0 if nobody has added anything. Linearizable unless told otherwise. @throws ConclaveError `NOT_A_NUMBER` */
  get(options?: ReadOptions): Promise<number>;
  /** Begins anew, with 0 or another number. @throws as every call */
  reset(to?: number, options?: CallOptions): Promise<void>;
}

type Store = Pick<Client, "get" | "increment" | "put">;

export const counter = (store: Store, key: string): Counter => ({
  add: async (by, options) => (await store.increment(key, by, options)).value,
  get: async (options) => integerIn((await store.get(key, options))?.value ?? "0", key),
  reset: async (to = 0, options = {}) => void (await store.put(key, `${integerIn(`${to}`, key)}`, options)),
});

function integerIn(text: unknown, key: string): number {
  const value = typeof text === "string" && /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new ConclaveError("NOT_A_NUMBER", `"${key}" is no safe integer.`);
}
