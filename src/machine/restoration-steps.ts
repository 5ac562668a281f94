/**
 * How the contents of a backup come through the log: as steps of one client's session, which makes each of them take
 * effect once and in order, whatever becomes of leaders meanwhile.
 */

import { ByteReader, ByteWriter } from "../bytes.ts";
import { type ErrorCode, isErrorCode } from "../errors.ts";

/** One step of the restoring of a backup. */
export type RestorationStep =
  /** Another one that is under way is abandoned. Unless forced, it is refused where there is something to replace. */
  | { readonly type: "begin"; readonly force: boolean }
  /** The next piece of the machine's state, or the last part of one. */
  | { readonly type: "piece"; readonly bytes: Uint8Array }
  /** A part of a piece that goes on in the next step: a message has a bound, and a piece has none. */
  | { readonly type: "part"; readonly bytes: Uint8Array }
  /** The state takes the place of the one there is, if so many pieces have come. */
  | { readonly type: "end"; readonly pieces: number }
  | { readonly type: "abandon" };

/** Why a step was refused. What was there is untouched, and the restoring is over. */
export interface StepRefusal {
  readonly code: ErrorCode;
  readonly message: string;
}

const Kind = { begin: 1, piece: 2, part: 3, end: 4, abandon: 5 } as const;
const Result = { done: 0, refused: 1 } as const;

/** What a step adds to the bytes that it brings. */
const OVERHEAD_BYTES = 16;

export function encodeStep(step: RestorationStep): Uint8Array {
  const writer = new ByteWriter(OVERHEAD_BYTES + ("bytes" in step ? step.bytes.byteLength : 0)).u8(Kind[step.type]);
  switch (step.type) {
    case "begin":
      return writer.u8(step.force ? 1 : 0).finish();
    case "piece":
    case "part":
      return writer.raw(step.bytes).finish();
    case "end":
      return writer.u53(step.pieces).finish();
    case "abandon":
      return writer.finish();
  }
}

/** The bytes of a piece are a slice, not a copy. @throws RangeError if the bytes are no step */
export function decodeStep(bytes: Uint8Array): RestorationStep {
  const reader = new ByteReader(bytes);
  const step = readStep(reader);
  reader.end();
  return step;
}

function readStep(reader: ByteReader): RestorationStep {
  const kind = reader.u8();
  switch (kind) {
    case Kind.begin:
      return { type: "begin", force: reader.u8() === 1 };
    case Kind.piece:
      return { type: "piece", bytes: reader.raw(reader.remaining) };
    case Kind.part:
      return { type: "part", bytes: reader.raw(reader.remaining) };
    case Kind.end:
      return { type: "end", pieces: reader.u53() };
    case Kind.abandon:
      return { type: "abandon" };
    default:
      throw new RangeError(`a step of kind ${kind} is not known`);
  }
}

/** @param refusal null if the step was taken */
export const encodeStepResult = (refusal: StepRefusal | null): Uint8Array =>
  refusal === null
    ? new ByteWriter(1).u8(Result.done).finish()
    : new ByteWriter(64).u8(Result.refused).text(refusal.code).text(refusal.message).finish();

/** Null if the step was taken. @throws RangeError if the bytes are no result */
export function decodeStepResult(bytes: Uint8Array): StepRefusal | null {
  const reader = new ByteReader(bytes);
  const kind = reader.u8();
  if (kind === Result.done) {
    reader.end();
    return null;
  }
  if (kind !== Result.refused) throw new RangeError(`a result of kind ${kind} is not known`);
  const [code, message] = [reader.text(), reader.text()];
  reader.end();
  if (!isErrorCode(code)) throw new RangeError(`${code} is no code`);
  return { code, message };
}
