/** Backups as a client draws and restores them: whatever is lost on the way, the file is whole and nothing is applied twice. */

import * as assert from "uvu/assert";
import type { Answer } from "../../src/actor/index.ts";
import type { BackupPart } from "../../src/client/index.ts";
import { KeyValueMachine } from "../../src/machine/index.ts";
import { encodeCommand } from "../../src/machine/key-value-protocol.ts";
import type { NodeAnswer, NodeMessage } from "../../src/protocol/node.ts";
import { codeOf } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { type FakeNode, failing, onStage, refuse, silent } from "./fakes.ts";

const test = suite("client: backups");

const ORIGIN = Uint8Array.of(7, 7, 7);
const STATE = Uint8Array.from({ length: 10 }, (_, i) => i);
const WHOLE = [...ORIGIN, ...STATE];

/** A node that has a snapshot, and gives so many bytes of it at a time; what it was asked is noted. */
function giving(node: FakeNode, source = "s", asked: string[] = [], bytesMax = 4): string[] {
  const script = (message: NodeMessage, answer: Answer<NodeAnswer>): boolean => {
    if (message.type === "take-snapshot") {
      asked.push(`${node.id} take`);
      answer.ok({ type: "snapshot", index: 5, total: STATE.byteLength, origin: ORIGIN });
    } else if (message.type === "read-snapshot") {
      asked.push(`${node.id} read ${message.offset}`);
      const bytes = STATE.slice(message.offset, message.offset + bytesMax);
      const end = message.offset + bytes.byteLength;
      const next = end === STATE.byteLength ? null : end;
      answer.ok({ type: "chunks", bytes, next, total: STATE.byteLength, source });
    } else return false;
    return true;
  };
  node.otherScript = [script];
  return asked;
}

/** What a reader has in its file in the end. */
async function fileOf(parts: AsyncIterable<BackupPart>): Promise<number[]> {
  let file: number[] = [];
  for await (const { offset, bytes, total } of parts) {
    if (offset === 0) file = [];
    assert.is(offset, file.length);
    file.push(...bytes);
    assert.is(total, WHOLE.length);
  }
  return file;
}

const scripted =
  (type: NodeMessage["type"], act: (answer: Answer<NodeAnswer>) => void) =>
  (message: NodeMessage, answer: Answer<NodeAnswer>): boolean => {
    if (message.type !== type) return false;
    act(answer);
    return true;
  };

test("the leader is asked, its parts follow one another, and it is told when it is drawn", () =>
  onStage(async ({ client, n1 }) => {
    const asked = giving(n1);
    assert.equal(await fileOf((await client()).backup()), WHOLE);
    assert.equal(asked, ["n1 take", "n1 read 0", "n1 read 4", "n1 read 8"]);
    assert.equal(await n1.released.first(1), [5]);
  }));

test("a part that is lost with its link is asked for again, and the others are not", () =>
  onStage(async ({ client, n1 }) => {
    const asked = giving(n1);
    const reader = await client({ nodes: [n1.url] });
    const parts = reader.backup()[Symbol.asyncIterator]();
    const seen = [(await parts.next()).value];
    await n1.stop();
    await n1.start();
    for (let next = await parts.next(); next.done !== true; next = await parts.next()) seen.push(next.value);
    assert.equal(
      seen.flatMap((part) => [...(part?.bytes ?? [])]),
      WHOLE,
    );
    assert.equal(asked.slice(0, 2), ["n1 take", "n1 read 0"]);
    assert.equal([...new Set(asked)], ["n1 take", "n1 read 0", "n1 read 4", "n1 read 8"]);
  }));

test("a part that a node has no time for is asked for again, and nothing else", () =>
  onStage(async ({ client, n1 }) => {
    const asked = giving(n1);
    const [script] = n1.otherScript;
    let reads = 0;
    n1.otherScript.unshift((message, answer) => {
      if (message.type === "read-snapshot" && ++reads % 2 === 0) answer.fail(refuse("BUSY"));
      else script?.(message, answer);
      return true;
    });
    assert.equal(await fileOf((await client()).backup()), WHOLE);
    assert.equal(asked, ["n1 take", "n1 read 0", "n1 read 4", "n1 read 8"]);
    assert.is(reads, 5);
  }));

test("from a node that is gone another one takes over, and the file begins anew", () =>
  onStage(async ({ client, n1, n2 }) => {
    const asked = giving(n1);
    giving(n2, "other", asked);
    const reader = await client({ nodes: [n1.url, n2.url] });
    await reader.put("a", "1");
    const file: number[] = [];
    const offsets: number[] = [];
    for await (const { offset, bytes } of reader.backup()) {
      if (offsets.length === 1) await n1.stop();
      offsets.push(offset);
      if (offset === 0) file.length = 0;
      file.push(...bytes);
    }
    assert.equal(file, WHOLE);
    assert.equal(offsets, [0, 7, 0, 7, 11]);
    assert.equal(asked.slice(-4), ["n2 take", "n2 read 0", "n2 read 4", "n2 read 8"]);
  }));

