/**
 * Leases as a machine: a lease is there as long as its owner lets know of itself, and keys hang on it, which are gone when
 * it is. It is the log that decides when, by a timer that the leader watches. Services and their instances are such keys.
 */

import { type CommandContext, changesOf, machine, Rejection } from "../definition.ts";
import { encodeValue } from "../value-codec.ts";
import { checkNames, checkTtl, full, isWhole } from "./checks.ts";

/** What happens to a key. */
export type LeaseChange =
  | ({ readonly type: "put" } & LeasedEntry)
  /** By its owner, or since its lease was given up; or since its lease has run out. */
  | { readonly type: "deleted" | "expired"; readonly key: string; readonly token: number };

/**
 * A key that hangs on a lease.
 *
 * @example
 * ```ts
 * import type { LeasedEntry } from "conclave/client";
 *
 * const inWords = ({ key, value, token }: LeasedEntry): string => `${key} is ${value}, by lease ${token}`;
 * for (const entry of await client.leased.list("workers/")) console.log(inWords(entry));
 * ```
 */
export interface LeasedEntry {
  readonly key: string;
  readonly value: unknown;
  /** That of the lease: larger than that of every lease before it. */
  readonly token: number;
}

interface Lease {
  readonly token: number;
  readonly ttlMs: number;
  readonly keys: Set<string>;
}

interface Leased {
  readonly value: unknown;
  readonly token: number;
  readonly owner: string;
  /** Who has put it, if that goes on from lease to lease. */
  readonly author: string;
  /** What it counts for. */
  readonly bytes: number;
}

type Group = Map<string, Leased>;

interface State {
  readonly leases: Map<string, Lease>;
  /** The keys by their first segment: who wants to know of one service need not look through all. */
  readonly groups: Map<string, Group>;
  bytes: number;
}

type Context = CommandContext<LeaseChange>;

/** Whose lease. */
interface Owned {
  /** Of the owner's choice, and another one for each lease. */
  readonly owner: string;
}

/** What is put on a lease. */
interface Given extends Owned {
  readonly key: string;
  readonly value: unknown;
  /** Whoever goes on with another lease when one is lost has the same name on each. */
  readonly author?: string;
  /** Only if it is not there, or the author's own. */
  readonly isFree?: boolean;
}

/** How many leases there may be at once, and how many keys may hang on one. */
const LEASES_MAX = 100_000;
const KEYS_MAX = 1_000;
const VALUE_BYTES_MAX = 64 * 1024;
/** What all keys and values may take. */
const BYTES_MAX = 16 * 1024 * 1024;
const PAGE_MAX = 1_000;
const PAGE_BYTES_MAX = 1024 * 1024;

