/** One connection of the simulated network: two lanes, one each way, and what the systems at its ends do. */

import type { AcceptedSocket, Socket, SocketHandlers, Timer } from "../environment.ts";
import type { Owner, World } from "./world.ts";

/** A process, as far as the network knows it. */
export interface Station extends Owner {
  readonly host: string;
  /** Calls `act` when the process is gone; `notice` says whether its system lives to tell the others. */
  atDeath(act: (notice: boolean) => void): void;
}

/** How much a direction lets through, and how soon. */
export interface Pace {
  /** By how much everything is late. */
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly bytesPerMs: number;
}

/** One direction between two hosts. */
export interface Route {
  readonly latencyMs: number;
  /** What slows it down now; the slowest counts. */
  readonly slowed: Set<Pace>;
  /** What holds everything up now. */
  readonly cuts: Set<object>;
  /** When it was last mended. */
  openMs: number;
}

/** What the connections ask of their network. */
export interface Surroundings {
  route(from: string, to: string): Route;
  /** When something arrives that has left at a moment, if nothing is in its way. */
  arrivalMs(route: Route, leftMs: number): number;
  /** Is this machine gone, system and all? */
  isDown(host: string): boolean;
}

type Handlers = Omit<SocketHandlers, "onOpen"> & Partial<Pick<SocketHandlers, "onOpen">>;

const BROKEN = 1006;
const CLOSE_TIMEOUT_MS = 1_000;
/** What the systems on both sides take before a sender notices. */
const SYSTEM_BUFFER_BYTES = 64 * 1024;
/** How a direction is when nothing slows it down. */
export const FAST: Pace = { delayMs: 0, jitterMs: 5, bytesPerMs: 100_000 };
const ADDRESS_BYTES = 60;

/** How long so much takes to leave. */
function leavingMs({ slowed }: Route, bytes: number): number {
  let { bytesPerMs } = FAST;
  for (const pace of slowed) bytesPerMs = Math.min(bytesPerMs, pace.bytesPerMs);
  return bytes / bytesPerMs;
}

/** One direction of a connection: what is on its way, oldest first. */
class Lane {
  readonly #world: World;
  readonly #network: Surroundings;
  readonly #route: Route;
  readonly #receiver: () => Station | null;
  #parcels: { leftMs: number; atMs: number; readonly bytes: number; readonly deliver: () => void }[] = [];
  #bytes = 0;
  /** When the last of it has left the sender: what is slow goes out piece by piece. */
  #leftMs = 0;
  #arrival: Timer | null = null;

  constructor(world: World, network: Surroundings, route: Route, receiver: () => Station | null) {
    this.#world = world;
    this.#network = network;
    this.#route = route;
    this.#receiver = receiver;
  }

