/**
 * A world in one process: a clock that jumps from event to event, a network and disks that misbehave, and one seed from
 * which everything follows. Processes get an `Environment` and can't tell the difference.
 */

import type {
  AcceptedSocket,
  Clock,
  Disk,
  DiskFile,
  Environment,
  ListenOptions,
  Network,
  Socket,
  SocketHandlers,
} from "../../src/environment.ts";
import { ConclaveError } from "../../src/errors.ts";
import { MemoryDisk } from "../support/memory-disk.ts";

/** A seeded source of chance (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let x = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 up to, but not including, `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  /** Mostly near `least`, seldom near `most`. */
  delayMs(least: number, most: number): number {
    return least + (most - least) * this.next() ** 4;
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError("there is nothing to pick from");
    return item;
  }
}

interface Happening {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | null;
}

/** Steps of promises that may follow from one event before the next one; more would only be slower. */
const TURNS_PER_EVENT = 12;

export class World {
  readonly dice: Dice;
  nowMs = 0;
  events = 0;
  #order = 0;
  /** A binary heap, the next happening first. */
  readonly #heap: Happening[] = [];
  readonly #listeners = new Map<string, { readonly process: Process; accept(socket: AcceptedSocket): void }>();
  readonly #wires = new Set<Wire>();
  /** Directions, written `from>to`, in which nothing arrives. */
  readonly #cuts = new Set<string>();

  constructor(seed: number) {
    this.dice = new Dice(seed);
  }

