import * as assert from "uvu/assert";
import { joinFrames } from "../../src/link/frame.ts";
import { CloseCode } from "../../src/link/index.ts";
import { closeServers, codeOf, type End, eventually, type Server, serve, turns } from "../support/network.ts";
import { framesAt, helloBytes, helloOf } from "../support/peers.ts";
import { suite } from "../support/suite.ts";
import {
  ASK,
  echo,
  freePort,
  Kind,
  linksSeen,
  type Obedient,
  obedient,
  type Process,
  protocol,
  type Seen,
  type Start,
  valuesSeen,
  world,
} from "../support/systems.ts";

const test = suite("actor/links");

const isUp = (event: Seen): boolean => event.type === "link" && event.up;
const isDown = (event: Seen): boolean => event.type === "link" && !event.up;

const linkEvents = (actor: Obedient, count: number): Promise<void> =>
  actor.seen.until(`${count} reports on links`, () => linksSeen(actor).length >= count);

/** The peer that sent the first message an actor got. */
async function firstPeer(actor: Obedient) {
  const event = await actor.seen.when("a message", ({ type }) => type === "message");
  if (event.type !== "message" || event.peer === null) throw new Error("no peer");
  return event.peer;
}

// Keeping a link

test("keepLink reports up, down, and up again after the other side was started anew", () =>
  world(async (start) => {
    const home = await start("home", { known: true });
    const caller = await start("caller");
    const actor = obedient(caller.system);
    actor.context.keepLink(home.url);
    await linkEvents(actor, 1);
    await home.system.close();
    await linkEvents(actor, 2);
    const again = await start("home", { known: true, port: Number(new URL(home.url).port) });
    await linkEvents(actor, 3);
    assert.equal(linksSeen(actor), [true, false, true]);
    const links = actor.seen.all.flatMap((event) => (event.type === "link" ? [event] : []));
    assert.ok(links.every(({ url }) => url === home.url));
    const runs = links.map(({ peer }) => peer.hello.process);
    assert.is(runs[0], runs[1]);
    assert.is.not(runs[1], runs[2], "another run of the process is another peer");
    obedient(again.system, "echo");
    assert.is(await caller.system.ref(`${home.url}/echo`, protocol).ask(echo(1), ASK), 1);
  }));

test("keepLink waits for a process that is started later", () =>
  world(async (start) => {
    const port = await freePort();
    const actor = obedient((await start("caller")).system);
    actor.context.keepLink(`ws://127.0.0.1:${port}`);
    await turns(20);
    await start("home", { port });
    await linkEvents(actor, 1);
    assert.equal(linksSeen(actor), [true]);
  }));

test("keepLink of a link that stands already reports it at once", () =>
  world(async (start) => {
    const [home, caller] = [await start("home"), await start("caller")];
    const [first, second] = [obedient(caller.system, "first"), obedient(caller.system, "second")];
    first.context.keepLink(home.url);
    await linkEvents(first, 1);
    second.context.keepLink(home.url);
    await linkEvents(second, 1);
    assert.equal(linksSeen(second), [true]);
    assert.is(caller.network.dialled, 1);
  }));

test("a link stays as long as one actor keeps it, and no longer", () =>
  world(async (start) => {
    const [home, caller] = [await start("home"), await start("caller")];
    const actors = [obedient(caller.system, "first"), obedient(caller.system, "second")];
    const undo = actors.map(({ context }) => context.keepLink(home.url));
    for (const actor of actors) await linkEvents(actor, 1);
    undo[0]?.();
    undo[0]?.();
    await turns(20);
    assert.is(caller.network.open, 1);
    undo[1]?.();
    await caller.network.changes.until("the end of the link", () => caller.network.open === 0);
    await turns(50);
    assert.is(caller.network.dialled, 1);
  }));

test("a kept link that the other side had opened is dialled from here once it is lost", () =>
  world(async (start) => {
    const [home, caller] = [await start("home", { known: true }), await start("caller", { known: true })];
    const actor = obedient(home.system);
    const undo = obedient(caller.system).context.keepLink(home.url);
    await home.stories.when("the link", ({ event }) => event === "link-up");
    actor.context.keepLink(caller.url);
    assert.is(home.network.dialled, 0);
    undo();
    await linkEvents(actor, 3);
    assert.equal(linksSeen(actor), [true, false, true]);
    assert.is(home.network.dialled, 1);
  }));

