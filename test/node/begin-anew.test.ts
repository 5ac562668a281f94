/**
 * The majority is lost for good, and a cluster is begun anew from one survivor: with all that it has, once, wherever a
 * crash comes, and out of reach of the nodes of the life before.
 */

import * as path from "node:path";
import * as assert from "uvu/assert";
import { hasCode, realEnvironment } from "../../src/index.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { encodePayload } from "../../src/machine/commands.ts";
import { KeyValueMachine, Replica } from "../../src/machine/index.ts";
import { decodePage, encodeCommand, encodeQuery } from "../../src/machine/key-value-protocol.ts";
import { beginAnew, beginning, checkBeginsAnew } from "../../src/node/begin-anew.ts";
import { snapshotOf } from "../../src/node/snapshot-transfer.ts";
import type { NodeOptions } from "../../src/node/start.ts";
import { Recovery } from "../../src/node/stored.ts";
import { bootstrap, EntryKind, encodeConfiguration, logIndex } from "../../src/raft/index.ts";
import { enterLife, Identity, ownerOf, SnapshotStore, type StoredEntry, Wal } from "../../src/storage/index.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { codeOf } from "../environment/code-of.ts";
import { walOptions } from "../storage/plain-log.ts";
import { suite } from "../support/suite.ts";
import { type InProcess, withNodes } from "./in-process.ts";

const test = suite("node: begin anew");
const FOLDER = "n2";
const FOUNDERS = ["n1", "n2", "n3"].map((id, i) => ({ id, url: `ws://127.0.0.1:${7101 + i}`, priority: i }));
const URL = "ws://127.0.0.1:7102";

const environmentOn = (disk: MemoryDisk) => ({ ...realEnvironment, disk });

const optionsOn = (disk: MemoryDisk): NodeOptions => ({
  environment: environmentOn(disk),
  cluster: "demo",
  id: "n2",
  members: FOUNDERS,
  directories: [],
  host: "127.0.0.1",
  port: 7102,
  allowedOrigins: [],
  dataFolder: FOLDER,
  machine: new KeyValueMachine(),
  timing: { heartbeatMs: 50, electionTimeoutMinMs: 300, electionTimeoutMaxMs: 600 },
  limits: { ...DEFAULT_LIMITS, logCacheBytesMax: 200 },
  tell: () => {},
  onFatal: () => {},
});

/** Entry 1 opens a session, and each that follows puts a key; all but the last two are known to be committed. */
function entries(count: number): StoredEntry[] {
  return Array.from({ length: count }, (_, i) => {
    const command = encodeCommand({ op: "put", key: `k${i}`, value: "x".repeat(20) });
    const payload =
      i === 0
        ? encodePayload({ type: "open-session" })
        : encodePayload({ type: "commands", session: 1, floor: i, first: i, commands: [command] });
    return { index: i + 1, term: 3, kind: EntryKind.command, payload };
  });
}

const openIdentity = (disk: MemoryDisk): Promise<Identity> =>
  Identity.open(environmentOn(disk), FOLDER, "demo", "n2", FOUNDERS);

/** The disk of a survivor, with a snapshot of the first half of its entries or without one. */
async function survivor({ hasSnapshot = false, count = 6 } = {}): Promise<MemoryDisk> {
  const disk = new MemoryDisk([FOLDER]);
  const identity = await openIdentity(disk);
  for (const id of ["n1", "n3"]) await identity.recognizes(id, `life of ${id}`);
  const recovery = new Recovery(beginning(identity), 200);
  const wal = await Wal.open(disk, FOLDER, { ...walOptions(), salt: identity.salt }, recovery);
  const state = { term: 4, vote: "n1", commitIndex: count - 2 };
  for (const entry of entries(count)) await wal.append({ reset: null, entries: [entry], state });
  await wal.close();
  if (hasSnapshot) {
    const replica = new Replica(new KeyValueMachine(), () => {});
    for (const { index, payload } of entries(count / 2)) replica.apply(index, payload);
    const store = await SnapshotStore.open(disk, FOLDER, { salt: identity.clusterSalt });
    const { index, pieces } = replica.snapshot();
    await store.write({ index, term: 3, configuration: encodeConfiguration(bootstrap(FOUNDERS)) }, pieces);
  }
  return disk;
}

