/** The commands, queries and results of the key-value machine, as bytes. Used by its clients and by the machine. */

import { ByteReader, ByteWriter, textBytes } from "../bytes.ts";
import type { ErrorCode } from "../errors.ts";

/** What a key holds: text or bytes, given back as it was put. */
export type Value = string | Uint8Array;

/** The condition of a compare-and-swap: the key's present value, or its revision (0: there is no such key). */
export type Expected = { readonly value: Value } | { readonly revision: number };

export type KeyValueCommand =
  | { readonly op: "put"; readonly key: string; readonly value: Value }
  | { readonly op: "delete"; readonly key: string }
  | { readonly op: "cas"; readonly key: string; readonly expected: Expected; readonly value: Value }
  | { readonly op: "increment"; readonly key: string; readonly by: number }
  /** The limit travels with the command, so that replicas with different settings agree on the result. */
  | { readonly op: "append"; readonly key: string; readonly value: Value; readonly valueBytesMax: number };

/** What each command answers. Revisions count the changes of the whole store; a key's is that of its last change. */
export interface KeyValueResults {
  readonly put: { readonly revision: number };
  readonly delete: { readonly existed: boolean; readonly revision: number };
  readonly cas: { readonly swapped: boolean; readonly revision: number };
  readonly increment: { readonly value: number; readonly revision: number };
  readonly append: { readonly bytes: number; readonly revision: number };
}

type KeyValueOp = keyof KeyValueResults;

/** A command that can't be carried out changes nothing and says why. */
export interface Rejected {
  readonly code: ErrorCode;
  readonly message: string;
}

export type KeyValueQuery =
  | { readonly op: "get"; readonly key: string }
  | {
      readonly op: "list";
      readonly prefix: string;
      /** Keys up to and including this one are left out; "" for none. */
      readonly after: string;
      readonly limit: number;
    }
  | {
      readonly op: "changes";
      readonly prefix: string;
      readonly fromRevision: number;
      readonly limit: number;
    };

/** A key, what it holds, and the revision of its last change. */
export interface KeyValueEntry {
  readonly key: string;
  readonly value: Value;
  readonly revision: number;
}

/** Some of the keys, in order. */
export interface KeyValuePage {
  readonly entries: readonly KeyValueEntry[];
  /** There are more keys with the prefix, after the last one here. */
  readonly more: boolean;
  /** That of the whole store: a watch from the next one on misses nothing that came after this page. */
  readonly revision: number;
}

/** What became of a key. Each change of the store has a revision of its own, one more than that of the last. */
export type Change =
  | { readonly type: "put"; readonly key: string; readonly value: Value; readonly revision: number }
  | { readonly type: "delete"; readonly key: string; readonly revision: number };

/** Some of the changes, in order; or only from where on they are still to be had. */
export type ChangesPage =
  | { readonly type: "changes"; readonly changes: readonly Change[]; readonly nextRevision: number }
  | { readonly type: "compacted"; readonly firstRevision: number };

const Op = { put: 1, delete: 2, cas: 3, increment: 4, append: 5, get: 6, list: 7, changes: 8 } as const;
const Tag = { text: 0, bytes: 1, revision: 2, nothing: 3 } as const;

const encoder = new TextEncoder();

/** How many bytes a value takes. */
export const valueBytes = (value: Value): number =>
  typeof value === "string" ? encoder.encode(value).byteLength : value.byteLength;

function writeValue(writer: ByteWriter, value: Value): void {
  if (typeof value === "string") writer.u8(Tag.text).text(value);
  else writer.u8(Tag.bytes).bytes(value);
}

function readValue(reader: ByteReader, tag: number = reader.u8()): Value {
  if (tag === Tag.text) return reader.text();
  if (tag === Tag.bytes) return reader.bytes();
  throw new RangeError(`a value of kind ${tag} is not known`);
}

/** Signed, so that a counter can go down. */
function writeInteger(writer: ByteWriter, value: number): void {
  writer.u8(value < 0 ? 1 : 0).u53(Math.abs(value));
}

function readInteger(reader: ByteReader): number {
  const negative = reader.u8() === 1;
  const size = reader.u53();
  return negative && size !== 0 ? -size : size;
}

