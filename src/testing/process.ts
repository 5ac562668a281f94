/** One run of a process on a simulated machine. After its death nothing that it set in motion goes on. */

import type { Clock, Disk, Environment } from "../environment.ts";
import type { Dice } from "./dice.ts";
import { MemoryDisk, type Operation } from "./memory-disk.ts";
import type { SimulatedNetwork } from "./network.ts";
import type { Station } from "./wire.ts";
import type { What, World } from "./world.ts";

/** What a process is given of its machine. */
export interface Machine {
  readonly host: string;
  readonly memory: MemoryDisk;
  /** The disk as the process sees it, if somebody listens to what it does with it. */
  readonly disk?: Disk;
  /** How long a flush may take at most. */
  readonly syncMsMax: () => number;
  /** How evenly its clock may run; as unevenly as any by default. */
  readonly clockRates?: ClockRates;
}

/** How slow the slowest clock is, and how fast the fastest. */
export interface ClockRates {
  readonly least: number;
  readonly most: number;
}

/** More than is lost when a delay is converted: a timer that fired too early would be set again for no time at all. */
const ROUNDING_MS = 1e-6;
/** How long an operation of the disk that is no flush may take at most. */
const OPERATION_MS_MAX = 0.1;
const READ_MS_MAX = 0.5;
/** Half as fast again, or not much more than half as fast. */
export const UNEVEN: ClockRates = { least: 0.6, most: 1.6 };
const ID_LETTERS = "0123456789abcdefghijklmnopqrstuv";

export class Process implements Station {
  readonly name: string;
  readonly host: string;
  readonly environment: Environment;
  isAlive = true;
  stalledUntilMs = 0;
  readonly #world: World;
  readonly #dice: Dice;
  readonly #deaths: ((notice: boolean) => void)[] = [];

  constructor(world: World, network: SimulatedNetwork, dice: Dice, machine: Machine) {
    this.name = machine.host;
    this.host = machine.host;
    this.#world = world;
    this.#dice = dice;
    machine.memory.delay = (operation) => this.#delay(operation, machine);
    this.environment = {
      clock: this.#clock(machine.clockRates ?? UNEVEN),
      random: { next: () => this.#dice.next(), id: () => this.#id() },
      network: network.of(this),
      disk: machine.disk ?? machine.memory,
    };
  }

  atDeath(act: (notice: boolean) => void): void {
    this.#deaths.push(act);
  }

  /** @param notice whether the system lives on, and closes what the process had open */
  kill(notice: boolean): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    for (const act of this.#deaths.splice(0)) act(notice);
  }

  /** The event loop is held up; what comes meanwhile is found afterwards, all at once. */
  stall(forMs: number): void {
    this.stalledUntilMs = Math.max(this.stalledUntilMs, this.#world.nowMs + forMs);
  }

  /** What it does now takes this long; whatever is due for it comes afterwards. */
  spend(ms: number): void {
    if (ms > 0) this.stalledUntilMs = Math.max(this.stalledUntilMs, this.#world.nowMs) + ms;
  }

  #at(delayMs: number, what: What, run: () => void): { cancel(): void } {
    return this.#world.at(delayMs, what, this, run);
  }

  #id(): string {
    let id = "";
    for (let i = 0; i < 21; i++) id += ID_LETTERS[this.#dice.below(32)];
    return id;
  }

  /**
   * Started at another moment than the others, and running a little fast or slow, or half as fast again: a leader that is
   * slow to notice that it is alone leads on while another one leads already.
   */
  #clock({ least, most }: ClockRates): Clock {
    const startMs = this.#dice.below(1e6);
    const rate = this.#dice.chance(0.5) ? this.#dice.between(0.98, 1.02) : this.#dice.between(least, most);
    const nowMs = (): number => startMs + Math.max(this.#world.nowMs, this.stalledUntilMs) * rate;
    return {
      nowMs,
      timeMs: () => EPOCH_MS + Math.floor(nowMs()),
      setTimer: (delayMs, fire) => this.#at(Math.min(Math.max(delayMs, 0), 1e9) / rate + ROUNDING_MS, "timer", fire),
      defer: (run) => void this.#at(0, "turn", run),
    };
  }

  /** Every operation takes its time, and a dead process learns of none of them. */
  #delay(operation: Operation, { syncMsMax }: Machine): Promise<void> {
    const isFlush = operation === "sync" || operation === "syncFolder";
    const mostMs = isFlush ? syncMsMax() : operation === "read" ? READ_MS_MAX : OPERATION_MS_MAX;
    return new Promise((resolve) => void this.#at(this.#dice.seldom(0.01, mostMs), "disk", resolve));
  }
}

/** When the simulated world began, by the time of day. */
const EPOCH_MS = 1_700_000_000_000;

/** A machine for a process that keeps nothing. */
export const diskless = (host: string): Machine => ({ host, memory: new MemoryDisk(), syncMsMax: () => 1 });
