/** Transactions: what is written reaches the machine as it was meant, or nothing is sent. */

import * as assert from "uvu/assert";
import { type Client, type Comparison, ConclaveError, type Transaction } from "../../src/client/index.ts";
import { codeOf } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { onStage, type Stage } from "./fakes.ts";

const test = suite("client: transactions");

/** A client, with a store in which "a" is "1" of revision 1, and "b" bytes of revision 2. */
async function filled({ client, n1 }: Stage, options: object = {}): Promise<Client> {
  const made = await client({ nodes: [n1.url], ...options });
  await made.put("a", "1");
  await made.put("b", Uint8Array.of(7));
  return made;
}

test("one thing is done or the other, and each operation is answered in its place", () =>
  onStage(async (stage) => {
    const client = await filled(stage);
    const transaction = {
      if: [
        { key: "a", value: "1" },
        { key: "c", exists: false },
      ],
      then: [{ put: "a", value: "2" }, { delete: "b" }, { get: "a" }, { increment: "n" }, { append: "c", value: "…" }],
      else: [{ get: "c" }, { get: "none" }],
    } as const;
    assert.equal(await client.transaction(transaction), {
      succeeded: true,
      results: [
        { revision: 3 },
        { existed: true, revision: 4 },
        { key: "a", value: "2", revision: 3 },
        { value: 1, revision: 5 },
        { bytes: 3, revision: 6 },
      ],
      revision: 6,
    });
    assert.equal(await client.transaction(transaction), {
      succeeded: false,
      results: [{ key: "c", value: "…", revision: 6 }, null],
      revision: 6,
    });
    assert.equal(await client.transaction({}), { succeeded: true, results: [], revision: 6 });
  }));

const COMPARISONS: readonly (readonly [Comparison, boolean])[] = [
  [{ key: "a", value: "1" }, true],
  [{ key: "a", value: "2" }, false],
  [{ key: "b", value: Uint8Array.of(7) }, true],
  [{ key: "b", value: "\u0007" }, false],
  [{ key: "none", value: "" }, false],
  [{ key: "a", value: { not: "2" } }, true],
  [{ key: "a", value: { not: "1" } }, false],
  [{ key: "a", value: { lessThan: "10" } }, true],
  [{ key: "a", value: { lessThan: "1" } }, false],
  [{ key: "b", value: { greaterThan: Uint8Array.of(6, 255) } }, true],
  [{ key: "b", value: { greaterThan: Uint8Array.of(7) } }, false],
  [{ key: "a", value: { greaterThan: "0", lessThan: "2" } }, true],
  [{ key: "a", value: { greaterThan: "0", lessThan: "2", not: "1" } }, false],
  [{ key: "b", revision: 2 }, true],
  [{ key: "b", revision: 1 }, false],
  [{ key: "none", revision: 0 }, true],
  [{ key: "b", revision: { not: 1 } }, true],
  [{ key: "b", revision: { lessThan: 3, greaterThan: 1 } }, true],
  [{ key: "b", revision: { lessThan: 2 } }, false],
  [{ key: "b", revision: { greaterThan: 2 } }, false],
  [{ key: "a", exists: true }, true],
  [{ key: "a", exists: false }, false],
  [{ key: "none", exists: true }, false],
  [{ key: "none", exists: false }, true],
  [{ key: "a", exists: true, value: "1", revision: 1 }, true],
  [{ key: "a", exists: true, value: "1", revision: 2 }, false],
  [{ key: "a", exists: true, value: "2", revision: 1 }, false],
  [{ key: "a", exists: false, value: "1", revision: 1 }, false],
];

test("a comparison asks what it says, and all that it says", () =>
  onStage(async (stage) => {
    const client = await filled(stage);
    for (const [comparison, expected] of COMPARISONS) {
      const { succeeded } = await client.transaction({ if: [comparison] });
      assert.is(succeeded, expected, JSON.stringify(comparison));
    }
    const both = (one: Comparison, other: Comparison) => client.transaction({ if: [one, other] });
    assert.ok((await both({ key: "a", value: "1" }, { key: "b", revision: 2 })).succeeded);
    assert.not((await both({ key: "a", value: "1" }, { key: "b", revision: 1 })).succeeded);
    assert.not((await both({ key: "a", value: "2" }, { key: "b", revision: 2 })).succeeded);
  }));

