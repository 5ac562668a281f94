/** A server that has no room says for how long, and is left alone until then; a client keeps to its windows by itself. */

import * as assert from "uvu/assert";
import { ConclaveError } from "../../src/client/index.ts";
import { pauseMs } from "../../src/client/options.ts";
import { busy, retryAfterMs } from "../../src/errors.ts";
import { realEnvironment } from "../../src/index.ts";
import { CLIENT_READS_MAX, CLIENT_WINDOW_BYTES_MAX } from "../../src/limits.ts";
import { encodeList } from "../../src/machine/commands.ts";
import { encodePage } from "../../src/machine/key-value-protocol.ts";
import type { NodeAnswer } from "../../src/protocol/node.ts";
import { codeOf, turns } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { failing, onStage, type Stage, silent, times } from "./fakes.ts";

const MiB = 1024 * 1024;
const STALE = { consistency: "stale" } as const;

/** Pauses are exactly as long as they were asked for. */
const PUNCTUAL = { ...realEnvironment, random: { ...realEnvironment.random, next: () => 0 } };

/** A client with a session. */
async function warm({ client, directory }: Stage) {
  const warmed = await client({ directories: [directory.url], environment: PUNCTUAL });
  await warmed.put("warm", "1");
  return warmed;
}

async function errorOf(promise: Promise<unknown>): Promise<ConclaveError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ConclaveError, String(error));
  return error;
}

/** An answer to one query, in the place of the state machine's: an empty page. */
const PAGE: NodeAnswer = {
  type: "results",
  index: 0,
  results: encodeList([encodePage({ entries: [], more: false, revision: 0 })]),
};

const test = suite("client: back-pressure");

test("a leader that said when is left alone until then, by new commands, too", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    const { clock } = realEnvironment;
    stage.n1.commandScript = [failing(busy("scripted", 300))];
    const refused = client.put("a", "1");
    await stage.n1.batches.first(2);
    const refusedMs = clock.nowMs();
    await client.get("warm", { consistency: "stale" }); // Its answer comes behind the refusal.
    await Promise.all([refused, client.put("b", "1"), client.put("c", "1")]);
    assert.ok(clock.nowMs() - refusedMs >= 295, `it came again after ${clock.nowMs() - refusedMs} ms`);
    assert.equal(
      stage.n1.batches.all.map(({ said }) => said),
      [["put warm"], ["put a"], ["put a", "put b", "put c"]],
    );
  }));

test("whoever has no time to wait for that long gets the BUSY, with the hint, at its deadline", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.commandScript = [times(1_000, (_batch, answer) => answer.fail(busy("scripted", 4_000)))];
    const refused = errorOf(client.put("a", "1", { timeoutMs: 100 }));
    await stage.n1.batches.first(2);
    await client.get("warm", { consistency: "stale" }); // Its answer comes behind the refusal.
    const [first, second] = await Promise.all([refused, errorOf(client.put("b", "1", { timeoutMs: 50 }))]);
    for (const error of [first, second]) assert.equal([error.code, error.details], ["BUSY", { retryAfterMs: 4_000 }]);
    assert.is(stage.n1.batches.all.length, 2, "nothing was sent in the meantime");
  }));

test("so it is with a session that can't be opened", () =>
  onStage(async (stage) => {
    stage.n1.openScript = [times(1_000, (_question, answer) => answer.fail(busy("scripted", 4_000)))];
    const client = await stage.client();
    const error = await errorOf(client.put("a", "1", { timeoutMs: 300 }));
    assert.equal([error.code, retryAfterMs(error)], ["BUSY", 4_000]);
  }));

test("another leader is asked at once: the pause was the first one's", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.commandScript = [times(1_000, (_batch, answer) => answer.fail(busy("scripted", 4_000)))];
    const refused = client.put("a", "1", { timeoutMs: 3_000 });
    await stage.n1.batches.first(2);
    for (const node of [stage.n1, stage.n2]) node.push(stage.n2.leading(2));
    await refused;
    assert.equal(stage.n2.batches.all[0]?.said, ["put a"]);
  }));

