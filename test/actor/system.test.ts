import * as assert from "uvu/assert";
import { type ActorRef, NO_ANSWER, packed } from "../../src/actor/index.ts";
import { hasCode, retryAfterMs } from "../../src/errors.ts";
import * as v from "../../src/shape.ts";
import { codeOf, turns } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import {
  ASK,
  echo,
  freePort,
  type Obedient,
  obedient,
  type Process,
  protocol,
  type Question,
  type Start,
  type StartOptions,
  valuesSeen,
  world,
} from "../support/systems.ts";

const test = suite("actor/system");

interface Meeting {
  readonly actor: Obedient;
  /** Where the actor lives. */
  readonly home: Process;
  /** Whose ref it is. */
  readonly caller: Process;
  readonly ref: ActorRef<Question, number | string>;
  readonly start: Start;
}

/** The ways to reach an actor. Whoever holds a ref can't tell them apart. */
const places: Record<string, (run: (meeting: Meeting) => Promise<void>, options?: StartOptions) => Promise<void>> = {
  "in this process": (run, options) =>
    world(async (start) => {
      const home = await start("home", options);
      const actor = obedient(home.system);
      await run({ actor, home, caller: home, ref: actor.ref, start });
    }),
  "in this process, by address": (run, options) =>
    world(async (start) => {
      const home = await start("home", { ...options, known: true });
      const actor = obedient(home.system);
      await run({ actor, home, caller: home, ref: home.system.ref(`${home.url}/actor`, protocol), start });
      assert.is(home.network.dialled, 0, "no connection was needed");
    }),
  "in another process": (run, options) =>
    world(async (start) => {
      const home = await start("home", options);
      const actor = obedient(home.system);
      const caller = await start("caller", options);
      await run({ actor, home, caller, ref: caller.system.ref(`${home.url}/actor`, protocol), start });
    }),
  "in another process, over the link that it opened": (run, options) =>
    world(async (start) => {
      const caller = await start("caller", options);
      const listener = obedient(caller.system, "listener");
      const home = await start("home", options);
      const actor = obedient(home.system);
      actor.context.ref(`${caller.url}/listener`, protocol).tell(echo(0));
      const hello = await listener.seen.when("the first message", ({ type }) => type === "message");
      if (hello.type !== "message" || hello.peer === null) throw new Error("no peer");
      await run({ actor, home, caller, ref: hello.peer.ref("actor", protocol), start });
    }),
};

