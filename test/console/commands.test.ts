/** What can be typed: each command calls the client as it should, prints for people, and returns for programs. */

import { stripVTControlCharacters } from "node:util";
import * as assert from "uvu/assert";
import type { Change, Client, LeaderInfo, NodeReport } from "../../src/client/index.ts";
import { CLIENT_COMMANDS, errorLine, helpText, runWords, splitWords } from "../../src/console/index.ts";
import { standardClock } from "../../src/environment/standard.ts";
import { ConclaveError } from "../../src/errors.ts";
import { KeyValueMachine, Replica } from "../../src/machine/index.ts";
import { clusterSaltOf } from "../../src/storage/identity.ts";
import { encodeOrigin, SnapshotStore, verifyBackup } from "../../src/storage/index.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { suite } from "../support/suite.ts";

const LEADER: LeaderInfo = { term: 3, id: "n1", url: "ws://127.0.0.1:7101" };

const REPORTS: readonly NodeReport[] = [
  {
    id: "n1",
    url: LEADER.url,
    role: "leader",
    term: 3,
    leader: "n1",
    lastIndex: 10,
    commitIndex: 9,
    appliedIndex: 8,
    snapshotIndex: 0,
    sessions: 1,
    state: "sound",
    lagMs: 12,
    links: { n2: false, n3: true },
  },
  { id: "n2", url: "ws://127.0.0.1:7102", error: new ConclaveError("UNREACHABLE", "nobody is there") },
];

/** A client that notes its calls and answers what it is given. */
class Stub {
  readonly calls: unknown[][] = [];
  readonly listeners = new Set<(leader: LeaderInfo | null) => void>();
  leader: LeaderInfo | null = LEADER;
  readonly #answer: unknown;

  constructor(answer: unknown) {
    this.#answer = answer;
  }

  readonly #note =
    (method: string) =>
    (...args: readonly unknown[]) => {
      // The last argument holds the signal, which tells nothing.
      const shown = args.map((arg) => (isOptions(arg) ? withoutSignal(arg) : arg));
      this.calls.push([method, ...shown]);
      return this.#answer instanceof Error ? Promise.reject(this.#answer) : Promise.resolve(this.#answer);
    };

  readonly put = this.#note("put");
  readonly get = this.#note("get");
  readonly delete = this.#note("delete");
  readonly cas = this.#note("cas");
  readonly increment = this.#note("increment");
  readonly append = this.#note("append");
  readonly transaction = this.#note("transaction");
  readonly list = this.#note("list");
  readonly status = this.#note("status");
  readonly compare = this.#note("compare");

  /** One more than are configured. */
  async members(): Promise<readonly { readonly id: string }[]> {
    return ["n1", "n2", "n5"].map((id) => ({ id }));
  }

  on(_event: "leader", listener: (leader: LeaderInfo | null) => void): () => void {
    this.listeners.add(listener);
    if (this.leader !== null) listener(this.leader);
    return () => this.listeners.delete(listener);
  }

  lead(leader: LeaderInfo | null): void {
    this.leader = leader;
    for (const listener of [...this.listeners]) listener(leader);
  }
}

const isOptions = (arg: unknown): arg is object => typeof arg === "object" && arg !== null && "signal" in arg;
const withoutSignal = (options: object): object =>
  Object.fromEntries(Object.entries(options).filter(([key]) => key !== "signal"));

interface Run {
  readonly stub: Stub;
  readonly printed: string[];
  readonly emitted: unknown[];
  readonly abort: AbortController;
  readonly result: Promise<unknown>;
}

function start(line: string, answer?: unknown, stub = new Stub(answer)): Run {
  const printed: string[] = [];
  const emitted: unknown[] = [];
  const abort = new AbortController();
  const result = runWords(CLIENT_COMMANDS, splitWords(line), {
    client: stub as unknown as Client,
    clock: standardClock,
    disk: new MemoryDisk(),
    nodes: ["n1", "n2"],
    print: (text) => printed.push(stripVTControlCharacters(text)),
    emit: (value) => void emitted.push(value),
    signal: abort.signal,
  });
  return { stub, printed, emitted, abort, result };
}

