/** What the messages of the key-value machine are made of: values, entries, and the results of single operations. */

import { type ByteReader, ByteWriter, textBytes } from "../bytes.ts";
import type { ErrorCode } from "../errors.ts";

/**
 * What a key holds: text or bytes, given back as it was put.
 *
 * @example
 * ```ts
 * import type { Value } from "conclave/client";
 *
 * const textOf = (value: Value): string => (typeof value === "string" ? value : new TextDecoder().decode(value));
 * await client.put("drink", Uint8Array.of(116, 101, 97));
 * console.log(textOf((await client.get("drink"))?.value ?? "")); // tea
 * ```
 */
export type Value = string | Uint8Array;

/**
 * A key, what it holds, and the revision of its last change.
 *
 * @example
 * ```ts
 * import type { KeyValueEntry } from "conclave/client";
 *
 * const inWords = ({ key, value }: KeyValueEntry): string => `${key} is ${value}`;
 * for (const entry of (await client.list("flags/")).entries) console.log(inWords(entry));
 * ```
 */
export interface KeyValueEntry {
  readonly key: string;
  readonly value: Value;
  readonly revision: number;
}

/**
 * What each command answers. Revisions count the changes of the whole store; a key's is that of its last change.
 *
 * @example
 * ```ts
 * import type { KeyValueResults } from "conclave/client";
 *
 * const { value, revision }: KeyValueResults["increment"] = await client.increment("visits");
 * ```
 */
export interface KeyValueResults {
  readonly put: { readonly revision: number };
  readonly delete: { readonly existed: boolean; readonly revision: number };
  readonly cas: { readonly swapped: boolean; readonly revision: number };
  readonly increment: { readonly value: number; readonly revision: number };
  readonly append: { readonly bytes: number; readonly revision: number };
}

export type KeyValueOp = keyof KeyValueResults;

/** A command that can't be carried out changes nothing and says why. */
export interface Rejected {
  readonly code: ErrorCode;
  readonly message: string;
}

/** What is asked for, by the first byte. */
export const Op = {
  put: 1,
  delete: 2,
  cas: 3,
  increment: 4,
  append: 5,
  get: 6,
  list: 7,
  changes: 8,
  transaction: 9,
} as const;

/** What kind of value follows, or what stands in its place. */
export const Tag = { text: 0, bytes: 1, revision: 2, nothing: 3 } as const;

/** How many bytes a value takes. */
export const valueBytes = (value: Value): number => (typeof value === "string" ? textBytes(value) : value.byteLength);

export function writeValue(writer: ByteWriter, value: Value): void {
  if (typeof value === "string") writer.u8(Tag.text).text(value);
  else writer.u8(Tag.bytes).bytes(value);
}

export function readValue(reader: ByteReader, tag: number = reader.u8()): Value {
  if (tag === Tag.text) return reader.text();
  if (tag === Tag.bytes) return reader.bytes();
  throw new RangeError(`a value of kind ${tag} is not known`);
}

/** Signed, so that a counter can go down. */
export function writeInteger(writer: ByteWriter, value: number): void {
  writer.u8(value < 0 ? 1 : 0).u53(Math.abs(value));
}

export function readInteger(reader: ByteReader): number {
  const negative = reader.u8() === 1;
  const size = reader.u53();
  return negative && size !== 0 ? -size : size;
}

export function writeEntry(writer: ByteWriter, { key, value, revision }: KeyValueEntry): void {
  writer.text(key).u53(revision);
  writeValue(writer, value);
}

export function readEntry(reader: ByteReader): KeyValueEntry {
  const key = reader.text();
  const revision = reader.u53();
  return { key, revision, value: readValue(reader) };
}

/** How an answer to a command begins. */
export const Status = { done: 0, rejected: 1 } as const;

export function encodeRejected({ code, message }: Rejected): Uint8Array {
  return new ByteWriter(64).u8(Status.rejected).text(code).text(message).finish();
}

/** Why a command was rejected, as the machine sent it; null if it was done, and its result follows. @throws RangeError */
export function readRejected(reader: ByteReader): { readonly code: string; readonly message: string } | null {
  const status = reader.u8();
  if (status > Status.rejected) throw new RangeError(`a result of kind ${status} is not known`);
  return status === Status.rejected ? { code: reader.text(), message: reader.text() } : null;
}

/** How long each result is as bytes. */
export const RESULT_BYTES = { put: 8, delete: 9, cas: 9, increment: 17, append: 16 } as const satisfies Record<
  KeyValueOp,
  number
>;

export function writeResult(writer: ByteWriter, op: KeyValueOp, result: KeyValueResults[KeyValueOp]): void {
  writer.u53(result.revision);
  if ("existed" in result) writer.u8(result.existed ? 1 : 0);
  else if ("swapped" in result) writer.u8(result.swapped ? 1 : 0);
  else if ("value" in result) writeInteger(writer, result.value);
  else if ("bytes" in result) writer.u53(result.bytes);
  else if (op !== "put") throw new TypeError(`that is no result of ${op}`);
}

export const readResult = <Op extends KeyValueOp>(reader: ByteReader, op: Op): KeyValueResults[Op] =>
  READ_RESULT[op](reader, reader.u53());

/** How the fields after the revision are read, by command. */
const READ_RESULT: { readonly [Op in KeyValueOp]: (reader: ByteReader, revision: number) => KeyValueResults[Op] } = {
  put: (_reader, revision) => ({ revision }),
  delete: (reader, revision) => ({ existed: reader.u8() === 1, revision }),
  cas: (reader, revision) => ({ swapped: reader.u8() === 1, revision }),
  increment: (reader, revision) => ({ value: readInteger(reader), revision }),
  append: (reader, revision) => ({ bytes: reader.u53(), revision }),
};
