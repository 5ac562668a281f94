/** A client whose calls are taken down, for `check`. */

import type {
  CallOptions,
  Client,
  ReadOptions,
  Transaction,
  TransactionOperation,
  TransactionResult,
} from "../client/index.ts";
import { type ErrorCode, hasCode } from "../errors.ts";
import type { Expected, KeyValueResults, Value } from "../machine/key-value-protocol.ts";
import type { History } from "./history.ts";
import type { KeyValueOperation, KeyValueResult } from "./key-value-model.ts";

/** With these a call promises that nothing was changed, nor will be. After any other nobody knows. */
const NOTHING_CHANGED: readonly ErrorCode[] = [
  "TIMEOUT",
  "NO_LEADER",
  "ABORTED",
  "BUSY",
  "TOO_LARGE",
  "ANSWER_TOO_LARGE",
  "INVALID_ARGUMENT",
  "NOT_A_NUMBER",
  "WRONG_TYPE",
  "CLOSED",
];

type Calls = Pick<Client, "get" | "put" | "delete" | "cas" | "increment" | "append" | "transaction">;

/**
 * Does what the client does, errors included, and enters it in a history. Reads must not be stale ones.
 *
 * @example
 * ```ts
 * import { History, type KeyValueOperation, type KeyValueResult, RecordedClient } from "conclave/testing";
 *
 * const history = new History<KeyValueOperation, KeyValueResult>();
 * const ann = new RecordedClient(client, "ann", history);
 * await ann.put("greeting", "hello");
 * console.log(history.calls.length); // 1
 * ```
 */
export class RecordedClient {
  readonly #client: Calls;
  readonly #name: string;
  readonly #history: History<KeyValueOperation, KeyValueResult>;

  constructor(client: Calls, name: string, history: History<KeyValueOperation, KeyValueResult>) {
    this.#client = client;
    this.#name = name;
    this.#history = history;
  }

  get(key: string, options: ReadOptions = {}): ReturnType<Client["get"]> {
    return this.#record({ op: "get", key }, () => this.#client.get(key, options));
  }

  put(key: string, value: Value, options: CallOptions = {}): Promise<KeyValueResults["put"]> {
    return this.#record({ op: "put", key, value }, () => this.#client.put(key, value, options));
  }

  delete(key: string, options: CallOptions = {}): Promise<KeyValueResults["delete"]> {
    return this.#record({ op: "delete", key }, () => this.#client.delete(key, options));
  }

  cas(key: string, expected: Expected, value: Value, options: CallOptions = {}): Promise<KeyValueResults["cas"]> {
    return this.#record({ op: "cas", key, expected, value }, () => this.#client.cas(key, expected, value, options));
  }

  increment(key: string, by = 1, options: CallOptions = {}): Promise<KeyValueResults["increment"]> {
    return this.#record({ op: "increment", key, by }, () => this.#client.increment(key, by, options));
  }

  append(key: string, value: Value, options: CallOptions = {}): Promise<KeyValueResults["append"]> {
    return this.#record({ op: "append", key, value }, () => this.#client.append(key, value, options));
  }

  transaction<
    const Then extends readonly TransactionOperation[] = readonly [],
    const Else extends readonly TransactionOperation[] = readonly [],
  >(transaction: Transaction<Then, Else>, options: CallOptions = {}): Promise<TransactionResult<Then, Else>> {
    return this.#record<TransactionResult<Then, Else>>({ op: "transaction", ...transaction }, () =>
      this.#client.transaction(transaction, options),
    );
  }

  async #record<Result extends KeyValueResult>(
    operation: KeyValueOperation,
    act: () => Promise<Result>,
  ): Promise<Result> {
    const call = this.#history.begin(this.#name, operation);
    try {
      const result = await act();
      call.end(result);
      return result;
    } catch (error) {
      const changedNothing = operation.op === "get" || NOTHING_CHANGED.some((code) => hasCode(error, code));
      if (changedNothing) call.nothing();
      else call.unknown();
      throw error;
    }
  }
}
