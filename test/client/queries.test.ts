/** Reads: those of one turn share a frame, they may be asked again as often as it takes, and never end in silence. */

import { createServer, type Socket as TcpSocket } from "node:net";
import * as assert from "uvu/assert";
import { ConclaveError } from "../../src/client/index.ts";
import { realEnvironment } from "../../src/environment/real.ts";
import type { Socket } from "../../src/environment.ts";
import { encodeList } from "../../src/machine/commands.ts";
import { decodeQuery, encodePage } from "../../src/machine/key-value-protocol.ts";
import { withNodes } from "../node/in-process.ts";
import { codeOf, eventually } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { failing, once, onStage, refuse, silent, times } from "./fakes.ts";

const STALE = { consistency: "stale" } as const;

const test = suite("client: queries");

test("reads of one turn share a frame, and each gets its own answer", () =>
  onStage(async ({ client, n1 }) => {
    const reader = await client();
    await Promise.all([reader.put("a", "1"), reader.put("b", "2")]);
    const [a, b, none, page] = await Promise.all([
      reader.get("a"),
      reader.get("b"),
      reader.get("c"),
      reader.list("", { limit: 1 }),
    ]);
    assert.equal([a?.value, b?.value, none], ["1", "2", null]);
    assert.equal([page.entries.length, page.more], [1, true]);
    assert.is(n1.reads.all.length, 1);
    assert.is(n1.reads.all[0]?.consistency, "linearizable");
  }));

test("stale reads of one turn, and those of a named node, share a frame for each node", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client();
    await reader.put("a", "1");
    const options = [STALE, STALE, { node: "n2" }, { node: "n2" }] as const;
    const entries = await Promise.all(options.map((option) => reader.get("a", option)));
    assert.is(entries.length, 4);
    assert.equal([n1.reads.all.length, n2.reads.all.length], [1, 1]);
    assert.equal([n1.reads.all[0]?.consistency, n2.reads.all[0]?.consistency], ["stale", "linearizable"]);
  }));

test("pages follow one another", () =>
  onStage(async ({ client }) => {
    const reader = await client();
    await Promise.all(Array.from({ length: 5 }, (_, i) => reader.put(`k${i}`, "")));
    const keys: string[] = [];
    for (let more = true, after = ""; more; ) {
      const page = await reader.list("k", { limit: 2, after });
      keys.push(...page.entries.map(({ key }) => key));
      after = keys.at(-1) ?? "";
      ({ more } = page);
    }
    assert.equal(keys, ["k0", "k1", "k2", "k3", "k4"]);
  }));

for (const code of ["NOT_LEADER", "DIVERGED", "BUSY", "UNREACHABLE"] as const) {
  test(`a read that ended with ${code} is asked again`, () =>
    onStage(async ({ client, n1 }) => {
      const reader = await client({ nodes: [n1.url] });
      await reader.put("a", "1");
      n1.readScript = [failing(refuse(code)), failing(refuse(code))];
      assert.is((await reader.get("a"))?.value, "1");
      assert.is(n1.reads.all.length, 3);
    }));
}

test("the link is lost while a read is on its way: it is asked again", () =>
  onStage(async ({ client, n1 }) => {
    const reader = await client({ nodes: [n1.url] });
    await reader.put("a", "1");
    n1.readScript = [once(() => {})];
    const read = reader.get("a");
    await n1.reads.first(1);
    await n1.stop();
    await n1.start();
    assert.is((await read)?.value, "1");
  }));

test("another one leads while a read is on its way: that one is asked, though the link to the first does not break", () =>
  onStage(async ({ client, n1, n2, directory }) => {
    const { clock, random, network } = realEnvironment;
    const sockets: Socket[] = [];
    const reader = await client({
      directories: [directory.url],
      environment: {
        clock,
        random,
        network: {
          ...network,
          connect: (url, options, handlers) => {
            const socket = network.connect(url, options, handlers);
            sockets.push(socket);
            // As one whose other end is beyond a cut cable.
            return url.startsWith(n1.url) ? Object.assign(Object.create(socket), { close: () => {} }) : socket;
          },
        },
      },
    });
    await reader.put("a", "1");
    n1.readScript = [silent];
    const read = reader.get("a");
    await n1.reads.first(1);
    directory.push(n2.leading(2));
    assert.is((await read)?.value, "1");
    assert.is(n2.reads.all.length, 1);
    for (const socket of sockets) socket.terminate();
  }));

test("nobody answers: TIMEOUT with a leader, NO_LEADER without", () =>
  onStage(async ({ client, n1, deadUrl }) => {
    const reader = await client({ nodes: [n1.url] });
    await reader.put("a", "1");
    n1.readScript = [silent];
    assert.is(await codeOf(reader.get("a", { timeoutMs: 50 })), "TIMEOUT");
    const lost = await client({ nodes: [deadUrl] });
    assert.is(await codeOf(lost.get("a", { timeoutMs: 50 })), "NO_LEADER");
  }));

