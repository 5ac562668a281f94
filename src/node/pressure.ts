/**
 * How fast a queue empties, and so how long what is added to it now would wait. The pace is learned only while
 * something waits: a queue that is empty most of the time says nothing of how much it could take.
 */

/** What each item costs beside its bytes: about what a small entry takes of a disk and of a turn. */
const ITEM_COST_BYTES = 4_096;
/** So long the queue is watched before its pace is judged. */
const WINDOW_MS = 100;

export class Pressure {
  #backlogBytes = 0;
  /** What was done since the window began. */
  #doneBytes = 0;
  #windowMs = 0;
  /** Bytes in a millisecond; null before anything was seen to wait and to be done. */
  #pace: number | null = null;

  added(bytes: number, nowMs: number): void {
    if (this.#backlogBytes === 0) this.#startWindow(nowMs);
    this.#backlogBytes += bytes + ITEM_COST_BYTES;
  }

  /** It was waited for, and is over. */
  done(bytes: number, nowMs: number): void {
    this.#doneBytes += bytes + ITEM_COST_BYTES;
    this.#backlogBytes -= bytes + ITEM_COST_BYTES;
    if (this.#backlogBytes > 0) this.#judge(nowMs);
    // Whoever had nothing left to do could have done more: that shows only the least that it can.
    else this.#pace = Math.max(this.#pace ?? 0, this.#doneBytes / Math.max(1, nowMs - this.#windowMs));
  }

  /** It is waited for no more, and was not done. */
  gone(bytes: number): void {
    this.#backlogBytes -= bytes + ITEM_COST_BYTES;
  }

  /** How long what is added now would wait for what is there, as far as that is known. */
  waitMs(nowMs: number): number {
    if (this.#backlogBytes > 0) this.#judge(nowMs);
    return this.#pace === null ? 0 : this.#backlogBytes / this.#pace;
  }

  /**
   * A better pace counts at once, or a queue that was slow for a while would take too little to show that it is fast again;
   * a worse one by half. Where nothing was done at all the age of what waits tells more.
   */
  #judge(nowMs: number): void {
    const tookMs = nowMs - this.#windowMs;
    if (tookMs < WINDOW_MS) return;
    const pace = this.#doneBytes / tookMs;
    if (pace > 0) this.#pace = this.#pace === null || pace > this.#pace ? pace : (this.#pace + pace) / 2;
    this.#startWindow(nowMs);
  }

  #startWindow(nowMs: number): void {
    this.#windowMs = nowMs;
    this.#doneBytes = 0;
  }
}
