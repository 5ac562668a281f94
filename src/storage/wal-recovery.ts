/** Opening a log: what is whole is replayed, what a crash has torn is cut off, and anything else is damage. */

import type { DiskFile } from "../environment.ts";
import { messageOf } from "../errors.ts";
import { LogContents } from "./log-contents.ts";
import type { LogFolder } from "./log-folder.ts";
import { findFrames, missingSegment, type SegmentFound, segmentsAmong } from "./segment.ts";
import { type FrameAt, type Records, type Replay, replayBody } from "./wal-format.ts";

/** A log as it was found, ready to go on. */
export interface RecoveredLog {
  readonly contents: LogContents;
  /** The newest segment, open for writing; null if there is none. */
  readonly file: DiskFile | null;
  /** How much of a torn frame was cut off. */
  readonly tornBytes: number;
  /** The last frame holds something, and nothing shields it. */
  readonly hasNews: boolean;
}

type Frames = Extract<SegmentFound, { type: "frames" }>;

/** @throws ConclaveError `DATA_CORRUPT`, or what the disk throws */
export async function recoverLog(log: LogFolder, replay: Replay): Promise<RecoveredLog> {
  const numbers = segmentsAmong(await log.disk.list(log.folder));
  const missing = missingSegment(numbers);
  if (missing !== null) throw log.corrupt(missing, 0, "the file is missing");
  const contents = new LogContents();
  let newest: { readonly file: DiskFile; readonly found: Frames } | null = null;
  const last = numbers.at(-1);
  try {
    for (const segment of numbers) {
      const file = await log.disk.open(log.pathOf(segment), "existing");
      const found = await recoverSegment(log, { segment, isNewest: segment === last, file }, contents, replay);
      if (found === null) continue;
      await newest?.file.close();
      newest = { file, found };
    }
  } catch (error) {
    await newest?.file.close().catch(() => {});
    throw error;
  }
  if (newest === null) return { contents, file: null, tornBytes: 0, hasNews: false };
  const { file, found } = newest;
  const hasNews = (found.frames.at(-1)?.body.byteLength ?? 0) > 0;
  return { contents, file, tornBytes: found.restBytes, hasNews };
}

interface OpenSegment {
  readonly segment: number;
  readonly isNewest: boolean;
  readonly file: DiskFile;
}

/** Null if it was never finished, and is removed. The file stays open only if it was. */
async function recoverSegment(
  log: LogFolder,
  { segment, isNewest, file }: OpenSegment,
  contents: LogContents,
  replay: Replay,
): Promise<Frames | null> {
  try {
    const start = contents.newest === 0 ? null : contents.start;
    const bytes = await file.read(0, await file.size());
    const found = findFrames(log.salt, bytes, { segment, start, isNewest });
    if (found.type === "foreign") throw log.corrupt(segment, 0, found.damage);
    if (found.type === "unborn") {
      await file.close();
      await log.disk.remove(log.pathOf(segment));
      await log.disk.syncFolder(log.folder);
      return null;
    }
    if (found.damage !== null) throw log.corrupt(segment, found.end, found.damage);
    replaySegment(log, found, contents, replay);
    if (isNewest) await secure(log, file, bytes, found);
    return found;
  } catch (error) {
    await file.close().catch(() => {});
    throw error;
  }
}

function replaySegment(
  log: LogFolder,
  { header, headerBytes, frames }: Frames,
  contents: LogContents,
  replay: Replay,
): void {
  const { segment, base, state } = header;
  if (contents.newest === 0) {
    refusing(log, segment, 0, () => {
      replay.base(base.index, base.term);
      if (state !== null) replay.state(state);
    });
  }
  contents.beginSegment(header, headerBytes);
  for (const frame of frames) {
    refusing(log, segment, frame.offset, () => replayFrame(frame, contents, replay));
    contents.endFrame(frame.end);
  }
}

function replayFrame({ offset, body }: FrameAt, contents: LogContents, replay: Records): void {
  replayBody(body, {
    reset: (index, term) => {
      contents.reset({ index, term });
      replay.reset(index, term);
    },
    entry: (entry) => {
      contents.entry(entry, offset);
      replay.entry(entry);
    },
    state: (state) => {
      contents.state(state);
      replay.state(state);
    },
  });
}

/** What makes no sense to whoever takes it is damage. */
function refusing(log: LogFolder, segment: number, offset: number, replay: () => void): void {
  try {
    replay();
  } catch (error) {
    throw log.corrupt(segment, offset, messageOf(error));
  }
}

/**
 * Makes what was found last as it is found. A process that was killed, or whose flush failed, may have left these bytes
 * in the system's cache alone. A flush alone may report success for what an earlier one failed to write: hence the same
 * bytes again.
 */
async function secure(log: LogFolder, file: DiskFile, bytes: Uint8Array, { frames, end }: Frames): Promise<void> {
  if (bytes.byteLength > end) await file.truncate(end);
  const lastFrame = frames.at(-1)?.offset ?? 0;
  await file.write(lastFrame, [bytes.subarray(lastFrame, end)]);
  await file.sync();
  await log.disk.syncFolder(log.folder);
}
