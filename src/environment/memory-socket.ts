/** Two ends of a connection within one process: what a WebSocket does, without a socket. */

import type { AcceptedSocket, ConnectOptions, Socket, SocketHandlers, Timer } from "../environment.ts";
import { standardClock } from "./standard.ts";

/** Whether, and when, what is sent from one end arrives at the other. */
export interface MemoryRoute {
  /** While it is, what is sent waits. */
  readonly isCut: boolean;
}

type Item =
  | { readonly type: "message"; readonly message: Uint8Array }
  | { readonly type: "close"; readonly code: number; readonly reason: string };

/** What TCP says of a connection that broke. */
const ABNORMAL = 1006;
const TOO_BIG = 1009;
/** How long the other end may take to answer a closing handshake. */
const CLOSE_TIMEOUT_MS = 1_000;

/** One end. What it sends arrives in a later turn of the event loop, in order. */
class End {
  readonly #bytesMax: number;
  readonly #route: MemoryRoute;
  other: End | null = null;
  handlers: Omit<SocketHandlers, "onOpen"> | null = null;
  /** On its way to the other end. */
  #sent: Item[] = [];
  #bytes = 0;
  #isScheduled = false;
  #isClosed = false;
  #patience: Timer | null = null;

  constructor(bytesMax: number, route: MemoryRoute) {
    this.#bytesMax = bytesMax;
    this.#route = route;
  }

  readonly socket: Socket = ((end: End): Socket => ({
    send: (message) => end.#send({ type: "message", message }),
    get bufferedBytes() {
      return end.#bytes;
    },
    close: (code, reason) => end.#close(code, reason),
    terminate: () => end.terminate(),
  }))(this);

  /** What waited is delivered, if nothing is in its way any more. */
  wake(): void {
    if (this.#isScheduled || this.#route.isCut || this.#sent.length === 0) return;
    this.#isScheduled = true;
    standardClock.defer(() => {
      this.#isScheduled = false;
      this.#deliver();
    });
  }

  /** Breaks the connection; the other end hears of it unless nothing gets through. */
  terminate(): void {
    this.closed(ABNORMAL, "");
    this.#sent = [{ type: "close", code: ABNORMAL, reason: "" }];
    this.#bytes = 0;
    this.wake();
  }

  closed(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#patience?.cancel();
    const { handlers } = this;
    standardClock.defer(() => handlers?.onClose(code, reason));
  }

  /** An other end that does not answer is given up. */
  #close(code: number, reason: string): void {
    if (this.#isClosed || this.#patience !== null) return;
    this.#send({ type: "close", code, reason });
    this.#patience = standardClock.setTimer(CLOSE_TIMEOUT_MS, () => this.terminate());
  }

  #send(item: Item): void {
    if (this.#isClosed) return;
    this.#sent.push(item);
    if (item.type === "message") this.#bytes += item.message.byteLength;
    this.wake();
  }

  #deliver(): void {
    if (this.#route.isCut) return;
    const sent = this.#sent;
    const { other } = this;
    this.#sent = [];
    this.#bytes = 0;
    for (const item of sent) {
      if (item.type === "message") other?.take(item.message);
      else {
        other?.closed(item.code, item.reason);
        this.closed(item.code, item.reason);
      }
    }
  }

  take(message: Uint8Array): void {
    if (this.#isClosed) return;
    if (message.byteLength <= this.#bytesMax) this.handlers?.onMessage(message);
    else {
      this.other?.closed(TOO_BIG, "");
      this.closed(TOO_BIG, "");
    }
  }
}

/** A connection that somebody holds. */
export interface MemoryConnection {
  readonly socket: Socket;
  /** What waited is delivered, if nothing is in its way any more. */
  wake(): void;
  /** Both ends are closed without a handshake. */
  breakOff(): void;
}

/**
 * Connects to whoever accepts.
 *
 * @param accept takes the other end; null if nobody listens
 */
export function connectInMemory(
  options: ConnectOptions,
  handlers: SocketHandlers,
  accept: ((socket: AcceptedSocket) => void) | null,
  acceptBytesMax: number,
  [there, back]: readonly [MemoryRoute, MemoryRoute],
): MemoryConnection {
  const near = new End(options.messageBytesMax, there);
  const far = new End(acceptBytesMax, back);
  near.other = far;
  far.other = near;
  near.handlers = handlers;
  if (accept === null) near.closed(ABNORMAL, "nobody listens");
  else {
    standardClock.defer(() => {
      const handle = (on: Omit<SocketHandlers, "onOpen">): void => {
        far.handlers = on;
      };
      accept(Object.assign(far.socket, { handle }));
      handlers.onOpen();
    });
  }
  return {
    socket: near.socket,
    wake: () => {
      near.wake();
      far.wake();
    },
    breakOff: () => {
      near.terminate();
      far.terminate();
    },
  };
}
