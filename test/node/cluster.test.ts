/** Nodes over real sockets and files, in the process of the test. */

import * as assert from "uvu/assert";
import type { ClientEnvironment, Disk, DiskFile, Network, Socket } from "../../src/environment.ts";
import { realEnvironment } from "../../src/index.ts";
import { encodeList, encodePayload } from "../../src/machine/commands.ts";
import { codeOf, eventually } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { ASK, command, openSession, put, typesOf } from "./asking.ts";
import { type InProcess, withNodes } from "./in-process.ts";

const test = suite("node: cluster");

test("a log that throws costs a node neither its vote nor its life", () =>
  withNodes(
    1,
    async (cluster) => {
      const node = await cluster.start("n1", {
        tell: () => {
          throw new Error("this log is broken");
        },
      });
      const client = await cluster.client();
      assert.is((await client.put("k", "1")).revision, 1);
      assert.is(node.status().term, 1, "its first vote held");
    },
    { idle: true },
  ));

test("a node that can't carry out what its core decided ends, for its core would be ahead of its disk", () =>
  withNodes(
    1,
    async (cluster) => {
      const { clock } = realEnvironment;
      let isBroken = false;
      const brittle: ClientEnvironment["clock"] = {
        ...clock,
        setTimer: (delayMs, fire) => {
          // The guard against stalls has a timer of its own, which is set from within that timer.
          if (isBroken && delayMs !== cluster.timing.heartbeatMs) throw new Error("no timers left");
          return clock.setTimer(delayMs, fire);
        },
      };
      await cluster.start("n1", { directories: [], environment: { ...realEnvironment, clock: brittle } });
      await cluster.leader();
      isBroken = true;
      const { error } = await cluster.fatal.when("its end", () => true);
      assert.is(error.code, "ACTOR_FAILED");
      assert.match(error.message, "no timers left");
      isBroken = false;
    },
    { idle: true },
  ));

test("a cluster of one serves, and has everything again after a restart", () =>
  withNodes(1, async (cluster) => {
    const client = await cluster.client();
    await client.put("k", "v");
    assert.is((await client.increment("n", 41)).value, 41);
    await cluster.stop("n1");
    await cluster.start("n1");
    assert.is((await client.get("k"))?.value, "v");
    assert.is((await client.increment("n")).value, 42);
    assert.is(cluster.node("n1").status().role, "leader");
  }));

test("three nodes elect one leader, and each knows it", () =>
  withNodes(3, async (cluster) => {
    const leader = await cluster.leader();
    await eventually("all to know", () => cluster.ids.every((id) => cluster.node(id).status().leader === leader));
    const roles = cluster.ids.map((id) => cluster.node(id).status().role).sort();
    assert.equal(roles, ["follower", "follower", "leader"]);
  }));

test("a member that lost its data is taken in anew under its old name, and votes again once it has everything", () =>
  withNodes(3, async (cluster) => {
    const client = await cluster.client();
    await client.put("k", "1");
    const leader = await cluster.leader();
    const wiped = cluster.ids.find((id) => id !== leader) ?? "";
    await cluster.stop(wiped);
    cluster.wipe(wiped);
    const from = cluster.told(wiped).all.length;
    await cluster.start(wiped);
    const roles = (): string[] =>
      cluster
        .told(wiped)
        .all.slice(from)
        .flatMap((story) =>
          story.event === "configuration" && story.committed
            ? [story.configuration.members.find(({ id }) => id === wiped)?.role ?? "none"]
            : [],
        );
    await cluster.told(wiped).until("its return", () => roles().at(-1) === "voter" && roles().includes("learner"));
    const told = cluster.told(wiped).all.slice(from);
    assert.not(
      told.some(({ event }) => event === "admitted"),
      "it must not vote for what it has forgotten",
    );
    await client.put("k", "2");
    assert.is((await client.get("k", { consistency: "linearizable", node: wiped }))?.value, "2");
  }));

test("a member that was taken out while it was down, and lost its data, does not come back by itself", () =>
  withNodes(4, async (cluster) => {
    const client = await cluster.client();
    await client.put("k", "1");
    const leader = await cluster.leader();
    const wiped = cluster.ids.find((id) => id !== leader) ?? "";
    await cluster.stop(wiped);
    cluster.wipe(wiped);
    await client.change([{ type: "remove", id: wiped }]);
    await cluster.start(wiped);
    await cluster.told(wiped).when("its end", ({ event }) => event === "join-refused" || event === "removed");
    const named = (await client.members()).map(({ id }) => id);
    assert.not(named.includes(wiped));
    await client.put("k", "2");
  }));

