/** The command that does several things at once, or none of them. */

import type { Comparison, OperationResult, TransactionOperation } from "../client/index.ts";
import { usage, wholeNumber } from "./arguments.ts";
import { onOneLine } from "./clean.ts";
import { colours } from "./colours.ts";
import type { Command } from "./commands.ts";
import { jsonEntry, revision, showValue } from "./show.ts";

const USAGE = "txn [if COMPARISON ...] then OPERATION [; ...] [else OPERATION [; ...]]";
const COMPARISONS = "KEY=VALUE, KEY!=VALUE, KEY<VALUE, KEY>VALUE, or KEY@N, KEY@!=N, KEY@<N, KEY@>N for revisions";
const OPERATIONS = "get KEY, put KEY VALUE, del KEY, incr KEY [BY] or append KEY TEXT";
const WORDS_MAX = 1_000;

export const txn: Command = {
  name: "txn",
  usage: USAGE,
  help: "several things at once: a=1 a!=1 a<2 a>0 compare values, a@7 a@<9 revisions (a@0: not there)",
  takes: { words: [1, WORDS_MAX] },
  run: async ({ words }, { client, signal, print }) => {
    const transaction = transactionIn(words);
    const { succeeded, results, revision: last } = await client.transaction(transaction, { signal });
    const done = succeeded ? transaction.then : transaction.else;
    const lines = done.map((operation, i) => resultLine(operation, results[i] ?? null));
    print([`${succeeded ? "then" : "else"} ${revision(last)}`, ...lines].join("\n"));
    return { succeeded, results: results.map(jsonResult), revision: last };
  },
};

interface Parts {
  readonly if: readonly Comparison[];
  readonly then: readonly TransactionOperation[];
  readonly else: readonly TransactionOperation[];
}

/** What an operation takes is counted, and not looked at: a value may be any word. */
function transactionIn(given: readonly string[]): Parts {
  const words = [...given];
  const comparisons: Comparison[] = [];
  if (words[0] === "if") {
    words.shift();
    for (let word = words[0]; word !== undefined && word !== "then"; word = words[0]) {
      comparisons.push(comparisonIn(word));
      words.shift();
    }
  }
  if (words.shift() !== "then") throw usage(`usage: ${USAGE}`);
  const then = operationsIn(words);
  const otherwise = words.shift() === "else" ? operationsIn(words) : [];
  if (words.length > 0) throw usage(`usage: ${USAGE}`);
  return { if: comparisons, then, else: otherwise };
}

function comparisonIn(word: string): Comparison {
  const [, key = "", at, number, relation, text = ""] = /^(.+?)(?:@(=|!=|<|>)?(\d+)|(=|!=|<|>)(.*))$/s.exec(word) ?? [];
  if (key === "") throw usage(`"${word}" compares nothing: ${COMPARISONS}`);
  return number === undefined
    ? { key, value: related(relation, text) }
    : { key, revision: related(at, wholeNumber(number, "a revision")) };
}

function related<T>(relation: string | undefined, to: T) {
  if (relation === "!=") return { not: to };
  if (relation === "<") return { lessThan: to };
  return relation === ">" ? { greaterThan: to } : to;
}

/** Takes words away up to the end, or to the word that begins the other half. */
function operationsIn(words: string[]): TransactionOperation[] {
  const operations = [operationIn(words)];
  while (words.length > 0 && words[0] !== "else") {
    if (words[0] !== ";") throw usage(`there is a ";" between operations, by itself, and not "${words[0]}"`);
    words.shift();
    operations.push(operationIn(words));
  }
  return operations;
}

function operationIn(words: string[]): TransactionOperation {
  const [name, key, value] = words;
  const take = (count: number): void => void words.splice(0, count);
  if (key === undefined) throw usage(`an operation is ${OPERATIONS}`);
  if (name === "get" || name === "del") {
    take(2);
    return name === "get" ? { get: key } : { delete: key };
  }
  if (name === "incr") {
    const isBy = value !== undefined && value !== ";" && value !== "else";
    take(isBy ? 3 : 2);
    return { increment: key, by: isBy ? wholeNumber(value, "an increment") : 1 };
  }
  if (value === undefined || (name !== "put" && name !== "append")) throw usage(`an operation is ${OPERATIONS}`);
  take(3);
  return name === "put" ? { put: key, value } : { append: key, value };
}

type Result = OperationResult<TransactionOperation>;

/** As the command looks that would do the same, and what it would say. */
function resultLine(operation: TransactionOperation, result: Result): string {
  const { get, put, delete: removed, increment, append } = operation;
  const key = onOneLine(get ?? put ?? removed ?? increment ?? append ?? "");
  const nothing = colours.dim("(no such key)");
  if (get !== undefined && result !== null && "key" in result) {
    return `get ${key} ${showValue(result.value)} ${revision(result.revision)}`;
  }
  if (result === null) return `get ${key} ${nothing}`;
  if ("existed" in result) return `del ${key} ${result.existed ? revision(result.revision) : nothing}`;
  if ("bytes" in result) return `append ${key} ${result.bytes} bytes ${revision(result.revision)}`;
  if ("value" in result) return `incr ${key} ${result.value} ${revision(result.revision)}`;
  return `put ${key} ${revision(result.revision)}`;
}

const jsonResult = (result: Result): unknown => (result !== null && "key" in result ? jsonEntry(result) : result);