/** As `startNode` does it, before it opens the log. */
async function beginOn(disk: MemoryDisk, wish = "n2") {
  await checkBeginsAnew(disk, FOLDER, "n2", wish);
  const identity = await openIdentity(disk);
  const story = await beginAnew(optionsOn(disk), identity, URL);
  await enterLife({ disk, folder: FOLDER, salt: identity.clusterSalt }, story.epoch);
  return story;
}

interface Found {
  readonly epoch: string | null;
  readonly incarnation: string;
  readonly voters: readonly string[];
  readonly term: number;
  readonly lastIndex: number;
  readonly keys: readonly string[];
  readonly sessions: readonly number[];
}

/** What a node finds that is started on this disk. */
async function foundOn(disk: MemoryDisk): Promise<Found> {
  const identity = await openIdentity(disk);
  const { epoch, incarnation, clusterSalt: salt } = identity;
  if (epoch !== null && epoch !== "") await enterLife({ disk, folder: FOLDER, salt }, epoch);
  const store = await SnapshotStore.open(disk, FOLDER, { salt });
  const snapshot = store.latest === null ? beginning(identity) : snapshotOf(store.latest);
  const recovery = new Recovery(snapshot, 1_000_000);
  const wal = await Wal.open(disk, FOLDER, { ...walOptions(), salt: identity.salt }, recovery);
  const { log, hardState, configurations } = recovery.recovered;
  const replica = new Replica(new KeyValueMachine(), () => {});
  if (snapshot.index > 0) await replica.restore(snapshot.index, store.read(snapshot.index));
  const last = log.lastIndex;
  const rest =
    last > snapshot.index ? await wal.read(snapshot.index + 1, last, 1_000_000, (at) => log.termAt(logIndex(at))) : [];
  for (const { index, payload } of rest) replica.apply(index, payload);
  await wal.close();
  const page = decodePage(replica.query(encodeQuery({ op: "list", prefix: "", after: "", limit: 100 })));
  return {
    epoch,
    incarnation,
    voters: (configurations.at(-1) ?? snapshot).configuration.members.map(({ id }) => id),
    term: Math.max(hardState.term, snapshot.term),
    lastIndex: last,
    keys: page.entries.map(({ key }) => key),
    sessions: [...replica.sessions()].map(({ id }) => id),
  };
}

const KEYS = ["k1", "k2", "k3", "k4", "k5"];

for (const hasSnapshot of [false, true]) {
  const what = hasSnapshot ? "a snapshot and a log" : "a log alone";

  test(`from ${what}: all it has is in the new cluster, of which it is the only member`, async () => {
    const disk = await survivor({ hasSnapshot });
    const before = await foundOn(disk);
    assert.equal([before.epoch, before.voters, before.keys], ["", ["n1", "n2", "n3"], KEYS]);
    const story = await beginOn(disk);
    assert.equal([story.others, story.lastIndex, story.lastTerm, story.commitIndex], [["n1", "n3"], 6, 3, 4]);
    const after = await foundOn(disk.crash());
    assert.equal([after.epoch, after.voters, after.keys], [story.epoch, ["n2"], KEYS]);
    assert.is.not(after.incarnation, before.incarnation);
    assert.is(after.lastIndex, story.index);
    assert.ok(after.lastIndex > 1_000_000 && after.term > 1_000_000);
    assert.equal(after.sessions, [1], "who still waits for an answer gets it");
    assert.not(
      disk.paths().some((file) => file.includes("wal-")),
      "the log of the life before is gone",
    );
  });

  test(`from ${what}, a crash at any operation: the old cluster as it was, or the new one`, async () => {
    const disk = await survivor({ hasSnapshot });
    const before = await foundOn(disk.crash());
    const left: MemoryDisk[] = [];
    disk.watch = () => void left.push(...someCrashes(disk));
    const story = await beginOn(disk);
    disk.watch = () => {};
    const after = await foundOn(disk.crash());
    const [old, young] = [JSON.stringify(before), JSON.stringify(after)];
    let [olds, youngs] = [0, 0];
    for (const crashed of left) {
      const found = JSON.stringify(await foundOn(crashed));
      assert.ok(found === old || found === young, found);
      if (found === old) {
        olds++;
        assert.equal((await beginOn(crashed)).others, ["n1", "n3"], "it can be begun once more");
      } else {
        youngs++;
        assert.is(await codeOf(beginOn(crashed)), "INVALID_ARGUMENT");
      }
      assert.is((await ownerOf(crashed, FOLDER))?.epoch === story.epoch, found === young);
    }
    assert.ok(olds > 10 && youngs > 5, `${olds} old, ${youngs} new`);
  });
}

