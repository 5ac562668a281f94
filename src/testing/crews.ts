/** Clients at work: who there are, what they have under way, and who takes the place of one whose process ends. */

import type { SimulatedCluster } from "./cluster.ts";
import type { Dice } from "./dice.ts";
import type { Guest } from "./guests.ts";
import type { Report } from "./invariants.ts";
import { type ClockRates, type Process, UNEVEN } from "./process.ts";
import type { Crew, Worker, Workload } from "./workload.ts";
import type { World } from "./world.ts";

export interface CrewsParts {
  readonly world: World;
  readonly cluster: SimulatedCluster;
  readonly dice: Dice;
  readonly workload: Workload;
  readonly report: Report;
  /** How fast the clock of a node may run. */
  readonly fastestClock: number;
  /** A piece of work has begun. */
  onWork(): void;
}

const CLIENTS = 3;
/** So many pieces of work one client has under way. */
const LINES_OF_WORK = 2;
const PAUSE_MS_MAX = 150;
/** What a call gets that is not told how long it may take. */
const CALL_MS_MAX = 3_000;
/** The last calls get less than all has to come to rest: one that is never answered has to be told from a late one. */
const LAST_CALL_MS_MAX = 20_000;
const LAST = "last";
/** So many of those whose clocks must keep up with the nodes' have some clock all the same. */
const ANY_CLOCK = 0.25;
/** So often it is one of those that is held up, or slow, for whom that is hard. */
const DELICATE = 0.8;

export class Crews {
  readonly #parts: CrewsParts;
  readonly #crews: readonly Crew[];
  /** How many pieces of work each client has under way. */
  readonly #open = new Map<string, number>();
  readonly #crewOf = new Map<string, Crew>();
  /** How many clients of each there have been. */
  readonly #started = new Map<Crew, number>();
  #isWorking = true;

  constructor(parts: CrewsParts) {
    this.#parts = parts;
    const { workload } = parts;
    const first: Crew = {
      name: "client",
      clients: CLIENTS,
      lines: LINES_OF_WORK,
      work: (worker) => workload.work(worker),
    };
    this.#crews = [first, ...(workload.crews ?? [])];
  }

  start(): void {
    for (const crew of this.#crews) for (let i = 0; i < crew.clients; i++) this.#startClient(crew);
  }

  /** Nobody begins anything any more. */
  stop(): void {
    this.#isWorking = false;
  }

  get isWorking(): boolean {
    return this.#isWorking;
  }

  /** Those who have something under way. */
  get busy(): string[] {
    return [...this.#open].flatMap(([name, count]) => (count > 0 ? [name] : []));
  }

  /** The last client of all looks back. */
  lookBack(): void {
    const { cluster, workload, report } = this.#parts;
    const guest = cluster.guests.startClient(LAST, cluster.ids, LAST_CALL_MS_MAX);
    this.#began(LAST);
    workload.lookBack(this.#workerOf(LAST, guest)).then(
      () => this.#ended(LAST),
      (error) => report("calls-answered", `though all is well again: ${String(error)}`),
    );
  }

  /** The process of some client ends without a word, and another one begins. */
  replace(dice: Dice): string {
    const { guests } = this.#parts.cluster;
    const name = dice.pick([...guests.clients.keys()]);
    guests.killClient(name);
    this.#open.delete(name); // What it had under way is never answered.
    const crew = this.#crewOf.get(name);
    this.#crewOf.delete(name);
    if (crew !== undefined) this.#startClient(crew);
    return name;
  }

  /** Some client, mostly one for whom the workload says that it would be hard. */
  pick(dice: Dice): string {
    const { cluster, workload } = this.#parts;
    const { clients } = cluster.guests;
    const delicate = (workload.delicate?.() ?? []).filter((name) => clients.has(name));
    return dice.pick(delicate.length > 0 && dice.chance(DELICATE) ? delicate : [...clients.keys()]);
  }

  #startClient(crew: Crew): void {
    const { cluster } = this.#parts;
    const number = (this.#started.get(crew) ?? 0) + 1;
    this.#started.set(crew, number);
    const name = `${crew.name}${number}`;
    this.#crewOf.set(name, crew);
    const guest = cluster.guests.startClient(name, cluster.ids, CALL_MS_MAX, this.#clockRatesOf(crew));
    for (let i = 0; i < crew.lines; i++) this.#work(crew, this.#workerOf(name, guest), guest.process);
  }

  #clockRatesOf({ clockLagMax }: Crew): ClockRates {
    if (clockLagMax === undefined || this.#parts.dice.chance(ANY_CLOCK)) return UNEVEN;
    const most = this.#parts.fastestClock;
    return { least: (1 - clockLagMax) * most, most };
  }

  #workerOf(name: string, { client, process }: Guest): Worker {
    const { cluster, dice, fastestClock } = this.#parts;
    return {
      client,
      name,
      dice: dice.fork(),
      nodes: cluster.ids,
      lifeOf: (node) => cluster.lifeOf(node),
      isGone: () => !cluster.guests.clients.has(name),
      clock: process.environment.clock,
      clockLag: Math.max(0, 1 - process.clockRate / fastestClock),
      stalledMs: () => process.stalledMs,
      eachTurn: (act) => process.eachTurn(act),
    };
  }

  /** One line of work: one piece after the other, with pauses, for as long as its client lives. */
  #work(crew: Crew, worker: Worker, process: Process): void {
    const { world, report, onWork } = this.#parts;
    const next = (): void => {
      if (!this.#isWorking) return;
      this.#began(worker.name);
      onWork();
      const done = (): void => {
        this.#ended(worker.name);
        world.at(worker.dice.seldom(0, PAUSE_MS_MAX), "work", process, next);
      };
      crew.work(worker).then(done, (error) => report("workload", String(error)));
    };
    world.at(worker.dice.between(0, PAUSE_MS_MAX), "work", process, next);
  }

  #began(client: string): void {
    this.#open.set(client, (this.#open.get(client) ?? 0) + 1);
  }

  #ended(client: string): void {
    const open = this.#open.get(client);
    if (open !== undefined) this.#open.set(client, open - 1);
  }
}
