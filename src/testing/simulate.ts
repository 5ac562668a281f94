/** One run: a whole cluster, clients at work, and everything that goes wrong, all of it from one seed. */

import { ConclaveError } from "../errors.ts";
import { configurationOf, knownLeader } from "../raft/index.ts";
import { SimulatedCluster, type SimulatedStory } from "./cluster.ts";
import { Crews } from "./crews.ts";
import { Dice } from "./dice.ts";
import { Faults } from "./faults.ts";
import { type Invariant, Invariants, type Report, type Sights } from "./invariants.ts";
import { textOf } from "./memberships.ts";
import { SimulatedNetwork } from "./network.ts";
import { UNEVEN } from "./process.ts";
import { recipesWorkload } from "./recipes/workload.ts";
import { unjudgedWorkload } from "./unjudged-workload.ts";
import type { FaultKind, Profile } from "./weather.ts";
import type { Counted, NewWorkload, Workload } from "./workload.ts";
import { type What, World } from "./world.ts";

/**
 * What `simulate` takes.
 *
 * @example
 * ```ts
 * import { type SimulationOptions, simulate } from "conclave/testing";
 *
 * const options: SimulationOptions = { seed: 42, nodes: 5, profile: "divided", events: 500 };
 * console.log((await simulate(options)).breach); // null
 * ```
 */
export interface SimulationOptions {
  readonly seed: number;
  /** How many nodes, 3 or more; default 3 or 5, as the seed says. */
  readonly nodes?: number;
  /** Default `hostile`. */
  readonly profile?: Profile;
  /** How many events things go wrong for, before everything has to come to rest; default 10,000. */
  readonly events?: number;
  /** What clients do, and with which state machine; the key-value store, locks and a machine with a name by default. */
  readonly workload?: NewWorkload;
  /** Of the faults only those with these numbers; all of them by default. */
  readonly faults?: readonly number[];
  /** Gets every event as it happens. */
  readonly trace?: (line: TraceLine) => void;
  /**
   * Called every few thousand events, and waited for: a run leaves a real event loop no other room to look at signals
   * and timers. What it throws ends the run. The run goes the same way with and without it.
   */
  readonly pause?: (progress: Progress) => Promise<void>;
}

/**
 * How far a run has come.
 *
 * @example
 * ```ts
 * import { type Progress, simulate } from "conclave/testing";
 *
 * const show = async ({ events, virtualMs }: Progress): Promise<void> => console.log(events, virtualMs);
 * await simulate({ seed: 42, events: 500, pause: show });
 * ```
 */
export interface Progress {
  readonly events: number;
  readonly virtualMs: number;
}

/**
 * Something that happened in the simulated world.
 *
 * @example
 * ```ts
 * import { simulate, type TraceLine } from "conclave/testing";
 *
 * const faults: string[] = [];
 * const trace = ({ atMs, event }: TraceLine): void => {
 *   if (event.type === "fault") faults.push(`${atMs.toFixed(0)} ms: ${event.kind} ${event.detail}`);
 * };
 * await simulate({ seed: 42, events: 500, trace });
 * ```
 */
export interface TraceLine {
  readonly atMs: number;
  /** To which process; empty for the world itself. */
  readonly process: string;
  readonly event:
    | { readonly type: "event"; readonly what: What }
    | { readonly type: "story"; readonly story: SimulatedStory }
    | { readonly type: "fault"; readonly number: number; readonly kind: FaultKind; readonly detail: string };
}

/**
 * An invariant that did not hold.
 *
 * @example
 * ```ts
 * import type { Breach } from "conclave/testing";
 *
 * const inWords = ({ invariant, detail, event }: Breach): string => `${invariant} at event ${event}: ${detail}`;
 * ```
 */
export interface Breach {
  readonly invariant: Invariant;
  readonly detail: string;
  readonly atMs: number;
  /** The number of the event. */
  readonly event: number;
}

/**
 * How a run went.
 *
 * @example
 * ```ts
 * import { type SimulationResult, simulate } from "conclave/testing";
 *
 * const inWords = ({ breach, faults }: SimulationResult): string =>
 *   breach === null ? "it survived" : `${breach.invariant} after ${faults.length} faults`;
 * console.log(inWords(await simulate({ seed: 42, events: 500 }))); // it survived
 * ```
 */
export interface SimulationResult {
  readonly seed: number;
  /** Null if every invariant held. */
  readonly breach: Breach | null;
  readonly events: number;
  readonly virtualMs: number;
  /** The numbers of the faults that came about. */
  readonly faults: readonly number[];
  readonly faultCounts: Readonly<Partial<Record<FaultKind, number>>>;
  readonly sights: Readonly<Sights & Record<Seen, number>>;
  /** The stories and faults before the end, oldest first. */
  readonly recent: readonly TraceLine[];
}

