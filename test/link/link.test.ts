import * as assert from "uvu/assert";
import { network } from "../../src/environment/ws.ts";
import type { Network } from "../../src/environment.ts";
import { type Frame, joinFrames, LinkKind } from "../../src/link/frame.ts";
import { CloseCode, HEADER_BYTES, Link, PROTOCOL_VERSION } from "../../src/link/index.ts";
import {
  closed,
  closeServers,
  Events,
  HandClock,
  HandNetwork,
  RawSocket,
  serve,
  turns,
  typesOf,
} from "../support/network.ts";
import {
  bodies,
  closing,
  frame,
  framesAt,
  helloBytes,
  helloOf,
  LIMITS,
  type LinkEnd,
  linkEnd,
  linked,
  linkServer,
  opened,
  rudePeer,
  shakeHands,
} from "../support/peers.ts";
import { suite } from "../support/suite.ts";

const test = suite("link/link");

const MESSAGE = 16;
const ping: Frame = frame(LinkKind.ping);

/** The promise of every test about a peer that breaks the rules: it is closed, with this code, and never an exception. */
async function isCutOff(end: LinkEnd, code: number, reason: RegExp): Promise<void> {
  const how = await closing(end);
  assert.is(how.code, code);
  assert.match(how.reason, reason);
  assert.is(how.byUs, true);
}

// The handshake

test("both sides learn who the other is, and who dialled", async () => {
  const [left, right] = [linkEnd("left", { hello: { url: "ws://left:1" } }), linkEnd("right")];
  await linked(left, right, async () => {
    const [dialled, accepted] = await Promise.all([opened(left), opened(right)]);
    assert.equal(dialled.remote, right.owner.hello);
    assert.equal(accepted.remote, left.owner.hello);
    assert.equal([dialled.dialled, accepted.dialled], [true, false]);
    assert.equal([dialled.isOpen, accepted.isOpen], [true, true]);
  });
});

test("a link is not open, and sends nothing, before the handshake is over", async () => {
  const [left, right] = [linkEnd("left"), linkEnd("right")];
  await linked(left, right, async (link) => {
    assert.is(link.isOpen, false);
    assert.is(link.remote, null);
    assert.is(link.send(frame(MESSAGE, 1)), false);
    await opened(left);
    await turns();
    assert.equal(bodies(right), []);
  });
});

const refusals = [
  {
    name: "another protocol",
    left: { hello: { protocol: PROTOCOL_VERSION + 1 } },
    code: CloseCode.wrongProtocol,
    reason: /protocol 2 is not spoken here/,
  },
  { name: "another cluster", left: { hello: { cluster: "theirs" } }, code: CloseCode.wrongCluster, reason: /theirs/ },
  {
    name: "a name that verify refuses",
    left: {},
    right: { verify: () => Promise.resolve({ code: CloseCode.wrongIdentity, reason: "you are not left" }) },
    code: CloseCode.wrongIdentity,
    reason: /^you are not left$/,
  },
  {
    name: "a verify that fails",
    left: {},
    right: { verify: () => Promise.reject(new Error("no disk")) },
    code: CloseCode.internalError,
    reason: /^no disk$/,
  },
];

for (const { name, left, right, code, reason } of refusals) {
  test(`${name} is refused, and both sides know why`, async () => {
    const ends = [linkEnd("left", left), linkEnd("right", right)] as const;
    await linked(...ends, async () => {
      const [atLeft, atRight] = await Promise.all([closing(ends[0]), closing(ends[1])]);
      assert.equal([atLeft.code, atRight.code], [code, code]);
      assert.equal([atLeft.byUs, atRight.byUs], [false, true]);
      assert.match(atLeft.reason, reason);
      assert.is(atLeft.reason, atRight.reason);
      for (const end of ends)
        assert.equal(
          end.events.all.map(({ type }) => type),
          ["close"],
        );
    });
  });
}

test("the side that dialled may refuse as well", async () => {
  const objection = { code: CloseCode.wrongIdentity, reason: "not the right one" };
  const [left, right] = [linkEnd("left", { verify: () => Promise.resolve(objection) }), linkEnd("right")];
  await linked(left, right, async () => {
    assert.equal(await closing(left), { ...objection, byUs: true });
    assert.equal(await closing(right), { ...objection, byUs: false });
    assert.equal(
      left.events.all.map(({ type }) => type),
      ["close"],
    );
  });
});

