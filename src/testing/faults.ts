/**
 * What goes wrong. Faults are numbered, and each draws what it needs from a source of its own: a run can be repeated
 * with some of them left out and the others as they were.
 */

import { type SimulatedCluster, TIMING, type TurningPoint } from "./cluster.ts";
import { Dice } from "./dice.ts";
import type { SimulatedNetwork } from "./network.ts";
import type { World } from "./world.ts";

/**
 * How bad it gets. In a calm world nothing happens to a leader or between it and a majority. In a divided one disks keep
 * what they have, and the network falls apart for long enough that leaders are elected while others still lead.
 */
export type Profile = "calm" | "faulty" | "divided" | "hostile";

/** All of them, the mildest first. */
export const PROFILES: readonly Profile[] = ["calm", "faulty", "divided", "hostile"];

const FAULTS = [
  "kill",
  "crash",
  "stop",
  "wipe",
  "damage",
  "stall",
  "cut-off",
  "cut-one-way",
  /** It does not hear the leader, who hears it. */
  "deaf",
  /** Two nodes can't reach each other. */
  "apart",
  /**
   * The next leader is cut off as it is elected, before its first entry leaves it (paper, Figure 8), or the next candidate,
   * alone in its new term.
   */
  "coup",
  /** The leader is cut off together with some of the clients, who go on asking it. */
  "left-behind",
  "partition",
  "slow-link",
  "reset",
  "half-open",
  "slow-disk",
  "failing-disk",
  "full-disk",
  "directory-crash",
  "client-crash",
  "transfer",
] as const;

/** Something that goes wrong. */
export type FaultKind = (typeof FAULTS)[number];

/** How a link is when nothing is wrong with it. */
const JITTER_MS = 5;
const FAST_BYTES_PER_MS = 100_000;

interface Weather {
  /** How far apart faults are, on average. */
  readonly everyMs: number;
  /** How long what is down, cut or slow stays so, at most. */
  readonly lastsMsMax: number;
  /** Most of it short, or all lengths alike. */
  readonly lasts: "seldom" | "between";
  /** What goes wrong before anything else, if it is always the same. */
  readonly first?: FaultKind;
  /** How often each kind comes, in relation to the others. */
  readonly weights: Partial<Record<FaultKind, number>>;
}

const WEATHER: Record<Profile, Weather> = {
  calm: {
    everyMs: 500,
    lastsMsMax: 1_500,
    lasts: "between",
    weights: { kill: 2, crash: 1, "cut-off": 4, deaf: 4, "client-crash": 1, "directory-crash": 1 },
  },
  faulty: {
    everyMs: 400,
    lastsMsMax: 1_500,
    lasts: "seldom",
    weights: {
      kill: 4,
      crash: 3,
      stop: 2,
      stall: 2,
      "cut-off": 3,
      partition: 2,
      "slow-link": 2,
      reset: 2,
      "slow-disk": 2,
      "directory-crash": 1,
      "client-crash": 1,
      transfer: 2,
    },
  },
  divided: {
    everyMs: 400,
    lastsMsMax: 1_200,
    lasts: "between",
    first: "apart", // So that not all have met when the first leader is elected.
    weights: {
      kill: 1,
      crash: 2,
      stall: 1,
      "cut-off": 2,
      "cut-one-way": 2,
      deaf: 1,
      apart: 1,
      coup: 6,
      "left-behind": 14,
      partition: 2,
      "slow-link": 2,
      reset: 2,
      "slow-disk": 3,
      "client-crash": 0.3,
      transfer: 1,
    },
  },
  hostile: {
    everyMs: 120,
    lastsMsMax: 2_500,
    lasts: "seldom",
    weights: {
      kill: 4,
      crash: 6,
      stop: 2,
      wipe: 0.3,
      damage: 0.3,
      stall: 3,
      "cut-off": 3,
      "cut-one-way": 3,
      deaf: 1,
      coup: 1,
      partition: 3,
      "slow-link": 3,
      reset: 3,
      "half-open": 3,
      "slow-disk": 3,
      "failing-disk": 1,
      "full-disk": 1,
      "directory-crash": 1,
      "client-crash": 1,
      transfer: 2,
    },
  },
};

export interface FaultsOptions {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly cluster: SimulatedCluster;
  readonly seed: number;
  readonly profile: Profile;
  /** Only these come about; all of them if null. */
  readonly only: ReadonlySet<number> | null;
  /** Tells of each fault that comes about. */
  tell(number: number, kind: FaultKind, detail: string): void;
  /** Ends a client, and starts another in its place. */
  replaceClient(dice: Dice): string;
}

export class Faults {
  readonly #options: FaultsOptions;
  readonly #weather: Weather;
  readonly #pace: Dice;
  /** Of its own, so that faults keep their times when there are fewer repairs. */
  readonly #repairs: Dice;
  #number = 0;
  #isOver = false;

