/**
 * What a log's files hold, as far as it has to be known while the log is open: how its records leave things, and where
 * in which segment entries are, to some 64 KiB.
 */

import type { EntryId, SegmentHeader, SegmentStart, StoredState } from "./wal-format.ts";

/** How far apart the places are from which reading may start. */
const MARK_EVERY_BYTES = 64 * 1024;

/** The frame at this place has this entry first. */
export interface Mark {
  readonly index: number;
  readonly segment: number;
  readonly offset: number;
}

/** Where the frames of a segment are. */
export interface Extent {
  readonly segment: number;
  readonly start: number;
  readonly end: number;
}

interface Segment {
  readonly number: number;
  readonly headerBytes: number;
  /** The index of the last entry before it. */
  readonly base: number;
  end: number;
}

export class LogContents {
  /** Ascending by index and by place. */
  #marks: Mark[] = [];
  /** The oldest first. */
  readonly #segments: Segment[] = [];
  /** Those that nothing needs any more, and that are still on the disk. */
  readonly #dropped: Segment[] = [];
  #nextFrame = 1;
  #last: EntryId = { index: 0, term: 0 };
  #state: StoredState | null = null;
  /** The last reset has made everything up to here void. */
  #void = 0;

  /** What the next segment has to begin with. */
  get start(): SegmentStart {
    return { firstFrame: this.#nextFrame, base: this.#last, state: this.#state };
  }

  get nextFrame(): number {
    return this.#nextFrame;
  }

  /** The newest segment; 0 if there is none yet. */
  get newest(): number {
    return this.#segments.at(-1)?.number ?? 0;
  }

  /** Where the next frame goes in the newest segment. */
  get end(): number {
    return this.#segments.at(-1)?.end ?? 0;
  }

  /** How much of the disk the log takes. */
  get bytes(): number {
    return bytesOf(this.#segments) + bytesOf(this.#dropped);
  }

  /** Of a segment that the log needs; null if it does not. */
  extentOf(segment: number): Extent | null {
    const found = this.#segments.find(({ number }) => number === segment);
    return found === undefined ? null : { segment, start: found.headerBytes, end: found.end };
  }

  /** The last place from which an entry is found if one reads on; null if it is before everything. */
  find(index: number): Mark | null {
    return this.#marks.findLast((mark) => mark.index <= index) ?? null;
  }

  /** Is this entry not in the log because it was removed, or made void by a reset? */
  isCompacted(index: number): boolean {
    return index <= Math.max(this.#void, this.#segments[0]?.base ?? 0) && this.find(index) === null;
  }

  /** About how many bytes of log lie behind an entry; a frame's worth too many rather than too few. */
  bytesBehind(index: number): number {
    if (index >= this.#last.index) return 0;
    const from = this.find(index);
    if (from === null) return bytesOf(this.#segments);
    return bytesOf(this.#segments.filter(({ number }) => number >= from.segment)) - from.offset;
  }

  beginSegment({ segment, firstFrame, base, state }: SegmentHeader, headerBytes: number): void {
    this.#segments.push({ number: segment, headerBytes, base: base.index, end: headerBytes });
    this.#nextFrame = firstFrame;
    this.#last = base;
    this.#state = state;
  }

  /** Takes a record of the frame at `offset` in the newest segment. */
  reset(to: EntryId): void {
    this.#marks = [];
    this.#void = to.index;
    this.#last = to;
  }

  entry({ index, term }: EntryId, offset: number): void {
    this.#mark(index, offset);
    this.#last = { index, term };
  }

  state(state: StoredState): void {
    this.#state = state;
  }

  /** All records of a frame were taken. */
  endFrame(end: number): void {
    const newest = this.#segments.at(-1);
    if (newest !== undefined) newest.end = end;
    this.#nextFrame++;
  }

  /**
   * Forgets the oldest segments as long as nothing valid in them is behind an entry; the newest stays. Where a segment
   * begins, whatever was before at a higher index than the last entry is void.
   */
  drop(through: number): void {
    const needed = this.#segments.findIndex(
      (_, i) => (this.#segments[i + 1]?.base ?? Number.POSITIVE_INFINITY) > through,
    );
    this.#dropped.push(...this.#segments.splice(0, needed));
    const oldest = this.#segments[0]?.number ?? 0;
    this.#marks = this.#marks.filter(({ segment }) => segment >= oldest);
  }

  /** The oldest segment that was dropped and is still on the disk; null if there is none. */
  get dropped(): number | null {
    return this.#dropped[0]?.number ?? null;
  }

  /** The oldest that was dropped is gone. */
  forgetDropped(): void {
    this.#dropped.shift();
  }

  #mark(index: number, offset: number): void {
    while ((this.#marks.at(-1)?.index ?? 0) >= index) this.#marks.pop();
    const last = this.#marks.at(-1);
    const segment = this.newest;
    if (last === undefined || last.segment !== segment || offset - last.offset >= MARK_EVERY_BYTES) {
      this.#marks.push({ index, segment, offset });
    }
  }
}

const bytesOf = (segments: readonly Segment[]): number => segments.reduce((sum, { end }) => sum + end, 0);
