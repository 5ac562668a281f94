/** Keeps a link to one address: connects, and connects again after every loss, ever more patiently. */

import type { Environment, Timer } from "../environment.ts";
import { type Closing, isRefusal } from "./close.ts";
import { Link, type LinkOwner } from "./link.ts";

export interface Backoff {
  /** The longest first wait; each further one may be twice as long. */
  readonly firstMs: number;
  readonly longestMs: number;
}

export const DEFAULT_BACKOFF: Backoff = { firstMs: 20, longestMs: 1_000 };

/** How often one that refuses is asked again: whatever it objects to, a person has to mend. */
const REFUSED_MS = 5_000;

export class Dialer {
  readonly #environment: Pick<Environment, "clock" | "random" | "network">;
  readonly #owner: LinkOwner;
  readonly #url: string;
  readonly #backoff: Backoff;
  /** Asked after a loss: should the link be made again? */
  readonly #isWanted: () => boolean;
  #failures = 0;
  #timer: Timer | null = null;
  #link: Link | null = null;
  #stopped = false;

  constructor(
    environment: Pick<Environment, "clock" | "random" | "network">,
    owner: LinkOwner,
    url: string,
    backoff: Backoff,
    isWanted: () => boolean,
  ) {
    this.#environment = environment;
    this.#isWanted = isWanted;
    this.#url = url;
    this.#backoff = backoff;
    this.#owner = {
      ...owner,
      onOpen: (link) => {
        this.#failures = 0;
        owner.onOpen(link);
      },
      onClose: (link, closing) => {
        if (this.#link === link) this.#link = null;
        owner.onClose(link, closing);
        this.retry(closing);
      },
    };
  }

  /** A connection is being made, and its handshake is not over. */
  get isDialling(): boolean {
    return this.#link !== null && this.#link.remote === null;
  }

  /** Connects now, unless a connection stands or is being made. */
  dial(): void {
    if (this.#stopped || this.#link !== null) return;
    this.#timer?.cancel();
    this.#timer = null;
    this.#link = Link.dial(this.#owner, this.#environment.network, this.#url);
  }

  /** Another link serves the same purpose: stop trying, until `dial` is called again. */
  pause(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  stop(code: number, reason: string): void {
    this.#stopped = true;
    this.pause();
    this.#link?.close(code, reason);
  }

  /** Connects again after a while, if that is wanted. Exponential back-off with jitter: those who lost the same server do not return in step. */
  retry(closing: Closing | null = null): void {
    if (this.#stopped || this.#timer !== null || this.#link !== null || !this.#isWanted()) return;
    const { firstMs, longestMs } = this.#backoff;
    const ceilingMs =
      closing !== null && isRefusal(closing) ? REFUSED_MS : Math.min(longestMs, firstMs * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 30);
    const delayMs = ceilingMs * (0.5 + this.#environment.random.next() / 2);
    this.#timer = this.#environment.clock.setTimer(delayMs, () => {
      this.#timer = null;
      this.dial();
    });
  }
}