test("verify is asked about the hello that came", async () => {
  const asked: string[] = [];
  const verify = async ({ name }: { name: string }) => {
    asked.push(name);
    return null;
  };
  const [left, right] = [linkEnd("left", { verify }), linkEnd("right", { verify })];
  await linked(left, right, async () => {
    await Promise.all([opened(left), opened(right)]);
    assert.equal(asked.sort(), ["left", "right"]);
  });
});

test("a verify that throws instead of rejecting closes the link, not the process", async () => {
  const hand = new HandNetwork();
  const left = linkEnd("left", {
    verify: () => {
      throw new Error("no disk");
    },
  });
  Link.dial(left.owner, hand, "ws://somewhere:1");
  hand.last.handlers.onOpen();
  assert.not.throws(() => hand.last.handlers.onMessage(helloBytes(helloOf("right"))));
  await isCutOff(left, CloseCode.internalError, /no disk/);
});

test("a client that says nothing is closed with 4005 when its time is up", async () => {
  const clock = new HandClock();
  const right = linkEnd("right", { clock });
  await rudePeer(right, async (peer, server) => {
    clock.advance(LIMITS.handshakeTimeoutMs - 1);
    await turns();
    assert.equal(typesOf(peer), ["open"]);
    clock.advance(1);
    assert.is((await closed(peer)).code, CloseCode.handshakeTimeout);
    await isCutOff(right, CloseCode.handshakeTimeout, /not finished in time/);
    assert.is(server.accepted.all.length, 0);
    assert.is(clock.timers, 0);
  });
});

test("a server that says nothing is left when the time is up", async () => {
  const server = await serve();
  const left = linkEnd("left", { limits: { handshakeTimeoutMs: 30 } });
  Link.dial(left.owner, network, server.url);
  await isCutOff(left, CloseCode.handshakeTimeout, /not finished in time/);
  await server.listener.close();
});

test("a verify that never ends is cut short by the handshake's time", async () => {
  const right = linkEnd("right", { limits: { handshakeTimeoutMs: 30 }, verify: () => new Promise(() => {}) });
  await rudePeer(right, async (peer) => {
    peer.socket.send(helloBytes(helloOf("left")));
    await isCutOff(right, CloseCode.handshakeTimeout, /not finished in time/);
  });
});

test("a port where nobody listens is a close with 1006", async () => {
  const server = await serve();
  await server.listener.close();
  const left = linkEnd("left");
  Link.dial(left.owner, network, server.url);
  const how = await closing(left);
  assert.equal([how.code, how.byUs], [CloseCode.abnormal, false]);
});

// Peers that break the rules

const beforeHello: Record<string, { readonly message: Uint8Array; readonly code: number; readonly reason: RegExp }> = {
  garbage: { message: Uint8Array.from([1, 2, 3]), code: CloseCode.protocolError, reason: /ends within a header/ },
  "an empty message": { message: new Uint8Array(0), code: CloseCode.protocolError, reason: /empty/ },
  "a ping": { message: joinFrames([ping]), code: CloseCode.protocolError, reason: /not a hello/ },
  "a message of the layer above": {
    message: joinFrames([frame(MESSAGE, 1)]),
    code: CloseCode.protocolError,
    reason: /not a hello/,
  },
  "a hello that can't be read": {
    message: joinFrames([frame(LinkKind.hello, 0xc1)]),
    code: CloseCode.protocolError,
    reason: /not a hello/,
  },
  "a hello that says too little": {
    message: joinFrames([frame(LinkKind.hello, 0x80)]),
    code: CloseCode.protocolError,
    reason: /not a hello/,
  },
  "a message above the limit": {
    message: new Uint8Array(LIMITS.messageBytesMax + 1),
    code: CloseCode.tooBig,
    reason: /./,
  },
};

for (const [name, { message, code, reason }] of Object.entries(beforeHello)) {
  test(`${name} instead of a hello is answered with ${code}`, async () => {
    const right = linkEnd("right");
    await rudePeer(right, async (peer) => {
      peer.socket.send(message);
      assert.is((await closed(peer)).code, code);
      const how = await closing(right);
      assert.is(how.code, code);
      assert.match(how.reason, reason);
      assert.equal(
        right.events.all.map(({ type }) => type),
        ["close"],
      );
    });
  });
}

const afterHello: Record<string, { readonly message: Uint8Array; readonly reason: RegExp }> = {
  garbage: { message: Uint8Array.from([1, 2, 3]), reason: /ends within a header/ },
  "a second hello": { message: helloBytes(helloOf("left")), reason: /kind 1 is out of turn/ },
  "a kind of the link's own that means nothing": { message: joinFrames([frame(15)]), reason: /kind 15 is out of turn/ },
};

