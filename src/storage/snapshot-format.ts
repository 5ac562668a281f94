/**
 * The bytes of a snapshot file, which travel between replicas as they are. A file is a row of chunks: a header, the
 * pieces that the state machine gave, and an end.
 *
 *     chunk                                   header chunk's content      end chunk's content
 *     0   u32  CRC of the other fields and    0   8 bytes  "CONCSNAP"     0   u53  how many pieces there are
 *              of the content                 8   u32      version        8   u53  their bytes
 *     4   u32  length of the content          12  u53      index          16  u32  CRC of the other chunks' CRCs
 *     8   u32  number of the chunk            20  u53      term
 *     12  u8   kind of the chunk              28           configuration
 *     13       content
 *
 * A piece that is longer than a chunk may be goes into several; all but the last of them say that it continues. The
 * checksums are salted with the cluster's identity, the same on all replicas.
 */

import { crc32 } from "node:zlib";
import { ByteReader, ByteWriter } from "../bytes.ts";
import { ConclaveError } from "../errors.ts";
import type { EntryId } from "./wal-format.ts";

const FORMAT_VERSION = 1;
const MAGIC = new TextEncoder().encode("CONCSNAP");
export const CHUNK_HEADER_BYTES = 13;
/** The content of one chunk. */
export const CHUNK_BYTES_MAX = 256 * 1024;
const END_BYTES = 20;
/** The last chunk of every file. */
export const END_CHUNK_BYTES = CHUNK_HEADER_BYTES + END_BYTES;

/** What a snapshot is of. */
export interface SnapshotHeader extends EntryId {
  /** The members of the cluster as of that entry, in whatever form the caller gives them. */
  readonly configuration: Uint8Array;
}

/** A snapshot on the disk. */
export interface SnapshotInfo extends SnapshotHeader {
  /** How large its file is. */
  readonly bytes: number;
  /** Of the whole file: two snapshots of one cluster with the same are the same. */
  readonly checksum: number;
}

export const ChunkKind = {
  header: 1,
  /** A piece, or the last part of one. */
  piece: 2,
  /** A part of a piece, which goes on in the next chunk. */
  part: 3,
  end: 4,
  /** Before the first chunk of a backup: see `backup-file.ts`. */
  origin: 5,
} as const;
type ChunkKind = (typeof ChunkKind)[keyof typeof ChunkKind];

export interface Chunk {
  readonly number: number;
  readonly kind: ChunkKind;
  readonly content: Uint8Array;
  readonly crc: number;
}

/** What is at a place among the bytes of a file. */
export type ChunkFound =
  | { readonly type: "chunk"; readonly chunk: Chunk; readonly end: number }
  /** It goes on past the bytes that are there, and at least up to here. */
  | { readonly type: "cut"; readonly end: number }
  | { readonly type: "damaged" };

/** How far a file was followed. */
export interface Progress {
  readonly chunks: number;
  /** Null before the first chunk. */
  readonly header: SnapshotHeader | null;
  readonly pieces: number;
  readonly pieceBytes: number;
  readonly isWithinPiece: boolean;
  /** Of the chunks so far. */
  readonly checksum: number;
  /** What the end chunk says of all before it; null before it. */
  readonly end: { readonly pieces: number; readonly pieceBytes: number; readonly checksum: number } | null;
}

/** Before the first chunk. */
export const START: Progress = {
  chunks: 0,
  header: null,
  pieces: 0,
  pieceBytes: 0,
  isWithinPiece: false,
  checksum: 0,
  end: null,
};

/** Writes a chunk and returns it. */
export function putChunk(
  writer: ByteWriter,
  salt: number,
  { number, kind, content }: Pick<Chunk, "number" | "kind" | "content">,
): Chunk {
  const fields = new ByteWriter(CHUNK_HEADER_BYTES - 4).u32(content.byteLength).u32(number).u8(kind).finish();
  const crc = crc32(content, crc32(fields, salt));
  writer.u32(crc).raw(fields).raw(content);
  return { number, kind, content, crc };
}

