/** A disk that flushes when it is let, and a record of what it was given to write. */

import type { Disk, DiskFile } from "../../src/environment.ts";
import { realEnvironment } from "../../src/index.ts";

export class HangingDisk {
  /** What was written since the disk hangs. */
  writtenBytes = 0;
  #gate: PromiseWithResolvers<void> | null = null;

  hang(): void {
    this.#gate ??= Promise.withResolvers();
    this.writtenBytes = 0;
  }

  goOn(): void {
    this.#gate?.resolve();
    this.#gate = null;
  }

  readonly disk: Disk = {
    ...realEnvironment.disk,
    open: async (path, mode) => {
      const file = await realEnvironment.disk.open(path, mode);
      return this.#watched(file);
    },
  };

  #watched(file: DiskFile): DiskFile {
    return {
      ...file,
      write: (offset, chunks) => {
        this.writtenBytes += chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
        return file.write(offset, chunks);
      },
      sync: async () => {
        await this.#gate?.promise;
        await file.sync();
      },
    };
  }
}
