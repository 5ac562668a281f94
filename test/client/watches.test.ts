/** Watches: every change once and in order, whoever answers, for as long as somebody reads them, and no longer. */

import * as assert from "uvu/assert";
import { type Change, type Client, ConclaveError } from "../../src/client/index.ts";
import { encodeChanges, type KeyValueQuery } from "../../src/machine/key-value-protocol.ts";
import { codeOf } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { type FakeNode, failing, once, onStage, type Poll, refuse, silent, times } from "./fakes.ts";

type Watch = AsyncIterator<Change>;

const test = suite("client: watches");

/** Changes in a line each: `+a=1 @2`, `-a @3`. */
const said = (change: Change): string =>
  change.type === "put" ? `+${change.key}=${change.value} @${change.revision}` : `-${change.key} @${change.revision}`;

/** Reads so many changes. */
async function take(watch: Watch, count: number): Promise<string[]> {
  const changes: string[] = [];
  while (changes.length < count) {
    const { done, value } = await watch.next();
    if (done === true) break;
    changes.push(said(value));
  }
  return changes;
}

async function putAll(client: Client, ...keys: readonly string[]): Promise<void> {
  for (const key of keys) await client.put(key, key);
}

const fromOf = ({ query }: { readonly query: KeyValueQuery }): number =>
  query.op === "changes" ? query.fromRevision : -1;

test("changes come in order, from the revision that is asked for, of keys with the prefix", () =>
  onStage(async ({ client }) => {
    const writer = await client();
    await putAll(writer, "a1", "b", "a2");
    await writer.delete("a1");
    const watch = writer.watch("a", { fromRevision: 2 });
    assert.equal(await take(watch, 2), ["+a2=a2 @3", "-a1 @4"]);
    const later = take(watch, 1);
    await putAll(writer, "b", "a3");
    assert.equal(await later, ["+a3=a3 @6"]);
  }));

test("by default a watch begins with what its client writes after the call, and with nothing before it", () =>
  onStage(async ({ client, n1 }) => {
    const writer = await client();
    await putAll(writer, "before");
    // The read that says where to begin takes its time: whatever is written must wait for it.
    const reading = Promise.withResolvers<void>();
    n1.readScript = [
      once((read, answer) => {
        void reading.promise.then(() => n1.serve(read, answer));
      }),
    ];
    const watch = writer.watch("");
    const put = writer.put("after", "1");
    await n1.reads.first(1);
    assert.is(n1.batches.all.length, 1, "nothing was sent yet");
    reading.resolve();
    assert.equal(await take(watch, 1), ["+after=1 @2"]);
    await put;
    assert.is(n1.reads.all[0]?.consistency, "linearizable");
  }));

test("a watch that can't begin holds nothing back once it is given up", () =>
  onStage(async ({ client, n1 }) => {
    const writer = await client({ nodes: [n1.url] });
    await putAll(writer, "before");
    n1.readScript = [silent];
    const watch = writer.watch("");
    const put = writer.put("after", "1");
    await n1.reads.first(1);
    const next = watch.next();
    await watch.return?.();
    assert.is((await next).done, true);
    assert.equal(await put, { revision: 2 });
  }));

test("where to begin is asked again for as long as it takes", () =>
  onStage(async ({ client, n1 }) => {
    const writer = await client();
    await putAll(writer, "before");
    n1.readScript = [failing(refuse("NOT_LEADER")), failing(refuse("BUSY"))];
    const watch = writer.watch("");
    const change = take(watch, 1);
    await putAll(writer, "after");
    assert.equal(await change, ["+after=after @2"]);
  }));

test("the leader is asked; when it fails, the next node is, from where the last one stopped", () =>
  onStage(async ({ client, n1, n2 }) => {
    const writer = await client();
    await putAll(writer, "a", "b");
    const watch = writer.watch("", { fromRevision: 1 });
    assert.equal(await take(watch, 2), ["+a=a @1", "+b=b @2"]);
    assert.is(n2.polls.all.length, 0);
    const later = take(watch, 2);
    await n1.polls.first(2);
    await n1.stop();
    for (const node of [n2]) node.push(n2.leading(2));
    await putAll(writer, "c", "d");
    assert.equal(await later, ["+c=c @3", "+d=d @4"]);
    assert.is(fromOf(n2.polls.all[0] ?? never()), 3);
  }));

const never = (): never => {
  throw new Error("nobody was asked");
};

for (const code of ["BUSY", "NO_LEADER", "MACHINE_FAILED", "BAD_MESSAGE", "UNKNOWN_ACTOR"] as const) {
  test(`a node that answers ${code} is left for another`, () =>
    onStage(async ({ client, n1, n2 }) => {
      const writer = await client();
      await putAll(writer, "a");
      n1.pollScript = [times(Number.POSITIVE_INFINITY, (_poll, answer) => answer.fail(refuse(code)))];
      assert.equal(await take(writer.watch("", { fromRevision: 1 }), 1), ["+a=a @1"]);
      assert.is(n2.polls.all.length, 1);
    }));
}