const OPTIONS = {};
const bytes = Uint8Array.of(0xff, 0x00);

const test = suite("console: commands");

/** A line, what the client answers, how the client is called, what is printed, what is returned. */
const LINES: readonly (readonly [string, unknown, readonly unknown[], string, unknown])[] = [
  ["put k v", { revision: 4 }, ["put", "k", "v", OPTIONS], "ok revision 4", { revision: 4 }],
  ["get k", null, ["get", "k", OPTIONS], "(no such key)", null],
  ["compare", undefined, ["compare", OPTIONS], "ok, they do; their logs and `status` tell what comes of it", {}],
  [
    "get k",
    { key: "k", value: "v", revision: 4 },
    ["get", "k", OPTIONS],
    "v revision 4",
    { key: "k", value: "v", revision: 4 },
  ],
  [
    "get k --stale",
    { key: "k", value: bytes, revision: 4 },
    ["get", "k", { consistency: "stale" }],
    "<2 bytes> revision 4",
    { key: "k", value: { base64: "/wA=" }, revision: 4 },
  ],
  ["get --node n2 k", null, ["get", "k", { node: "n2" }], "(no such key)", null],
  ["get k --node n5", null, ["get", "k", { node: "n5" }], "(no such key)", null],
  ["get k --node n2 --stale", null, ["get", "k", { consistency: "stale", node: "n2" }], "(no such key)", null],
  ["get k --lease", null, ["get", "k", { consistency: "lease" }], "(no such key)", null],
  ["get --lease k --node n1", null, ["get", "k", { consistency: "lease", node: "n1" }], "(no such key)", null],
  ["del k", { existed: true, revision: 5 }, ["delete", "k", OPTIONS], "ok revision 5", { existed: true, revision: 5 }],
  [
    "del k",
    { existed: false, revision: 5 },
    ["delete", "k", OPTIONS],
    "(no such key)",
    { existed: false, revision: 5 },
  ],
  [
    "cas k old new",
    { swapped: true, revision: 6 },
    ["cas", "k", { value: "old" }, "new", OPTIONS],
    "swapped revision 6",
    { swapped: true, revision: 6 },
  ],
  [
    "cas k --revision 0 new",
    { swapped: true, revision: 6 },
    ["cas", "k", { revision: 0 }, "new", OPTIONS],
    "swapped revision 6",
    { swapped: true, revision: 6 },
  ],
  ["put -- --k --", { revision: 4 }, ["put", "--k", "--", OPTIONS], "ok revision 4", { revision: 4 }],
  ["get --stale -- --node", null, ["get", "--node", { consistency: "stale" }], "(no such key)", null],
  ["incr k", { value: 1, revision: 7 }, ["increment", "k", 1, OPTIONS], "1 revision 7", { value: 1, revision: 7 }],
  [
    "incr k -5",
    { value: -4, revision: 8 },
    ["increment", "k", -5, OPTIONS],
    "-4 revision 8",
    { value: -4, revision: 8 },
  ],
  [
    'append k " more"',
    { bytes: 9, revision: 9 },
    ["append", "k", " more", OPTIONS],
    "9 bytes revision 9",
    { bytes: 9, revision: 9 },
  ],
  [
    "txn then put a 1",
    { succeeded: true, results: [{ revision: 7 }], revision: 7 },
    ["transaction", { if: [], then: [{ put: "a", value: "1" }], else: [] }, OPTIONS],
    "then revision 7\nput a revision 7",
    { succeeded: true, results: [{ revision: 7 }], revision: 7 },
  ],
  [
    "txn if a=1 b@0 then get a ; get none ; put a 2 ; del b ; del none ; incr n ; append t ! else get a",
    {
      succeeded: true,
      results: [
        { key: "a", value: bytes, revision: 3 },
        null,
        { revision: 7 },
        { existed: true, revision: 8 },
        { existed: false, revision: 8 },
        { value: 1, revision: 9 },
        { bytes: 5, revision: 10 },
      ],
      revision: 10,
    },
    [
      "transaction",
      {
        if: [
          { key: "a", value: "1" },
          { key: "b", revision: 0 },
        ],
        then: [
          { get: "a" },
          { get: "none" },
          { put: "a", value: "2" },
          { delete: "b" },
          { delete: "none" },
          { increment: "n", by: 1 },
          { append: "t", value: "!" },
        ],
        else: [{ get: "a" }],
      },
      OPTIONS,
    ],
    [
      "then revision 10",
      "get a <2 bytes> revision 3",
      "get none (no such key)",
      "put a revision 7",
      "del b revision 8",
      "del none (no such key)",
      "incr n 1 revision 9",
      "append t 5 bytes revision 10",
    ].join("\n"),
    {
      succeeded: true,
      results: [
        { key: "a", value: { base64: "/wA=" }, revision: 3 },
        null,
        { revision: 7 },
        { existed: true, revision: 8 },
        { existed: false, revision: 8 },
        { value: 1, revision: 9 },
        { bytes: 5, revision: 10 },
      ],
      revision: 10,
    },
  ],
  [
    "txn if a!=1 b<2 c>3 d@4 e@=5 f@!=6 g@<7 h@>8 m@b.c=9 k=a=b@1 l= then get a else incr n -5 ; put else then ; put ; else",
    { succeeded: false, results: [{ value: -5, revision: 4 }, { revision: 5 }, { revision: 6 }], revision: 6 },
    [
      "transaction",
      {
        if: [
          { key: "a", value: { not: "1" } },
          { key: "b", value: { lessThan: "2" } },
          { key: "c", value: { greaterThan: "3" } },
          { key: "d", revision: 4 },
          { key: "e", revision: 5 },
          { key: "f", revision: { not: 6 } },
          { key: "g", revision: { lessThan: 7 } },
          { key: "h", revision: { greaterThan: 8 } },
          { key: "m@b.c", value: "9" },
          { key: "k", value: "a=b@1" },
          { key: "l", value: "" },
        ],
        then: [{ get: "a" }],
        else: [
          { increment: "n", by: -5 },
          { put: "else", value: "then" },
          { put: ";", value: "else" },
        ],
      },
      OPTIONS,
    ],
    "else revision 6\nincr n -5 revision 4\nput else revision 5\nput ; revision 6",
    { succeeded: false, results: [{ value: -5, revision: 4 }, { revision: 5 }, { revision: 6 }], revision: 6 },
  ],
  [
    "list",
    { entries: [], more: false, revision: 4 },
    ["list", "", OPTIONS],
    "(no keys)",
    { entries: [], more: false, revision: 4 },
  ],
];