/** The machine behind `client.lease`, `client.leased` and `client.register`. */
export const leases = machine({
  name: "leases",
  version: 1,
  state: (): State => ({ leases: new Map(), groups: new Map(), bytes: 0 }),
  changes: changesOf<LeaseChange>({ countMax: 65_536 }),
  commands: {
    /** A new lease; or that which the owner has already, for its whole time again. */
    grant(state, { owner, ttlMs }: Owned & { readonly ttlMs: number }, context): { readonly token: number } {
      checkNames(owner);
      checkTtl(ttlMs);
      const known = state.leases.get(owner);
      if (known === undefined && state.leases.size >= LEASES_MAX) throw full("leases", { leases: LEASES_MAX });
      const lease = known ?? { token: context.token(), ttlMs, keys: new Set<string>() };
      if (known === undefined) state.leases.set(owner, lease);
      setTimer(owner, lease, context);
      return { token: lease.token };
    },

    /** Lets know that its owner lives; answers how many keys hang on the lease. Null if it is no more. */
    renew(state, { owner }: Owned, context): { readonly keys: number } | null {
      const lease = state.leases.get(owner);
      if (lease === undefined) return null;
      setTimer(owner, lease, context);
      return { keys: lease.keys.size };
    },

    /** Gives a lease up, and every key on it. False if there was none. */
    revoke: (state, owned: Owned, context) => end(state, owned, "deleted", context),

    /**
     * Sets a key, which hangs on this lease from now on, be it another one's before. False if the lease is no more. A key
     * of a later lease is refused.
     */
    put(state, { owner, key, value, author = owner, isFree = false }: Given, context): boolean {
      checkNames(key, author);
      const lease = state.leases.get(owner);
      if (lease === undefined) return false;
      const { token } = lease;
      const name = groupOf(key);
      const before = state.groups.get(name)?.get(key);
      const isTaken = before !== undefined && (before.token > token || (isFree && before.author !== author));
      if (isTaken) throw new Rejection("TAKEN", { token: before.token }, "Another lease has put this key.");
      const valueBytes = encodeValue(value).byteLength;
      if (valueBytes > VALUE_BYTES_MAX) throw new Rejection("TOO_LARGE", { bytes: valueBytes, most: VALUE_BYTES_MAX });
      const bytes = key.length + valueBytes;
      if (!lease.keys.has(key) && lease.keys.size >= KEYS_MAX) throw full("keys of one lease", { keys: KEYS_MAX });
      if (state.bytes + bytes > BYTES_MAX) throw full("leased keys", { bytes: BYTES_MAX });
      if (before !== undefined) forget(state, key, before);
      const group = state.groups.get(name) ?? newGroup(state, name);
      group.set(key, { value, token, owner, author, bytes });
      lease.keys.add(key);
      state.bytes += bytes;
      context.emit({ type: "put", key, value, token }, name);
      return true;
    },

    /** Removes a key that hangs on this lease. False if it does not. */
    delete(state, { owner, key }: Owned & { readonly key: string }, context): boolean {
      const leased = state.groups.get(groupOf(key))?.get(key);
      if (leased?.owner !== owner) return false;
      forget(state, key, leased);
      context.emit({ type: "deleted", key, token: leased.token }, groupOf(key));
      return true;
    },

    /** Its time has run out. Set as a timer. */
    expire: (state, owned: Owned, context) => end(state, owned, "expired", context),
  },
  queries: {
    get(state, key: string): LeasedEntry | null {
      const leased = state.groups.get(groupOf(key))?.get(key);
      return leased === undefined ? null : { key, value: leased.value, token: leased.token };
    },

    /** Keys with a prefix that come after one, in order, and from which revision on changes tell how they go on. */
    list(
      state,
      { prefix, after, limit = PAGE_MAX }: { readonly prefix: string; readonly after: string; readonly limit?: number },
      { revision },
    ): { readonly entries: readonly LeasedEntry[]; readonly more: boolean; readonly revision: number } {
      if (!isWhole(limit, 1, PAGE_MAX)) throw new Rejection("INVALID_LIMIT", { most: PAGE_MAX });
      const found: [string, Group][] = [];
      for (const group of groupsWith(state, prefix)) {
        for (const key of group.keys()) if (key.startsWith(prefix) && key > after) found.push([key, group]);
      }
      found.sort(([a], [b]) => (a < b ? -1 : 1));
      const entries: LeasedEntry[] = [];
      let bytes = 0;
      for (const [key, group] of found) {
        const leased = group.get(key);
        if (leased === undefined || entries.length === limit || bytes > PAGE_BYTES_MAX) break;
        entries.push({ key, value: leased.value, token: leased.token });
        bytes += leased.bytes;
      }
      return { entries, more: entries.length < found.length, revision };
    },
  },
});

/** The first segment of a key, its slash included: the topic of its changes. */
export function groupOf(key: string): string {
  const end = key.indexOf("/");
  return end < 0 ? key : key.slice(0, end + 1);
}

function* groupsWith(state: State, prefix: string): Generator<Group> {
  if (prefix.includes("/")) {
    const group = state.groups.get(groupOf(prefix));
    if (group !== undefined) yield group;
    return;
  }
  for (const [name, group] of state.groups) if (name.startsWith(prefix)) yield group;
}

function newGroup(state: State, name: string): Group {
  const group: Group = new Map();
  state.groups.set(name, group);
  return group;
}

/** Takes a key out, and off its lease. */
function forget(state: State, key: string, { owner, bytes }: Leased): void {
  const name = groupOf(key);
  const group = state.groups.get(name);
  group?.delete(key);
  if (group?.size === 0) state.groups.delete(name);
  state.leases.get(owner)?.keys.delete(key);
  state.bytes -= bytes;
}

function end(state: State, { owner }: Owned, type: "deleted" | "expired", context: Context): boolean {
  const lease = state.leases.get(owner);
  if (lease === undefined) return false;
  for (const key of [...lease.keys]) {
    const leased = state.groups.get(groupOf(key))?.get(key);
    if (leased === undefined) continue;
    forget(state, key, leased);
    context.emit({ type, key, token: lease.token }, groupOf(key));
  }
  state.leases.delete(owner);
  context.clearTimer(owner);
  return true;
}

const setTimer = (owner: string, { ttlMs }: Lease, context: Context): void =>
  context.setTimer(owner, ttlMs, "expire", { owner });
