/** Who leads: the client is told by directories and by nodes, and follows the newest news. */

import * as assert from "uvu/assert";
import type { ActorContext, ActorRef, Peer } from "../../src/actor/index.ts";
import { type Client, connect, type LeaderInfo } from "../../src/client/index.ts";
import { Leadership } from "../../src/client/leadership.ts";
import type { ClientEnvironment } from "../../src/environment.ts";
import { realEnvironment } from "../../src/index.ts";
import { codeOf, Events, eventually, HandClock } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { failing, onStage, refuse, type Stage, silent, times } from "./fakes.ts";

const watch = (client: Client): Events<LeaderInfo | null> => {
  const seen = new Events<LeaderInfo | null>();
  client.on("leader", (leader) => seen.add(leader));
  return seen;
};

const leads = (id: string) => (leader: LeaderInfo | null) => leader?.id === id;

const MEMBER = { role: "voter", priority: 0, incarnation: null, promotion: null } as const;

const test = suite("client: leadership");

test("a listener gets the leader that is known at once, and then every change", () =>
  onStage(async ({ client, directory, n1, n2 }) => {
    const follower = await client();
    const early = watch(follower);
    assert.equal(early.all, [], "nobody is known yet");
    assert.equal(await early.first(1), [{ term: 1, id: "n1", url: n1.url }]);
    await follower.put("a", "1"); // It has found its leader: no search, with an answer of its own, is under way.
    const late = watch(follower);
    assert.equal(late.all, [{ term: 1, id: "n1", url: n1.url }]);
    directory.push(n2.leading(2));
    directory.push({ term: 2, leader: null }); // Within a term that is no news.
    directory.push({ term: 3, leader: null });
    directory.push(n1.leading(4));
    const terms = (await late.first(4)).map((leader) => leader && [leader.term, leader.id]);
    assert.equal(terms, [[1, "n1"], [2, "n2"], null, [4, "n1"]]);
    assert.equal(follower.leader, { term: 4, id: "n1", url: n1.url });
  }));

test("a listener that has left is told nothing more", () =>
  onStage(async ({ client, directory, n2 }) => {
    const follower = await client();
    const stays = watch(follower);
    await stays.first(1);
    let told = 0;
    const off = follower.on("leader", () => told++);
    off();
    directory.push(n2.leading(2));
    await stays.first(2);
    assert.is(told, 1);
  }));

test("news of an older term is no news", () =>
  onStage(async ({ client, directory, n1, n2 }) => {
    directory.view = n2.leading(5);
    n2.view = n2.leading(5);
    const follower = await client();
    const seen = watch(follower);
    await seen.first(1);
    directory.push(n1.leading(4));
    directory.push(n1.leading(6));
    assert.equal(
      (await seen.first(2)).map((leader) => leader?.term),
      [5, 6],
    );
  }));

test("a term that nobody leads, and that comes to nothing, hides no leader of an older one", () =>
  onStage(async ({ client, n1, n2 }) => {
    n2.view = { term: 9, leader: null }; // It is a candidate, alone, and will forget it.
    const writer = await client({ directories: [], nodes: [n2.url] });
    await n2.subscribed.first(1);
    n2.push(n1.leading(1));
    await writer.put("a", "1");
    assert.equal(writer.leader, { term: 1, id: "n1", url: n1.url });
  }));

test("the same leader in a newer term is news", () =>
  onStage(async ({ client, directory, n1 }) => {
    const follower = await client();
    const seen = watch(follower);
    await seen.first(1);
    directory.push(n1.leading(2));
    assert.equal(
      (await seen.first(2)).map((leader) => leader?.term),
      [1, 2],
    );
    await follower.put("a", "1");
  }));

test("commands follow what the directory pushes", () =>
  onStage(async ({ client, directory, n1, n2 }) => {
    const writer = await client();
    const seen = watch(writer);
    await writer.put("a", "1");
    directory.push(n2.leading(2));
    await seen.when("n2", leads("n2"));
    await writer.put("b", "1");
    assert.equal(
      n2.batches.all.map(({ said }) => said),
      [["put b"]],
    );
    assert.is(n1.batches.all.length, 1);
  }));

