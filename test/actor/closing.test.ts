import { spawn } from "node:child_process";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { network } from "../../src/environment/ws.ts";
import { closeServers, codeOf, connect, Events, RawSocket, serve, turns } from "../support/network.ts";
import { helloBytes, helloOf } from "../support/peers.ts";
import { suite } from "../support/suite.ts";
import { ASK, echo, obedient, protocol, world } from "../support/systems.ts";

const test = suite("actor/closing");

const PROMPT_MS = 800;

async function timed(run: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await run();
  return performance.now() - startMs;
}

test("questions that are open when the system closes fail with CLOSED, and so do later ones", () =>
  world(async (start) => {
    const [home, caller] = [await start("home"), await start("caller")];
    const actor = obedient(home.system);
    const ref = caller.system.ref(`${home.url}/actor`, protocol);
    const remote = ref.ask({ do: "keep", value: 1 }, ASK);
    await actor.seen.first(1);
    const own = obedient(caller.system);
    const local = own.ref.ask({ do: "keep", value: 2 }, ASK);
    const closing = caller.system.close();
    assert.equal([await codeOf(remote), await codeOf(local)], ["CLOSED", "CLOSED"]);
    assert.equal([await codeOf(ref.ask(echo(3), ASK)), await codeOf(own.ref.ask(echo(4), ASK))], ["CLOSED", "CLOSED"]);
    await closing;
  }));

test("a system with links on both sides closes at once, and the others hear of it", () =>
  world(async (start) => {
    const home = await start("home");
    const callers = await Promise.all(["a", "b", "c"].map((name) => start(name)));
    const actors = callers.map(({ system }) => obedient(system));
    for (const actor of actors) actor.context.keepLink(home.url);
    for (const { seen } of actors) await seen.when("up", (event) => event.type === "link" && event.up);
    assert.ok((await timed(() => home.system.close())) < PROMPT_MS);
    for (const { seen } of actors) await seen.when("down", (event) => event.type === "link" && !event.up);
    for (const { stories } of callers) {
      const story = await stories.when("the loss", ({ event }) => event === "link-lost");
      assert.is(story.event === "link-lost" && story.code, 1001);
    }
    assert.is(home.network.open, 0);
  }));

test("what was told right before closing still arrives", () =>
  world(async (start) => {
    const [home, caller] = [await start("home"), await start("caller")];
    const actor = obedient(home.system);
    const ref = caller.system.ref(`${home.url}/actor`, protocol);
    await ref.ask(echo(0), ASK);
    for (let i = 1; i <= 50; i++) ref.tell(echo(i));
    await caller.system.close();
    await actor.seen.first(51);
  }));

test("nobody can hold up the closing for long: not one who reads nothing, nor one who never said hello", () =>
  world(async (start) => {
    const home = await start("home");
    const port = Number(new URL(home.url).port);
    const deaf = await RawSocket.upgrade(port);
    deaf.send(2, helloBytes(helloOf("deaf")));
    deaf.pause();
    const mute = await RawSocket.upgrade(port);
    mute.pause();
    await home.network.changes.until("two connections", () => home.network.open === 2);
    assert.ok((await timed(() => home.system.close())) < 2_000);
    for (const raw of [deaf, mute]) raw.destroy();
  }));

test("a link that is still being made does not hold up the closing", () =>
  world(async (start) => {
    const silent = await serve(); // Opens the connection and says no hello.
    const caller = await start("caller");
    const asked = codeOf(caller.system.ref(`${silent.url}/actor`, protocol).ask(echo(1), ASK));
    await silent.accepted.first(1);
    assert.ok((await timed(() => caller.system.close())) < PROMPT_MS);
    assert.is(await asked, "CLOSED");
    await silent.listener.close();
  }));

test("closing twice is closing once, and both wait for the end", () =>
  world(async (start) => {
    const [home, caller] = [await start("home"), await start("caller")];
    obedient(home.system);
    await caller.system.ref(`${home.url}/actor`, protocol).ask(echo(1), ASK);
    const ended = new Events<string>();
    void home.system.close().then(() => ended.add("first"));
    await home.system.close();
    assert.is(home.network.open, 0);
    await ended.first(1);
  }));

test("after closing nothing is handled any more", () =>
  world(async (start) => {
    const home = await start("home");
    const actor = obedient(home.system);
    actor.ref.tell(echo(1));
    await home.system.close();
    assert.is(actor.ref.tell(echo(2)), false);
    actor.context.post("late");
    await turns(20);
    assert.equal(actor.seen.all, []);
  }));

test("after closing a tell says false and connects to nobody", () =>
  world(async (start) => {
    const [home, caller] = [await start("home"), await start("caller")];
    const actor = obedient(home.system);
    const ref = caller.system.ref(`${home.url}/actor`, protocol);
    await caller.system.close();
    assert.is(ref.tell(echo(1)), false);
    await turns(20);
    assert.is(caller.network.dialled, 0);
    assert.equal(actor.seen.all, []);
  }));

test("after closing keepLink connects to nobody", () =>
  world(async (start) => {
    const [home, caller] = [await start("home"), await start("caller")];
    const actor = obedient(caller.system);
    await caller.system.close();
    const undo = actor.context.keepLink(home.url);
    await turns(20);
    undo();
    await caller.network.changes.until("the end of it", () => caller.network.open === 0);
    assert.is(caller.network.dialled, 0);
  }));

test("a system closed while it begins to listen does not listen", async () => {
  const ports: number[] = [];
  await world(async (start) => {
    const slow = Promise.withResolvers<void>();
    const starting = start("home", {
      environment: {
        network: {
          connect: network.connect,
          listen: async (options, accept) => {
            const listener = await network.listen(options, accept);
            ports.push(listener.port);
            listeners.add(listener);
            await slow.promise;
            return listener;
          },
        },
      },
      onCreate: (system) => {
        closing = listeners.first(1).then(async () => {
          const closed = system.close();
          slow.resolve();
          await closed;
        });
      },
    });
    await starting.catch(() => {}); // It may say that it was closed.
    await closing;
  });
  const end = connect(network, `ws://127.0.0.1:${ports[0]}`);
  const event = await end.events.first(1);
  const [listener] = listeners.all;
  await listener?.close();
  end.socket.terminate();
  assert.is(event[0]?.type, "close");
});

const listeners = new Events<{ close(): Promise<void> }>();
let closing: Promise<void> = Promise.resolve();

test("a process that has closed its systems ends by itself, promptly", async () => {
  const program = path.join(import.meta.dirname, "../support/two-systems.ts");
  const child = spawn(process.execPath, ["Deno" in globalThis ? ["run", "--allow-all", program] : [program]].flat());
  let output = "";
  let closedAtMs = 0;
  const read = (chunk: Buffer): void => {
    output += chunk.toString();
    if (output.includes("closed in")) closedAtMs ||= performance.now();
  };
  child.stdout.on("data", read);
  child.stderr.on("data", read);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  const lingeredMs = performance.now() - closedAtMs;
  assert.is(code, 0, output);
  assert.match(output, "open question: CLOSED");
  assert.ok(Number(/closed in ([\d.]+) ms/.exec(output)?.[1]) < PROMPT_MS, output);
  assert.ok(lingeredMs < 1_000, `the process lingered for ${lingeredMs} ms`);
});

test.after(closeServers);
test.run();
