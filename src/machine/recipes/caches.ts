/** Values that may have a time to live, in spaces of their own: what adapters of stores need. */

import { type CommandContext, machine, Rejection } from "../definition.ts";

interface State {
  /** By space, and within it by key, in the order in which they were first set. */
  readonly spaces: Map<string, Map<string, string>>;
}

/** Where a value stands. */
interface Place {
  readonly space: string;
  readonly key: string;
}

export interface CacheEntry {
  readonly key: string;
  readonly value: string;
  /** It is gone after so long; null if it stays. */
  readonly ttlMs: number | null;
}

/** How many entries a page has at most, and how many units of text, of up to 3 bytes, unless it is a single one. */
const PAGE_MAX = 1_000;
const PAGE_LENGTH_MAX = 512 * 1024;
/** How long a key, or the name of a space, may be. */
const KEY_LENGTH_MAX = 1_024;

const timerOf = ({ space, key }: Place): string => JSON.stringify([space, key]);

function remove(state: State, place: Place, context: CommandContext): boolean {
  const values = state.spaces.get(place.space);
  const wasThere = values?.delete(place.key) === true;
  if (values?.size === 0) state.spaces.delete(place.space);
  if (wasThere) context.clearTimer(timerOf(place));
  return wasThere;
}

/** The machine behind `keyvStore`. */
export const caches = machine({
  name: "caches",
  version: 1,
  state: (): State => ({ spaces: new Map() }),
  commands: {
    /** Sets values, all or none of them; each has its whole time to live from here on. */
    set(state, { space, entries }: { readonly space: string; readonly entries: readonly CacheEntry[] }, context) {
      for (const { key, value, ttlMs } of entries) {
        if (space.length > KEY_LENGTH_MAX || key.length > KEY_LENGTH_MAX) throw new Rejection("KEY_TOO_LONG");
        if (typeof value !== "string") throw new Rejection("INVALID_VALUE");
        if (!state.spaces.has(space)) state.spaces.set(space, new Map());
        state.spaces.get(space)?.set(key, value);
        if (ttlMs === null) context.clearTimer(timerOf({ space, key }));
        else context.setTimer(timerOf({ space, key }), ttlMs, "expire", { space, key });
      }
    },

    /** How many of them were there. */
    delete(state, { space, keys }: { readonly space: string; readonly keys: readonly string[] }, context): number {
      return keys.filter((key) => remove(state, { space, key }, context)).length;
    },

    /** Removes everything whose key begins with a prefix. */
    clear(state, { space, prefix }: { readonly space: string; readonly prefix: string }, context): number {
      const keys = [...(state.spaces.get(space)?.keys() ?? [])].filter((key) => key.startsWith(prefix));
      return keys.filter((key) => remove(state, { space, key }, context)).length;
    },

    /** Its time is over. Set as a timer. */
    expire: (state, place: Place, context) => remove(state, place, context),
  },
  queries: {
    /** The values of some keys; null for those that are not there. */
    get: (state, { space, keys }: { readonly space: string; readonly keys: readonly string[] }) =>
      keys.map((key) => state.spaces.get(space)?.get(key) ?? null),

    /** Some of the keys with a prefix, with their values, in order; the next page begins after the last of them. */
    list(state, { space, prefix, after }: { readonly space: string; readonly prefix: string; readonly after: string }) {
      const keys = [...(state.spaces.get(space)?.keys() ?? [])].filter((key) => key.startsWith(prefix) && key > after);
      const page: { readonly key: string; readonly value: string }[] = [];
      let length = 0;
      for (const key of keys.sort().slice(0, PAGE_MAX)) {
        const value = state.spaces.get(space)?.get(key) ?? "";
        length += key.length + value.length;
        if (page.length > 0 && length > PAGE_LENGTH_MAX) break;
        page.push({ key, value });
      }
      return page;
    },
  },
});