for (const code of ["BUSY", "DISK_FULL", "NO_LEADER"] as const) {
  test(`a node that answers ${code} is passed by`, () =>
    onStage(async ({ client, n1, n2 }) => {
      n1.otherScript = [failing(refuse(code))];
      const asked = giving(n2);
      const reader = await client({ nodes: [n1.url, n2.url] });
      await reader.put("a", "1");
      assert.equal(await fileOf(reader.backup()), WHOLE);
      assert.is(asked[0], "n2 take");
    }));
}

test("if all are busy they are asked again; if they stay so, that is what it ends with", () =>
  onStage(async ({ client, n1 }) => {
    const reader = await client({ nodes: [n1.url] });
    await reader.put("a", "1");
    const asked = giving(n1);
    n1.otherScript.unshift(failing(refuse("BUSY")));
    assert.equal(await fileOf(reader.backup()), WHOLE);
    assert.is(asked.length, 4);
    n1.otherScript = [scripted("take-snapshot", (answer) => answer.fail(refuse("BUSY")))];
    assert.is(await codeOf(fileOf(reader.backup({ timeoutMs: 100 }))), "BUSY");
  }));

test("what is of another file than before, no more than announced, or nothing at all, is not taken for the next part", () =>
  onStage(async ({ client, n1 }) => {
    const reader = await client({ nodes: [n1.url] });
    await reader.put("a", "1");
    const chunks = { type: "chunks", bytes: STATE.slice(4), next: null, total: STATE.byteLength, source: "s" } as const;
    for (const wrong of [
      { ...chunks, source: "another" },
      { ...chunks, bytes: new Uint8Array(7), total: 11 },
      { ...chunks, bytes: new Uint8Array(0), next: 4 },
      { ...chunks, next: 8 },
    ]) {
      const asked = giving(n1);
      const [script] = n1.otherScript;
      let reads = 0;
      n1.otherScript.unshift((message, answer) => {
        if (message.type === "read-snapshot" && ++reads === 2) answer.ok(wrong);
        else script?.(message, answer);
        return true;
      });
      assert.equal(await fileOf(reader.backup()), WHOLE);
      assert.equal(asked, ["n1 take", "n1 read 0", "n1 take", "n1 read 0", "n1 read 4", "n1 read 8"]);
    }
  }));

test("a node may be named, and no other is asked", () =>
  onStage(async ({ client, n1, n2 }) => {
    const asked = giving(n1);
    giving(n2, "other", asked);
    const reader = await client();
    await reader.put("a", "1");
    assert.equal(await fileOf(reader.backup({ node: "n2" })), WHOLE);
    assert.equal(asked.slice(0, 1), ["n2 take"]);
    n2.otherScript = [silent];
    assert.is(await codeOf(fileOf(reader.backup({ node: "n2", timeoutMs: 50 }))), "TIMEOUT");
    assert.is(asked.filter((one) => one.startsWith("n1")).length, 0);
  }));

test("it ends with ABORTED, CLOSED or NO_LEADER, as every call does, and a reader may leave at any time", () =>
  onStage(async ({ client, n1, deadUrl }) => {
    giving(n1);
    const reader = await client({ nodes: [n1.url] });
    for await (const part of reader.backup()) if (part.offset === 0) break;
    assert.equal(await n1.released.first(1), [5]);
    n1.otherScript = [silent];
    const abort = new AbortController();
    const aborted = codeOf(fileOf(reader.backup({ signal: abort.signal })));
    abort.abort();
    assert.is(await aborted, "ABORTED");
    const closing = codeOf(fileOf(reader.backup()));
    await reader.close();
    assert.is(await closing, "CLOSED");
    assert.is(await codeOf(fileOf(reader.backup())), "CLOSED");
    const lost = await client({ nodes: [deadUrl] });
    assert.is(await codeOf(fileOf(lost.backup({ timeoutMs: 50 }))), "NO_LEADER");
  }));

/** Pieces of a store with that many keys; the value of each makes a piece of its own. */
function piecesWith(keys: number, valueBytes = 70_000): Uint8Array[] {
  const machine = new KeyValueMachine();
  for (let i = 0; i < keys; i++) {
    machine.apply(encodeCommand({ op: "put", key: `k${i}`, value: "x".repeat(valueBytes) }));
  }
  return [...machine.snapshot()];
}

