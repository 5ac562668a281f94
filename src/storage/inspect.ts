/** What a node's folder holds, found out without changing anything in it, and without a node. */

import type { Disk } from "../environment.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import { type Owner, ownerOf, saltOf } from "./identity.ts";
import { LogContents } from "./log-contents.ts";
import { findFrames, missingSegment, segmentName, segmentsAmong } from "./segment.ts";
import { replayBody, type StoredState } from "./wal-format.ts";

/** The first and the last of a row of numbers; null if there are none. */
export type Range = readonly [first: number, last: number] | null;

/** What one file of the log holds. */
export interface SegmentReport {
  readonly file: string;
  readonly bytes: number;
  readonly frames: Range;
  /** The lowest and the highest index of an entry in it. */
  readonly entries: Range;
  readonly terms: Range;
}

/** Entries of one term, one behind the other. */
export interface TermReport {
  readonly term: number;
  readonly first: number;
  readonly last: number;
}

/** What a node's folder holds. */
export interface Inspection {
  readonly owner: Owner;
  /** The oldest first. */
  readonly segments: readonly SegmentReport[];
  /** Term, vote and commit index as they were last written; null if they never were. */
  readonly state: StoredState | null;
  /** The valid entries, by term: what an overwritten entry said does not count. */
  readonly terms: readonly TermReport[];
  /** Bytes at the end that a crash has cut short, or that a running node is writing; the next start cuts them off. */
  readonly tornBytes: number;
  /** The first thing that is wrong; what comes after it was not looked at. Null if all is well. */
  readonly damage: { readonly file: string; readonly offset: number; readonly why: string } | null;
}

/**
 * Looks through a node's folder. Nothing is written, so it may be called on one that is in use; what is being written
 * then looks torn.
 *
 * @throws ConclaveError `INVALID_ARGUMENT` if the folder is no node's, `DATA_CORRUPT` if it can't be told whose it is,
 * `DISK_FAILED` if it can't be read
 */
export async function inspect(disk: Disk, folder: string): Promise<Inspection> {
  try {
    const owner = await ownerOf(disk, folder);
    if (owner === null) throw new ConclaveError("INVALID_ARGUMENT", `${folder} is not the folder of a node.`);
    return await inspectLog(disk, folder, owner);
  } catch (error) {
    if (error instanceof ConclaveError) throw error;
    throw new ConclaveError("DISK_FAILED", `${folder} can't be read: ${messageOf(error)}`, { cause: error });
  }
}

async function inspectLog(disk: Disk, folder: string, owner: Owner): Promise<Inspection> {
  const salt = saltOf(owner);
  const numbers = segmentsAmong(await disk.list(folder));
  const segments: SegmentReport[] = [];
  const log = new ValidEntries();
  const contents = new LogContents();
  let tornBytes = 0;
  const report = (damage: Inspection["damage"]): Inspection => ({
    owner,
    segments,
    state: contents.start.state,
    terms: log.terms,
    tornBytes,
    damage,
  });

  const missing = missingSegment(numbers);
  for (const [i, segment] of numbers.entries()) {
    if (missing !== null && segment > missing) break;
    const file = segmentName(segment);
    const bytes = await readWhole(disk, `${folder}/${file}`);
    const start = contents.newest === 0 ? null : contents.start;
    const found = findFrames(salt, bytes, { segment, start, isNewest: i === numbers.length - 1 });
    if (found.type === "foreign") return report({ file, offset: 0, why: found.damage });
    if (found.type === "unborn") {
      tornBytes = bytes.byteLength;
      continue;
    }
    const { header, headerBytes } = found;
    if (contents.newest === 0) log.reset(header.base.index);
    contents.beginSegment(header, headerBytes);
    const entries = new Spread();
    const terms = new Spread();
    const frames = new Spread();
    for (const { frame, offset, end, body } of found.frames) {
      try {
        replayBody(body, {
          reset: (index, term) => {
            log.reset(index);
            contents.reset({ index, term });
          },
          entry: ({ index, term }) => {
            log.take(index, term);
            contents.entry({ index, term }, offset);
            entries.include(index);
            terms.include(term);
          },
          state: (stored) => contents.state(stored),
        });
      } catch (error) {
        return report({ file, offset, why: messageOf(error) });
      }
      contents.endFrame(end);
      frames.include(frame);
    }
    segments.push({
      file,
      bytes: bytes.byteLength,
      frames: frames.range,
      entries: entries.range,
      terms: terms.range,
    });
    if (found.damage !== null) return report({ file, offset: found.end, why: found.damage });
    tornBytes = found.restBytes;
  }
  return report(missing === null ? null : { file: segmentName(missing), offset: 0, why: "the file is missing" });
}

async function readWhole(disk: Disk, path: string): Promise<Uint8Array> {
  const file = await disk.open(path, "reading");
  try {
    return await file.read(0, await file.size());
  } finally {
    await file.close();
  }
}

class Spread {
  #first = Number.POSITIVE_INFINITY;
  #last = Number.NEGATIVE_INFINITY;

  include(number: number): void {
    this.#first = Math.min(this.#first, number);
    this.#last = Math.max(this.#last, number);
  }

  get range(): Range {
    return this.#first <= this.#last ? [this.#first, this.#last] : null;
  }
}

/** The log as it is after all that was written to it: an entry makes void what was there at its index and behind it. */
class ValidEntries {
  readonly #runs: { readonly term: number; readonly first: number }[] = [];
  /** The entry before the first. */
  #base = 0;
  #last = 0;

  get base(): number {
    return this.#base;
  }

  get terms(): TermReport[] {
    return this.#runs.map(({ term, first }, i) => ({
      term,
      first,
      last: (this.#runs[i + 1]?.first ?? this.#last + 1) - 1,
    }));
  }

  /** The log goes on behind an entry that it does not hold. */
  reset(base: number): void {
    this.#runs.length = 0;
    this.#base = base;
    this.#last = base;
  }

  /** @throws RangeError if it leaves a gap */
  take(index: number, term: number): void {
    if (index > this.#last + 1) throw new RangeError(`entry ${index} follows entry ${this.#last}`);
    // What it follows was removed, and overwritten by it.
    this.#base = Math.min(this.#base, index - 1);
    while ((this.#runs.at(-1)?.first ?? 0) >= index) this.#runs.pop();
    if (this.#runs.at(-1)?.term !== term) this.#runs.push({ term, first: index });
    this.#last = index;
  }
}