/** Does a node know for certain that it has a vote: by what it has told, since then, and not as that other process? */
const votes = (cluster: InProcess, id: string, { from = 0, not = "" as string | null } = {}): boolean =>
  cluster
    .told(id)
    .all.slice(from)
    .some((story) => {
      if (story.event !== "configuration" || !story.committed) return false;
      const member = story.configuration.members.find((one) => one.id === id);
      return member?.role === "voter" && member.incarnation !== not;
    });

test("a member that lost its data comes back although all that it was configured with have been replaced", () =>
  withNodes(
    5,
    async (cluster) => {
      const members = cluster.members.slice(0, 3);
      const founders = members.map(({ id }) => id);
      await Promise.all(founders.map((id) => cluster.start(id, { members })));
      const client = await cluster.client();
      await client.put("k", "1");
      let lost: string | null = null;
      for (const id of ["n4", "n5"]) {
        await cluster.start(id, { join: [cluster.urlOf("n1")] });
        await cluster.told(id).until("its vote", () => votes(cluster, id));
      }
      for (const id of ["n2", "n3"]) {
        await client.change([{ type: "remove", id }]);
        await cluster.stop(id);
      }
      await cluster.stop("n1");
      lost = (await client.members()).find(({ id }) => id === "n1")?.incarnation ?? null;
      cluster.wipe("n1");
      const from = cluster.told("n1").all.length;
      await cluster.start("n1", { members });
      await cluster.told("n1").until("its return", () => votes(cluster, "n1", { from, not: lost }));
    },
    { idle: true },
  ));

test("a member that has moved while all it knew were replaced finds the others by the directory", () =>
  withNodes(
    6,
    async (cluster) => {
      await cluster.startDirectory();
      const members = cluster.members.slice(0, 3);
      await Promise.all(members.map(({ id }) => cluster.start(id, { members })));
      const client = await cluster.client();
      await client.put("k", "1");
      await cluster.stop("n1");
      for (const id of ["n4", "n5"]) {
        await cluster.start(id, { join: [cluster.urlOf("n2")] });
        await cluster.told(id).until("its vote", () => votes(cluster, id));
      }
      for (const id of ["n2", "n3"]) {
        await client.change([{ type: "remove", id }]);
        await cluster.stop(id);
      }
      const url = cluster.urlOf("n6");
      await cluster.start("n1", { members, url });
      while ((await client.members()).find(({ id }) => id === "n1")?.url !== url);
      assert.is((await client.get("k", { node: "n1" }))?.value, "1");
    },
    { idle: true },
  ));

test("a leader writes down who a member is that it was linked to before it was one", () =>
  withNodes(
    4,
    async (cluster) => {
      const members = cluster.members.slice(0, 3);
      await Promise.all(members.map(({ id }) => cluster.start(id, { members })));
      const client = await cluster.client();
      await client.put("k", "1");
      const leader = await cluster.leader();
      const [other = ""] = members.flatMap(({ id }) => (id === leader ? [] : [id]));
      const url = cluster.urlOf("n4");
      await cluster.ref(cluster.system("n4", { url, incarnation: "early" }), other).ask({ type: "status" }, ASK);
      const incarnation = async (): Promise<string | null | undefined> =>
        (await client.members()).find(({ id }) => id === "n4")?.incarnation;
      await client.change([{ type: "add", id: "n4", url, votes: true, priority: 0 }]);
      assert.is(await incarnation(), null, "nobody who leads has met it");
      await client.transfer(other);
      while ((await incarnation()) === null);
      assert.is(await incarnation(), "early");
    },
    { idle: true },
  ));

test("new nodes take no part before all of them have met: one of them may have forgotten what it promised", () =>
  withNodes(
    3,
    async (cluster) => {
      await cluster.start("n1");
      await cluster.start("n2");
      for (const [id, peer] of [
        ["n1", "n2"],
        ["n2", "n1"],
      ] as const) {
        await cluster.told(id).when("the link", (story) => story.event === "link-up" && story.peer === peer);
      }
      const newcomer = cluster.told("n1").all.find(({ event }) => event === "newcomer");
      assert.equal(newcomer, { event: "newcomer", waitsFor: ["n2", "n3"] });
      await cluster.start("n3");
      await cluster.leader();
      for (const id of cluster.ids) await cluster.told(id).when("its admission", ({ event }) => event === "admitted");
      const asked = ["n1", "n2"].flatMap((id) => {
        const told = cluster.told(id).all.map(({ event }) => event);
        return told.slice(0, told.indexOf("admitted")).filter((event) => event === "pre-vote");
      });
      assert.equal(asked, []);
      // Once they have met, a majority is enough.
      await Promise.all(cluster.ids.map((id) => cluster.stop(id)));
      await cluster.start("n1");
      await cluster.start("n2");
      await cluster.leader();
    },
    { idle: true },
  ));