test("an AbortSignal ends a read, before it is sent and after", () =>
  onStage(async ({ client, n1 }) => {
    const reader = await client({ nodes: [n1.url] });
    await reader.put("a", "1");
    assert.is(await codeOf(reader.get("a", { signal: AbortSignal.abort() })), "ABORTED");
    n1.readScript = [silent];
    for (const options of [{}, STALE]) {
      const abort = new AbortController();
      const sent = n1.reads.all.length;
      const read = codeOf(reader.get("a", { ...options, signal: abort.signal }));
      await n1.reads.first(sent + 1);
      abort.abort();
      assert.is(await read, "ABORTED");
    }
  }));

test("so many reads and no more: BUSY", () =>
  onStage(async ({ client, n1 }) => {
    const reader = await client({ nodes: [n1.url], callsMax: 1 });
    const open = reader.get("a");
    assert.is(await codeOf(reader.get("b")), "BUSY");
    await open;
    await reader.get("b");
  }));

test("a stale read asks the leader first, and needs none", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client({ nodes: [n2.url, n1.url] });
    await reader.put("a", "1");
    assert.is((await reader.get("a", STALE))?.value, "1");
    assert.equal(
      n1.reads.all.map(({ consistency }) => consistency),
      ["stale"],
    );
    for (const node of [n1, n2]) node.push({ term: 2, leader: null });
    await eventually("the leader to be forgotten", () => reader.leader === null);
    assert.is((await reader.get("a", STALE))?.value, "1");
  }));

test("a stale read goes on to another node when the first hangs", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client({ nodes: [n1.url, n2.url] });
    await reader.put("a", "1");
    n1.readScript = [silent];
    assert.is((await reader.get("a", { ...STALE, timeoutMs: 4_000 }))?.value, "1");
    assert.is(n2.reads.all.length, 1);
  }));

test("a stale read goes on to another node when the first takes a connection and then says nothing at all", () =>
  onStage(async ({ client, n1 }) => {
    const sockets = new Set<TcpSocket>();
    const mute = createServer((socket) => void sockets.add(socket.on("error", () => {})));
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const at = mute.address();
    const url = `ws://127.0.0.1:${typeof at === "object" ? at?.port : 0}`;
    try {
      n1.view = { term: 0, leader: null };
      const reader = await client({ nodes: [url, n1.url] });
      assert.is(await reader.get("a", { ...STALE, timeoutMs: 2_000 }), null);
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => mute.close(resolve));
    }
  }));

test("a stale read of a named node asks that node and no other", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client();
    await reader.put("a", "1");
    await reader.get("a", { ...STALE, node: "n2" });
    assert.equal([n1.reads.all.length, n2.reads.all.length], [0, 1]);
    n2.readScript = [silent];
    assert.is(await codeOf(reader.get("a", { ...STALE, node: "n2", timeoutMs: 50 })), "TIMEOUT");
    assert.is(n1.reads.all.length, 0);
  }));

test("a stale read of a named node waits as long as its caller does, be it a month", () =>
  onStage(async ({ client, n2 }) => {
    const reader = await client();
    await reader.put("a", "1");
    const open: (() => void)[] = [];
    n2.readScript = [
      times(1_000, (_read, answer) => void open.push(() => answer.ok({ type: "results", index: 0, results: PAGE }))),
    ];
    const read = reader.get("a", { ...STALE, node: "n2", timeoutMs: 30 * 24 * 3_600_000 });
    await n2.reads.first(1);
    await reader.put("b", "1"); // A few turns of the event loop.
    await new Promise<void>((resolve) => setTimeout(resolve, 50));
    assert.is(n2.reads.all.length, 1, "it was asked once");
    for (const answer of open) answer();
    assert.is(await read, null);
  }));

test("a read under a lease goes to the leader, and not into a message with others", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client();
    await reader.put("a", "1");
    const LEASE = { consistency: "lease" } as const;
    const found = await Promise.all([reader.get("a", LEASE), reader.get("b", LEASE), reader.get("a")]);
    assert.equal(
      found.map((entry) => entry?.value),
      ["1", undefined, "1"],
    );
    assert.equal(
      n1.reads.all.map(({ consistency, anywhere, queries }) => [consistency, anywhere, queries.length]),
      [
        ["lease", false, 2],
        ["linearizable", false, 1],
      ],
    );
    assert.is(n2.reads.all.length, 0);
  }));

test("a read under a lease that the leader turns away is asked again, of whoever leads then", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client();
    await reader.put("a", "1");
    n1.readScript = [failing(refuse("NOT_LEADER"))];
    const read = reader.get("a", { consistency: "lease" });
    await n1.reads.first(1);
    for (const node of [n1, n2]) node.push(n2.leading(2));
    assert.is((await read)?.value, "1");
    assert.equal(
      n2.reads.all.map(({ consistency }) => consistency),
      ["lease"],
    );
  }));