test("commands follow what the nodes push, with the directory gone", () =>
  onStage(async ({ client, directory, n1, n2 }) => {
    const writer = await client();
    await writer.put("a", "1");
    await directory.stop();
    n1.commandScript = [failing(refuse("NOT_LEADER"))];
    n2.view = n2.leading(2);
    n1.push(n2.leading(2));
    await writer.put("b", "1");
    assert.equal(
      n2.batches.all.map(({ said }) => said),
      [["put b"]],
    );
  }));

test("a node that no longer leads and says nothing of its successor: the others are asked", () =>
  onStage(async ({ client, n1, n2 }) => {
    const writer = await client({ nodes: [n1.url, n2.url] });
    await writer.put("a", "1");
    n2.view = n2.leading(2);
    n1.commandScript = [times(100_000, (_batch, answer) => answer.fail(refuse("NOT_LEADER")))];
    await writer.put("b", "1");
    assert.is(writer.leader?.id, "n2");
  }));

/** One that takes no longer than it has to where others may take their time. */
const brisk: ClientEnvironment = { ...realEnvironment, random: { ...realEnvironment.random, next: () => 0 } };

/** A client that waits for nothing, and has heard that n2 leads in place of n1. */
async function idleBehind({ client, directory, n1, n2 }: Stage): Promise<Client> {
  const idle = await client({ directories: [directory.url], environment: brisk });
  await idle.put("a", "1");
  const seen = watch(idle);
  n1.view = n2.leading(2);
  n2.view = n2.leading(2);
  directory.push(n2.leading(2));
  await seen.when("that n2 leads", leads("n2"));
  return idle;
}

test("who waits for nothing hears of a new leader, and goes there in its own time", () =>
  onStage(async (stage) => {
    await idleBehind(stage);
    const { client, n2 } = stage;
    // Another one, that has everything to do for the first time, is there before.
    const busy = await client();
    await busy.put("b", "1");
    assert.is(n2.subscribed.all.length, 1);
    await n2.subscribed.first(2);
  }));

test("who waits for nothing, and then asks, goes to the new leader at once", () =>
  onStage(async (stage) => {
    const idle = await idleBehind(stage);
    await Promise.all([
      idle.put("b", "1", { timeoutMs: 1_000 }), // It would not go there by itself in this time.
      idle.get("a", { timeoutMs: 1_000 }),
    ]);
    assert.is(stage.n2.batches.all.length, 1);
  }));

test("a link that comes up when it is not needed any more is not brought back by a greeting", () => {
  const clock = new HandClock();
  const kept = new Set<string>();
  const greeted: string[] = [];
  const node = (id: string) => ({ hello: { name: id, url: `ws://${id}:7100` } }) as Peer;
  const context = {
    ref: (address: string) => {
      const ask = (message: { readonly type: string }): Promise<never> => {
        greeted.push(`${message.type} ${address}`);
        return new Promise(() => {});
      };
      return { ask } as unknown as ActorRef<never, never>;
    },
    keepLink: (url: string) => {
      kept.add(url);
      return () => void kept.delete(url);
    },
  } as unknown as ActorContext;
  const leadership = new Leadership({
    environment: { ...realEnvironment, clock },
    context,
    directories: ["ws://directory:7000"],
    nodes: ["ws://n1:7100", "ws://n2:7100"],
    ownNode: null,
    isIdle: () => true,
    onReady: () => {},
    onLost: () => {},
    onChange: () => {},
  });
  leadership.start();
  clock.advance(200); // No directory answers: the nodes are tried.
  assert.equal([...kept], ["ws://directory:7000", "ws://n1:7100", "ws://n2:7100"]);
  leadership.learn({ term: 1, leader: { id: "n1", url: "ws://n1:7100" } }, null);
  leadership.linkUp("ws://n1:7100", node("n1"));
  leadership.linkUp("ws://n2:7100", node("n2")); // It came up in the same turn.
  assert.equal([...kept], ["ws://directory:7000", "ws://n1:7100"]);
  assert.equal(greeted, ["subscribe ws://n1:7100/node"]);
  leadership.close();
});

test("the leader dies: whoever knows the next one is found", () =>
  onStage(async ({ client, directory, n1, n2 }) => {
    const writer = await client();
    await writer.put("a", "1");
    await n1.stop();
    n2.view = n2.leading(2);
    directory.push(n2.leading(2));
    await writer.put("b", "1");
    assert.equal(
      n2.batches.all.map(({ said }) => said),
      [["put b"]],
    );
  }));

