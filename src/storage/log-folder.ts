/** Where a log is, and how its parts are named to whoever has to know that one of them is bad. */

import type { Disk } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import { ADVICE } from "./identity.ts";
import { segmentName } from "./segment.ts";

export class LogFolder {
  readonly disk: Disk;
  readonly folder: string;
  readonly salt: number;

  constructor(disk: Disk, folder: string, salt: number) {
    this.disk = disk;
    this.folder = folder;
    this.salt = salt;
  }

  pathOf(segment: number): string {
    return `${this.folder}/${segmentName(segment)}`;
  }

  corrupt(segment: number, offset: number, why: string): ConclaveError {
    const file = this.pathOf(segment);
    const message = `The log is damaged in ${file} at offset ${offset}: ${why}. ${ADVICE}`;
    return new ConclaveError("DATA_CORRUPT", message, { details: { file, offset } });
  }
}
