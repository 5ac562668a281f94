/**
 * The bytes of the log files. A segment is a header and frames; a frame is one atomic write, and the next one is not
 * written before it is durable, so a crash can tear the last frame and no other.
 *
 *     segment header                      frame header
 *     0   8 bytes  "CONCLAVE"             0   u32  CRC of the header's other fields
 *     8   u32      version of the format  4   u32  length of the body
 *     12  u53      number of the segment  8   u32  CRC of the body
 *     20  u53      number of its first    12  u53  number of the frame; each is one more than the last,
 *                  frame                           across segments
 *     28  u32      CRC of the above
 *
 * The checksums are salted with the identity of the replica: bytes that a user stored, even if they are a copy of some
 * log, can't pass for frames of this one.
 */

import { crc32 } from "node:zlib";
import { ByteReader, ByteWriter } from "../bytes.ts";

const FORMAT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = 32;
export const FRAME_HEADER_BYTES = 20;
const MAGIC = new TextEncoder().encode("CONCLAVE");

export interface StoredEntry {
  readonly index: number;
  readonly term: number;
  readonly kind: number;
  readonly payload: Uint8Array;
}

export interface StoredState {
  readonly term: number;
  readonly vote: string | null;
  readonly commitIndex: number;
}

/** One atomic addition: the entries, then the state, which may speak of them. */
export interface Batch {
  readonly entries: readonly StoredEntry[];
  readonly state: StoredState | null;
}

/** What takes a log's records, in the order in which they were written. */
export interface Replay {
  entry(entry: StoredEntry): void;
  state(state: StoredState): void;
}

const RecordKind = { entry: 1, state: 2 } as const;

export function encodeSegmentHeader(salt: number, segment: number, firstFrame: number): Uint8Array {
  const header = new ByteWriter(SEGMENT_HEADER_BYTES).raw(MAGIC).u32(FORMAT_VERSION).u53(segment).u53(firstFrame);
  const fields = header.finish();
  return new ByteWriter(SEGMENT_HEADER_BYTES).raw(fields).u32(crc32(fields, salt)).finish();
}

/** `null` if the bytes are not the header of a segment of this log. */
export function decodeSegmentHeader(salt: number, bytes: Uint8Array): { segment: number; firstFrame: number } | null {
  if (bytes.byteLength < SEGMENT_HEADER_BYTES) return null;
  const fields = bytes.subarray(0, SEGMENT_HEADER_BYTES - 4);
  const reader = new ByteReader(bytes.subarray(MAGIC.length));
  const version = reader.u32();
  const [low, high] = [reader.raw(8), reader.raw(8)];
  if (MAGIC.some((byte, i) => bytes[i] !== byte) || version !== FORMAT_VERSION) return null;
  if (reader.u32() !== crc32(fields, salt)) return null;
  return { segment: new ByteReader(low).u53(), firstFrame: new ByteReader(high).u53() };
}

export function encodeFrame(salt: number, frame: number, batches: readonly Batch[]): Uint8Array {
  const body = new ByteWriter(1024);
  for (const { entries, state } of batches) {
    for (const { index, term, kind, payload } of entries) {
      body.u8(RecordKind.entry).u8(kind).u53(index).u53(term).bytes(payload);
    }
    if (state === null) continue;
    body.u8(RecordKind.state).u53(state.term).u53(state.commitIndex);
    body.u8(state.vote === null ? 0 : 1).text(state.vote ?? "");
  }
  const bodyBytes = body.finish();
  const fields = new ByteWriter(FRAME_HEADER_BYTES).u32(bodyBytes.byteLength).u32(crc32(bodyBytes, salt)).u53(frame);
  const fieldBytes = fields.finish();
  return new ByteWriter(FRAME_HEADER_BYTES + bodyBytes.byteLength)
    .u32(crc32(fieldBytes, salt))
    .raw(fieldBytes)
    .raw(bodyBytes)
    .finish();
}

/** A frame within a segment: where it starts, and its body. */
export interface FrameAt {
  readonly frame: number;
  readonly offset: number;
  readonly body: Uint8Array;
  /** Where the next one starts. */
  readonly end: number;
}

/** Reads the frame header at `offset`; null if there is none. */
function headerAt(
  salt: number,
  bytes: Uint8Array,
  offset: number,
): { frame: number; length: number; crc: number } | null {
  if (offset + FRAME_HEADER_BYTES > bytes.byteLength) return null;
  const fields = bytes.subarray(offset + 4, offset + FRAME_HEADER_BYTES);
  const reader = new ByteReader(bytes.subarray(offset, offset + FRAME_HEADER_BYTES));
  if (reader.u32() !== crc32(fields, salt)) return null;
  const length = reader.u32();
  const crc = reader.u32();
  return { length, crc, frame: reader.u53() };
}

/** How many bytes of a frame are missing after `offset`, if its header is whole and its body is not. */
export function missingBytes(salt: number, bytes: Uint8Array, offset: number): number {
  const header = headerAt(salt, bytes, offset);
  return header === null ? 0 : Math.max(0, offset + FRAME_HEADER_BYTES + header.length - bytes.byteLength);
}

/** The frame at `offset`; null if it is not whole, or damaged. */
export function frameAt(salt: number, bytes: Uint8Array, offset: number): FrameAt | null {
  const header = headerAt(salt, bytes, offset);
  if (header === null) return null;
  const start = offset + FRAME_HEADER_BYTES;
  const body = bytes.subarray(start, start + header.length);
  if (body.byteLength < header.length || crc32(body, salt) !== header.crc) return null;
  return { frame: header.frame, offset, body, end: start + header.length };
}

/**
 * Is there a later frame behind a damaged one? Then the damaged one had been durable, and was not torn by a crash. A
 * whole header suffices as a sign, since the salt keeps other bytes from looking like one.
 */
export function laterFrameAfter(salt: number, bytes: Uint8Array, offset: number, damagedFrame: number): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const framesMax = damagedFrame + 1 + bytes.byteLength / FRAME_HEADER_BYTES;
  for (let at = offset + 1; at + FRAME_HEADER_BYTES <= bytes.byteLength; at++) {
    const frame = view.getUint32(at + 12, true) + view.getUint32(at + 16, true) * 2 ** 32;
    if (frame > damagedFrame && frame <= framesMax && headerAt(salt, bytes, at) !== null) return true;
  }
  return false;
}

/** Takes a frame's body apart. @throws RangeError, TypeError if it is not what `encodeFrame` makes */
export function replayBody(body: Uint8Array, replay: Replay): void {
  const reader = new ByteReader(body);
  while (reader.remaining > 0) {
    const record = reader.u8();
    if (record === RecordKind.entry) {
      const kind = reader.u8();
      const index = reader.u53();
      const term = reader.u53();
      replay.entry({ index, term, kind, payload: reader.bytes() });
    } else if (record === RecordKind.state) {
      const term = reader.u53();
      const commitIndex = reader.u53();
      const voted = reader.u8() === 1;
      const vote = reader.text();
      replay.state({ term, commitIndex, vote: voted ? vote : null });
    } else {
      throw new RangeError(`a record of kind ${record} is not known`);
    }
  }
}
