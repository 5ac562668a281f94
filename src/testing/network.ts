/**
 * A network between the hosts of a simulated world: every direction has its own delays, may be slow, cut or one-way, and
 * connections break with and without notice. What a connection delivers, it delivers whole, once and in order, as TCP
 * does. Duplicates come about as they do in reality: nobody knows what a broken connection has delivered, so clients and
 * leaders send it again over the next one, while the first may still arrive over a half-open one.
 */

import type { AcceptedSocket, Listener, ListenOptions, Network, Socket, SocketHandlers } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import type { Dice } from "./dice.ts";
import { FAST, type Pace, type Route, type Station, type Surroundings, Wire } from "./wire.ts";
import type { World } from "./world.ts";

/** Undoes what was done; nothing, if it was undone already. */
export type Undo = () => void;

export class SimulatedNetwork implements Surroundings {
  readonly #world: World;
  readonly #dice: Dice;
  readonly #listeners = new Map<string, { readonly station: Station; accept(socket: AcceptedSocket): void }>();
  readonly #routes = new Map<string, Route>();
  readonly #wires = new Set<Wire>();
  readonly #downHosts = new Set<string>();

  constructor(world: World, dice: Dice) {
    this.#world = world;
    this.#dice = dice;
  }

  /** The network as a process sees it. */
  of(station: Station): Network {
    return {
      connect: (url, _options, handlers) => this.#connect(station, new URL(url).host, handlers),
      listen: (options, accept) => this.#listen(station, options, accept),
    };
  }

  /** Nothing arrives any more in this direction; what is on its way waits, as it does with TCP. */
  cut(from: string, to: string): Undo {
    const route = this.route(from, to);
    const { cuts } = route;
    const own = {};
    cuts.add(own);
    return () => {
      if (!cuts.delete(own)) return;
      route.openMs = this.#world.nowMs;
      for (const wire of this.#wires) wire.wake();
    };
  }

  /** What leaves in this direction leaves at this pace. */
  slow(from: string, to: string, pace: Partial<Pace>): Undo {
    const route = this.route(from, to);
    const own = { ...FAST, ...pace };
    route.slowed.add(own);
    return () => {
      if (route.slowed.delete(own)) for (const wire of this.#wires) wire.hurry(route);
    };
  }

  /** Everything is as fast as it was, and nothing is cut. */
  heal(): void {
    for (const route of this.#routes.values()) {
      if (route.cuts.size > 0) route.openMs = this.#world.nowMs;
      route.cuts.clear();
      route.slowed.clear();
      for (const wire of this.#wires) wire.hurry(route);
    }
    for (const wire of this.#wires) wire.wake();
  }

  /**
   * Breaks the connections between two hosts. Without notice to `b`, its end stays as it is, what is on its way there
   * still arrives, and it learns of the loss when it sends something.
   */
  reset(a: string, b: string, noticeToBoth: boolean): void {
    for (const wire of this.#wires) wire.reset(a, b, noticeToBoth);
  }

  /** Has something from one host arrived at the other that it has not read for so long? */
  isUnreadFor(from: string, to: string, ms: number): boolean {
    return [...this.#wires].some((wire) => wire.isUnreadFor(from, to, ms));
  }

  /** A whole machine is gone: its end of every connection is silent until it is back. */
  hostDown(host: string): void {
    this.#downHosts.add(host);
  }

  hostUp(host: string): void {
    this.#downHosts.delete(host);
  }

  isDown(host: string): boolean {
    return this.#downHosts.has(host);
  }

  /** When something arrives that has left at a moment, if nothing is in its way. */
  arrivalMs({ latencyMs, slowed }: Route, leftMs: number): number {
    let { delayMs, jitterMs } = FAST;
    for (const pace of slowed) {
      delayMs = Math.max(delayMs, pace.delayMs);
      jitterMs = Math.max(jitterMs, pace.jitterMs);
    }
    return leftMs + latencyMs + delayMs + this.#dice.seldom(0, jitterMs);
  }

  isCut(from: string, to: string): boolean {
    return this.route(from, to).cuts.size > 0;
  }

  /** The direction from one host to another, as it is and as it will be. */
  route(from: string, to: string): Route {
    const key = `${from}>${to}`;
    const known = this.#routes.get(key);
    if (known !== undefined) return known;
    const route: Route = { latencyMs: this.#dice.between(0.05, 0.5), slowed: new Set(), cuts: new Set(), openMs: 0 };
    this.#routes.set(key, route);
    return route;
  }

  async #listen(
    station: Station,
    { port }: ListenOptions,
    accept: (socket: AcceptedSocket) => void,
  ): Promise<Listener> {
    const place = `${station.host}:${port}`;
    // It died while its promises were under way: its port would stay taken.
    if (!station.isAlive) return new Promise(() => {});
    if (this.#listeners.has(place)) throw new ConclaveError("ADDRESS_IN_USE", `${place} is in use`);
    const entry = { station, accept };
    this.#listeners.set(place, entry);
    const stop = (): void => {
      if (this.#listeners.get(place) === entry) this.#listeners.delete(place);
    };
    station.atDeath(stop);
    return { port, close: async () => stop() };
  }

  #connect(station: Station, place: string, handlers: SocketHandlers): Socket {
    const host = place.split(":")[0] ?? "";
    const wire = new Wire(this.#world, this, station, host, handlers, () => this.#wires.delete(wire));
    this.#wires.add(wire);
    wire.knock(() => {
      const listener = this.#listeners.get(place);
      return listener?.station.isAlive === true ? listener : null;
    });
    return wire.near.socket;
  }
}