for (const [place, meet] of Object.entries(places)) {
  test(`tells arrive in order, ${place}`, () =>
    meet(async ({ actor, ref }) => {
      const values = Array.from({ length: 100 }, (_, i) => i);
      for (const value of values) assert.is(ref.tell(echo(value)), true);
      await actor.seen.first(100);
      assert.equal(valuesSeen(actor), values);
    }));

  test(`asks are answered, ${place}`, () =>
    meet(async ({ ref }) => {
      const answers = await Promise.all([1, 2, 3].map((value) => ref.ask(echo(value), ASK)));
      assert.equal(answers, [1, 2, 3]);
    }));

  test(`an error that is answered keeps code, message and details, ${place}`, () =>
    meet(async ({ ref }) => {
      const caught = await ref.ask({ do: "fail", value: 0 }, ASK).catch((error: unknown) => error);
      assert.ok(hasCode(caught, "NOT_LEADER"));
      if (hasCode(caught, "NOT_LEADER")) assert.equal([caught.message, caught.details], ["n2 leads", { leader: "n2" }]);
    }));

  test(`an ask that nobody answers ends with TIMEOUT, ${place}`, () =>
    meet(async ({ ref }) => {
      assert.is(await codeOf(ref.ask({ do: "keep", value: 0 }, { timeoutMs: 50 })), "TIMEOUT");
    }));

  test(`a signal ends an ask, before it is sent and after, ${place}`, () =>
    meet(async ({ ref, actor }) => {
      const early = ref.ask(echo(1), { ...ASK, signal: AbortSignal.abort() });
      assert.is(await codeOf(early), "ABORTED");
      const controller = new AbortController();
      const late = ref.ask({ do: "keep", value: 2 }, { ...ASK, signal: controller.signal });
      await actor.seen.when("the question", (event) => event.type === "message" && event.value === 2);
      controller.abort();
      assert.is(await codeOf(late), "ABORTED");
      assert.equal(valuesSeen(actor), [2]);
    }));

  test(`a handler that throws answers ACTOR_FAILED, is told of, and goes on, ${place}`, () =>
    meet(async ({ ref, home }) => {
      assert.is(await codeOf(ref.ask({ do: "throw", value: 0 }, ASK)), "ACTOR_FAILED");
      const story = await home.stories.when("the failure", ({ event }) => event === "handler-failed");
      assert.equal(story, { event: "handler-failed", actor: "actor", error: "it broke", count: 1 });
      assert.is(await ref.ask(echo(1), ASK), 1);
    }));

  test(`a handler that rejects answers ACTOR_FAILED, is told of, and goes on, ${place}`, () =>
    meet(async ({ ref, home }) => {
      assert.is(await codeOf(ref.ask({ do: "reject", value: 0 }, ASK)), "ACTOR_FAILED");
      const story = await home.stories.when("the failure", ({ event }) => event === "handler-failed");
      assert.equal(story, { event: "handler-failed", actor: "actor", error: "it broke later", count: 1 });
      assert.is(await ref.ask(echo(1), ASK), 1);
    }));

  test(`a full mailbox is BUSY, told of, and takes mail again later, ${place}`, () =>
    meet(
      async ({ ref, actor, home }) => {
        const handled = ref.ask({ do: "wait", value: 1 }, ASK);
        await actor.seen.when("the first", (event) => event.type === "message" && event.value === 1);
        const asked = [2, 3, 4, 5].map((value) => ref.ask(echo(value), ASK));
        assert.is(await codeOf(asked[2] ?? Promise.resolve()), "BUSY");
        assert.is(await codeOf(asked[3] ?? Promise.resolve()), "BUSY");
        const full = home.stories.all.filter(({ event }) => event === "mailbox-full");
        assert.equal(full, [{ event: "mailbox-full", actor: "actor", refused: 1 }]);
        actor.goOn();
        assert.equal(await Promise.all([handled, asked[0], asked[1]]), [1, 2, 3]);
        assert.is(await ref.ask(echo(6), ASK), 6);
      },
      // A link may take an eighth of what is free.
      { mailboxMax: place.startsWith("in this process") ? 2 : 16 },
    ));
}

const far = places["in another process"] ?? (() => Promise.reject(new Error("no such place")));

test("a link that floods a mailbox is refused with a hint, and another link's mail is taken", () =>
  far(
    async ({ home, ref, actor, start }) => {
      const modest = (await start("modest")).system.ref(`${home.url}/actor`, protocol);
      const handled = ref.ask({ do: "wait", value: 0 }, ASK);
      await actor.seen.first(1);
      const flood = Array.from({ length: 100 }, (_, i) => ref.ask(echo(i), ASK));
      const settled = Promise.allSettled([handled, ...flood]);
      const refused = await flood.at(-1)?.catch((error: unknown) => error);
      assert.ok(hasCode(refused, "BUSY"));
      assert.ok((retryAfterMs(refused) ?? 0) > 0);
      const asked = modest.ask(echo(200), ASK);
      await turns(20); // If it were refused, it would be by now.
      actor.goOn();
      assert.is(await asked, 200);
      assert.is((await settled).filter(({ status }) => status === "fulfilled").length, 1 + 4);
    },
    { mailboxMax: 32 },
  ));

test("a full mailbox in this process refuses a tell", () =>
  world(async (start) => {
    const { system } = await start("home", { mailboxMax: 1 });
    const actor = obedient(system);
    assert.equal([actor.ref.tell(echo(1)), actor.ref.tell(echo(2))], [true, false]);
    await actor.seen.first(1);
    await turns();
    assert.equal(valuesSeen(actor), [1]);
  }));

test("one mailbox that is full does not hold up another actor", () =>
  far(
    async ({ home, caller, ref }) => {
      obedient(home.system, "other");
      const asked = [1, 2, 3, 4].map((value) => codeOf(ref.ask({ do: "wait", value }, ASK)).catch(() => "late"));
      const other = caller.system.ref(`${home.url}/other`, protocol);
      assert.is(await other.ask(echo(9), ASK), 9);
      await home.system.close();
      await Promise.all(asked);
    },
    { mailboxMax: 2 },
  ));