  at(delayMs: number, run: () => void): { cancel(): void } {
    const happening: Happening = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#push(happening);
    return {
      cancel: () => {
        happening.run = null;
      },
    };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.at(delayMs, resolve));
  }

  /** Lets the world go on until it is this late, or `done` says so. */
  async run(untilMs: number, done: () => boolean = () => false): Promise<void> {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= untilMs; next = this.#heap[0]) {
      this.#pop();
      if (next.run === null) continue;
      this.nowMs = next.atMs;
      this.events++;
      next.run();
      for (let turn = 0; turn < TURNS_PER_EVENT; turn++) await null;
      if (done()) return;
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  /** Nothing arrives any more in this direction; what is on its way waits, as it does with TCP. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  heal(): void {
    this.#cuts.clear();
    for (const wire of this.#wires) wire.wake();
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  networkOf(process: Process): Network {
    return {
      connect: (url, _options, handlers) => this.#connect(process, new URL(url).host, handlers),
      listen: (options, accept) => this.#listen(process, options, accept),
    };
  }

  async #listen(process: Process, { port }: ListenOptions, accept: (socket: AcceptedSocket) => void) {
    const place = `${process.host}:${port}`;
    if (this.#listeners.has(place)) throw new ConclaveError("ADDRESS_IN_USE", `${place} is in use`);
    this.#listeners.set(place, { process, accept });
    process.atDeath(() => this.#listeners.delete(place));
    return {
      port,
      close: async () => {
        this.#listeners.delete(place);
      },
    };
  }

  #connect(process: Process, place: string, handlers: SocketHandlers): Socket {
    const host = place.split(":")[0] ?? "";
    const near = new End(process, handlers);
    const far = new End(null, null);
    const wire = new Wire(this, near, far, () => this.#wires.delete(wire));
    this.#wires.add(wire);
    wire.join(process.host, host);
    wire.attempt(() => {
      const listener = this.#listeners.get(place);
      if (listener === undefined || !listener.process.isAlive) return false;
      far.process = listener.process;
      listener.process.atDeath(() => wire.died(far));
      listener.accept(Object.assign(wire.socketOf(far), { handle: (on: End["handlers"]) => far.listenWith(on) }));
      return true;
    });
    process.atDeath(() => wire.died(near));
    return wire.socketOf(near);
  }

  #push(happening: Happening): void {
    let i = this.#heap.push(happening) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.#isBefore(i, parent)) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  #pop(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    for (let i = 0; ; ) {
      const [left, right] = [2 * i + 1, 2 * i + 2];
      let first = left < this.#heap.length && this.#isBefore(left, i) ? left : i;
      if (right < this.#heap.length && this.#isBefore(right, first)) first = right;
      if (first === i) return;
      this.#swap(i, first);
      i = first;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [x, y] = [this.#heap[a], this.#heap[b]];
    if (x === undefined || y === undefined) return false;
    return x.atMs < y.atMs || (x.atMs === y.atMs && x.order < y.order);
  }

  #swap(a: number, b: number): void {
    const [x, y] = [this.#heap[a], this.#heap[b]];
    if (x === undefined || y === undefined) return;
    this.#heap[a] = y;
    this.#heap[b] = x;
  }
}

/** One end of a connection. */
class End {
  process: Process | null;
  handlers: Omit<SocketHandlers, "onOpen"> | SocketHandlers | null;
  isOpen = false;
  isOver = false;

  constructor(process: Process | null, handlers: End["handlers"]) {
    this.process = process;
    this.handlers = handlers;
  }

  listenWith(handlers: End["handlers"]): void {
    this.handlers = handlers;
  }
}

/** What travels: a message, or the end of the connection. */
type Parcel = { readonly message: Uint8Array } | { readonly code: number; readonly reason: string };

const BROKEN: Parcel = { code: 1006, reason: "" };

/** One connection: each direction keeps its order and has its own delays, and neither loses anything but everything. */
class Wire {
  readonly #world: World;
  readonly #near: End;
  readonly #far: End;
  readonly #ended: () => void;
  #names: readonly [near: string, far: string] = ["", ""];
  /** What waits behind a cut, by direction, oldest first. */
  readonly #stalled: { readonly to: End; readonly deliver: () => void }[] = [];
  readonly #lastMs = new Map<End, number>();

  constructor(world: World, near: End, far: End, ended: () => void) {
    this.#world = world;
    this.#near = near;
    this.#far = far;
    this.#ended = ended;
  }

  join(near: string, far: string): void {
    this.#names = [near, far];
  }

  /** Opens the connection, if the other side accepts; behind a cut, once it is healed. */
  attempt(accept: () => boolean): void {
    this.#send(this.#far, () => {
      if (this.#near.isOver) return;
      if (!accept()) {
        this.#send(this.#near, () => this.#end(this.#near, BROKEN));
        return;
      }
      this.#far.isOpen = true;
      this.#send(this.#near, () => {
        if (this.#near.isOver) return;
        this.#near.isOpen = true;
        if (this.#near.process?.isAlive && this.#near.handlers !== null && "onOpen" in this.#near.handlers) {
          this.#near.handlers.onOpen();
        }
      });
    });
  }

  socketOf(end: End): Socket {
    const other = end === this.#near ? this.#far : this.#near;
    return {
      bufferedBytes: 0,
      send: (message) => {
        const copy = message.slice();
        if (end.isOpen && !end.isOver) this.#send(other, () => this.#arrive(other, { message: copy }));
      },
      close: (code, reason) => {
        if (end.isOver) return;
        if (!end.isOpen) {
          this.#world.at(0, () => this.#end(end, BROKEN));
          return;
        }
        end.isOpen = false;
        this.#send(other, () => {
          this.#arrive(other, { code, reason });
          this.#send(end, () => this.#end(end, { code, reason }));
        });
        this.#world.at(CLOSE_TIMEOUT_MS, () => this.#end(end, BROKEN));
      },
      terminate: () => {
        end.isOpen = false;
        this.#world.at(0, () => this.#end(end, BROKEN));
        this.#send(other, () => this.#end(other, BROKEN));
      },
    };
  }

  /** A process is gone; its system says so to the other side, if that can be reached. */
  died(end: End): void {
    end.isOver = true;
    const other = end === this.#near ? this.#far : this.#near;
    this.#send(other, () => this.#end(other, BROKEN));
  }

  /** A cut is healed: what waited goes on. */
  wake(): void {
    for (const { to, deliver } of this.#stalled.splice(0)) this.#send(to, deliver);
  }

  #send(to: End, deliver: () => void): void {
    const { dice } = this.#world;
    const delayMs = dice.delayMs(0.05, 5);
    const atMs = Math.max(this.#world.nowMs + delayMs, this.#lastMs.get(to) ?? 0);
    this.#lastMs.set(to, atMs);
    this.#world.at(atMs - this.#world.nowMs, () => {
      const [near, far] = this.#names;
      const isCut = to === this.#far ? this.#world.isCut(near, far) : this.#world.isCut(far, near);
      if (isCut || this.#stalled.some((stalled) => stalled.to === to)) this.#stalled.push({ to, deliver });
      else deliver();
    });
  }

  #arrive(end: End, parcel: Parcel): void {
    if (end.isOver) return;
    if ("message" in parcel) {
      if (end.process?.isAlive) end.handlers?.onMessage(parcel.message);
    } else this.#end(end, parcel);
  }

  #end(end: End, parcel: Parcel): void {
    if (end.isOver || "message" in parcel) return;
    end.isOver = true;
    end.isOpen = false;
    if (end.process?.isAlive) end.handlers?.onClose(parcel.code, parcel.reason);
    if (this.#near.isOver && this.#far.isOver) this.#ended();
  }
}

