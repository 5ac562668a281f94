/** A program that has only an older version of a machine than its cluster uses: it stops, wherever it finds that out. */

import { mkdtempSync, rmSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { freePorts } from "../../src/cli/ports.ts";
import {
  type AnyMachine,
  type ClusterNode,
  ConclaveError,
  join,
  machine,
  type NodeProcessStory,
} from "../../src/index.ts";
import { testCluster } from "../../src/testing/index.ts";
import { suite } from "../support/suite.ts";

const test = suite("join: versions");

const notes1 = machine({
  name: "notes",
  version: 1,
  state: () => ({ last: "" }),
  commands: {
    note(state, { text }: { readonly text: string }) {
      state.last = text;
    },
  },
  queries: { last: (state) => state.last },
});

const notes2 = machine({
  ...notes1,
  version: 2,
  upgrade: { from: notes1, state: (old: ReturnType<typeof notes1.state>) => old },
});

/** So that a snapshot soon stands for what was in the log. */
const LIMITS = { logBytesMax: 64 * 1024, segmentBytesMax: 16 * 1024 };
const ENOUGH = 100;

interface Site {
  start(id: string, notes: AnyMachine): Promise<ClusterNode>;
  close(...ids: readonly string[]): Promise<void>;
  write(count: number): Promise<void>;
  /** Whether a node has told of this since it was started last. */
  hasTold(id: string, event: string): boolean;
}

async function onSite(body: (site: Site) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-versions-"));
  const [directoryPort, ...ports] = await freePorts(4);
  const config = {
    cluster: "versions",
    directories: [{ url: `ws://127.0.0.1:${directoryPort}` }], // Nobody runs it.
    nodes: ports.map((port, i) => ({ id: `n${i + 1}`, url: `ws://127.0.0.1:${port}` })),
    limits: LIMITS,
  };
  const nodes = new Map<string, ClusterNode>();
  const told = new Map<string, string[]>();
  try {
    await body({
      start: async (id, notes) => {
        const events: string[] = [];
        told.set(id, events);
        const tell = ({ event }: { readonly event: string }): void => void events.push(event);
        const node = await join({ id, config, dataDir: folder, machines: [notes], tell });
        nodes.set(id, node);
        return node;
      },
      close: async (...ids) => {
        await Promise.all(ids.map((id) => nodes.get(id)?.close()));
        for (const id of ids) nodes.delete(id);
      },
      write: async (count) => {
        const api = [...nodes.values()][0]?.client.of(notes2);
        for (let i = 0; i < count; i++) await api?.note({ text: "x".repeat(2_000) }, { timeoutMs: 20_000 });
      },
      hasTold: (id, event) => told.get(id)?.includes(event) === true,
    });
  } finally {
    await Promise.all([...nodes.values()].map((node) => node.close()));
    rmSync(folder, { recursive: true, force: true });
  }
}

const IDS = ["n1", "n2", "n3"];

/** Why a program of version 1 stops, be it at its start or later. */
const stopOf = async ({ start }: Site): Promise<unknown> => {
  try {
    return await (await start("n3", notes1)).stopped;
  } catch (error) {
    return error;
  }
};

function assertClear(error: unknown): void {
  assert.instance(error, ConclaveError);
  const { code, message } = error as ConclaveError;
  assert.is(code, "MACHINE_MISSING");
  assert.match(message, /"notes" in version 2, and this program has version 1.*: update it\.$/);
}

/** With a program of version 2 it goes on from what it has. */
async function assertGoesOn({ start, close, write }: Site): Promise<void> {
  await close("n3");
  const node = await start("n3", notes2);
  await write(1);
  assert.is((await node.client.of(notes2).last()).length, 2_000);
}

test("it finds it in its own log", () =>
  onSite(async (site) => {
    await Promise.all(IDS.map((id) => site.start(id, notes2)));
    await site.write(1);
    await site.close("n3");
    assertClear(await stopOf(site));
    assert.ok(site.hasTold("n3", "recovered"), "once it has begun to apply what is committed");
    await assertGoesOn(site);
  }));

test("it finds it in its own snapshot", () =>
  onSite(async (site) => {
    await Promise.all(IDS.map((id) => site.start(id, notes2)));
    await site.write(ENOUGH);
    assert.ok(site.hasTold("n3", "snapshot-taken"));
    await site.close("n3");
    assertClear(await stopOf(site));
    assert.not(site.hasTold("n3", "recovered"), "at its start");
    await assertGoesOn(site);
  }));

test("it finds it in a snapshot that its leader has sent", () =>
  onSite(async (site) => {
    const [first] = await Promise.all(IDS.map((id) => site.start(id, notes1)));
    await first?.client.of(notes1).note({ text: "of version 1" });
    await site.close("n3");
    for (const id of ["n2", "n1"]) {
      await site.close(id);
      await site.start(id, notes2);
    }
    await site.write(ENOUGH);
    assertClear(await stopOf(site));
    assert.ok(site.hasTold("n3", "snapshot-installed"));
    await assertGoesOn(site);
  }));

test("an upgrade that fails leaves the cluster with the version that it has, until there is a better one", async () => {
  const broken = machine({
    ...notes2,
    upgrade: {
      from: notes1,
      state: () => {
        throw new Error("it forgot something");
      },
    },
  });
  const failed = Promise.withResolvers<string>();
  const tell = (_node: string, story: NodeProcessStory): void => {
    if (story.event === "activation-failed") failed.resolve(story.reason);
  };
  await using cluster = await testCluster({ machines: [notes1], tell });
  await cluster.client.of(notes1).note({ text: "before" });
  for (const id of cluster.ids) await cluster.restart(id, { machines: [broken] });
  assert.match(await failed.promise, /"notes" can't go over from version 1 to 2: it forgot something/);
  await cluster.client.of(notes1).note({ text: "after" });
  const early = await cluster.client
    .of(broken)
    .note({ text: "too early" }, { timeoutMs: 200 })
    .catch((error) => error);
  assert.is(early.code, "MACHINE_INACTIVE");
  for (const id of cluster.ids) await cluster.restart(id, { machines: [notes2] });
  assert.is(await cluster.client.of(notes2).last(), "after");
});

test.run();
