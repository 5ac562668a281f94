/**
 * How fast a queue empties, and so how much may wait in it. What was not seen is not believed: a new queue takes little,
 * several times as much as it was once rid of in no time, and in the end what its pace says.
 */

/** What each item costs beside its bytes, in what it takes of a turn and of a frame. */
const ITEM_COST_BYTES = 1_024;
/** Who empties the queue may take all of it at once: a pace can't be told from less time than this. */
const WINDOW_MS = 100;
/** So much is taken before anything is known. */
const FIRST_BYTES = 1024 * 1024;
/** What took less than a window may be as much as this many times over the next time. */
const GROWTH = 4;

export class Pressure {
  readonly #waitMsMax: number;
  #backlogBytes = 0;
  /** What was done since the window began. */
  #doneBytes = 0;
  #windowMs = 0;
  /** Bytes in a millisecond, while something waited for a whole window; null before that was seen. */
  #pace: number | null = null;
  /** The most that was done within a window, and left nothing. */
  #sprintBytes = 0;

  /** @param waitMsMax how long what waits may have to */
  constructor(waitMsMax: number) {
    this.#waitMsMax = waitMsMax;
  }

  added(bytes: number, nowMs: number): void {
    if (this.#backlogBytes === 0) this.#startWindow(nowMs);
    else this.#judge(nowMs);
    this.#backlogBytes += bytes + ITEM_COST_BYTES;
  }

  /** It was waited for, and is over. */
  done(bytes: number, nowMs: number): void {
    this.#doneBytes += bytes + ITEM_COST_BYTES;
    this.#backlogBytes -= bytes + ITEM_COST_BYTES;
    if (this.#backlogBytes > 0) return; // More may be done in this very turn.
    if (nowMs - this.#windowMs < WINDOW_MS) this.#sprintBytes = Math.max(this.#sprintBytes, this.#doneBytes);
    this.#judge(nowMs);
    this.#startWindow(nowMs); // Idle time is nobody's pace.
  }

  /** It is waited for no more, and was not done. */
  gone(bytes: number): void {
    this.#backlogBytes -= bytes + ITEM_COST_BYTES;
  }

  /** Would what is added now be done in time, as far as that is known? */
  hasRoom(nowMs: number): boolean {
    this.#judge(nowMs);
    const atPace = this.#pace === null ? FIRST_BYTES : this.#pace * this.#waitMsMax;
    return this.#backlogBytes < Math.max(atPace, GROWTH * this.#sprintBytes);
  }

  /** How long what is added now would wait for what is there; 0 if that is not known. */
  waitMs(nowMs: number): number {
    this.#judge(nowMs);
    return this.#pace === null ? 0 : this.#backlogBytes / this.#pace;
  }

  /** A better pace counts at once, a worse one by half: one long write does not yet make a slow disk. */
  #judge(nowMs: number): void {
    const tookMs = nowMs - this.#windowMs;
    if (tookMs < WINDOW_MS || this.#doneBytes === 0) return;
    const pace = this.#doneBytes / tookMs;
    this.#pace = this.#pace === null || pace > this.#pace ? pace : (this.#pace + pace) / 2;
    this.#sprintBytes = Math.min(this.#sprintBytes, this.#pace * WINDOW_MS);
    this.#startWindow(nowMs);
  }

  #startWindow(nowMs: number): void {
    this.#windowMs = nowMs;
    this.#doneBytes = 0;
  }
}
