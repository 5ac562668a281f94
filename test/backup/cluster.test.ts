/** Backups of real clusters in one process: consistent with one moment, and restored whole into another cluster. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import * as assert from "uvu/assert";
import type { Client, KeyValueEntry } from "../../src/client/index.ts";
import { hasCode, realEnvironment, restoreBackup, saveBackup, verifyBackup } from "../../src/index.ts";
import { ASK } from "../node/asking.ts";
import { type InProcess, withNodes } from "../node/in-process.ts";
import { codeOf } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const test = suite("backup of a cluster");
const { disk } = realEnvironment;

const fileIn = ({ folder }: InProcess): string => path.join(folder, "a.backup");

/** Every key there is. */
async function everything(client: Client): Promise<{ entries: KeyValueEntry[]; revision: number }> {
  const entries: KeyValueEntry[] = [];
  for (let after = ""; ; after = entries.at(-1)?.key ?? "") {
    const page = await client.list("", { limit: 1_000, after });
    entries.push(...page.entries);
    if (!page.more) return { entries, revision: page.revision };
  }
}

test("under load it is the state at one moment, and none older than the call; in a new cluster all of it is there", () =>
  withNodes(3, async (old) => {
    const [client, writer] = [await old.client(), await old.client()];
    for (let i = 0; i < 20; i++) await client.put(`large/${i}`, "x".repeat(100_000));
    let isOver = false;
    // Two keys are never apart by more than one, and the second never is ahead: at any moment.
    const writing = (async () => {
      for (let i = 1; !isOver; i++) {
        await writer.put("first", String(i));
        await writer.put("second", String(i));
      }
    })();
    const { revision: before } = await client.put("before", "the call");
    const [leader, ...others] = [await old.leader(), ...old.ids];
    const follower = others.find((id) => id !== leader) ?? "";
    const saved = await saveBackup(disk, fileIn(old), client);
    await saveBackup(disk, `${fileIn(old)}.follower`, client, { node: follower });
    isOver = true;
    await writing;
    const { revision: after } = await everything(client);
    assert.is(saved.cluster, "test");
    assert.ok(saved.bytes > 2_000_000);

    for (const file of [fileIn(old), `${fileIn(old)}.follower`]) {
      await withNodes(3, async (young) => {
        const restorer = await young.client();
        await restoreBackup(disk, file, restorer);
        const { entries, revision } = await everything(restorer);
        assert.ok(revision >= before && revision <= after, `${before} <= ${revision} <= ${after}`);
        assert.is(Math.max(...entries.map((entry) => entry.revision)), revision, "the last change is in it");
        assert.is(new Set(entries.map((entry) => entry.revision)).size, entries.length);
        const found = new Map(entries.map(({ key, value }) => [key, value]));
        assert.is(found.get("before"), "the call");
        const [first, second] = [Number(found.get("first") ?? 0), Number(found.get("second") ?? 0)];
        assert.ok(first === second || first === second + 1, `${first} and ${second}`);
        for (let i = 0; i < 20; i++) assert.is(found.get(`large/${i}`), "x".repeat(100_000));
        // What comes next goes on behind it, for watchers too.
        const watch = restorer.watch("", { fromRevision: revision });
        assert.is((await restorer.put("next", "1")).revision, revision + 1);
        const seen = [(await watch.next()).value, (await watch.next()).value];
        assert.equal(
          seen.map((change) => change?.revision),
          [revision, revision + 1],
        );
        await watch.return?.();
      });
    }
  }));

test("every replica has it, also one that was down meanwhile, and one that starts again from its disk", () =>
  withNodes(
    3,
    async (cluster) => {
      const client = await cluster.client();
      for (let i = 0; i < 30; i++) await client.put(`k${i}`, "x".repeat(50_000));
      const expected = await everything(client);
      await saveBackup(disk, fileIn(cluster), client);
      await withNodes(
        3,
        async (young) => {
          const restorer = await young.client();
          const leader = await young.leader();
          const down = young.ids.find((id) => id !== leader) ?? "";
          await young.stop(down);
          await restoreBackup(disk, fileIn(cluster), restorer);
          await young.start(down);
          for (const id of young.ids) {
            const { entries } = await restorer.list("", { node: id, limit: 1_000 });
            assert.equal(entries, expected.entries, id);
          }
          await Promise.all(young.ids.map((id) => young.stop(id)));
          await young.startAll();
          assert.equal(await everything(await young.client()), expected);
        },
        { limits: { logBytesMax: 200_000, segmentBytesMax: 50_000, logCacheBytesMax: 50_000 } },
      );
    },
    { limits: { logBytesMax: 200_000, segmentBytesMax: 50_000 } },
  ));

