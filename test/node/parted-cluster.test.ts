/** A replica comes to another state than the others: it is found out, kept from answering, and repaired. */

import { readdirSync } from "node:fs";
import * as path from "node:path";
import * as assert from "uvu/assert";
import type { Disk } from "../../src/environment.ts";
import {
  type AnyMachine,
  type Client,
  KeyValueMachine,
  Machines,
  machine,
  type NodeProcessStory,
  realEnvironment,
} from "../../src/index.ts";
import { encodeList } from "../../src/machine/commands.ts";
import { encodeQuery } from "../../src/machine/key-value-protocol.ts";
import { codeOf, eventually, turns } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { ASK, type NodeRef } from "./asking.ts";
import { type InProcess, type NodeChanges, withNodes } from "./in-process.ts";

type Told = NodeProcessStory["event"];

/** What each process adds to all that it is given: what no command should look at. */
const surplus = new Map<string, number>();

const counterOf = (id: string) =>
  machine({
    name: "counter",
    version: 1,
    state: () => ({ value: 0 }),
    commands: {
      add(state, by: number) {
        state.value += by + (surplus.get(id) ?? 0);
        return state.value;
      },
      set(state, value: number) {
        state.value = value;
      },
    },
    queries: { value: (state) => state.value },
  });
const counter = counterOf("nobody");

const machinesOf = (id: string): Machines => new Machines(new KeyValueMachine(), [counterOf(id)], { isGuarded: true });

class Parted {
  readonly cluster: InProcess;
  readonly client: Client;
  /** Those who have no room for a snapshot of their own. */
  readonly full = new Set<string>();
  readonly #from = new Map<string, number>();

  constructor(cluster: InProcess, client: Client) {
    this.cluster = cluster;
    this.client = client;
  }

  async start(id: string, changes: NodeChanges = {}): Promise<void> {
    const { disk } = realEnvironment;
    const small: Disk = {
      ...disk,
      open: async (file, mode) => {
        if (this.full.has(id) && mode === "create" && file.endsWith(".snap.new")) {
          throw Object.assign(new Error("no room"), { code: "ENOSPC" });
        }
        return disk.open(file, mode);
      },
    };
    this.#from.set(id, this.cluster.told(id).all.length);
    await this.cluster.start(id, {
      machine: machinesOf(id),
      environment: { ...realEnvironment, disk: small },
      ...changes,
    });
  }

