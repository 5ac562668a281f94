/**
 * Rate limits as a machine: a bucket for each key, which each call fills by its cost, and which empties evenly with time
 * (a leaky bucket as a meter). The time is that of the log's entries, which never goes back, and is the same on all
 * replicas. A bucket that is empty again is like one that never was: so what is kept is what was asked for lately.
 */

import { type CommandContext, machine, Rejection } from "../definition.ts";
import { checkNames, full, isWhole, NAME_LENGTH_MAX } from "./checks.ts";

/** What a call was told. */
interface Answer {
  readonly allowed: boolean;
  /** What further calls may cost, at this moment. */
  readonly remaining: number;
  readonly retryAfterMs: number;
}

interface Bucket {
  /** What was in it at that time: costs, times `perMs`, so that all are whole numbers. */
  readonly level: number;
  readonly atMs: number;
}

interface Limiter {
  readonly limit: number;
  readonly perMs: number;
  /** Those that were filled since the others are no more in use. */
  young: Map<string, Bucket>;
  /** All of these are empty at `oldUntilMs`: then they are forgotten at once, and the young ones are the old. */
  old: Map<string, Bucket>;
  youngUntilMs: number;
  oldUntilMs: number;
}

interface State {
  /** By numbers and name: other numbers are another limit. */
  readonly limiters: Map<string, Limiter>;
  /** How many buckets there are. */
  buckets: number;
}

interface Take {
  readonly name: string;
  readonly limit: number;
  readonly perMs: number;
  readonly key: string;
  readonly cost: number;
}

const LIMITERS_MAX = 1_000;
const BUCKETS_MAX = 200_000;
const LIMIT_MAX = 1_000_000_000;
const PER_MS_MAX = 366 * 24 * 60 * 60 * 1_000;
/** What a bucket may hold, and another call's cost, are to be exact. */
const LEVEL_MAX = 2 ** 52;
/** No sooner is it looked for what can be forgotten of a limit that nobody asks for. */
const FORGET_MS_MIN = 10_000;
/** When to ask again where there was no room. */
const FULL_RETRY_MS = 1_000;

/** The machine behind `client.rateLimiter`. */
export const rateLimits = machine({
  name: "rate-limits",
  version: 1,
  state: (): State => ({ limiters: new Map(), buckets: 0 }),
  commands: {
    /** Fills a bucket by the cost of a call, if it does not overflow then. */
    take(state, { name, limit, perMs, key, cost }: Take, context): Answer {
      checkNames(name);
      checkTake(limit, perMs, key, cost);
      const id = `${limit}/${perMs} ${name}`;
      const { timeMs: nowMs } = context;
      const present = state.limiters.get(id);
      if (present !== undefined) forget(state, present, nowMs);
      const known = present?.young.get(key) ?? present?.old.get(key);
      // What was restored may come from a cluster that was ahead.
      const level = known === undefined ? 0 : Math.max(0, known.level - Math.max(0, nowMs - known.atMs) * limit);
      const filled = level + cost * perMs;
      const isAllowed = filled <= limit * perMs;
      const remaining = Math.floor((limit * perMs - (isAllowed ? filled : level)) / perMs);
      if (!isAllowed) return { allowed: false, remaining, retryAfterMs: Math.ceil((filled - limit * perMs) / limit) };
      if (cost === 0) return { allowed: true, remaining, retryAfterMs: 0 };
      // One limit leaves as much room as it takes. Where there is none it refuses keys that it does not know.
      const count = present === undefined ? 0 : present.young.size + present.old.size;
      if (known === undefined && count >= BUCKETS_MAX - state.buckets) {
        return { allowed: false, remaining: 0, retryAfterMs: FULL_RETRY_MS };
      }
      const limiter = present ?? newLimiter(state, limit, perMs, id, context);
      if (known === undefined) state.buckets++;
      limiter.old.delete(key);
      limiter.young.set(key, { level: filled, atMs: nowMs });
      limiter.youngUntilMs = Math.max(limiter.youngUntilMs, nowMs + Math.ceil(filled / limit));
      return { allowed: true, remaining, retryAfterMs: 0 };
    },

    /** Nobody may ask any more. Set as a timer. */
    forget(state, id: string, context): void {
      const limiter = state.limiters.get(id);
      if (limiter === undefined) return;
      forget(state, limiter, context.timeMs);
      if (limiter.young.size + limiter.old.size === 0) state.limiters.delete(id);
      else forgetLater(limiter, id, context);
    },
  },
  queries: {
    /** How many limits and buckets are kept. */
    look: ({ limiters, buckets }) => ({ limiters: limiters.size, buckets }),
  },
});

function checkTake(limit: unknown, perMs: unknown, key: unknown, cost: unknown): void {
  if (typeof key !== "string" || key.length > NAME_LENGTH_MAX) {
    throw new Rejection("INVALID_NAME", { lengthMax: NAME_LENGTH_MAX });
  }
  const isRate = isWhole(limit, 1, LIMIT_MAX) && isWhole(perMs, 1, PER_MS_MAX) && limit * perMs <= LEVEL_MAX;
  if (!isRate) throw new Rejection("INVALID_RATE", { limitMax: LIMIT_MAX, perMsMax: PER_MS_MAX });
  if (!isWhole(cost, 0, limit)) throw new Rejection("INVALID_COST", { most: limit });
}

function newLimiter(state: State, limit: number, perMs: number, id: string, context: CommandContext): Limiter {
  if (state.limiters.size >= LIMITERS_MAX) throw full("rate limits", { limits: LIMITERS_MAX });
  const limiter = { limit, perMs, young: new Map(), old: new Map(), youngUntilMs: 0, oldUntilMs: 0 };
  state.limiters.set(id, limiter);
  forgetLater(limiter, id, context);
  return limiter;
}

const forgetLater = ({ perMs }: Limiter, id: string, context: CommandContext): void =>
  context.setTimer(id, Math.max(perMs, FORGET_MS_MIN), "forget", id);

/** Forgets the buckets that are empty by now, all of a generation at once: nobody has to look for them. */
function forget(state: State, limiter: Limiter, nowMs: number): void {
  for (let generation = 0; generation < 2 && nowMs >= limiter.oldUntilMs; generation++) {
    if (limiter.young.size + limiter.old.size === 0) return;
    state.buckets -= limiter.old.size;
    limiter.old = limiter.young;
    limiter.oldUntilMs = limiter.youngUntilMs;
    limiter.young = new Map();
    limiter.youngUntilMs = 0;
  }
}
