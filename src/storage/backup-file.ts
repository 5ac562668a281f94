/**
 * Backups: snapshot files that have left their cluster. Before the file's own chunks stands one that says which cluster
 * it is from, since that is what the checksums of the others are salted with.
 *
 *     origin chunk, salted with nothing     its content
 *     number 0, kind 5                      0   8 bytes  "CONCBACK"
 *                                           8   u32      version
 *                                           12  text     the cluster's name
 */

import { ByteReader, ByteWriter } from "../bytes.ts";
import type { Disk, DiskFile } from "../environment.ts";
import { messageOf } from "../errors.ts";
import { asOurs } from "./disk-errors.ts";
import { clusterSaltOf } from "./identity.ts";
import { damaged, readSnapshot, type VerifiedSnapshot, verifySnapshot } from "./snapshot-file.ts";
import { CHUNK_BYTES_MAX, CHUNK_HEADER_BYTES, ChunkKind, chunkAt, putChunk } from "./snapshot-format.ts";

const FORMAT_VERSION = 1;
const MAGIC = new TextEncoder().encode("CONCBACK");
/** Whoever reads the first chunk does not know yet whose it is. */
const NO_SALT = 0;

/**
 * A backup that is whole.
 *
 * @example
 * ```ts
 * import { realEnvironment, saveBackup, type VerifiedBackup } from "conclave";
 *
 * const inWords = ({ cluster: name, index }: VerifiedBackup): string => `all of ${name} up to entry ${index}`;
 * console.log(inWords(await saveBackup(realEnvironment.disk, `${folder}/demo.backup`, client)));
 * ```
 */
export interface VerifiedBackup extends VerifiedSnapshot {
  /** The name of the cluster that it is from. */
  readonly cluster: string;
}

/** What stands before a snapshot's bytes where they leave their cluster. */
export function encodeOrigin(cluster: string): Uint8Array {
  const writer = new ByteWriter(64);
  const content = new ByteWriter(64).raw(MAGIC).u32(FORMAT_VERSION).text(cluster).finish();
  putChunk(writer, NO_SALT, { number: 0, kind: ChunkKind.origin, content });
  return writer.finish();
}

/**
 * Reads a backup from end to end.
 *
 * @example
 * ```ts
 * import { realEnvironment, saveBackup, verifyBackup } from "conclave";
 *
 * await saveBackup(realEnvironment.disk, `${folder}/demo.backup`, client);
 * console.log((await verifyBackup(realEnvironment.disk, `${folder}/demo.backup`)).cluster); // test
 * ```
 *
 * @throws ConclaveError `DATA_CORRUPT` with the offset of the first chunk that is bad, `DISK_FAILED`
 */
export async function verifyBackup(disk: Disk, path: string): Promise<VerifiedBackup> {
  const { cluster, end } = await originOf(disk, path);
  const verified = await verifySnapshot(disk, path, clusterSaltOf({ cluster }), end);
  return { ...verified, cluster };
}

/**
 * The pieces of the snapshot in a backup; see `readSnapshot`.
 *
 * @throws ConclaveError `DATA_CORRUPT`, `DISK_FAILED`
 */
export async function* readBackup(disk: Disk, path: string): AsyncGenerator<Uint8Array> {
  const { cluster, end } = await originOf(disk, path);
  yield* readSnapshot(disk, path, clusterSaltOf({ cluster }), end);
}

/** Which cluster it is from, and where that is said. */
interface Origin {
  readonly cluster: string;
  readonly end: number;
}

async function originOf(disk: Disk, path: string): Promise<Origin> {
  let file: DiskFile | null = null;
  try {
    file = await disk.open(path, "reading");
    const found = chunkAt(NO_SALT, await file.read(0, CHUNK_HEADER_BYTES + CHUNK_BYTES_MAX), 0);
    if (found.type !== "chunk" || found.chunk.kind !== ChunkKind.origin) {
      throw damaged(path, 0, "it does not begin like a backup");
    }
    return { cluster: clusterIn(path, found.chunk.content), end: found.end };
  } catch (error) {
    throw asOurs(error, `${path} can't be read`);
  } finally {
    await file?.close();
  }
}

function clusterIn(path: string, content: Uint8Array): string {
  try {
    const reader = new ByteReader(content);
    const magic = reader.raw(MAGIC.length);
    if (MAGIC.some((byte, i) => magic[i] !== byte)) throw new RangeError("it is no backup");
    const version = reader.u32();
    if (version !== FORMAT_VERSION) throw new RangeError(`version ${version} of the format is not known`);
    const cluster = reader.text();
    reader.end();
    return cluster;
  } catch (error) {
    throw damaged(path, 0, messageOf(error));
  }
}
