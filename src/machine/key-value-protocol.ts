/** The commands, queries and results of the key-value machine, as bytes. Used by its clients and by the machine. */

import { ByteReader, ByteWriter } from "../bytes.ts";
import {
  type KeyValueEntry,
  type KeyValueOp,
  type KeyValueResults,
  Op,
  RESULT_BYTES,
  readEntry,
  readInteger,
  readRejected,
  readResult,
  readValue,
  Status,
  Tag,
  type Value,
  writeEntry,
  writeInteger,
  writeResult,
  writeValue,
} from "./key-value-parts.ts";
import { readTransaction, type TransactionCommand, writeTransaction } from "./key-value-transaction.ts";

export {
  encodeRejected,
  type KeyValueEntry,
  type KeyValueResults,
  type Rejected,
  readEntry,
  type Value,
  valueBytes,
  writeEntry,
} from "./key-value-parts.ts";

/**
 * The condition of a compare-and-swap: the key's present value, or its revision (0: there is no such key).
 *
 * @example
 * ```ts
 * import type { Expected } from "conclave/client";
 *
 * const isNew: Expected = { revision: 0 };
 * const { swapped } = await client.cas("owner", isNew, "me");
 * ```
 */
export type Expected = { readonly value: Value } | { readonly revision: number };

/** A command of one key; of several, there are transactions. */
export type KeyValueCommand =
  | { readonly op: "put"; readonly key: string; readonly value: Value }
  | { readonly op: "delete"; readonly key: string }
  | { readonly op: "cas"; readonly key: string; readonly expected: Expected; readonly value: Value }
  | { readonly op: "increment"; readonly key: string; readonly by: number }
  /** The limit travels with the command, so that replicas with different settings agree on the result. */
  | { readonly op: "append"; readonly key: string; readonly value: Value; readonly valueBytesMax: number };

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

/**
 * Some of the keys, in order.
 *
 * @example
 * ```ts
 * import type { KeyValuePage } from "conclave/client";
 *
 * let page: KeyValuePage | null = null;
 * do {
 *   page = await client.list("jobs/", { after: page?.entries.at(-1)?.key ?? "" });
 *   for (const { key } of page.entries) console.log(key);
 * } while (page.more);
 * ```
 */
export interface KeyValuePage {
  readonly entries: readonly KeyValueEntry[];
  /** There are more keys with the prefix, after the last one here. */
  readonly more: boolean;
  /** That of the whole store: a watch from the next one on misses nothing that came after this page. */
  readonly revision: number;
}

/**
 * What became of a key. Each change of the store has a revision of its own, one more than that of the last.
 *
 * @example
 * ```ts
 * import type { Change } from "conclave/client";
 *
 * const valueIn = (change: Change): string => (change.type === "put" ? `${change.value}` : "gone");
 * const { revision } = await client.put("flags/dark", "on");
 * for await (const change of client.watch("flags/", { fromRevision: revision })) {
 *   console.log(change.key, valueIn(change)); // flags/dark on
 *   break;
 * }
 * ```
 */
export type Change = (
  | { readonly type: "put"; readonly key: string; readonly value: Value; readonly revision: number }
  | { readonly type: "delete"; readonly key: string; readonly revision: number }
) & {
  /** The change that comes next was made by the same transaction. */
  readonly more?: true;
};

/** Some of the changes, in order; or only from where on they are still to be had. */
export type ChangesPage =
  | { readonly type: "changes"; readonly changes: readonly Change[]; readonly nextRevision: number }
  | { readonly type: "compacted"; readonly firstRevision: number };

/** How long a command is as bytes: most are of ASCII, and no "cas" or "append"; the rest will grow. */
const commandBytes = (command: KeyValueCommand): number =>
  5 + command.key.length + ("value" in command ? 5 + command.value.length : 16);

/** @throws RangeError if it is a transaction that is too long */
export function encodeCommand(command: KeyValueCommand | TransactionCommand): Uint8Array {
  if (command.op === "transaction") {
    const writer = new ByteWriter(256).u8(Op.transaction);
    writeTransaction(writer, command);
    return writer.finish();
  }
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
export function decodeCommand(bytes: Uint8Array): KeyValueCommand | TransactionCommand {
  const reader = new ByteReader(bytes);
  const command = readCommand(reader);
  reader.end();
  return command;
}

function readCommand(reader: ByteReader): KeyValueCommand | TransactionCommand {
  const op = reader.u8();
  if (op === Op.transaction) return readTransaction(reader);
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

/** A result stays in memory until its client has it, one for each command: it takes no more room than it needs. */
export function encodeResult<Op extends KeyValueOp>(op: Op, result: KeyValueResults[Op]): Uint8Array {
  const writer = new ByteWriter(1 + RESULT_BYTES[op]).u8(Status.done);
  writeResult(writer, op, result);
  return writer.finish();
}

/**
 * @returns the result, or why the command was rejected; the code is whatever the machine sent
 * @throws RangeError, TypeError if the bytes are no result
 */
export function decodeResult<Op extends KeyValueOp>(
  op: Op,
  bytes: Uint8Array,
): KeyValueResults[Op] | { readonly code: string; readonly message: string } {
  const reader = new ByteReader(bytes);
  const result = readRejected(reader) ?? readResult(reader, op);
  reader.end();
  return result;
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

/** Beside the kind of value. */
const MORE = 0x80;

export function writeChange(writer: ByteWriter, change: Change): void {
  writer.text(change.key).u53(change.revision);
  const more = change.more === true ? MORE : 0;
  if (change.type === "delete") writer.u8(Tag.nothing | more);
  else if (typeof change.value === "string") writer.u8(Tag.text | more).text(change.value);
  else writer.u8(Tag.bytes | more).bytes(change.value);
}

export function readChange(reader: ByteReader): Change {
  const key = reader.text();
  const revision = reader.u53();
  const kind = reader.u8();
  const tag = kind & ~MORE;
  const change: Change =
    tag === Tag.nothing
      ? { type: "delete", key, revision }
      : { type: "put", key, value: readValue(reader, tag), revision };
  return kind === tag ? change : { ...change, more: true };
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
