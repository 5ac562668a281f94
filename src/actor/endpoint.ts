/** One process to talk to, known by its URL: the link to it, or what waits for one. */

import type { ClientEnvironment } from "../environment.ts";
import { type Backoff, type Closing, Dialer, type Frame, type Link, type LinkOwner } from "../link/index.ts";
import type { Watcher } from "./links.ts";

/** How many frames may wait for a link that is being made. */
const WAITING_MAX = 1_000;

export class Endpoint {
  readonly url: string;
  readonly watchers = new Set<Watcher>();
  /** It was told that the link is up. One that only takes the place of its duplicate is no news. */
  isAnnounced = false;
  readonly #dialer: Dialer;
  #link: Link | null = null;
  #keepers = 0;
  #waiting: Frame[] = [];
  #stopped = false;

  constructor(url: string, environment: ClientEnvironment, owner: LinkOwner, backoff: Backoff) {
    this.url = url;
    this.#dialer = new Dialer(
      environment,
      owner,
      url,
      backoff,
      () => (this.#keepers > 0 || this.#waiting.length > 0) && this.#link === null,
    );
  }

  get link(): Link | null {
    return this.#link;
  }

  /**
   * What the frame travels over: a link; this endpoint, if it waits for one to be made; or null, if it can't be sent.
   */
  send(frame: Frame): Link | Endpoint | null {
    if (this.#link !== null) return this.#link.send(frame) ? this.#link : null;
    if (this.#stopped || this.#waiting.length >= WAITING_MAX) return null;
    this.#waiting.push(frame);
    this.#dialer.dial();
    return this;
  }

  /** Nobody needs this endpoint: it can be forgotten. */
  get isIdle(): boolean {
    return this.#link === null && this.#keepers === 0 && this.#waiting.length === 0 && !this.#dialer.isDialling;
  }

  /** No link stands, and one is being made from this side. */
  get isDialling(): boolean {
    return this.#link === null && this.#dialer.isDialling;
  }

  /** Somebody wants the link kept. */
  keep(): void {
    this.#keepers++;
    if (this.#link === null) this.#dialer.dial();
  }

  /** True if nobody wants it kept any more. */
  release(): boolean {
    this.#keepers--;
    return this.#keepers === 0;
  }

  attach(link: Link): void {
    this.#link = link;
    this.#dialer.pause();
    for (const frame of this.#waiting.splice(0)) link.send(frame);
  }

  detach(closing: Closing | null): void {
    this.#link = null;
    this.#dialer.retry(closing);
  }

  /** No link could be had: what waited for it is given up. */
  giveUp(): void {
    this.#waiting = [];
  }

  stop(code: number, reason: string): void {
    this.#stopped = true;
    this.#keepers = 0;
    this.#dialer.stop(code, reason);
    this.#link?.close(code, reason);
  }
}
