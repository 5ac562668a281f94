/** What the machine of queues holds, and the steps that its commands are made of. */

import type { CommandContext } from "../definition.ts";
import { keyOf } from "./checks.ts";
import { newRecent, type Recent } from "./recent.ts";
import { append, newRow, type prepend, type Row, remove, shift } from "./row.ts";

/** Somebody who waits has been given a job. */
export interface QueueChange {
  readonly type: "given";
}

/** A job in the hands of the one who has taken it. */
export interface GivenJob {
  readonly id: string;
  readonly item: Uint8Array;
  /** 1 for who has it first. */
  readonly attempt: number;
  /** Larger than that of every job that was given before, and of this one before. */
  readonly token: number;
}

/** A job that was tried too often. */
export interface DeadLetter {
  readonly item: Uint8Array;
  readonly attempts: number;
  readonly place: number;
}

interface Job {
  readonly item: Uint8Array;
  attempts: number;
  taken: { readonly taker: string; readonly token: number } | null;
}

/** What somebody takes a job on. */
export interface Terms {
  /** It is to be acknowledged within this time. */
  readonly visibleMs: number;
  /** If this attempt fails, and is the last of so many, the job is a dead letter. */
  readonly attemptsMax: number;
  /** A place in line is lost if its owner is not heard of for so long. */
  readonly ttlMs: number;
}

/** Somebody who waits for a job, or has one. */
interface Taker extends Terms {
  /** In line. */
  readonly place: number | null;
  readonly job: string | null;
}

export interface Queue {
  readonly name: string;
  /** All but dead letters, by id. */
  readonly jobs: Map<string, Job>;
  /** Those that whoever comes next may take. */
  readonly ready: Row;
  readonly takers: Map<string, Taker>;
  readonly line: Row;
  readonly dead: Map<string, DeadLetter>;
  readonly deadRow: Row;
  bytes: number;
}

export interface State {
  /** Those that hold anything. */
  readonly queues: Map<string, Queue>;
  /** The jobs that were acknowledged last, by queue and id, with the token that they were acknowledged by. */
  readonly done: Recent;
}

type Context = CommandContext<QueueChange>;

/** A change of leader prolongs a delay by no more than this. */
const DELAY_STEP_MS = 30_000;
/** So many jobs are known after they were acknowledged. */
export const DONE_MAX = 10_000;

export const newState = (): State => ({ queues: new Map(), done: newRecent() });

export const bytesOf = (id: string, item: Uint8Array): number => id.length + item.byteLength;

const jobTimer = (queue: string, id: string): string => `job ${keyOf(queue, id)}`;
const takerTimer = (queue: string, taker: string): string => `taker ${keyOf(queue, taker)}`;

/** The queue of that name, which is there from now on. */
export function queueOf(state: State, name: string): Queue {
  const known = state.queues.get(name);
  if (known !== undefined) return known;
  const queue: Queue = {
    name,
    jobs: new Map(),
    ready: newRow(),
    takers: new Map(),
    line: newRow(),
    dead: new Map(),
    deadRow: newRow(),
    bytes: 0,
  };
  state.queues.set(name, queue);
  return queue;
}

/** A queue that holds nothing is forgotten. */
export function tidy(state: State, { name, jobs, takers, dead }: Queue): void {
  if (jobs.size + takers.size + dead.size === 0) state.queues.delete(name);
}

/** A job is visible to all: whoever has waited longest has it, or whoever comes next. */
export function show(queue: Queue, id: string, put: typeof append | typeof prepend, context: Context): void {
  const taker = shift(queue.line);
  if (taker === null) {
    put(queue.ready, id);
    return;
  }
  give(queue, taker, id, context);
  context.emit({ type: "given" }, keyOf(queue.name, taker));
}

/** A new leader gives a timer its full time again: a long delay is made of several. */
export function showLater(queue: Queue, id: string, delayMs: number, context: Context): void {
  if (delayMs <= 0) {
    show(queue, id, append, context);
    return;
  }
  const stepMs = Math.min(delayMs, DELAY_STEP_MS);
  const args = { queue: queue.name, id, leftMs: delayMs - stepMs };
  context.setTimer(jobTimer(queue.name, id), stepMs, "delayed", args);
}

/** @param taker one who has no job @param id of a job that nobody has */
export function give(queue: Queue, taker: string, id: string, context: Context): GivenJob | null {
  const [job, terms] = [queue.jobs.get(id), queue.takers.get(taker)];
  if (job === undefined || terms === undefined) return null;
  job.attempts++;
  job.taken = { taker, token: context.token() };
  queue.takers.set(taker, { ...terms, place: null, job: id });
  context.clearTimer(takerTimer(queue.name, taker));
  return refresh(queue, taker, context);
}

export function getInLine(queue: Queue, taker: string, terms: Terms, context: Context): void {
  queue.takers.set(taker, { ...terms, place: append(queue.line, taker), job: null });
  refresh(queue, taker, context);
}

/** Who has a job, or waits for one, has its whole time again. */
export function refresh(queue: Queue, taker: string, context: Context): GivenJob | null {
  const { name } = queue;
  const known = queue.takers.get(taker);
  const job = known?.job == null ? undefined : queue.jobs.get(known.job);
  if (known === undefined) return null;
  if (known.job === null || job?.taken == null) {
    context.setTimer(takerTimer(name, taker), known.ttlMs, "gone", { queue: name, taker });
    return null;
  }
  const { job: id, visibleMs } = known;
  const { token } = job.taken;
  context.setTimer(jobTimer(name, id), visibleMs, "late", { queue: name, id, token });
  return { id, item: job.item, attempt: job.attempts, token };
}

/** Who waits leaves the line; nothing happens to who has a job. */
export function leaveLine(queue: Queue, taker: string, context: Context): void {
  const place = queue.takers.get(taker)?.place ?? null;
  if (place === null) return;
  remove(queue.line, place);
  queue.takers.delete(taker);
  context.clearTimer(takerTimer(queue.name, taker));
}

/** A job is in nobody's hands any more. @returns what it had been taken on */
export function letGo(queue: Queue, id: string, context: Context): Terms | null {
  const job = queue.jobs.get(id);
  if (job?.taken == null) return null;
  const { taker } = job.taken;
  const terms = queue.takers.get(taker) ?? null;
  queue.takers.delete(taker);
  job.taken = null;
  context.clearTimer(jobTimer(queue.name, id));
  return terms;
}

/** The queue, if a job of it is in the hands of whoever has that token. */
export function queueWith(state: State, name: string, id: string, token: number): Queue | null {
  const queue = state.queues.get(name);
  return queue !== undefined && queue.jobs.get(id)?.taken?.token === token ? queue : null;
}

/** An attempt has failed: the job is visible again, or a dead letter. */
export function fail(queue: Queue, id: string, delayMs: number, context: Context): void {
  const terms = letGo(queue, id, context);
  const job = queue.jobs.get(id);
  if (terms === null || job === undefined) return;
  const { item, attempts } = job;
  if (attempts < terms.attemptsMax) {
    showLater(queue, id, delayMs, context);
    return;
  }
  queue.jobs.delete(id);
  queue.dead.set(id, { item, attempts, place: append(queue.deadRow, id) });
}

/** Takes out a dead letter. */
export function takeDead(queue: Queue | undefined, id: string): DeadLetter | null {
  const letter = queue?.dead.get(id);
  if (queue === undefined || letter === undefined) return null;
  queue.dead.delete(id);
  remove(queue.deadRow, letter.place);
  return letter;
}