/** The extremes of what a crash could leave now, and what lies between them. */
function someCrashes(disk: MemoryDisk): MemoryDisk[] {
  const left: MemoryDisk[] = [];
  for (let namesKept = 0; namesKept <= disk.unsyncedNames; namesKept++) {
    for (const share of [0, 0.5, 1]) {
      const bytesKept = Math.floor(disk.unsyncedBytes * share);
      for (const tail of ["lost", "garbage"] as const) left.push(disk.crash({ bytesKept, tail, namesKept }));
    }
  }
  return left;
}

test("a disk that fails at any operation leaves the old cluster or the new one, too", async () => {
  for (const operation of ["list", "create", "write", "sync", "rename", "remove", "syncFolder", "read"] as const) {
    for (let nth = 0; nth < 4; nth++) {
      const disk = await survivor({ hasSnapshot: true });
      const before = await foundOn(disk.crash());
      let seen = 0;
      disk.watch = (done) => {
        if (done === operation && seen++ === nth) disk.failNext(operation, "EIO");
      };
      if (nth === 0) disk.failNext(operation, "EIO");
      const code = await codeOf(beginOn(disk));
      disk.watch = () => {};
      assert.ok(["DISK_FAILED", "resolved"].includes(code), `${operation}: ${code}`);
      disk.forgetFaults();
      const found = await foundOn(disk.crash());
      assert.equal(found.keys, KEYS, `${operation}, ${nth}`);
      if (found.epoch === "") assert.equal(found, before);
      else assert.equal(found.voters, ["n2"]);
    }
  }
});

test("it has to be asked for by name, the second time with the life that is to end; and there has to be something", async () => {
  const disk = await survivor();
  for (const wrong of ["", "n1", "yes", "n2:"]) {
    const error = await beginOn(disk, wrong).catch((thrown: unknown) => thrown);
    assert.ok(hasCode(error, "INVALID_ARGUMENT") && error.message.endsWith("say --force-new-cluster n2."), wrong);
  }
  const { epoch } = await beginOn(disk);
  const again = await beginOn(disk).catch((thrown: unknown) => thrown);
  assert.ok(hasCode(again, "INVALID_ARGUMENT") && again.message.includes("was begun anew already"));
  assert.is((await foundOn(disk)).epoch, epoch, "nothing has changed");
  assert.is.not((await beginOn(disk, `n2:${epoch}`)).epoch, epoch);

  assert.is(await codeOf(beginOn(new MemoryDisk([FOLDER]))), "INVALID_ARGUMENT");
  const empty = new MemoryDisk([FOLDER]);
  await openIdentity(empty);
  assert.is(await codeOf(beginOn(empty)), "INVALID_ARGUMENT");
  assert.is((await ownerOf(empty, FOLDER))?.epoch, "");
});

test("a damaged log or snapshot is begun from as little as it is started from", async () => {
  for (const name of ["wal-0000000001.log", "snapshot-0000000000000003.snap"]) {
    const disk = await survivor({ hasSnapshot: true });
    disk.flip(`${FOLDER}/${name}`, 100 * 8);
    const before = disk.bytesOf(`${FOLDER}/identity.json`);
    assert.is(await codeOf(beginOn(disk)), "DATA_CORRUPT", name);
    assert.equal(disk.bytesOf(`${FOLDER}/identity.json`), before);
  }
});

/** Everything that one node has. */
async function keysOf(cluster: InProcess, id: string): Promise<string[]> {
  const client = await cluster.client({ nodes: [cluster.urlOf(id)] });
  return (await client.list("", { limit: 1_000 })).entries.map(({ key }) => key);
}