const encodedBytes = (value: Value): number => 5 + (typeof value === "string" ? textBytes(value) : value.byteLength);

/** How long a command is as bytes: most are, and the rest will grow. */
const commandBytes = (command: KeyValueCommand): number =>
  5 + textBytes(command.key) + ("value" in command ? encodedBytes(command.value) : 16);

export function encodeCommand(command: KeyValueCommand): Uint8Array {
  const writer = new ByteWriter(commandBytes(command)).u8(Op[command.op]).text(command.key);
  switch (command.op) {
    case "put":
      writeValue(writer, command.value);
      break;
    case "delete":
      break;
    case "cas":
      if ("value" in command.expected) writeValue(writer, command.expected.value);
      else writer.u8(Tag.revision).u53(command.expected.revision);
      writeValue(writer, command.value);
      break;
    case "increment":
      writeInteger(writer, command.by);
      break;
    case "append":
      writer.u53(command.valueBytesMax);
      writeValue(writer, command.value);
      break;
  }
  return writer.finish();
}

/** @throws RangeError, TypeError if the bytes are no command */
export function decodeCommand(bytes: Uint8Array): KeyValueCommand {
  const reader = new ByteReader(bytes);
  const command = readCommand(reader);
  reader.end();
  return command;
}

function readCommand(reader: ByteReader): KeyValueCommand {
  const op = reader.u8();
  const key = reader.text();
  switch (op) {
    case Op.put:
      return { op: "put", key, value: readValue(reader) };
    case Op.delete:
      return { op: "delete", key };
    case Op.cas: {
      const tag = reader.u8();
      const expected = tag === Tag.revision ? { revision: reader.u53() } : { value: readValue(reader, tag) };
      return { op: "cas", key, expected, value: readValue(reader) };
    }
    case Op.increment:
      return { op: "increment", key, by: readInteger(reader) };
    case Op.append:
      return { op: "append", key, valueBytesMax: reader.u53(), value: readValue(reader) };
    default:
      throw new RangeError(`a command of kind ${op} is not known`);
  }
}

export function encodeQuery(query: KeyValueQuery): Uint8Array {
  const writer = new ByteWriter(64).u8(Op[query.op]);
  switch (query.op) {
    case "get":
      writer.text(query.key);
      break;
    case "list":
      writer.text(query.prefix).text(query.after).u32(query.limit);
      break;
    case "changes":
      writer.text(query.prefix).u53(query.fromRevision).u32(query.limit);
      break;
  }
  return writer.finish();
}

/** The longest page, in entries or changes. */
export const LIST_LIMIT_MAX = 10_000;

/** @throws RangeError, TypeError if the bytes are no query */
export function decodeQuery(bytes: Uint8Array): KeyValueQuery {
  const reader = new ByteReader(bytes);
  const query = readQuery(reader);
  reader.end();
  return query;
}

function readQuery(reader: ByteReader): KeyValueQuery {
  const op = reader.u8();
  const text = reader.text();
  switch (op) {
    case Op.get:
      return { op: "get", key: text };
    case Op.list:
      return { op: "list", prefix: text, after: reader.text(), limit: reader.u32() };
    case Op.changes:
      return { op: "changes", prefix: text, fromRevision: reader.u53(), limit: reader.u32() };
    default:
      throw new RangeError(`a query of kind ${op} is not known`);
  }
}

const Status = { done: 0, rejected: 1 } as const;

export function encodeRejected({ code, message }: Rejected): Uint8Array {
  return new ByteWriter(64).u8(Status.rejected).text(code).text(message).finish();
}

/** A result stays in memory until its client has it, one for each command: it takes no more room than it needs. */
const RESULT_BYTES = { put: 9, delete: 10, cas: 10, increment: 18, append: 17 } as const satisfies Record<
  KeyValueOp,
  number
>;