test("one that is refused is told of, and the refused process goes on", () =>
  world(async (start) => {
    const [home, stranger] = [await start("home"), await start("stranger", { cluster: "another" })];
    const actor = obedient(stranger.system);
    actor.context.keepLink(home.url);
    for (const { stories } of [home, stranger]) {
      const story = await stories.when("the refusal", ({ event }) => event === "link-refused");
      assert.is(story.event === "link-refused" && story.code, CloseCode.wrongCluster);
    }
    assert.equal(linksSeen(actor), []);
    assert.is(await actor.ref.ask(echo(1), ASK), 1);
  }));

test("a refusal is told of once, by both sides, however often it is tried again", () =>
  world(async (start) => {
    const [home, stranger] = [await start("home"), await start("stranger", { cluster: "another" })];
    for (let i = 0; i < 3; i++) {
      const ask = stranger.system.ref(`${home.url}/nobody`, protocol).ask(echo(1), ASK);
      assert.is(await codeOf(ask), "UNREACHABLE");
    }
    for (const { stories } of [home, stranger]) {
      const told = stories.all.filter(({ event }) => event === "link-refused");
      assert.is(told.length, 1);
    }
    const story = home.stories.all.find(({ event }) => event === "link-refused");
    assert.is(story?.event === "link-refused" && story.peer, "stranger", "by the name that it gave");
  }));

test("a link that comes about after a refusal is told of once something has come over it", () =>
  world(async (start) => {
    let isWelcome = false;
    const verify = async () => (isWelcome ? null : { code: CloseCode.wrongIdentity, reason: "not yet" });
    const [home, caller] = [await start("home", { verify }), await start("caller", { known: true })];
    obedient(home.system);
    const ask = () => caller.system.ref(`${home.url}/actor`, protocol).ask(echo(1), ASK);
    assert.is(await codeOf(ask()), "UNREACHABLE");
    await home.stories.when("the refusal", ({ event }) => event === "link-refused");
    isWelcome = true;
    assert.is(await ask(), 1);
    await home.stories.when("the link", ({ event }) => event === "link-up");
    await caller.system.close();
    await home.stories.when("its end", ({ event }) => event === "link-lost");
  }));

test("verify decides who is talked to", () =>
  world(async (start) => {
    const verify = async ({ name }: { name: string }) =>
      name === "friend" ? null : { code: CloseCode.wrongIdentity, reason: `${name} is no friend` };
    const home = await start("home", { verify });
    obedient(home.system);
    const [friend, foe] = [await start("friend"), await start("foe")];
    assert.is(await friend.system.ref(`${home.url}/actor`, protocol).ask(echo(1), ASK), 1);
    const asked = foe.system.ref(`${home.url}/actor`, protocol).ask(echo(2), ASK);
    assert.is(await codeOf(asked), "UNREACHABLE");
  }));

// Watching a peer

test("watch reports the loss of a peer, and again at once if it is lost already", () =>
  world(async (start) => {
    const [home, caller] = [await start("home"), await start("caller")];
    const actor = obedient(home.system);
    caller.system.ref(`${home.url}/actor`, protocol).tell(echo(1));
    const peer = await firstPeer(actor);
    actor.context.watch(peer);
    await turns(20);
    assert.equal(linksSeen(actor), []);
    await caller.system.close();
    await linkEvents(actor, 1);
    assert.is(peer.ref("actor", protocol).tell(echo(2)), false);
    actor.context.watch(peer);
    await linkEvents(actor, 2);
    assert.equal(linksSeen(actor), [false, false]);
  }));

test("messages that came before the loss stand before the report of it", () =>
  world(async (start) => {
    const [home, caller] = [await start("home"), await start("caller")];
    const actor = obedient(home.system);
    const ref = caller.system.ref(`${home.url}/actor`, protocol);
    ref.tell(echo(0));
    actor.context.watch(await firstPeer(actor));
    for (let i = 1; i <= 500; i++) ref.tell(echo(i));
    await caller.system.close();
    await actor.seen.when("the loss", isDown);
    assert.is(valuesSeen(actor).length, 501);
    assert.ok(actor.seen.all.findIndex(isDown) === 501);
  }));