for (const [name, { message, reason }] of Object.entries(afterHello)) {
  test(`${name} after the handshake is answered with 1002`, async () => {
    const right = linkEnd("right");
    await rudePeer(right, async (peer) => {
      await shakeHands(peer, helloOf("left"));
      peer.socket.send(message);
      assert.is((await closed(peer)).code, CloseCode.protocolError);
      await isCutOff(right, CloseCode.protocolError, reason);
    });
  });
}

test("a message above the limit closes a link that stood, with 1009", async () => {
  const right = linkEnd("right");
  await rudePeer(right, async (peer) => {
    await shakeHands(peer, helloOf("left"));
    peer.socket.send(joinFrames([{ ...frame(MESSAGE), body: new Uint8Array(LIMITS.messageBytesMax) }]));
    assert.is((await closed(peer)).code, CloseCode.tooBig);
    assert.is((await closing(right)).code, CloseCode.tooBig);
  });
});

test("text is answered with 1003", async () => {
  const right = linkEnd("right");
  const server = await linkServer(right);
  const raw = await RawSocket.upgrade(server.listener.port);
  raw.send(1, new TextEncoder().encode("hello"));
  await isCutOff(right, CloseCode.unsupportedData, /text/);
  raw.destroy();
  await server.listener.close();
});

test("nothing that comes after an offence is delivered", async () => {
  const right = linkEnd("right");
  await rudePeer(right, async (peer) => {
    await shakeHands(peer, helloOf("left"));
    peer.socket.send(joinFrames([frame(MESSAGE, 1)]));
    peer.socket.send(Uint8Array.from([1, 2, 3]));
    peer.socket.send(joinFrames([frame(MESSAGE, 2)]));
    await closed(peer);
    await closing(right);
    assert.equal(bodies(right), [1]);
  });
});

// What is sent before the handshake is over

test("what comes right behind the hello waits until verify has said yes, and is delivered after the opening", async () => {
  const gate = Promise.withResolvers<null>();
  const right = linkEnd("right", { verify: () => gate.promise });
  await rudePeer(right, async (peer) => {
    const hello: Frame = {
      kind: LinkKind.hello,
      correlation: 0,
      body: helloBytes(helloOf("left")).subarray(HEADER_BYTES),
    };
    peer.socket.send(joinFrames([hello, frame(MESSAGE, 1), ping]));
    peer.socket.send(joinFrames([frame(MESSAGE, 2)]));
    await turns(50);
    assert.equal(right.events.all, []);
    gate.resolve(null);
    await right.events.first(3);
    assert.equal(
      right.events.all.map(({ type }) => type),
      ["open", "frame", "frame"],
    );
    assert.equal(bodies(right), [1, 2]);
  });
});

test("what the acceptor sends on opening is not lost while the dialler still verifies", async () => {
  const gate = Promise.withResolvers<null>();
  const left = linkEnd("left", { verify: () => gate.promise });
  const right = linkEnd("right", { onOpen: (link) => void link.send(frame(MESSAGE, 7)) });
  await linked(left, right, async () => {
    (await opened(right)).send(frame(MESSAGE, 8));
    await turns(50);
    gate.resolve(null);
    await left.events.first(3);
    assert.equal(bodies(left), [7, 8]);
  });
});

test("what waits for verify is bounded: too much is answered with 1002", async () => {
  const right = linkEnd("right", { verify: () => new Promise(() => {}) });
  await rudePeer(right, async (peer) => {
    peer.socket.send(helloBytes(helloOf("left")));
    for (let i = 0; i < 3; i++) peer.socket.send(joinFrames([{ ...frame(MESSAGE), body: new Uint8Array(4_000) }]));
    assert.is((await closed(peer)).code, CloseCode.protocolError);
    await isCutOff(right, CloseCode.protocolError, /too much was sent before/);
  });
});

// Frames

test("frames of one turn arrive as one WebSocket message, in order; those of the next turn as another", async () => {
  const right = linkEnd("right");
  await rudePeer(right, async (peer) => {
    await shakeHands(peer, helloOf("left"));
    const link = await opened(right);
    for (let i = 1; i <= 5; i++) link.send(frame(MESSAGE, i));
    await turns(1);
    link.send(frame(MESSAGE, 6));
    await peer.events.until("three messages", () => framesAt(peer).length === 3);
    const bodiesByMessage = framesAt(peer).map((frames) => frames.map(({ body }) => body[0]));
    assert.equal(bodiesByMessage.slice(1), [[1, 2, 3, 4, 5], [6]]);
  });
});

