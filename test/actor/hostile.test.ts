/** What a peer may say, whatever it says, ends at most its own link. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { encodeLetter } from "../../src/actor/protocol.ts";
import { network } from "../../src/environment/ws.ts";
import { type Frame, joinFrames } from "../../src/link/frame.ts";
import { CloseCode } from "../../src/link/index.ts";
import { closed, connect, type End, turns, uncaught } from "../support/network.ts";
import { helloBytes, helloOf, shakeHands } from "../support/peers.ts";
import { suite } from "../support/suite.ts";
import {
  ASK,
  echo,
  Kind,
  obedient,
  type Process,
  protocol,
  type Start,
  valuesSeen,
  world,
} from "../support/systems.ts";

const test = suite("actor/hostile");

/** A peer with good manners so far. */
async function guest(home: Process): Promise<End> {
  const end = connect(network, home.url, 1_000_000);
  await end.events.when("the opening", ({ type }) => type === "open");
  await shakeHands(end, helloOf("guest"));
  return end;
}

/** The system still serves others. */
async function serves(start: Start, home: Process): Promise<void> {
  const caller = await start("caller");
  assert.is(await caller.system.ref(`${home.url}/actor`, protocol).ask(echo(1), ASK), 1);
}

const body = fc.uint8Array({ maxLength: 100 });
const letter = fc
  .record({ to: fc.constantFrom("actor", "nobody", ""), from: fc.string({ maxLength: 5 }), payload: body })
  .map(encodeLetter);
const frame = (kind: fc.Arbitrary<number>, of: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Frame> =>
  fc.record({ kind, correlation: fc.nat(0xffff_ffff), body: of });
const anyMessage = fc.oneof(
  { weight: 2, arbitrary: body },
  { weight: 2, arbitrary: frame(fc.nat(255), body).map((one) => joinFrames([one])) },
  {
    weight: 3,
    arbitrary: fc
      .array(frame(fc.constantFrom(...Object.values(Kind)), fc.oneof(letter, body)), { minLength: 1, maxLength: 5 })
      .map(joinFrames),
  },
);

test("500 messages of random bytes after a good handshake end at most their own links", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const errors = await uncaught(() =>
    world(async (start) => {
      const home = await start("home");
      obedient(home.system);
      let end = await guest(home);
      for (const bytes of fc.sample(anyMessage, { numRuns: 500, seed })) {
        if (end.events.all.some(({ type }) => type === "close")) end = await guest(home);
        end.socket.send(bytes);
        await turns(1);
      }
      end.socket.terminate();
      await serves(start, home);
    }),
  );
  assert.equal(errors, [], `seed ${seed}`);
});

test("a hello of random bytes ends at most its own link", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const errors = await uncaught(() =>
    world(async (start) => {
      const home = await start("home");
      obedient(home.system);
      for (const bytes of fc.sample(body, { numRuns: 50, seed })) {
        const end = connect(network, home.url);
        await end.events.when("the opening", ({ type }) => type === "open");
        end.socket.send(joinFrames([{ kind: 1, correlation: 0, body: bytes }]));
        assert.is((await closed(end)).code, CloseCode.protocolError);
      }
      await serves(start, home);
    }),
  );
  assert.equal(errors, [], `seed ${seed}`);
});

for (const url of ["nonsense", "http://127.0.0.1:1", ""]) {
  test(`a hello that names "${url}" as its URL ends at most its own link`, async () => {
    const errors = await uncaught(() =>
      world(async (start) => {
        const home = await start("home");
        obedient(home.system);
        const end = connect(network, home.url);
        await end.events.when("the opening", ({ type }) => type === "open");
        end.socket.send(helloBytes(helloOf("guest", { url })));
        await turns(20);
        await serves(start, home);
      }),
    );
    assert.equal(errors, []);
  });
}

const offences: Record<string, Frame> = {
  "a kind that means nothing": { kind: 99, correlation: 0, body: new Uint8Array(0) },
  "a letter without an address": { kind: Kind.tell, correlation: 0, body: new Uint8Array(0) },
  "a letter cut off within its address": { kind: Kind.ask, correlation: 1, body: Uint8Array.from([200, 1, 65]) },
  "a name that is not UTF-8": { kind: Kind.tell, correlation: 0, body: Uint8Array.from([1, 0, 0xff]) },
};

for (const [name, offence] of Object.entries(offences)) {
  test(`${name} is answered with 1002 and told of`, () =>
    world(async (start) => {
      const home = await start("home");
      obedient(home.system);
      const end = await guest(home);
      end.socket.send(joinFrames([offence]));
      assert.is((await closed(end)).code, CloseCode.protocolError);
      const story = await home.stories.when("the story", ({ event }) => event === "protocol-broken");
      assert.is(story.event === "protocol-broken" && story.peer, "guest");
      await serves(start, home);
    }));
}

test("nothing that comes after an offence is delivered, even in the same message", () =>
  world(async (start) => {
    const home = await start("home");
    const actor = obedient(home.system);
    const end = await guest(home);
    const tell = (value: number): Frame => {
      const payload = protocol.message.encode(echo(value));
      return { kind: Kind.tell, correlation: 0, body: encodeLetter({ to: "actor", from: "", payload }) };
    };
    end.socket.send(joinFrames([tell(1), { kind: 99, correlation: 0, body: new Uint8Array(0) }, tell(2)]));
    end.socket.send(joinFrames([tell(3)]));
    await closed(end);
    await turns();
    assert.equal(valuesSeen(actor), [1]);
  }));

test("a peer that claims another's URL and says nothing more does not take its link for good", () =>
  world(async (start) => {
    const [home, caller] = [await start("home", { known: true }), await start("caller", { known: true })];
    obedient(home.system);
    const watching = obedient(home.system, "watching");
    watching.context.keepLink(caller.url);
    await watching.seen.when("up", (event) => event.type === "link" && event.up);
    const end = connect(network, home.url);
    await end.events.when("the opening", ({ type }) => type === "open");
    await shakeHands(end, helloOf("guest", { url: caller.url }));
    end.socket.terminate();
    const upsOf = (name: string): number =>
      watching.seen.all.filter((event) => event.type === "link" && event.up && event.peer.hello.name === name).length;
    await watching.seen.until("the caller again", () => upsOf("guest") === 1 && upsOf("caller") === 2);
    obedient(caller.system);
    assert.is(await home.system.ref(`${caller.url}/actor`, protocol).ask(echo(1), ASK), 1);
    assert.is(await caller.system.ref(`${home.url}/actor`, protocol).ask(echo(2), ASK), 2);
  }));

test.run();
