/**
 * The bytes of the log files. A segment is a header and frames; a frame is one atomic write, and the next one is not
 * written before it is durable, so a crash can tear the last frame and no other.
 *
 *     segment header                      frame header
 *     0   8 bytes  "CONCLAVE"             0   u32  CRC of the header's other fields
 *     8   u32      version of the format  4   u32  length of the body
 *     12  u32      length of the header   8   u32  CRC of the body
 *     16  u53      number of the segment  12  u53  number of the frame; each is one more than the last,
 *     24  u53      number of its first                across segments
 *                  frame
 *     32  u53      index and
 *     40  u53      term of the last entry
 *                  before the segment
 *     48           the hard state, if
 *                  there is one
 *     end u32      CRC of the above
 *
 * A header repeats all that the older segments say besides their entries. They can go without being missed, once a
 * snapshot has what was in the entries.
 *
 * The checksums are salted with the identity of the replica: bytes that a user stored, even if they are a copy of some
 * log, can't pass for frames of this one.
 */

import { crc32 } from "node:zlib";
import { ByteReader, ByteWriter, textBytes } from "../bytes.ts";

const FORMAT_VERSION = 2;
export const FRAME_HEADER_BYTES = 20;
const MAGIC = new TextEncoder().encode("CONCLAVE");
/** Up to and including the header's length. */
const PREFIX_BYTES = MAGIC.length + 8;

/** What names an entry, and with it all that come before it: no two logs differ up to it (paper, 5.3). */
export interface EntryId {
  readonly index: number;
  readonly term: number;
}

export interface StoredEntry extends EntryId {
  readonly kind: number;
  readonly payload: Uint8Array;
}

export interface StoredState {
  readonly term: number;
  readonly vote: string | null;
  readonly commitIndex: number;
}

/** One atomic addition: the reset, then the entries, then the state, which may speak of them. */
export interface Batch {
  /**
   * Everything before is void, and the log goes on behind this entry: written by a follower that has installed a
   * snapshot (paper, Figure 13).
   */
  readonly reset: EntryId | null;
  readonly entries: readonly StoredEntry[];
  readonly state: StoredState | null;
}

/** What takes records, in the order in which they were written. */
export interface Records {
  /** Everything before is void; what follows goes on behind the entry at this index. */
  reset(index: number, term: number): void;
  entry(entry: StoredEntry): void;
  state(state: StoredState): void;
}

/** What takes a whole log. */
export interface Replay extends Records {
  /**
   * Called once, before everything else: what the log held before the oldest segment that is left ended with this entry,
   * which may have been overwritten since. Entries at its index or before may follow, then; as all that was removed,
   * they are no later than a snapshot. Not called where nothing was ever written.
   */
  base(index: number, term: number): void;
}

/** How things stand where a segment begins. */
export interface SegmentStart {
  readonly firstFrame: number;
  /** The last entry before the segment. */
  readonly base: EntryId;
  /** The hard state as last written; null if it never was. */
  readonly state: StoredState | null;
}

export interface SegmentHeader extends SegmentStart {
  readonly segment: number;
}

/** What the records take besides a payload, or a vote. */
const ENTRY_BYTES = 22;
const RESET_BYTES = 17;
const STATE_BYTES = 22;
const RecordKind = { entry: 1, state: 2, reset: 3 } as const;

export function encodeSegmentHeader(salt: number, { segment, firstFrame, base, state }: SegmentHeader): Uint8Array {
  const rest = new ByteWriter(128).u53(segment).u53(firstFrame).u53(base.index).u53(base.term);
  if (state !== null) putState(rest, state);
  const length = PREFIX_BYTES + rest.length + 4;
  const header = new ByteWriter(length).raw(MAGIC).u32(FORMAT_VERSION).u32(length).raw(rest.finish());
  const fields = header.finish().subarray(0, length - 4);
  return new ByteWriter(length).raw(fields).u32(crc32(fields, salt)).finish();
}