/** What else is counted. */
type Seen =
  | "tornTails"
  | "sessionsExpired"
  | "transfers"
  | "works"
  | Counted
  | "comparisons"
  | "divergences"
  | "repairs"
  | "snapshotsTaken"
  | "snapshotsInstalled"
  | "snapshotsResumed"
  | "snapshotsDamaged"
  | "promotions"
  | "compactions"
  | "removals"
  | "rejoins"
  | "fullDisks"
  | "stuck";

export const DEFAULT_EVENTS = 10_000;
/**
 * How many nodes a simulated cluster has at least: with fewer, no node may fail, or there is nobody to talk to.
 *
 * @example
 * ```ts
 * import { NODES_MIN, simulate } from "conclave/testing";
 *
 * console.log((await simulate({ seed: 42, nodes: NODES_MIN, events: 500 })).breach); // null
 * ```
 */
export const NODES_MIN = 3;
/** In so many clusters leaders serve reads under a lease, and clocks run as evenly as that asks for. */
const LEASED = 0.5;
const LEASES = { clockDriftMax: 0.12, clockRates: { least: 0.95, most: 1.06 } };
/** And in so many they run so evenly that whoever counts a little too long is found out. */
const EVEN = 0.35;
const EVEN_RATES = { least: 0.995, most: 1.005 };
/** So many clusters begin with an older program, if there is one. */
const UPDATED = 0.3;
/**
 * In so many there are others at work than those of the key-value store. They write all the time, and what goes wrong
 * between logs of which one is a little longer, or neither is, comes about where less is written.
 */
const CROWDED: Readonly<Record<Profile, number>> = { calm: 0.5, faulty: 0.75, divided: 0.25, parted: 0, hostile: 0.75 };
/** From a snapshot every few dozen entries to one every few hundred. */
const LOG_BYTES_MAX = [4_096, 8_192, 16_384];
const NO_LEASES = { clockDriftMax: null, clockRates: UNEVEN };
/** What a story shows. */
const SEEN_BY_STORY: Partial<Record<SimulatedStory["event"], Seen>> = {
  "transfer-started": "transfers",
  "states-agree": "comparisons",
  diverged: "divergences",
  repaired: "repairs",
  "snapshot-taken": "snapshotsTaken",
  "snapshot-installed": "snapshotsInstalled",
  "snapshot-damaged": "snapshotsDamaged",
  compacted: "compactions",
  removed: "removals",
  unrecognized: "rejoins",
  "disk-full": "fullDisks",
};
/** Somebody has states compared about so often, beside what the nodes do by themselves; in the end more often. */
const COMPARE_EVERY_MS = 700;
const COMPARE_AGAIN_MS = 500;
const RECENT_MAX = 60;
const EVENTS_PER_PAUSE = 2_000;
/** More steps of promises than can follow from an event: after them a pause of any length changes nothing. */
const TURNS_BEFORE_PAUSE = 1_000;
/** Once everything works again, this long may pass until it has come to rest. */
const REST_MS_MAX = 30_000;
/** And so many events: a cluster that is busy for ever is not at rest, however little time goes by. */
const REST_EVENTS_MAX = 1_000_000;

