/** What callers are told where something goes wrong on the way: always an error with a code. */

import { ConclaveError, type ErrorCode, messageOf } from "../errors.ts";

/** What a caller passed can't be meant. */
export const invalid = (message: string, cause?: unknown): ConclaveError =>
  new ConclaveError("INVALID_ARGUMENT", message, { cause });

export const aborted = (signal: AbortSignal): ConclaveError =>
  new ConclaveError("ABORTED", "The call was aborted.", { cause: signal.reason });

/** A call that was not answered in time, with or without a leader who could have. */
export const late = (timeoutMs: number, leader: object | null): ConclaveError =>
  leader === null
    ? new ConclaveError("NO_LEADER", `No leader was found within ${timeoutMs} ms.`)
    : new ConclaveError("TIMEOUT", `No answer came within ${timeoutMs} ms.`);

export const closed = (): ConclaveError => new ConclaveError("CLOSED", "The client is closed.");

/** It answered something else than it was asked. */
export const nonsense = (): ConclaveError => new ConclaveError("BAD_MESSAGE", "The node's answer makes no sense.");

/** What could not be understood is an error with a code, like every other. */
export const asOurs = (error: unknown): ConclaveError =>
  error instanceof ConclaveError ? error : new ConclaveError("BAD_MESSAGE", messageOf(error));

/** What a state machine answered. @throws ConclaveError `otherwise` if it makes no sense */
export function understood<T>(otherwise: ErrorCode, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (cause instanceof ConclaveError) throw cause;
    throw new ConclaveError(otherwise, `The state machine's answer makes no sense: ${messageOf(cause)}`, { cause });
  }
}