test("frames of one message are delivered together", async () => {
  const sizes: number[] = [];
  const right = linkEnd("right");
  const counting = {
    ...right.owner,
    onFrames: (_link: Link, frames: readonly Frame[]) => void sizes.push(frames.length),
  };
  await rudePeer({ ...right, owner: counting }, async (peer) => {
    await shakeHands(peer, helloOf("left"));
    peer.socket.send(joinFrames([frame(MESSAGE, 1), ping, frame(MESSAGE, 2)]));
    await peer.events.until("the pong", () => framesAt(peer).length === 2);
    assert.equal(sizes, [2]);
  });
});

test("frames of a turn that do not fit into one message travel in several", async () => {
  const [left, right] = [linkEnd("left"), linkEnd("right")];
  await linked(left, right, async () => {
    const link = await opened(left);
    for (let i = 0; i < 10; i++) {
      const body = new Uint8Array(3_000).fill(i);
      assert.is(link.send({ kind: MESSAGE, correlation: 0, body }), true);
    }
    await right.events.until("ten frames", () => bodies(right).length === 10);
    assert.equal(bodies(right), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

test("the largest frame that fits arrives; a larger one is refused and harms nobody", async () => {
  const [left, right] = [linkEnd("left"), linkEnd("right")];
  await linked(left, right, async () => {
    const link = await opened(left);
    const most = LIMITS.messageBytesMax - HEADER_BYTES;
    assert.is(link.send({ kind: MESSAGE, correlation: 0, body: new Uint8Array(most + 1) }), false);
    assert.is(link.send({ kind: MESSAGE, correlation: 0, body: new Uint8Array(most) }), true);
    await right.events.until("the frame", () => bodies(right).length === 1);
    assert.is(link.isOpen, true);
  });
});

// Keep-alive

test("after silence a ping is sent, once, and an answer starts the silence anew", async () => {
  const clock = new HandClock();
  const right = linkEnd("right", { clock });
  await rudePeer(right, async (peer) => {
    await shakeHands(peer, helloOf("left"));
    await opened(right);
    clock.advance(LIMITS.pingAfterMs - 1);
    await turns();
    assert.is(framesAt(peer).length, 1, "no ping yet");
    clock.advance(1);
    await peer.events.until("the ping", () => framesAt(peer).length === 2);
    assert.equal(
      framesAt(peer)[1]?.map(({ kind }) => kind),
      [LinkKind.ping],
    );
    clock.advance(LIMITS.silenceMaxMs - LIMITS.pingAfterMs - 1);
    await turns();
    assert.is(framesAt(peer).length, 2, "one ping is enough");
    peer.socket.send(joinFrames([frame(LinkKind.pong), frame(MESSAGE, 1)]));
    await right.events.until("the answer", () => bodies(right).length === 1);
    clock.advance(LIMITS.silenceMaxMs - 1);
    await peer.events.until("the second ping", () => framesAt(peer).length === 3);
    assert.is((await opened(right)).isOpen, true);
  });
});

test("a ping is answered with a pong, and delivered to nobody", async () => {
  const right = linkEnd("right");
  await rudePeer(right, async (peer) => {
    await shakeHands(peer, helloOf("left"));
    peer.socket.send(joinFrames([ping]));
    await peer.events.until("the pong", () => framesAt(peer).length === 2);
    assert.equal(
      framesAt(peer)[1]?.map(({ kind }) => kind),
      [LinkKind.pong],
    );
    assert.equal(
      right.events.all.map(({ type }) => type),
      ["open"],
    );
  });
});

test("a peer that stays silent is closed with 4006, at once and not before its time", async () => {
  const clock = new HandClock();
  const right = linkEnd("right", { clock });
  await rudePeer(right, async (peer) => {
    await shakeHands(peer, helloOf("left"));
    const link = await opened(right);
    clock.advance(LIMITS.silenceMaxMs - 1);
    assert.is(link.isOpen, true);
    clock.advance(1);
    assert.is(link.isOpen, false);
    await isCutOff(right, CloseCode.silent, /nothing was heard for 8000 ms/);
    assert.is((await closed(peer)).code, CloseCode.abnormal);
    assert.is(clock.timers, 0);
  });
});

test("a ping follows every silence, not only the first, and one that answers keeps its link", async () => {
  const clock = new HandClock();
  const [left, right] = [linkEnd("left", { clock }), linkEnd("right")];
  const server = await linkServer(right);
  const heard = new Events<"message">();
  const listening: Network["connect"] = (url, options, handlers) => {
    const onMessage = (message: Uint8Array): void => {
      handlers.onMessage(message);
      heard.add("message");
    };
    return network.connect(url, options, { ...handlers, onMessage });
  };
  const link = Link.dial(left.owner, { ...network, connect: listening }, server.url);
  await opened(left);
  for (let round = 1; round <= 10; round++) {
    clock.advance(LIMITS.pingAfterMs);
    await heard.first(1 + round); // The hello, and a pong in each round.
  }
  assert.is(link.isOpen, true);
  await server.listener.close();
  await closing(left);
});

// Back-pressure

test("a reader that is too slow is closed with 4007", async () => {
  const right = linkEnd("right");
  const server = await linkServer(right);
  const raw = await RawSocket.upgrade(server.listener.port);
  raw.send(2, helloBytes(helloOf("left")));
  const link = await opened(right);
  raw.pause();
  // What the system's own buffers take is up to the system.
  for (let turn = 0; link.isOpen && turn < 5_000; turn++) {
    for (let i = 0; i < 4; i++) link.send({ kind: MESSAGE, correlation: 0, body: new Uint8Array(9_000) });
    await turns(1);
  }
  assert.is(link.isOpen, false);
  assert.is(link.send(frame(MESSAGE, 1)), false);
  await isCutOff(right, CloseCode.sendBufferFull, /too slowly/);
  raw.destroy();
  await server.listener.close();
});

test("send says false when it finds the reader too slow", async () => {
  const hand = new HandNetwork();
  const left = linkEnd("left");
  const link = Link.dial(left.owner, hand, "ws://somewhere:1");
  hand.last.handlers.onOpen();
  hand.last.handlers.onMessage(helloBytes(helloOf("right")));
  await opened(left);
  hand.bufferedBytes = LIMITS.sendBufferBytesMax + 1;
  const large: Frame = { kind: MESSAGE, correlation: 0, body: new Uint8Array(6_000) };
  assert.is(link.send(large), true, "queued");
  assert.is(link.send(large), false, "the first has to leave to make room, and can't");
  await isCutOff(left, CloseCode.sendBufferFull, /too slowly/);
});

// The end

test("close delivers what was queued, then code and reason", async () => {
  const [left, right] = [linkEnd("left"), linkEnd("right")];
  await linked(left, right, async () => {
    const link = await opened(left);
    await opened(right);
    for (let i = 1; i <= 3; i++) link.send(frame(MESSAGE, i));
    link.close(CloseCode.goingAway, "see you");
    assert.is(link.isOpen, false);
    assert.is(link.send(frame(MESSAGE, 4)), false);
    assert.equal(await closing(right), { code: CloseCode.goingAway, reason: "see you", byUs: false });
    assert.equal(bodies(right), [1, 2, 3]);
    assert.equal(await closing(left), { code: CloseCode.goingAway, reason: "see you", byUs: true });
  });
});

test("a link that is closed takes nothing and closes no second time", async () => {
  const [left, right] = [linkEnd("left"), linkEnd("right")];
  await linked(left, right, async () => {
    const link = await opened(left);
    link.close(CloseCode.normal, "first");
    link.close(CloseCode.internalError, "second");
    await Promise.all([closing(left), closing(right)]);
    assert.is(link.send(frame(MESSAGE, 1)), false);
    link.close(CloseCode.normal, "third");
    await turns();
    assert.is(left.events.all.filter(({ type }) => type === "close").length, 1);
    assert.is((await closing(left)).reason, "first");
  });
});

test("close while still connecting ends the link", async () => {
  const [left, right] = [linkEnd("left"), linkEnd("right")];
  await linked(left, right, async (link) => {
    link.close(CloseCode.normal, "never mind");
    assert.equal(await closing(left), { code: CloseCode.normal, reason: "never mind", byUs: true });
    await turns(20);
    assert.equal(
      left.events.all.map(({ type }) => type),
      ["close"],
    );
  });
});

test("a connection that breaks is a close with 1006", async () => {
  const right = linkEnd("right");
  await rudePeer(right, async (peer) => {
    await shakeHands(peer, helloOf("left"));
    peer.socket.terminate();
    const how = await closing(right);
    assert.equal([how.code, how.byUs], [CloseCode.abnormal, false]);
  });
});

test.after(closeServers);
test.run();
