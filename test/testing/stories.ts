/** Stories of a key-value store, for its model to accept or refuse; and the store itself, to tell true ones. */

import * as assert from "uvu/assert";
import { Checks } from "../../src/client/checks.ts";
import { transactionCommand } from "../../src/client/transactions.ts";
import { KeyValueMachine } from "../../src/machine/index.ts";
import {
  decodePage,
  decodeResult,
  encodeCommand,
  encodeQuery,
  type KeyValueCommand,
} from "../../src/machine/key-value-protocol.ts";
import { decodeTransactionOutcome } from "../../src/machine/key-value-transaction.ts";
import { type Call, History } from "../../src/testing/history.ts";
import { type KeyValueOperation, type KeyValueResult, keyValueModel } from "../../src/testing/key-value-model.ts";
import { check } from "../../src/testing/linearizability.ts";

export type Line = readonly [operation: KeyValueOperation, result: KeyValueResult | "unknown"];
/** Calls one after the other. */
export function story(...lines: readonly Line[]): Call<KeyValueOperation, KeyValueResult>[] {
  const history = new History<KeyValueOperation, KeyValueResult>();
  for (const [operation, result] of lines) {
    const call = history.begin("a", operation);
    if (result === "unknown") call.unknown();
    else call.end(result);
  }
  return history.calls;
}

export const accepts = (...lines: readonly Line[]): void =>
  assert.is(check(keyValueModel, story(...lines))?.explanation, undefined);
export const refuses = (...lines: readonly Line[]): void => {
  assert.is(check(keyValueModel, story(...lines))?.type, "violation");
  // Without its last answer each of these stories would be fine.
  accepts(...lines.slice(0, -1));
};

/** The real store, and what its client would be told. */
export class Store {
  readonly #machine = new KeyValueMachine();

  perform(operation: KeyValueOperation): { readonly result: KeyValueResult } | null {
    if (operation.op === "get") {
      const [entry] = decodePage(this.#machine.query(encodeQuery(operation))).entries;
      return { result: entry ?? null };
    }
    if (operation.op === "transaction") return this.#transact(operation);
    const command: KeyValueCommand = operation.op === "append" ? { ...operation, valueBytesMax: 1_000 } : operation;
    const result = decodeResult(command.op, this.#machine.apply(encodeCommand(command)));
    return "code" in result ? null : { result };
  }

  #transact({ op: _, ...transaction }: KeyValueOperation & { readonly op: "transaction" }) {
    const command = transactionCommand(transaction, new Checks({}));
    const outcome = decodeTransactionOutcome(command, this.#machine.apply(encodeCommand(command)));
    return "code" in outcome ? null : { result: outcome };
  }
}