const CLOSE_TIMEOUT_MS = 1_000;

/** One run of a process on a host. After its death nothing that it set in motion goes on. */
export class Process {
  readonly host: string;
  readonly environment: Environment;
  isAlive = true;
  readonly #world: World;
  readonly #dice: Dice;
  readonly #deaths: (() => void)[] = [];

  constructor(world: World, host: string, disk: Disk = new MemoryDisk()) {
    this.#world = world;
    this.host = host;
    this.#dice = new Dice(world.dice.below(2 ** 31));
    this.environment = {
      clock: this.#clock(),
      random: { next: () => this.#dice.next(), id: () => this.#id() },
      network: world.networkOf(this),
      disk: this.#slow(disk),
    };
  }

  atDeath(act: () => void): void {
    this.#deaths.push(act);
  }

  kill(): void {
    this.isAlive = false;
    for (const act of this.#deaths.splice(0)) act();
  }

  #id(): string {
    return Array.from({ length: 21 }, () => "0123456789abcdefghijklmnopqrstuv"[this.#dice.below(32)]).join("");
  }

  /** Started at another moment, and running a little fast or slow. */
  #clock(): Clock {
    const startMs = this.#dice.below(1e6);
    const rate = 0.98 + this.#dice.next() * 0.04;
    const alive =
      (run: () => void): (() => void) =>
      () => {
        if (this.isAlive) run();
      };
    return {
      nowMs: () => startMs + this.#world.nowMs * rate,
      setTimer: (delayMs, fire) => this.#world.at(Math.min(delayMs, 1e9) / rate, alive(fire)),
      defer: (run) => void this.#world.at(0, alive(run)),
    };
  }

  /** A disk that takes its time, and does nothing more for the dead. */
  #slow(disk: Disk): Disk {
    const after = async <T>(least: number, most: number, act: () => Promise<T>): Promise<T> => {
      await this.#world.sleep(this.#dice.delayMs(least, most));
      if (!this.isAlive) await new Promise<never>(() => {});
      return act();
    };
    const file = (inner: DiskFile): DiskFile => ({
      size: () => after(0, 0.1, () => inner.size()),
      read: (offset, length) => after(0, 0.5, () => inner.read(offset, length)),
      write: (offset, chunks) => after(0, 0.2, () => inner.write(offset, chunks)),
      truncate: (length) => after(0, 0.2, () => inner.truncate(length)),
      sync: () => after(0.05, 20, () => inner.sync()),
      close: () => after(0, 0.1, () => inner.close()),
    });
    return {
      makeFolder: (path) => after(0, 0.2, () => disk.makeFolder(path)),
      list: (path) => after(0, 0.2, () => disk.list(path)),
      open: (path, mode) => after(0, 0.2, async () => file(await disk.open(path, mode))),
      rename: (from, to) => after(0, 0.2, () => disk.rename(from, to)),
      remove: (path) => after(0, 0.2, () => disk.remove(path)),
      syncFolder: (path) => after(0.05, 10, () => disk.syncFolder(path)),
      lock: (path) => after(0, 0.2, () => disk.lock(path)),
    };
  }
}
