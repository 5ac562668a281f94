/** The conformance suite of `Network`: every implementation passes it, against a server of `ws.ts`. */

import { once } from "node:events";
import * as net from "node:net";
import * as assert from "uvu/assert";
import { WebSocketServer } from "ws";
import { standardClock, standardRandom } from "../../src/environment/standard.ts";
import { network as builtIn } from "../../src/environment/websocket.ts";
import { network as ws } from "../../src/environment/ws.ts";
import type { Network } from "../../src/environment.ts";
import { ConclaveError } from "../../src/errors.ts";
import {
  closed,
  closeServers,
  connect,
  type End,
  Events,
  LISTEN,
  message,
  RawSocket,
  type Server,
  serve,
  statusOf,
  turns,
  typesOf,
  uncaught,
  upgradeFrom,
} from "../support/network.ts";
import { suite } from "../support/suite.ts";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

function conformance(title: string, network: Network): void {
  const test = suite(`environment/${title}`);

  /** A connection between a server and the implementation under test. */
  async function pair(run: (client: End, server: End, port: number) => Promise<void>): Promise<void> {
    const server: Server = await serve();
    try {
      const client = connect(network, server.url);
      await client.events.when("the opening", ({ type }) => type === "open");
      await run(client, await server.accepted.when("the connection"), server.listener.port);
    } finally {
      await server.listener.close();
    }
  }

  /** A server that does what `ws.ts` never would. */
  async function rude(run: (url: string, server: WebSocketServer) => Promise<void>): Promise<void> {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await new Promise<void>((resolve) => server.once("listening", resolve));
    const address = server.address();
    if (typeof address !== "object" || address === null) throw new Error("no port");
    try {
      await run(`ws://127.0.0.1:${address.port}`, server);
    } finally {
      for (const socket of server.clients) socket.terminate();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  }

  test("a connection opens once, and nothing waits to be sent", () =>
    pair(async (client) => {
      assert.equal(typesOf(client), ["open"]);
      assert.is(client.socket.bufferedBytes, 0);
    }));

  test("binary messages travel both ways, in order, empty ones too", () =>
    pair(async (client, server) => {
      const sent = [bytes(1, 2, 3), bytes(), bytes(255, 0)];
      for (const one of sent) {
        client.socket.send(one);
        server.socket.send(one);
      }
      for (const end of [client, server]) {
        await end.events.until("three messages", () => typesOf(end).filter((type) => type === "message").length === 3);
        const received = end.events.all.flatMap((event) => (event.type === "message" ? [Array.from(event.bytes)] : []));
        assert.equal(received, [[1, 2, 3], [], [255, 0]]);
      }
    }));

  test("text is reported and not delivered", () =>
    rude(async (url, server) => {
      server.on("connection", (socket) => socket.send("hello"));
      const client = connect(network, url);
      await client.events.when("text", ({ type }) => type === "text");
      assert.equal(typesOf(client), ["open", "text"]);
      client.socket.terminate();
      await closed(client);
    }));

  test("a message above the limit closes the connection with 1009 on the client's side", () =>
    pair(async (client, server) => {
      server.socket.send(new Uint8Array(1_001));
      assert.is((await closed(client)).code, 1009);
      await closed(server);
      assert.equal(typesOf(client), ["open", "close"]);
    }));

  test("a message of exactly the limit arrives", () =>
    pair(async (client, server) => {
      server.socket.send(new Uint8Array(1_000));
      assert.is((await message(client)).byteLength, 1_000);
    }));

  test("a message above the limit closes the connection with 1009 on the server's side", () =>
    pair(async (client, server) => {
      client.socket.send(new Uint8Array(1_001));
      assert.is((await closed(server)).code, 1009);
      assert.is((await closed(client)).code, 1009);
      assert.equal(typesOf(server), ["close"]);
    }));

  test("code and reason of the client's closing arrive", () =>
    pair(async (client, server) => {
      client.socket.close(4001, "because");
      assert.equal(await closed(server), { code: 4001, reason: "because" });
      assert.equal(await closed(client), { code: 4001, reason: "because" });
    }));

  test("code and reason of the server's closing arrive", () =>
    pair(async (client, server) => {
      server.socket.close(4002, "warum nicht: weil’s so ist");
      assert.equal(await closed(client), { code: 4002, reason: "warum nicht: weil’s so ist" });
      await closed(server);
    }));

  test("what was sent before the closing arrives before it", () =>
    pair(async (client, server) => {
      for (let i = 0; i < 20; i++) client.socket.send(bytes(i));
      client.socket.close(1000, "");
      await closed(server);
      const received = server.events.all.flatMap((event) => (event.type === "message" ? [event.bytes[0]] : []));
      assert.equal(
        received,
        Array.from({ length: 20 }, (_, i) => i),
      );
    }));

  test("a reason longer than a closing frame can hold is shortened, not thrown over", () =>
    pair(async (client, server) => {
      client.socket.close(4001, "ü".repeat(100));
      const { code, reason } = await closed(server);
      assert.is(code, 4001);
      assert.ok(reason.startsWith("ü".repeat(50)));
      await closed(client);
    }));

  test("terminate ends with 1006 at once, although the other side reads nothing", async () => {
    const tcp = net.createServer((socket) => {
      socket.once("data", (request) => {
        const key = /sec-websocket-key: (\S+)/i.exec(request.toString())?.[1] ?? "";
        void acceptKey(key).then((accept) => {
          socket.write(
            `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
          );
          socket.pause();
        });
      });
      socket.on("error", () => {});
      raw.add(socket);
    });
    const raw = new Events<net.Socket>();
    await new Promise<void>((resolve) => tcp.listen(0, "127.0.0.1", resolve));
    const address = tcp.address();
    const client = connect(network, `ws://127.0.0.1:${typeof address === "object" ? address?.port : ""}`);
    await client.events.when("the opening", ({ type }) => type === "open");
    client.socket.terminate();
    await turns();
    assert.is((await closed(client)).code, 1006);
    for (const socket of raw.all) socket.destroy();
    await new Promise<void>((resolve) => tcp.close(() => resolve()));
  });

  test("a connection that breaks is reported as 1006", () =>
    pair(async (client, server) => {
      server.socket.terminate();
      assert.is((await closed(client)).code, 1006);
      assert.is((await closed(server)).code, 1006);
    }));

  test("a closed port is reported by one onClose, not thrown", async () => {
    const server = await serve();
    await server.listener.close();
    const client = connect(network, server.url);
    assert.is((await closed(client)).code, 1006);
    await turns();
    assert.equal(typesOf(client), ["close"]);
  });

  test("terminate while connecting is one onClose with 1006", async () => {
    const server = await serve();
    const client = connect(network, server.url);
    client.socket.terminate();
    assert.is((await closed(client)).code, 1006);
    await turns();
    assert.equal(typesOf(client), ["close"]);
    await server.listener.close();
  });

  test("no method throws, whatever state the connection is in, and onClose is called exactly once, last", async () => {
    const server = await serve();
    const abuse = (end: End): void => {
      end.socket.send(bytes(1));
      assert.type(end.socket.bufferedBytes, "number");
      end.socket.close(4000, "again");
      end.socket.close(1002, "and again");
      end.socket.terminate();
      end.socket.send(bytes(2));
    };
    const early = connect(network, server.url);
    abuse(early); // still connecting
    await closed(early);
    abuse(early); // closed
    const late = connect(network, server.url);
    await late.events.when("the opening", ({ type }) => type === "open");
    abuse(late); // open
    await closed(late);
    abuse(late);
    await server.listener.close();
    for (const end of server.accepted.all) await closed(end);
    for (const end of server.accepted.all) abuse(end);
    await turns(20);
    for (const end of [early, late, ...server.accepted.all]) {
      assert.is(typesOf(end).filter((type) => type === "close").length, 1);
      assert.is(typesOf(end).at(-1), "close");
    }
  });

  test("a listener that closes breaks the connections that stand", async () => {
    const server = await serve();
    const client = connect(network, server.url);
    await client.events.when("the opening", ({ type }) => type === "open");
    await server.listener.close();
    await closed(client);
    await closed(await server.accepted.when("the connection"));
  });

  test.after(closeServers);
  test.run();
}

async function acceptKey(key: string): Promise<string> {
  const text = new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  return Buffer.from(await crypto.subtle.digest("SHA-1", text)).toString("base64");
}

conformance("ws", ws);
conformance("websocket", builtIn);

const listening = suite("environment/ws: listening");

listening("a port in use is ADDRESS_IN_USE, and the message names it", async () => {
  const server = await serve();
  const { port } = server.listener;
  try {
    await ws.listen({ ...LISTEN, port }, () => {});
    assert.unreachable();
  } catch (error) {
    assert.instance(error, ConclaveError);
    if (!(error instanceof ConclaveError)) return;
    assert.is(error.code, "ADDRESS_IN_USE");
    assert.match(error.message, String(port));
  }
  await server.listener.close();
});

listening("a port can be used again once its listener has closed", async () => {
  const first = await serve();
  await first.listener.close();
  const second = await serve({ port: first.listener.port });
  assert.is(second.listener.port, first.listener.port);
  await second.listener.close();
});

listening("a page's Origin is refused with 403 unless it is allowed", async () => {
  const server = await serve({ allowedOrigins: ["https://good.example"] });
  const { port } = server.listener;
  assert.is(await statusOf(port, upgradeFrom("https://evil.example")), 403);
  assert.is(await statusOf(port, upgradeFrom("null")), 403);
  assert.is(await statusOf(port, upgradeFrom("https://good.example")), 101);
  assert.is(await statusOf(port, upgradeFrom()), 101);
  await server.listener.close();
});

listening("a connection too many gets 503, and a place that became free is given away again", async () => {
  const server = await serve({ connectionsMax: 2 });
  const { port } = server.listener;
  const ends = [connect(ws, server.url), connect(ws, server.url)];
  for (const end of ends) await end.events.when("the opening", ({ type }) => type === "open");
  assert.is(await statusOf(port, upgradeFrom()), 503);
  const refused = connect(ws, server.url);
  assert.is((await closed(refused)).code, 1006);
  ends[0]?.socket.close(1000, "");
  for (const end of await server.accepted.first(2)) {
    if (end.events.all.length > 0) await closed(end);
  }
  await server.accepted.all[0]?.events.when("the close", ({ type }) => type === "close");
  await turns();
  assert.is(await statusOf(port, upgradeFrom()), 101);
  await server.listener.close();
});

listening("a connection that never asks for a WebSocket is broken; one that got it may be silent", async () => {
  // Time enough for the one that asks, however busy the machine.
  const server = await serve({ upgradeTimeoutMs: 2_000 });
  const silent = connect(ws, server.url);
  await silent.events.when("the opening", ({ type }) => type === "open");
  const idle = net.createConnection(server.listener.port, "127.0.0.1");
  idle.on("error", () => {}); // It may be broken in either way.
  idle.resume(); // One that does not read may not notice its end.
  await once(idle, "close");
  silent.socket.send(Uint8Array.of(1));
  await server.accepted.all[0]?.events.when("the message", ({ type }) => type === "message");
  await server.listener.close();
  await closed(silent);
});

listening("plain HTTP is told with 426 what is spoken here", async () => {
  const server = await serve();
  assert.is(await statusOf(server.listener.port, {}), 426);
  await server.listener.close();
});

listening("text from a client is reported and not delivered", async () => {
  const server = await serve();
  const raw = await RawSocket.upgrade(server.listener.port);
  raw.send(1, new TextEncoder().encode("hello"));
  const end = await server.accepted.when("the connection");
  await end.events.when("text", ({ type }) => type === "text");
  assert.equal(typesOf(end), ["text"]);
  raw.destroy();
  assert.is((await closed(end)).code, 1006);
  await server.listener.close();
});

listening("bytes that are no WebSocket frame close the connection and nothing else", async () => {
  const server = await serve();
  const raw = await RawSocket.upgrade(server.listener.port);
  raw.write(Buffer.from("GET / HTTP/1.1\r\n\r\n".repeat(10)));
  const end = await server.accepted.when("the connection");
  await closed(end);
  const client = connect(ws, server.url);
  await client.events.when("the opening", ({ type }) => type === "open");
  await server.listener.close();
  await closed(client);
  raw.destroy();
});

listening("bytes for a connection that nobody has taken up do not end the process", async () => {
  const errors = await uncaught(async () => {
    const accepted = new Events<"accepted">();
    const server = await serve({}, () => accepted.add("accepted"));
    const raw = await RawSocket.upgrade(server.listener.port);
    await accepted.when("the connection");
    raw.write(new Uint8Array(32).fill(0xff));
    await raw.ended.when("the end");
    await server.listener.close();
  });
  assert.equal(errors, []);
});

listening.after(closeServers);
listening.run();

const standard = suite("environment/standard");

standard("time goes on and a timer does not fire early", async () => {
  const startMs = standardClock.nowMs();
  await new Promise<void>((resolve) => standardClock.setTimer(20, resolve));
  assert.ok(standardClock.nowMs() - startMs >= 19);
});

standard("a timer that is cancelled does not fire", async () => {
  const fired = new Events<string>();
  standardClock.setTimer(1, () => fired.add("cancelled")).cancel();
  standardClock.setTimer(10, () => fired.add("kept"));
  assert.equal(await fired.first(1), ["kept"]);
});

standard("a timer longer than the runtime's longest does not fire at once", async () => {
  const fired = new Events<string>();
  const timers = [2 ** 31, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY].map((delayMs) =>
    standardClock.setTimer(delayMs, () => fired.add(`${delayMs} ms`)),
  );
  standardClock.setTimer(20, () => fired.add("20 ms"));
  await fired.when("the short timer", (name) => name === "20 ms");
  for (const timer of timers) timer.cancel();
  assert.equal(fired.all, ["20 ms"]);
});

standard("what is deferred runs once, later, in order", async () => {
  const ran = new Events<number>();
  standardClock.defer(() => ran.add(1));
  standardClock.defer(() => ran.add(2));
  assert.equal(ran.all, []);
  await ran.first(2);
  await turns();
  assert.equal(ran.all, [1, 2]);
});

standard("no two ids are the same, and numbers are in [0, 1)", () => {
  const ids = Array.from({ length: 1_000 }, () => standardRandom.id());
  assert.is(new Set(ids).size, 1_000);
  assert.ok(ids.every((id) => /^[\w-]{21}$/.test(id)));
  const numbers = Array.from({ length: 1_000 }, () => standardRandom.next());
  assert.ok(numbers.every((number) => number >= 0 && number < 1));
});

standard.run();