test("a leader that is gone, or does not act as one, is named no more; the next one is", () =>
  onStage(async ({ client, directory, n1, n2 }) => {
    const writer = await client();
    await writer.put("a", "1");
    const seen = watch(writer);
    await n1.stop();
    assert.equal((await seen.first(2))[1], null);
    assert.is(writer.leader, null);
    n2.view = n2.leading(2);
    directory.push(n2.leading(2));
    await seen.when("n2", leads("n2"));
    n2.commandScript = [failing(refuse("NOT_LEADER"))];
    await writer.put("b", "1");
    const ids = seen.all.map((leader) => leader?.id ?? null);
    assert.equal(ids, ["n1", null, "n2", null, "n2"]);
  }));

test("a directory that was told nonsense is overruled by the nodes, and believed again once they agree", () =>
  onStage(async ({ client, deadUrl, directory, n1, n2 }) => {
    const writer = await client();
    await writer.put("a", "1");
    const seen = watch(writer);
    directory.push({ term: 2 ** 52, leader: { id: "n9", url: deadUrl } });
    await seen.when("the nonsense", leads("n9"));
    await writer.put("b", "1");
    assert.equal(n1.batches.all.at(-1)?.said, ["put b"]);
    assert.equal(writer.leader, { term: 1, id: "n1", url: n1.url });
    for (const node of [n1, n2]) node.view = n2.leading(2);
    n1.push(n2.leading(2));
    await seen.when("the truth", leads("n2"));
    await writer.put("c", "1");
    assert.equal(n2.batches.all.at(-1)?.said, ["put c"]);
  }));

test("of the nodes that a directory lists, only so many are remembered; those that were named stay", () =>
  onStage(async ({ client, deadUrl, directory, n1, n2 }) => {
    for (let i = 0; i < 1_000; i++) directory.members.push({ name: `x${i}`, url: `${deadUrl.slice(0, -1)}${i}` });
    const writer = await client({ directories: [directory.url], nodes: [n1.url, n2.url] });
    await directory.subscribed.when("the client", () => true);
    await writer.put("a", "1");
    const reports = await writer.status();
    assert.ok(reports.length <= 128, `${reports.length} nodes are known`);
    assert.ok([n1.url, n2.url].every((url) => reports.some((report) => report.url === url)));
  }));

test("the leader dies and comes back in the same term: it is found again", () =>
  onStage(async ({ client, n1 }) => {
    const writer = await client();
    await writer.put("a", "1");
    await n1.stop();
    await n1.start();
    await writer.put("b", "1");
    assert.equal(n1.batches.all.at(-1)?.said, ["put b"]);
  }));

test("a leader that hangs is left for the next one, and what it was sent is sent there", () =>
  onStage(async ({ client, directory, n1, n2 }) => {
    const writer = await client();
    await writer.put("a", "1");
    n1.commandScript = [silent];
    const sum = writer.increment("n");
    await n1.batches.first(2);
    directory.push(n2.leading(2));
    assert.is((await sum).value, 1);
    assert.equal([n2.batches.all[0]?.session, n2.batches.all[0]?.first], [n1.opened.all[0], 2]);
  }));

for (const [who, isBeside] of [
  ["with no directory another node is listened to", false],
  ["the node in its own process is listened to, whatever directories there are", true],
] as const) {
  test(`${who}, which tells of the next leader when the leader hangs`, () =>
    onStage(async ({ client, directory, deadUrl, n1, n2 }) => {
      const nodes = [deadUrl, n1.url, n2.url];
      const options = isBeside ? { directories: [directory.url], ownNode: n2.url } : {};
      const writer = await client({ ...options, nodes });
      await writer.put("a", "1");
      // Gone and back again: what was known of it is known no more.
      const told = n2.subscribed.all.length;
      await n2.stop();
      await n2.start();
      await n2.subscribed.first(told + 1);
      n1.commandScript = [silent];
      const write = writer.put("b", "1");
      await n1.batches.first(2);
      n2.push(n2.leading(2));
      await write;
      assert.equal(n2.batches.all.at(-1)?.said, ["put b"]);
    }));
}

test("who was told of no other node asks the leader who there is", () =>
  onStage(async ({ client, n1, n2 }) => {
    n1.members = [n1, n2].map(({ id, url }) => ({ ...MEMBER, id, url }));
    const writer = await client({ directories: [], nodes: [n1.url] });
    await writer.put("a", "1");
    await n2.subscribed.first(1);
    n1.commandScript = [silent];
    const write = writer.put("b", "1");
    await n1.batches.first(2);
    n2.push(n2.leading(2));
    await write;
  }));

