/** Which batches of commands may enter the log. */

import { busy, ConclaveError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { type BatchHead, headOf } from "../machine/commands.ts";
import type { Replica } from "../machine/index.ts";
import { sessionExpired } from "./proposals.ts";

/** What an AppendEntries, its letter and its frame add to the payload of an entry, generously. */
export const APPEND_HEADROOM_BYTES = 1_024;
/** What its frame adds to an answer, generously. */
export const ANSWER_HEADROOM_BYTES = 1_024;
/** How soon answers may have made room in the window of a session. */
const WINDOW_RETRY_MS = 100;

/**
 * Checks a batch that a client sent.
 *
 * @returns the session that it belongs to
 * @throws ConclaveError `BAD_MESSAGE`, `SESSION_EXPIRED`, `BUSY`, `TOO_LARGE`; RangeError if the batch is not whole
 */
export function admit(bytes: Uint8Array, replica: Replica, limits: Limits): number {
  const batch = headOf(bytes);
  if (batch === null || batch.count === 0) {
    throw new ConclaveError("BAD_MESSAGE", "Only batches of commands may be proposed.");
  }
  if (!isPlausible(batch)) throw new ConclaveError("BAD_MESSAGE", "The numbers of the batch make no sense.");
  // A session that is not there yet may still be on its way through the log; one that is past can't come back.
  if (batch.session <= replica.appliedIndex && !replica.hasSession(batch.session)) throw sessionExpired();
  if (windowOf(batch) > limits.sessionWindowMax) {
    const tooMany = `More than ${limits.sessionWindowMax} commands of one session are unanswered.`;
    throw busy(tooMany, WINDOW_RETRY_MS);
  }
  // What can't be sent on to a follower would stop the log for good.
  const bytesMax = limits.messageBytesMax - APPEND_HEADROOM_BYTES;
  if (bytes.byteLength > bytesMax) {
    throw new ConclaveError("TOO_LARGE", `The batch has ${bytes.byteLength} bytes, of at most ${bytesMax}.`);
  }
  return batch.session;
}

/** A client counts from 1 and waits for what it sends; a forged number would spoil its session for the log. */
const isPlausible = ({ first, floor, count }: BatchHead): boolean =>
  first >= 1 && floor <= first && first + count <= Number.MAX_SAFE_INTEGER / 2;

/** How far the newest command of a batch is ahead of the oldest that its client still waits for. */
const windowOf = ({ first, floor, count }: BatchHead): number => first + count - floor;
