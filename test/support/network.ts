/** For the tests of links and actors: events to wait for, time moved by hand, and sockets without manners. */

import * as net from "node:net";
import { network } from "../../src/environment/ws.ts";
import type {
  AcceptedSocket,
  Clock,
  Listener,
  ListenOptions,
  Network,
  Socket,
  SocketHandlers,
  Timer,
} from "../../src/environment.ts";
import { ConclaveError, type ErrorCode, messageOf } from "../../src/errors.ts";

export const runtime = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";

const EVENT_LIMIT_MS = 5_000;

/** What happened so far, and a way to wait for what is still to happen. */
export class Events<E> {
  readonly all: E[] = [];
  #check: () => void = () => {};

  add(event: E): void {
    this.all.push(event);
    this.#check();
  }

  /** The first event that matches, past or to come. */
  async when(what: string, matches: (event: E) => boolean = () => true): Promise<E> {
    await this.until(what, () => this.all.some(matches));
    const found = this.all.find(matches);
    if (found === undefined) throw new Error(`${what} came and went`);
    return found;
  }

  /** The first `count` events. */
  async first(count: number): Promise<E[]> {
    await this.until(`${count} events`, () => this.all.length >= count);
    return this.all.slice(0, count);
  }

  /** Asks again after each event. */
  until(what: string, isSo: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const before = this.#check;
      const limit = setTimeout(() => {
        const seen = JSON.stringify(this.all.slice(-10), (_key, value) => (value instanceof Uint8Array ? "…" : value));
        reject(new Error(`waited in vain for ${what}; ${this.all.length} events came, the last: ${seen}`));
      }, EVENT_LIMIT_MS);
      this.#check = () => {
        before();
        if (!isSo()) return;
        clearTimeout(limit);
        resolve();
      };
      this.#check();
    });
  }
}

/** Lets everything run that is ready to run, several turns of the event loop long. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Waits for what depends on more than one party: asks once in each turn of the event loop. */
export async function eventually(what: string, isSo: () => boolean): Promise<void> {
  const limitMs = performance.now() + EVENT_LIMIT_MS;
  while (!isSo()) {
    if (performance.now() > limitMs) throw new Error(`waited in vain for ${what}`);
    await turns(1);
  }
}

/** Runs something that must never end the process; what would have ended it is returned. */
export async function uncaught(run: () => Promise<void>): Promise<string[]> {
  const errors: string[] = [];
  const note = (error: unknown): void => {
    errors.push(messageOf(error));
  };
  process.on("uncaughtException", note);
  process.on("unhandledRejection", note);
  try {
    await run();
    await turns();
  } finally {
    process.off("uncaughtException", note);
    process.off("unhandledRejection", note);
  }
  return errors;
}

/** The code that a promise rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<ErrorCode> {
  const error = await promise.then(
    (value) => new Error(`resolved with ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof ConclaveError) return error.code;
  throw error;
}

/** Time that stands still until it is moved. */
export class HandClock implements Clock {
  #nowMs = 0;
  #timers: { readonly dueMs: number; readonly fire: () => void }[] = [];
  readonly #deferred: (() => void)[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  timeMs(): number {
    return 1_700_000_000_000 + Math.floor(this.#nowMs);
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const timer = { dueMs: this.#nowMs + delayMs, fire };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  defer(run: () => void): void {
    this.#deferred.push(run);
  }

  /** How long until the next timer fires. */
  get nextMs(): number | null {
    return this.#timers.length === 0 ? null : Math.min(...this.#timers.map(({ dueMs }) => dueMs)) - this.#nowMs;
  }

  get timers(): number {
    return this.#timers.length;
  }

  /** One turn of the event loop: what was deferred before it runs, what is deferred within it waits. */
  turn(): void {
    for (const run of this.#deferred.splice(0)) run();
  }

  /** Time passes while the event loop is held up: what becomes due meanwhile comes late. */
  holdUp(byMs: number): void {
    this.#nowMs += byMs;
  }

  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      const due = this.#timers.filter(({ dueMs }) => dueMs <= untilMs).sort((a, b) => a.dueMs - b.dueMs)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== due);
      this.#nowMs = Math.max(this.#nowMs, due.dueMs);
      due.fire();
      this.turn();
    }
    this.#nowMs = untilMs;
    this.turn();
  }
}

/** A network on which a test decides what becomes of each connection. */
export class HandNetwork implements Network {
  readonly dialled: { readonly url: string; readonly handlers: SocketHandlers; readonly sent: Uint8Array[] }[] = [];
  /** What every socket says that it holds back. */
  bufferedBytes = 0;

  connect(url: string, _options: unknown, handlers: SocketHandlers): Socket {
    const sent: Uint8Array[] = [];
    this.dialled.push({ url, handlers, sent });
    const heldBack = (): number => this.bufferedBytes;
    return {
      send: (message) => void sent.push(message),
      get bufferedBytes() {
        return heldBack();
      },
      close: (code, reason) => handlers.onClose(code, reason),
      terminate: () => handlers.onClose(1006, ""),
    };
  }

  listen(): Promise<Listener> {
    return Promise.reject(new Error("nobody listens here"));
  }

  /** The newest connection. */
  get last() {
    const last = this.dialled.at(-1);
    if (last === undefined) throw new Error("nothing was dialled");
    return last;
  }
}

