/** Brings the contents of a backup into a cluster: as steps of a session of its own, a bounded number of them ahead. */

import { ConclaveError, hasCode, messageOf } from "../errors.ts";
import { decodeStepResult, encodeStep, type RestorationStep } from "../machine/restoration-steps.ts";
import { checkBytes } from "./checks.ts";
import { Commands, type CommandsOptions } from "./commands.ts";
import type { RestoreOptions } from "./options.ts";

/** A longer piece goes in parts. */
const PART_BYTES_MAX = 256 * 1024;
/** How many steps may be on their way. */
const AHEAD_MAX = 16;
/** How long one of them may take, and the last word if it went wrong. */
const STEP_MS_MAX = 30_000;
const ABANDON_MS_MAX = 1_000;

export class Restorations {
  readonly #options: Omit<CommandsOptions, "type">;
  readonly #open = new Set<Commands>();

  constructor(options: Omit<CommandsOptions, "type">) {
    this.#options = options;
  }

  /** What is to be told of leaders, and whose sessions are to be kept. */
  get open(): ReadonlySet<Commands> {
    return this.#open;
  }

  async restore(
    pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    { force = false, timeoutMs, signal }: RestoreOptions,
  ): Promise<void> {
    const commands = new Commands({ ...this.#options, type: "restoration" });
    const limits = { timeoutMs: timeoutMs ?? STEP_MS_MAX, ...(signal === undefined ? {} : { signal }) };
    const take = (step: RestorationStep): Promise<void> => commands.submit(encodeStep(step), checkTaken, limits);
    let isEnding = false;
    this.#open.add(commands);
    try {
      // Whether there is anybody to restore it is known sooner.
      const patience = { ...limits, timeoutMs: timeoutMs ?? this.#options.timeoutMs };
      await commands.submit(encodeStep({ type: "begin", force }), checkTaken, patience);
      const count = await takeAll(pieces, take);
      isEnding = true;
      await take({ type: "end", pieces: count });
    } catch (error) {
      if (isEnding) throw error;
      await commands.submit(encodeStep({ type: "abandon" }), () => {}, { timeoutMs: ABANDON_MS_MAX }).catch(() => {});
      // Whether a step was taken or not, without the last one nothing comes of it.
      throw hasCode(error, "UNKNOWN_OUTCOME") ? abandoned(error) : error;
    } finally {
      this.#open.delete(commands);
      commands.close();
    }
  }

  close(): void {
    for (const commands of this.#open) commands.close();
  }
}

/** How many there were. */
async function takeAll(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  take: (step: RestorationStep) => Promise<void>,
): Promise<number> {
  const onTheirWay = new Set<Promise<void>>();
  const failures: unknown[] = [];
  let count = 0;
  for await (const piece of pieces) {
    count++;
    checkBytes("piece", piece);
    for (const step of stepsFor(piece)) {
      while (onTheirWay.size >= AHEAD_MAX) await Promise.race(onTheirWay);
      if (failures.length > 0) throw failures[0];
      const taking = take(step)
        .catch((error: unknown) => void failures.push(error))
        .finally(() => onTheirWay.delete(taking));
      onTheirWay.add(taking);
    }
  }
  await Promise.all(onTheirWay);
  if (failures.length > 0) throw failures[0];
  return count;
}

function* stepsFor(piece: Uint8Array): Generator<RestorationStep> {
  let rest = piece;
  for (; rest.byteLength > PART_BYTES_MAX; rest = rest.subarray(PART_BYTES_MAX)) {
    yield { type: "part", bytes: rest.subarray(0, PART_BYTES_MAX) };
  }
  yield { type: "piece", bytes: rest };
}

/** @throws ConclaveError the refusal, if it was one */
function checkTaken(result: Uint8Array): void {
  const refusal = understood(result);
  if (refusal !== null) throw new ConclaveError(refusal.code, refusal.message);
}

function understood(result: Uint8Array): ReturnType<typeof decodeStepResult> {
  try {
    return decodeStepResult(result);
  } catch (cause) {
    throw new ConclaveError("UNKNOWN_OUTCOME", `The answer to a step makes no sense: ${messageOf(cause)}`, { cause });
  }
}

const abandoned = (cause: ConclaveError): ConclaveError =>
  new ConclaveError("RESTORE_ABANDONED", `The backup was not restored, and nothing was changed: ${cause.message}`, {
    cause,
  });