test("a node that says nothing at all is left for another, and its question taken back", () =>
  onStage(async ({ client, n1, n2 }) => {
    const writer = await client();
    await putAll(writer, "a");
    n1.pollScript = [silent];
    const watch = writer.watch("", { fromRevision: 1 });
    assert.equal(await take(watch, 1), ["+a=a @1"]);
    assert.equal([n1.polls.all.length, n2.polls.all.length], [1, 1]);
    assert.equal(await n1.pollsEnded.first(1), [n1.polls.all[0]?.id]);
    // The one that answered is asked on.
    const later = take(watch, 1);
    await n2.polls.first(2);
    await putAll(writer, "b");
    assert.equal(await later, ["+b=b @2"]);
    assert.is(n1.polls.all.length, 1);
  }));

test("while no node answers, all are asked again; what came meanwhile is not missed", () =>
  onStage(async ({ client, n1, n2 }) => {
    const writer = await client();
    const refusing = times(3, (_poll: Poll, answer) => answer.fail(refuse("NO_LEADER")));
    n1.pollScript = [refusing];
    n2.pollScript = [refusing];
    const change = take(writer.watch("", { fromRevision: 1 }), 1);
    await putAll(writer, "a");
    assert.equal(await change, ["+a=a @1"]);
    assert.is(n1.polls.all.length + n2.polls.all.length, 4);
  }));

test("a node may say that there is nothing yet as often as it likes, and is given more time then", () =>
  onStage(async ({ client, n1 }) => {
    const writer = await client();
    n1.pollScript = [times(3, (_poll, answer) => answer.ok({ type: "polled", result: null }))];
    const change = take(writer.watch("", { fromRevision: 1 }), 1);
    await n1.polls.first(4);
    await putAll(writer, "a");
    assert.equal(await change, ["+a=a @1"]);
    assert.equal(
      n1.polls.all.map(({ waitMs }) => waitMs),
      [500, 10_000, 10_000, 10_000],
    );
  }));

test("changes of other keys move a watch on, so that they are not passed by twice", () =>
  onStage(async ({ client, n1 }) => {
    const writer = await client();
    const page = encodeChanges({ type: "changes", changes: [], nextRevision: 1_000 });
    n1.pollScript = [once((_poll, answer) => answer.ok({ type: "polled", result: page }))];
    const watch = writer.watch("a", { fromRevision: 1 });
    const ended = codeOf(watch.next());
    assert.equal((await n1.polls.first(2)).map(fromOf), [1, 1_000]);
    await writer.close();
    assert.is(await ended, "CLOSED");
  }));

test("a node that is wanted is asked and no other", () =>
  onStage(async ({ client, n1, n2 }) => {
    const writer = await client();
    await putAll(writer, "a");
    n2.pollScript = [failing(refuse("BUSY"))];
    assert.equal(await take(writer.watch("", { fromRevision: 1, node: "n2" }), 1), ["+a=a @1"]);
    assert.equal([n1.polls.all.length, n2.polls.all.length], [0, 2]);
  }));

test("changes that are kept no more: COMPACTED, with the first revision that is still to be had", () =>
  onStage(
    async ({ client }) => {
      const writer = await client();
      await putAll(writer, "a", "b", "c", "d");
      const watch = writer.watch("", { fromRevision: 2 });
      const error = await watch.next().catch((thrown: unknown) => thrown);
      assert.ok(error instanceof ConclaveError && error.code === "COMPACTED");
      assert.equal(error.details, { firstRevision: 3 });
      assert.is((await watch.next()).done, true, "it is over");
      assert.equal(await take(writer.watch("", { fromRevision: 3 }), 2), ["+c=c @3", "+d=d @4"]);
    },
    { countMax: 2, sizeMax: 1_000 },
  ));

test("a reader who is slow holds up nobody: no page is asked for before the last one was read", () =>
  onStage(async ({ client, n1 }) => {
    const writer = await client();
    await Promise.all(Array.from({ length: 1_500 }, (_, i) => writer.put(`k${i}`, "")));
    const watch = writer.watch("", { fromRevision: 1 });
    await take(watch, 1);
    await putAll(writer, "more");
    await take(watch, 999);
    assert.is(n1.polls.all.length, 1);
    await take(watch, 501);
    assert.equal(n1.polls.all.map(fromOf), [1, 1_001]);
  }));

