/**
 * What goes wrong. Faults are numbered, and each draws what it needs from a source of its own: a run can be repeated
 * with some of them left out and the others as they were.
 */

import type { SimulatedCluster, TurningPoint } from "./cluster.ts";
import { Dice } from "./dice.ts";
import type { SimulatedNetwork, Undo } from "./network.ts";
import { TIMING } from "./timing.ts";
import { FAULTS, type FaultKind, type Profile, WEATHER, type Weather } from "./weather.ts";
import type { World } from "./world.ts";

/** So that the answer to a heartbeat is on its way for about this many of them. */
const HEARTBEATS_PER_ANSWER = 4;
/** About as much as the answer to a heartbeat takes, with all that is around it. */
const ANSWER_BYTES = 50;
/** How much room a disk that fills up may have left. */
const ROOM_BYTES_MAX = 2_048;
/** How long a process takes to be started again if somebody sees to it. */
const RESTART_MS = 2;
/** So many disks stay full. */
const FULL_FOR_GOOD = 0.2;
/** So many things happen to snapshots and old segments before the machine crashes, at most. */
const SNAPSHOT_STEPS_MAX = 12;
/** The number of the fault that a weather ends with: however many came before it, it can be asked for. */
const LAST = 0;
/** How long a client is held up, or slow, at most: longer than it may say nothing, and then lose what it holds. */
const CLIENT_MS_MAX = 1_200;
const CLIENT_DELAY_MS_MIN = 30;
const CLIENT_DELAY_MS_MAX = 150;
/** How long a machine works at most between a crash and the next one. */
const RELAPSE_MS_MAX = 600;

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
  /** The name of one. */
  pickClient(dice: Dice): string;
}

