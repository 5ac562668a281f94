/** A client that takes down what it does: nothing is missing, and nothing is there that did not happen. */

import * as assert from "uvu/assert";
import { ConclaveError, ERROR_CODES, type ErrorCode, isErrorCode } from "../../src/errors.ts";
import { History } from "../../src/testing/history.ts";
import type { KeyValueOperation, KeyValueResult } from "../../src/testing/key-value-model.ts";
import { RecordedClient } from "../../src/testing/recorded-client.ts";
import { suite } from "../support/suite.ts";

const test = suite("recorded client");

/** A client that answers everything, or fails with a code. */
function recorded(code: ErrorCode | null = null) {
  const answer = async <T>(result: T): Promise<T> => {
    if (code !== null) throw new ConclaveError(code, "as the test wants it");
    return result;
  };
  const history = new History<KeyValueOperation, KeyValueResult>();
  const asked: unknown[][] = [];
  const client = new RecordedClient(
    {
      get: (...args) => answer({ key: "k", value: "1", revision: asked.push(["get", ...args]) }),
      put: (...args) => answer({ revision: asked.push(["put", ...args]) }),
      delete: (...args) => answer({ existed: true, revision: asked.push(["delete", ...args]) }),
      cas: (...args) => answer({ swapped: true, revision: asked.push(["cas", ...args]) }),
      increment: (...args) => answer({ value: 7, revision: asked.push(["increment", ...args]) }),
      append: (...args) => answer({ bytes: 2, revision: asked.push(["append", ...args]) }),
      transaction: (...args) =>
        answer({ succeeded: true, results: [null], revision: asked.push(["transaction", ...args]) } as never),
    },
    "a",
    history,
  );
  return { client, history, asked };
}

test("every call is passed on and taken down, with what it answered", async () => {
  const { client, history, asked } = recorded();
  const options = { timeoutMs: 5 };
  const answers = [
    await client.get("k", options),
    await client.put("k", "1", options),
    await client.delete("k", options),
    await client.cas("k", { revision: 3 }, "2", options),
    await client.increment("k", 4, options),
    await client.append("k", "5", options),
    await client.transaction({ then: [{ get: "k" }] }, options),
  ];
  assert.equal(asked, [
    ["get", "k", options],
    ["put", "k", "1", options],
    ["delete", "k", options],
    ["cas", "k", { revision: 3 }, "2", options],
    ["increment", "k", 4, options],
    ["append", "k", "5", options],
    ["transaction", { then: [{ get: "k" }] }, options],
  ]);
  assert.equal(
    history.calls.map(({ client, operation, outcome }) => [client, operation, outcome?.result]),
    [
      ["a", { op: "get", key: "k" }, answers[0]],
      ["a", { op: "put", key: "k", value: "1" }, answers[1]],
      ["a", { op: "delete", key: "k" }, answers[2]],
      ["a", { op: "cas", key: "k", expected: { revision: 3 }, value: "2" }, answers[3]],
      ["a", { op: "increment", key: "k", by: 4 }, answers[4]],
      ["a", { op: "append", key: "k", value: "5" }, answers[5]],
      ["a", { op: "transaction", then: [{ get: "k" }] }, answers[6]],
    ],
  );
});

const failure = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => null,
    (error) => error.code,
  );

test("a command is left out if its error promises that nothing was changed, and else is of unknown outcome", async () => {
  const unknown: string[] = [];
  for (const code of Object.keys(ERROR_CODES).filter(isErrorCode)) {
    const { client, history } = recorded(code);
    assert.is(await failure(client.put("k", "1")), code, "the caller sees it all the same");
    if (history.calls.some(({ outcome }) => outcome === null)) unknown.push(code);
  }
  assert.ok(unknown.includes("UNKNOWN_OUTCOME") && unknown.includes("MACHINE_FAILED"));
  const promises = [
    "TIMEOUT",
    "NO_LEADER",
    "ABORTED",
    "BUSY",
    "TOO_LARGE",
    "ANSWER_TOO_LARGE",
    "NOT_A_NUMBER",
    "WRONG_TYPE",
  ];
  assert.equal(
    unknown.filter((code) => promises.includes(code)),
    [],
  );
});

test("a read that failed is left out", async () => {
  const { client, history } = recorded("UNKNOWN_OUTCOME");
  assert.is(await failure(client.get("k")), "UNKNOWN_OUTCOME");
  assert.equal(history.calls, []);
});

test("a call that waits is there already, as one of unknown outcome", async () => {
  const { client, history } = recorded();
  const call = client.put("k", "1");
  assert.is(history.calls[0]?.outcome, null);
  await call;
  assert.equal(history.calls[0]?.outcome?.result, { revision: 1 });
});

test.run();
