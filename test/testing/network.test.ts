/** The network of a simulated world: what is cut, slow or broken, and for how long. */

import * as assert from "uvu/assert";
import type { Socket } from "../../src/environment.ts";
import { Dice } from "../../src/testing/dice.ts";
import { SimulatedNetwork } from "../../src/testing/network.ts";
import { diskless, Process } from "../../src/testing/process.ts";
import { World } from "../../src/testing/world.ts";
import { suite } from "../support/suite.ts";

const test = suite("simulated network");

interface Line {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly a: Process;
  readonly b: Process;
  readonly socket: Socket;
  /** When each message came to `b`, in the world's time. */
  readonly arrivals: number[];
  /** The close codes that each end was told. */
  readonly closed: { a?: number; b?: number };
}

/** A connection from `a` to `b`. */
async function connected(): Promise<Line> {
  const world = new World();
  const network = new SimulatedNetwork(world, new Dice(1));
  const process = (host: string): Process => new Process(world, network, new Dice(2), diskless(host));
  const [a, b] = [process("a"), process("b")];
  const arrivals: number[] = [];
  const closed: Line["closed"] = {};
  await b.environment.network.listen(
    { host: "b", port: 1, allowedOrigins: [], connectionsMax: 9, messageBytesMax: 1e6 },
    (accepted) =>
      accepted.handle({
        onMessage: () => arrivals.push(world.nowMs),
        onText: () => {},
        onClose: (code) => {
          closed.b = code;
        },
      }),
  );
  let isOpen = false;
  const socket = a.environment.network.connect(
    "ws://b:1",
    { messageBytesMax: 1e6 },
    {
      onOpen: () => {
        isOpen = true;
      },
      onMessage: () => {},
      onText: () => {},
      onClose: (code) => {
        closed.a = code;
      },
    },
  );
  await world.run(1_000, () => isOpen);
  return { world, network, a, b, socket, arrivals, closed };
}

const bytes = (count: number): Uint8Array => new Uint8Array(count);

test("what was cut twice is cut until both are mended, and what was on its way then arrives", async () => {
  const { world, network, socket, arrivals } = await connected();
  const [first, second] = [network.cut("a", "b"), network.cut("a", "b")];
  socket.send(bytes(1));
  first();
  first();
  await world.run(world.nowMs + 1_000);
  assert.equal([arrivals.length, network.isCut("a", "b"), network.isCut("b", "a")], [0, true, false]);
  second();
  await world.run(world.nowMs + 1_000);
  assert.equal([arrivals.length, network.isCut("a", "b")], [1, false]);
});

test("the slowest pace counts, for as long as it lasts, and a slow way is slow for all that leaves", async () => {
  const { world, network, socket, arrivals } = await connected();
  const startMs = world.nowMs;
  const fast = network.slow("a", "b", { bytesPerMs: 10 });
  const slow = network.slow("a", "b", { bytesPerMs: 1 });
  for (let i = 0; i < 3; i++) socket.send(bytes(100));
  await world.run(startMs + 1_000);
  const [first = 0, second = 0, third = 0] = arrivals.map((atMs) => atMs - startMs);
  assert.ok(first >= 100 && second >= first + 90 && third >= second + 90, `${arrivals}`);
  slow();
  const againMs = world.nowMs;
  socket.send(bytes(100));
  await world.run(againMs + 1_000);
  const tookMs = (arrivals.at(-1) ?? 0) - againMs;
  assert.ok(tookMs >= 10 && tookMs < 100, `${tookMs} ms`);
  fast();
});

test("that another way is fast again, or this one a little faster, delays nothing", async () => {
  const { world, network, socket, arrivals } = await connected();
  const startMs = world.nowMs;
  network.slow("a", "b", { bytesPerMs: 1 });
  const other = network.slow("b", "a", { bytesPerMs: 1 });
  const same = network.slow("a", "b", { bytesPerMs: 0.9 });
  socket.send(bytes(900));
  await world.run(startMs + 950);
  other();
  same();
  socket.send(bytes(10));
  await world.run(startMs + 5_000);
  const [first = 0, second = 0] = arrivals.map((atMs) => atMs - startMs);
  assert.ok(first <= 1_010 && second <= 1_900 && second >= first, `${first} ${second}`);
});

test("what waits to leave leaves as soon as its way is fast again", async () => {
  const { world, network, socket, arrivals } = await connected();
  network.slow("a", "b", { bytesPerMs: 0.001 });
  socket.send(bytes(100));
  await world.run(world.nowMs + 100);
  assert.is(arrivals.length, 0);
  network.heal();
  await world.run(world.nowMs + 100);
  assert.is(arrivals.length, 1);
});

test("what a cut held back arrives when all is healed, though nothing new is sent", async () => {
  const { world, network, socket, arrivals } = await connected();
  network.cut("a", "b");
  socket.send(bytes(1));
  await world.run(world.nowMs + 1_000);
  network.heal();
  await world.run(world.nowMs + 1_000);
  assert.is(arrivals.length, 1);
});

test("what has arrived at a process that is stalled lies unread there, and what is cut off does not", async () => {
  const { world, network, b, socket } = await connected();
  b.stall(500);
  socket.send(bytes(10));
  await world.run(world.nowMs + 300);
  assert.equal(
    [network.isUnreadFor("a", "b", 200), network.isUnreadFor("a", "b", 400), network.isUnreadFor("b", "a", 200)],
    [true, false, false],
  );
  await world.run(world.nowMs + 300);
  assert.not(network.isUnreadFor("a", "b", 0));
  network.cut("a", "b");
  socket.send(bytes(10));
  await world.run(world.nowMs + 300);
  assert.not(network.isUnreadFor("a", "b", 200));
});

test("without notice, one end of a broken connection learns of it when it sends", async () => {
  const { world, network, socket, closed } = await connected();
  network.reset("b", "a", false);
  await world.run(world.nowMs + 1_000);
  assert.equal(closed, { b: 1006 });
  socket.send(bytes(1));
  await world.run(world.nowMs + 1_000);
  assert.equal(closed, { a: 1006, b: 1006 });
});

test("a process that has died takes no port", async () => {
  const world = new World();
  const network = new SimulatedNetwork(world, new Dice(1));
  const options = { host: "a", port: 1, allowedOrigins: [], connectionsMax: 9, messageBytesMax: 1e6 };
  const process = (): Process => new Process(world, network, new Dice(2), diskless("a"));
  const dead = process();
  dead.kill(true);
  void dead.environment.network.listen(options, () => {});
  assert.is((await process().environment.network.listen(options, () => {})).port, 1);
});

test("a stalled process finds everything afterwards, at once and in order", async () => {
  const { world, b, socket, arrivals } = await connected();
  const untilMs = world.nowMs + 500;
  b.stall(500);
  for (let i = 0; i < 3; i++) socket.send(bytes(10));
  await world.run(untilMs + 1_000);
  assert.equal(arrivals, [untilMs, untilMs, untilMs]);
});

test("a process that is at work for a while reads a later clock, and what is due for it waits", async () => {
  const { world, a } = await connected();
  const { clock } = a.environment;
  const beforeMs = clock.nowMs();
  let firedMs = 0;
  clock.setTimer(1, () => {
    firedMs = world.nowMs;
  });
  const startMs = world.nowMs;
  a.spend(100);
  assert.ok(clock.nowMs() > beforeMs + 50);
  await world.run(startMs + 1_000);
  assert.is(firedMs, startMs + 100);
});

test.run();
