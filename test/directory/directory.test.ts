/** The directory: names, and who leads. Real links, a process of its own for each party. */

import * as assert from "uvu/assert";
import { type ActorContext, type ActorRef, ActorSystem, type Delivery, type Peer } from "../../src/actor/index.ts";
import { freePorts } from "../../src/cli/ports.ts";
import { type DirectoryEvent, type DirectoryParts, directoryActor } from "../../src/directory/directory.ts";
import type { DirectoryStory } from "../../src/directory/index.ts";
import { hasCode, retryAfterMs } from "../../src/errors.ts";
import { realEnvironment } from "../../src/index.ts";
import { CLIENT_ACTOR, clientProtocol } from "../../src/protocol/client.ts";
import {
  DIRECTORY_ACTOR,
  type DirectoryAnswer,
  type DirectoryMessage,
  directoryProtocol,
} from "../../src/protocol/directory.ts";
import type { LeaderView } from "../../src/protocol/leader.ts";
import { withNodes } from "../node/in-process.ts";
import { codeOf, Events } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const ASK = { timeoutMs: 5_000 };
const N1 = { name: "n1", url: "ws://127.0.0.1:7101" };
const N2 = { name: "n2", url: "ws://127.0.0.1:7102" };

type DirectoryRef = ActorRef<DirectoryMessage, DirectoryAnswer>;

interface Party {
  readonly system: ActorSystem;
  readonly directory: DirectoryRef;
  /** Leader views that were pushed to it. */
  readonly pushed: Events<LeaderView>;
  /** Makes its actor keep a link, subscribe with each new one, and note the answers. */
  follow(): Events<LeaderView>;
}

interface World {
  readonly url: string;
  readonly stories: Events<DirectoryStory>;
  party(): Party;
  restart(): Promise<void>;
}

/** The rules of who leads are one thing, who may speak for whom another: by default, everybody for everybody. */
const ANYBODY = { name: "anybody", url: null };

async function inWorld(
  body: (world: World) => Promise<void>,
  ownerOf: DirectoryParts["ownerOf"] = () => ANYBODY,
): Promise<void> {
  const [port = 0] = await freePorts(1);
  const url = `ws://127.0.0.1:${port}`;
  const stories = new Events<DirectoryStory>();
  const parties: ActorSystem[] = [];
  const start = async (): Promise<ActorSystem> => {
    const system = new ActorSystem({ environment: realEnvironment, cluster: "test", name: DIRECTORY_ACTOR, url });
    system.spawn(DIRECTORY_ACTOR, directoryProtocol, (context) =>
      directoryActor(context, { ownerOf, tell: (story) => stories.add(story) }),
    );
    await system.listen({ host: "127.0.0.1", port });
    return system;
  };
  let running = await start();
  const party = (): Party => {
    const backoff = { firstMs: 5, longestMs: 50 };
    const system = new ActorSystem({ environment: realEnvironment, cluster: "test", name: ANYBODY.name, backoff });
    parties.push(system);
    const pushed = new Events<LeaderView>();
    const current = new Events<LeaderView>();
    let keep = (): void => {};
    system.spawn(CLIENT_ACTOR, clientProtocol, (context) => {
      keep = () => void context.keepLink(url);
      const ref = context.ref(`${url}/${DIRECTORY_ACTOR}`, directoryProtocol);
      return (batch) => {
        for (const delivery of batch) {
          if (delivery.type === "message") pushed.add(delivery.message.view);
          else if (delivery.type === "link" && delivery.up) {
            ref.ask({ type: "subscribe" }, ASK).then(
              (answer) => answer.type === "leader" && current.add(answer.view),
              () => {},
            );
          }
        }
      };
    });
    const follow = (): Events<LeaderView> => {
      keep();
      return current;
    };
    return { system, pushed, follow, directory: system.ref(`${url}/${DIRECTORY_ACTOR}`, directoryProtocol) };
  };
  const restart = async (): Promise<void> => {
    await running.close();
    running = await start();
  };
  try {
    await body({ url, stories, party, restart });
  } finally {
    await Promise.all(parties.map((system) => system.close()));
    await running.close();
  }
}

const register = (ref: DirectoryRef, member: typeof N1): Promise<DirectoryAnswer> =>
  ref.ask({ type: "register", ...member }, ASK);
const claim = (ref: DirectoryRef, term: number, { name: id, url }: typeof N1): Promise<DirectoryAnswer> =>
  ref.ask({ type: "claim", term, id, url }, ASK);
const resign = (ref: DirectoryRef, term: number, { name: id }: typeof N1): Promise<DirectoryAnswer> =>
  ref.ask({ type: "resign", term, id }, ASK);