test("a node that was told to start with another node's folder refuses", () =>
  withNodes(1, async (cluster) => {
    assert.is(await codeOf(cluster.start("n1")), "DATA_LOCKED");
  }));

test("a client can't put into the log what only nodes may: it gets BAD_MESSAGE", () =>
  withNodes(1, async (cluster) => {
    await cluster.leader();
    const node = cluster.ref(cluster.system(), "n1");
    const victim = await openSession(node);
    for (const batch of [
      encodePayload({ type: "open-session" }),
      encodePayload({ type: "expire-sessions", sessions: [{ id: victim, next: 1 }] }),
      encodePayload({ type: "commands", session: victim, floor: 1, first: 1, commands: [] }),
    ]) {
      assert.is(await codeOf(node.ask({ type: "commands", batch }, ASK)), "BAD_MESSAGE");
    }
    assert.is(cluster.node("n1").status().sessions, 1);
    assert.equal(typesOf(await command(node, victim, [put("a", "1")])), ["applied"]);
  }));

test("batches and queries that can't be read get BAD_MESSAGE, and the node lives", () =>
  withNodes(1, async (cluster) => {
    await cluster.leader();
    const node = cluster.ref(cluster.system(), "n1");
    const good = encodePayload({ type: "commands", session: 1, floor: 1, first: 1, commands: [put("a", "1")] });
    const nonsense = [
      new Uint8Array(0),
      Uint8Array.of(9),
      Uint8Array.of(1, 255, 255, 255, 255, 255, 255, 255, 255),
      good.subarray(0, good.byteLength - 1),
      Uint8Array.of(...good, 0),
    ];
    for (const bytes of nonsense) {
      assert.is(await codeOf(node.ask({ type: "commands", batch: bytes }, ASK)), "BAD_MESSAGE");
      for (const consistency of ["linearizable", "stale"] as const) {
        assert.is(
          await codeOf(node.ask({ type: "queries", consistency, anywhere: false, minIndex: 0, queries: bytes }, ASK)),
          "BAD_MESSAGE",
        );
      }
    }
    const queries = encodeList([Uint8Array.of(1, 2, 3)]);
    await node.ask({ type: "queries", consistency: "linearizable", anywhere: false, minIndex: 0, queries }, ASK);
    const session = await openSession(node);
    const outcomes = await command(node, session, [Uint8Array.of(99), put("a", "1")]);
    assert.equal(typesOf(outcomes), ["applied", "applied"], "a command without sense is a result, too");
  }));

test("so many sessions and no more: BUSY; one that ends makes room", () =>
  withNodes(
    1,
    async (cluster) => {
      await cluster.leader();
      const [first, second] = [cluster.system("first"), cluster.system("second")];
      const session = await openSession(cluster.ref(first, "n1"));
      await command(cluster.ref(first, "n1"), session, [put("a", "1")]);
      const node = cluster.ref(second, "n1");
      await openSession(node);
      assert.is(await codeOf(openSession(node)), "BUSY");
      await first.close();
      await cluster.told("n1").when("the end of a session", ({ event }) => event === "sessions-expired");
      await openSession(node);
    },
    { limits: { sessionsMax: 2, sessionTimeoutMs: 200 } },
  ));

test("a session in use by a link outlives any number of idle ones", () =>
  withNodes(
    1,
    async (cluster) => {
      await cluster.leader();
      const node = cluster.ref(cluster.system("holder"), "n1");
      const session = await openSession(node);
      await command(node, session, [put("a", "1")]);
      for (let round = 1; round <= 3; round++) {
        await openSession(node); // Never used: nobody holds it.
        const ended = (): number => cluster.told("n1").all.filter(({ event }) => event === "sessions-expired").length;
        await cluster.told("n1").until(`session ${round} to end`, () => ended() >= round);
      }
      assert.equal(typesOf(await command(node, session, [put("a", "2")], { first: 2 })), ["applied"]);
    },
    { limits: { sessionTimeoutMs: 120 } },
  ));

