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
const NEARLY_RIGHT: ClockRates = { least: 0.98, most: 1.02 };
const ID_LETTERS = "0123456789abcdefghijklmnopqrstuv";

export class Process implements Station {
  readonly name: string;
  readonly host: string;
  readonly environment: Environment;
  isAlive = true;
  stalledUntilMs = 0;
  /** For how long its event loop has been held up in all, or will have been. */
  stalledMs = 0;
  /** How fast its clock runs. */
  readonly clockRate: number;
  readonly #world: World;
  readonly #dice: Dice;
  readonly #deaths: ((notice: boolean) => void)[] = [];
  readonly #turns: (() => void)[] = [];

  constructor(world: World, network: SimulatedNetwork, dice: Dice, machine: Machine) {
    this.name = machine.host;
    this.host = machine.host;
    this.#world = world;
    this.#dice = dice;
    machine.memory.delay = (operation) => this.#delay(operation, machine);
    const startMs = dice.below(1e6);
    this.clockRate = rateOf(dice, machine.clockRates ?? UNEVEN);
    this.environment = {
      clock: this.#clock(startMs),
      random: { next: () => this.#dice.next(), id: () => this.#id() },
      network: network.of(this),
      disk: machine.disk ?? machine.memory,
    };
  }

  atDeath(act: (notice: boolean) => void): void {
    this.#deaths.push(act);
  }

  /** Calls `act` before each thing that happens to this process, as if it had asked for a turn of its own at that moment. */
  eachTurn(act: () => void): void {
    this.#turns.push(act);
  }

  beforeTurn(): void {
    if (!this.isAlive || this.stalledUntilMs > this.#world.nowMs) return;
    for (const act of this.#turns) act();
  }

  /** @param notice whether the system lives on, and closes what the process had open */
  kill(notice: boolean): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    for (const act of this.#deaths.splice(0)) act(notice);
  }

  /** The event loop is held up; what comes meanwhile is found afterwards, all at once. */
  stall(forMs: number): void {
    const { nowMs } = this.#world;
    const untilMs = Math.max(this.stalledUntilMs, nowMs + forMs);
    this.stalledMs += untilMs - Math.max(this.stalledUntilMs, nowMs);
    this.stalledUntilMs = untilMs;
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

  #clock(startMs: number): Clock {
    const rate = this.clockRate;
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

/**
 * Clocks were started at another moment than the others, and run a little fast or slow, or half as fast again: a leader
 * that is slow to notice that it is alone leads on while another one leads already.
 */
function rateOf(dice: Dice, { least, most }: ClockRates): number {
  const isNearlyRight = dice.chance(0.5) && least <= 1 && most >= 1;
  if (!isNearlyRight) return dice.between(least, most);
  return dice.between(Math.max(least, NEARLY_RIGHT.least), Math.min(most, NEARLY_RIGHT.most));
}

/** When the simulated world began, by the time of day. */
const EPOCH_MS = 1_700_000_000_000;

/** A machine for a process that keeps nothing. */
export const diskless = (host: string): Machine => ({ host, memory: new MemoryDisk(), syncMsMax: () => 1 });