export type SocketEvent =
  | { readonly type: "open" }
  | { readonly type: "message"; readonly bytes: Uint8Array }
  | { readonly type: "text" }
  | { readonly type: "close"; readonly code: number; readonly reason: string };

/** One end of a connection, and what happened to it. */
export interface End {
  readonly socket: Socket;
  readonly events: Events<SocketEvent>;
}

export const message = (end: End): Promise<Uint8Array> =>
  end.events
    .when("a message", ({ type }) => type === "message")
    .then((event) => (event.type === "message" ? event.bytes : new Uint8Array(0)));

export const closed = async (end: End): Promise<{ code: number; reason: string }> => {
  const event = await end.events.when("the close", ({ type }) => type === "close");
  return event.type === "close" ? { code: event.code, reason: event.reason } : { code: 0, reason: "" };
};

export const typesOf = (end: End): string[] => end.events.all.map(({ type }) => type);

export function handlersFor(events: Events<SocketEvent>): SocketHandlers {
  return {
    onOpen: () => events.add({ type: "open" }),
    onMessage: (bytes) => events.add({ type: "message", bytes }),
    onText: () => events.add({ type: "text" }),
    onClose: (code, reason) => events.add({ type: "close", code, reason }),
  };
}

export function connect(over: Network, url: string, messageBytesMax = 1_000): End {
  const events = new Events<SocketEvent>();
  return { socket: over.connect(url, { messageBytesMax }, handlersFor(events)), events };
}

export interface Server {
  readonly listener: Listener;
  readonly url: string;
  readonly accepted: Events<End>;
}

export const LISTEN: ListenOptions = {
  host: "127.0.0.1",
  port: 0,
  messageBytesMax: 1_000,
  allowedOrigins: [],
  connectionsMax: 100,
};

const standing = new Set<Listener>();

/** For `after`: a test that failed leaves its servers behind, which would keep the process from ending. */
export async function closeServers(): Promise<void> {
  for (const listener of standing) await listener.close();
}

/** Listens with `ws.ts`; `accept` stands in for what takes every connection up at once. */
export async function serve(
  options: Partial<ListenOptions> = {},
  accept?: (socket: AcceptedSocket) => void,
): Promise<Server> {
  const accepted = new Events<End>();
  const takeUp = (socket: AcceptedSocket): void => {
    const events = new Events<SocketEvent>();
    socket.handle(handlersFor(events));
    accepted.add({ socket, events });
  };
  const listener = await network.listen({ ...LISTEN, ...options }, accept ?? takeUp);
  standing.add(listener);
  return { listener, url: `ws://127.0.0.1:${listener.port}`, accepted };
}

const UPGRADE = { upgrade: "websocket", connection: "Upgrade", "sec-websocket-version": "13" } as const;
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** A WebSocket client made of bare TCP: it can say what no library would, and stop reading. */
export class RawSocket {
  readonly #tcp: net.Socket;
  /** All bytes that came after the HTTP header. */
  readonly received = new Events<number>();
  readonly ended = new Events<"ended">();

  private constructor(tcp: net.Socket) {
    this.#tcp = tcp;
    tcp.on("data", (chunk) => this.received.add(chunk.byteLength));
    tcp.on("error", () => {});
    tcp.once("close", () => this.ended.add("ended"));
  }

  /** Sends a request; resolves with the status and the connection. */
  static request(port: number, headers: Record<string, string>): Promise<{ status: number; raw: RawSocket }> {
    return new Promise((resolve, reject) => {
      const tcp = net.connect(port, "127.0.0.1", () => {
        const lines = Object.entries({ host: "localhost", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
        tcp.write(`GET / HTTP/1.1\r\n${lines.join("")}\r\n`);
      });
      tcp.once("error", reject);
      tcp.once("data", (chunk) => {
        const status = Number(/^HTTP\/1\.1 (\d+)/.exec(chunk.toString("latin1"))?.[1]);
        resolve({ status, raw: new RawSocket(tcp) });
      });
    });
  }

  static async upgrade(port: number): Promise<RawSocket> {
    const { status, raw } = await RawSocket.request(port, { ...UPGRADE, "sec-websocket-key": KEY });
    if (status !== 101) throw new Error(`HTTP ${status}`);
    return raw;
  }

  /** One frame, masked with zeros. Opcode 1 is text, 2 binary. */
  send(opcode: number, payload: Uint8Array): void {
    const header = Buffer.alloc(14);
    header[0] = 0x80 | opcode;
    header[1] = 0x80 | 127;
    header.writeBigUInt64BE(BigInt(payload.byteLength), 2);
    this.write(Buffer.concat([header, payload]));
  }

  write(bytes: Uint8Array): void {
    this.#tcp.write(bytes);
  }

  pause(): void {
    this.#tcp.pause();
  }

  destroy(): void {
    this.#tcp.destroy();
  }
}

/** The HTTP status that a server answers with; 101 is a WebSocket. */
export async function statusOf(port: number, headers: Record<string, string>): Promise<number> {
  const { status, raw } = await RawSocket.request(port, headers);
  raw.destroy();
  return status;
}

export const upgradeFrom = (origin?: string): Record<string, string> => ({
  ...UPGRADE,
  "sec-websocket-key": KEY,
  ...(origin === undefined ? {} : { origin }),
});
