/**
 * One snapshot file, wherever it is: writing it, reading it piece by piece or chunk by chunk, and finding the first
 * byte of it that is bad. No more of it than a piece is in memory.
 */

import { ByteWriter } from "../bytes.ts";
import type { Disk, DiskFile } from "../environment.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import { asOurs } from "./disk-errors.ts";
import {
  CHUNK_BYTES_MAX,
  CHUNK_HEADER_BYTES,
  type Chunk,
  ChunkKind,
  chunkAt,
  decodeEnd,
  END_CHUNK_BYTES,
  encodeEnd,
  encodeHeader,
  follow,
  isConsistent,
  type Progress,
  putChunk,
  type SnapshotHeader,
  type SnapshotInfo,
  START,
} from "./snapshot-format.ts";

/** How much is written, or read, at a time. */
const AT_ONCE_BYTES = 256 * 1024;

/** What a state machine gives, and gets back. */
export type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** A chunk, and how far the file is followed with it. */
export interface Step {
  readonly chunk: Chunk;
  /** Where it starts. */
  readonly offset: number;
  readonly end: number;
  readonly progress: Progress;
}

/** Some chunks of a file, and where the next one starts. */
export interface Chunks {
  readonly bytes: Uint8Array;
  readonly next: number;
  /** The file ends there. */
  readonly done: boolean;
}

export const damaged = (file: string, offset: number, why: string): ConclaveError =>
  new ConclaveError("DATA_CORRUPT", `The snapshot ${file} is damaged at offset ${offset}: ${why}.`, {
    details: { file, offset, why },
  });

/** Fills an empty file, and makes its content durable. Throws what the disk and the pieces throw. */
export async function writeSnapshot(
  file: DiskFile,
  salt: number,
  header: SnapshotHeader,
  pieces: Pieces,
): Promise<SnapshotInfo> {
  let progress = START;
  let gathered = new ByteWriter(AT_ONCE_BYTES);
  let written = 0;
  const put = (kind: Chunk["kind"], content: Uint8Array): void => {
    progress = follow(progress, putChunk(gathered, salt, { number: progress.chunks, kind, content }));
  };
  const writeGathered = async (): Promise<void> => {
    const bytes = gathered.finish();
    gathered = new ByteWriter(AT_ONCE_BYTES);
    await file.write(written, [bytes]);
    written += bytes.byteLength;
  };
  put(ChunkKind.header, encodeHeader(header));
  for await (const piece of pieces) {
    let rest = piece;
    while (rest.byteLength > CHUNK_BYTES_MAX) {
      put(ChunkKind.part, rest.subarray(0, CHUNK_BYTES_MAX));
      rest = rest.subarray(CHUNK_BYTES_MAX);
      await writeGathered();
    }
    put(ChunkKind.piece, rest);
    if (gathered.length >= AT_ONCE_BYTES) await writeGathered();
  }
  put(ChunkKind.end, encodeEnd(progress));
  await writeGathered();
  await file.sync();
  return { ...header, configuration: header.configuration.slice(), bytes: written, checksum: progress.checksum };
}

/**
 * What a file says of itself at its start and its end; what is between was not looked at.
 *
 * @throws ConclaveError `DATA_CORRUPT`, `DISK_FAILED`
 */
export function describeSnapshot(disk: Disk, path: string, salt: number): Promise<SnapshotInfo> {
  return reading(disk, path, async (file) => {
    const bytes = await file.size();
    const first = chunkAt(salt, await file.read(0, CHUNK_HEADER_BYTES + CHUNK_BYTES_MAX), 0);
    if (first.type !== "chunk") throw damaged(path, 0, "its header can't be read");
    const { header } = followed(path, 0, START, first.chunk);
    if (header === null) throw damaged(path, 0, "its header can't be read");
    const endsAt = Math.max(bytes - END_CHUNK_BYTES, 0);
    const last = chunkAt(salt, await file.read(endsAt, END_CHUNK_BYTES), 0);
    if (last.type !== "chunk" || last.chunk.kind !== ChunkKind.end || last.end !== END_CHUNK_BYTES) {
      throw damaged(path, endsAt, "its end is missing");
    }
    return { ...header, bytes, checksum: decodeEnd(last.chunk.content).checksum };
  });
}

/** How many pieces a snapshot has, and what it says of itself. */
export interface VerifiedSnapshot extends SnapshotInfo {
  readonly pieces: number;
}

/**
 * Reads a file from end to end.
 *
 * @param start where the snapshot begins in it
 * @throws ConclaveError `DATA_CORRUPT` with the offset of the first chunk that is bad, `DISK_FAILED`
 */