export class Faults {
  readonly #options: FaultsOptions;
  readonly #weather: Weather;
  readonly #pace: Dice;
  /** Of its own, so that faults keep their times when there are fewer repairs. */
  readonly #repairs: Dice;
  #number = 0;
  #isOver = false;
  /** False alarms that are not over yet. */
  readonly #alarms = new Set<object>();
  /** What is still to be done or undone. */
  #due = 0;

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
      this.#strike(++this.#number, isDue ? this.#weather.first : undefined);
      this.start();
    });
  }

  /** Nothing goes wrong any more. */
  stop(): void {
    this.#isOver = true;
    this.#alarms.clear();
    this.#options.cluster.forgetPlans();
  }

  /** What this weather ends with, on a cluster that is otherwise well. False if it ends without. */
  finish(): boolean {
    const { last } = this.#weather;
    const { cluster } = this.#options;
    // Without the leader, the others have to be a majority: or nobody becomes a candidate.
    if (last === undefined || !cluster.outlook.canDoWithout(cluster.leader)) return false;
    this.#strike(LAST, last);
    return true;
  }

  /** Nothing is cut, slow or about to be so. */
  get areOver(): boolean {
    return this.#alarms.size === 0 && this.#due === 0;
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

  #strike(number: number, given?: FaultKind): void {
    const { only, tell, seed } = this.#options;
    const dice = new Dice(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number, 0x85ebca6b));
    dice.next();
    if (only !== null && !only.has(number)) return;
    const kind = given ?? this.#pickKind(dice);
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
    // Nothing happens to a node by it.
    if (kind === "client-stall") return this.#stallClient(dice);
    if (kind === "slow-client") return this.#slowClient(dice);
    const id = this.#victim(dice);
    if (id === null) return null;
    const lastsMs = this.#lastsMs(dice);
    switch (kind) {
      case "kill":
        return cluster.kill(id) ? id : null;
      case "crash":
        return this.#crash(id, dice) ? id : null;
      case "relapse": {
        if (!this.#crash(id, dice)) return null;
        const worksMs = dice.seldom(0, RELAPSE_MS_MAX);
        cluster.onceStarted(id, () => this.#later(worksMs, () => void (this.#isOver || this.#crash(id, dice))));
        return `${id}, and again ${worksMs.toFixed(0)} ms after it is back`;
      }
      case "snapshot-crash":
        return this.#crashAtSnapshot(dice);
      case "stop":
        return cluster.stop(id) ? id : null;
      case "wipe":
        if (!cluster.mayLose(id) || !this.#crash(id, dice)) return null;
        cluster.wipe(id);
        return id;
      case "damage":
        if (!cluster.mayLose(id) || !this.#crash(id, dice)) return null;
        return cluster.disks.damage(id, dice) ? id : `${id}, whose log is too short to damage: a crash`;
      case "stall":
        if (cluster.processOf(id) === null) return null;
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
      case "false-alarm":
        return this.#alarmFalsely(lastsMs);
      case "left-behind":
        return this.#leaveBehind(dice, lastsMs);
      case "deposed":
        return this.#depose(dice, lastsMs);
      case "forgetful":
        return this.#makeForget(id, lastsMs);
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
        this.#later(lastsMs, cluster.disks.slow(id, mostMs));
        return `${id}, up to ${mostMs.toFixed(0)} ms a flush`;
      }
      case "failing-disk":
        return this.#failDisk(id, dice);
      case "full-disk": {
        const bytes = dice.seldom(0, ROOM_BYTES_MAX);
        const undo = cluster.disks.fill(id, Math.floor(bytes));
        if (dice.chance(FULL_FOR_GOOD)) return `${id}, but for ${bytes.toFixed(0)} bytes, until all is well`;
        this.#later(lastsMs, undo);
        return `${id}, but for ${bytes.toFixed(0)} bytes, for ${lastsMs.toFixed(0)} ms`;
      }
      case "rot":
        return cluster.mayLose(id) ? cluster.disks.rot(id, dice) : null;
      case "directory-crash":
        if (!cluster.killDirectory()) return null;
        this.#later(lastsMs, () => cluster.startDirectory());
        return "";
      case "client-crash":
        return this.#options.replaceClient(dice);
      case "reconfigure":
        return cluster.operator.act(dice);
      case "move":
        if (!cluster.mayMove || !cluster.mayLose(id) || !this.#crash(id, dice)) return null;
        cluster.move(id);
        return `${id} to ${cluster.urlOf(id)}`;
      case "misapply":
        return cluster.misapply(id) ? id : null;
      case "transfer":
        if (cluster.leader === null) return null;
        cluster.guests.order(cluster.urlOf(cluster.leader), { type: "transfer", to: null });
        return "";
    }
  }

  /** A node that something may happen to; in a calm world never the leader, and only one at a time. */
  #victim(dice: Dice): string | null {
    const { cluster, profile } = this.#options;
    if (profile !== "calm") return dice.pick(cluster.outlook.lasting);
    const { leader } = cluster;
    const followers = cluster.ids.filter((id) => id !== leader);
    return leader === null || !this.#isWhole() ? null : dice.pick(followers);
  }

  /** Every node runs, is reached by all others, and follows the leader. */
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

  #hostsOtherThan(id: string): string[] {
    return this.#options.cluster.hosts.filter((host) => host !== id);
  }

  #others(ids: readonly string[]): string[] {
    return this.#options.cluster.outlook.lasting.filter((id) => !ids.includes(id));
  }

  #crash(id: string, dice: Dice): boolean {
    const { cluster } = this.#options;
    const { bytes, names } = cluster.disks.unsynced(id);
    const tail = dice.pick(["lost", "zeros", "garbage"] as const);
    return cluster.crash(id, { bytesKept: dice.below(bytes + 1), namesKept: dice.below(names + 1), tail });
  }

  #cut(side: readonly string[], others: readonly string[], isBothWays: boolean, lastsMs: number): string | null {
    if (side.length === 0 || others.length === 0) return null;
    this.#later(lastsMs, this.#cutNow(side, others, isBothWays));
    return `${side.join(" ")} ${isBothWays ? "|" : ">"} ${others.join(" ")} for ${lastsMs.toFixed(0)} ms`;
  }

  #cutNow(side: readonly string[], others: readonly string[], isBothWays: boolean): Undo {
    const { network } = this.#options;
    const there = side.flatMap((a) => others.map((b) => network.cut(a, b)));
    const back = isBothWays ? side.flatMap((a) => others.map((b) => network.cut(b, a))) : [];
    return () => {
      for (const undo of [...there, ...back]) undo();
    };
  }

  #coup(turningPoint: TurningPoint, lastsMs: number): string {
    const { cluster } = this.#options;
    cluster.once(turningPoint, (id) => this.#cut([id], this.#hostsOtherThan(id), true, lastsMs));
    return `the next ${turningPoint}, for ${lastsMs.toFixed(0)} ms`;
  }

  #crashAtSnapshot(dice: Dice): string {
    const { cluster } = this.#options;
    const steps = dice.below(SNAPSHOT_STEPS_MAX);
    const waitFor = (left: number): void =>
      cluster.once("snapshot-file", (id) => {
        if (left > 0) waitFor(left - 1);
        else this.#later(0, () => void (this.#isOver || this.#crash(id, dice)));
      });
    waitFor(steps);
    return `whoever does something to a snapshot or an old segment, ${steps} others later`;
  }

  #alarmFalsely(lastsMs: number): string | null {
    const { cluster } = this.#options;
    const { leader } = cluster;
    if (leader === null) return null;
    const alarm = {};
    this.#alarms.add(alarm);
    const mend = this.#cutNow([leader], this.#others([leader]), true);
    cluster.once("candidate", (id) => {
      mend();
      this.#cut([id], this.#hostsOtherThan(id), true, lastsMs);
      this.#later(lastsMs, () => this.#alarms.delete(alarm));
    });
    return `${leader} is back when somebody else is a candidate, who is then alone for ${lastsMs.toFixed(0)} ms`;
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
    const beside = [...cluster.guests.clients.keys()].filter(() => dice.chance(0.5));
    const others = hosts.filter((host) => host !== leader && !beside.includes(host));
    if (dice.chance(0.5)) return this.#cut([leader, ...beside], others, true, lastsMs);
    const slowMs = dice.between(0, TIMING.electionTimeoutMinMs);
    // Long enough for others to elect and commit something while the answers keep the old leader in office.
    const alongMs = lastsMs + TIMING.electionTimeoutMaxMs;
    const bytesPerMs = ANSWER_BYTES / (HEARTBEATS_PER_ANSWER * TIMING.heartbeatMs);
    const slowed = ids.map((id) => network.slow(id, leader, { bytesPerMs }));
    this.#later(slowMs, () => {
      if (this.#isOver) return;
      this.#cut(beside, others, true, alongMs);
      this.#cut([leader], others, false, alongMs);
    });
    this.#later(slowMs + alongMs, () => {
      for (const undo of slowed) undo();
    });
    return `${leader} ${beside.join(" ")} > ${others.join(" ")} after ${slowMs.toFixed(0)} ms for ${alongMs.toFixed(0)} ms`;
  }

  /** Its heir is elected while, but for its own order, nobody could be; and it does not hear of that. */
  #depose(dice: Dice, lastsMs: number): string | null {
    const { cluster } = this.#options;
    const { leader } = cluster;
    if (leader === null) return null;
    const beside = [...cluster.guests.clients.keys()].filter(() => dice.chance(0.5));
    cluster.guests.order(cluster.urlOf(leader), { type: "transfer", to: null });
    cluster.once("candidate", () => {
      const others = cluster.hosts.filter((host) => host !== leader && !beside.includes(host));
      this.#cut([leader, ...beside], others, true, lastsMs);
    });
    return `${leader} ${beside.join(" ")}, for ${lastsMs.toFixed(0)} ms from when its heir stands`;
  }

  /**
   * One that has not heard the leader for long asks all others, who have heard it a moment ago, and have then died and
   * come back. The leader hears nothing of that.
   */
  #makeForget(id: string, lastsMs: number): string | null {
    const { cluster, world } = this.#options;
    const { leader } = cluster;
    if (leader === null || leader === id) return null;
    const others = this.#others([leader, id]);
    this.#cut([leader], [id], false, lastsMs + TIMING.electionTimeoutMaxMs);
    this.#later(TIMING.electionTimeoutMaxMs, () => {
      if (this.#isOver) return;
      this.#cut([leader], [id, ...others], true, lastsMs);
      for (const other of others)
        if (cluster.kill(other)) world.at(RESTART_MS, "fault", null, () => cluster.start(other));
    });
    return `${others.join(" ")} are started again, and ${id} asks them, for ${lastsMs.toFixed(0)} ms without ${leader}`;
  }

  #failDisk(id: string, dice: Dice): string {
    const operation = dice.pick(["sync", "sync", "syncFolder", "create", "rename", "read"] as const);
    this.#options.cluster.disks.failNext(id, operation);
    return `${id}, at the next ${operation}`;
  }

  #slow(id: string, dice: Dice, lastsMs: number): string {
    const { network } = this.#options;
    const other = dice.pick(this.#others([id]));
    const jitterMs = dice.between(10, TIMING.electionTimeoutMaxMs);
    this.#later(lastsMs, network.slow(id, other, { jitterMs, bytesPerMs: dice.between(1, 100) }));
    return `${id} > ${other}, up to ${jitterMs.toFixed(0)} ms`;
  }

  #stallClient(dice: Dice): string {
    const { cluster, pickClient } = this.#options;
    const name = pickClient(dice);
    const forMs = dice.between(0, CLIENT_MS_MAX);
    cluster.guests.stallClient(name, forMs);
    return `${name} for ${forMs.toFixed(0)} ms`;
  }

  /** What it is sent is old when it comes, and half of the time nothing comes in the end. */
  #slowClient(dice: Dice): string {
    const { cluster, network, pickClient } = this.#options;
    const name = pickClient(dice);
    const delayMs = dice.between(CLIENT_DELAY_MS_MIN, CLIENT_DELAY_MS_MAX);
    const slowMs = dice.between(0, CLIENT_MS_MAX / 2);
    const cutMs = dice.chance(0.8) ? dice.between(0, CLIENT_MS_MAX) : 0;
    const isSender = dice.chance(0.1);
    const routes = cluster.ids.map((node) => (isSender ? ([name, node] as const) : ([node, name] as const)));
    const undo = routes.map(([from, to]) => network.slow(from, to, { delayMs }));
    this.#later(slowMs, () => {
      if (!this.#isOver && cutMs > 0) this.#cut([name], cluster.ids, true, cutMs);
      for (const one of undo) one();
    });
    const what = `what ${name} ${isSender ? "sends" : "is sent"} comes ${delayMs.toFixed(0)} ms late`;
    return `${what} for ${slowMs.toFixed(0)} ms, and then not at all for ${cutMs.toFixed(0)} ms`;
  }

  #later(delayMs: number, act: () => void): void {
    this.#due++;
    this.#options.world.at(delayMs, "fault", null, () => {
      this.#due--;
      act();
    });
  }
}
