/**
 * The leader's watch over the timers of state machines. It only proposes: what comes of a timer that has run out is for
 * the log to say, and nothing does if it was set anew or cleared meanwhile. A new leader gives each its full time again.
 */

import { Alarm } from "../alarm.ts";
import type { Clock } from "../environment.ts";
import type { FiredTimer } from "../machine/commands.ts";
import type { MachineTimer, Replica, TimeKeeper } from "../machine/index.ts";

/** One entry tells of at most so many. */
const FIRED_PER_ENTRY_MAX = 1_000;
/** What was proposed and has not come true by then is proposed again: the core may have had no place for it. */
const AGAIN_MS = 1_000;
/** Timers that run out at about the same time share an entry. */
const TOGETHER_MS = 5;

interface Running extends FiredTimer {
  readonly atMs: number;
}

export class LeaderTimekeeper implements TimeKeeper {
  readonly #clock: Clock;
  readonly #replica: Replica;
  readonly #alarm: Alarm;
  /**
   * Those that were given the same time, by that time, and within it the one that was set first at first: so the first
   * of each is the next to run out, and there are few times that are given.
   */
  readonly #byDelay = new Map<number, Map<string, Running>>();
  readonly #delays = new Map<string, number>();
  #isLeader = false;

  /** @param ring brings about a call of `due` in a turn of the node */
  constructor(clock: Clock, replica: Replica, ring: () => void) {
    this.#clock = clock;
    this.#replica = replica;
    this.#alarm = new Alarm(clock, ring);
  }

  /** This node leads from now on, or does not any more. */
  lead(isLeader: boolean): void {
    this.#isLeader = isLeader;
    this.startOver();
  }

  set({ id, generation, delayMs }: MachineTimer): void {
    if (this.#isLeader) this.#run(id, generation, delayMs);
  }

  clear(id: string): void {
    const delayMs = this.#delays.get(id);
    if (delayMs === undefined) return;
    this.#delays.delete(id);
    const others = this.#byDelay.get(delayMs);
    others?.delete(id);
    if (others?.size === 0) this.#byDelay.delete(delayMs);
  }

  startOver(): void {
    this.#byDelay.clear();
    this.#delays.clear();
    this.#alarm.cancel();
    if (this.#isLeader) for (const timer of this.#replica.timers()) this.set(timer);
  }

  /** Those that have run out, to be proposed. */
  due(): FiredTimer[] {
    const due: FiredTimer[] = [];
    const nowMs = this.#clock.nowMs();
    for (const timers of this.#byDelay.values()) {
      for (const { id, generation, atMs } of timers.values()) {
        if (atMs > nowMs || due.length === FIRED_PER_ENTRY_MAX) break;
        due.push({ id, generation });
      }
    }
    for (const { id, generation } of due) this.#run(id, generation, AGAIN_MS);
    let nextMs = Number.POSITIVE_INFINITY;
    for (const timers of this.#byDelay.values()) {
      for (const { atMs } of timers.values()) {
        nextMs = Math.min(nextMs, atMs);
        break;
      }
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#alarm.setFor(Math.max(nextMs, nowMs + TOGETHER_MS));
    return due;
  }

  stop(): void {
    this.#isLeader = false;
    this.#alarm.cancel();
  }

  #run(id: string, generation: number, delayMs: number): void {
    this.clear(id);
    const atMs = this.#clock.nowMs() + delayMs;
    const others = this.#byDelay.get(delayMs) ?? new Map<string, Running>();
    this.#byDelay.set(delayMs, others.set(id, { id, generation, atMs }));
    this.#delays.set(id, delayMs);
    this.#alarm.setFor(atMs);
  }
}