/** Reads the chunk at `offset`. */
export function chunkAt(salt: number, bytes: Uint8Array, offset: number): ChunkFound {
  const start = offset + CHUNK_HEADER_BYTES;
  if (start > bytes.byteLength) return { type: "cut", end: start };
  const fields = bytes.subarray(offset + 4, start);
  const reader = new ByteReader(bytes.subarray(offset, start));
  const crc = reader.u32();
  const length = reader.u32();
  const number = reader.u32();
  const kind = kindOf(reader.u8());
  if (kind === null || length > CHUNK_BYTES_MAX) return { type: "damaged" };
  const end = start + length;
  if (end > bytes.byteLength) return { type: "cut", end };
  const content = bytes.subarray(start, end);
  if (crc32(content, crc32(fields, salt)) !== crc) return { type: "damaged" };
  return { type: "chunk", chunk: { number, kind, content, crc }, end };
}

const kindOf = (kind: number): ChunkKind | null => Object.values(ChunkKind).find((one) => one === kind) ?? null;

/** @throws ConclaveError `INVALID_ARGUMENT` if the configuration does not fit into a chunk */
export function encodeHeader({ index, term, configuration }: SnapshotHeader): Uint8Array {
  const content = new ByteWriter(64).raw(MAGIC).u32(FORMAT_VERSION).u53(index).u53(term).raw(configuration).finish();
  if (content.byteLength <= CHUNK_BYTES_MAX) return content;
  throw new ConclaveError("INVALID_ARGUMENT", `A configuration of ${configuration.byteLength} bytes is too large.`);
}

export const encodeEnd = ({ pieces, pieceBytes, checksum }: Progress): Uint8Array =>
  new ByteWriter(END_BYTES).u53(pieces).u53(pieceBytes).u32(checksum).finish();

/** @throws RangeError if the chunk can't come next */
export function follow(progress: Progress, chunk: Chunk): Progress {
  const { number, kind, content } = chunk;
  const { chunks, header, isWithinPiece, end } = progress;
  if (number !== chunks) throw new RangeError(`chunk ${number} is where chunk ${chunks} should be`);
  if (end !== null) throw new RangeError("it goes on after its end");
  if (kind === ChunkKind.origin) throw new RangeError("a backup begins within it");
  if ((kind === ChunkKind.header) !== (header === null)) throw new RangeError("its header is not where it should be");
  if (kind === ChunkKind.end && isWithinPiece) throw new RangeError("it ends within a piece");
  const next = { ...progress, chunks: chunks + 1 };
  if (kind === ChunkKind.end) return { ...next, end: decodeEnd(content) };
  const checksum = crc32(new ByteWriter(4).u32(chunk.crc).finish(), progress.checksum);
  if (kind === ChunkKind.header) return { ...next, checksum, header: decodeHeader(content) };
  const isWhole = kind === ChunkKind.piece;
  return {
    ...next,
    checksum,
    pieces: progress.pieces + (isWhole ? 1 : 0),
    pieceBytes: progress.pieceBytes + content.byteLength,
    isWithinPiece: !isWhole,
  };
}

/** Is what came before its end what its end says? If not, it was put together from more than one file. */
export const isConsistent = ({ end, pieces, pieceBytes, checksum }: Progress): boolean =>
  end !== null && end.pieces === pieces && end.pieceBytes === pieceBytes && end.checksum === checksum;

function decodeHeader(content: Uint8Array): SnapshotHeader {
  const reader = new ByteReader(content);
  const magic = reader.raw(MAGIC.length);
  if (MAGIC.some((byte, i) => magic[i] !== byte)) throw new RangeError("it is not a snapshot");
  const version = reader.u32();
  if (version !== FORMAT_VERSION) throw new RangeError(`version ${version} of the format is not known`);
  const index = reader.u53();
  const term = reader.u53();
  return { index, term, configuration: reader.raw(reader.remaining).slice() };
}

/** @throws RangeError */
export function decodeEnd(content: Uint8Array): NonNullable<Progress["end"]> {
  const reader = new ByteReader(content);
  const pieces = reader.u53();
  const pieceBytes = reader.u53();
  const checksum = reader.u32();
  reader.end();
  return { pieces, pieceBytes, checksum };
}