/**
 * Runs a cluster until so many events have gone by and all has come to rest, or an invariant breaks. The same options
 * give the same run, event for event, on every runtime.
 *
 * @example
 * ```ts
 * import { simulate } from "conclave/testing";
 *
 * const { breach, sights } = await simulate({ seed: 42, profile: "faulty", events: 1_000 });
 * if (breach !== null) throw new Error(`${breach.invariant}: ${breach.detail}`);
 * console.log(sights.elections > 0); // true
 * ```
 *
 * @throws ConclaveError `INVALID_ARGUMENT`
 */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const { nodes = NODES_MIN } = options;
  if (!Number.isInteger(nodes) || nodes < NODES_MIN) {
    throw new ConclaveError("INVALID_ARGUMENT", `A simulated cluster has ${NODES_MIN} nodes or more, not ${nodes}.`);
  }
  return new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #profile: Profile;
  readonly #dice: Dice;
  readonly #world: World;
  readonly #network: SimulatedNetwork;
  readonly #cluster: SimulatedCluster;
  readonly #invariants: Invariants;
  readonly #faults: Faults;
  readonly #workload: Workload;
  readonly #crews: Crews;
  readonly #faultNumbers: number[] = [];
  readonly #faultCounts: Partial<Record<FaultKind, number>> = {};
  readonly #recent: TraceLine[] = [];
  readonly #more: Record<Seen, number> = {
    tornTails: 0,
    sessionsExpired: 0,
    transfers: 0,
    works: 0,
    grants: 0,
    losses: 0,
    timersRunOut: 0,
    comparisons: 0,
    divergences: 0,
    repairs: 0,
    snapshotsTaken: 0,
    snapshotsInstalled: 0,
    snapshotsResumed: 0,
    snapshotsDamaged: 0,
    promotions: 0,
    compactions: 0,
    removals: 0,
    rejoins: 0,
    fullDisks: 0,
    stuck: 0,
  };
  #breach: Breach | null = null;
  #leaderOfCalm: string | null = null;
  /** The newest entry at which each node has found its state to be a majority's. */
  readonly #agreedAt = new Map<string, number>();

  constructor(options: SimulationOptions) {
    const { seed, profile = "hostile" } = options;
    const { workload = profile === "parted" ? unjudgedWorkload : recipesWorkload } = options;
    this.#options = options;
    this.#profile = profile;
    this.#dice = new Dice(seed);
    const nodes = options.nodes ?? this.#dice.pick([3, 3, 5]);
    const leases = this.#dice.chance(LEASED) ? LEASES : NO_LEASES;
    const clocks = this.#dice.chance(EVEN) ? { ...leases, clockRates: EVEN_RATES } : leases;
    const report: Report = (invariant, detail) => this.#report(invariant, detail);
    this.#world = new World((subject, what) => this.#watch(subject?.name ?? null, what));
    this.#network = new SimulatedNetwork(this.#world, this.#dice.fork());
    this.#invariants = new Invariants(
      report,
      (id) => this.#cluster.outlook.isKnownToAll(id),
      (id, entry) => this.#cluster.claims.checkActivation(id, entry),
    );
    const fastestClock = clocks.clockRates.most;
    // In a calm world no leader is stopped.
    const isUpdated = this.#dice.chance(UPDATED) && profile !== "calm";
    this.#workload = workload(() => this.#world.nowMs, {
      report,
      later: (delayMs, act) => void this.#world.at(delayMs, "work", null, act),
      fastestClock,
      isUpdated,
      isCrowded: this.#dice.chance(CROWDED[profile]),
      count: (what) => void this.#more[what]++,
      dice: this.#dice.fork(),
    });
    const { older } = this.#workload;
    this.#cluster = new SimulatedCluster({
      world: this.#world,
      network: this.#network,
      dice: this.#dice.fork(),
      nodes,
      invariants: this.#invariants,
      report,
      machine: () => this.#workload.machine(),
      older: isUpdated ? (older ?? null) : null,
      ...clocks,
      logBytesMax: this.#dice.pick(LOG_BYTES_MAX),
      tell: (process, story) => this.#told(process, story),
      onDown: (id) => this.#faults.onDown(id),
    });
    this.#faults = new Faults({
      world: this.#world,
      network: this.#network,
      cluster: this.#cluster,
      seed,
      profile,
      only: options.faults === undefined ? null : new Set(options.faults),
      tell: (number, kind, detail) => this.#struck(number, kind, detail),
      replaceClient: (dice) => this.#crews.replace(dice),
      pickClient: (dice) => this.#crews.pick(dice),
    });
    this.#crews = new Crews({
      world: this.#world,
      cluster: this.#cluster,
      dice: this.#dice,
      workload: this.#workload,
      report,
      fastestClock,
      onWork: () => void this.#more.works++,
    });
  }

  async run(): Promise<SimulationResult> {
    this.#cluster.startAll();
    this.#cluster.guests.observe();
    this.#crews.start();
    this.#faults.start();
    this.#compareLater(this.#dice.fork());
    await this.#letThingsGoWrong();
    if (this.#breach === null) await this.#comeToRest();
    // Nobody can keep clients from being told what is wrong before it is found out.
    if (this.#breach === null && this.#profile !== "parted")
      this.#workload.judge((invariant, detail) => this.#report(invariant, detail));
    return {
      seed: this.#options.seed,
      breach: this.#breach,
      events: this.#world.events,
      virtualMs: this.#world.nowMs,
      faults: this.#faultNumbers,
      faultCounts: this.#faultCounts,
      sights: { ...this.#invariants.sights, ...this.#more },
      recent: this.#recent,
    };
  }

  async #letThingsGoWrong(): Promise<void> {
    const { events = DEFAULT_EVENTS, pause } = this.#options;
    const isOver = (): boolean => this.#breach !== null || this.#world.events >= events;
    while (!isOver()) {
      const untilEvent = this.#world.events + EVENTS_PER_PAUSE;
      await this.#advance(Number.POSITIVE_INFINITY, () => isOver() || this.#world.events >= untilEvent);
      for (let turn = 0; turn < TURNS_BEFORE_PAUSE; turn++) await null;
      await pause?.({ events: this.#world.events, virtualMs: this.#world.nowMs });
    }
  }

  /** Everything works again: one leader, the same log everywhere, all calls answered, and everybody knows it. */
  async #comeToRest(): Promise<void> {
    this.#faults.stop();
    this.#crews.stop();
    this.#network.heal();
    for (const id of this.#cluster.ids) this.#cluster.disks.heal(id);
    this.#cluster.updateAll();
    this.#cluster.startAll();
    // Disks were lost while a change was on its way that made the others too few: no operator could help that.
    if (!this.#cluster.outlook.canDoWithout(null)) {
      this.#more.stuck++;
      return;
    }
    await this.#untilAnswered();
    await this.#untilAtRest();
    if (this.#breach === null && this.#faults.finish()) await this.#untilAtRest();
    if (this.#breach !== null) return;
    this.#crews.lookBack();
    await this.#untilAnswered();
    await this.#untilAtRest();
    if (this.#cluster.isDisputed) {
      this.#more.stuck++;
      return;
    }
    await this.#untilStatesAgree();
    await this.#until(
      "disk-bounded",
      () => this.#cluster.outlook.overfull === null,
      () => this.#cluster.outlook.overfull ?? "",
    );
    const differing = this.#cluster.outlook.differingState();
    const invariant = this.#profile === "parted" ? "replicas-agree" : "state-machine-safety";
    if (differing !== null) this.#report(invariant, differing);
  }

  /** Asks a leader, if there is one, to have states compared, and again later. */
  #compareLater(dice: Dice): void {
    this.#world.at(dice.between(0, 2 * COMPARE_EVERY_MS), "work", null, () => {
      if (!this.#crews.isWorking) return;
      this.#compare();
      this.#compareLater(dice);
    });
  }

  #compare(): void {
    const { leader, guests } = this.#cluster;
    if (leader !== null) guests.order(this.#cluster.urlOf(leader), { type: "compare" });
  }

  /** Whoever has come to another state than the others finds out, and comes to theirs. */
  async #untilStatesAgree(): Promise<void> {
    if (this.#breach !== null) return;
    const { cores, leader, outlook } = this.#cluster;
    const lastIndex = cores.get(leader ?? "")?.log.lastIndex ?? 0;
    let isOver = false;
    const compareUntilOver = (): void => {
      if (isOver) return;
      this.#compare();
      this.#world.at(COMPARE_AGAIN_MS, "work", null, compareUntilOver);
    };
    compareUntilOver();
    const lacking = (): string[] => outlook.lasting.filter((id) => (this.#agreedAt.get(id) ?? 0) <= lastIndex);
    await this.#until(
      "replicas-agree",
      () => lacking().length === 0 && this.#cluster.areStatesSound,
      () => `${lacking().join(" and ")} have not come to the state of a majority since entry ${lastIndex}`,
    );
    isOver = true;
    await this.#untilAtRest();
  }

  /** An exception that escapes a timer or a socket would end a real process. */
  async #advance(untilMs: number, isOver: () => boolean): Promise<void> {
    try {
      await this.#world.run(untilMs, isOver);
    } catch (error) {
      const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#report("process-lives", `${this.#world.subject?.name ?? "the world"}: ${detail}`);
    }
  }

  #untilAnswered(): Promise<void> {
    return this.#until(
      "calls-answered",
      () => this.#crews.busy.length === 0,
      () => `calls of ${this.#crews.busy.join(", ")} are still open`,
    );
  }

  #untilAtRest(): Promise<void> {
    return this.#until(
      "comes-to-rest",
      () => this.#faults.areOver && this.#isAtRest(),
      () => (this.#faults.areOver ? this.#unrest() : "what the weather ends with never came to pass"),
    );
  }

  async #until(invariant: Invariant, isSo: () => boolean, detail: () => string): Promise<void> {
    if (this.#breach !== null || isSo()) return;
    const lastEvent = this.#world.events + REST_EVENTS_MAX;
    const isOver = (): boolean => this.#breach !== null || isSo() || this.#world.events >= lastEvent;
    await this.#advance(this.#world.nowMs + REST_MS_MAX, isOver);
    if (this.#breach === null && !isSo()) this.#report(invariant, detail());
  }

  #isAtRest(): boolean {
    const { cores, leader } = this.#cluster;
    const { lasting } = this.#cluster.outlook;
    const { announced, clients } = this.#cluster.guests;
    const core = leader === null ? undefined : cores.get(leader);
    if (core === undefined || lasting.some((id) => !cores.has(id))) return false;
    const { term, log } = core;
    const { members } = configurationOf(core);
    const isComplete =
      members.length === lasting.length &&
      members.every(
        ({ id, role, promotion, incarnation }) =>
          (role === "voter" || role === "learner") &&
          promotion === null &&
          incarnation === cores.get(id)?.config.incarnation,
      );
    const agrees = [...cores].every(
      ([id, other]) =>
        !lasting.includes(id) ||
        (other.term === term &&
          other.log.lastIndex === log.lastIndex &&
          other.commitIndex === log.lastIndex &&
          other.appliedIndex === log.lastIndex),
    );
    const isKnown = [...clients.values()].every(
      (client) => client.leader?.id === leader && client.leader.term === term,
    );
    return isComplete && agrees && isKnown && announced?.term === term && announced.leader?.id === leader;
  }

  #unrest(): string {
    const { cores, leader } = this.#cluster;
    const { lasting } = this.#cluster.outlook;
    const { announced, clients } = this.#cluster.guests;
    const lines = [...cores].map(
      ([id, { role, term, log, commitIndex, appliedIndex }]) =>
        `${id}: ${role.name} of term ${term}, last ${log.lastIndex}, committed ${commitIndex}, applied ${appliedIndex}`,
    );
    const views = [...clients].map(([name, client]) => `${name} knows ${client.leader?.id} of ${client.leader?.term}`);
    const directory = `the directory knows ${announced?.leader?.id} of ${announced?.term}`;
    const core = leader === null ? undefined : cores.get(leader);
    const members = core === undefined ? "" : `its members are ${textOf(configurationOf(core))}`;
    return [`the leader is ${leader} of ${lasting.join(" ")}`, members, ...lines, ...views, directory].join("\n");
  }

  #watch(subject: string | null, what: What): void {
    const { trace } = this.#options;
    trace?.({ atMs: this.#world.nowMs, process: subject ?? "", event: { type: "event", what } });
    if (subject !== null) this.#invariants.inspect(subject);
    if (this.#profile === "calm" && subject !== null) this.#watchCalm();
  }

  /** Until all have heard of a leader, one of them may have asked for votes before it did. */
  #watchCalm(): void {
    const { cores, leader } = this.#cluster;
    if (leader === this.#leaderOfCalm) return;
    if (this.#leaderOfCalm !== null) this.#report("undisturbed", `${this.#leaderOfCalm} was replaced by ${leader}`);
    if (leader !== null && [...cores.values()].every((core) => knownLeader(core) === leader))
      this.#leaderOfCalm = leader;
  }

  #told(process: string, story: SimulatedStory): void {
    if (story.event === "recovered" && story.tornBytes > 0) this.#more.tornTails++;
    if (story.event === "sessions-expired") this.#more.sessionsExpired += story.count;
    if (story.event === "snapshot-drawn" && story.resumedAt > 0) this.#more.snapshotsResumed++;
    if (story.event === "configuration" && story.committed && process === this.#cluster.leader) {
      this.#more.promotions += story.configuration.members.filter(({ role }) => role === "incoming").length;
    }
    if (story.event === "states-agree") this.#agreedAt.set(process, story.index);
    const seen = SEEN_BY_STORY[story.event];
    if (seen !== undefined) this.#more[seen]++;
    this.#note({ atMs: this.#world.nowMs, process, event: { type: "story", story } });
  }

  #struck(number: number, kind: FaultKind, detail: string): void {
    this.#faultNumbers.push(number);
    this.#faultCounts[kind] = (this.#faultCounts[kind] ?? 0) + 1;
    this.#note({ atMs: this.#world.nowMs, process: "", event: { type: "fault", number, kind, detail } });
  }

  #note(line: TraceLine): void {
    this.#options.trace?.(line);
    this.#recent.push(line);
    if (this.#recent.length > RECENT_MAX) this.#recent.shift();
  }

  /** Only the first breach counts: what follows from it is no news. */
  #report(invariant: Invariant, detail: string): void {
    this.#breach ??= { invariant, detail, atMs: this.#world.nowMs, event: this.#world.events };
  }
}