for (const [line, answer, called, printed, returned] of LINES) {
  test(`${line}: ${printed}`, async () => {
    const run = start(line, answer);
    assert.equal(await run.result, returned);
    assert.equal(run.stub.calls, [called]);
    assert.equal(run.printed, [printed]);
  });
}

for (const [entry, printed] of [
  [{ key: "k", value: "v", revision: 6 }, "not swapped: the key holds something else revision 6"],
  [null, "not swapped: there is no such key"],
  [new Error("no answer"), "not swapped: the key holds something else, or is not there"],
] as const) {
  test(`cas that does not swap says what it can: ${printed}`, async () => {
    const stub = new Stub({ swapped: false, revision: 6 });
    const run = start("cas k old new", null, Object.assign(stub, { get: new Stub(entry).get }));
    assert.equal(await run.result, { swapped: false, revision: 6 });
    assert.equal(run.printed, [printed]);
  });
}

test("list shows a table, and says when there is more", async () => {
  const entries = [{ key: "a", value: "1", revision: 10 }];
  const run = start("list a 1 --stale", { entries, more: true, revision: 10 });
  assert.equal(await run.result, { entries, more: true, revision: 10 });
  assert.equal(run.stub.calls, [["list", "a", { consistency: "stale", limit: 1 }]]);
  assert.equal(run.printed, ["key  revision  value\na    10        1", "(there are more)"]);
});

