/** What one segment of the log holds, and where it ceases to make sense. Looks only: what to do about it is others' business. */

import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  type FrameAt,
  frameAt,
  laterFrameAfter,
  type SegmentHeader,
  type SegmentStart,
} from "./wal-format.ts";

/** Where a segment stands among the others. */
export interface SegmentPlace {
  readonly segment: number;
  /** How things stand behind the segment before; null if there is none, and the segment alone says so. */
  readonly start: SegmentStart | null;
  /** Only the newest may end in what a crash has torn. */
  readonly isNewest: boolean;
}

/** What was found in the bytes of a segment. */
export type SegmentFound =
  | {
      readonly type: "frames";
      readonly header: SegmentHeader;
      readonly headerBytes: number;
      /** Those that are sound, up to the first that is not. */
      readonly frames: readonly FrameAt[];
      /** The number of the frame that comes next. */
      readonly nextFrame: number;
      /** Where the last sound frame ends. */
      readonly end: number;
      /** What follows it, but for the zeros at the end: they are room for frames that never came. */
      readonly restBytes: number;
      /** A crash can't have left the rest so; null if it is a write that was cut short, which nobody was promised. */
      readonly damage: string | null;
    }
  /** A crash came while the segment was being made; nothing was ever written to it. */
  | { readonly type: "unborn" }
  | { readonly type: "foreign"; readonly damage: string };

const SEGMENT_NAME = /^wal-(\d{10})\.log$/;

/** The name of a segment's file. */
export const segmentName = (segment: number): string => `wal-${String(segment).padStart(10, "0")}.log`;

/** The numbers of the segments among the files of a folder, in the order of the names. */
export const segmentsAmong = (names: readonly string[]): number[] =>
  names.flatMap((name) => SEGMENT_NAME.exec(name)?.[1] ?? []).map(Number);

/** The first segment that is missing between others; null if none is. */
export function missingSegment(segments: readonly number[]): number | null {
  const before = segments.find((segment, i) => i + 1 < segments.length && segments[i + 1] !== segment + 1);
  return before === undefined ? null : before + 1;
}

/** Looks through the bytes of a segment. */
export function findFrames(salt: number, bytes: Uint8Array, place: SegmentPlace): SegmentFound {
  const found = decodeSegmentHeader(salt, bytes);
  if (found === null) {
    if (isUnborn(salt, bytes, place)) return { type: "unborn" };
    return { type: "foreign", damage: "its header is damaged, or it is from another log" };
  }
  const { header, end: headerBytes } = found;
  if (header.segment !== place.segment || (place.start !== null && !isSame(header, place.start))) {
    return { type: "foreign", damage: "it does not go on where the segment before it ends" };
  }
  const frames: FrameAt[] = [];
  let nextFrame = header.firstFrame;
  let end = headerBytes;
  for (let frame = frameAt(salt, bytes, end); frame?.frame === nextFrame; frame = frameAt(salt, bytes, end)) {
    frames.push(frame);
    nextFrame++;
    end = frame.end;
  }
  const restBytes = lengthWithoutZeros(bytes, end) - end;
  const isDamaged = restBytes > 0 && (!place.isNewest || laterFrameAfter(salt, bytes, end, nextFrame));
  const damage = isDamaged ? "its checksum does not match, and intact records follow" : null;
  return { type: "frames", header, headerBytes, frames, nextFrame, end, restBytes, damage };
}

function lengthWithoutZeros(bytes: Uint8Array, from: number): number {
  let length = bytes.byteLength;
  while (length > from && bytes[length - 1] === 0) length--;
  return length;
}

/** How a log begins. */
const NOTHING: SegmentStart = { firstFrame: 1, base: { index: 0, term: 0 }, state: null };

/**
 * Can a crash have left a segment so while it was being made? Then it holds no more than a header, since nothing is
 * written to it, and nothing older is removed, before that is durable.
 */
function isUnborn(salt: number, bytes: Uint8Array, { segment, start, isNewest }: SegmentPlace): boolean {
  if (!isNewest || (start === null && segment !== 1)) return false;
  return bytes.byteLength <= encodeSegmentHeader(salt, { segment, ...(start ?? NOTHING) }).byteLength;
}

const isSame = (a: SegmentStart, b: SegmentStart): boolean =>
  a.firstFrame === b.firstFrame &&
  a.base.index === b.base.index &&
  a.base.term === b.base.term &&
  a.state?.term === b.state?.term &&
  a.state?.vote === b.state?.vote &&
  a.state?.commitIndex === b.state?.commitIndex;
