/**
 * How machines that share a log are spoken to, by name: what a call, its result, and a page of changes are as bytes.
 * Used by their clients and by the machines.
 */

import { ByteReader, ByteWriter } from "../bytes.ts";
import { ConclaveError } from "../errors.ts";
import { readValue, writeValue } from "./value-codec.ts";

/** No command of the machine that has no name begins with it. */
export const NAMED = 0;

/** What is asked of a machine. */
export type Call = {
  /** That of the definition by which the caller goes. */
  readonly version: number;
} & (
  | { readonly type: "command" | "query"; readonly name: string; readonly args: unknown }
  /** Changes from a revision on: a question that waits for its answer. 0: only which revision comes next. */
  | {
      readonly type: "changes";
      /** Null for those of every topic. */
      readonly topic: string | null;
      readonly fromRevision: number;
      readonly limit: number;
    }
);

const Kind = { command: 1, query: 2, changes: 3 } as const;

/** @throws TypeError if the arguments can't be stored */
export function encodeCall(machine: string, call: Call): Uint8Array {
  const writer = new ByteWriter(128).u8(NAMED).text(machine).u8(Kind[call.type]).u32(call.version);
  if (call.type === "changes") {
    const { topic, fromRevision, limit } = call;
    writer
      .u53(fromRevision)
      .u32(limit)
      .u8(topic === null ? 0 : 1);
    return writer.text(topic ?? "").finish();
  }
  writer.text(call.name);
  writeValue(writer, call.args);
  return writer.finish();
}

/** Whom the bytes are for, and the rest of them; null if they are for the machine that has no name. @throws RangeError */
export function addressee(bytes: Uint8Array): { readonly machine: string; readonly rest: Uint8Array } | null {
  if (bytes[0] !== NAMED) return null;
  const reader = new ByteReader(bytes);
  reader.skip(1);
  const machine = reader.text();
  return { machine, rest: reader.raw(reader.remaining) };
}

/** @throws RangeError, TypeError if the bytes are no call */
export function decodeCall(rest: Uint8Array): Call {
  const reader = new ByteReader(rest);
  const call = readCall(reader);
  reader.end();
  return call;
}

function readCall(reader: ByteReader): Call {
  const kind = reader.u8();
  const version = reader.u32();
  switch (kind) {
    case Kind.command:
    case Kind.query: {
      const type = kind === Kind.command ? "command" : "query";
      return { type, version, name: reader.text(), args: readValue(reader) };
    }
    case Kind.changes:
      return { type: "changes", version, fromRevision: reader.u53(), limit: reader.u32(), topic: readTopic(reader) };
    default:
      throw new RangeError(`a call of kind ${kind} is not known`);
  }
}

function readTopic(reader: ByteReader): string | null {
  const isGiven = reader.u8() === 1;
  const topic = reader.text();
  return isGiven ? topic : null;
}

/** Why a machine refused a call: a reason of its own, or that it is not there in that version. */
export interface CallRefusal {
  readonly type: "rejected" | "inactive";
  /** The machine's word for the reason; for "inactive" its name. */
  readonly code: string;
  readonly message: string;
  readonly details: unknown;
}

export type CallResult = { readonly type: "done"; readonly value: unknown } | CallRefusal;

const Status = { done: 0, rejected: 1, inactive: 2 } as const;

/** @throws TypeError if the value, or the details, can't be stored */
export function encodeCallResult(result: CallResult): Uint8Array {
  const writer = new ByteWriter(64).u8(Status[result.type]);
  if (result.type === "done") writeValue(writer, result.value);
  else {
    writer.text(result.code).text(result.message);
    writeValue(writer, result.details);
  }
  return writer.finish();
}

/** @throws RangeError, TypeError if the bytes are no result */
export function decodeCallResult(bytes: Uint8Array): CallResult {
  const reader = new ByteReader(bytes);
  const result = readCallResult(reader);
  reader.end();
  return result;
}

function readCallResult(reader: ByteReader): CallResult {
  const status = reader.u8();
  if (status === Status.done) return { type: "done", value: readValue(reader) };
  const type = status === Status.rejected ? "rejected" : "inactive";
  if (status > Status.inactive) throw new RangeError(`a result of kind ${status} is not known`);
  const code = reader.text();
  const message = reader.text();
  return { type, code, message, details: readValue(reader) };
}

/** The machine has no such version, or is not there at all. */
export const inactive = (machine: string, message: string): CallRefusal => ({
  type: "inactive",
  code: machine,
  message,
  details: undefined,
});

/** What a refusal is to the one who called. */
export function refusalError({ type, code, message, details }: CallRefusal): ConclaveError {
  if (type === "inactive") return new ConclaveError("MACHINE_INACTIVE", message, { details: { machine: code } });
  return new ConclaveError("REJECTED", message, { details: { reason: code, details } });
}

/** A change as the machine keeps it. */
export interface KeptChange {
  readonly revision: number;
  readonly topic: string;
  readonly bytes: Uint8Array;
}

/** Some changes, in order, and the revision after the last of them; or only from where on they are still to be had. */
export type TypedChangesPage =
  | { readonly type: "changes"; readonly changes: readonly KeptChange[]; readonly nextRevision: number }
  | { readonly type: "compacted"; readonly firstRevision: number }
  | { readonly type: "inactive"; readonly message: string };

const Page = { changes: 0, compacted: 1, inactive: 2 } as const;

export function encodeTypedChanges(page: TypedChangesPage): Uint8Array {
  const writer = new ByteWriter(64).u8(Page[page.type]);
  if (page.type === "compacted") return writer.u53(page.firstRevision).finish();
  if (page.type === "inactive") return writer.text(page.message).finish();
  writer.u53(page.nextRevision).u32(page.changes.length);
  for (const { revision, topic, bytes } of page.changes) writer.u53(revision).text(topic).bytes(bytes);
  return writer.finish();
}

/** @throws RangeError, TypeError if the bytes are no page of changes */
export function decodeTypedChanges(bytes: Uint8Array): TypedChangesPage {
  const reader = new ByteReader(bytes);
  const kind = reader.u8();
  const page = readPage(kind, reader);
  reader.end();
  return page;
}

/** The answer to whatever is asked of a machine that is not there. */
export const absent = (rest: Uint8Array, refusal: CallRefusal): Uint8Array =>
  rest[0] === Kind.changes
    ? encodeTypedChanges({ type: "inactive", message: refusal.message })
    : encodeCallResult(refusal);

function readPage(kind: number, reader: ByteReader): TypedChangesPage {
  switch (kind) {
    case Page.compacted:
      return { type: "compacted", firstRevision: reader.u53() };
    case Page.inactive:
      return { type: "inactive", message: reader.text() };
    case Page.changes: {
      const nextRevision = reader.u53();
      const changes: KeptChange[] = [];
      for (let left = reader.u32(); left > 0; left--) {
        changes.push({ revision: reader.u53(), topic: reader.text(), bytes: reader.bytes() });
      }
      return { type: "changes", changes, nextRevision };
    }
    default:
      throw new RangeError(`a page of kind ${kind} is not known`);
  }
}