test("list takes the options of get", async () => {
  const run = start("list a --lease --node n2", { entries: [], more: false, revision: 10 });
  await run.result;
  assert.equal(run.stub.calls, [["list", "a", { consistency: "lease", node: "n2" }]]);
});

test("status shows every node, also one that can't be reached", async () => {
  const run = start("status", REPORTS);
  assert.equal(await run.result, [REPORTS[0], { id: "n2", url: "ws://127.0.0.1:7102", error: "UNREACHABLE" }]);
  const [head = "", first = "", second = ""] = run.printed[0]?.split("\n") ?? [];
  assert.match(head, /^node +role +term +last +commit +applied +lag +links$/);
  assert.match(first, /^n1 +leader +3 +10 +9 +8 +12 ms +n2 down, n3 up$/);
  assert.match(second, /^n2 +unreachable/);
});

test("status says of a node whose state is wrong, or in doubt, that it is", async () => {
  const [report = REPORTS[1]] = REPORTS;
  for (const state of ["diverged", "disputed"] as const) {
    const run = start("status", [{ ...report, state }]);
    await run.result;
    assert.match(run.printed[0] ?? "", new RegExp(`^n1 +leader, ${state} +3 `, "m"));
  }
});

test("status says of a process that is known to be paused that it is", async () => {
  const printed: string[] = [];
  await runWords(CLIENT_COMMANDS, ["status"], {
    client: new Stub(REPORTS) as unknown as Client,
    clock: standardClock,
    disk: new MemoryDisk(),
    nodes: ["n1", "n2"],
    isPaused: (id) => id === "n2",
    print: (text) => printed.push(stripVTControlCharacters(text)),
    signal: new AbortController().signal,
  });
  assert.match(printed[0] ?? "", /^n2 +paused/m);
});

test("leader names the leader that is known", async () => {
  const run = start("leader");
  assert.equal(await run.result, LEADER);
  assert.equal(run.printed, ["leader n1 of term 3 ws://127.0.0.1:7101"]);
});

test("leader waits for the first leader if none is known", async () => {
  const stub = new Stub(null);
  stub.leader = null;
  const run = start("leader", null, stub);
  stub.lead(null);
  assert.equal(run.printed, []);
  stub.lead(LEADER);
  assert.equal(await run.result, LEADER);
  assert.is(stub.listeners.size, 0, "it listens no longer");
});

test("leader ends when its person no longer wants to wait", async () => {
  const stub = new Stub(null);
  stub.leader = null;
  const run = start("leader", null, stub);
  run.abort.abort();
  const error = await run.result.catch((thrown: unknown) => thrown);
  assert.ok(error instanceof ConclaveError);
  assert.is(stub.listeners.size, 0);
});

test("watch leader shows the present leader and every change, until it is ended", async () => {
  const run = start("watch leader");
  run.stub.lead(null);
  run.stub.lead({ ...LEADER, term: 4, id: "n2" });
  run.abort.abort();
  assert.is(await run.result, undefined);
  run.stub.lead(LEADER);
  assert.equal(run.printed, [
    "leader n1 of term 3 ws://127.0.0.1:7101",
    "no leader is known",
    "leader n2 of term 4 ws://127.0.0.1:7101",
  ]);
});

/** What a watch of keys tells before it ends as it is told to. */
const CHANGES: readonly Change[] = [
  { type: "put", key: "a", value: "1", revision: 7 },
  { type: "put", key: "b\n", value: bytes, revision: 8 },
  { type: "delete", key: "a", revision: 9 },
];