/** `null` if the bytes do not begin with the header of a segment of this log. */
export function decodeSegmentHeader(salt: number, bytes: Uint8Array): { header: SegmentHeader; end: number } | null {
  if (bytes.byteLength < PREFIX_BYTES || MAGIC.some((byte, i) => bytes[i] !== byte)) return null;
  const prefix = new ByteReader(bytes.subarray(MAGIC.length, PREFIX_BYTES));
  const version = prefix.u32();
  const end = prefix.u32();
  if (version !== FORMAT_VERSION || end < PREFIX_BYTES + 4 || end > bytes.byteLength) return null;
  if (new ByteReader(bytes.subarray(end - 4, end)).u32() !== crc32(bytes.subarray(0, end - 4), salt)) return null;
  const reader = new ByteReader(bytes.subarray(PREFIX_BYTES, end - 4));
  const segment = reader.u53();
  const firstFrame = reader.u53();
  const base = takeEntryId(reader);
  const state = reader.remaining > 0 ? takeState(reader) : null;
  return { header: { segment, firstFrame, base, state }, end };
}

/** How much of a frame the records take that a batch becomes. */
export function recordsBytes({ reset, entries, state }: Batch): number {
  const around = (reset === null ? 0 : RESET_BYTES) + (state === null ? 0 : STATE_BYTES + textBytes(state.vote ?? ""));
  return entries.reduce((sum, { payload }) => sum + ENTRY_BYTES + payload.byteLength, around);
}

export function encodeFrame(salt: number, frame: number, batches: readonly Batch[]): Uint8Array {
  // Once is enough to copy what may be megabytes.
  const size = batches.reduce((sum, batch) => sum + recordsBytes(batch), FRAME_HEADER_BYTES);
  const writer = new ByteWriter(size).raw(new Uint8Array(FRAME_HEADER_BYTES));
  for (const { reset, entries, state } of batches) {
    if (reset !== null) writer.u8(RecordKind.reset).u53(reset.index).u53(reset.term);
    for (const { index, term, kind, payload } of entries) {
      writer.u8(RecordKind.entry).u8(kind).u53(index).u53(term).bytes(payload);
    }
    if (state !== null) putState(writer.u8(RecordKind.state), state);
  }
  const bytes = writer.finish();
  const body = bytes.subarray(FRAME_HEADER_BYTES);
  const fields = new ByteWriter(FRAME_HEADER_BYTES).u32(body.byteLength).u32(crc32(body, salt)).u53(frame).finish();
  bytes.set(new ByteWriter(FRAME_HEADER_BYTES).u32(crc32(fields, salt)).raw(fields).finish());
  return bytes;
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
export function replayBody(body: Uint8Array, records: Records): void {
  const reader = new ByteReader(body);
  while (reader.remaining > 0) {
    const record = reader.u8();
    if (record === RecordKind.entry) {
      const kind = reader.u8();
      const id = takeEntryId(reader);
      records.entry({ ...id, kind, payload: reader.bytes() });
    } else if (record === RecordKind.state) {
      records.state(takeState(reader));
    } else if (record === RecordKind.reset) {
      const { index, term } = takeEntryId(reader);
      records.reset(index, term);
    } else {
      throw new RangeError(`a record of kind ${record} is not known`);
    }
  }
}

/** The records that a batch becomes. */
export function replayBatch({ reset, entries, state }: Batch, records: Records): void {
  if (reset !== null) records.reset(reset.index, reset.term);
  for (const entry of entries) records.entry(entry);
  if (state !== null) records.state(state);
}

function takeEntryId(reader: ByteReader): EntryId {
  const index = reader.u53();
  return { index, term: reader.u53() };
}

const putState = (writer: ByteWriter, { term, commitIndex, vote }: StoredState): ByteWriter =>
  writer
    .u53(term)
    .u53(commitIndex)
    .u8(vote === null ? 0 : 1)
    .text(vote ?? "");

function takeState(reader: ByteReader): StoredState {
  const term = reader.u53();
  const commitIndex = reader.u53();
  const voted = reader.u8() === 1;
  const vote = reader.text();
  return { term, commitIndex, vote: voted ? vote : null };
}