test("a cluster that holds data refuses it, unless forced; then watchers hear that they have missed what came between", () =>
  withNodes(1, async (cluster) => {
    const client = await cluster.client();
    await client.put("a", "1");
    await saveBackup(disk, fileIn(cluster), client);
    await client.put("b", "2");
    assert.is(await codeOf(restoreBackup(disk, fileIn(cluster), client)), "NOT_EMPTY");
    assert.is((await client.get("b"))?.value, "2");
    const watch = client.watch("", { fromRevision: 3 });
    const next = codeOf(watch.next());
    await restoreBackup(disk, fileIn(cluster), client, { force: true });
    assert.is(await next, "COMPACTED");
    assert.equal(
      (await everything(client)).entries.map(({ key, revision }) => [key, revision]),
      [["a", 1]],
    );
  }));

test("a damaged file is named, with the offset, and nothing is changed by it, nor by one that is cut short", () =>
  withNodes(1, async (cluster) => {
    const client = await cluster.client();
    await client.put("a", "x".repeat(300_000));
    const { bytes } = await saveBackup(disk, fileIn(cluster), client);
    await client.delete("a");
    const whole = readFileSync(fileIn(cluster));
    const bad = `${fileIn(cluster)}.bad`;
    for (const at of [0, 30, 100, 1_000, bytes - 1]) {
      const flipped = new Uint8Array(whole);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      for (const content of [flipped, whole.subarray(0, at)]) {
        writeFileSync(bad, content);
        const error = await restoreBackup(disk, bad, client).catch((thrown: unknown) => thrown);
        if (!hasCode(error, "DATA_CORRUPT")) throw error;
        assert.is(error.details["file"], bad);
        assert.ok(Number(error.details["offset"]) <= at, `${error.details["offset"]} for ${at}`);
      }
    }
    assert.equal((await everything(client)).entries, []);
    assert.is((await verifyBackup(disk, fileIn(cluster))).bytes, bytes);
  }));

test("a file is there whole or not at all, and what was there stays until then", () =>
  withNodes(1, async (cluster) => {
    const client = await cluster.client();
    await client.put("a", "1");
    await saveBackup(disk, fileIn(cluster), client);
    const before = readFileSync(fileIn(cluster));
    const abort = new AbortController();
    const aborting = {
      backup: async function* () {
        for await (const part of client.backup({ signal: abort.signal })) {
          abort.abort();
          yield part;
        }
        await client.get("a", { signal: abort.signal });
      },
    };
    assert.is(await codeOf(saveBackup(disk, fileIn(cluster), aborting)), "ABORTED");
    assert.equal(readFileSync(fileIn(cluster)), before);
    assert.equal(
      readdirSync(cluster.folder).filter((name) => name.includes("backup")),
      ["a.backup"],
    );
  }));

test("a node keeps what is drawn while newer snapshots come, and lets go of it once it is drawn", () =>
  withNodes(
    1,
    async (cluster) => {
      const client = await cluster.client();
      const snapshots = (): number =>
        readdirSync(path.join(cluster.folder, "n1")).filter((name) => name.endsWith(".snap")).length;
      const fill = async (): Promise<void> => {
        for (let i = 0; i < 10; i++) await client.put("filler", "x".repeat(50_000));
      };
      for (let i = 0; i < 40; i++) await client.put(`k${i}`, "x".repeat(50_000));
      const parts = client.backup()[Symbol.asyncIterator]();
      let end = 0;
      for (let next = await parts.next(); next.done !== true; next = await parts.next()) {
        await fill();
        assert.is(next.value.offset, end);
        end += next.value.bytes.byteLength;
        if (end === next.value.total) assert.ok(snapshots() > 1, "the one that is drawn, and a newer one");
      }
      while (snapshots() > 1) await fill();
    },
    { limits: { logBytesMax: 200_000, segmentBytesMax: 50_000 } },
  ));

test("two backups at a time are enough: others wait, and get theirs when one is done", () =>
  withNodes(1, async (cluster) => {
    const client = await cluster.client();
    await client.put("a", "x".repeat(1_000_000));
    const first = client.backup()[Symbol.asyncIterator]();
    const second = (await cluster.client()).backup()[Symbol.asyncIterator]();
    await Promise.all([first.next(), second.next()]);
    const other = cluster.ref(cluster.system(), "n1");
    assert.is(await codeOf(other.ask({ type: "take-snapshot" }, ASK)), "BUSY");
    assert.is(await codeOf(client.backup({ timeoutMs: 1_500 })[Symbol.asyncIterator]().next()), "BUSY");
    const third = (await cluster.client()).backup()[Symbol.asyncIterator]().next();
    await first.return?.();
    assert.is((await third).done, false);
    await second.return?.();
  }));

test("a snapshot that was not asked for is none of a client's", () =>
  withNodes(1, async (cluster) => {
    const client = await cluster.client();
    await client.put("a", "1");
    await saveBackup(disk, fileIn(cluster), client);
    const { snapshotIndex: index } = cluster.node("n1").status();
    assert.ok(index > 0);
    const node = cluster.ref(cluster.system(), "n1");
    assert.is(await codeOf(node.ask({ type: "read-snapshot", index, offset: 0 }, ASK)), "COMPACTED");
  }));

test.run();
