/** Making entries durable: in memory, which tells what our own work costs, and on the disk of the system's temporary folder. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { bench, do_not_optimize, group } from "mitata";
import { disk as realDisk } from "../environment/disk.ts";
import { standardClock } from "../environment/standard.ts";
import type { Disk } from "../environment.ts";
import { MemoryDisk } from "../testing/memory-disk.ts";
import { RESERVE_BYTES, Wal } from "./wal.ts";
import { type Batch, encodeFrame } from "./wal-format.ts";

const SEGMENT_BYTES_MAX = 8 * 1024 * 1024;
const SALT = 1;

const batchAt = (index: number, bytes: number): Batch => ({
  reset: null,
  entries: [{ index, term: 1, kind: 1, payload: new Uint8Array(bytes) }],
  state: null,
});

async function opened(disk: Disk, folder: string): Promise<(bytes: number) => Promise<void>> {
  const options = {
    segmentBytesMax: SEGMENT_BYTES_MAX,
    reserveBytes: RESERVE_BYTES,
    salt: SALT,
    clock: standardClock,
  };
  const wal = await Wal.open(disk, folder, options, {
    entry: () => {},
    state: () => {},
    reset: () => {},
    base: () => {},
  });
  let index = 0;
  return async (bytes) => {
    index++;
    await wal.append(batchAt(index, bytes));
    if (index % 1_000 === 0) await wal.compact(index - 1);
  };
}

group("append an entry to the log, and make it durable", () => {
  for (const bytes of [128, 2_048, 65_536]) {
    bench(`${bytes} bytes, disk in memory`, async function* () {
      const disk = new MemoryDisk();
      await disk.makeFolder("/log");
      const append = await opened(disk, "/log");
      yield () => append(bytes);
    });
    bench(`${bytes} bytes, real disk`, async function* () {
      const folder = mkdtempSync(path.join(tmpdir(), "conclave-wal-"));
      const append = await opened(realDisk, folder);
      try {
        yield () => append(bytes);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});

group("put a frame together", () => {
  for (const bytes of [128, 2_048, 65_536]) {
    const batch = batchAt(1, bytes);
    bench(`${bytes} bytes`, () => do_not_optimize(encodeFrame(SALT, 1, [batch])));
  }
});
