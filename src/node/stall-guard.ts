/**
 * Notices when the event loop was held up: by a long computation, a collection of garbage, or a machine that stood still.
 * A timer that fires late tells; so does a look at when it should have, before it could.
 */

import type { Clock, Timer } from "../environment.ts";

/** What a stalled node has to tell. */
export interface StallStory {
  readonly event: "stalled";
  /** How long it was held up: the longest since the last story. */
  readonly lagMs: number;
  /** How often that happened since. */
  readonly count: number;
}

export interface StallGuardOptions {
  readonly clock: Clock;
  /** How often to look. Whoever is late by more than this was held up. */
  readonly everyMs: number;
  /** What is as long as this is told. */
  readonly worthTellingMs: number;
  tell(story: StallStory): void;
}

/** A node that is stalled again and again has better things to do than to write about it. */
const STORY_EVERY_MS = 10_000;
/** The lag that is shown is the longest of this time, or of the time before if it has only begun. */
const PERIOD_MS = 10_000;

export class StallGuard {
  readonly #options: StallGuardOptions;
  #timer: Timer | null = null;
  #dueMs = Number.POSITIVE_INFINITY;
  #isNews = false;
  #lastStallMs = 0;
  #untold = { lagMs: 0, count: 0 };
  #toldMs = Number.NEGATIVE_INFINITY;
  #period = { startMs: 0, lagMs: 0, lagBeforeMs: 0 };

  constructor(options: StallGuardOptions) {
    this.#options = options;
  }

  start(): void {
    this.#period.startMs = this.#options.clock.nowMs();
    this.#setTimer();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#dueMs = Number.POSITIVE_INFINITY;
  }

  /** How late the event loop was of late, at worst. */
  get lagMs(): number {
    this.#look();
    return Math.max(this.#period.lagMs, this.#period.lagBeforeMs);
  }

  /** How long the last stall took, however long ago it was. */
  get lastStallMs(): number {
    return this.#lastStallMs;
  }

  /** Was the event loop held up since this was last asked? Then what others sent meanwhile may not have been read yet. */
  wasHeldUp(): boolean {
    this.#look();
    const isNews = this.#isNews;
    this.#isNews = false;
    return isNews;
  }

  #setTimer(): void {
    const { clock, everyMs } = this.#options;
    this.#dueMs = clock.nowMs() + everyMs;
    this.#timer = clock.setTimer(everyMs, () => {
      this.#look();
      this.#setTimer();
    });
  }

  #look(): void {
    const { clock, everyMs } = this.#options;
    const nowMs = clock.nowMs();
    const lagMs = nowMs - this.#dueMs;
    if (nowMs - this.#period.startMs >= PERIOD_MS) {
      const isLongAgo = nowMs - this.#period.startMs >= 2 * PERIOD_MS;
      this.#period = { startMs: nowMs, lagMs: 0, lagBeforeMs: isLongAgo ? 0 : this.#period.lagMs };
    }
    this.#period.lagMs = Math.max(this.#period.lagMs, lagMs);
    if (lagMs <= everyMs) return;
    this.#dueMs = nowMs + everyMs; // Each stall counts once, though its timer is still to fire.
    this.#isNews = true;
    this.#lastStallMs = lagMs;
    this.#tell(lagMs, nowMs);
  }

  #tell(lagMs: number, nowMs: number): void {
    const { worthTellingMs, tell } = this.#options;
    if (lagMs < worthTellingMs) return;
    this.#untold = { lagMs: Math.max(this.#untold.lagMs, lagMs), count: this.#untold.count + 1 };
    if (nowMs - this.#toldMs < STORY_EVERY_MS) return;
    tell({ event: "stalled", lagMs: Math.round(this.#untold.lagMs), count: this.#untold.count });
    this.#toldMs = nowMs;
    this.#untold = { lagMs: 0, count: 0 };
  }
}