test("UNKNOWN_ACTOR is the answer for a name that nobody has, here and elsewhere", () =>
  world(async (start) => {
    const [home, caller] = [await start("home", { known: true }), await start("caller")];
    assert.is(await codeOf(home.system.ref(`${home.url}/nobody`, protocol).ask(echo(1), ASK)), "UNKNOWN_ACTOR");
    assert.is(await codeOf(caller.system.ref(`${home.url}/nobody`, protocol).ask(echo(1), ASK)), "UNKNOWN_ACTOR");
    assert.is(home.system.ref(`${home.url}/nobody`, protocol).tell(echo(1)), false);
  }));

test("a message that the actor does not understand is BAD_MESSAGE, and harms nobody", () =>
  far(async ({ home, caller, actor, ref }) => {
    const wrong = { message: packed(v.object({ eat: v.string() })), answer: NO_ANSWER };
    const other = caller.system.ref(`${home.url}/actor`, wrong);
    assert.is(await codeOf(other.ask({ eat: "this" }, ASK)), "BAD_MESSAGE");
    assert.is(other.tell({ eat: "that" }), true);
    assert.is(await ref.ask(echo(1), ASK), 1);
    assert.equal(valuesSeen(actor), [1]);
  }));

test("an answer that the asker does not understand is BAD_MESSAGE", () =>
  far(async ({ home, caller }) => {
    const wrong = { message: protocol.message, answer: packed(v.boolean()) };
    const ref = caller.system.ref(`${home.url}/actor`, wrong);
    assert.is(await codeOf(ref.ask(echo(1), ASK)), "BAD_MESSAGE");
  }));

test("an answer larger than a message of the link is ANSWER_TOO_LARGE, and the link stays", () =>
  far(
    async ({ ref, caller }) => {
      assert.is(await codeOf(ref.ask({ do: "large", value: 20_000 }, ASK)), "ANSWER_TOO_LARGE");
      const answer = await ref.ask({ do: "large", value: 5_000 }, ASK);
      assert.is(String(answer).length, 5_000);
      assert.is(caller.network.dialled, 1);
    },
    { linkLimits: { messageBytesMax: 10_000 } },
  ));

/** A message that the link's limit has no room for. */
const blob = { message: packed(v.string()), answer: packed(v.number()) };

test("a question larger than a message of the link is TOO_LARGE", () =>
  far(
    async ({ ref, home, caller }) => {
      await ref.ask(echo(1), ASK); // The link stands.
      const large = caller.system.ref(`${home.url}/actor`, blob);
      assert.is(await codeOf(large.ask("x".repeat(20_000), { timeoutMs: 500 })), "TOO_LARGE");
      assert.is(large.tell("x".repeat(20_000)), false);
      assert.is(await ref.ask(echo(2), ASK), 2);
    },
    { linkLimits: { messageBytesMax: 10_000 } },
  ));

test("a question too large is TOO_LARGE even while the link is still being made", () =>
  far(
    async ({ home, caller }) => {
      const large = caller.system.ref(`${home.url}/actor`, blob);
      assert.is(await codeOf(large.ask("x".repeat(20_000), { timeoutMs: 500 })), "TOO_LARGE");
    },
    { linkLimits: { messageBytesMax: 10_000 } },
  ));

test("only the first answer counts", () =>
  world(async (start) => {
    const [home, caller] = [await start("home"), await start("caller")];
    home.system.spawn("twice", protocol, () => (batch) => {
      for (const delivery of batch) {
        if (delivery.type !== "message") continue;
        delivery.answer?.ok(1);
        delivery.answer?.ok(2);
        throw new Error("and now this");
      }
    });
    const ref = caller.system.ref(`${home.url}/twice`, protocol);
    assert.is(await ref.ask(echo(0), ASK), 1);
    assert.is(await ref.ask(echo(0), ASK), 1);
  }));

test("messages sent in one turn are handled in one batch, here and elsewhere", () =>
  far(async ({ ref, home, actor }) => {
    for (let i = 0; i < 50; i++) ref.tell(echo(i));
    await actor.seen.first(50);
    assert.equal(actor.batches, [50]);
    const local = obedient(home.system, "local");
    for (let i = 0; i < 50; i++) local.ref.tell(echo(i));
    await local.seen.first(50);
    assert.equal(local.batches, [50]);
  }));