test("a peer's ref reaches that very run of the process or nobody", () =>
  world(async (start) => {
    const home = await start("home");
    const caller = await start("caller", { known: true });
    const actor = obedient(home.system);
    obedient(caller.system, "target");
    caller.system.ref(`${home.url}/actor`, protocol).tell(echo(1));
    const peer = await firstPeer(actor);
    const target = peer.ref("target", protocol);
    assert.is(await target.ask(echo(2), ASK), 2);
    await caller.system.close();
    const again = await start("caller", { known: true, port: Number(new URL(caller.url).port) });
    const other = obedient(again.system, "target");
    assert.is(await home.system.ref(`${caller.url}/target`, protocol).ask(echo(3), ASK), 3);
    assert.is(target.tell(echo(4)), false);
    assert.is(await codeOf(target.ask(echo(5), ASK)), "UNREACHABLE");
    assert.equal(valuesSeen(other), [3]);
  }));

// Both sides connect at once

const ROUNDS = 50;
const EACH = 30;

interface Couple {
  readonly left: Process;
  readonly right: Process;
  readonly atLeft: Obedient;
  readonly atRight: Obedient;
}

/** Two processes that know each other's URL, with an actor each. */
async function couple(start: Start, verify: () => Promise<null> = async () => null): Promise<Couple> {
  const options = { known: true, verify };
  const [left, right] = await Promise.all([start("left", options), start("right", options)]);
  return { left, right, atLeft: obedient(left.system), atRight: obedient(right.system) };
}

const settled = async ({ left, right }: Couple): Promise<void> => {
  const isSettled = (): boolean => [left, right].every(({ network }) => network.open === 1 && network.connecting === 0);
  await eventually("one connection", isSettled);
  await turns(20);
  assert.equal([left.network.open, right.network.open], [1, 1], "exactly one link stands on both sides");
};

const verifies: Record<string, () => Promise<null>> = {
  "that verify at once": async () => null,
  "that take their time to verify": async () => {
    await turns(1 + Math.floor(Math.random() * 10));
    return null;
  },
};

for (const [which, verify] of Object.entries(verifies)) {
  test(`two processes ${which} and connect to each other at once keep one link, and lose or double no tell (${ROUNDS} times)`, async () => {
    const wrong: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await world(async (start) => {
        const both = await couple(start, verify);
        const later = round % 5;
        const toRight = both.left.system.ref(`${both.right.url}/actor`, protocol);
        const toLeft = both.right.system.ref(`${both.left.url}/actor`, protocol);
        const told: { readonly left: number[]; readonly right: number[] } = { left: [], right: [] };
        for (let i = 0; i < EACH; i++) {
          if (toRight.tell(echo(i))) told.right.push(i);
          if (i >= later && toLeft.tell(echo(i))) told.left.push(i);
          await turns(1);
        }
        await settled(both);
        await Promise.all([toRight.ask(echo(EACH), ASK), toLeft.ask(echo(EACH), ASK)]);
        for (const [name, values, actor] of [
          ["right", told.right, both.atRight],
          ["left", told.left, both.atLeft],
        ] as const) {
          const seen = valuesSeen(actor).filter((value) => value !== EACH);
          const missing = values.filter((value) => !seen.includes(value));
          if (missing.length > 0) wrong.push(`round ${round}: ${missing} never came to the ${name}`);
          if (new Set(seen).size < seen.length) wrong.push(`round ${round}: doubled at the ${name}: ${seen}`);
        }
      });
    }
    assert.equal(wrong.slice(0, 3), [], `${wrong.length} times something was lost or doubled`);
  });
}