const view = (term: number, leader: typeof N1 | null): LeaderView => ({
  term,
  leader: leader === null ? null : { id: leader.name, url: leader.url },
});

async function lookUp(ref: DirectoryRef, name: string): Promise<unknown> {
  const answer = await ref.ask({ type: "look-up", name }, ASK);
  assert.ok(answer.type === "member");
  return answer.member;
}

async function list(ref: DirectoryRef): Promise<unknown> {
  const answer = await ref.ask({ type: "list" }, ASK);
  assert.ok(answer.type === "members");
  return answer.members;
}

async function current(ref: DirectoryRef): Promise<LeaderView> {
  const answer = await ref.ask({ type: "subscribe" }, ASK);
  assert.ok(answer.type === "leader");
  return answer.view;
}

const test = suite("directory");

test("a name that is registered can be looked up and is listed; others are not there", () =>
  inWorld(async ({ party }) => {
    const { directory } = party();
    assert.is(await lookUp(directory, "n1"), null);
    await register(directory, N1);
    await register(directory, N2);
    assert.equal(await lookUp(directory, "n1"), N1);
    assert.is(await lookUp(directory, "n3"), null);
    assert.equal(await list(directory), [N1, N2]);
  }));

test("a name that is registered again is at its new address", () =>
  inWorld(async ({ party }) => {
    const { directory } = party();
    await register(directory, N1);
    await register(directory, { ...N1, url: "ws://127.0.0.1:9999" });
    assert.equal(await list(directory), [{ ...N1, url: "ws://127.0.0.1:9999" }]);
  }));

test("a name is gone once its registrant has unregistered it; a stranger can't", () =>
  inWorld(async ({ party }) => {
    const [owner, stranger] = [party(), party()];
    await register(owner.directory, N1);
    await stranger.directory.ask({ type: "unregister", name: "n1" }, ASK);
    assert.equal(await lookUp(owner.directory, "n1"), N1);
    await owner.directory.ask({ type: "unregister", name: "n1" }, ASK);
    assert.is(await lookUp(owner.directory, "n1"), null);
  }));

test("a registration ends with the link that it came by", () =>
  inWorld(async ({ party, stories }) => {
    const [owner, observer] = [party(), party()];
    await register(owner.directory, N1);
    await register(observer.directory, N2);
    await owner.system.close();
    await stories.when("n1 is gone", ({ event }) => event === "member-gone");
    assert.equal(await list(observer.directory), [N2]);
  }));

test("a registration that another link has taken over outlives the first link", () =>
  inWorld(async ({ party }) => {
    const [before, after, observer] = [party(), party(), party()];
    const gone = observer.follow();
    await gone.first(1);
    await register(before.directory, N1);
    await register(after.directory, N1);
    await before.system.close();
    // What the directory hears of that link comes before the answer to anything asked afterwards.
    await claim(observer.directory, 1, N2);
    await observer.pushed.first(1);
    assert.equal(await lookUp(observer.directory, "n1"), N1);
  }));

test("a subscriber gets the present leader at once, and then every change in order", () =>
  inWorld(async ({ party }) => {
    const [leader, subscriber] = [party(), party()];
    await claim(leader.directory, 1, N1);
    const answers = subscriber.follow();
    assert.equal(await answers.first(1), [view(1, N1)]);
    await resign(leader.directory, 1, N1);
    await claim(leader.directory, 2, N2);
    for (let term = 3; term <= 20; term++) await claim(leader.directory, term, term % 2 === 0 ? N2 : N1);
    const pushed = await subscriber.pushed.first(20);
    assert.equal(pushed.slice(0, 3), [view(1, null), view(2, N2), view(3, N1)]);
    assert.equal(
      pushed.slice(1).map(({ term }) => term),
      Array.from({ length: 19 }, (_, i) => i + 2),
    );
  }));

test("before any leader is known, a subscriber is told that there is none", () =>
  inWorld(async ({ party }) => assert.equal(await current(party().directory), view(0, null))));

test("a subscriber that comes back gets what it has missed", () =>
  inWorld(async ({ party, restart }) => {
    const [leader, subscriber] = [party(), party()];
    await claim(leader.directory, 1, N1);
    const answers = subscriber.follow();
    await answers.first(1);
    await restart();
    await claim(leader.directory, 5, N2);
    const term5 = (known: LeaderView): boolean => known.term === 5;
    const told = (): boolean => answers.all.some(term5) || subscriber.pushed.all.some(term5);
    await Promise.race([answers.until("term 5", told), subscriber.pushed.until("term 5", told)]);
    assert.equal(await current(subscriber.directory), view(5, N2));
  }));

