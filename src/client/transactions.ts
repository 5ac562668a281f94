/** Transactions as a user writes them: plain data, whose results have the types of the operations that were given. */

import type { KeyValueEntry, KeyValueResults, Value } from "../machine/key-value-parts.ts";
import {
  type Condition,
  type Operation,
  TRANSACTION_LENGTH_MAX,
  type TransactionCommand,
} from "../machine/key-value-transaction.ts";
import type { Checks } from "./checks.ts";
import { invalid } from "./failures.ts";

/**
 * How what is there stands to something; where several are given, all have to hold.
 *
 * @example
 * ```ts
 * import type { Relations } from "conclave/client";
 *
 * const isOld: Relations<number> = { greaterThan: 0, lessThan: 1_000 };
 * await client.transaction({ if: [{ key: "draft", revision: isOld }], then: [{ delete: "draft" }] });
 * ```
 */
export interface Relations<T> {
  readonly not?: T;
  readonly lessThan?: T;
  readonly greaterThan?: T;
}

/**
 * What has to be so of a key. Where several things are asked, all have to hold.
 *
 * @example
 * ```ts
 * import type { Comparison } from "conclave/client";
 *
 * const isFree: Comparison = { key: "seats/7", exists: false };
 * const { succeeded } = await client.transaction({ if: [isFree], then: [{ put: "seats/7", value: "ann" }] });
 * console.log(succeeded); // true
 * ```
 */
export interface Comparison {
  readonly key: string;
  /**
   * What it holds. Text is compared with text, as JavaScript compares it, and bytes with bytes. Nothing holds of the value
   * of a key that is not there.
   */
  readonly value?: Value | Relations<Value>;
  /** The revision of its last change; 0 if it is not there. */
  readonly revision?: number | Relations<number>;
  readonly exists?: boolean;
}

type Kind = "get" | "put" | "delete" | "increment" | "append";
/** One of them, and none of the others. */
type Does<One extends Kind, With = unknown> = { readonly [Name in One]: string } & {
  readonly [Name in Exclude<Kind, One>]?: never;
} & With;

/**
 * What a transaction does to a key, or wants to know of it.
 *
 * @example
 * ```ts
 * import type { TransactionOperation } from "conclave/client";
 *
 * const move = (from: string, to: string, by: number): TransactionOperation[] => [
 *   { increment: from, by: -by },
 *   { increment: to, by },
 * ];
 * await client.transaction({ then: move("accounts/ann", "accounts/bob", 30) });
 * ```
 */
export type TransactionOperation =
  | Does<"get">
  | Does<"put", { readonly value: Value }>
  | Does<"delete">
  /** By 1, unless it says by what. */
  | Does<"increment", { readonly by?: number }>
  | Does<"append", { readonly value: Value }>;

/**
 * What a transaction is made of. Everything may be left out: without conditions, it succeeds.
 *
 * @example
 * ```ts
 * import type { Transaction } from "conclave/client";
 *
 * const claim = (job: string, worker: string): Transaction => ({
 *   if: [{ key: job, value: "open" }],
 *   then: [{ put: job, value: worker }, { increment: `load/${worker}` }],
 * });
 * const { succeeded } = await client.transaction(claim("jobs/7", "w1"));
 * ```
 */
export interface Transaction<
  Then extends readonly TransactionOperation[] = readonly TransactionOperation[],
  Else extends readonly TransactionOperation[] = readonly TransactionOperation[],
> {
  /** What has to be so before anything is done. */
  readonly if?: readonly Comparison[];
  /** Done, one after the other, if all of that is so. */
  readonly then?: Then;
  /** Done if not. */
  readonly else?: Else;
}

/**
 * What an operation answers, as the method of that name would; null for a key that is not there.
 *
 * @example
 * ```ts
 * import type { OperationResult } from "conclave/client";
 *
 * const sumIn = ({ value }: OperationResult<{ increment: string }>): number => value;
 * const { results } = await client.transaction({ then: [{ put: "seen", value: "yes" }, { increment: "visits" }] });
 * if (results.length === 2) console.log(sumIn(results[1]));
 * ```
 */
export type OperationResult<Of> = Of extends { readonly get: string }
  ? KeyValueEntry | null
  : Of extends { readonly put: string }
    ? KeyValueResults["put"]
    : Of extends { readonly delete: string }
      ? KeyValueResults["delete"]
      : Of extends { readonly increment: string }
        ? KeyValueResults["increment"]
        : KeyValueResults["append"];

/**
 * One for each, in the same order.
 *
 * @example
 * ```ts
 * import type { OperationResults } from "conclave/client";
 *
 * type Both = OperationResults<readonly [{ get: "a" }, { delete: "b" }]>;
 * const existed = ([, { existed }]: Both): boolean => existed;
 * ```
 */
export type OperationResults<Of extends readonly TransactionOperation[]> = {
  readonly [Place in keyof Of]: OperationResult<Of[Place]>;
};

/**
 * What became of a transaction. `revision` is that of the whole store after it.
 *
 * @example
 * ```ts
 * import type { TransactionResult } from "conclave/client";
 *
 * const branchOf = ({ succeeded }: TransactionResult<readonly [], readonly []>): string => (succeeded ? "then" : "else");
 * console.log(branchOf(await client.transaction({ if: [{ key: "nobody/knows", exists: true }] }))); // else
 * ```
 */
export type TransactionResult<
  Then extends readonly TransactionOperation[],
  Else extends readonly TransactionOperation[],
