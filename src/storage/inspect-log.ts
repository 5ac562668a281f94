/** What the files of a log hold, found out without changing anything in them. */

import type { Disk } from "../environment.ts";
import { messageOf } from "../errors.ts";
import { LogContents } from "./log-contents.ts";
import { findFrames, missingSegment, segmentName, segmentsAmong } from "./segment.ts";
import { replayBody, type StoredState } from "./wal-format.ts";

/** The first and the last of a row of numbers; null if there are none. */
export type Range = readonly [first: number, last: number] | null;

/** What is wrong with a file, and from where on. */
export interface Damage {
  readonly file: string;
  readonly offset: number;
  readonly why: string;
}

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

/** What a log holds. */
export interface LogReport {
  /** The oldest first. */
  readonly segments: readonly SegmentReport[];
  /** Term, vote and commit index as they were last written; null if they never were. */
  readonly state: StoredState | null;
  /** The index of the last entry that is not in the log any more, since a snapshot has what was in it; 0 if all are. */
  readonly base: number;
  /** The valid entries, by term: what an overwritten entry said does not count. */
  readonly terms: readonly TermReport[];
  /** Bytes at the end that a crash has cut short, or that a running node is writing; the next start cuts them off. */
  readonly tornBytes: number;
  /** The first thing that is wrong; what comes after it was not looked at. Null if all is well. */
  readonly damage: Damage | null;
}

/** A log, and where it says behind which entry it begins. */
export interface LogInspection {
  readonly report: LogReport;
  readonly baseAt: Pick<Damage, "file" | "offset">;
}

/** Throws what the disk throws. */
export async function inspectLog(disk: Disk, folder: string, salt: number): Promise<LogInspection> {
  const numbers = segmentsAmong(await disk.list(folder));
  const segments: SegmentReport[] = [];
  const log = new ValidEntries();
  const contents = new LogContents();
  let baseAt = { file: "", offset: 0 };
  let tornBytes = 0;
  const report = (damage: Damage | null): LogInspection => ({
    report: { segments, state: contents.start.state, base: log.base, terms: log.terms, tornBytes, damage },
    baseAt,
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
    if (contents.newest === 0) {
      log.reset(header.base.index);
      baseAt = { file, offset: 0 };
    }
    contents.beginSegment(header, headerBytes);
    const entries = new Spread();
    const terms = new Spread();
    const frames = new Spread();
    for (const { frame, offset, end, body } of found.frames) {
      try {
        replayBody(body, {
          reset: (index, term) => {
            log.reset(index);
            baseAt = { file, offset };
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