test("a page that does not fit into one message is asked for in smaller parts", () =>
  onStage(async ({ client, n1 }) => {
    const writer = await client();
    await putAll(writer, "a", "b", "c", "d");
    n1.pollScript = [
      (poll, answer) => {
        if (poll.query.op === "changes" && poll.query.limit > 2) answer.fail(refuse("ANSWER_TOO_LARGE"));
        else n1.park(poll, answer);
        return true;
      },
    ];
    assert.is((await take(writer.watch("", { fromRevision: 1 }), 4)).length, 4);
    n1.pollScript = [times(Number.POSITIVE_INFINITY, (_poll, answer) => answer.fail(refuse("ANSWER_TOO_LARGE")))];
    const alone = await client({ nodes: [n1.url] });
    assert.is(await codeOf(alone.watch("", { fromRevision: 1, node: "n1" }).next()), "ANSWER_TOO_LARGE");
  }));

/** How a watch ends while its question waits at the node. */
async function endedBy(act: (stage: { watch: Watch; abort: AbortController; client: Client }) => unknown) {
  let outcome: unknown;
  let ended: readonly number[] = [];
  await onStage(async ({ client, n1 }) => {
    const reader = await client();
    await putAll(reader, "a");
    const abort = new AbortController();
    const watch = reader.watch("", { fromRevision: 2, signal: abort.signal });
    const next = watch.next().then(
      ({ done }) => (done === true ? "done" : "a change"),
      (error: unknown) => (error instanceof ConclaveError ? error.code : error),
    );
    await n1.polls.first(1);
    await act({ watch, abort, client: reader });
    outcome = await next;
    assert.is((await watch.next()).done, true);
    // The client that is closed has no link left to say so.
    if (outcome !== "CLOSED") ended = await n1.pollsEnded.first(1);
    else ended = [1];
    assert.is(ended.length, 1);
  });
  return outcome;
}

test("its reader leaves: the question that waits is taken back, and the loop is over", async () =>
  assert.is(await endedBy(({ watch }) => watch.return?.()), "done"));

test("its signal fires: ABORTED", async () => assert.is(await endedBy(({ abort }) => abort.abort()), "ABORTED"));

test("its client is closed: CLOSED", async () => assert.is(await endedBy(({ client }) => client.close()), "CLOSED"));

test("a loop that is left asks for nothing more", () =>
  onStage(async ({ client, n1 }) => {
    const writer = await client();
    await putAll(writer, "a", "b");
    for await (const change of writer.watch("", { fromRevision: 1 })) {
      assert.is(said(change), "+a=a @1");
      break;
    }
    await putAll(writer, "c");
    assert.is(n1.polls.all.length, 1);
  }));

test("what was aborted, or closed, before it began ends as it would have later", () =>
  onStage(async ({ client }) => {
    const reader = await client();
    assert.is(await codeOf(reader.watch("", { signal: AbortSignal.abort() }).next()), "ABORTED");
    const [begun, later] = [reader.watch("", { fromRevision: 1 }), reader.watch("")];
    await reader.close();
    assert.is(await codeOf(begun.next()), "CLOSED");
    assert.is(await codeOf(later.next()), "CLOSED");
    assert.is(await codeOf(reader.watch("").next()), "CLOSED");
  }));

test("once its signal has fired a watch gives nothing more, though it holds a page", () =>
  onStage(async ({ client }) => {
    const writer = await client();
    await putAll(writer, "a", "b");
    const abort = new AbortController();
    const watch = writer.watch("", { fromRevision: 1, signal: abort.signal });
    await watch.next();
    abort.abort();
    assert.is(await codeOf(watch.next()), "ABORTED");
  }));

/** Answers one question with what a machine should never say. */
const nonsense = (node: FakeNode, result: Uint8Array): void => {
  node.pollScript = [once((_poll, answer) => answer.ok({ type: "polled", result }))];
};

const change = (revision: number): Change => ({ type: "put", key: "x", value: "", revision });

for (const [what, result] of [
  ["no page", Uint8Array.of(9)],
  ["changes that go back", encodeChanges({ type: "changes", changes: [change(5), change(4)], nextRevision: 6 })],
  ["changes from before", encodeChanges({ type: "changes", changes: [change(1)], nextRevision: 2 })],
  ["a page that goes back", encodeChanges({ type: "changes", changes: [], nextRevision: 1 })],
] as const) {
  test(`a node that answers with ${what} is not believed, and another is asked`, () =>
    onStage(async ({ client, n1, n2 }) => {
      const writer = await client();
      await putAll(writer, "a", "b");
      nonsense(n1, result);
      assert.equal(await take(writer.watch("", { fromRevision: 2 }), 1), ["+b=b @2"]);
      assert.equal([n1.polls.all.length, n2.polls.all.length], [1, 1]);
    }));
}

test("arguments that make no sense are refused at once", () =>
  onStage(async ({ client }) => {
    const reader = await client();
    for (const fromRevision of [0, -1, 1.5, Number.NaN, 2 ** 53]) {
      assert.throws(() => reader.watch("", { fromRevision }), /begins with a revision/);
    }
    assert.throws(() => reader.watch("\ud800"), /lone surrogates/);
    assert.throws(() => reader.watch("k".repeat(2_000)), /2000 bytes/);
  }));

test.run();