test("an older leader can't overwrite a newer one", () =>
  inWorld(async ({ party }) => {
    const { directory } = party();
    await claim(directory, 7, N2);
    assert.is(await codeOf(claim(directory, 6, N1)), "STALE_CLAIM");
    assert.equal(await current(directory), view(7, N2));
  }));

test("of two who claim the same term, the first stays", () =>
  inWorld(async ({ party, stories }) => {
    const { directory } = party();
    await claim(directory, 7, N2);
    assert.is(await codeOf(claim(directory, 7, N1)), "STALE_CLAIM");
    assert.equal(await current(directory), view(7, N2));
    assert.is(stories.all.filter(({ event }) => event === "leader-announced").length, 1);
  }));

test("of two who claim the same term, the first stays even after it has resigned", () =>
  inWorld(async ({ party }) => {
    const { directory } = party();
    await claim(directory, 7, N2);
    await resign(directory, 7, N2);
    assert.is(await codeOf(claim(directory, 7, N1)), "STALE_CLAIM");
  }));

test("a leader that claims its term again changes nothing, and nobody is bothered", () =>
  inWorld(async ({ party, stories }) => {
    const [leader, subscriber] = [party(), party()];
    await subscriber.follow().first(1);
    await claim(leader.directory, 7, N1);
    await claim(leader.directory, 7, N1);
    await claim(leader.directory, 8, N1);
    assert.equal(await subscriber.pushed.first(2), [view(7, N1), view(8, N1)]);
    assert.is(stories.all.filter(({ event }) => event === "leader-announced").length, 2);
  }));

test("only the leader of the term can resign", () =>
  inWorld(async ({ party }) => {
    const { directory } = party();
    await claim(directory, 7, N2);
    await resign(directory, 7, N1);
    await resign(directory, 6, N2);
    await resign(directory, 8, N2);
    assert.equal(await current(directory), view(7, N2));
    await resign(directory, 7, N2);
    assert.equal(await current(directory), view(7, null));
  }));

test("an older leader can't come back after the newer one has resigned", () =>
  inWorld(async ({ party }) => {
    const { directory } = party();
    await claim(directory, 7, N2);
    await resign(directory, 7, N2);
    assert.is(await codeOf(claim(directory, 6, N1)), "STALE_CLAIM");
  }));

test("claims without sense are refused, and the directory goes on", () =>
  inWorld(async ({ party }) => {
    const { directory } = party();
    for (const term of [0, -1, 1.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY]) {
      assert.is(await codeOf(claim(directory, term, N1)), "BAD_MESSAGE", `term ${term}`);
    }
    assert.is(await codeOf(register(directory, { name: "", url: "ws://h:1" })), "BAD_MESSAGE");
    assert.is(await codeOf(register(directory, { name: "x".repeat(256), url: "ws://h:1" })), "BAD_MESSAGE");
    assert.equal(await current(directory), view(0, null));
  }));

test("only a node itself may register its name, claim to lead, or resign; other names are anybody's", () =>
  withNodes(3, async (cluster) => {
    await cluster.startDirectory();
    const leader = await cluster.leader();
    await cluster.directoryStories.when("the leader", ({ event }) => event === "leader-announced");
    const [own] = cluster.members;
    if (own === undefined) throw new Error("a cluster of none");
    const address = `${cluster.directoryUrl}/${DIRECTORY_ACTOR}`;
    for (const name of ["stranger", own.id]) {
      const directory = cluster.system(name).ref(address, directoryProtocol);
      const forged = { name: own.id, url: "ws://127.0.0.1:9" };
      assert.is(await codeOf(claim(directory, 2 ** 50, forged)), "NOT_ENTITLED");
      assert.is(await codeOf(claim(directory, 2 ** 50, { ...forged, name })), "NOT_ENTITLED");
      assert.is(await codeOf(resign(directory, 1, { ...forged, name: leader })), "NOT_ENTITLED");
      assert.is(await codeOf(register(directory, forged)), "NOT_ENTITLED");
      await register(directory, { name: `friend of ${name}`, url: "ws://127.0.0.1:9" });
      assert.is((await current(directory)).leader?.id, leader);
    }
  }));

test("an address that is none can't be registered: those who list the names would stumble over it", () =>
  inWorld(async ({ party }) => {
    assert.is(await codeOf(register(party().directory, { name: "n1", url: "not an address" })), "BAD_MESSAGE");
  }));

const onlyN1 = (name: string): typeof ANYBODY | null => (name === "n1" ? ANYBODY : null);

