/** Many workers on a cluster of real processes, whatever happens to it, and the judgement on what they were told. */

import * as assert from "uvu/assert";
import { ConclaveError } from "../../src/client/index.ts";
import { History } from "../../src/testing/history.ts";
import {
  type KeyValueOperation,
  type KeyValueResult,
  keyValueModel,
  storeSpan,
} from "../../src/testing/key-value-model.ts";
import { check } from "../../src/testing/linearizability.ts";
import { checkIssueOrder, checkRealTimeOrder } from "../../src/testing/order.ts";
import { RecordedClient } from "../../src/testing/recorded-client.ts";
import type { Cluster } from "./cluster.ts";

const CLIENTS = 4;
/** Workers that share a client, so that its commands overlap. */
const WORKERS = 2;

/** What a crowd of workers does, and who can interrupt it. */
export class Crowd {
  readonly history = new History<KeyValueOperation, KeyValueResult>();
  answers = 0;
  /** How many calls ended with nobody knowing whether they took effect. */
  lost = 0;
  /** Why calls have failed: what was given up by their callers is not among it. */
  readonly failures: string[] = [];
  /** How long the slowest call took. */
  longestMs = 0;
  #outage = new AbortController();
  #isOver = false;
  #written = 0;

  /** Sets workers to work with clients of their own, until told to stop. */
  async begin(cluster: Cluster): Promise<Promise<void>[]> {
    const workers: Promise<void>[] = [];
    for (let i = 0; i < CLIENTS; i++) {
      const client = new RecordedClient(await cluster.client(), `client ${i + 1}`, this.history);
      for (let j = 0; j < WORKERS; j++) workers.push(this.#work(client));
    }
    return workers;
  }

  /** So many more calls are answered. */
  async answered(count: number): Promise<void> {
    const enough = this.answers + count;
    while (this.answers < enough) await new Promise((resolve) => setImmediate(resolve));
  }

  async #work(client: RecordedClient): Promise<void> {
    let seen = "";
    while (!this.#isOver) {
      const outage = this.#outage.signal;
      const startMs = performance.now();
      try {
        seen = await this.#call(client, seen);
        this.answers++;
        this.longestMs = Math.max(this.longestMs, performance.now() - startMs);
      } catch (error) {
        if (!(error instanceof ConclaveError)) throw error;
        if (error.code === "UNKNOWN_OUTCOME") this.lost++;
        if (!outage.aborted) this.failures.push(`${error.code} ${error.message}`);
      }
    }
  }

  /** Ends the calls under way whose callers do not wait for better times: those sent become unknown. */
  giveUp(): void {
    this.#outage.abort();
    this.#outage = new AbortController();
  }

  stop(): void {
    this.#isOver = true;
  }

  /** @returns what the worker has seen last, to compare and swap with */
  async #call(client: RecordedClient, seen: string): Promise<string> {
    const key = oneOf("a", "b");
    const value = `${++this.#written},`;
    const options = oneOf({}, { signal: this.#outage.signal });
    switch (oneOf("get", "get", "put", "cas by value", "cas by revision", "append", "delete", "count", "count up")) {
      case "get":
        return String((await client.get(key, options))?.value);
      case "put":
        await client.put(key, value, options);
        return value;
      case "cas by value":
        await client.cas(key, { value: seen }, value, options);
        return value;
      case "cas by revision": {
        const revision = (await client.get(key, options))?.revision ?? 0;
        await client.cas(key, { revision }, value, options);
        return value;
      }
      case "append":
        await client.append(key, value, options);
        return seen;
      case "delete":
        await client.delete(key, options);
        return seen;
      case "count":
        await client.get("counter", options);
        return seen;
      case "count up":
        await client.increment("counter", oneOf(1, 1, 1, -2), options);
        return seen;
    }
  }
}

function oneOf<const T>(first: T, ...more: readonly T[]): T {
  return [first, ...more][Math.floor(Math.random() * (1 + more.length))] ?? first;
}

/** Could one copy of the data have said all that? */
export function judge({ calls }: History<KeyValueOperation, KeyValueResult>): void {
  assert.is(check(keyValueModel, calls)?.explanation, undefined);
  const commands = calls.filter(({ operation }) => operation.op !== "get");
  assert.is(checkIssueOrder(commands, storeSpan), null, "the commands of a client took effect as it issued them");
  assert.is(
    checkRealTimeOrder(calls, () => "the store", storeSpan),
    null,
    "revisions of different keys are in order too",
  );
}
