/** The one class of error that Conclave throws, and the one list of its codes. */

/**
 * What each code means to the one who catches it.
 *
 * @example
 * ```ts
 * import { ERROR_CODES } from "conclave/client";
 *
 * console.log(ERROR_CODES.DATA_LOCKED); // Another process uses the data directory.
 * ```
 */
export const ERROR_CODES = {
  // What a caller of a client may see.
  TIMEOUT: "The deadline passed. Nothing was changed by this call, now or later.",
  UNKNOWN_OUTCOME: "The command was sent and its answer never came: it may or may not have taken effect.",
  NO_LEADER: "The deadline passed and no leader was found. Nothing was changed.",
  ABORTED: "The caller's AbortSignal fired before the command was sent. Nothing was changed.",
  BUSY: "A bound was reached. Nothing was changed; try again later: after `details.retryAfterMs`, if a server said so.",
  TOO_LARGE: "A key, a value or a message exceeds its limit, or would. Nothing was changed.",
  ANSWER_TOO_LARGE: "What was asked for does not fit into one message: ask for less at a time.",
  COMPACTED: "What was asked for is kept no more. For a watch, the details name the first revision still to be had.",
  NOT_EMPTY: "The cluster holds data, which a backup would replace. Nothing was changed.",
  RESTORE_ABANDONED: "The restoring of a backup came to no end, or gave way to another one. Nothing was changed.",
  CHANGE_IN_PROGRESS: "Another change of the members is under way; try again when it is through.",
  TRANSFER_FAILED: "Leadership stays where it is: the other node can't be reached, or did not take over in time.",
  INVALID_ARGUMENT: "An argument has the wrong type or range. Nothing was sent.",
  NOT_A_NUMBER: "The value to increment is not an integer, or the sum would not be a safe one. Nothing was changed.",
  WRONG_TYPE: "Text can't be appended to bytes, nor bytes to text. Nothing was changed.",
  REJECTED: "The state machine refused the command for a reason of its own. Nothing was changed.",
  MACHINE_INACTIVE: "The cluster does not use a machine of that name, or not in that version yet. Nothing was changed.",
  LOST: "A lock, a lease or the like was held, and is held no more: somebody else may have it.",
  RELEASED: "A lock, a lease or the like was given up by its own holder.",
  DIVERGED:
    "The node has come to another state than the majority, and answers nothing until it has theirs. Nothing was changed.",
  CLOSED: "The client, actor system or node was closed.",
  // What the parts of a cluster say to one another.
  NOT_LEADER: "This node does not lead; the details name the leader if it is known.",
  SESSION_EXPIRED: "The replicated state holds no such session, or not any more.",
  UNKNOWN_ACTOR: "No actor of that name lives at that address.",
  UNREACHABLE: "No link to that address could be had, or it was lost before the answer came.",
  BAD_MESSAGE: "A message could not be decoded.",
  ACTOR_FAILED: "The actor's handler threw; its process logged why.",
  MACHINE_FAILED: "The state machine threw while applying a command, which is a bug in it.",
  NOT_ENTITLED: "Somebody spoke for a node that it is not.",
  NAME_TAKEN: "A node of that name is a member, and runs elsewhere with other data.",
  STALE_CLAIM: "A leader claim was refused: a newer term is known, or another leader of the same term.",
  // What stops a process from starting or going on.
  CONFIG_INVALID: "The configuration can't be used; the message names file, path and remedy.",
  ADDRESS_IN_USE: "Another process listens on the port.",
  DATA_LOCKED: "Another process uses the data directory.",
  DATA_FOREIGN: "The data directory belongs to another node or cluster.",
  MACHINE_MISSING: "The cluster uses a machine, or a version of one, that this program does not have.",
  REMOVED: "The node was removed from its cluster, and can only come back as a new one, with an empty data directory.",
  DATA_CORRUPT: "The log is damaged before its end, or a snapshot is; the message names file and offset.",
  DISK_FULL: "The disk is full: nothing is written until there is space again.",
  DISK_FAILED: "The disk refused a write or a flush; what is not yet durable can't be trusted any more.",
} as const;

/**
 * One of the codes.
 *
 * @example
 * ```ts
 * import { ConclaveError, type ErrorCode } from "conclave/client";
 *
 * const PASSING: readonly ErrorCode[] = ["TIMEOUT", "NO_LEADER", "BUSY"];
 * const isPassing = (error: unknown): boolean => error instanceof ConclaveError && PASSING.includes(error.code);
 * ```
 */
export type ErrorCode = keyof typeof ERROR_CODES;

export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERROR_CODES, code);

/**
 * Every failure that Conclave reports. The message says what happened, to what, and what the reader can do.
 *
 * @example
 * ```ts
 * import { ConclaveError } from "conclave/client";
 *
 * await client.put("name", "ann");
 * try {
 *   await client.increment("name");
 * } catch (error) {
 *   if (error instanceof ConclaveError) console.log(error.code); // NOT_A_NUMBER
 * }
 * ```
 */
export class ConclaveError extends Error {
  override readonly name = "ConclaveError";
  readonly code: ErrorCode;
  /** Facts that go with the code, such as the leader in `NOT_LEADER`; plain data, safe to send on. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

/**
 * Is this an error of ours with that code, or one of those?
 *
 * @example
 * ```ts
 * import { hasCode } from "conclave/client";
 *
 * try {
 *   await client.put("report", "done", { timeoutMs: 2_000 });
 * } catch (error) {
 *   if (!hasCode(error, "UNKNOWN_OUTCOME")) throw error;
 *   console.log("it may have been written, or not");
 * }
 * ```
 */
export const hasCode = (error: unknown, ...codes: readonly ErrorCode[]): error is ConclaveError =>
  error instanceof ConclaveError && codes.includes(error.code);

/** What a server answers that has no room: trying again pays after so long. `details` carries it as `retryAfterMs`. */
export const busy = (message: string, retryMs: number): ConclaveError =>
  new ConclaveError("BUSY", message, { details: { retryAfterMs: Math.ceil(retryMs) } });

/** How long whoever was busy asks to be left alone; null if nobody did. */
export function retryAfterMs(error: unknown): number | null {
  if (!hasCode(error, "BUSY")) return null;
  const { retryAfterMs: given } = error.details;
  return typeof given === "number" && given > 0 ? given : null;
}

/** The message of anything that was thrown. */
export const messageOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
