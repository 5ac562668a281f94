/** `scripts/inspect.ts` as a person runs it. */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { realEnvironment } from "../../src/environment/real.ts";
import { clusterSaltOf } from "../../src/storage/identity.ts";
import { encodeOrigin, Identity, SnapshotStore, Wal } from "../../src/storage/index.ts";
import { scriptCommand } from "../end-to-end/cluster.ts";
import { batchOf, PlainLog, walOptions } from "../storage/plain-log.ts";
import { suite } from "../support/suite.ts";

const test = suite("scripts: inspect");

const folders: string[] = [];
test.after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** A folder with the data of nodes in it, each with three entries. */
async function dataOf(...nodes: readonly string[]): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-inspect-"));
  folders.push(folder);
  const { disk } = realEnvironment;
  for (const node of nodes) {
    const own = path.join(folder, node);
    mkdirSync(own);
    const { salt } = await Identity.open(realEnvironment, own, "demo", node, []);
    const wal = await Wal.open(disk, own, { ...walOptions(), salt }, new PlainLog());
    for (const index of [1, 2, 3]) await wal.append(batchOf(index));
    await wal.close();
  }
  return folder;
}

const [command, script] = scriptCommand("inspect.ts");

function run(...args: readonly string[]): { code: number | null; output: string; errors: string } {
  const env = { ...process.env, NO_COLOR: "1" };
  const { status, stdout, stderr } = spawnSync(command, [...script, ...args], { encoding: "utf8", env });
  return { code: status, output: stdout, errors: stderr };
}

test("what a node's folder holds, and nothing in it is changed", async () => {
  const folder = path.join(await dataOf("n1"), "n1");
  const contents = () => readdirSync(folder).map((name) => [name, readFileSync(path.join(folder, name), "latin1")]);
  const before = contents();
  const { code, output, errors } = run(folder);
  assert.is(code, 0, errors);
  assert.match(output, /^n1 of cluster demo, incarnation \S{21}, in /);
  assert.match(output, /^file +writes +entries +terms +bytes$/m);
  assert.match(output, /^wal-0000000001\.log +1–4 +1–3 +1 +\d+$/m);
  assert.match(output, /^term 1, vote for node-1, committed 2$/m);
  assert.match(output, /^no damage$/m);
  assert.equal(contents(), before);
});

test("a backup, and where it is damaged", async () => {
  const folder = await dataOf();
  const file = path.join(folder, "a.backup");
  const store = await SnapshotStore.open(realEnvironment.disk, folder, { salt: clusterSaltOf({ cluster: "demo" }) });
  await store.write({ index: 7, term: 2, configuration: new Uint8Array(0) }, [new Uint8Array(100), new Uint8Array(5)]);
  const snapshot = readFileSync(path.join(folder, "snapshot-0000000000000007.snap"));
  writeFileSync(file, Buffer.concat([encodeOrigin("demo"), snapshot]));
  const { code, output, errors } = run(file);
  assert.is(code, 0, errors);
  assert.match(output, /^backup of +up to entry +term +pieces +bytes\ndemo +7 +2 +2 +\d+\n\nno damage$/m);
  assert.is(JSON.parse(run("--json", file).output).cluster, "demo");

  writeFileSync(file, Buffer.concat([encodeOrigin("demo"), snapshot.subarray(0, -1)]));
  const damaged = run(file);
  assert.is(damaged.code, 1);
  assert.match(damaged.errors, /^DATA_CORRUPT .*a\.backup is damaged at offset \d+/);
});

