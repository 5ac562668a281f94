/**
 * Locks, semaphores and elections as a machine: whoever asks gets in line, holds what is asked for as long as it lets know
 * of itself, and has a fencing token that only grows. Who says nothing for its time to live loses its hold, or its place in
 * line; it is the log that decides when, by a timer that the leader watches.
 */

import { type CommandContext, changesOf, machine, Rejection } from "../definition.ts";
import { checkNames, checkTtl, isWhole } from "./checks.ts";

/** What happens to a lock. */
export type LockChange =
  | { readonly type: "granted"; readonly owner: string; readonly token: number; readonly value: unknown }
  /** The holder has another value. */
  | { readonly type: "updated"; readonly owner: string; readonly token: number; readonly value: unknown }
  | { readonly type: "released" | "expired"; readonly owner: string; readonly token: number };

/** Who holds a lock. */
export interface Holder {
  /** Of the holder's choice, and another one for each time that somebody asks. */
  readonly owner: string;
  /** Larger than that of every hold of any lock before it. */
  readonly token: number;
  /** What the holder wants others to know. */
  readonly value: unknown;
}

interface Wish {
  readonly value: unknown;
  readonly ttlMs: number;
}

interface Lock {
  /** How many may hold it at once. */
  readonly permits: number;
  readonly holders: Map<string, Wish & { readonly token: number }>;
  /** In the order in which they came. */
  readonly waiting: Map<string, Wish>;
}

interface State {
  /** Those that somebody holds or waits for. */
  readonly locks: Map<string, Lock>;
}

type Context = CommandContext<LockChange>;

/** Whose hold, or place in line, of which lock. */
export interface Hold {
  readonly name: string;
  readonly owner: string;
}

const PERMITS_MAX = 1_000_000;
/** How many may be in line for one lock. */
const WAITING_MAX = 10_000;

/** The machine behind `client.lock`, `client.semaphore` and `client.elect`. */
export const locks = machine({
  name: "locks",
  version: 1,
  state: (): State => ({ locks: new Map() }),
  changes: changesOf<LockChange>({ countMax: 65_536 }),
  commands: {
    /** Gets in line, or is granted the lock at once: then there is a token. */
    acquire(
      state,
      wish: Hold & Wish & { readonly permits: number; readonly wait: boolean },
      context,
    ): { readonly token: number | null; readonly revision: number } {
      const { name, owner, value, ttlMs, permits, wait } = wish;
      checkWish(wish);
      const lock = state.locks.get(name) ?? newLock(state, name, permits);
      if (lock.permits !== permits) throw new Rejection("PERMITS_DIFFER", { permits: lock.permits });
      const isFree = lock.holders.size < permits && lock.waiting.size === 0;
      const known = lock.holders.get(owner);
      const { revision } = context;
      if (known !== undefined) {
        // It did not hear of it, and asks again: from here on it counts its time.
        setTimer({ name, owner }, known.ttlMs, context);
        return { token: known.token, revision };
      }
      if (isFree) return { token: grant(lock, { name, owner }, { value, ttlMs }, context), revision };
      if (!wait) return { token: null, revision };
      if (lock.waiting.size >= WAITING_MAX) throw new Rejection("TOO_MANY_WAIT", { waiting: lock.waiting.size });
      lock.waiting.set(owner, { value, ttlMs });
      setTimer({ name, owner }, ttlMs, context);
      return { token: null, revision };
    },

    /** Lets know that its owner lives: it has its whole time again. Null if it has nothing any more. */
    renew(state, { name, owner }: Hold, context): { readonly token: number | null } | null {
      const lock = state.locks.get(name);
      const held = lock?.holders.get(owner);
      const wish = held ?? lock?.waiting.get(owner);
      if (wish === undefined) return null;
      setTimer({ name, owner }, wish.ttlMs, context);
      return { token: held?.token ?? null };
    },

    /** Gives up a hold, or a place in line. False if there was none. */
    release: (state, hold: Hold, context) => leave(state, hold, "released", context),

    /** The holder has something else to tell. False if it holds the lock no more. */
    update(state, { name, owner, value }: Hold & { readonly value: unknown }, context) {
      const lock = state.locks.get(name);
      const held = lock?.holders.get(owner);
      if (lock === undefined || held === undefined) return false;
      const { token, ttlMs } = held;
      lock.holders.set(owner, { token, ttlMs, value });
      context.emit({ type: "updated", owner, token, value }, name);
      return true;
    },

    /** Its time has run out. Set as a timer; it does nothing to who has let know of itself since. */
    expire: (state, hold: Hold, context) => leave(state, hold, "expired", context),
  },
  queries: {
    /** Who holds a lock, how many wait for it, and from which revision on changes tell how that goes on. */
    look(state, name: string, { revision }) {
      const lock = state.locks.get(name);
      const holders = [...(lock?.holders ?? [])].map(([owner, { token, value }]): Holder => ({ owner, token, value }));
      return { holders, waiting: lock?.waiting.size ?? 0, revision };
    },
  },
});

function checkWish({ name, owner, ttlMs, permits }: Hold & { readonly ttlMs: number; readonly permits: number }): void {
  checkNames(name, owner);
  checkTtl(ttlMs);
  if (!isWhole(permits, 1, PERMITS_MAX)) throw new Rejection("INVALID_PERMITS");
}

function newLock(state: State, name: string, permits: number): Lock {
  state.locks.set(name, { permits, holders: new Map(), waiting: new Map() });
  const made = state.locks.get(name);
  if (made === undefined) throw new TypeError("a lock that was made is there");
  return made;
}

function grant(lock: Lock, { name, owner }: Hold, { value, ttlMs }: Wish, context: Context): number {
  const token = context.token();
  lock.holders.set(owner, { token, value, ttlMs });
  setTimer({ name, owner }, ttlMs, context);
  context.emit({ type: "granted", owner, token, value }, name);
  return token;
}

/** Takes somebody out, and lets those in for whom there is room then: whoever has waited longest first. */
function leave(state: State, { name, owner }: Hold, type: "released" | "expired", context: Context): boolean {
  const lock = state.locks.get(name);
  if (lock === undefined) return false;
  const held = lock.holders.get(owner);
  const wasThere = lock.holders.delete(owner) || lock.waiting.delete(owner);
  context.clearTimer(timerOf({ name, owner }));
  if (held !== undefined) context.emit({ type, owner, token: held.token }, name);
  for (const [next, wish] of lock.waiting) {
    if (lock.holders.size >= lock.permits) break;
    lock.waiting.delete(next);
    grant(lock, { name, owner: next }, wish, context);
  }
  if (lock.holders.size === 0 && lock.waiting.size === 0) state.locks.delete(name);
  return wasThere;
}

const timerOf = ({ name, owner }: Hold): string => `${owner} ${name}`;

const setTimer = (hold: Hold, ttlMs: number, context: Context): void =>
  context.setTimer(timerOf(hold), ttlMs, "expire", hold);
