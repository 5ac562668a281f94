/** Settings: keys of the key-value store with a prefix, as values of their own types, and watched as a whole. */

import type { ClientEnvironment } from "../../environment.ts";
import { messageOf } from "../../errors.ts";
import { LIST_LIMIT_MAX, type Value } from "../../machine/key-value-protocol.ts";
import type { Client } from "../client.ts";
import { endable } from "../endable.ts";
import { invalid } from "../failures.ts";
import type { CallOptions, ReadOptions } from "../options.ts";
import { follow, readAll } from "./follow.ts";

/**
 * What a watch of settings tells: all that are set, in place of what was told before; or one change.
 *
 * @example
 * ```ts
 * import type { SettingsChange } from "conclave/client";
 *
 * const inWords = <T>(change: SettingsChange<T>): string =>
 *   change.type === "current" ? `all of ${Object.keys(change.values)}` : `${change.key} is ${change.type}`;
 * const ui = client.settings<{ theme: string }>("ui/");
 * await ui.set("theme", "dark");
 * for await (const change of ui.watch()) {
 *   console.log(inWords(change)); // all of theme
 *   break;
 * }
 * ```
 */
export type SettingsChange<T> =
  | { readonly type: "current"; readonly values: Partial<T> }
  | { [K in keyof T & string]: { readonly type: "set"; readonly key: K; readonly value: T[K] } }[keyof T & string]
  | { readonly type: "deleted"; readonly key: keyof T & string };

/**
 * Values by their names. They are kept as JSON, in keys of the prefix and the name; what is no JSON is taken as the text,
 * or the bytes, that it is.
 *
 * @example
 * ```ts
 * import type { Settings } from "conclave/client";
 *
 * const limits: Settings<{ uploadBytes: number }> = client.settings("limits/");
 * await limits.set("uploadBytes", 1_048_576);
 * console.log(await limits.get("uploadBytes")); // 1048576
 * ```
 */
export interface Settings<T> {
  /** Null if it is not set. Linearizable unless told otherwise. */
  get<K extends keyof T & string>(name: K, options?: ReadOptions): Promise<T[K] | null>;
  /** @throws ConclaveError `INVALID_ARGUMENT` if it can't be JSON; and as every call */
  set<K extends keyof T & string>(name: K, value: T[K], options?: CallOptions): Promise<void>;
  /** False if it was not set. @throws as every call */
  delete(name: keyof T & string, options?: CallOptions): Promise<boolean>;
  /** All that are set. @throws as every read */
  all(options?: ReadOptions): Promise<Partial<T>>;
  /**
   * All that are set first, and then every change, in order. Where changes were missed, since the cluster keeps them no
   * more, all come anew. It goes on until the loop is left, or fails with `ABORTED` or `CLOSED`.
   */
  watch(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<SettingsChange<T>>;
}

type Store = Pick<Client, "delete" | "get" | "list" | "put" | "watch">;

export function settings<T>(store: Store, environment: ClientEnvironment, prefix: string): Settings<T> {
  const page = (after: string, options: ReadOptions) =>
    store.list(prefix, { ...options, after, limit: LIST_LIMIT_MAX });
  const nameOf = (key: string): string => key.slice(prefix.length);
  const valuesOf = (entries: readonly { readonly key: string; readonly value: Value }[]): Partial<T> =>
    Object.fromEntries(entries.map(({ key, value }) => [nameOf(key), parsed(value)])) as Partial<T>;
  return {
    get: async (name, options) => {
      const entry = await store.get(prefix + name, options);
      return entry && (parsed(entry.value) as never);
    },
    set: async (name, value, options) => void (await store.put(prefix + name, written(name, value), options)),
    delete: async (name, options) => (await store.delete(prefix + name, options)).existed,
    all: async (options = {}) => valuesOf((await readAll((after) => page(after, options))).entries),
    watch: ({ signal } = {}) =>
      endable(signal, async function* (ended): AsyncGenerator<SettingsChange<T>, void, undefined> {
        const changes = async function* (fromRevision: number) {
          for await (const change of store.watch(prefix, { fromRevision, signal: ended })) {
            yield { revision: change.revision, change };
          }
        };
        for await (const step of follow({ environment, page: (after) => page(after, { signal: ended }), changes })) {
          if (step.type === "current") yield { type: "current", values: valuesOf(step.entries) };
          else {
            const { change } = step;
            const key = nameOf(change.key) as keyof T & string;
            if (change.type === "delete") yield { type: "deleted", key };
            else yield { type: "set", key, value: parsed(change.value) } as SettingsChange<T>;
          }
        }
      }),
  };
}

function parsed(value: Value): unknown {
  try {
    return typeof value === "string" ? JSON.parse(value) : value;
  } catch {
    return value;
  }
}

function written(name: string, value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw invalid(`${name}: ${messageOf(cause)}`, cause);
  }
  if (text === undefined) throw invalid(`${name}: a ${typeof value} can't be JSON.`);
  return text;
}