test("snapshots, and a log that begins behind one", async () => {
  const folder = path.join(await dataOf("n1"), "n1");
  const { disk } = realEnvironment;
  const { salt, clusterSalt } = await Identity.open(realEnvironment, folder, "demo", "n1", []);
  const store = await SnapshotStore.open(disk, folder, { salt: clusterSalt });
  const piece = new Uint8Array(2000);
  await store.write({ index: 2, term: 1, configuration: new Uint8Array(0) }, [piece, piece]);
  const wal = await Wal.open(disk, folder, { ...walOptions(1), salt }, new PlainLog());
  await wal.append(batchOf(4));
  await wal.compact(3);
  await wal.close();
  const { code, output } = run(folder);
  assert.is(code, 1, "3 is missing");
  assert.match(output, /^snapshot +of entry +term +pieces +bytes +damage$/m);
  assert.match(output, /^snapshot-0000000000000002\.snap +2 +1 +2 +4,\d+ +none$/m);
  assert.match(output, /^The log begins behind entry 3\.$/m);
  assert.match(output, /^DAMAGED wal-0000000002\.log at offset 0: it begins behind entry 3, and the newest snapshot/m);

  await store.write({ index: 3, term: 1, configuration: new Uint8Array(0) }, [piece]);
  assert.is(run(folder).code, 0);
  const [, newest] = JSON.parse(run("--json", folder).output).snapshots;
  assert.equal([newest.index, newest.term, newest.pieces, newest.damage], [3, 1, 1, null]);

  const file = path.join(folder, "snapshot-0000000000000002.snap");
  const bytes = readFileSync(file);
  bytes[500] = (bytes[500] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  const damaged = run(folder);
  assert.is(damaged.code, 1);
  assert.match(
    damaged.output,
    /^snapshot-0000000000000002\.snap .* DAMAGED at offset 41: its checksum does not match$/m,
  );
});

test("all nodes whose folders are in one, and --json", async () => {
  const { code, output } = run("--json", await dataOf("n1", "n2"));
  assert.is(code, 0);
  const nodes = output
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.equal(
    nodes.map(({ owner, terms, damage }) => [owner.node, terms, damage]),
    ["n1", "n2"].map((node) => [node, [{ term: 1, first: 1, last: 3 }], null]),
  );
});

test("damage is told with its place and exit code 1, and what comes before it is shown", async () => {
  const folder = path.join(await dataOf("n1"), "n1");
  const file = path.join(folder, "wal-0000000001.log");
  const bytes = readFileSync(file);
  bytes[220] = (bytes[220] ?? 0) ^ 1;
  writeFileSync(file, bytes);
  const { code, output } = run(folder);
  assert.is(code, 1);
  assert.match(output, /^wal-0000000001\.log +1–2 +1–2 +1 /m);
  assert.match(output, /^DAMAGED wal-0000000001\.log at offset \d+: its checksum does not match/m);
});

test("a node whose owner can't be told does not hide the others", async () => {
  const folder = await dataOf("n1", "n2");
  symlinkSync(path.join(folder, "gone"), path.join(folder, "a-link-to-nothing"));
  writeFileSync(path.join(folder, "n1", "identity.json"), "{");
  const { code, output } = run(folder);
  assert.is(code, 1);
  assert.match(output, /^DATA_CORRUPT .*n1\/identity\.json is damaged/);
  assert.match(output, /^n2 of cluster demo/m);
  const [first, second] = run("--json", folder).output.trim().split("\n");
  assert.is(JSON.parse(first ?? "").error.code, "DATA_CORRUPT");
  assert.is(JSON.parse(second ?? "").owner.node, "n2");
});

test("a mistake is one line, and exit code 1", async () => {
  for (const [args, message] of [
    [[], /^INVALID_ARGUMENT PATH is needed, and nothing else/],
    [["a", "b"], /^INVALID_ARGUMENT PATH is needed, and nothing else/],
    [["--jsn", "a"], /^INVALID_ARGUMENT Unknown option '--jsn'/],
    [[path.join(os.tmpdir(), "not", "there")], /^INVALID_ARGUMENT .*ENOENT/],
    [[await dataOf()], /^INVALID_ARGUMENT .* holds no node's data\.$/],
  ] as const) {
    const { code, output, errors } = run(...args);
    assert.equal([code, output], [1, ""]);
    assert.match(errors.trimEnd(), message);
    assert.is(errors.trimEnd().split("\n").length, 1, errors);
  }
});

test.run();