test("a message names the actor that sent it and the process it came from", () =>
  world(async (start) => {
    const [home, caller] = [await start("home", { known: true }), await start("caller")];
    const actor = obedient(home.system);
    obedient(caller.system, "far").context.ref(`${home.url}/actor`, protocol).tell(echo(1));
    await actor.seen.first(1);
    obedient(home.system, "near").context.ref(`${home.url}/actor`, protocol).tell(echo(2));
    home.system.ref(`${home.url}/actor`, protocol).tell(echo(3));
    await actor.seen.first(3);
    const senders = actor.seen.all.flatMap((event) =>
      event.type === "message" ? [[event.from, event.peer?.hello.name ?? null]] : [],
    );
    assert.equal(senders, [
      ["far", "caller"],
      ["near", null],
      ["", null],
    ]);
  }));

test("post puts something into the actor's own mailbox, even a full one", () =>
  world(async (start) => {
    const { system } = await start("home", { mailboxMax: 1 });
    const actor = obedient(system);
    actor.ref.tell(echo(1));
    actor.context.post("mine");
    await actor.seen.first(2);
    assert.equal(actor.seen.all[1], { type: "internal", event: "mine" });
  }));

test("a name can be taken only once", () =>
  world(async (start) => {
    const { system } = await start("home");
    obedient(system);
    assert.throws(
      () => obedient(system),
      (error: unknown) => hasCode(error, "INVALID_ARGUMENT"),
    );
  }));

test("what is no address is INVALID_ARGUMENT, at once", () =>
  world(async (start) => {
    const { system } = await start("home");
    for (const address of ["actor", "http://127.0.0.1:1/actor", "ws://127.0.0.1:1"]) {
      assert.throws(
        () => system.ref(address, protocol),
        (error: unknown) => hasCode(error, "INVALID_ARGUMENT"),
      );
    }
    const { context } = obedient(system);
    assert.throws(
      () => context.keepLink("nonsense"),
      (error: unknown) => hasCode(error, "INVALID_ARGUMENT"),
    );
  }));

test("where nobody listens is UNREACHABLE, long before the time is up", () =>
  world(async (start) => {
    const caller = await start("caller");
    const ref = caller.system.ref(`ws://127.0.0.1:${await freePort()}/actor`, protocol);
    assert.is(await codeOf(ref.ask(echo(1), ASK)), "UNREACHABLE");
  }));

test("a question that was UNREACHABLE is not delivered later", () =>
  world(async (start) => {
    const [caller, port] = [await start("caller"), await freePort()];
    const ref = caller.system.ref(`ws://127.0.0.1:${port}/actor`, protocol);
    assert.is(await codeOf(ref.ask(echo(1), ASK)), "UNREACHABLE");
    const actor = obedient((await start("home", { port })).system);
    assert.is(await ref.ask(echo(2), ASK), 2);
    assert.equal(valuesSeen(actor), [2]);
  }));

test("a question whose link is lost is UNREACHABLE, long before the time is up", () =>
  far(async ({ ref, home, actor }) => {
    const answer = codeOf(ref.ask({ do: "keep", value: 1 }, ASK));
    await actor.seen.first(1);
    await home.system.close();
    assert.is(await answer, "UNREACHABLE");
  }));

test("what waits for a link is bounded", () =>
  world(async (start) => {
    const [home, caller] = [await start("home"), await start("caller")];
    const actor = obedient(home.system);
    const ref = caller.system.ref(`${home.url}/actor`, protocol);
    const taken = Array.from({ length: 1_500 }, (_, i) => ref.tell(echo(i))).filter((isTaken) => isTaken).length;
    assert.is(taken, 1_000);
    await actor.seen.first(1_000);
    assert.is(await ref.ask(echo(7), ASK), 7);
  }));

test("a port in use is ADDRESS_IN_USE", () =>
  world(async (start) => {
    const home = await start("home");
    const port = Number(new URL(home.url).port);
    assert.is(await codeOf(start("rival", { port })), "ADDRESS_IN_USE");
  }));

test.run();
