/** What a client holds keys, values and the like to, before it sends anything. */

import { ConclaveError } from "../errors.ts";
import { commandBytesMax, DEFAULT_LIMITS } from "../limits.ts";
import { type Expected, type KeyValueCommand, type Value, valueBytes } from "../machine/key-value-protocol.ts";
import { TRANSACTION_BYTES_MAX } from "../machine/key-value-transaction.ts";
import { invalid } from "./failures.ts";
import type { ConnectOptions } from "./options.ts";

/** @throws ConclaveError `INVALID_ARGUMENT` */
export function checkBytes(what: string, bytes: unknown): void {
  if (!(bytes instanceof Uint8Array)) throw invalid(`A ${what} is a Uint8Array.`);
}

/** Every check throws a ConclaveError: `INVALID_ARGUMENT` or `TOO_LARGE`. */
export class Checks {
  readonly keyBytesMax: number;
  readonly valueBytesMax: number;
  /** For a whole transaction. */
  readonly bytesMax: number;

  constructor({
    keyBytesMax = DEFAULT_LIMITS.keyBytesMax,
    valueBytesMax = DEFAULT_LIMITS.valueBytesMax,
  }: Pick<ConnectOptions, "keyBytesMax" | "valueBytesMax">) {
    this.keyBytesMax = keyBytesMax;
    this.valueBytesMax = valueBytesMax;
    this.bytesMax = Math.min(commandBytesMax({ keyBytesMax, valueBytesMax }), TRANSACTION_BYTES_MAX);
  }

  command(command: KeyValueCommand): void {
    this.key(command.key);
    if ("value" in command) this.value(command.value);
    if (command.op === "cas") this.#expected(command.expected);
    if (command.op === "increment") this.increment(command.by);
  }

  key(key: string): void {
    if (typeof key !== "string" || !key.isWellFormed()) throw invalid("A key is a string without lone surrogates.");
    // A character takes at most three bytes of UTF-8 per UTF-16 unit: short keys need not be encoded to know.
    if (key.length * 3 > this.keyBytesMax) checkSize("key", valueBytes(key), this.keyBytesMax);
  }

  value(value: Value): void {
    if (typeof value === "string" ? !value.isWellFormed() : !(value instanceof Uint8Array)) {
      throw invalid("A value is a string without lone surrogates, or a Uint8Array.");
    }
    if (value.length * 3 > this.valueBytesMax) checkSize("value", valueBytes(value), this.valueBytesMax);
  }

  revision(revision: number): void {
    if (Number.isSafeInteger(revision) && revision >= 0) return;
    throw invalid("A revision is a whole number; 0 stands for a key that is not there.");
  }

  increment(by: number): void {
    if (!Number.isSafeInteger(by)) throw invalid("A key can only be incremented by a safe integer.");
  }

  transaction(bytes: Uint8Array): void {
    checkSize("transaction", bytes.byteLength, this.bytesMax);
  }

  #expected(expected: Expected): void {
    if (typeof expected !== "object" || expected === null || !("value" in expected || "revision" in expected)) {
      throw invalid("What is expected is { value } or { revision }.");
    }
    if ("value" in expected) this.value(expected.value);
    else this.revision(expected.revision);
  }
}

function checkSize(what: string, bytes: number, bytesMax: number): void {
  if (bytes <= bytesMax) return;
  throw new ConclaveError("TOO_LARGE", `The ${what} has ${bytes} bytes, of at most ${bytesMax}.`);
}
