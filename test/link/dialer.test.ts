import * as assert from "uvu/assert";
import type { Random } from "../../src/environment.ts";
import { type Backoff, CloseCode, type Closing, Dialer } from "../../src/link/index.ts";
import { HandClock, HandNetwork, turns } from "../support/network.ts";
import { helloBytes, helloOf, LIMITS } from "../support/peers.ts";
import { suite } from "../support/suite.ts";

const test = suite("link/dialer");

const URL = "ws://somewhere:1";
const BACKOFF: Backoff = { firstMs: 20, longestMs: 1_000 };
const REFUSED_MS = 5_000;

interface World {
  readonly clock: HandClock;
  readonly network: HandNetwork;
  readonly dialer: Dialer;
  readonly closings: Closing[];
  opened: number;
  wanted: boolean;
  /** What the random source returns. */
  chance: number;
}

function world(): World {
  const clock = new HandClock();
  const network = new HandNetwork();
  const random: Random = { next: () => made.chance, id: () => "id" };
  const closings: Closing[] = [];
  const owner = {
    clock,
    limits: LIMITS,
    hello: helloOf("dialer"),
    verify: () => Promise.resolve(null),
    onOpen: () => {
      made.opened++;
    },
    onFrames: () => {},
    onClose: (_link: unknown, closing: Closing) => void closings.push(closing),
  };
  const dialer = new Dialer({ clock, random, network }, owner, URL, BACKOFF, () => made.wanted);
  const made: World = { clock, network, dialer, closings, opened: 0, wanted: true, chance: 1 };
  return made;
}

/** The newest connection fails; returns how long the dialer waits. */
function fail({ network, clock }: World, code = 1006): number | null {
  network.last.handlers.onClose(code, "");
  return clock.nextMs;
}

/** The newest connection succeeds, handshake and all. */
async function succeed({ network }: World): Promise<void> {
  network.last.handlers.onOpen();
  network.last.handlers.onMessage(helloBytes(helloOf("listener")));
  await turns(1);
}

test("after each failure the wait grows, up to the longest", () => {
  const it = world();
  it.dialer.dial();
  const waits: (number | null)[] = [];
  for (let failures = 0; failures < 40; failures++) {
    waits.push(fail(it));
    assert.is(it.network.dialled.length, failures + 1);
    it.clock.advance(waits.at(-1) ?? 0);
    assert.is(it.network.dialled.length, failures + 2, "it is dialled again once the wait is over, not before");
  }
  assert.equal(waits.slice(0, 8), [20, 40, 80, 160, 320, 640, 1_000, 1_000]);
  assert.is(waits.at(-1), 1_000);
  assert.ok(it.network.dialled.every(({ url }) => url === URL));
});

test("the wait is between half of its ceiling and all of it", () => {
  const it = world();
  it.chance = 0;
  it.dialer.dial();
  assert.is(fail(it), 10);
  it.clock.advance(10);
  assert.is(fail(it), 20);
});

test("a link that opened makes the next wait short again", async () => {
  const it = world();
  it.dialer.dial();
  for (let i = 0; i < 10; i++) it.clock.advance(fail(it) ?? 0);
  await succeed(it);
  assert.is(it.opened, 1);
  assert.is(fail(it), 20);
});

test("the owner hears of every loss", async () => {
  const it = world();
  it.dialer.dial();
  it.clock.advance(fail(it) ?? 0);
  await succeed(it);
  it.network.last.handlers.onClose(1001, "going");
  assert.equal(it.closings, [
    { code: 1006, reason: "", byUs: false },
    { code: 1001, reason: "going", byUs: false },
  ]);
});

for (const code of [CloseCode.wrongProtocol, CloseCode.wrongCluster, CloseCode.wrongIdentity]) {
  test(`one that refuses with ${code} is asked again slowly`, () => {
    const it = world();
    it.dialer.dial();
    it.network.last.handlers.onOpen();
    assert.is(fail(it, code), REFUSED_MS);
    it.clock.advance(REFUSED_MS - 1);
    assert.is(it.network.dialled.length, 1);
    it.clock.advance(1);
    assert.is(it.network.dialled.length, 2);
  });
}

test("dial does nothing while a connection stands or is being made", async () => {
  const it = world();
  it.dialer.dial();
  it.dialer.dial();
  await succeed(it);
  it.dialer.dial();
  assert.is(it.network.dialled.length, 1);
});

test("dial does not wait out the back-off", () => {
  const it = world();
  it.dialer.dial();
  fail(it);
  it.dialer.dial();
  assert.is(it.network.dialled.length, 2);
  it.clock.advance(30);
  assert.is(it.network.dialled.length, 2, "the wait that was under way is over with it");
});

test("nothing is dialled again that is not wanted", async () => {
  const it = world();
  it.dialer.dial();
  await succeed(it);
  it.wanted = false;
  fail(it);
  it.clock.advance(60_000);
  assert.is(it.network.dialled.length, 1);
  assert.is(it.clock.timers, 0);
});

test("pause ends the waiting, until dial is called", () => {
  const it = world();
  it.dialer.dial();
  fail(it);
  it.dialer.pause();
  it.clock.advance(60_000);
  assert.is(it.network.dialled.length, 1);
  it.dialer.dial();
  assert.is(it.network.dialled.length, 2);
});

test("stop ends the link and everything that would make another", async () => {
  const it = world();
  it.dialer.dial();
  await succeed(it);
  it.dialer.stop(CloseCode.goingAway, "enough");
  assert.equal(it.closings, [{ code: CloseCode.goingAway, reason: "enough", byUs: true }]);
  it.dialer.dial();
  it.dialer.retry();
  it.clock.advance(60_000);
  assert.is(it.network.dialled.length, 1);
  assert.is(it.clock.timers, 0);
});

test("stop while waiting to connect again leaves no timer", () => {
  const it = world();
  it.dialer.dial();
  fail(it);
  it.dialer.stop(CloseCode.normal, "");
  assert.is(it.clock.timers, 0);
});

test("a listener that never speaks is given up after the handshake's time, and tried again", () => {
  const it = world();
  it.dialer.dial();
  it.network.last.handlers.onOpen();
  it.clock.advance(LIMITS.handshakeTimeoutMs);
  assert.is(it.closings[0]?.code, CloseCode.handshakeTimeout);
  it.clock.advance(20);
  assert.is(it.network.dialled.length, 2);
});

test.run();