const watched = (end: ConclaveError): Stub => {
  const stub = new Stub(null);
  const watch = async function* (...args: readonly unknown[]): AsyncGenerator<Change> {
    stub.calls.push(["watch", args[0], isOptions(args[1]) ? withoutSignal(args[1]) : args[1]]);
    yield* CHANGES;
    throw end;
  };
  return Object.assign(stub, { watch });
};

for (const [line, prefix, options] of [
  ["watch a/", "a/", {}],
  ['watch ""', "", {}],
  ["watch --from 7 a/", "a/", { fromRevision: 7 }],
  ["watch leader --from 1", "leader", { fromRevision: 1 }],
  ["watch leader --keys", "leader", {}],
] as const) {
  test(`${line} shows what becomes of keys, until it is ended`, async () => {
    const run = start(line, null, watched(new ConclaveError("ABORTED", "The call was aborted.")));
    assert.is(await run.result, undefined);
    assert.equal(run.stub.calls, [["watch", prefix, options]]);
    assert.equal(run.printed, ["put a 1 revision 7", "put b\\n <2 bytes> revision 8", "del a revision 9"]);
    assert.equal(run.emitted, [CHANGES[0], { ...CHANGES[1], value: { base64: "/wA=" } }, CHANGES[2]]);
  });
}

test("a watch that falls too far behind says so", async () => {
  const end = new ConclaveError("COMPACTED", "The changes from revision 1 on are kept no more.");
  const error = await start("watch a", null, watched(end)).result.catch((thrown: unknown) => thrown);
  assert.is(error, end);
});

test("bench puts as many values as it was told to, and says so", async () => {
  const run = start("bench 250", { revision: 1 });
  const result = await run.result;
  assert.is(run.stub.calls.length, 250);
  assert.is((result as { puts: number }).puts, 250);
  assert.match(run.printed[0] ?? "", /^250 puts, \d+ a second; half within [\d.]+ ms, 99 % within [\d.]+ ms$/);
});

test("bench stops when it is ended", async () => {
  const run = start("bench 100000", { revision: 1 });
  run.abort.abort();
  const { puts } = (await run.result) as { puts: number };
  assert.ok(puts < 100_000);
});

test("help lists every command with its usage", async () => {
  const run = start("help");
  assert.is(await run.result, null);
  for (const { usage, help } of CLIENT_COMMANDS) {
    assert.ok(run.printed[0]?.includes(usage) && run.printed[0].includes(help), usage);
  }
  for (const name of ["help", "quit"]) assert.match(run.printed[0] ?? "", new RegExp(`^${name} `, "m"));
  assert.is(stripVTControlCharacters(helpText(CLIENT_COMMANDS)), run.printed[0]);
});

