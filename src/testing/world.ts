/**
 * A world in one process: a clock that jumps from event to event. Everything else in this folder is something that
 * happens in it.
 */

import type { Timer } from "../environment.ts";

/** Whatever an event happens to. Nothing happens to the dead; a stalled one finds it all waiting when it goes on. */
export interface Owner {
  readonly name: string;
  readonly isAlive: boolean;
  readonly stalledUntilMs: number;
  /** Called before each thing that happens to it. */
  beforeTurn?(): void;
}

/**
 * What happens, in a word, for traces.
 *
 * @example
 * ```ts
 * import { simulate, type What } from "conclave/testing";
 *
 * const counts = new Map<What, number>();
 * await simulate({
 *   seed: 42,
 *   events: 500,
 *   trace: ({ event }) => event.type === "event" && counts.set(event.what, (counts.get(event.what) ?? 0) + 1),
 * });
 * ```
 */
export type What = "timer" | "turn" | "message" | "connection" | "disk" | "fault" | "work";

interface Happening {
  atMs: number;
  /** Of two at the same moment, the one that was planned first comes first. */
  readonly order: number;
  readonly what: What;
  readonly owner: Owner | null;
  run: (() => void) | null;
}

/** Called after every event, once the promises that it settled have run their course. */
export type Watch = (subject: Owner | null, what: What) => void;

/**
 * So many steps of promises may follow from one event before the next one. What takes more steps is overtaken, as if it
 * had waited for something: stricter than any real event loop, and the same on all of them.
 */
const TURNS_PER_EVENT = 8;

export class World {
  nowMs = 0;
  /** How many events there have been. */
  events = 0;
  /** To whom the present event happens, if it happens to anyone. */
  subject: Owner | null = null;
  #order = 0;
  /** A binary heap, the next happening first. */
  readonly #heap: Happening[] = [];
  readonly #watch: Watch;

  constructor(watch: Watch = () => {}) {
    this.#watch = watch;
  }

  /** Plans an event. */
  at(delayMs: number, what: What, owner: Owner | null, run: () => void): Timer {
    const happening: Happening = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, what, owner, run };
    this.#push(happening);
    return {
      cancel: () => {
        happening.run = null;
      },
    };
  }

  /** What happens now, happens to this one. */
  happensTo(owner: Owner | null): void {
    this.subject = owner;
    owner?.beforeTurn?.();
  }

  /** Lets the world go on until it is this late, or `isOver`, which is asked after every event. */
  async run(untilMs: number, isOver: () => boolean = () => false): Promise<void> {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= untilMs; next = this.#heap[0]) {
      this.#pop();
      const { owner, run } = next;
      if (run === null || owner?.isAlive === false) continue;
      if (owner !== null && owner.stalledUntilMs > next.atMs) {
        next.atMs = owner.stalledUntilMs;
        this.#push(next);
        continue;
      }
      this.nowMs = next.atMs;
      this.events++;
      next.run = null;
      this.happensTo(owner);
      run();
      for (let turn = 0; turn < TURNS_PER_EVENT; turn++) await null;
      this.#watch(this.subject, next.what);
      if (isOver()) return;
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  #push(happening: Happening): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(happening);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(happening, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = happening;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      let below = heap[child];
      if (below === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, below)) {
        child++;
        below = right;
      }
      if (!isBefore(below, last)) break;
      heap[i] = below;
      i = child;
    }
    heap[i] = last;
  }
}

const isBefore = (a: Happening, b: Happening): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