test("the lost ones can't link with the new cluster, nor with those that join it; wiped, they join it", () =>
  withNodes(3, async (cluster) => {
    await cluster.startDirectory();
    const client = await cluster.client();
    for (let i = 0; i < 5; i++) await client.put(`old${i}`, "1");
    const { revision } = await client.put("last", "1");
    const watch = client.watch("", { fromRevision: revision + 1 });
    // It has what was acknowledged: no write of its own can be missing where a read of it has been.
    while ((await client.get("last", { node: "n2", consistency: "linearizable" })) === null);
    await Promise.all(cluster.ids.map((id) => cluster.stop(id)));

    await cluster.start("n2", { forceNewCluster: "n2" });
    const begun = await cluster.told("n2").when("the new cluster", ({ event }) => event === "begun-anew");
    assert.ok(begun.event === "begun-anew" && begun.others.length === 2);
    assert.equal(await keysOf(cluster, "n2"), ["last", "old0", "old1", "old2", "old3", "old4"]);

    await Promise.all(["n1", "n3"].map((id) => cluster.start(id)));
    const lost = await cluster.leader((id) => id !== "n2");
    const refused = ({ event }: { readonly event: string }): boolean => event === "link-refused";
    await cluster.told(lost).when("a refusal of the old ones by the new", refused);
    assert.equal(cluster.node("n2").status().links, {});
    assert.is(cluster.node(lost).status().links["n2"], false);
    const { term } = cluster.node("n2").status();
    assert.is(cluster.node("n2").status().role, "leader");

    // Of the two that claim to lead, clients of the directory follow the newer.
    const follower = await cluster.client({ nodes: [], directories: [cluster.directoryUrl] });
    await follower.put("new", "1");
    assert.is(follower.leader?.id, "n2");
    assert.not((await keysOf(cluster, lost)).includes("new"));
    // It may be one of the old ones that serves the watch, for as long as there is one.
    const watched = codeOf(watch.next());

    // One comes back, wiped, while the other still runs with its old data and has it among its members.
    await cluster.stop("n1");
    cluster.wipe("n1");
    await cluster.start("n1", { join: [cluster.urlOf("n2")] });
    await cluster.leader((id) => cluster.node(id).status().links["n1"] === true);
    await voters(cluster, ["n1", "n2"]);
    await cluster.stop("n3");
    cluster.wipe("n3");
    await cluster.start("n3", { join: [cluster.urlOf("n2")] });
    await voters(cluster, ["n1", "n2", "n3"]);
    for (const id of cluster.ids) assert.ok((await keysOf(cluster, id)).includes("new"), id);
    assert.is(cluster.node("n2").status().term, term, "nobody has disturbed it");
    assert.is(await watched, "COMPACTED", "what it has seen may be lost");

    await Promise.all(cluster.ids.map((id) => cluster.stop(id)));
    await cluster.startAll();
    assert.ok((await keysOf(cluster, "n3")).includes("new"));
    await cluster.stop("n2");
    assert.is(await codeOf(cluster.start("n2", { forceNewCluster: "n2" })), "INVALID_ARGUMENT");
    await cluster.start("n2");
  }));

async function voters(cluster: InProcess, ids: readonly string[]): Promise<void> {
  const client = await cluster.client({ nodes: [cluster.urlOf("n2")] });
  for (;;) {
    const members = await client.members();
    const voting = members.filter(({ role }) => role === "voter").map(({ id }) => id);
    if (JSON.stringify(voting.sort()) === JSON.stringify(ids)) return;
  }
}

test("a folder that is in use is left alone", () =>
  withNodes(1, async (cluster) => {
    await (await cluster.client()).put("a", "1");
    assert.is(await codeOf(cluster.start("n1", { forceNewCluster: "n1" })), "DATA_LOCKED");
    assert.equal(await keysOf(cluster, "n1"), ["a"]);
    assert.is((await ownerOf(realEnvironment.disk, path.join(cluster.folder, "n1")))?.epoch, "");
  }));

test("a survivor whose state was wrong begins all the same, says so, and is trusted from then on", async () => {
  const disk = await survivor({ hasSnapshot: true });
  const { clusterSalt: salt } = await openIdentity(disk);
  await (await SnapshotStore.open(disk, FOLDER, { salt })).distrust(4);
  const { divergedAt } = await beginOn(disk);
  assert.is(divergedAt, 4);
  assert.is((await SnapshotStore.open(disk, FOLDER, { salt })).distrustedAt, null);
});

test.run();