  /** What a node has told since it was last started, or asked. */
  news(id: string): NodeProcessStory[] {
    return this.cluster.told(id).all.slice(this.#from.get(id) ?? 0);
  }

  forget(): void {
    for (const id of this.cluster.ids) this.#from.set(id, this.cluster.told(id).all.length);
  }

  /** However long it takes: what has failed a few times is tried again later and later. */
  async tells(id: string, event: Told): Promise<NodeProcessStory> {
    for (;;) {
      const story = this.news(id).find((one) => one.event === event);
      if (story !== undefined) return story;
      await turns(1);
    }
  }

  /** All compare, and find that they are the same. */
  async agree(): Promise<void> {
    this.forget();
    await this.client.compare();
    await Promise.all([...this.cluster.nodes.keys()].map((id) => this.tells(id, "states-agree")));
  }

  /** A process goes wrong, once. */
  async goWrong(id: string): Promise<void> {
    surplus.set(id, 5);
    await this.client.of(counter).add(1);
    await eventually("it to be applied", () =>
      [...this.cluster.nodes.values()].every((node) => node.status().appliedIndex === node.status().lastIndex),
    );
    surplus.clear();
  }

  state(id: string): string {
    return this.cluster.node(id).status().state;
  }

  value(node: string, options: object = {}): Promise<unknown> {
    return this.client.of(counter).value(undefined, { node, ...options });
  }

  filesOf(id: string): string[] {
    return readdirSync(path.join(this.cluster.folder, id)).filter((name) => /snap|distrust/.test(name));
  }
}

const withParted = (nodes: number, body: (parted: Parted) => Promise<void>): Promise<void> =>
  withNodes(
    nodes,
    async (cluster) => {
      surplus.clear();
      const parted = new Parted(cluster, await cluster.client());
      await Promise.all(cluster.ids.map((id) => parted.start(id)));
      await parted.client.of(counter).add(1);
      await body(parted);
    },
    // What was lost with a link is said again four times in that time.
    { idle: true, limits: { sessionTimeoutMs: 2_000 } },
  );

const otherThan = (cluster: InProcess, id: string): string => cluster.ids.find((one) => one !== id) ?? "";

const test = suite("node: a cluster that parts");

test("a follower that has come to another state is found out, repaired, and right afterwards", () =>
  withParted(3, async (parted) => {
    const { cluster, client } = parted;
    await parted.agree();
    const bad = otherThan(cluster, await cluster.leader());
    await parted.goWrong(bad);
    assert.is(await parted.value(bad), 7, "nobody knows yet");
    parted.forget();
    await client.compare();
    const story = await parted.tells(bad, "diverged");
    assert.equal(
      "others" in story && story.others,
      cluster.ids.filter((id) => id !== bad),
    );
    assert.is(await parted.value(bad), 2, "it answers once it has the state of the others");
    await parted.tells(bad, "repaired");
    assert.equal(
      cluster.ids.map((id) => parted.state(id)),
      ["sound", "sound", "sound"],
    );
    await client.of(counter).add(1);
    assert.is(await parted.value(bad), 3);
    await parted.agree();
    for (const id of cluster.ids) {
      if (id !== bad) assert.not(cluster.told(id).all.some(({ event }) => event === "diverged"));
    }
  }));

test("a leader that has come to another state hands over, and commands go on, each once", () =>
  withParted(3, async (parted) => {
    const { cluster, client } = parted;
    await parted.agree();
    const bad = await cluster.leader();
    await parted.goWrong(bad);
    parted.forget();
    const results: number[] = [];
    const work = (async () => {
      for (let i = 0; i < 40; i++) results.push(await client.of(counter).add(1));
    })();
    await client.compare();
    await parted.tells(bad, "diverged");
    await parted.tells(bad, "repaired");
    await work;
    assert.is(await client.of(counter).value(), 42);
    assert.is(await parted.value(bad), 42);
    assert.is(results.at(-1), 42);
    await parted.agree();
  }));

test("as long as nobody can lend it a state it answers nothing, a restart or not, and takes no snapshot", () =>
  withParted(3, async (parted) => {
    const { cluster, client } = parted;
    const asker = cluster.system("asker");
    const bad = otherThan(cluster, await cluster.leader());
    // With a snapshot that is right, and one that is wrong.
    for (const isRight of [true, false]) {
      if (!isRight) await parted.goWrong(bad);
      for await (const _ of client.backup({ node: bad })) break;
    }
    assert.ok(parted.filesOf(bad).some((name) => name.endsWith(".snap")));
    for (const id of cluster.ids) parted.full.add(id);
    parted.forget();
    await client.compare();
    await parted.tells(bad, "repair-delayed");
    for (let life = 1; life <= 2; life++) {
      assert.is(parted.state(bad), "diverged");
      await assertNothingComes(cluster.ref(asker, bad));
      assert.is(await client.of(counter).value(), 2, "the others answer");
      await client.put("a", String(life));
      if (life === 2) break;
      await cluster.stop(bad);
      await parted.start(bad);
      const story = await parted.tells(bad, "diverged");
      assert.equal("others" in story && story.others, []);
      await parted.tells(bad, "repair-delayed");
    }
    await eventually("it to follow", () => cluster.node(bad).status().leader !== null);
    assert.is(cluster.node(bad).status().role, "follower", "it votes and appends");
    parted.full.clear();
    await parted.tells(bad, "repaired");
    assert.is(await parted.value(bad, { consistency: "stale" }), 2);
    assert.is(parted.filesOf(bad).length, 1, "what was wrong is gone, and so is the word of it");
    await cluster.stop(bad);
    await parted.start(bad);
    assert.is(await parted.value(bad), 2);
    await parted.agree();
  }));

async function assertNothingComes(node: NodeRef): Promise<void> {
  const queries = encodeList([encodeQuery({ op: "get", key: "a" })]);
  for (const consistency of ["linearizable", "lease", "stale"] as const) {
    const read = node.ask({ type: "queries", consistency, anywhere: true, minIndex: 0, queries }, ASK);
    assert.is(await codeOf(read), "DIVERGED", consistency);
  }
  const query = encodeQuery({ op: "changes", prefix: "", fromRevision: 1, limit: 1 });
  assert.is(await codeOf(node.ask({ type: "poll", id: 1, waitMs: 0, query }, ASK)), "DIVERGED");
  assert.is(await codeOf(node.ask({ type: "take-snapshot" }, ASK)), "DIVERGED");
}

test("a restart that comes to the right state again makes up for it, if there is no snapshot of the wrong one", () =>
  withParted(3, async (parted) => {
    const { cluster, client } = parted;
    const bad = otherThan(cluster, await cluster.leader());
    await parted.goWrong(bad);
    for (const id of cluster.ids) if (id !== bad) parted.full.add(id);
    parted.forget();
    await client.compare();
    await parted.tells(bad, "repair-delayed");
    await cluster.stop(bad);
    await parted.start(bad);
    await parted.tells(bad, "agrees-again");
    assert.is(await parted.value(bad), 2);
    assert.is(parted.state(bad), "sound");
  }));

test("where no majority agrees all go on, say so at every comparison, and it is for a person to decide", () =>
  withParted(2, async (parted) => {
    const { cluster, client } = parted;
    await parted.agree();
    await parted.goWrong("n2");
    for (let i = 0; i < 2; i++) {
      parted.forget();
      await client.compare();
      for (const id of cluster.ids) {
        const story = await parted.tells(id, "states-differ");
        assert.equal("groups" in story && story.groups, [["n1"], ["n2"]]);
        assert.is(parted.state(id), "disputed");
      }
    }
    assert.equal([await parted.value("n1"), await parted.value("n2")], [2, 7]);
    await client.of(counter).set(0);
    await parted.agree();
    assert.equal(
      cluster.ids.map((id) => parted.state(id)),
      ["sound", "sound"],
    );
  }));

test("nothing is made of what strangers say, and no state is lent to them", () =>
  withParted(3, async (parted) => {
    const { cluster, client } = parted;
    await parted.agree();
    const stranger = cluster.system("stranger", { url: "ws://127.0.0.1:1" });
    const leader = await cluster.leader();
    const [a, b] = cluster.ids.filter((id) => id !== leader).map((id) => cluster.ref(stranger, id));
    if (a === undefined || b === undefined) throw new Error("there are three");
    const lent = a.ask({ type: "lend-snapshot", agreedAt: 1 }, ASK);
    assert.is(await codeOf(lent), "NOT_ENTITLED");
    assert.is(await codeOf(b.ask({ type: "compare" }, ASK)), "NOT_LEADER");
    // Under the name of a member, too, but with another disk.
    const impostor = cluster.system(otherThan(cluster, leader), { url: "ws://127.0.0.1:2", incarnation: "another" });
    const index = cluster.node(leader).status().appliedIndex + 1;
    const lie = { type: "state-digest", index, form: "1.0", digest: "0" } as const;
    for (const system of [stranger, impostor]) {
      for (const id of cluster.ids) cluster.ref(system, id).tell(lie);
    }
    await a.ask({ type: "status" }, ASK);
    await client.compare();
    await parted.agree();
    for (const id of cluster.ids) {
      assert.not(cluster.told(id).all.some(({ event }) => event === "diverged" || event === "states-differ"));
    }
  }));

/** All that run have come to the same state once more. */
async function agreedSince(cluster: InProcess): Promise<void> {
  const from = new Map([...cluster.nodes.keys()].map((id) => [id, cluster.told(id).all.length]));
  for (const [id, start] of from) {
    const isSo = (): boolean =>
      cluster
        .told(id)
        .all.slice(start)
        .some(({ event }) => event === "states-agree");
    await cluster.told(id).until(`${id} to agree`, isSo);
  }
}

test("under load, with snapshots, other members, restarts and an upgrade, nobody is told to have diverged", () =>
  withNodes(
    4,
    async (cluster) => {
      const [joiner] = cluster.members.slice(-1);
      const founders = cluster.members.slice(0, 3);
      if (joiner === undefined) throw new Error("there are four");
      const joining = { members: [], url: joiner.url, join: founders.map(({ url }) => url) };
      const first = counterOf("nobody");
      const second = machine({
        ...first,
        version: 2,
        upgrade: { from: first, state: ({ value }: { value: number }) => ({ value: -value }) },
      });
      const version = (definition: AnyMachine): NodeChanges => ({
        members: founders,
        machine: new Machines(new KeyValueMachine(), [definition], { isGuarded: true }),
      });
      for (const { id } of founders) await cluster.start(id, version(first));
      const client = await cluster.client();
      const api = client.of(first);
      let isOver = false;
      const work = Array.from({ length: 8 }, async (_, i) => {
        while (!isOver) await Promise.all([api.add(1), client.put(`key-${i}`, "x".repeat(200))]).catch(() => {});
      });
      try {
        await agreedSince(cluster);
        await cluster.start(joiner.id, { ...version(first), ...joining });
        await agreedSince(cluster);
        for (const id of cluster.ids) {
          await cluster.stop(id);
          await cluster.start(id, { ...version(second), ...(id === joiner.id ? joining : {}) });
          await agreedSince(cluster);
        }
        await client.transfer(null, { timeoutMs: 10_000 }).catch(() => {});
        await agreedSince(cluster);
      } finally {
        isOver = true;
        await Promise.all(work);
      }
      const stories = cluster.ids.flatMap((id) => cluster.told(id).all);
      const count = (event: Told): number => stories.filter((story) => story.event === event).length;
      assert.ok(count("snapshot-taken") > 3, `${count("snapshot-taken")} snapshots`);
      assert.equal([count("diverged"), count("states-differ"), count("comparison-failed")], [0, 0, 0]);
    },
    { idle: true, limits: { logBytesMax: 64 * 1024, segmentBytesMax: 16 * 1024 } },
  ));

test.run();
