/**
 * One WebSocket connection between two processes, from its first byte to its last: handshake, frames, keep-alive,
 * back-pressure, close. Whatever the other side does, it ends in `onClose`, never in an exception.
 */

import type { AcceptedSocket, Clock, ConnectOptions, Network, Socket, Timer } from "../environment.ts";
import { messageOf } from "../errors.ts";
import { CloseCode, type Closing } from "./close.ts";
import { FIRST_FREE_KIND, type Frame, HEADER_BYTES, joinFrames, LinkKind, parseFrames } from "./frame.ts";
import { decodeHello, encodeHello, type Hello, type Refusal, refusalOf } from "./hello.ts";

export interface LinkLimits {
  /** The largest WebSocket message taken or sent; a frame with its header must fit. */
  readonly messageBytesMax: number;
  /** A link whose socket holds back more than this is closed: its reader is too slow. */
  readonly sendBufferBytesMax: number;
  /** Both hellos must have come by then. */
  readonly handshakeTimeoutMs: number;
  /** After this much silence a ping is sent. */
  readonly pingAfterMs: number;
  /** After this much silence the link is closed. */
  readonly silenceMaxMs: number;
}

export const DEFAULT_LINK_LIMITS: LinkLimits = {
  messageBytesMax: 8 * 1024 * 1024,
  sendBufferBytesMax: 64 * 1024 * 1024,
  handshakeTimeoutMs: 2_000,
  pingAfterMs: 2_000,
  silenceMaxMs: 8_000,
};

/** What a link needs to know of its owner. */
export interface LinkOwner {
  readonly clock: Clock;
  readonly limits: LinkLimits;
  readonly hello: Hello;
  /** Asked once both sides agree on protocol and cluster; the link opens when it has said yes. Who has dialled is told. */
  verify(remote: Hello, isDialled: boolean): Promise<Refusal | null>;
  onOpen(link: Link): void;
  onFrames(link: Link, frames: readonly Frame[]): void;
  /** Called exactly once, last. `link.remote` is null if the handshake was not finished. */
  onClose(link: Link, closing: Closing): void;
}

type State = "connecting" | "handshake" | "verifying" | "open" | "closing" | "closed";

const EMPTY = new Uint8Array(0);
const PING: Frame = { kind: LinkKind.ping, correlation: 0, body: EMPTY };
const PONG: Frame = { kind: LinkKind.pong, correlation: 0, body: EMPTY };

export class Link {
  readonly #owner: LinkOwner;
  readonly #socket: Socket;
  readonly #dialled: boolean;
  #state: State;
  #claimed: Hello | null = null;
  #remote: Hello | null = null;
  /** Frames of this turn, sent as one message at its end. */
  #outbox: Frame[] = [];
  #outboxBytes = 0;
  /** Frames that came after the remote's hello while it is being verified. */
  #early: Frame[] = [];
  #earlyBytes = 0;
  #closing: Closing | null = null;
  #heardMs: number;
  #pinged = false;
  #timer: Timer;

