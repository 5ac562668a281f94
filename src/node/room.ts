/**
 * Room for what has to wait on a node: bounded for all together, for each link, and in the time that it takes. Whoever
 * finds none is told when to come again.
 */

import type { Clock } from "../environment.ts";
import { busy, type ConclaveError } from "../errors.ts";
import { List, PassingMap, type Place } from "../passing.ts";
import { Pressure } from "./pressure.ts";

export interface RoomOptions {
  readonly clock: Clock;
  /** What waits here, for those who are turned away. */
  readonly what: string;
  readonly countMax: number;
  readonly bytesMax: number;
  /** How much of that one link may hold. */
  readonly linkCountMax: number;
  readonly linkBytesMax: number;
  /** Nobody is let in who would wait for longer. */
  readonly waitMsMax: number;
}

/** What one of those inside takes. */
interface Guest {
  /** The link that it came by; null for what is the node's own. */
  readonly link: object | null;
  readonly bytes: number;
  readonly sinceMs: number;
}

/** One of those inside, until it leaves. */
export type Stay = Place<Guest>;

/** What one link holds of a room. */
interface Held {
  readonly count: number;
  readonly bytes: number;
}

const NOTHING: Held = { count: 0, bytes: 0 };

const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 1_000;
/** So much of the queue should be gone before those who were turned away come again. */
const RELIEF = 1 / 8;

export class Room {
  readonly #options: RoomOptions;
  readonly #pressure: Pressure;
  /** Oldest first. */
  readonly #guests = new List<Guest>();
  #bytes = 0;
  readonly #links = new PassingMap<object, Held>();

  constructor(options: RoomOptions) {
    this.#options = options;
    this.#pressure = new Pressure(options.waitMsMax);
  }

  /** @throws ConclaveError `BUSY` if there is no room for more that comes over this link; what is there may overshoot. */
  check(link: object | null): void {
    const { clock, what, countMax, bytesMax, linkCountMax, linkBytesMax, waitMsMax } = this.#options;
    const freeCount = countMax - this.#guests.size;
    const freeBytes = bytesMax - this.#bytes;
    if (freeCount <= 0 || freeBytes <= 0) throw this.#busy(`Too many ${what} wait on this node.`);
    const { count, bytes } = this.#heldBy(link);
    // Nor more than is still free: many who hold their shares must not take all that there is.
    if (count >= Math.min(linkCountMax, freeCount) || bytes >= Math.min(linkBytesMax, freeBytes)) {
      throw this.#busy(`Too many ${what} of this connection wait.`);
    }
    const nowMs = clock.nowMs();
    if (waitMsMax === Number.POSITIVE_INFINITY) return;
    if (this.#ageMs(nowMs) >= waitMsMax || !this.#pressure.hasRoom(nowMs)) {
      throw this.#busy(`Too many ${what} wait on this node to be done within ${waitMsMax} ms.`);
    }
  }

  enter(link: object | null, bytes: number): Stay {
    const nowMs = this.#options.clock.nowMs();
    this.#bytes += bytes;
    this.#pressure.added(bytes, nowMs);
    if (link !== null) {
      const held = this.#heldBy(link);
      this.#links.set(link, { count: held.count + 1, bytes: held.bytes + bytes });
    }
    return this.#guests.add({ link, bytes, sinceMs: nowMs });
  }

  /** What was waited for has come. */
  leave(stay: Stay): void {
    if (this.#remove(stay)) this.#pressure.done(stay.item.bytes, this.#options.clock.nowMs());
  }

  /** It is given up. */
  giveUp(stay: Stay): void {
    if (this.#remove(stay)) this.#pressure.gone(stay.item.bytes);
  }

  #remove(stay: Stay): boolean {
    if (!this.#guests.remove(stay)) return false;
    const { link, bytes } = stay.item;
    this.#bytes -= bytes;
    if (link === null) return true;
    const held = this.#heldBy(link);
    if (held.count === 1) this.#links.delete(link);
    else this.#links.set(link, { count: held.count - 1, bytes: held.bytes - bytes });
    return true;
  }

  #heldBy(link: object | null): Held {
    return (link === null ? undefined : this.#links.get(link)) ?? NOTHING;
  }

  /** How long the oldest has waited: what stands still has no pace. */
  #ageMs(nowMs: number): number {
    const oldest = this.#guests.first;
    return oldest === undefined ? 0 : nowMs - oldest.sinceMs;
  }

  #busy(message: string): ConclaveError {
    const { clock, waitMsMax } = this.#options;
    const nowMs = clock.nowMs();
    const waitMs = Math.max(this.#ageMs(nowMs), this.#pressure.waitMs(nowMs));
    const retryMs = Math.max(0, waitMs - waitMsMax) + waitMs * RELIEF;
    return busy(message, Math.min(Math.max(retryMs, RETRY_MS_MIN), RETRY_MS_MAX));
  }
}