export function encodeResult<Op extends KeyValueOp>(op: Op, result: KeyValueResults[Op]): Uint8Array;
export function encodeResult(op: KeyValueOp, result: KeyValueResults[KeyValueOp]): Uint8Array {
  const writer = new ByteWriter(RESULT_BYTES[op]).u8(Status.done).u53(result.revision);
  if ("existed" in result) writer.u8(result.existed ? 1 : 0);
  else if ("swapped" in result) writer.u8(result.swapped ? 1 : 0);
  else if ("value" in result) writeInteger(writer, result.value);
  else if ("bytes" in result) writer.u53(result.bytes);
  else if (op !== "put") throw new TypeError(`that is no result of ${op}`);
  return writer.finish();
}

/** How the fields after the revision are read, by command. */
const READ_RESULT: { readonly [Op in KeyValueOp]: (reader: ByteReader, revision: number) => KeyValueResults[Op] } = {
  put: (_reader, revision) => ({ revision }),
  delete: (reader, revision) => ({ existed: reader.u8() === 1, revision }),
  cas: (reader, revision) => ({ swapped: reader.u8() === 1, revision }),
  increment: (reader, revision) => ({ value: readInteger(reader), revision }),
  append: (reader, revision) => ({ bytes: reader.u53(), revision }),
};

/**
 * @returns the result, or why the command was rejected; the code is whatever the machine sent
 * @throws RangeError, TypeError if the bytes are no result
 */
export function decodeResult<Op extends KeyValueOp>(
  op: Op,
  bytes: Uint8Array,
): KeyValueResults[Op] | { readonly code: string; readonly message: string } {
  const reader = new ByteReader(bytes);
  const status = reader.u8();
  if (status > Status.rejected) throw new RangeError(`a result of kind ${status} is not known`);
  const result =
    status === Status.rejected
      ? { code: reader.text(), message: reader.text() }
      : READ_RESULT[op](reader, reader.u53());
  reader.end();
  return result;
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

export function encodePage({ entries, more, revision }: KeyValuePage): Uint8Array {
  const writer = new ByteWriter(256)
    .u8(more ? 1 : 0)
    .u53(revision)
    .u32(entries.length);
  for (const entry of entries) writeEntry(writer, entry);
  return writer.finish();
}

/** @throws RangeError, TypeError if the bytes are no page */
export function decodePage(bytes: Uint8Array): KeyValuePage {
  const reader = new ByteReader(bytes);
  const more = reader.u8() === 1;
  const revision = reader.u53();
  const count = reader.u32();
  const entries: KeyValueEntry[] = [];
  for (let i = 0; i < count; i++) entries.push(readEntry(reader));
  reader.end();
  return { entries, more, revision };
}

export function writeChange(writer: ByteWriter, change: Change): void {
  writer.text(change.key).u53(change.revision);
  if (change.type === "put") writeValue(writer, change.value);
  else writer.u8(Tag.nothing);
}

export function readChange(reader: ByteReader): Change {
  const key = reader.text();
  const revision = reader.u53();
  const tag = reader.u8();
  return tag === Tag.nothing
    ? { type: "delete", key, revision }
    : { type: "put", key, value: readValue(reader, tag), revision };
}

const PageKind = { changes: 0, compacted: 1 } as const;

export function encodeChanges(page: ChangesPage): Uint8Array {
  const writer = new ByteWriter(64).u8(PageKind[page.type]);
  if (page.type === "compacted") return writer.u53(page.firstRevision).finish();
  writer.u53(page.nextRevision).u32(page.changes.length);
  for (const change of page.changes) writeChange(writer, change);
  return writer.finish();
}

/** @throws RangeError, TypeError if the bytes are no page of changes */
export function decodeChanges(bytes: Uint8Array): ChangesPage {
  const reader = new ByteReader(bytes);
  const kind = reader.u8();
  if (kind !== PageKind.changes && kind !== PageKind.compacted) {
    throw new RangeError(`a page of kind ${kind} is not known`);
  }
  const revision = reader.u53();
  const changes: Change[] = [];
  if (kind === PageKind.changes) for (let left = reader.u32(); left > 0; left--) changes.push(readChange(reader));
  reader.end();
  return kind === PageKind.changes
    ? { type: "changes", changes, nextRevision: revision }
    : { type: "compacted", firstRevision: revision };
}
