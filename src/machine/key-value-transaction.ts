/**
 * Transactions on the key-value machine, as bytes: conditions on keys, the operations that are done if all of them hold,
 * and those that are done if not; and what became of them.
 */

import { ByteReader, ByteWriter } from "../bytes.ts";
import {
  type KeyValueEntry,
  type KeyValueResults,
  Op,
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

/** How what a key has stands to what a condition names. */
export type Relation = "equal" | "not" | "less" | "greater";

/** On a key's value, or on its revision; that of a key that is not there is 0. */
export type Condition =
  | { readonly key: string; readonly relation: Relation; readonly value: Value }
  | { readonly key: string; readonly relation: Relation; readonly revision: number };

/** A part of a transaction. */
export type Operation =
  | { readonly op: "get"; readonly key: string }
  | { readonly op: "put"; readonly key: string; readonly value: Value }
  | { readonly op: "delete"; readonly key: string }
  | { readonly op: "increment"; readonly key: string; readonly by: number }
  | { readonly op: "append"; readonly key: string; readonly value: Value };

/** In the words of etcd. The limits travel with the command, so that replicas with different settings agree. */
export interface TransactionCommand {
  readonly op: "transaction";
  readonly compare: readonly Condition[];
  readonly success: readonly Operation[];
  readonly failure: readonly Operation[];
  /** What a key may hold after an append. */
  readonly valueBytesMax: number;
  /** What all that is changed may take, and as much again all that is answered. */
  readonly bytesMax: number;
}

type Branches = Pick<TransactionCommand, "success" | "failure">;

/** How many conditions a transaction may have, and how many operations of either kind; so it is with etcd. */
export const TRANSACTION_LENGTH_MAX = 128;
/** Whatever limits a command brings along, it changes and answers no more than this. */
export const TRANSACTION_BYTES_MAX = 16 * 1024 * 1024;

/** What one operation answers; null is that of a get that found nothing. */
export type OperationResult = KeyValueResults[Exclude<Operation["op"], "get">] | KeyValueEntry | null;

export interface TransactionOutcome {
  /** All conditions held. */
  readonly succeeded: boolean;
  /** One for each operation that was done. */
  readonly results: readonly OperationResult[];
  /** That of the whole store, after it. */
  readonly revision: number;
}

const RELATIONS = ["equal", "not", "less", "greater"] as const satisfies readonly Relation[];
const Found = { nothing: 0, entry: 1 } as const;

/** What follows the byte that says that it is one. */
export function writeTransaction(writer: ByteWriter, command: TransactionCommand): void {
  writer.u53(command.valueBytesMax).u53(command.bytesMax);
  writeEach(writer, command.compare, writeCondition);
  writeEach(writer, command.success, writeOperation);
  writeEach(writer, command.failure, writeOperation);
}

/** @throws RangeError, TypeError if the bytes are no transaction, or a longer one than there may be */
export function readTransaction(reader: ByteReader): TransactionCommand {
  const valueBytesMax = reader.u53();
  const bytesMax = reader.u53();
  const compare = readEach(reader, readCondition);
  const success = readEach(reader, readOperation);
  return { op: "transaction", compare, success, failure: readEach(reader, readOperation), valueBytesMax, bytesMax };
}

function writeCondition(writer: ByteWriter, condition: Condition): void {
  writer.text(condition.key).u8(RELATIONS.indexOf(condition.relation));
  if ("value" in condition) writeValue(writer, condition.value);
  else writer.u8(Tag.revision).u53(condition.revision);
}

function readCondition(reader: ByteReader): Condition {
  const key = reader.text();
  const kind = reader.u8();
  const relation = RELATIONS[kind];
  if (relation === undefined) throw new RangeError(`a relation of kind ${kind} is not known`);
  const tag = reader.u8();
  return tag === Tag.revision
    ? { key, relation, revision: reader.u53() }
    : { key, relation, value: readValue(reader, tag) };
}

function writeOperation(writer: ByteWriter, operation: Operation): void {
  writer.u8(Op[operation.op]).text(operation.key);
  if ("value" in operation) writeValue(writer, operation.value);
  else if (operation.op === "increment") writeInteger(writer, operation.by);
}

function readOperation(reader: ByteReader): Operation {
  const op = reader.u8();
  const key = reader.text();
  switch (op) {
    case Op.get:
      return { op: "get", key };
    case Op.put:
      return { op: "put", key, value: readValue(reader) };
    case Op.delete:
      return { op: "delete", key };
    case Op.increment:
      return { op: "increment", key, by: readInteger(reader) };
    case Op.append:
      return { op: "append", key, value: readValue(reader) };
    default:
      throw new RangeError(`an operation of kind ${op} is not known`);
  }
}

/** Which operations were done is known from `succeeded`: of each only the result is written. */
export function encodeTransactionOutcome(
  { success, failure }: Branches,
  { succeeded, revision, results }: TransactionOutcome,
): Uint8Array {
  const writer = new ByteWriter(64)
    .u8(Status.done)
    .u8(succeeded ? 1 : 0)
    .u53(revision);
  for (const [i, { op }] of (succeeded ? success : failure).entries()) writeOperationResult(writer, op, results[i]);
  return writer.finish();
}

function writeOperationResult(writer: ByteWriter, op: Operation["op"], result: OperationResult | undefined): void {
  if (result === undefined) throw new TypeError("an operation has no result");
  if (result === null) writer.u8(Found.nothing);
  else if ("key" in result) writeEntry(writer.u8(Found.entry), result);
  else if (op !== "get") writeResult(writer, op, result);
  else throw new TypeError("that is no result of get");
}

/**
 * @returns what became of it, or why it was rejected; the code is whatever the machine sent
 * @throws RangeError, TypeError if the bytes are no outcome of that transaction
 */
export function decodeTransactionOutcome(
  branches: Branches,
  bytes: Uint8Array,
): TransactionOutcome | { readonly code: string; readonly message: string } {
  const reader = new ByteReader(bytes);
  const outcome = readRejected(reader) ?? readOutcome(reader, branches);
  reader.end();
  return outcome;
}

function readOutcome(reader: ByteReader, { success, failure }: Branches): TransactionOutcome {
  const succeeded = reader.u8() === 1;
  const revision = reader.u53();
  const results = (succeeded ? success : failure).map(({ op }) => readOperationResult(reader, op));
  return { succeeded, results, revision };
}

function readOperationResult(reader: ByteReader, op: Operation["op"]): OperationResult {
  if (op !== "get") return readResult(reader, op);
  const found = reader.u8();
  if (found > Found.entry) throw new RangeError(`an answer of kind ${found} is not known`);
  return found === Found.entry ? readEntry(reader) : null;
}

/** A count and as many items: a byte is enough for it. */
function writeEach<Item>(
  writer: ByteWriter,
  items: readonly Item[],
  write: (writer: ByteWriter, item: Item) => void,
): void {
  if (items.length > TRANSACTION_LENGTH_MAX) throw tooLong(items.length);
  writer.u8(items.length);
  for (const item of items) write(writer, item);
}

function readEach<Item>(reader: ByteReader, read: (reader: ByteReader) => Item): Item[] {
  const items: Item[] = [];
  const count = reader.u8();
  if (count > TRANSACTION_LENGTH_MAX) throw tooLong(count);
  for (let left = count; left > 0; left--) items.push(read(reader));
  return items;
}

const tooLong = (count: number): RangeError =>
  new RangeError(
    `a transaction has at most ${TRANSACTION_LENGTH_MAX} conditions and operations of a kind, not ${count}`,
  );