for (const [line, message] of [
  ["fly", '"fly" is not a command; "help" lists them'],
  ["put k", "usage: put KEY VALUE"],
  ["put k v w", "usage: put KEY VALUE"],
  ["get", "usage: get KEY [--stale | --lease] [--node ID]"],
  ["get k --stale --lease", "a read is either --stale or --lease"],
  ["list a --lease --stale", "a read is either --stale or --lease"],
  ["get k --node", "--node needs the id of a node"],
  ["get k --node n9", 'there is no node "n9", only n1, n2, n5'],
  ["list --node n9", 'there is no node "n9", only n1, n2, n5'],
  ["get k --bogus", "get has no option --bogus; put -- before words that begin with --"],
  ["put k --stale", "put has no option --stale; put -- before words that begin with --"],
  ["leader --toString", "leader has no option --toString; put -- before words that begin with --"],
  ["get -- k --stale", "usage: get KEY [--stale | --lease] [--node ID]"],
  ["del", "usage: del KEY"],
  ["cas k --revision", "--revision needs a number"],
  ["cas k v", "usage: cas KEY (EXPECTED | --revision N) VALUE"],
  ["cas k --revision 1", "usage: cas KEY (EXPECTED | --revision N) VALUE"],
  ["cas k --revision x v", 'a revision is a whole number, not "x"'],
  ["incr k 1.5", 'an increment is a whole number, not "1.5"'],
  ["incr k 9007199254740993", 'an increment is a whole number, not "9007199254740993"'],
  ["append k", "usage: append KEY TEXT"],
  ["list a b", 'a limit is a whole number, not "b"'],
  ["list a 1 2", "usage: list [PREFIX] [LIMIT] [--stale | --lease] [--node ID]"],
  ["txn", "usage: txn [if COMPARISON ...] then OPERATION [; ...] [else OPERATION [; ...]]"],
  ["txn put a 1", "usage: txn [if COMPARISON ...] then OPERATION [; ...] [else OPERATION [; ...]]"],
  ["txn if a=1", "usage: txn [if COMPARISON ...] then OPERATION [; ...] [else OPERATION [; ...]]"],
  [
    "txn then get a else get b else get c",
    "usage: txn [if COMPARISON ...] then OPERATION [; ...] [else OPERATION [; ...]]",
  ],
  [
    "txn if a then get a",
    '"a" compares nothing: KEY=VALUE, KEY!=VALUE, KEY<VALUE, KEY>VALUE, or KEY@N, KEY@!=N, KEY@<N, KEY@>N for revisions',
  ],
  [
    "txn if a@b then get a",
    '"a@b" compares nothing: KEY=VALUE, KEY!=VALUE, KEY<VALUE, KEY>VALUE, or KEY@N, KEY@!=N, KEY@<N, KEY@>N for revisions',
  ],
  ["txn if a@9007199254740993 then get a", 'a revision is a whole number, not "9007199254740993"'],
  ["txn then", "an operation is get KEY, put KEY VALUE, del KEY, incr KEY [BY] or append KEY TEXT"],
  ["txn then get a ;", "an operation is get KEY, put KEY VALUE, del KEY, incr KEY [BY] or append KEY TEXT"],
  ["txn then get a else", "an operation is get KEY, put KEY VALUE, del KEY, incr KEY [BY] or append KEY TEXT"],
  ["txn then put a", "an operation is get KEY, put KEY VALUE, del KEY, incr KEY [BY] or append KEY TEXT"],
  ["txn then swap a b", "an operation is get KEY, put KEY VALUE, del KEY, incr KEY [BY] or append KEY TEXT"],
  ["txn then put a 1; del b", 'there is a ";" between operations, by itself, and not "del"'],
  ["txn then incr a x", 'an increment is a whole number, not "x"'],
  ["leader now", "usage: leader"],
  ["status now", "usage: status"],
  ["watch", "usage: watch (leader | PREFIX [--keys] [--from REVISION])"],
  ["watch key other", "usage: watch (leader | PREFIX [--keys] [--from REVISION])"],
  ["watch key --from x", 'a revision is a whole number, not "x"'],
  ["watch key --from 0", "a watch begins with a revision from 1 on"],
  ["bench", "usage: bench N"],
  ["bench 0", "N is from 1 to 10000000"],
] as const) {
  test(`${line}: ${message}`, async () => {
    const run = start(line);
    const error = await run.result.catch((thrown: unknown) => thrown);
    assert.ok(error instanceof ConclaveError && error.code === "INVALID_ARGUMENT");
    assert.is(error.message, message);
    assert.equal(run.stub.calls, [], "nothing was asked");
  });
}

const FILE = "data/a.backup";