test("reads keep the pause that they were asked for, and end with the hint", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    const { clock } = realEnvironment;
    stage.n1.readScript = [failing(busy("scripted", 150))];
    const startMs = clock.nowMs();
    await client.get("a");
    assert.ok(clock.nowMs() - startMs >= 145, `it was asked again after ${clock.nowMs() - startMs} ms`);
    assert.is(stage.n1.reads.all.length, 2);
    stage.n1.readScript = [times(1_000, (_read, answer) => answer.fail(busy("scripted", 4_000)))];
    assert.is(retryAfterMs(await errorOf(client.get("a", { timeoutMs: 100 }))), 4_000);
    assert.is(stage.n1.reads.all.length, 3);
  }));

test("a stale read asks the next node at once, and all of them again when one of them may have room", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.readScript = [times(1_000, (_read, answer) => answer.fail(busy("scripted", 4_000)))];
    await client.get("a", STALE);
    assert.is(stage.n2.reads.all.length, 1);
    stage.n2.readScript = [failing(busy("scripted", 50))];
    await client.get("a", STALE);
    assert.is(stage.n2.reads.all.length, 3);
    stage.n2.readScript = [times(1_000, (_read, answer) => answer.fail(busy("scripted", 3_000)))];
    const error = await errorOf(client.get("a", { ...STALE, timeoutMs: 100 }));
    assert.is(error.code, "BUSY");
  }));

test("a client has so many bytes of commands unanswered, and sends the rest as answers come", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    const value = "x".repeat(MiB);
    const count = (3 * CLIENT_WINDOW_BYTES_MAX) / MiB;
    const answers: (() => void)[] = [];
    stage.n1.commandScript = [times(1_000, (batch, answer) => void answers.push(() => stage.n1.apply(batch, answer)))];
    const puts = Array.from({ length: count }, (_, i) => client.put(`k${i}`, value));
    const window = CLIENT_WINDOW_BYTES_MAX / MiB;
    await stage.n1.batches.first(1 + window);
    await turns(50);
    assert.is(answers.length, window);
    for (let i = 0; i < count; i++) {
      await stage.n1.batches.first(2 + i);
      answers[i]?.();
    }
    await Promise.all(puts);
  }));

test("a client has so many messages of queries unanswered; those that wait share one", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    stage.n1.readScript = [silent];
    const abort = new AbortController();
    const reads: Promise<unknown>[] = [];
    const read = (): void => void reads.push(codeOf(client.get("a", { signal: abort.signal })));
    for (let i = 0; i < CLIENT_READS_MAX + 50; i++) {
      read();
      await null;
      await null;
    }
    await stage.n1.reads.first(CLIENT_READS_MAX);
    await turns(20);
    assert.is(stage.n1.reads.all.length, CLIENT_READS_MAX);
    abort.abort();
    assert.equal(new Set(await Promise.all(reads)), new Set(["ABORTED"]));
  }));

test("once those are answered the window is open again", () =>
  onStage(async (stage) => {
    const client = await warm(stage);
    const open: (() => void)[] = [];
    stage.n1.readScript = [times(CLIENT_READS_MAX, (_read, answer) => void open.push(() => answer.ok(PAGE)))];
    const reads: Promise<unknown>[] = [];
    for (let i = 0; i < CLIENT_READS_MAX + 1; i++) {
      reads.push(client.get("a"));
      await null;
      await null;
    }
    await stage.n1.reads.first(CLIENT_READS_MAX);
    for (const answer of open) answer();
    await Promise.all(reads);
    assert.is(stage.n1.reads.all.length, CLIENT_READS_MAX + 1);
  }));

test("a pause is never shorter than it was asked for, nor the same for everyone, nor endless", () => {
  const at = (share: number): number => pauseMs(100, { ...realEnvironment.random, next: () => share });
  assert.equal([at(0), at(0.5)], [100, 125]);
  assert.ok(at(0.999) < 150);
  assert.is(pauseMs(1e9, { ...realEnvironment.random, next: () => 0 }), 5_000);
});

test("a hint that makes no sense is none", () => {
  assert.is(retryAfterMs(busy("full", 12.5)), 13);
  for (const given of ["soon", -1, 0, Number.NaN, null]) {
    assert.is(retryAfterMs(new ConclaveError("BUSY", "full", { details: { retryAfterMs: given } })), null);
  }
  assert.is(retryAfterMs(new ConclaveError("TIMEOUT", "late", { details: { retryAfterMs: 5 } })), null);
});

test.run();
