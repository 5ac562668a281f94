/**
 * What a transaction comes to in a state, found out without touching it: so that one which fails halfway has changed
 * nothing.
 */

import { areEqual, compared, extended, increased, quoted } from "./key-value-arithmetic.ts";
import { type KeyValueEntry, type Rejected, type Value, valueBytes } from "./key-value-parts.ts";
import {
  type Condition,
  type Operation,
  type OperationResult,
  TRANSACTION_BYTES_MAX,
  type TransactionCommand,
  type TransactionOutcome,
} from "./key-value-transaction.ts";

/** The state that it finds. */
export interface Present {
  get(key: string): KeyValueEntry | undefined;
}

/** What it makes of a key; null removes it. */
export interface PlannedChange {
  readonly key: string;
  readonly value: Value | null;
}

type Changing = Exclude<Operation, { readonly op: "get" }>;

export class TransactionPlan {
  /** What is to be changed, in order, each with the next revision. */
  readonly changes: PlannedChange[] = [];
  readonly #command: TransactionCommand;
  readonly #present: Present;
  readonly #bytesMax: number;
  /** What the keys hold that an operation before has changed; null for nothing. */
  readonly #changed = new Map<string, KeyValueEntry | null>();
  #revision: number;
  #changedBytes = 0;
  #answeredBytes = 0;

  /** @param revision that of the store before it */
  constructor(command: TransactionCommand, present: Present, revision: number) {
    this.#command = command;
    this.#present = present;
    this.#revision = revision;
    this.#bytesMax = Math.min(command.bytesMax, TRANSACTION_BYTES_MAX);
  }

  /** What it answers once the changes are made, or why none must be. To be called once. */
  make(): TransactionOutcome | Rejected {
    const { compare, success, failure } = this.#command;
    const succeeded = compare.every((condition) => holds(condition, this.#present.get(condition.key)));
    const results: OperationResult[] = [];
    for (const operation of succeeded ? success : failure) {
      const result = operation.op === "get" ? this.#read(operation.key) : this.#change(operation);
      if (result !== null && "code" in result) return result;
      results.push(result);
    }
    return { succeeded, results, revision: this.#revision };
  }

  #read(key: string): OperationResult | Rejected {
    const entry = this.#entry(key);
    if (entry !== null) this.#answeredBytes += sizeOf(key, entry.value);
    return this.#answeredBytes > this.#bytesMax ? tooMuch("ANSWER_TOO_LARGE", "read", this.#bytesMax) : entry;
  }

  #change(operation: Changing): OperationResult | Rejected {
    const { key } = operation;
    // As etcd has it: of two changes of a key the first would never be seen, except by those who watch.
    if (this.#changed.has(key)) {
      return { code: "INVALID_ARGUMENT", message: `A transaction changes a key once, and ${quoted(key)} twice.` };
    }
    const present = this.#entry(key);
    const change = changeOf(operation, present?.value, this.#command.valueBytesMax);
    if ("code" in change) return change;
    const { value, answer } = change;
    if (value !== null || present !== null) {
      this.#revision++;
      this.#changedBytes += sizeOf(key, value ?? "");
      this.changes.push({ key, value });
    }
    if (this.#changedBytes > this.#bytesMax) return tooMuch("TOO_LARGE", "change", this.#bytesMax);
    this.#changed.set(key, value === null ? null : { key, value, revision: this.#revision });
    return { ...answer, revision: this.#revision };
  }

  /** As the operations before have left it. */
  #entry(key: string): KeyValueEntry | null {
    const changed = this.#changed.get(key);
    return changed === undefined ? (this.#present.get(key) ?? null) : changed;
  }
}

/** What a key holds afterwards, and what the operation answers beside the revision. */
function changeOf(operation: Changing, present: Value | undefined, valueBytesMax: number) {
  const { op, key } = operation;
  switch (op) {
    case "put":
      return { value: operation.value, answer: {} };
    case "delete":
      return { value: null, answer: { existed: present !== undefined } };
    case "increment": {
      const sum = increased(key, present, operation.by);
      return typeof sum === "number" ? { value: String(sum), answer: { value: sum } } : sum;
    }
    case "append": {
      const grown = extended(key, present, operation.value, valueBytesMax);
      return "code" in grown ? grown : { value: grown.value, answer: { bytes: grown.bytes } };
    }
  }
}

function holds(condition: Condition, entry: KeyValueEntry | undefined): boolean {
  const { relation } = condition;
  if ("revision" in condition) return isSo(relation, (entry?.revision ?? 0) - condition.revision);
  // What is not there has no value that could be compared, be it for difference.
  if (entry === undefined) return false;
  if (relation === "equal" || relation === "not") {
    return areEqual(entry.value, condition.value) === (relation === "equal");
  }
  return isSo(relation, compared(entry.value, condition.value));
}

/** @param difference 0 for what is equal, below 0 for what is less; NaN stands in no order to anything */
function isSo(relation: Condition["relation"], difference: number): boolean {
  switch (relation) {
    case "equal":
      return difference === 0;
    case "not":
      return difference !== 0;
    case "less":
      return difference < 0;
    case "greater":
      return difference > 0;
  }
}

const sizeOf = (key: string, value: Value): number => valueBytes(key) + valueBytes(value);

const tooMuch = (code: "TOO_LARGE" | "ANSWER_TOO_LARGE", what: string, bytesMax: number): Rejected => ({
  code,
  message: `The transaction would ${what} more than ${bytesMax} bytes.`,
});