/** What a client gives for a backup, and what it is given back. */
async function withBackups(): Promise<{ client: Client; disk: MemoryDisk; given: unknown[]; restored: Uint8Array[] }> {
  const replica = new Replica(new KeyValueMachine(), () => {});
  replica.apply(1, null);
  const { index, pieces } = replica.snapshot();
  const other = new MemoryDisk(["node"]);
  const store = await SnapshotStore.open(other, "node", { salt: clusterSaltOf({ cluster: "demo" }) });
  const { bytes } = await store.write({ index, term: 1, configuration: new Uint8Array(0) }, pieces);
  const file = Buffer.concat([encodeOrigin("demo"), other.bytesOf("node/snapshot-0000000000000001.snap")]);
  assert.is(file.byteLength, encodeOrigin("demo").byteLength + bytes);
  const given: unknown[] = [];
  const restored: Uint8Array[] = [];
  const client = {
    members: async () => [{ id: "n1" }],
    backup: async function* ({ signal: _, ...options }: object & { signal?: AbortSignal }) {
      given.push(options);
      yield { offset: 0, bytes: new Uint8Array(file.subarray(0, 20)) };
      yield { offset: 20, bytes: new Uint8Array(file.subarray(20)) };
    },
    restore: async (all: AsyncIterable<Uint8Array>, { signal: _, ...options }: object & { signal?: AbortSignal }) => {
      given.push(options);
      for await (const piece of all) restored.push(piece);
    },
  };
  return { client: client as unknown as Client, disk: new MemoryDisk(["data"]), given, restored };
}

test("backup writes a file, and restore reads it", async () => {
  const { client, disk, given, restored } = await withBackups();
  const printed: string[] = [];
  const run = (line: string): Promise<unknown> =>
    runWords(CLIENT_COMMANDS, splitWords(line), {
      client,
      clock: standardClock,
      disk,
      nodes: ["n1", "n2"],
      print: (text) => printed.push(stripVTControlCharacters(text)),
      signal: new AbortController().signal,
    });
  const saved = await run("backup data/a.backup");
  const { bytes } = await verifyBackup(disk, FILE);
  assert.equal(saved, { file: FILE, cluster: "demo", index: 1, bytes });
  assert.equal(disk.paths(), [FILE]);
  await run("backup data/a.backup --node n2");
  assert.equal(await run("restore data/a.backup"), { file: FILE, cluster: "demo", index: 1 });
  assert.ok(restored.length > 0);
  await run("restore data/a.backup --force");
  assert.equal(given, [{}, { node: "n2" }, { force: false }, { force: true }]);
  assert.is(printed[0], `ok ${(bytes / 1024).toFixed(1)} KiB, all of cluster demo up to entry 1`);
  assert.is(printed[2], "ok as cluster demo was at entry 1");
  for (const wrong of ["backup", "backup a b", "backup a --node n9", "restore", "restore a --node n1"]) {
    const error = await run(wrong).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof ConclaveError && error.code === "INVALID_ARGUMENT", wrong);
  }
  disk.plant(FILE, disk.bytesOf(FILE).slice(0, bytes - 1));
  const error = await run("restore data/a.backup").catch((thrown: unknown) => thrown);
  assert.ok(error instanceof ConclaveError && error.code === "DATA_CORRUPT");
  assert.is(given.length, 4, "nothing was sent");
});

test("what the client refuses is passed on, and shown as one line with its code", async () => {
  const refused = new ConclaveError("NO_LEADER", "No leader was found within 5000 ms.");
  const error = await start("put k v", refused).result.catch((thrown: unknown) => thrown);
  assert.is(error, refused);
  assert.is(stripVTControlCharacters(errorLine(error)), "NO_LEADER No leader was found within 5000 ms.");
});

test("a value can't steer the terminal that shows it", async () => {
  const evil = "v\u001b[2J\u0007";
  const run = { printed: [] as string[], stub: new Stub({ key: "k", value: evil, revision: 1 }) };
  await runWords(CLIENT_COMMANDS, ["get", "k"], {
    client: run.stub as unknown as Client,
    clock: standardClock,
    disk: new MemoryDisk(),
    nodes: ["n1", "n2"],
    print: (text) => run.printed.push(text),
    signal: new AbortController().signal,
  });
  assert.not(run.printed.join("").includes("\u001b[2J"), "a stored escape sequence clears the screen");
});

test.run();
