/**
 * Work queues as a machine: a job that is taken is nobody else's for a time, and visible to others again if it is not
 * acknowledged by then; after so many attempts it is a dead letter. It is the log that decides, by timers that the leader
 * watches. Who finds no job gets in line.
 */

import { changesOf, machine, Rejection } from "../definition.ts";
import { checkNames, checkTtl, full, isIn, isWhole, keyOf } from "./checks.ts";
import {
  bytesOf,
  DONE_MAX,
  fail,
  type GivenJob,
  getInLine,
  give,
  leaveLine,
  letGo,
  newState,
  type QueueChange,
  queueOf,
  queueWith,
  refresh,
  show,
  showLater,
  type Terms,
  takeDead,
  tidy,
} from "./queue-state.ts";
import { remember } from "./recent.ts";
import { append, prepend, shift } from "./row.ts";

/** Who has taken a job, or waits for one. */
interface OfTaker {
  readonly queue: string;
  /** Of the taker's choice, and another one for each job. */
  readonly taker: string;
}

interface OfJob {
  readonly queue: string;
  /** Of the choice of the one who adds it: whoever adds it again, not having been answered, adds nothing. */
  readonly id: string;
}

interface Push extends OfJob {
  readonly item: Uint8Array;
  readonly delayMs: number;
  /** What the queue may hold, dead letters included. */
  readonly itemsMax: number;
  readonly bytesMax: number;
}

/** By whom it was taken. */
interface Taken extends OfJob {
  readonly token: number;
}

const ITEM_BYTES_MAX = 1024 * 1024;
const ITEMS_MAX = 10_000_000;
const BYTES_MAX = 4 * 1024 * 1024 * 1024;
const ATTEMPTS_MAX = 1_000_000;
const DELAY_MS_MAX = 366 * 24 * 60 * 60 * 1_000;
/** How many may be in line for one queue. */
const WAITING_MAX = 10_000;
const PAGE_MAX = 1_000;
const PAGE_BYTES_MAX = 1024 * 1024;