> =
  | { readonly succeeded: true; readonly results: OperationResults<Then>; readonly revision: number }
  | { readonly succeeded: false; readonly results: OperationResults<Else>; readonly revision: number };

/** @throws ConclaveError `INVALID_ARGUMENT`, `TOO_LARGE` */
export function transactionCommand(given: Transaction, checks: Checks): TransactionCommand {
  checkFields(given, ["if", "then", "else"], "A transaction is { if, then, else }, as far as it has them");
  const { valueBytesMax, bytesMax } = checks;
  const compare = listIn(given, "if").flatMap((comparison) => conditionsOf(comparison, checks));
  checkLength(compare, "comparisons");
  const success = operationsOf(listIn(given, "then"), checks);
  const failure = operationsOf(listIn(given, "else"), checks);
  return { op: "transaction", compare, success, failure, valueBytesMax, bytesMax };
}

const RELATIONS = { not: "not", lessThan: "less", greaterThan: "greater" } as const;
type RelationName = keyof typeof RELATIONS;

/** Whatever is given is looked through to the last field: a comparison that is passed over would be a lock left open. */
function conditionsOf(given: Comparison, checks: Checks): Condition[] {
  const what = "A comparison is { key } with one or more of { value }, { revision } and { exists }";
  checkFields(given, ["key", "value", "revision", "exists"], what);
  const { key, exists } = given;
  checks.key(key);
  const conditions: Condition[] = [];
  if ("value" in given) {
    for (const { relation, to } of relationsIn(given.value, (value) => value instanceof Uint8Array)) {
      checks.value(to);
      conditions.push({ key, relation, value: to });
    }
  }
  if ("revision" in given) {
    for (const { relation, to } of relationsIn(given.revision, () => false)) {
      checks.revision(to);
      conditions.push({ key, relation, revision: to });
    }
  }
  if ("exists" in given) {
    if (typeof exists !== "boolean") throw invalid("That a key exists is true or false.");
    conditions.push({ key, relation: exists ? "not" : "equal", revision: 0 });
  }
  if (conditions.length === 0) throw invalid(`${what}.`);
  return conditions;
}

/** @param isOperand which objects are something to compare with, and no relations */
function relationsIn<T>(
  given: T | Relations<T> | undefined,
  isOperand: (given: object) => boolean,
): { readonly relation: Condition["relation"]; readonly to: T }[] {
  if (typeof given !== "object" || given === null || isOperand(given)) return [{ relation: "equal", to: given as T }];
  const names = Object.keys(RELATIONS) as RelationName[];
  const what = "What is compared with is named by itself, or by { not }, { lessThan } or { greaterThan }";
  checkFields(given, names, what);
  const relations = given as { readonly [Name in RelationName]: T };
  const found = names.filter((name) => name in relations);
  if (found.length === 0) throw invalid(`${what}.`);
  return found.map((name) => ({ relation: RELATIONS[name], to: relations[name] }));
}

const OPERATIONS: { readonly [Name in Kind]: readonly string[] } = {
  get: [],
  put: ["value"],
  delete: [],
  increment: ["by"],
  append: ["value"],
};
const KINDS = Object.keys(OPERATIONS) as Kind[];
const AN_OPERATION = "An operation is { get }, { put, value }, { delete }, { increment, by } or { append, value }";

function operationsOf(given: readonly TransactionOperation[], checks: Checks): Operation[] {
  checkLength(given, "operations of a kind");
  const changed = new Set<string>();
  return Array.from(given, (one) => {
    const operation = operationOf(one, checks);
    const { op, key } = operation;
    if (op === "get") return operation;
    if (changed.has(key)) throw invalid("A transaction may change a key only once.");
    changed.add(key);
    return operation;
  });
}

function operationOf(given: TransactionOperation, checks: Checks): Operation {
  const op = typeof given === "object" && given !== null ? KINDS.find((kind) => kind in given) : undefined;
  if (op === undefined) throw invalid(`${AN_OPERATION}.`);
  checkFields(given, [op, ...OPERATIONS[op]], AN_OPERATION);
  const { [op]: key, value, by = 1 } = given as unknown as Fields;
  checks.key(key);
  switch (op) {
    case "get":
    case "delete":
      return { op, key };
    case "put":
    case "append":
      checks.value(value);
      return { op, key, value };
    case "increment":
      checks.increment(by);
      return { op, key, by };
  }
}

/** What is to be expected; whether it is there is looked at. */
type Fields = Readonly<Record<Kind, string>> & { readonly value: Value; readonly by?: number };

function listIn<Name extends keyof Transaction>(given: Transaction, name: Name): NonNullable<Transaction[Name]> | [] {
  const list = given[name] ?? [];
  if (!Array.isArray(list)) throw invalid(`What a transaction has under "${name}" is an array.`);
  return list;
}

function checkLength(list: readonly unknown[], what: string): void {
  if (list.length <= TRANSACTION_LENGTH_MAX) return;
  throw invalid(`A transaction has at most ${TRANSACTION_LENGTH_MAX} ${what}, not ${list.length}.`);
}

/** A field that nobody knows is a mistake, and what was meant by it would not be done. */
function checkFields(given: object, known: readonly string[], what: string): void {
  const isObject = typeof given === "object" && given !== null;
  const unknown = isObject ? Object.keys(given).find((name) => !known.includes(name)) : undefined;
  if (!isObject) throw invalid(`${what}.`);
  if (unknown !== undefined) throw invalid(`${what}, and has no "${unknown}".`);
}