test("a session that has ended is told apart from one that never was given: both are SESSION_EXPIRED", () =>
  withNodes(
    1,
    async (cluster) => {
      await cluster.leader();
      const node = cluster.ref(cluster.system(), "n1");
      const session = await openSession(node);
      await cluster.told("n1").when("the end of the session", ({ event }) => event === "sessions-expired");
      for (const ended of [session, 1, 1_000_000]) {
        assert.is(await codeOf(command(node, ended, [put("a", "1")])), "SESSION_EXPIRED");
      }
    },
    { limits: { sessionTimeoutMs: 120 } },
  ));

/** A network whose cable the test can pull. */
class Cable implements Network {
  readonly listen = realEnvironment.network.listen;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  readonly connect: Network["connect"] = (url, options, handlers) => {
    const socket = realEnvironment.network.connect(this.#isCut ? "ws://127.0.0.1:1" : url, options, handlers);
    this.#sockets.add(socket);
    return socket;
  };

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.terminate();
    this.#sockets.clear();
  }

  heal(): void {
    this.#isCut = false;
  }
}

const expiry = async (cluster: InProcess): Promise<void> => {
  const cable = new Cable();
  const environment: ClientEnvironment = { ...realEnvironment, network: cable };
  const client = await cluster.client({ environment });
  await client.increment("n");
  const leader = await cluster.leader();
  cable.cut();
  await cluster.told(leader).when("the end of the session", ({ event }) => event === "sessions-expired");
  cable.heal();
  assert.is((await client.increment("n")).value, 2);
  assert.equal(
    (await Promise.all([client.increment("n"), client.increment("n")])).map(({ value }) => value),
    [3, 4],
  );
};

for (const nodes of [1, 3]) {
  test(`a client whose session has ended opens another and goes on (${nodes} nodes)`, () =>
    withNodes(nodes, expiry, { limits: { sessionTimeoutMs: 200 } }));
}

test("a session survives a change of leader that takes longer than its own timeout would", () =>
  withNodes(
    3,
    async (cluster) => {
      const client = await cluster.client();
      await client.increment("n");
      await cluster.stop(await cluster.leader());
      assert.is((await client.increment("n")).value, 2);
      assert.is(cluster.node(await cluster.leader()).status().sessions, 1, "it is the same session");
    },
    { limits: { sessionTimeoutMs: 800 } },
  ));

/** The real disk, until it is told to fail. */
class FailingDisk implements Disk {
  readonly makeFolder = realEnvironment.disk.makeFolder;
  readonly list = realEnvironment.disk.list;
  readonly rename = realEnvironment.disk.rename;
  readonly remove = realEnvironment.disk.remove;
  readonly syncFolder = realEnvironment.disk.syncFolder;
  readonly lock = realEnvironment.disk.lock;
  fails = false;

  async open(file: string, mode: "create" | "existing"): Promise<DiskFile> {
    const real = await realEnvironment.disk.open(file, mode);
    return {
      ...real,
      sync: async () => {
        if (this.fails) throw Object.assign(new Error("EIO: the disk is broken"), { code: "EIO" });
        await real.sync();
      },
    };
  }
}

test("a disk that fails ends the node: it says so once, and acknowledges nothing any more", () =>
  withNodes(
    1,
    async (cluster) => {
      const disk = new FailingDisk();
      await cluster.start("n1", { environment: { ...realEnvironment, disk } });
      const client = await cluster.client();
      await client.put("before", "1");
      disk.fails = true;
      const lost = codeOf(client.put("lost", "1", { timeoutMs: 500 }));
      const { error } = await cluster.fatal.when("the end of the node");
      assert.is(error.code, "DISK_FAILED");
      disk.fails = false; // A later sync that succeeds proves nothing about what was written before.
      const later = codeOf(client.put("later", "1", { timeoutMs: 500 }));
      assert.is(await lost, "UNKNOWN_OUTCOME");
      assert.is(await later, "UNKNOWN_OUTCOME");
      assert.is(cluster.fatal.all.length, 1);
      await cluster.stop("n1");
      await cluster.start("n1");
      assert.is((await client.get("before"))?.value, "1");
    },
    { idle: true },
  ));

test("the leader's disk fails: nothing that was acknowledged is lost, and the others go on without it", () =>
  withNodes(
    3,
    async (cluster) => {
      const disks = new Map(cluster.ids.map((id) => [id, new FailingDisk()]));
      for (const [id, disk] of disks) await cluster.start(id, { environment: { ...realEnvironment, disk } });
      const client = await cluster.client();
      await client.put("k", "1");
      const leader = await cluster.leader();
      Object.assign(disks.get(leader) ?? {}, { fails: true });
      const writing = client.put("k", "2");
      assert.is((await cluster.fatal.when("the end of the leader")).id, leader);
      await cluster.stop(leader);
      await writing;
      assert.is((await client.get("k"))?.value, "2");
    },
    { idle: true },
  ));

