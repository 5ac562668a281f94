/** The snapshots that a disk holds durably: their files are read as a crash would leave them, and nobody is asked. */

import { crc32 } from "node:zlib";
import { type Configuration, decodeConfiguration } from "../raft/index.ts";
import { clusterSaltOf } from "../storage/identity.ts";
import { ChunkKind, chunkAt, follow, isConsistent, type Progress, START } from "../storage/snapshot-format.ts";
import type { MemoryDisk } from "./memory-disk.ts";

/** What a snapshot file says. */
export interface FoundSnapshot {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
  /** Of the pieces of the state, one after the other. */
  readonly digest: number;
}

const WHOLE = /\/snapshot-\d{16}\.snap$/;

export class DurableSnapshots {
  readonly #salt: number;
  readonly #onFound: (snapshot: FoundSnapshot) => void;
  /** Those that are whole, by their paths. */
  readonly #found = new Map<string, FoundSnapshot>();

  constructor(cluster: string, onFound: (snapshot: FoundSnapshot) => void) {
    this.#salt = clusterSaltOf({ cluster });
    this.#onFound = onFound;
  }

  /** The newest; null if there is none. */
  get newest(): FoundSnapshot | null {
    return newestOf([...this.#found.values()]);
  }

  /** Looks at what a crash now would leave, at worst. */
  look(memory: MemoryDisk): void {
    const paths = memory.paths().filter((path) => WHOLE.test(path));
    for (const path of this.#found.keys()) if (!paths.includes(path)) this.#found.delete(path);
    for (const path of paths) {
      if (this.#found.has(path)) continue;
      const found = this.#read(memory.durableBytesOf(path));
      if (found === null) continue;
      this.#found.set(path, found);
      this.#onFound(found);
    }
  }

  /** Those that a restart may find besides: their names, or their content, are not durable yet. */
  possible(memory: MemoryDisk): readonly FoundSnapshot[] {
    const newest = this.newest?.index ?? 0;
    const whole = memory.paths().filter((path) => WHOLE.test(path));
    const read = whole.flatMap((path) => this.#read(memory.bytesOf(path)) ?? []);
    return read.filter(({ index }) => index > newest);
  }

  #read(bytes: Uint8Array | null): FoundSnapshot | null {
    if (bytes === null) return null;
    let progress: Progress = START;
    let digest = 0;
    try {
      for (let at = 0; at < bytes.byteLength; ) {
        const found = chunkAt(this.#salt, bytes, at);
        if (found.type !== "chunk") return null;
        const { chunk } = found;
        progress = follow(progress, chunk);
        if (chunk.kind === ChunkKind.piece || chunk.kind === ChunkKind.part) digest = crc32(chunk.content, digest);
        at = found.end;
      }
      if (progress.header === null || !isConsistent(progress)) return null;
      const { index, term, configuration } = progress.header;
      return { index, term, configuration: decodeConfiguration(configuration), digest };
    } catch {
      return null;
    }
  }
}

const newestOf = (snapshots: readonly FoundSnapshot[]): FoundSnapshot | null =>
  snapshots.reduce<FoundSnapshot | null>((newest, one) => (one.index > (newest?.index ?? 0) ? one : newest), null);