test("of several directories one is dead: the other will do", () =>
  onStage(async ({ client, directory, deadUrl }) => {
    for (const directories of [
      [deadUrl, directory.url],
      [directory.url, deadUrl],
    ]) {
      const writer = await client({ directories });
      await writer.put("a", "1");
    }
  }));

test("all directories are dead: the nodes that were named will do", () =>
  onStage(async ({ client, n1, n2, deadUrl }) => {
    const writer = await client({ directories: [deadUrl], nodes: [n2.url] });
    await writer.put("a", "1");
    assert.is(n1.batches.all.length, 1, "the named node told of the leader");
  }));

test("a directory that comes later is used as soon as it is there", () =>
  onStage(async ({ client, directory }) => {
    await directory.stop();
    const writer = await client();
    const write = writer.put("a", "1");
    await directory.start();
    await write;
  }));

test("no directory, nodes only: one of them knows the leader", () =>
  onStage(async ({ client, n1, n2, deadUrl }) => {
    const writer = await client({ nodes: [deadUrl, n2.url] });
    await writer.put("a", "1");
    assert.is(n1.batches.all.length, 1);
    assert.is(writer.leader?.id, "n1");
  }));

test("an address may be written in more ways than one: it is the same node", () =>
  onStage(async ({ client, n1 }) => {
    const writer = await client({ nodes: [`${n1.url}/`, n1.url] });
    await writer.put("a", "1");
    assert.equal(
      (await writer.status()).map(({ url }) => url),
      [n1.url],
    );
  }));

test("a node of another cluster is not talked to", () =>
  onStage(async ({ client, n1, n2 }) => {
    await n2.stop();
    await n2.start("another");
    n2.view = n2.leading(9);
    const writer = await client({ nodes: [n2.url, n1.url], cluster: "test" });
    await writer.put("a", "1");
    assert.is(n2.subscribed.all.length, 0);
  }));

test("status tells of every node, in order; one that can't be reached is told so", () =>
  onStage(async ({ client, directory, n1, n2, deadUrl }) => {
    directory.members = [
      { name: "n2", url: n2.url },
      { name: "n1", url: n1.url },
      { name: "n3", url: deadUrl },
    ];
    const observer = await client();
    await eventually("the members", () => observer.leader !== null);
    await observer.put("a", "1");
    n2.statusScript = [silent];
    const reports = await observer.status();
    const told = reports.map((report) => ["error" in report ? report.error.code : report.role, report.id, report.url]);
    assert.equal(told, [
      ["follower", "n1", n1.url],
      ["TIMEOUT", "n2", n2.url],
      ["UNREACHABLE", "n3", deadUrl],
    ]);
  }));

test("a node whose status makes no sense is reported with BAD_MESSAGE", () =>
  onStage(async ({ client, n1 }) => {
    const observer = await client({ nodes: [n1.url] });
    n1.statusScript = [
      (_question, answer) => {
        answer.ok({ type: "done" });
        return true;
      },
    ];
    const [report] = await observer.status();
    assert.ok(report !== undefined && "error" in report);
    assert.is(report.error.code, "BAD_MESSAGE");
  }));

for (const [what, options] of [
  ["no address at all", {}],
  ["empty lists", { directories: [], nodes: [] }],
  ["a directory's address that is none", { directories: ["localhost"] }],
  ["a node's address of another protocol", { nodes: ["http://127.0.0.1:1"] }],
] as const) {
  test(`${what}: INVALID_ARGUMENT`, async () => assert.is(await codeOf(connect(options)), "INVALID_ARGUMENT"));
}

test("a client keeps links to the directories and the leader, and lets go of the rest", () =>
  onStage(async ({ client, directory, n1, n2 }) => {
    const writer = await client({ directories: [directory.url], nodes: [n1.url, n2.url] });
    await writer.put("a", "1");
    directory.push(n2.leading(2));
    await eventually("n2", () => writer.leader?.id === "n2");
    await writer.put("b", "1");
    const told = n1.subscribed.all.length;
    directory.push(n1.leading(3));
    await eventually("n1", () => writer.leader?.id === "n1");
    await writer.put("c", "1");
    assert.ok(n1.subscribed.all.length > told, "it greets n1 anew, since the link is a new one");
  }));

test.run();