  constructor(options: FaultsOptions) {
    this.#options = options;
    this.#weather = WEATHER[options.profile];
    this.#pace = new Dice(options.seed ^ 0x5eed);
    this.#repairs = new Dice(options.seed ^ 0xfeed);
  }

  /** Lets things go wrong from now on. */
  start(): void {
    const { world } = this.#options;
    const isDue = this.#number === 0 && this.#weather.first !== undefined;
    world.at(isDue ? 0 : this.#pace.between(0, 2 * this.#weather.everyMs), "fault", null, () => {
      if (this.#isOver) return;
      this.#strike(++this.#number);
      this.start();
    });
  }

  /** Nothing goes wrong any more. */
  stop(): void {
    this.#isOver = true;
  }

  /** A node is down: sooner or later somebody starts it again. */
  onDown(id: string): void {
    const { world, cluster } = this.#options;
    world.at(this.#lastsMs(this.#repairs), "fault", null, () => cluster.start(id));
  }

  #lastsMs(dice: Dice): number {
    const { lasts, lastsMsMax } = this.#weather;
    return dice[lasts](1, lastsMsMax);
  }

  #strike(number: number): void {
    const { only, tell, seed } = this.#options;
    const dice = new Dice(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number, 0x85ebca6b));
    dice.next();
    if (only !== null && !only.has(number)) return;
    const kind = (number === 1 ? this.#weather.first : undefined) ?? this.#pickKind(dice);
    const detail = this.#act(kind, dice);
    if (detail !== null) tell(number, kind, detail);
  }

  #pickKind(dice: Dice): FaultKind {
    const { weights } = this.#weather;
    const total = FAULTS.reduce((sum, kind) => sum + (weights[kind] ?? 0), 0);
    let left = dice.between(0, total);
    for (const kind of FAULTS) {
      left -= weights[kind] ?? 0;
      if (left < 0) return kind;
    }
    return "kill";
  }

  /** What was done, or null if there was nothing to do it to. */
  #act(kind: FaultKind, dice: Dice): string | null {
    const { cluster, network } = this.#options;
    const id = this.#victim(dice);
    if (id === null) return null;
    const lastsMs = this.#lastsMs(dice);
    switch (kind) {
      case "kill":
        return cluster.kill(id) ? id : null;
      case "crash":
        return this.#crash(id, dice) ? id : null;
      case "stop":
        return cluster.stop(id) ? id : null;
      case "wipe":
        if (!this.#mayLose(id) || !this.#crash(id, dice)) return null;
        cluster.wipe(id);
        return id;
      case "damage":
        if (!this.#mayLose(id) || !this.#crash(id, dice)) return null;
        return cluster.damage(id, dice) ? id : `${id}, whose log is too short to damage: a crash`;
      case "stall":
        cluster.processOf(id)?.stall(lastsMs);
        return `${id} for ${lastsMs.toFixed(0)} ms`;
      case "cut-off":
        return this.#cut([id], this.#others([id]), true, lastsMs);
      case "cut-one-way":
        return this.#cut(
          [id],
          this.#others([id]).filter(() => dice.chance(0.7)),
          false,
          lastsMs,
        );
      case "deaf":
        return cluster.leader === null || cluster.leader === id
          ? null
          : this.#cut([cluster.leader], [id], false, lastsMs);
      case "apart":
        return this.#cut([id], [dice.pick(this.#others([id]))], true, lastsMs);
      case "coup":
        return this.#coup(dice.pick(["leader-elected", "candidate"]), lastsMs);
      case "left-behind":
        return this.#leaveBehind(dice, lastsMs);
      case "partition": {
        // Clients and the directory, too: who sits beside an old leader does not hear of the new one.
        const { hosts } = cluster;
        const side = hosts.filter(() => dice.chance(0.5));
        const others = hosts.filter((host) => !side.includes(host));
        return this.#cut(side, others, true, lastsMs);
      }
      case "slow-link":
        return this.#slow(id, dice, lastsMs);
      case "reset":
      case "half-open": {
        const other = dice.pick(this.#others([id]));
        network.reset(id, other, kind === "reset");
        return `${id} - ${other}`;
      }
      case "slow-disk": {
        const mostMs = dice.between(20, 400);
        cluster.setSyncMsMax(id, mostMs);
        this.#later(lastsMs, () => cluster.setSyncMsMax(id, 10));
        return `${id}, up to ${mostMs.toFixed(0)} ms a flush`;
      }
      case "failing-disk":
        cluster.failNext(id, "sync", "EIO", 0);
        return id;
      case "full-disk":
        cluster.failNext(id, "write", "ENOSPC", dice.below(40));
        return id;
      case "directory-crash":
        if (!cluster.killDirectory()) return null;
        this.#later(lastsMs, () => cluster.startDirectory());
        return "";
      case "client-crash":
        return this.#options.replaceClient(dice);
      case "transfer":
        return cluster.transfer() ? "" : null;
    }
  }

  /** A node that something may happen to; in a calm world never the leader, and only one at a time. */
  #victim(dice: Dice): string | null {
    const { cluster, profile } = this.#options;
    if (profile !== "calm") return dice.pick(cluster.ids);
    const { leader } = cluster;
    const followers = cluster.ids.filter((id) => id !== leader);
    return leader === null || !this.#isWhole() ? null : dice.pick(followers);
  }

  /** Every node runs, hears the leader, and has heard it for a while. */
  #isWhole(): boolean {
    const { cluster, network } = this.#options;
    const { cores } = cluster;
    const isConnected = cluster.ids.every((a) => cluster.ids.every((b) => a === b || !network.isCut(a, b)));
    const { leader } = cluster;
    const follows = ({
      role,
    }: {
      readonly role: { readonly name: string; readonly leader?: string | null };
    }): boolean => role.name === "leader" || role.leader === leader;
    return isConnected && cores.size === cluster.ids.length && [...cores.values()].every(follows);
  }

  #mayLose(id: string): boolean {
    const { cluster } = this.#options;
    // Who loses a disk before all have met starts a cluster that has never been.
    return cluster.hasBegun && !cluster.isLost(id) && cluster.lost + 1 <= (cluster.ids.length - 1) / 2;
  }

  #others(ids: readonly string[]): string[] {
    return this.#options.cluster.ids.filter((id) => !ids.includes(id));
  }

  #crash(id: string, dice: Dice): boolean {
    const { cluster } = this.#options;
    const { bytes, names } = cluster.unsynced(id);
    const tail = dice.pick(["lost", "zeros", "garbage"] as const);
    return cluster.crash(id, { bytesKept: dice.below(bytes + 1), namesKept: dice.below(names + 1), tail });
  }

  #cut(side: readonly string[], others: readonly string[], isBothWays: boolean, lastsMs: number): string | null {
    if (side.length === 0 || others.length === 0) return null;
    const { network } = this.#options;
    const pairs = side.flatMap((a) => others.map((b) => [a, b] as const));
    for (const [a, b] of pairs) {
      network.cut(a, b);
      if (isBothWays) network.cut(b, a);
    }
    this.#later(lastsMs, () => {
      for (const [a, b] of pairs) {
        network.mend(a, b);
        if (isBothWays) network.mend(b, a);
      }
    });
    return `${side.join(" ")} ${isBothWays ? "|" : ">"} ${others.join(" ")} for ${lastsMs.toFixed(0)} ms`;
  }

  #coup(turningPoint: TurningPoint, lastsMs: number): string {
    const { cluster } = this.#options;
    const othersThan = (id: string): string[] => cluster.hosts.filter((host) => host !== id);
    cluster.once(turningPoint, (id) => this.#cut([id], othersThan(id), true, lastsMs));
    return `the next ${turningPoint}, for ${lastsMs.toFixed(0)} ms`;
  }

  /**
   * Half of the time answers from before still trickle in: the way back had been slow for a while when the leader's own
   * words ceased to be heard.
   */
  #leaveBehind(dice: Dice, lastsMs: number): string | null {
    const { cluster, network } = this.#options;
    const { leader, ids, hosts } = cluster;
    if (leader === null) return null;
    // What the old leader could not pass on is then a match for the new one's first entry (paper, Figure 8).
    if (dice.chance(0.3)) this.#coup("leader-elected", lastsMs);
    const beside = [...cluster.clients.keys()].filter(() => dice.chance(0.5));
    const others = hosts.filter((host) => host !== leader && !beside.includes(host));
    if (dice.chance(0.5)) return this.#cut([leader, ...beside], others, true, lastsMs);
    const slowMs = dice.between(0, TIMING.electionTimeoutMinMs);
    const jitterMs = 2 * TIMING.electionTimeoutMaxMs;
    for (const id of ids) network.slow(id, leader, jitterMs, FAST_BYTES_PER_MS);
    this.#later(slowMs, () => {
      this.#cut(beside, others, true, lastsMs);
      this.#cut([leader], others, false, lastsMs);
    });
    this.#later(slowMs + lastsMs, () => {
      for (const id of ids) network.slow(id, leader, JITTER_MS, FAST_BYTES_PER_MS);
    });
    return `${leader} ${beside.join(" ")} > ${others.join(" ")} after ${slowMs.toFixed(0)} ms for ${lastsMs.toFixed(0)} ms`;
  }

  #slow(id: string, dice: Dice, lastsMs: number): string {
    const { network } = this.#options;
    const other = dice.pick(this.#others([id]));
    const jitterMs = dice.between(10, TIMING.electionTimeoutMaxMs);
    network.slow(id, other, jitterMs, dice.between(1, 100));
    this.#later(lastsMs, () => network.slow(id, other, JITTER_MS, FAST_BYTES_PER_MS));
    return `${id} > ${other}, up to ${jitterMs.toFixed(0)} ms`;
  }

  #later(delayMs: number, act: () => void): void {
    this.#options.world.at(delayMs, "fault", null, act);
  }
}