  /** What the sender's system could not pass on yet. */
  get bufferedBytes(): number {
    return Math.max(0, this.#bytes - SYSTEM_BUFFER_BYTES);
  }

  /** Something has been there for so long, and its receiver has not taken it. */
  isUnreadFor(ms: number): boolean {
    const [head] = this.#parcels;
    if (head === undefined || this.#route.cuts.size > 0 || this.#receiver()?.isAlive !== true) return false;
    return this.#world.nowMs - Math.max(head.atMs, this.#route.openMs) > ms;
  }

  send(bytes: number, deliver: () => void): void {
    const leftMs = this.#leave(bytes);
    const atMs = Math.max(this.#network.arrivalMs(this.#route, leftMs), this.#parcels.at(-1)?.atMs ?? 0);
    this.#parcels.push({ leftMs, atMs, bytes, deliver });
    this.#bytes += bytes;
    this.wake();
  }

  /** Its route has become faster: what waits to leave leaves sooner. */
  hurry(route: Route): void {
    if (route !== this.#route) return;
    const { nowMs } = this.#world;
    const waiting = this.#parcels.filter(({ leftMs }) => leftMs > nowMs);
    const beforeMs = this.#parcels.findLast(({ leftMs }) => leftMs <= nowMs)?.atMs ?? 0;
    if (waiting.length === 0) return;
    this.#leftMs = nowMs;
    let lastMs = beforeMs;
    for (const parcel of waiting) {
      parcel.leftMs = this.#leave(parcel.bytes);
      lastMs = Math.min(parcel.atMs, Math.max(this.#network.arrivalMs(route, parcel.leftMs), lastMs));
      parcel.atMs = lastMs;
    }
    this.#arrival?.cancel();
    this.#arrival = null;
    this.wake();
  }

  /** When so much has left, behind all that waits to leave. */
  #leave(bytes: number): number {
    this.#leftMs = Math.max(this.#leftMs, this.#world.nowMs) + leavingMs(this.#route, bytes);
    return this.#leftMs;
  }

  /** What is on its way is lost. */
  clear(): void {
    this.#parcels = [];
    this.#bytes = 0;
    this.#leftMs = 0;
  }

  wake(): void {
    const [head] = this.#parcels;
    if (head === undefined || this.#arrival !== null || this.#route.cuts.size > 0) return;
    const receiver = this.#receiver();
    const owner = receiver?.isAlive === true ? receiver : null;
    const atMs = Math.max(head.atMs, owner?.stalledUntilMs ?? 0);
    // The event has no owner in the world: a parcel for the dead is answered by their system.
    this.#arrival = this.#world.at(atMs - this.#world.nowMs, "message", null, () => this.#deliver());
  }

  #deliver(): void {
    this.#arrival = null;
    const [head] = this.#parcels;
    const receiver = this.#receiver();
    const isStalled = receiver?.isAlive === true && receiver.stalledUntilMs > this.#world.nowMs;
    if (head !== undefined && !isStalled && this.#route.cuts.size === 0) {
      this.#parcels.shift();
      this.#bytes -= head.bytes;
      this.#world.happensTo(receiver);
      head.deliver();
    }
    this.wake();
  }
}

/** One end of a connection. */
interface End {
  station: Station | null;
  handlers: Handlers | null;
  /** `closing`: it has taken leave and waits for the other end's answer. */
  state: "connecting" | "open" | "closing" | "over";
  readonly out: Lane;
  readonly socket: Socket;
}

interface Door {
  readonly station: Station;
  accept(socket: AcceptedSocket): void;
}

/** One connection. */
export class Wire {
  readonly near: End;
  readonly #far: End;
  readonly #world: World;
  readonly #network: Surroundings;
  readonly #hosts: readonly [near: string, far: string];
  readonly #onOver: () => void;

  constructor(
    world: World,
    network: Surroundings,
    station: Station,
    host: string,
    handlers: SocketHandlers,
    onOver: () => void,
  ) {
    this.#world = world;
    this.#network = network;
    this.#hosts = [station.host, host];
    this.#onOver = onOver;
    this.near = this.#end(station.host, host, station, handlers);
    this.#far = this.#end(host, station.host, null, null);
    station.atDeath((notice) => this.#died(this.near, notice));
  }

  /** Asks for the connection; without a door there, the far system says so, if it is up. */
  knock(find: () => Door | null): void {
    const { near } = this;
    const far = this.#far;
    near.out.send(ADDRESS_BYTES, () => {
      if (near.state === "over" || this.#network.isDown(this.#hosts[1])) return;
      const door = find();
      if (door === null) {
        far.state = "over";
        far.out.send(0, () => this.#over(near, BROKEN, ""));
        return;
      }
      far.station = door.station;
      far.state = "open";
      door.station.atDeath((notice) => this.#died(far, notice));
      this.#world.happensTo(door.station);
      const handle = (handlers: Handlers): void => {
        far.handlers = handlers;
      };
      door.accept(Object.assign(far.socket, { handle }));
      far.out.send(0, () => {
        if (near.state !== "connecting") return;
        near.state = "open";
        near.handlers?.onOpen?.();
      });
    });
  }

  wake(): void {
    this.near.out.wake();
    this.#far.out.wake();
  }

  hurry(route: Route): void {
    this.near.out.hurry(route);
    this.#far.out.hurry(route);
  }

  /** Has something from one host been waiting at the other for so long? */
  isUnreadFor(from: string, to: string, ms: number): boolean {
    const ends = [this.near, this.#far].filter((end) => this.#otherThan(end).state === "open");
    return ends.some((end) => {
      const [sender, receiver] = end === this.near ? this.#hosts : this.#hosts.toReversed();
      return sender === from && receiver === to && end.out.isUnreadFor(ms);
    });
  }

  reset(a: string, b: string, noticeToBoth: boolean): void {
    const [near, far] = this.#hosts;
    if (near === a && far === b) this.#break(this.near, noticeToBoth);
    else if (near === b && far === a) this.#break(this.#far, noticeToBoth);
  }

  #break(end: End, noticeToBoth: boolean): void {
    const other = this.#otherThan(end);
    other.out.clear(); // It has nowhere to arrive.
    this.#soon(end, BROKEN);
    if (!noticeToBoth) return;
    end.out.clear();
    this.#soon(other, BROKEN);
  }

  #end(from: string, to: string, station: Station | null, handlers: Handlers | null): End {
    const out: Lane = new Lane(
      this.#world,
      this.#network,
      this.#network.route(from, to),
      () => this.#otherThan(end).station,
    );
    const end: End = {
      station,
      handlers,
      state: "connecting",
      out,
      socket: {
        get bufferedBytes() {
          return out.bufferedBytes;
        },
        send: (message) => this.#send(end, message),
        close: (code, reason) => this.#close(end, code, reason),
        terminate: () => this.#terminate(end),
      },
    };
    return end;
  }

  #otherThan(end: End): End {
    return end === this.near ? this.#far : this.near;
  }

  #send(end: End, message: Uint8Array): void {
    if (end.state !== "open" || end.station?.isAlive !== true) return;
    const other = this.#otherThan(end);
    const copy = message.slice(); // Who receives it may keep it, and the sender's buffer is the sender's.
    end.out.send(copy.byteLength, () => {
      if (other.state === "over") this.#answerForTheDead(other);
      else if (other.station?.isAlive === true) other.handlers?.onMessage(copy);
    });
  }

  #close(end: End, code: number, reason: string): void {
    if (end.state === "over" || end.state === "closing") return;
    if (end.state === "connecting") {
      this.#soon(end, BROKEN);
      return;
    }
    end.state = "closing";
    const other = this.#otherThan(end);
    end.out.send(0, () => {
      if (other.state === "over") return;
      this.#over(other, code, reason);
      other.out.send(0, () => this.#over(end, code, reason));
    });
    this.#world.at(CLOSE_TIMEOUT_MS, "timer", end.station, () => this.#terminate(end));
  }

  #terminate(end: End): void {
    if (end.state === "over") return;
    this.#soon(end, BROKEN);
    const other = this.#otherThan(end);
    end.out.send(0, () => this.#over(other, BROKEN, ""));
  }

  /** A process is gone. Its system says so to the other end, unless the whole machine is gone. */
  #died(end: End, notice: boolean): void {
    if (end.state === "over") return;
    end.state = "over";
    const other = this.#otherThan(end);
    if (notice) end.out.send(0, () => this.#over(other, BROKEN, ""));
    else end.out.clear();
    this.#forgetIfOver();
  }

  /** What comes for a connection that its machine does not know (any more) is answered with a reset. */
  #answerForTheDead(end: End): void {
    const host = end === this.near ? this.#hosts[0] : this.#hosts[1];
    if (this.#network.isDown(host)) return;
    const other = this.#otherThan(end);
    end.out.send(0, () => this.#over(other, BROKEN, ""));
  }

  #soon(end: End, code: number): void {
    this.#world.at(0, "connection", end.station, () => this.#over(end, code, ""));
  }

  #over(end: End, code: number, reason: string): void {
    if (end.state === "over") return;
    end.state = "over";
    if (end.station?.isAlive === true) {
      this.#world.happensTo(end.station);
      end.handlers?.onClose(code, reason);
    }
    this.#forgetIfOver();
  }

  #forgetIfOver(): void {
    if (this.near.state === "over" && (this.#far.state === "over" || this.#far.station === null)) this.#onOver();
  }
}