  private constructor(owner: LinkOwner, dialled: boolean, open: (link: Link) => Socket) {
    this.#owner = owner;
    this.#dialled = dialled;
    this.#state = dialled ? "connecting" : "handshake";
    this.#heardMs = owner.clock.nowMs();
    this.#timer = owner.clock.setTimer(owner.limits.handshakeTimeoutMs, () => {
      this.#shut(CloseCode.handshakeTimeout, "the handshake was not finished in time");
    });
    this.#socket = open(this);
  }

  /** Connects to a process that listens at `url`. */
  static dial(owner: LinkOwner, network: Network, url: string): Link {
    const options: ConnectOptions = { messageBytesMax: owner.limits.messageBytesMax };
    return new Link(owner, true, (link) =>
      network.connect(url, options, { ...link.#handlers(), onOpen: () => link.#greet() }),
    );
  }

  /** Takes up a connection that a listener accepted. */
  static accept(owner: LinkOwner, socket: AcceptedSocket): Link {
    const link = new Link(owner, false, () => socket);
    socket.handle(link.#handlers());
    return link;
  }

  /** Who is at the other end; null before the handshake. */
  get remote(): Hello | null {
    return this.#remote;
  }

  /** Who the other end says it is, verified or not. */
  get claimed(): Hello | null {
    return this.#claimed;
  }

  /** This side opened the connection. */
  get dialled(): boolean {
    return this.#dialled;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** What was sent and the system has not taken yet. */
  get bufferedBytes(): number {
    return this.#outboxBytes + this.#socket.bufferedBytes;
  }

  /**
   * Queues a frame; all frames of a turn leave together. False if the link is not open, or the frame can't fit into a
   * message: it will not arrive.
   */
  send(frame: Frame): boolean {
    if (this.#state !== "open") return false;
    const bytes = HEADER_BYTES + frame.body.byteLength;
    if (bytes > this.#owner.limits.messageBytesMax) return false;
    if (this.#outboxBytes + bytes > this.#owner.limits.messageBytesMax) this.#flush();
    if (!this.isOpen) return false; // That flush found the reader too slow.
    if (this.#outbox.push(frame) === 1) queueMicrotask(() => this.#flush());
    this.#outboxBytes += bytes;
    return true;
  }

  /** What the other side sent before it learned of the duplicate still counts. */
  get #drains(): boolean {
    return this.#closing?.code === CloseCode.duplicate && this.#remote !== null;
  }

  /** Sends what is queued, says why, and closes. */
  close(code: number, reason: string): void {
    this.#flush();
    this.#shut(code, reason);
  }

  #handlers() {
    return {
      onMessage: (message: Uint8Array) => this.#receive(message),
      onText: () => this.#shut(CloseCode.unsupportedData, "text frames are not spoken here"),
      onClose: (code: number, reason: string) => this.#closed(code, reason),
    };
  }

  #greet(): void {
    if (this.#state === "connecting") this.#state = "handshake";
    this.#socket.send(joinFrames([{ kind: LinkKind.hello, correlation: 0, body: encodeHello(this.#owner.hello) }]));
  }

  #receive(message: Uint8Array): void {
    if (this.#state === "closed" || (this.#state === "closing" && !this.#drains)) return;
    this.#heardMs = this.#owner.clock.nowMs();
    this.#pinged = false;
    let frames: Frame[];
    try {
      frames = parseFrames(message);
    } catch (error) {
      this.#shut(CloseCode.protocolError, messageOf(error));
      return;
    }
    if (this.#state === "handshake") {
      const hello = frames.shift();
      if (hello === undefined || !this.#meet(hello) || frames.length === 0) return;
    }
    if (this.#state === "open" || this.#state === "closing") this.#deliver(frames);
    else this.#keepEarly(frames, message.byteLength);
  }

  /** The first frame must be a hello. False if the link ended over it. */
  #meet(frame: Frame): boolean {
    const remote = frame.kind === LinkKind.hello ? decodeHello(frame.body) : null;
    if (remote === null) {
      this.#shut(CloseCode.protocolError, "the first frame is not a hello");
      return false;
    }
    this.#claimed = remote;
    const refusal = refusalOf(this.#owner.hello, remote);
    if (refusal !== null) {
      this.#shut(refusal.code, refusal.reason);
      return false;
    }
    this.#state = "verifying";
    // Within a promise, so that an owner that throws is one that rejects.
    new Promise<Refusal | null>((resolve) => resolve(this.#owner.verify(remote, this.#dialled))).then(
      (objection) => this.#verified(remote, objection),
      (error) => this.#shut(CloseCode.internalError, messageOf(error)),
    );
    return true;
  }

  #verified(remote: Hello, objection: Refusal | null): void {
    if (this.#state !== "verifying") return;
    if (objection !== null) {
      this.#shut(objection.code, objection.reason);
      return;
    }
    if (!this.#dialled) this.#greet();
    this.#timer.cancel();
    this.#remote = remote;
    this.#state = "open";
    this.#watchSilence();
    this.#owner.onOpen(this);
    const early = this.#early;
    this.#early = [];
    if (early.length > 0) this.#deliver(early);
  }

  #keepEarly(frames: readonly Frame[], bytes: number): void {
    this.#earlyBytes += bytes;
    if (this.#earlyBytes > this.#owner.limits.messageBytesMax) {
      this.#shut(CloseCode.protocolError, "too much was sent before the handshake was over");
    } else {
      this.#early.push(...frames);
    }
  }

  #deliver(frames: readonly Frame[]): void {
    const outer: Frame[] = [];
    for (const frame of frames) {
      if (frame.kind >= FIRST_FREE_KIND) outer.push(frame);
      else if (frame.kind === LinkKind.ping) this.send(PONG);
      else if (frame.kind !== LinkKind.pong) {
        this.#shut(CloseCode.protocolError, `a frame of kind ${frame.kind} is out of turn`);
        return;
      }
    }
    if (outer.length > 0) this.#owner.onFrames(this, outer);
  }

  #flush(): void {
    if (this.#outbox.length === 0) return;
    const frames = this.#outbox;
    this.#outbox = [];
    this.#outboxBytes = 0;
    if (this.#state !== "open") return;
    if (this.#socket.bufferedBytes > this.#owner.limits.sendBufferBytesMax) {
      this.#shut(CloseCode.sendBufferFull, "the other side reads too slowly");
      return;
    }
    this.#socket.send(joinFrames(frames));
  }

  #watchSilence(): void {
    const { clock, limits } = this.#owner;
    const silentMs = clock.nowMs() - this.#heardMs;
    if (silentMs >= limits.silenceMaxMs) {
      this.#shut(CloseCode.silent, `nothing was heard for ${Math.round(silentMs)} ms`);
      return;
    }
    if (silentMs >= limits.pingAfterMs && !this.#pinged) {
      this.#pinged = true;
      this.send(PING);
    }
    const nextMs = this.#pinged
      ? Math.min(limits.pingAfterMs, limits.silenceMaxMs - silentMs)
      : limits.pingAfterMs - silentMs;
    // A stalled event loop fires this late, with answers waiting in the socket: they are read first.
    this.#timer = clock.setTimer(nextMs, () =>
      clock.defer(() => {
        if (this.#state === "open") this.#watchSilence();
      }),
    );
  }

  /** Ends the link from this side. A peer that does not answer the closing handshake is cut off. */
  #shut(code: number, reason: string): void {
    if (this.#state === "closed" || this.#state === "closing") return;
    const connecting = this.#state === "connecting";
    this.#state = "closing";
    this.#closing = { code, reason, byUs: true };
    if (connecting || code === CloseCode.silent) this.#socket.terminate();
    else this.#socket.close(code, reason);
  }

  #closed(code: number, reason: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#timer.cancel();
    this.#outbox = [];
    this.#early = [];
    this.#owner.onClose(this, this.#closing ?? { code, reason, byUs: false });
  }
}
