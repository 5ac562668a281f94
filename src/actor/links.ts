/** The links of one process: at most one to each other process, whoever opened it, and who watches them. */

import type { AcceptedSocket, ClientEnvironment, Listener } from "../environment.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import {
  type Backoff,
  CloseCode,
  type Closing,
  type Frame,
  type Hello,
  isRefusal,
  Link,
  type LinkOwner,
  type Refusal,
} from "../link/index.ts";
import type { Peer } from "./actor.ts";
import { Endpoint } from "./endpoint.ts";
import { normalUrl } from "./protocol.ts";

/** What happens to links that is worth telling. */
export type LinkStory =
  | { readonly event: "link-up"; readonly peer: string }
  | { readonly event: "link-lost"; readonly peer: string; readonly code: number; readonly reason: string }
  /** One of the two sides would not have the link. */
  | { readonly event: "link-refused"; readonly peer: string; readonly code: number; readonly reason: string }
  /** The other side broke the protocol and was cut off. */
  | { readonly event: "protocol-broken"; readonly peer: string; readonly code: number; readonly reason: string };

/** Whom to tell that a link came up or was lost. */
export interface Watcher {
  link(up: boolean, url: string | null, peer: Peer): void;
}

export interface LinksOptions {
  readonly environment: ClientEnvironment;
  readonly backoff: Backoff;
  readonly link: Pick<LinkOwner, "limits" | "hello" | "verify">;
  peerOf(link: Link): Peer;
  onFrames(link: Link, peer: Peer, frames: readonly Frame[]): void;
  /** What was sent over `carrier`, a link or an endpoint, and not answered will never be. */
  onLost(carrier: object, reason: string): void;
  /** What waited at the endpoint now travels over the link. */
  onMoved(endpoint: Endpoint, link: Link): void;
  tell(story: LinkStory): void;
}

export interface ListenAt {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly allowedOrigins?: readonly string[];
  readonly connectionsMax?: number;
}

interface Standing {
  readonly peer: Peer;
  readonly endpoint: Endpoint | null;
  readonly watchers: Set<Watcher>;
}

const DEFAULT_CONNECTIONS_MAX = 20_000;
/** On closing, the other sides get this long to take leave. */
const CLOSE_PATIENCE_MS = 1_000;
/** Refusals that are remembered, so that each is told once. */
const REFUSALS_MAX = 256;
const STOPPING = "the process is stopping";

export class Links {
  readonly #options: LinksOptions;
  readonly #accepting: LinkOwner;
  readonly #endpoints = new Map<string, Endpoint>();
  /** Every connection that is not fully closed; those that are open stand for a peer. */
  readonly #links = new Map<Link, Peer | null>();
  readonly #standing = new Map<Link, Standing>();
  readonly #byPeer = new Map<Peer, Standing>();
  /** With whom no link could be had, by URL or name, and why. */
  readonly #refused = new Map<string, string>();
  #listener: Listener | null = null;
  #closed = false;
  #whenEmpty: () => void = () => {};