/** The machine behind `client.queue`. */
export const queues = machine({
  name: "queues",
  version: 1,
  state: newState,
  changes: changesOf<QueueChange>({ countMax: 65_536 }),
  commands: {
    /** Adds a job. False if one of that id is there, or was acknowledged not long ago. */
    push(state, { queue: name, id, item, delayMs, itemsMax, bytesMax }: Push, context): boolean {
      checkNames(name, id);
      checkItem(item);
      checkDelay(delayMs);
      if (!isWhole(itemsMax, 1, ITEMS_MAX)) throw new Rejection("INVALID_BOUND", { itemsMax: ITEMS_MAX });
      if (!isWhole(bytesMax, 1, BYTES_MAX)) throw new Rejection("INVALID_BOUND", { bytesMax: BYTES_MAX });
      const known = state.queues.get(name);
      if (known?.jobs.has(id) || known?.dead.has(id) || state.done.tokens.has(keyOf(name, id))) return false;
      const queue = known ?? queueOf(state, name);
      const items = queue.jobs.size + queue.dead.size;
      const bytes = queue.bytes + bytesOf(id, item);
      if (items >= itemsMax || bytes > bytesMax) {
        throw full("jobs", { items, bytes: queue.bytes, dead: queue.dead.size });
      }
      queue.jobs.set(id, { item, attempts: 0, taken: null });
      queue.bytes = bytes;
      showLater(queue, id, delayMs, context);
      return true;
    },

    /** Takes the job that has waited longest; or gets in line, if there is none and it is to wait. */
    take(
      state,
      { queue: name, taker, wait, visibleMs, attemptsMax, ttlMs }: OfTaker & Terms & { readonly wait: boolean },
      context,
    ): { readonly job: GivenJob | null; readonly revision: number } {
      checkNames(name, taker);
      const terms = { visibleMs, attemptsMax, ttlMs };
      checkTerms(terms);
      const { revision } = context;
      const queue = queueOf(state, name);
      // It did not hear of it, and asks again: from here on it counts its time.
      if (queue.takers.has(taker)) return { job: refresh(queue, taker, context), revision };
      const id = shift(queue.ready);
      if (id !== null) {
        queue.takers.set(taker, { ...terms, place: null, job: null });
        return { job: give(queue, taker, id, context), revision };
      }
      if (wait && queue.line.at.size >= WAITING_MAX) throw full("who wait", { waiting: WAITING_MAX });
      if (wait) getInLine(queue, taker, terms, context);
      tidy(state, queue);
      return { job: null, revision };
    },

    /** Lets know that a taker lives: it has its whole time again, for its place in line or its job. Null if it has none. */
    renew(state, { queue: name, taker }: OfTaker, context): { readonly job: GivenJob | null } | null {
      const queue = state.queues.get(name);
      return queue?.takers.has(taker) === true ? { job: refresh(queue, taker, context) } : null;
    },

    /** Gives up a place in line, or a job as if it had never been taken. False if there was neither. */
    leave(state, { queue: name, taker }: OfTaker, context): boolean {
      const queue = state.queues.get(name);
      const known = queue?.takers.get(taker);
      if (queue === undefined || known === undefined) return false;
      const job = known.job === null ? undefined : queue.jobs.get(known.job);
      if (known.job !== null && job !== undefined) {
        letGo(queue, known.job, context);
        job.attempts--;
        show(queue, known.job, prepend, context);
      } else leaveLine(queue, taker, context);
      tidy(state, queue);
      return true;
    },

    /** The job is done. False if it is in other hands, or was done by others. */
    ack(state, { queue: name, id, token }: Taken, context): boolean {
      const queue = queueWith(state, name, id, token);
      // Who was not answered asks again.
      if (queue === null) return state.done.tokens.get(keyOf(name, id)) === token;
      letGo(queue, id, context);
      const item = queue.jobs.get(id)?.item;
      if (item !== undefined) queue.bytes -= bytesOf(id, item);
      queue.jobs.delete(id);
      remember(state.done, keyOf(name, id), token, DONE_MAX);
      tidy(state, queue);
      return true;
    },

    /** The attempt has failed. False if the job is in other hands. */
    nack(state, { queue: name, id, token, delayMs }: Taken & { readonly delayMs: number }, context): boolean {
      checkDelay(delayMs);
      const queue = queueWith(state, name, id, token);
      if (queue !== null) fail(queue, id, delayMs, context);
      return queue !== null;
    },

    /** A dead letter is a job again, as if it were new. False if there is none of that id. */
    revive(state, { queue: name, id }: OfJob, context): boolean {
      const queue = state.queues.get(name);
      const letter = takeDead(queue, id);
      if (queue === undefined || letter === null) return false;
      queue.jobs.set(id, { item: letter.item, attempts: 0, taken: null });
      show(queue, id, append, context);
      return true;
    },

    /** Removes a dead letter. False if there is none of that id. */
    discard(state, { queue: name, id }: OfJob): boolean {
      const queue = state.queues.get(name);
      const letter = takeDead(queue, id);
      if (queue === undefined || letter === null) return false;
      queue.bytes -= bytesOf(id, letter.item);
      tidy(state, queue);
      return true;
    },

    /** A delay is over, or a part of it. Set as a timer. */
    delayed(state, { queue: name, id, leftMs }: OfJob & { readonly leftMs: number }, context): void {
      const queue = state.queues.get(name);
      if (queue !== undefined) showLater(queue, id, leftMs, context);
    },

    /** It was not acknowledged in time. Set as a timer. */
    late(state, { queue: name, id, token }: Taken, context): void {
      const queue = queueWith(state, name, id, token);
      if (queue !== null) fail(queue, id, 0, context);
    },

    /** A place in line is lost. Set as a timer. */
    gone(state, { queue: name, taker }: OfTaker, context): void {
      const queue = state.queues.get(name);
      if (queue === undefined) return;
      leaveLine(queue, taker, context);
      tidy(state, queue);
    },
  },
  queries: {
    /** How many jobs there are of each kind, how many wait for one, and what the jobs take. */
    look(state, name: string) {
      const queue = state.queues.get(name);
      const ready = queue?.ready.at.size ?? 0;
      const waiting = queue?.line.at.size ?? 0;
      const taken = (queue?.takers.size ?? 0) - waiting;
      const delayed = (queue?.jobs.size ?? 0) - ready - taken;
      return { ready, delayed, taken, dead: queue?.dead.size ?? 0, waiting, bytes: queue?.bytes ?? 0 };
    },

    /** Dead letters, in the order in which they came to be such, from a place on, and where those after them are. */
    dead(
      state,
      { queue: name, from, limit }: { readonly queue: string; readonly from: number; readonly limit: number },
    ) {
      if (!isWhole(limit, 1, PAGE_MAX)) throw new Rejection("INVALID_LIMIT", { most: PAGE_MAX });
      const queue = state.queues.get(name);
      const letters: { readonly id: string; readonly item: Uint8Array; readonly attempts: number }[] = [];
      const { first, next } = queue?.deadRow ?? { first: 0, next: 0 };
      let place = Math.max(first, from);
      for (let bytes = 0; place < next && letters.length < limit && bytes < PAGE_BYTES_MAX; place++) {
        const id = queue?.deadRow.at.get(place);
        const letter = id === undefined ? undefined : queue?.dead.get(id);
        if (id === undefined || letter === undefined) continue;
        letters.push({ id, item: letter.item, attempts: letter.attempts });
        bytes += letter.item.byteLength;
      }
      return { letters, next: place < next ? place : null };
    },
  },
});

function checkItem(item: unknown): void {
  if (!(item instanceof Uint8Array)) throw new Rejection("INVALID_ITEM");
  const { byteLength } = item;
  if (byteLength <= ITEM_BYTES_MAX) return;
  throw new Rejection(
    "TOO_LARGE",
    { most: ITEM_BYTES_MAX },
    `The item has ${byteLength} bytes, of at most ${ITEM_BYTES_MAX}.`,
  );
}

function checkDelay(delayMs: unknown): void {
  if (!isIn(delayMs, 0, DELAY_MS_MAX)) throw new Rejection("INVALID_DELAY", { most: DELAY_MS_MAX });
}

function checkTerms({ visibleMs, attemptsMax, ttlMs }: Terms): void {
  checkTtl(visibleMs);
  checkTtl(ttlMs);
  if (!isWhole(attemptsMax, 1, ATTEMPTS_MAX)) throw new Rejection("INVALID_ATTEMPTS", { most: ATTEMPTS_MAX });
}