const saidBy = ({ batches }: FakeNode): string[] => batches.all.flatMap(({ said }) => said);

test("steps go in order in a session of their own, and long pieces in parts", () =>
  onStage(async ({ client, n1 }) => {
    const restorer = await client();
    await restorer.restore(piecesWith(1, 600_000));
    const parts = ["part", "part", "piece"];
    assert.equal(saidBy(n1), ["begin", ...parts, "piece", ...parts, "piece", "end"]);
    assert.is((await restorer.get("k0"))?.value, "x".repeat(600_000));
    await restorer.put("own", "1");
    assert.is(n1.opened.all.length, 2);
  }));

test("answers that are lost, and another leader, change nothing: each step takes effect once", () =>
  onStage(async ({ client, n1, n2 }) => {
    const restorer = await client();
    let batches = 0;
    n1.commandScript = [
      (batch, answer) => {
        batches++;
        n1.apply(batch, batches === 1 ? answer : null); // It takes effect, and nobody hears of it.
        if (batches === 2) for (const node of [n1, n2]) node.push(n2.leading(2));
        return true;
      },
    ];
    await restorer.restore(piecesWith(30));
    assert.is((await restorer.list("", { limit: 1 })).revision, 30);
    assert.ok(batches > 1 && saidBy(n2).includes("end"));
    assert.is([...saidBy(n1), ...saidBy(n2)].filter((step) => step === "begin").length, 1);
  }));

test("a cluster that holds data is left alone, and so is one whose session has ended midway", () =>
  onStage(async ({ client, state, n1 }) => {
    const restorer = await client();
    await restorer.put("own", "1");
    assert.is(await codeOf(restorer.restore(piecesWith(1))), "NOT_EMPTY");
    assert.equal(saidBy(n1), ["put own", "begin", "abandon"]);

    async function* interrupted(): AsyncGenerator<Uint8Array> {
      const [first, ...others] = piecesWith(20);
      if (first !== undefined) yield first;
      state.expire(n1.opened.all.at(-1) ?? 0);
      yield* others;
    }
    assert.is(await codeOf(restorer.restore(interrupted(), { force: true })), "RESTORE_ABANDONED");
    assert.is(await codeOf(restorer.restore(["text"] as never, { force: true })), "INVALID_ARGUMENT");
    assert.equal(
      (await restorer.list("")).entries.map(({ key }) => key),
      ["own"],
    );
    assert.not(saidBy(n1).includes("end"));
  }));

test("pieces that can't be read end it with their error, and what had come is given up", () =>
  onStage(async ({ client, n1 }) => {
    const restorer = await client();
    async function* failingLate(): AsyncGenerator<Uint8Array> {
      yield* piecesWith(1);
      throw refuse("DATA_CORRUPT");
    }
    assert.is(await codeOf(restorer.restore(failingLate())), "DATA_CORRUPT");
    assert.equal(saidBy(n1).slice(-1), ["abandon"]);
    assert.equal((await restorer.list("")).entries, []);
    await restorer.restore(piecesWith(1));
    assert.is((await restorer.list("")).entries.length, 1);
  }));

test("no more than a few steps are ahead of the leader, however many there are", () =>
  onStage(async ({ client, n1 }) => {
    const restorer = await client();
    let given = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for (const piece of piecesWith(60)) {
        given++;
        yield piece;
      }
    }
    const held: (() => void)[] = [];
    n1.commandScript = [
      (batch, answer) => {
        if (batch.said[0] === "begin") n1.apply(batch, answer);
        else held.push(() => n1.apply(batch, answer));
        return true;
      },
    ];
    const restoring = restorer.restore(counted());
    await n1.batches.when("a batch of pieces", ({ said }) => said.includes("piece"));
    await n1.batches.until("the window is full", () => saidBy(n1).length >= 17);
    assert.is(given, 17);
    n1.commandScript = [];
    for (const apply of held) apply();
    await restoring;
    assert.is((await restorer.list("", { limit: 1 })).revision, 60);
  }));

test("only once the last step was sent is the outcome unknown; before, nothing was changed", () =>
  onStage(async ({ client, n1 }) => {
    const restorer = await client();
    const endWith = async (step: string): Promise<string> => {
      n1.commandScript = [
        (batch, answer) => {
          if (!batch.said.includes(step)) n1.apply(batch, answer);
          return true;
        },
      ];
      return codeOf(restorer.restore(piecesWith(1), { timeoutMs: 300 }));
    };
    assert.is(await endWith("piece"), "RESTORE_ABANDONED");
    assert.is(await endWith("end"), "UNKNOWN_OUTCOME");
    await restorer.close();
    assert.is(await codeOf(restorer.restore([])), "CLOSED");
  }));

test.run();