for (const [what, code, then] of [
  ["adds to what is no number", "NOT_A_NUMBER", { increment: "b" }],
  ["appends text to bytes", "WRONG_TYPE", { append: "b", value: "x" }],
  ["lets a value grow past its limit", "TOO_LARGE", { append: "a", value: "12345" }],
] as const) {
  test(`a transaction that ${what} changes nothing: ${code}`, () =>
    onStage(async (stage) => {
      const client = await filled(stage, { valueBytesMax: 5 });
      assert.is(await codeOf(client.transaction({ then: [{ put: "k", value: "v" }, then] })), code);
      assert.is(await client.get("k"), null);
    }));
}

test("a transaction that would read too much changes nothing: ANSWER_TOO_LARGE", () =>
  onStage(async (stage) => {
    const client = await filled(stage);
    const value = "x".repeat(700_000);
    await client.transaction({
      then: [
        { put: "c", value },
        { put: "d", value },
      ],
    });
    await client.put("e", value);
    const gets = [{ get: "c" }, { get: "d" }, { get: "e" }] as const;
    assert.is(await codeOf(client.transaction({ then: [{ increment: "n" }, ...gets] })), "ANSWER_TOO_LARGE");
    assert.is(await client.get("n"), null);
    const { results } = await client.transaction({ then: gets.slice(1) });
    assert.equal(
      results.map((entry) => entry !== null && "key" in entry && entry.key),
      ["d", "e"],
    );
  }));

/** What nobody should write, and the compiler lets nobody write. */
const WRONG: readonly (readonly [string, unknown])[] = [
  ["no transaction", undefined],
  ["nor is null one", null],
  ["a part that nobody knows", { when: [] }],
  ["comparisons that are no array", { if: { key: "a", exists: true } }],
  ["operations that are no array", { then: { get: "a" } }],
  ["a comparison that is none", { if: [null] }],
  ["a comparison of nothing", { if: [{ key: "a" }] }],
  ["a comparison without a key", { if: [{ exists: true }] }],
  ["a comparison with a field that nobody knows", { if: [{ key: "a", exists: true, valeu: "1" }] }],
  ["a comparison with a value that is missing", { if: [{ key: "a", value: undefined, exists: true }] }],
  ["a comparison with a number for a value", { if: [{ key: "a", value: 1 }] }],
  ["a comparison with text for a revision", { if: [{ key: "a", revision: "1" }] }],
  ["a comparison with a negative revision", { if: [{ key: "a", revision: { lessThan: -1 } }] }],
  ["a comparison with a list of revisions", { if: [{ key: "a", revision: [1, 2] }] }],
  ["a relation that nobody knows", { if: [{ key: "a", revision: { atMost: 1 } }] }],
  ["a relation to nothing", { if: [{ key: "a", value: { lessThan: undefined } }] }],
  ["no relation", { if: [{ key: "a", value: {} }] }],
  ["an existence that is neither true nor false", { if: [{ key: "a", exists: 1 }] }],
  ["an operation that is none", { then: [7] }],
  ["an operation that is missing", { then: new Array(1) }],
  ["an operation that nobody knows", { then: [{ swap: "a" }] }],
  ["two operations in one", { then: [{ get: "a", delete: "a" }] }],
  ["an operation with a field that nobody knows", { then: [{ increment: "a", bye: 2 }] }],
  ["a put without a value", { else: [{ put: "a" }] }],
  ["a put without a key", { then: [{ put: undefined, value: "1" }] }],
  ["half a character for a key", { then: [{ delete: "\ud800" }] }],
  ["an increment by a fraction", { then: [{ increment: "a", by: 0.5 }] }],
  [
    "a key that is put twice",
    {
      then: [
        { put: "a", value: "1" },
        { put: "a", value: "2" },
      ],
    },
  ],
  ["a key that is changed in two ways", { else: [{ delete: "a" }, { get: "a" }, { increment: "a" }] }],
  ["too many comparisons", { if: Array(129).fill({ key: "a", exists: true }) }],
  ["too many comparisons in fewer objects", { if: Array(65).fill({ key: "a", exists: true, revision: 1 }) }],
  ["too many operations", { then: Array(129).fill({ get: "a" }) }],
];