test(`two processes that connect to each other at once answer every question (${ROUNDS} times)`, async () => {
  const failed: string[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await world(async (start) => {
      const both = await couple(start);
      const toRight = both.left.system.ref(`${both.right.url}/actor`, protocol);
      const toLeft = both.right.system.ref(`${both.left.url}/actor`, protocol);
      const asked: Promise<unknown>[] = [];
      for (let i = 0; i < EACH; i++) {
        for (const ref of i >= round % 5 ? [toRight, toLeft] : [toRight]) {
          asked.push(ref.ask(echo(i), ASK).catch((error) => failed.push(`round ${round}, question ${i}: ${error}`)));
        }
        await turns(1);
      }
      await Promise.all(asked);
      await settled(both);
    });
  }
  assert.equal(failed.slice(0, 3), [], `${failed.length} questions failed`);
});

test(`two processes that keep a link to each other end up with one, reported up on both sides (${ROUNDS} times)`, async () => {
  for (let round = 0; round < ROUNDS; round++) {
    await world(async (start) => {
      const both = await couple(start);
      both.atLeft.context.keepLink(both.right.url);
      await turns(round % 4);
      both.atRight.context.keepLink(both.left.url);
      await Promise.all([both.atLeft.seen.when("up", isUp), both.atRight.seen.when("up", isUp)]);
      await settled(both);
      for (const actor of [both.atLeft, both.atRight]) {
        const reports = linksSeen(actor);
        // Up and down take turns, and up is the last word.
        assert.equal(
          reports,
          reports.map((_, i) => i % 2 === 0),
        );
        assert.is(reports.at(-1), true);
      }
    });
  }
});

// Whose answers count

/** A process whose every word is made up by the test. */
async function impostor(
  name: string,
): Promise<{ server: Server; url: string; end(): Promise<End>; asked(): Promise<number> }> {
  const server = await serve({ messageBytesMax: 100_000 });
  const met = (async () => {
    const end = await server.accepted.when("the connection");
    await end.events.when("the hello", ({ type }) => type === "message");
    end.socket.send(helloBytes(helloOf(name)));
    return end;
  })();
  return {
    server,
    url: server.url,
    end: () => met,
    asked: async () => {
      const end = await met;
      const questions = () => framesAt(end).flatMap((frames) => frames.filter(({ kind }) => kind === Kind.ask));
      await end.events.until("a question", () => questions().length > 0);
      return questions()[0]?.correlation ?? 0;
    },
  };
}

test("an answer from a process that was not asked is ignored", () =>
  world(async (start) => {
    const { system } = await start("caller");
    const [asked, other] = [await impostor("asked"), await impostor("other")];
    const answer = system.ref(`${asked.url}/actor`, protocol).ask(echo(1), ASK);
    system.ref(`${other.url}/actor`, protocol).tell(echo(2));
    const correlation = await asked.asked();
    const body = protocol.answer.encode(666);
    const actor = obedient(system);
    const liar = await other.end();
    liar.socket.send(joinFrames([{ kind: Kind.answer, correlation, body }]));
    liar.socket.send(joinFrames([{ kind: Kind.error, correlation, body }]));
    // A tell behind it, so that the lie is known to have arrived.
    const letter = Uint8Array.from([5, 0, ...new TextEncoder().encode("actor"), ...protocol.message.encode(echo(3))]);
    liar.socket.send(joinFrames([{ kind: Kind.tell, correlation: 0, body: letter }]));
    await actor.seen.first(1);
    const honest = await asked.end();
    honest.socket.send(joinFrames([{ kind: Kind.answer, correlation, body: protocol.answer.encode(1) }]));
    assert.is(await answer, 1);
    await system.close();
    await Promise.all([asked.server.listener.close(), other.server.listener.close()]);
  }));

test("an answer to a question that timed out is ignored", () =>
  world(async (start) => {
    const { system } = await start("caller");
    const asked = await impostor("asked");
    const ref = system.ref(`${asked.url}/actor`, protocol);
    const first = ref.ask(echo(1), { timeoutMs: 50 });
    const correlation = await asked.asked();
    assert.is(await codeOf(first), "TIMEOUT");
    const second = ref.ask(echo(2), ASK);
    const end = await asked.end();
    const answer = (value: number, to: number) =>
      end.socket.send(joinFrames([{ kind: Kind.answer, correlation: to, body: protocol.answer.encode(value) }]));
    answer(666, correlation);
    answer(2, correlation + 1);
    assert.is(await second, 2);
    await system.close();
    await asked.server.listener.close();
  }));

test.after(closeServers);
test.run();