  constructor(options: LinksOptions) {
    this.#options = options;
    this.#accepting = this.#owner(
      (link) => {
        const url = link.remote?.url ?? null;
        return url === null ? null : this.#endpoint(url);
      },
      (remote) => this.#objection(remote),
    );
  }

  /** Accepts links. @throws ConclaveError `ADDRESS_IN_USE` */
  async listen(at: ListenAt): Promise<number> {
    const { environment, link } = this.#options;
    const options = {
      host: at.host,
      port: at.port,
      allowedOrigins: at.allowedOrigins ?? [],
      connectionsMax: at.connectionsMax ?? DEFAULT_CONNECTIONS_MAX,
      messageBytesMax: link.limits.messageBytesMax,
    };
    this.#listener = await environment.network.listen(options, (socket) => this.#accept(socket));
    if (this.#closed) {
      await this.#listener.close();
      throw new ConclaveError("CLOSED", "The actor system was closed.");
    }
    return this.#listener.port;
  }

  /** Sends to the process at a URL; returns what the frame travels over, or null if it can't be sent. */
  send(url: string, frame: Frame): object | null {
    return this.#closed ? null : this.#endpoint(url).send(frame);
  }

  /** The process at a URL. @throws ConclaveError `INVALID_ARGUMENT` */
  #endpoint(text: string): Endpoint {
    const url = normalUrl(text);
    const known = this.#endpoints.get(url);
    if (known !== undefined) return known;
    const owner = this.#owner(() => endpoint);
    const { environment, backoff } = this.#options;
    const endpoint: Endpoint = new Endpoint(url, environment, owner, backoff);
    this.#endpoints.set(url, endpoint);
    return endpoint;
  }

  /** Keeps a link to a process, and tells the watcher whenever it comes up or is lost. */
  keep(watcher: Watcher, url: string): () => void {
    const endpoint = this.#endpoint(url);
    if (this.#closed) return () => {};
    endpoint.watchers.add(watcher);
    const standing = endpoint.link === null ? undefined : this.#standing.get(endpoint.link);
    if (standing !== undefined) watcher.link(true, endpoint.url, standing.peer);
    endpoint.keep();
    let kept = true;
    return () => {
      if (!kept) return;
      kept = false;
      endpoint.watchers.delete(watcher);
      if (!endpoint.release()) return;
      this.#endpoints.delete(endpoint.url);
      endpoint.stop(CloseCode.normal, "not needed any more");
    };
  }

  /** Tells the watcher when this peer's link is lost; at once if it already is. */
  watch(watcher: Watcher, peer: Peer): void {
    const standing = this.#byPeer.get(peer);
    if (standing !== undefined) standing.watchers.add(watcher);
    else watcher.link(false, null, peer);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const endpoint of this.#endpoints.values()) endpoint.stop(CloseCode.goingAway, STOPPING);
    for (const link of this.#links.keys()) link.close(CloseCode.goingAway, STOPPING);
    await new Promise<void>((resolve) => {
      const timer = this.#options.environment.clock.setTimer(CLOSE_PATIENCE_MS, resolve);
      this.#whenEmpty = () => {
        timer.cancel();
        resolve();
      };
      if (this.#links.size === 0) this.#whenEmpty();
    });
    await this.#listener?.close();
  }

  #accept(socket: AcceptedSocket): void {
    if (this.#closed) socket.terminate();
    else this.#links.set(Link.accept(this.#accepting, socket), null);
  }

  /**
   * When both sides connect at the same moment, the one with the smaller name says so before anything has been sent
   * over the connection that is to go.
   */
  #objection({ url, process }: Hello): Refusal | null {
    if (url === null) return null;
    let normal: string;
    try {
      normal = normalUrl(url);
    } catch (error) {
      return { code: CloseCode.protocolError, reason: messageOf(error) };
    }
    const rival = this.#endpoints.get(normal);
    return rival?.isDialling && this.#options.link.hello.process < process
      ? { code: CloseCode.duplicate, reason: "a link from here is being made" }
      : null;
  }

  #owner(
    endpointOf: (link: Link) => Endpoint | null,
    objection: (remote: Hello) => Refusal | null = () => null,
  ): LinkOwner {
    const { environment, link } = this.#options;
    return {
      clock: environment.clock,
      limits: link.limits,
      hello: link.hello,
      verify: async (remote, isDialled) => (await link.verify(remote, isDialled)) ?? objection(remote),
      onOpen: (opened) => this.#opened(opened, endpointOf(opened)),
      onFrames: (from, frames) => {
        const peer = this.#links.get(from);
        if (peer == null) return;
        if (this.#refused.size > 0) this.#provenGood(from);
        this.#options.onFrames(from, peer, frames);
      },
      onClose: (closed, closing) => this.#lost(closed, closing, closed.dialled ? endpointOf(closed) : null),
    };
  }

  #opened(link: Link, endpoint: Endpoint | null): void {
    if (this.#closed) {
      link.close(CloseCode.goingAway, STOPPING);
      return;
    }
    const peer = this.#options.peerOf(link);
    this.#links.set(link, peer);
    const rival = endpoint?.link ?? null;
    if (rival !== null && this.#outlives(rival, link)) {
      link.close(CloseCode.duplicate, "another link to this process stands");
      return;
    }
    if (rival !== null) {
      this.#fall(rival, null);
      rival.close(CloseCode.duplicate, "another link to this process stands");
    }
    const standing: Standing = { peer, endpoint, watchers: new Set() };
    this.#standing.set(link, standing);
    this.#byPeer.set(peer, standing);
    if (endpoint === null) return;
    endpoint.attach(link);
    this.#options.onMoved(endpoint, link);
    // The side that was dialled is the first to take a link for open: one that refused before may do so again.
    if (link.dialled) this.#refused.delete(endpoint.url);
    if (!endpoint.isAnnounced && !this.#refused.has(endpoint.url)) {
      endpoint.isAnnounced = true;
      this.#options.tell({ event: "link-up", peer: peer.hello.name });
    }
    for (const watcher of endpoint.watchers) watcher.link(true, endpoint.url, peer);
  }

  /** Whoever speaks has taken the link for open, whatever was refused before. */
  #provenGood(link: Link): void {
    const standing = this.#standing.get(link);
    const endpoint = standing?.endpoint ?? null;
    if (standing === undefined || endpoint === null || !this.#refused.delete(endpoint.url)) return;
    if (endpoint.isAnnounced) return;
    endpoint.isAnnounced = true;
    this.#options.tell({ event: "link-up", peer: standing.peer.hello.name });
  }

  /**
   * Two processes may connect to each other at the same moment. Both must then keep the same connection: the one that
   * the process with the smaller name opened. Otherwise the newer link is the better one: the other side has lost the
   * old one, or was started anew.
   */
  #outlives(standing: Link, newer: Link): boolean {
    const remote = newer.remote?.process ?? "";
    if (standing.remote?.process !== remote || standing.dialled === newer.dialled) return false;
    return standing.dialled === this.#options.link.hello.process < remote;
  }

  #lost(link: Link, closing: Closing, dialledFor: Endpoint | null): void {
    this.#links.delete(link);
    const endpoint = this.#standing.get(link)?.endpoint ?? null;
    const peer = link.claimed?.name ?? dialledFor?.url ?? "a stranger";
    const { code } = closing;
    const reason = closing.reason || (code === CloseCode.abnormal ? "the connection broke" : `code ${code}`);
    this.#tellOfLoss(link, { ...closing, reason }, peer, endpoint ?? dialledFor);
    if (code !== CloseCode.duplicate && endpoint !== null) endpoint.isAnnounced = false;
    this.#fall(link, closing);
    this.#options.onLost(link, `the link to ${peer} was lost: ${reason}`);
    if (dialledFor !== null && dialledFor.link === null && code !== CloseCode.duplicate) {
      dialledFor.giveUp();
      this.#options.onLost(dialledFor, `no link to ${dialledFor.url} could be had: ${reason}`);
    }
    // Strangers may come under any name: what they leave behind must not add up.
    for (const left of [endpoint, dialledFor]) {
      if (left?.isIdle && this.#endpoints.get(left.url) === left) this.#endpoints.delete(left.url);
    }
    if (this.#closed && this.#links.size === 0) this.#whenEmpty();
  }

  #tellOfLoss(link: Link, { code, reason, byUs }: Closing, peer: string, endpoint: Endpoint | null): void {
    const { tell } = this.#options;
    if (byUs && (code === CloseCode.protocolError || code === CloseCode.unsupportedData || code === CloseCode.tooBig)) {
      tell({ event: "protocol-broken", peer, code, reason });
    }
    if (isRefusal({ code }) || (code === CloseCode.internalError && link.remote === null)) {
      const key = endpoint?.url ?? link.claimed?.url ?? peer;
      if (this.#refused.get(key) === reason) return;
      this.#refused.set(key, reason);
      const [oldest] = this.#refused.keys();
      if (this.#refused.size > REFUSALS_MAX && oldest !== undefined) this.#refused.delete(oldest);
      tell({ event: "link-refused", peer, code, reason });
    } else if (endpoint?.isAnnounced && this.#standing.has(link) && code !== CloseCode.duplicate) {
      tell({ event: "link-lost", peer, code, reason });
    }
  }

  /** The link stands for its peer no more, and whoever watched it is told. */
  #fall(link: Link, closing: Closing | null): void {
    const standing = this.#standing.get(link);
    if (standing === undefined) return;
    const { peer, endpoint, watchers } = standing;
    this.#standing.delete(link);
    this.#byPeer.delete(peer);
    endpoint?.detach(closing);
    for (const watcher of new Set([...watchers, ...(endpoint?.watchers ?? [])])) {
      watcher.link(false, endpoint?.url ?? null, peer);
    }
  }
}
