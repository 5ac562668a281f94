/** For the tests of links: two ends with an owner each, and what a peer without manners sends. */

import { standardClock, standardRandom } from "../../src/environment/standard.ts";
import { network } from "../../src/environment/ws.ts";
import type { Clock } from "../../src/environment.ts";
import { type Frame, joinFrames, LinkKind, parseFrames } from "../../src/link/frame.ts";
import { decodeHello, encodeHello } from "../../src/link/hello.ts";
import {
  type Closing,
  type Hello,
  Link,
  type LinkLimits,
  type LinkOwner,
  PROTOCOL_VERSION,
  type Refusal,
} from "../../src/link/index.ts";
import { connect, type End, Events, type Server, serve } from "./network.ts";

export const LIMITS: LinkLimits = {
  messageBytesMax: 10_000,
  sendBufferBytesMax: 100_000,
  handshakeTimeoutMs: 2_000,
  pingAfterMs: 2_000,
  silenceMaxMs: 8_000,
};

export const helloOf = (name: string, changes: Partial<Hello> = {}): Hello => ({
  protocol: PROTOCOL_VERSION,
  cluster: "test",
  process: standardRandom.id(),
  name,
  incarnation: "life",
  epoch: null,
  url: null,
  ...changes,
});

export const frame = (kind: number, ...body: number[]): Frame => ({
  kind,
  correlation: 0,
  body: Uint8Array.from(body),
});

export const helloBytes = (hello: Hello): Uint8Array =>
  joinFrames([{ kind: LinkKind.hello, correlation: 0, body: encodeHello(hello) }]);

/** One end of a link, and what its owner was told. */
export interface LinkEnd {
  readonly owner: LinkOwner;
  readonly events: Events<LinkEvent>;
}

export type LinkEvent =
  | { readonly type: "open"; readonly link: Link }
  | { readonly type: "frame"; readonly body: readonly number[]; readonly kind: number }
  | { readonly type: "close"; readonly link: Link; readonly closing: Closing };

export interface EndOptions {
  readonly clock?: Clock;
  readonly limits?: Partial<LinkLimits>;
  readonly hello?: Partial<Hello>;
  readonly verify?: (remote: Hello) => Promise<Refusal | null>;
  /** Runs within `onOpen`. */
  readonly onOpen?: (link: Link) => void;
}

export function linkEnd(name: string, options: EndOptions = {}): LinkEnd {
  const events = new Events<LinkEvent>();
  const owner: LinkOwner = {
    clock: options.clock ?? standardClock,
    limits: { ...LIMITS, ...options.limits },
    hello: helloOf(name, options.hello),
    verify: options.verify ?? (() => Promise.resolve(null)),
    onOpen: (link) => {
      options.onOpen?.(link);
      events.add({ type: "open", link });
    },
    onFrames: (_link, frames) => {
      for (const { kind, body } of frames) events.add({ type: "frame", kind, body: Array.from(body) });
    },
    onClose: (link, closing) => events.add({ type: "close", link, closing }),
  };
  return { owner, events };
}

export async function opened(end: LinkEnd): Promise<Link> {
  const event = await end.events.when("the opening", ({ type }) => type === "open");
  if (event.type !== "open") throw new Error("no opening");
  return event.link;
}

export async function closing(end: LinkEnd): Promise<Closing> {
  const event = await end.events.when("the close", ({ type }) => type === "close");
  if (event.type !== "close") throw new Error("no close");
  return event.closing;
}

/** The first bytes of the bodies that came. */
export const bodies = (end: LinkEnd): (number | undefined)[] =>
  end.events.all.flatMap((event) => (event.type === "frame" ? [event.body[0]] : []));

/** Listens, and makes a link of every connection. */
export const linkServer = (end: LinkEnd): Promise<Server> =>
  serve({ messageBytesMax: end.owner.limits.messageBytesMax }, (socket) => void Link.accept(end.owner, socket));

/** A link over a real connection: what each side was told. */
export async function linked(
  left: LinkEnd,
  right: LinkEnd,
  run: (dialled: Link, server: Server) => Promise<void>,
): Promise<void> {
  const server = await linkServer(right);
  try {
    await run(Link.dial(left.owner, network, server.url), server);
  } finally {
    await server.listener.close();
  }
}

/** A peer that speaks WebSocket, and beyond that whatever a test makes it say. */
export async function rudePeer(end: LinkEnd, run: (peer: End, server: Server) => Promise<void>): Promise<void> {
  const server = await linkServer(end);
  try {
    const peer = connect(network, server.url, 1_000_000);
    await peer.events.when("the opening", ({ type }) => type === "open");
    await run(peer, server);
  } finally {
    await server.listener.close();
  }
}

/** The frames that came to a rude peer, by message. */
export const framesAt = (peer: End): Frame[][] =>
  peer.events.all.flatMap((event) => (event.type === "message" ? [parseFrames(event.bytes)] : []));

/** Introduces a rude peer properly; the hello of the other side. */
export async function shakeHands(peer: End, hello: Hello): Promise<Hello> {
  peer.socket.send(helloBytes(hello));
  const event = await peer.events.when("the other hello", ({ type }) => type === "message");
  const answer = event.type === "message" ? decodeHello(parseFrames(event.bytes)[0]?.body ?? new Uint8Array(0)) : null;
  if (answer === null) throw new Error("the answer is no hello");
  return answer;
}
