/** What a failure of the disk means to the log and to snapshots. */

import { ConclaveError, hasCode, messageOf } from "../errors.ts";

const hasSystemCode = (error: unknown, codes: readonly string[]): boolean =>
  error instanceof Error && "code" in error && typeof error.code === "string" && codes.includes(error.code);

/** There is no space, be it on the disk or of what this user may take of it. */
export const isNoSpace = (error: unknown): boolean => hasSystemCode(error, ["ENOSPC", "EDQUOT"]);

/** The file is not there. */
export const isNoFile = (error: unknown): boolean => hasSystemCode(error, ["ENOENT"]);

export const diskFailed = (what: string, cause: unknown): ConclaveError =>
  new ConclaveError("DISK_FAILED", `${what}: ${messageOf(cause)}`, { cause });

export const diskFull = (what: string, cause: unknown): ConclaveError =>
  new ConclaveError("DISK_FULL", `${what}: ${messageOf(cause)}`, { cause });

/** Whatever was thrown, as an error of ours. */
export function asOurs(error: unknown, what: string): ConclaveError {
  if (error instanceof ConclaveError) return error;
  return isNoSpace(error) ? diskFull(what, error) : diskFailed(what, error);
}

/** Is this a promise to write that failed for want of space, and for nothing else? */
export const isDiskFull = (error: unknown): error is ConclaveError => hasCode(error, "DISK_FULL");
