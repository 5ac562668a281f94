/** What clients of real processes were told while leaders died under them, judged by the check for linearizability. */

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
import { suite } from "../support/suite.ts";
import { type Cluster, leaderOf, withCluster } from "./cluster.ts";

const test = suite("end to end: linearizability");

const CLIENTS = 4;
/** Workers that share a client, so that its commands overlap. */
const WORKERS = 2;
/** At least; and until a call was lost with its leader. */
const KILLS = 3;
/** So many answers come between a failover and the next kill. */
const ANSWERS = 200;

/** What a crowd of workers does, and who can interrupt it. */
class Crowd {
  readonly history = new History<KeyValueOperation, KeyValueResult>();
  answers = 0;
  /** How many calls ended with nobody knowing whether they took effect. */
  lost = 0;
  #outage = new AbortController();
  #isOver = false;
  #written = 0;

  /** Works until told to stop. */
  async work(client: RecordedClient): Promise<void> {
    let seen = "";
    while (!this.#isOver) {
      try {
        seen = await this.#call(client, seen);
        this.answers++;
      } catch (error) {
        if (!(error instanceof ConclaveError)) throw error;
        if (error.code === "UNKNOWN_OUTCOME") this.lost++;
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

async function killTheLeader(cluster: Cluster, crowd: Crowd): Promise<void> {
  const observer = await cluster.client();
  const leader = await leaderOf(observer);
  await cluster.node(leader).kill("SIGKILL");
  crowd.giveUp();
  await leaderOf(observer, (id) => id !== leader);
  await cluster.startNode(leader);
  const enough = crowd.answers + ANSWERS;
  while (crowd.answers < enough) await new Promise((resolve) => setImmediate(resolve));
}

test(
  "whatever clients are told while leaders are killed and come back, one copy of the data could have said",
  () =>
    withCluster(3, async (cluster) => {
      const crowd = new Crowd();
      const { history } = crowd;
      const workers: Promise<void>[] = [];
      for (let i = 0; i < CLIENTS; i++) {
        const client = new RecordedClient(await cluster.client(), `client ${i + 1}`, history);
        for (let j = 0; j < WORKERS; j++) workers.push(crowd.work(client));
      }
      for (let kills = 0; kills < KILLS || crowd.lost === 0; kills++) {
        await Promise.race([killTheLeader(cluster, crowd), ...workers]);
      }
      crowd.stop();
      await Promise.all(workers);
      const reader = new RecordedClient(await cluster.client(), "reader", history);
      for (const key of ["a", "b", "counter"]) await reader.get(key);

      const { calls } = history;
      assert.is(check(keyValueModel, calls)?.explanation, undefined);
      const commands = calls.filter(({ operation }) => operation.op !== "get");
      assert.is(checkIssueOrder(commands, storeSpan), null, "the commands of a client took effect as it issued them");
      assert.is(
        checkRealTimeOrder(calls, () => "the store", storeSpan),
        null,
        "revisions of different keys are in order too",
      );
    }),
  { timeoutMs: 60_000 },
);

test.run();
