/**
 * A node that is no member yet, that has moved, or whose disk is not the one that the members know, asks to be taken in:
 * now this member, now that one, until the members say so.
 */

import type { Clock, Timer } from "../environment.ts";
import { hasCode, messageOf } from "../errors.ts";

export type JoinerStory =
  | { readonly event: "joining"; readonly through: string }
  | { readonly event: "join-refused"; readonly by: string; readonly reason: string };

export interface JoinerOptions {
  readonly clock: Clock;
  /** How long to wait before the next try. */
  readonly retryMs: number;
  /** Is there anything to ask for? */
  isNeeded(): boolean;
  /** Whom to ask, the likeliest leader first. */
  candidates(): readonly string[];
  /** @throws ConclaveError `NOT_LEADER` with the leader in its details, or whatever else kept the other from it */
  ask(url: string): Promise<unknown>;
  readonly tell: (story: JoinerStory) => void;
}

const HINT_MS = 20;

export class Joiner {
  readonly #options: JoinerOptions;
  #timer: Timer | null = null;
  #isAsking = false;
  #tries = 0;
  /** Whom the last one has named. */
  #hint: string | null = null;
  #told = "";

  constructor(options: JoinerOptions) {
    this.#options = options;
  }

  /** Asks now, unless it does so already, or there is nothing to ask for. */
  wake(): void {
    if (this.#isAsking || this.#timer !== null || !this.#options.isNeeded()) return;
    const candidates = this.#options.candidates();
    const url = this.#hint ?? candidates[this.#tries++ % candidates.length];
    this.#hint = null;
    if (url === undefined) {
      this.#later();
      return;
    }
    this.#isAsking = true;
    this.#tell({ event: "joining", through: url });
    this.#options
      .ask(url)
      .catch((error: unknown) => {
        if (hasCode(error, "NOT_LEADER")) this.#hint = leaderIn(error.details);
        else if (!hasCode(error, "UNREACHABLE", "TIMEOUT", "BUSY")) {
          this.#tell({ event: "join-refused", by: url, reason: messageOf(error) });
        }
      })
      .finally(() => {
        this.#isAsking = false;
        this.#later();
      });
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #later(): void {
    const { clock, retryMs } = this.#options;
    // Whoever was named is asked soon; not at once, since two may name each other.
    this.#timer = clock.setTimer(this.#hint === null ? retryMs : HINT_MS, () => {
      this.#timer = null;
      this.wake();
    });
  }

  /** What goes on as it was is told once. */
  #tell(story: JoinerStory): void {
    const text = JSON.stringify(story);
    if (text === this.#told) return;
    this.#told = text;
    this.#options.tell(story);
  }
}

/** The leader's address in the details of `NOT_LEADER`, as another process has sent them. */
function leaderIn(details: Readonly<Record<string, unknown>>): string | null {
  const view = details["view"];
  if (typeof view !== "object" || view === null || !("leader" in view)) return null;
  const { leader } = view;
  if (typeof leader !== "object" || leader === null || !("url" in leader)) return null;
  return typeof leader.url === "string" ? leader.url : null;
}