for (const consistency of ["linearizable", "lease"] as const) {
  test(`a ${consistency} read of a named node asks that node, which may ask the leader, and no other`, () =>
    onStage(async ({ client, n1, n2 }) => {
      const reader = await client();
      await reader.put("a", "1");
      assert.is((await reader.get("a", { consistency, node: "n2" }))?.value, "1");
      assert.equal(
        n2.reads.all.map((read) => [read.consistency, read.anywhere]),
        [[consistency, true]],
      );
      for (const code of ["NOT_LEADER", "BUSY", "UNREACHABLE"] as const) n2.readScript.push(failing(refuse(code)));
      assert.is((await reader.get("a", { consistency, node: "n2" }))?.value, "1");
      assert.equal([n1.reads.all.length, n2.reads.all.length], [0, 5]);
      assert.is(reader.leader?.id, "n1", "what a follower can't do says nothing of the leader");
    }));
}

test("a read of a named node outlives that node's process", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client();
    await reader.put("a", "1");
    n2.readScript = [once(() => {})];
    const read = reader.get("a", { node: "n2" });
    await n2.reads.first(1);
    await n2.stop();
    await n2.start();
    assert.is((await read)?.value, "1");
    assert.is(n1.reads.all.length, 0);
  }));

test("a stale read goes on to another node from one that has diverged; if that one is named, its code is what is told", () =>
  onStage(async ({ client, n1, n2 }) => {
    const reader = await client();
    await reader.put("a", "1");
    n1.readScript = [times(100_000, (_read, answer) => answer.fail(refuse("DIVERGED")))];
    assert.is((await reader.get("a", { consistency: "stale" }))?.value, "1");
    assert.equal([n1.reads.all.length, n2.reads.all.length], [1, 1]);
    assert.is(await codeOf(reader.get("a", { node: "n1", timeoutMs: 50 })), "DIVERGED");
  }));

test("a read of a node that nobody knows ends when its time is up", () =>
  onStage(async ({ client }) => {
    const reader = await client();
    await reader.put("a", "1");
    assert.is(await codeOf(reader.get("a", { node: "n9", timeoutMs: 50 })), "TIMEOUT");
  }));

/** A list with one empty page. */
const PAGE = encodeList([encodePage({ entries: [], more: false, revision: 0 })]);

for (const [what, results] of [
  ["results that are no list", Uint8Array.of(9, 9)],
  ["too few results", encodeList([])],
  ["a page that is none", encodeList([Uint8Array.of(0, 9, 9, 9, 9)])],
] as const) {
  for (const options of [{}, STALE]) {
    test(`${what}: BAD_MESSAGE, not a hang (${"consistency" in options ? "stale" : "linearizable"})`, () =>
      onStage(async ({ client, n1 }) => {
        const reader = await client({ nodes: [n1.url] });
        await reader.put("a", "1");
        n1.readScript = [
          times(Number.POSITIVE_INFINITY, (_read, answer) => answer.ok({ type: "results", index: 0, results })),
        ];
        assert.is(await codeOf(reader.get("a", { ...options, timeoutMs: 1_000 })), "BAD_MESSAGE");
        n1.readScript = [];
        assert.is((await reader.get("a"))?.value, "1");
      }));
  }
}

test("a machine that fails on a query: MACHINE_FAILED, stale or not", () =>
  onStage(async ({ client, n1 }) => {
    const reader = await client({ nodes: [n1.url] });
    await reader.put("a", "1");
    n1.readScript = [times(Number.POSITIVE_INFINITY, (_read, answer) => answer.fail(refuse("MACHINE_FAILED")))];
    for (const options of [{}, STALE]) {
      assert.is(await codeOf(reader.get("a", { ...options, timeoutMs: 1_000 })), "MACHINE_FAILED");
    }
  }));

for (const consistency of ["linearizable", "stale"] as const) {
  test(`a ${consistency} query that the machine fails on fails alone, though others shared its message`, () =>
    onStage(async ({ client, n1 }) => {
      const reader = await client();
      for (const key of ["a", "b", "c"]) await reader.put(key, key);
      const isBad = (query: Uint8Array): boolean => decodeQuery(query).op === "list";
      n1.readScript = [
        (read, answer) => {
          if (!read.queries.some(isBad)) return n1.serve(read, answer);
          answer.fail(refuse("MACHINE_FAILED"));
          return true;
        },
      ];
      const how = { consistency };
      const calls = [reader.get("a", how), reader.get("b", how), reader.list("", how), reader.get("c", how)];
      const outcomes = await Promise.all(
        calls.map((call) =>
          call.then(
            (found) => found,
            (error: unknown) => error,
          ),
        ),
      );
      const codes = outcomes.map((outcome) => (outcome instanceof ConclaveError ? outcome.code : "answered"));
      assert.equal(codes, ["answered", "answered", "MACHINE_FAILED", "answered"]);
    }));
}

test("large values that are read in the same turn all arrive, though they don't fit into one message", () =>
  withNodes(1, async (cluster) => {
    const client = await cluster.client({ timeoutMs: 10_000 });
    const keys = Array.from({ length: 12 }, (_, i) => `k${i}`);
    await Promise.all(keys.map((key) => client.put(key, "x".repeat(1_000_000))));
    for (const options of [STALE, {}]) {
      const entries = await Promise.all(keys.map((key) => client.get(key, options)));
      assert.equal(
        entries.map((entry) => String(entry?.value).length),
        keys.map(() => 1_000_000),
      );
    }
  }));

test.run();
