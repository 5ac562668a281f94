/** The store as a child would build it: a copy for each transaction, which takes its place if all went well. */

import type { Change, KeyValueEntry, Value } from "../../src/machine/key-value-protocol.ts";
import type { Condition, OperationResult, TransactionCommand } from "../../src/machine/key-value-transaction.ts";

export class TransactionModel {
  #entries = new Map<string, KeyValueEntry>();
  changes: Change[] = [];

  entries(): KeyValueEntry[] {
    return [...this.#entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  do({ compare, success, failure, valueBytesMax }: TransactionCommand): unknown {
    const succeeded = compare.every((condition) => this.#isSo(condition));
    const [entries, changes] = [new Map(this.#entries), [...this.changes]];
    const results: OperationResult[] = [];
    const touched: string[] = [];
    const change = (one: { key: string } & ({ type: "put"; value: Value } | { type: "delete" })): number => {
      const revision = changes.length + 1;
      changes.push({ ...one, revision });
      if (one.type === "put") entries.set(one.key, { key: one.key, value: one.value, revision });
      else entries.delete(one.key);
      return revision;
    };
    for (const operation of succeeded ? success : failure) {
      const { op, key } = operation;
      const value = entries.get(key)?.value;
      if (op === "get") {
        results.push(entries.get(key) ?? null);
        continue;
      }
      if (touched.includes(key)) return "INVALID_ARGUMENT";
      touched.push(key);
      if (op === "put") results.push({ revision: change({ type: "put", key, value: operation.value }) });
      else if (op === "delete") {
        if (value !== undefined) change({ type: "delete", key });
        results.push({ existed: value !== undefined, revision: changes.length });
      } else if (op === "increment") {
        if (value !== undefined && !(typeof value === "string" && /^-?[0-9]+$/.test(value))) return "NOT_A_NUMBER";
        const sum = Number(value ?? 0) + operation.by;
        results.push({ value: sum, revision: change({ type: "put", key, value: `${sum}` }) });
      } else {
        const present = value ?? (typeof operation.value === "string" ? "" : new Uint8Array(0));
        if (typeof present !== typeof operation.value) return "WRONG_TYPE";
        const joined =
          typeof present === "string"
            ? `${present}${operation.value}`
            : Uint8Array.of(...present, ...(operation.value as Uint8Array));
        const size = Buffer.from(joined as string).byteLength;
        if (size > valueBytesMax) return "TOO_LARGE";
        results.push({ bytes: size, revision: change({ type: "put", key, value: joined }) });
      }
    }
    const { length } = this.changes;
    this.changes = changes.map((one, i) => (i >= length && i + 1 < changes.length ? { ...one, more: true } : one));
    this.#entries = entries;
    return { succeeded, results, revision: changes.length };
  }

  #isSo(condition: Condition): boolean {
    const entry = this.#entries.get(condition.key);
    const signs = { equal: [0], not: [-1, 1], less: [-1], greater: [1] }[condition.relation];
    if ("revision" in condition) return signs.includes(Math.sign((entry?.revision ?? 0) - condition.revision));
    if (entry === undefined) return false;
    const [a, b] = [entry.value, condition.value];
    if (typeof a !== typeof b) return condition.relation === "not";
    return signs.includes(typeof a === "string" ? Number(a > b) - Number(a < b) : Buffer.compare(a, b as Uint8Array));
  }
}