export function verifySnapshot(disk: Disk, path: string, salt: number, start = 0): Promise<VerifiedSnapshot> {
  return reading(disk, path, async (file) => {
    let progress = START;
    let bytes = start;
    for await (const step of stepsOf(file, path, salt, start)) ({ progress, end: bytes } = step);
    const { header, pieces, checksum } = progress;
    if (header === null) throw damaged(path, start, "it is empty");
    return { ...header, bytes, checksum, pieces };
  });
}

/**
 * The pieces of a file as they were given; they belong to whoever takes them. They are known to be all, and all of one
 * snapshot, only once the last was followed by the end.
 *
 * @throws ConclaveError `DATA_CORRUPT`, `DISK_FAILED`
 */
export async function* readSnapshot(disk: Disk, path: string, salt: number, start = 0): AsyncGenerator<Uint8Array> {
  const file = await openToRead(disk, path);
  try {
    let parts: Uint8Array[] = [];
    for await (const { chunk } of stepsOf(file, path, salt, start)) {
      if (chunk.kind === ChunkKind.part) parts.push(chunk.content);
      if (chunk.kind !== ChunkKind.piece) continue;
      yield parts.length === 0 ? chunk.content : joined([...parts, chunk.content]);
      parts = [];
    }
  } catch (error) {
    throw asOurs(error, `${path} can't be read`);
  } finally {
    await file.close();
  }
}

/**
 * Whole chunks from `offset`, where one has to start: as many as fit in `bytesMax`, but at least one.
 *
 * @throws ConclaveError `DATA_CORRUPT` if one is damaged, or none starts there; `DISK_FAILED`
 */
export function readChunks(disk: Disk, path: string, salt: number, offset: number, bytesMax: number): Promise<Chunks> {
  return reading(disk, path, async (file) => {
    const size = await file.size();
    let bytes = await file.read(offset, Math.max(bytesMax, CHUNK_HEADER_BYTES));
    let first = chunkAt(salt, bytes, 0);
    if (first.type === "cut" && offset + first.end <= size) {
      bytes = await file.read(offset, first.end);
      first = chunkAt(salt, bytes, 0);
    }
    let end = 0;
    let last: Chunk | null = null;
    for (let found = first; found.type !== "cut"; found = chunkAt(salt, bytes, end)) {
      if (found.type === "damaged" || (last !== null && found.chunk.number !== last.number + 1)) {
        throw damaged(path, offset + end, "its checksum does not match");
      }
      last = found.chunk;
      end = found.end;
    }
    const next = offset + end;
    if (last === null || (last.kind === ChunkKind.end) !== (next === size)) {
      throw damaged(path, next, "it is cut short, or goes on after its end");
    }
    return { bytes: bytes.subarray(0, end), next, done: next === size };
  });
}

/**
 * Follows a file chunk by chunk to its end.
 *
 * @param start where the snapshot begins in it
 * @throws ConclaveError `DATA_CORRUPT`, or what the disk throws
 */
export async function* stepsOf(file: DiskFile, path: string, salt: number, start = 0): AsyncGenerator<Step> {
  const size = await file.size();
  let progress = START;
  let at = start;
  let want = AT_ONCE_BYTES;
  while (at < size) {
    const asked = Math.min(want, size - at);
    const bytes = await file.read(at, asked);
    let offset = 0;
    let found = chunkAt(salt, bytes, 0);
    for (; found.type === "chunk"; found = chunkAt(salt, bytes, offset)) {
      progress = followed(path, at + offset, progress, found.chunk);
      yield { chunk: found.chunk, offset: at + offset, end: at + found.end, progress };
      offset = found.end;
    }
    if (found.type === "damaged") throw damaged(path, at + offset, "its checksum does not match");
    if (bytes.byteLength < asked || (at + found.end > size && at + offset < size))
      throw damaged(path, at + offset, "it is cut short");
    want = Math.max(AT_ONCE_BYTES, found.end - offset);
    at += offset;
  }
  if (progress.end === null) throw damaged(path, at, "its end is missing");
}

/** @throws ConclaveError `DATA_CORRUPT` */
function followed(path: string, offset: number, progress: Progress, chunk: Chunk): Progress {
  try {
    const next = follow(progress, chunk);
    if (next.end !== null && !isConsistent(next)) throw new RangeError("it is put together from several snapshots");
    return next;
  } catch (error) {
    throw damaged(path, offset, messageOf(error));
  }
}

async function reading<T>(disk: Disk, path: string, use: (file: DiskFile) => Promise<T>): Promise<T> {
  const file = await openToRead(disk, path);
  try {
    return await use(file);
  } catch (error) {
    throw asOurs(error, `${path} can't be read`);
  } finally {
    await file.close();
  }
}

const openToRead = (disk: Disk, path: string): Promise<DiskFile> =>
  disk.open(path, "reading").catch((error: unknown) => {
    throw asOurs(error, `${path} can't be read`);
  });

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new ByteWriter(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  for (const part of parts) whole.raw(part);
  return whole.finish();
}