test("a directory takes only so many names, and those of nodes beside them", () =>
  inWorld(async ({ party }) => {
    const { directory } = party();
    await list(directory); // The link stands, and takes as many frames as there are.
    // Not all at once: a mailbox takes no flood from one link.
    for (let thousand = 0; thousand < 10; thousand++) {
      await Promise.all(
        Array.from({ length: 1_000 }, (_, i) => register(directory, { ...N1, name: `x${1_000 * thousand + i}` })),
      );
    }
    const refused = await register(directory, { ...N1, name: "one too many" }).catch((error: unknown) => error);
    assert.ok(hasCode(refused, "BUSY") && retryAfterMs(refused) !== null, String(refused));
    await register(directory, { ...N1, name: "x1" });
    await register(directory, N1);
  }, onlyN1));

test("a name that is no node's belongs to the link that it came by, for as long as that stands", () =>
  inWorld(async ({ party, stories }) => {
    const [first, second] = [party(), party()];
    await register(first.directory, { ...N1, name: "service" });
    assert.is(await codeOf(register(second.directory, { ...N2, name: "service" })), "NOT_ENTITLED");
    await first.system.close();
    await stories.when("the end of it", ({ event }) => event === "member-gone");
    await register(second.directory, { ...N2, name: "service" });
    assert.equal(await lookUp(second.directory, "service"), { ...N2, name: "service" });
  }, onlyN1));

test("a directory that was restarted is told everything again by its registrants", () =>
  withNodes(3, async (cluster) => {
    await cluster.startDirectory();
    const filled = async (from: number): Promise<void> => {
      const told = (): typeof cluster.directoryStories.all => cluster.directoryStories.all.slice(from);
      await cluster.directoryStories.until("all members and the leader", () => {
        const names = told().flatMap((story) => (story.event === "member-registered" ? [story.name] : []));
        return new Set(names).size === 3 && told().some(({ event }) => event === "leader-announced");
      });
    };
    await filled(0);
    await cluster.stopDirectory();
    const from = cluster.directoryStories.all.length;
    await cluster.startDirectory();
    await filled(from);
    const directory = cluster.system().ref(`${cluster.directoryUrl}/${DIRECTORY_ACTOR}`, directoryProtocol);
    assert.equal((await current(directory)).leader?.id, await cluster.leader());
  }));

test("the directory follows a change of leader, and never goes back", () =>
  withNodes(3, async (cluster) => {
    await cluster.startDirectory();
    const first = await cluster.leader();
    const announced = (leader: string) => (story: (typeof cluster.directoryStories.all)[number]) =>
      story.event === "leader-announced" && story.leader === leader;
    await cluster.directoryStories.when("the first leader", announced(first));
    await cluster.stop(first);
    const second = await cluster.leader((id) => id !== first);
    await cluster.directoryStories.when("the second leader", announced(second));
    await cluster.directoryStories.when(
      "the first is gone",
      (story) => story.event === "member-gone" && story.name === first,
    );
    const terms = cluster.directoryStories.all.flatMap((story) =>
      story.event === "leader-announced" ? [story.term] : [],
    );
    assert.equal(
      terms,
      [...terms].sort((a, b) => a - b),
    );
  }));

test("a node that can't reach any directory leads all the same", () =>
  withNodes(1, async (cluster) => {
    const client = await cluster.client();
    await client.put("k", "v");
    assert.is((await client.get("k"))?.value, "v");
  }));

test("thousands are told of a leader some at a time, however often leaders change meanwhile", () => {
  const posted: DirectoryEvent[] = [];
  const context = { watch: () => {}, post: (event: DirectoryEvent) => posted.push(event) };
  const take = directoryActor(context as unknown as ActorContext<DirectoryEvent>, {
    ownerOf: () => N1,
    tell: () => {},
  });
  let told = 0;
  const peer = (): Peer => ({ hello: N1, ref: () => ({ tell: () => ++told }) }) as unknown as Peer;
  type Mail = Delivery<DirectoryMessage, DirectoryAnswer, DirectoryEvent>;
  const from = (message: DirectoryMessage): Mail => {
    return { type: "message", message, sender: { name: "", peer: peer() }, answer: null };
  };
  const claim = (term: number): Mail => from({ type: "claim", term, id: N1.name, url: N1.url });
  void take(Array.from({ length: 1_000 }, () => from({ type: "subscribe" })));
  void take([claim(1), claim(2)]);
  const each: number[] = [];
  while (posted.length > 0) {
    told = 0;
    void take(posted.splice(0).map((event): Mail => ({ type: "internal", event })));
    each.push(told);
  }
  // A hundred have heard of the second in the turn in which it was claimed.
  assert.equal(each, [...Array.from({ length: 9 }, () => 100), 0]);
});

test.run();
