/** What one segment of the log holds, and where it ceases to make sense. Looks only: what to do about it is others' business. */

import { decodeSegmentHeader, type FrameAt, frameAt, laterFrameAfter, SEGMENT_HEADER_BYTES } from "./wal-format.ts";

/** Where a segment stands among the others. */
export interface SegmentPlace {
  readonly segment: number;
  /** The number of the frame that has to come first; null in the oldest segment, which says so itself. */
  readonly firstFrame: number | null;
  /** Only the newest may end in what a crash has torn. */
  readonly isNewest: boolean;
}

/** What was found in the bytes of a segment. */
export type SegmentFound =
  | {
      readonly type: "frames";
      /** Those that are sound, up to the first that is not. */
      readonly frames: readonly FrameAt[];
      /** The number of the frame that comes next. */
      readonly nextFrame: number;
      /** Where the last sound frame ends. */
      readonly end: number;
      /** What follows it. */
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
  const { segment, firstFrame, isNewest } = place;
  const header = decodeSegmentHeader(salt, bytes);
  if (header?.segment !== segment || (firstFrame !== null && header.firstFrame !== firstFrame)) {
    if (isNewest && bytes.byteLength <= SEGMENT_HEADER_BYTES) return { type: "unborn" };
    return { type: "foreign", damage: "its header is damaged, or it is from another log" };
  }
  const frames: FrameAt[] = [];
  let nextFrame = header.firstFrame;
  let end = SEGMENT_HEADER_BYTES;
  for (let found = frameAt(salt, bytes, end); found?.frame === nextFrame; found = frameAt(salt, bytes, end)) {
    frames.push(found);
    nextFrame++;
    end = found.end;
  }
  const restBytes = bytes.byteLength - end;
  const isDamaged = restBytes > 0 && (!isNewest || laterFrameAfter(salt, bytes, end, nextFrame));
  const damage = isDamaged ? "its checksum does not match, and intact records follow" : null;
  return { type: "frames", frames, nextFrame, end, restBytes, damage };
}