test("what makes no sense is refused as a rejection, and nothing is sent: INVALID_ARGUMENT", () =>
  onStage(async (stage) => {
    const client = await filled(stage);
    for (const [what, transaction] of WRONG) {
      assert.is(await codeOf(client.transaction(transaction as Transaction)), "INVALID_ARGUMENT", what);
    }
    assert.is(stage.n1.batches.all.length, 2);
    await client.transaction({ then: Array(128).fill({ get: "a" }) });
    await client.transaction({ then: [{ put: "a", value: "1" }], else: [{ put: "a", value: "2" }] });
  }));

test("what is too large is refused, each by itself and all together, and nothing is sent: TOO_LARGE", () =>
  onStage(async (stage) => {
    const client = await filled(stage, { keyBytesMax: 4, valueBytesMax: 512 * 1024 });
    const value = "x".repeat(512 * 1024);
    const puts = (...keys: readonly string[]): Transaction => ({ then: keys.map((put) => ({ put, value })) });
    for (const transaction of [
      { if: [{ key: "12345", exists: true }] },
      { if: [{ key: "a", value: { lessThan: `${value}x` } }] },
      { then: [{ get: "12345" }] },
      { else: [{ append: "a", value: `${value}x` }] },
      puts("a", "b"),
      { if: [{ key: "a", value }], else: [{ put: "a", value }] },
    ]) {
      assert.is(await codeOf(client.transaction(transaction)), "TOO_LARGE");
    }
    assert.is(stage.n1.batches.all.length, 2);
    await client.transaction(puts("a"));
  }));

test("what is answered is what was asked for, or nobody knows what became of it", () =>
  onStage(async (stage) => {
    const client = await filled(stage);
    const answers: Uint8Array[] = [];
    stage.n1.commandScript = [
      (batch, answer) => {
        const forged = answers.shift();
        if (forged === undefined) return false;
        const outcomes = Uint8Array.from([1, 0, 0, 0, 0, forged.byteLength, 0, 0, 0, ...forged]);
        stage.n1.apply(batch, null);
        answer.ok({ type: "outcomes", index: 1, outcomes });
        return true;
      },
    ];
    const revision = [3, 0, 0, 0, 0, 0, 0, 0];
    for (const forged of [[], [0], [7], [0, 1, ...revision], [0, 1, ...revision, 2], [0, 1, ...revision, 0, 0]]) {
      answers.push(Uint8Array.from(forged));
      assert.is(await codeOf(client.transaction({ then: [{ get: "a" }] })), "UNKNOWN_OUTCOME", forged.join());
    }
    answers.push(Uint8Array.from([0, 1, ...revision, 0]));
    assert.equal(await client.transaction({ then: [{ get: "a" }] }), { succeeded: true, results: [null], revision: 3 });
  }));

test("it ends when its time is up, and as its caller wishes", () =>
  onStage(async ({ client, deadUrl }) => {
    const waiting = await client({ nodes: [deadUrl] });
    assert.is(await codeOf(waiting.transaction({}, { timeoutMs: 50 })), "NO_LEADER");
    assert.is(await codeOf(waiting.transaction({}, { signal: AbortSignal.abort() })), "ABORTED");
  }));

test("however much they read, all of many are answered, each once and in order", () =>
  onStage(async (stage) => {
    const client = await filled(stage);
    await client.put("large", "x".repeat(1024 * 1024));
    const all = await Promise.all(
      Array.from({ length: 30 }, () => client.transaction({ then: [{ increment: "n" }, { get: "large" }] })),
    );
    assert.equal(
      all.map(({ results }) => results[0]?.value),
      Array.from({ length: 30 }, (_, i) => i + 1),
    );
    assert.ok(all.every(({ results }) => results[1]?.value.length === 1024 * 1024));
  }));

test("answers that are too large together are asked for again, fewer at a time, and nothing is done twice", () =>
  onStage(async (stage) => {
    const client = await filled(stage);
    stage.n1.commandScript = [
      (batch, answer) => {
        if (batch.commands.length < 4) return false;
        stage.n1.apply(batch, null);
        answer.fail(new ConclaveError("ANSWER_TOO_LARGE", "too large"));
        return true;
      },
    ];
    const sums = await Promise.all(Array.from({ length: 21 }, () => client.increment("n")));
    assert.equal(
      sums.map(({ value }) => value),
      Array.from({ length: 21 }, (_, i) => i + 1),
    );
    stage.n1.commandScript = [];
    await Promise.all(Array.from({ length: 21 }, () => client.increment("n")));
    assert.is(stage.n1.batches.all.at(-1)?.commands.length, 21, "and then as many as ever");
  }));

test.run();