test("a node that can't remember whom it has met ends: it could not tell a wiped member from the old one", () =>
  withNodes(
    2,
    async (cluster) => {
      const disk = new FailingDisk();
      await cluster.start("n1", { environment: { ...realEnvironment, disk } });
      disk.fails = true;
      await cluster.start("n2");
      const { id, error } = await cluster.fatal.when("the end of the node");
      assert.equal([id, error.code], ["n1", "DISK_FAILED"]);
      assert.match(error.message, "identity.json");
      disk.fails = false;
    },
    { idle: true },
  ));

const TINY = { logCacheBytesMax: 2_048, appendBytesMax: 4_096 };

test("entries that have left memory are replicated to a follower from the disk, and applied there", () =>
  withNodes(
    3,
    async (cluster) => {
      const client = await cluster.client();
      await client.put("k", "0");
      const leader = await cluster.leader();
      const behind = cluster.ids.find((id) => id !== leader) ?? "";
      await cluster.stop(behind);
      for (let i = 0; i < 20; i++) {
        await Promise.all(Array.from({ length: 10 }, (_, j) => client.put(`k${i}/${j}`, "x".repeat(500))));
      }
      await client.put("big", "y".repeat(100_000));
      await client.put("last", "1");
      await cluster.start(behind);
      const end = cluster.node(leader).status().commitIndex;
      await eventually("the follower to catch up", () => cluster.node(behind).status().appliedIndex >= end);
      const stale = { consistency: "stale", node: behind } as const;
      assert.is((await client.get("last", stale))?.value, "1");
      assert.is(String((await client.get("big", stale))?.value).length, 100_000);
      assert.is((await client.list("k", { ...stale, limit: 1_000 })).entries.length, 201);
      assert.is(cluster.node(leader).status().role, "leader", "nobody was deposed over it");
    },
    { limits: TINY },
  ));

test("a node whose log is far bigger than its memory for it applies all of it after a restart", () =>
  withNodes(
    1,
    async (cluster) => {
      const client = await cluster.client();
      for (let i = 0; i < 20; i++) {
        await Promise.all(Array.from({ length: 10 }, (_, j) => client.put(`k${i}/${j}`, "x".repeat(5_000))));
      }
      await cluster.stop("n1");
      await cluster.start("n1");
      assert.is((await client.list("k", { limit: 1_000 })).entries.length, 200);
    },
    { limits: { ...TINY, segmentBytesMax: 100_000 } },
  ));

test("a leader that is stopped in order hands leadership over first", () =>
  withNodes(3, async (cluster) => {
    const leader = await cluster.leader();
    await eventually("all to know", () => cluster.ids.every((id) => cluster.node(id).status().leader === leader));
    await cluster.stop(leader);
    const stories = cluster.told(leader).all;
    assert.ok(stories.some((story) => story.event === "stepped-down" && story.reason === "transferred"));
    await cluster.leader();
  }));

test("a machine that throws fails that command alone, on every replica alike", () =>
  withNodes(
    1,
    async (cluster) => {
      const machine = {
        apply: (bytes: Uint8Array) => {
          if (bytes[0] === 13) throw new Error("not that one");
          return bytes;
        },
        query: () => {
          throw new Error("no questions");
        },
        snapshot: () => [],
        restore: async () => {},
      };
      await cluster.start("n1", { machine });
      await cluster.leader();
      const node = cluster.ref(cluster.system(), "n1");
      const session = await openSession(node);
      const outcomes = await command(node, session, [Uint8Array.of(1), Uint8Array.of(13), Uint8Array.of(2)]);
      assert.equal(typesOf(outcomes), ["applied", "failed", "applied"]);
      const told = await cluster.told("n1").when("the failure", ({ event }) => event === "machine-failed");
      assert.ok("error" in told && told.error === "not that one");
      for (const consistency of ["linearizable", "stale"] as const) {
        const queries = encodeList([new Uint8Array(0)]);
        assert.is(
          await codeOf(node.ask({ type: "queries", consistency, anywhere: false, minIndex: 0, queries }, ASK)),
          "MACHINE_FAILED",
        );
      }
    },
    { idle: true },
  ));

test("a node that is not among its members is told so in one line", () =>
  withNodes(
    1,
    async (cluster) => {
      const members = [{ id: "other", url: cluster.urlOf("n1") }];
      assert.is(await codeOf(cluster.start("n1", { members })), "CONFIG_INVALID");
      await cluster.start("n1"); // The folder is free again.
    },
    { idle: true },
  ));

test.run();
