/** A whole cluster in a simulated world: machines, the processes on them, and everything that may be done to them. */

import { type DirectoryOptions, startDirectory } from "../directory/index.ts";
import { hasCode } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import type { StateMachine } from "../machine/index.ts";
import { type NodeProcessStory, startNode } from "../node/index.ts";
import { memberNamed, type Raft } from "../raft/index.ts";
import { Claims } from "./claims.ts";
import type { Dice } from "./dice.ts";
import { DiskTrouble } from "./disk-trouble.ts";
import { DurableLog } from "./durable-log.ts";
import { CLUSTER, DIRECTORY, Guests, PORT, urlOf } from "./guests.ts";
import type { Invariants, Report } from "./invariants.ts";
import { type Crash, MemoryDisk } from "./memory-disk.ts";
import type { SimulatedNetwork } from "./network.ts";
import { Operator } from "./operator.ts";
import { Outlook } from "./outlook.ts";
import { identityOn, isBadStill, newPlace, noteSpoilt, type Place } from "./place.ts";
import { type ClockRates, diskless, Process } from "./process.ts";
import { Programs } from "./programs.ts";
import { suffices } from "./quorums.ts";
import { TIMING } from "./timing.ts";
import { watched } from "./watched-machine.ts";
import type { World } from "./world.ts";

/**
 * What a process of the cluster has to tell.
 *
 * @example
 * ```ts
 * import { type SimulatedStory, simulate } from "conclave/testing";
 *
 * const told: SimulatedStory["event"][] = [];
 * await simulate({
 *   seed: 42,
 *   events: 500,
 *   trace: ({ event }) => void (event.type === "story" && told.push(event.story.event)),
 * });
 * console.log(told.includes("leader-elected")); // true
 * ```
 */
export type SimulatedStory = NodeProcessStory | Parameters<DirectoryOptions["tell"]>[0];

export interface ClusterParts {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly dice: Dice;
  readonly nodes: number;
  readonly invariants: Invariants;
  readonly report: Report;
  readonly machine: () => StateMachine;
  /** What the machine was when the cluster began; null if it was the same. */
  readonly older: (() => StateMachine) | null;
  /** How much faster than another a clock may be, if leaders serve reads under a lease; null if they do not. */
  readonly clockDriftMax: number | null;
  readonly clockRates: ClockRates;
  /** What the log may take: the less, the more often snapshots are taken. */
  readonly logBytesMax: number;
  tell(process: string, story: SimulatedStory): void;
  /** A node's process has ended. */
  onDown(id: string): void;
}

/**
 * After the first two a node has something to say that nobody else knows; after the last, something has been done to a
 * snapshot's file, or a part of the log has been removed, and is not durable yet.
 */
export type TurningPoint = "candidate" | "leader-elected" | "snapshot-file";

const SYNC_MS_MAX = 10;
/** So many lives are spent with a state machine that takes its time, and so much of it at most. */
const SLOW_MACHINES = 0.2;
const SLOW_APPLY_MS_MAX = 4;
/**
 * Small, so that segments rotate, snapshots are taken and come in parts, entries leave memory, sessions expire, and
 * clients find no room.
 */
const LIMITS: Omit<Limits, "logBytesMax" | "segmentBytesMax"> = {
  ...DEFAULT_LIMITS,
  logCacheBytesMax: 2_048,
  messageBytesMax: 8_192,
  appendBytesMax: 1_024,
  sessionTimeoutMs: 1_000,
  linkProposalsMax: 1,
  proposalWaitMsMax: 100,
};
/** Of so many files a log is made up at its limit. */
const SEGMENTS = 8;
const UPDATE_RETRY_MS = 50;
/** So many names there may be besides those that the cluster begins with. */
const NEWCOMERS_MAX = 20;

/** What a process may end for. */
const isOfDisk = (error: unknown): boolean => hasCode(error, "DISK_FAILED", "DISK_FULL");

/** The others use a machine that its program does not have; whoever operates it finds out, and updates it. */
const isOutdated = ({ isOld }: Place, error: unknown): boolean => isOld && hasCode(error, "MACHINE_MISSING");

export class SimulatedCluster {
  readonly #parts: ClusterParts;
  readonly #founders: number;
  readonly #limits: Limits;
  readonly #places = new Map<string, Place>();
  /** Who is to run in the end, and without whom the others could go on. */
  readonly outlook: Outlook;
  /** Who else there is: clients, and whoever looks at the cluster or gives it orders. */
  readonly guests: Guests;
  /** Who changes its members. */
  readonly operator: Operator;
  /** What its disks go through. */
  readonly disks = new DiskTrouble((id) => this.#place(id));
  /** What its nodes tell, or act on. */
  readonly claims: Claims;
  readonly #programs: Programs;
  #directory: Process | null = null;
  #atTurningPoints: { readonly point: TurningPoint; readonly act: (id: string) => void }[] = [];

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.outlook = new Outlook(this.#places, parts.invariants, parts.logBytesMax);
    this.guests = new Guests(parts);
    this.operator = new Operator({ ...parts, cluster: this });
    this.claims = new Claims({ ...parts, places: this.#places, leader: () => this.leader });
    this.#programs = new Programs(parts);
    this.#founders = parts.nodes;
    const { logBytesMax } = parts;
    this.#limits = { ...LIMITS, logBytesMax, segmentBytesMax: logBytesMax / SEGMENTS };
    for (let i = 1; i <= parts.nodes; i++) this.#addPlace(`n${i}`, true);
  }

  /** The names of all machines that run nodes, or did. */
  get ids(): readonly string[] {
    return [...this.#places.keys()];
  }

  /** One more machine, which is to join the cluster. */
  addMachine(): string {
    const id = `n${this.#places.size + 1}`;
    this.#addPlace(id, false);
    return id;
  }

  /** There are names for more machines. */
  get hasNames(): boolean {
    return this.#places.size < this.#founders + NEWCOMERS_MAX;
  }

  #addPlace(id: string, isFounder: boolean): void {
    const place = newPlace(id, PORT, this.#newLog(id), isFounder);
    this.#places.set(id, place);
    if (isFounder) this.#programs.begin(id, () => this.#update(place));
  }

  #newLog(id: string): DurableLog {
    const { invariants, report } = this.#parts;
    return new DurableLog({
      cluster: CLUSTER,
      onSnapshot: (snapshot) => invariants.hasSnapshot(id, snapshot),
      onLoss: (index) => report("compacted-covered", `${id} has removed entry ${index}`),
    });
  }

  /** Starts all that is not running. */
  startAll(): void {
    this.startDirectory();
    for (const id of this.ids) this.start(id);
  }

  /** Whoever runs something old is started anew, with what is the newest. */
  updateAll(): void {
    for (const place of this.#places.values()) {
      this.#programs.update(place.id);
      if (place.isOld) this.kill(place.id);
    }
  }

  /** In order, once it has started. */
  #update(place: Place): void {
    if (!place.isOld || place.process === null || place.isStopping) return;
    if (!this.stop(place.id)) this.#parts.world.at(UPDATE_RETRY_MS, "work", null, () => this.#update(place));
  }

  startDirectory(): void {
    if (this.#directory?.isAlive === true) return;
    const { world, network, dice, tell, report } = this.#parts;
    const process = new Process(world, network, dice.fork(), diskless(DIRECTORY));
    this.#directory = process;
    startDirectory({
      environment: process.environment,
      cluster: CLUSTER,
      url: urlOf(DIRECTORY),
      host: DIRECTORY,
      port: PORT,
      members: this.#names,
      allowedOrigins: [],
      limits: this.#limits,
      tell: (story) => {
        if (!process.isAlive) return;
        tell(DIRECTORY, story);
        if (story.event === "handler-failed") report("process-lives", `the directory failed: ${story.error}`);
      },
    }).catch((error) => report("process-lives", `the directory did not start: ${String(error)}`));
  }

  killDirectory(): boolean {
    if (this.#directory?.isAlive !== true) return false;
    this.#directory.kill(true);
    return true;
  }

  /** Whom the directory lets speak for themselves: all that there are, and those that may still come. */
  get #names(): { readonly id: string; readonly url: string }[] {
    const count = this.#founders + NEWCOMERS_MAX;
    return Array.from({ length: count }, (_, i) => `n${i + 1}`).map((id) => ({ id, url: this.urlOf(id) }));
  }

  /** Where a node is reached. */
  urlOf(id: string): string {
    return urlOf(id, this.#places.get(id)?.port);
  }

  /** Every machine there is: the nodes', the directory's, and the clients'. */
  get hosts(): readonly string[] {
    return [...this.ids, DIRECTORY, ...this.guests.clients.keys()];
  }

  /** The cores of the nodes that run. */
  get cores(): ReadonlyMap<string, Raft> {
    return new Map([...this.#places.values()].flatMap(({ id, raft }) => (raft === null ? [] : [[id, raft] as const])));
  }

  /** The node that leads the newest term, if there is one. */
  get leader(): string | null {
    let newest: { readonly id: string; readonly term: number } | null = null;
    for (const [id, raft] of this.cores) {
      if (raft.role.name === "leader" && raft.term > (newest?.term ?? 0)) newest = { id, term: raft.term };
    }
    return newest?.id ?? null;
  }

  /** The name of the process that a node runs in now; each start gives another one. */
  lifeOf(id: string): string {
    return `${id}/${this.#place(id).lives}`;
  }

  /** May this machine lose its disk without the others being stuck for ever? */
  mayLose(id: string): boolean {
    return this.outlook.isSound(id) && !this.operator.isBusy && this.outlook.canDoWithout(id);
  }

  processOf(id: string): Process | null {
    return this.#place(id).process;
  }

  /** Calls `act` when the next node becomes a candidate, or the leader, before it has said a word. */
  once(point: TurningPoint, act: (id: string) => void): void {
    this.#atTurningPoints.push({ point, act });
  }

  /** Nobody waits for a turning point or a start any more. */
  forgetPlans(): void {
    this.#atTurningPoints = [];
    for (const place of this.#places.values()) place.onStarted = null;
  }

  /** Calls `act` when a node that is down is started. */
  onceStarted(id: string, act: () => void): void {
    this.#place(id).onStarted = act;
  }

  start(id: string): void {
    const place = this.#place(id);
    if (place.process !== null || place.data === "retired") return;
    const { world, network, dice, invariants, clockDriftMax, clockRates } = this.#parts;
    const process = new Process(world, network, dice.fork(), {
      host: id,
      clockRates,
      memory: place.memory,
      disk: place.log.listenTo(place.memory),
      syncMsMax: () => Math.max(SYNC_MS_MAX, ...[...place.slowed].map(({ syncMsMax }) => syncMsMax)),
    });
    const own = this.#programs.machineOf(id);
    place.isOld = this.#programs.isOld(id);
    place.process = process;
    place.machine = own;
    place.isStopping = false;
    place.lives++;
    place.applyMsMax = dice.chance(SLOW_MACHINES) ? dice.between(0, SLOW_APPLY_MS_MAX) : 0;
    place.memory.watch = (operation, path) => {
      const isOfLog = operation === "remove" && path.includes("/wal-");
      if (path.includes("/snapshot-") || isOfLog) this.#reached("snapshot-file", id);
    };
    place.onStarted?.();
    place.onStarted = null;
    network.hostUp(id);
    startNode({
      environment: process.environment,
      cluster: CLUSTER,
      id,
      members: place.joins ? [] : this.#founding(),
      url: this.urlOf(id),
      join: place.joins ? this.#hostsToJoin(id) : [],
      directories: [urlOf(DIRECTORY)],
      host: id,
      port: place.port,
      allowedOrigins: [],
      dataFolder: `/${id}`,
      machine: watched(own, {
        isOfInterest: (index) => invariants.replicas.isOfInterest(id, index),
        hasState: (digest) => invariants.replicas.hasState(id, digest),
        applied: (index, command, result) => {
          process.spend(dice.seldom(0, place.applyMsMax));
          invariants.applied(id, index, command, result);
        },
        mayMisapply: () => place.misapplies,
        misapplied: () => {
          place.misapplies = false;
          invariants.replicas.misapplied(id);
        },
        restored: (digest) => {
          // A life that has ended may have been reading its snapshot.
          if (process.isAlive) this.#restored(place, digest);
        },
      }),
      timing: TIMING,
      limits: this.#limits,
      clockDriftMax,
      tell: (story) => {
        if (process.isAlive) this.#told(id, story);
      },
      onStart: (raft) => {
        if (process.isAlive) this.#started(place, raft);
      },
      onFatal: (error) => {
        if (process.isAlive) this.#failed(place, error);
      },
    }).then(
      (node) => {
        if (place.process === process) place.node = node;
      },
      (error) => {
        if (place.process === process) this.#didNotStart(place, error);
      },
    );
  }

  /** As the file has it that all of them began with: where they were reached then. */
  #founding(): { readonly id: string; readonly url: string }[] {
    return [...this.#places.values()].flatMap(({ id, isFounder }) => (isFounder ? [{ id, url: urlOf(id) }] : []));
  }

  #hostsToJoin(id: string): string[] {
    return this.outlook.lasting.filter((other) => other !== id).map((other) => this.urlOf(other));
  }

  /** The core is there, and nothing has happened to it yet. */
  #started(place: Place, raft: Raft): void {
    const { invariants, report } = this.#parts;
    const { id } = place;
    place.raft = raft;
    if (place.data === "damaged") report("damage-noticed", `${id} has started, although ${place.bad?.path} is bad`);
    invariants.started(id, raft, place.log);
    invariants.replicas.begin(id, raft.snapshot.index);
    for (const digest of place.restored.splice(0)) invariants.replicas.restored(id, raft.snapshot.index, digest, false);
  }

  /** Before the core is there, it is told of the state that it starts with; afterwards, of those that it has received. */
  #restored(place: Place, digest: number): void {
    const { id, raft, restored, restoring } = place;
    if (raft === null) {
      restored.push(digest);
      return;
    }
    const next = restoring.shift();
    if (next === undefined) this.#parts.report("applied-in-order", `${id} goes on from a snapshot unasked`);
    else this.#parts.invariants.replicas.restored(id, next.index, digest, next.isReplacement);
  }

  #didNotStart(place: Place, error: unknown): void {
    const { id, data } = place;
    if (data === "damaged" && hasCode(error, "DATA_CORRUPT")) {
      // What an operator does then: the machine comes back empty.
      this.crash(id, {});
      this.wipe(id);
    } else if (isOfDisk(error) || hasCode(error, "REMOVED") || isOutdated(place, error)) {
      this.#failed(place, error);
    } else this.#parts.report("process-lives", `${id} did not start: ${String(error)}`);
  }

  /** SIGKILL: the system lives on, closes the connections, and loses nothing that was written. */
  kill(id: string): boolean {
    const place = this.#place(id);
    if (!this.#end(place, true)) return false;
    this.#goesOnWith(place, place.memory.kill());
    return true;
  }

  /** The whole machine stops, and with it what its disk had not made durable. */
  crash(id: string, left: Crash): boolean {
    const place = this.#place(id);
    if (!this.#end(place, false)) return false;
    this.#parts.network.hostDown(id);
    this.#goesOnWith(place, place.memory.crash(left));
    return true;
  }

  /** What is left of its disk is what it starts with the next time. */
  #goesOnWith(place: Place, memory: MemoryDisk): void {
    place.memory = memory;
    noteSpoilt(place);
    if (place.data !== "rotten") return;
    place.data = isBadStill(place) ? "damaged" : "sound";
  }

  /** A machine that does not run loses its disk, and comes back empty under its old name. */
  wipe(id: string): void {
    const place = this.#place(id);
    const wasMet = this.#isMet(place);
    const { roomBytes } = place.memory;
    this.#parts.invariants.lost(place.log);
    place.memory = new MemoryDisk();
    place.memory.roomBytes = roomBytes;
    place.log = this.#newLog(id);
    place.bad = null;
    place.spoilt = null;
    place.wipes++;
    if (wasMet) place.hasFirstDisk = false;
    // One that nobody has met has promised nothing, and is as new as it says.
    place.data = wasMet ? "lost" : "sound";
  }

  #isMet({ id }: Place): boolean {
    return [...this.#places.values()].some(
      ({ id: other, memory, log }) =>
        other !== id &&
        (identityOn(memory, other)?.members.some(([name]) => name === id) === true ||
          memberNamed(log.configuration, id)?.incarnation != null),
    );
  }

  /** A machine that was taken out is to join again, as a new one under its old name. */
  readmit(id: string): void {
    this.wipe(id);
    const place = this.#place(id);
    place.data = "sound";
    place.joins = true;
    this.start(id);
  }

  /** One at a time, and once all know where the last one has gone: or those that have moved can't find each other. */
  get mayMove(): boolean {
    return this.outlook.lasting.every((id) =>
      this.#place(id).log.configuration.members.every((member) => member.url === this.urlOf(member.id)),
    );
  }

  /** A node is reached elsewhere from its next start on. */
  move(id: string): void {
    this.#place(id).port++;
    // Its operators tell the directory, too.
    if (this.killDirectory()) this.startDirectory();
  }

  /** The state machine of a node is to come to another state than it should, if all others are right. */
  misapply(id: string): boolean {
    const places = [...this.#places.values()];
    const { replicas } = this.#parts.invariants;
    if (!replicas.areRight || places.some(({ misapplies }) => misapplies)) return false;
    // One that is about to find that it is right again would seem to have found that of what goes wrong meanwhile.
    if (this.#place(id).node?.status().state !== "sound") return false;
    this.#place(id).misapplies = true;
    return true;
  }

  /** Are too few voters left whose state is right? Then it is for a person to say whose that is. */
  get isDisputed(): boolean {
    const { replicas, members } = this.#parts.invariants;
    return members !== null && !suffices(members, ({ id }) => !replicas.isWrong(id));
  }

  /** No node that is to run in the end knows its state to be wrong, or not to be a majority's. */
  get areStatesSound(): boolean {
    return this.outlook.lasting.every((id) => this.#place(id).node?.status().state === "sound");
  }

  /** An orderly end. */
  stop(id: string): boolean {
    const place = this.#place(id);
    if (place.node === null || place.isStopping) return false;
    const { process, node } = place;
    place.isStopping = true;
    node.close().then(
      () => {
        if (place.process === process) this.kill(id);
      },
      (error) => {
        if (place.process === process) this.#failed(place, error);
      },
    );
    return true;
  }

  #told(id: string, story: NodeProcessStory): void {
    const { tell, invariants, report } = this.#parts;
    tell(id, story);
    if (story.event === "snapshot-installed" || story.event === "state-replaced") {
      const isReplacement = story.event === "state-replaced";
      this.#place(id).restoring.push({ index: story.index, isReplacement });
    }
    this.claims.check(id, story);
    if (story.event === "leader-elected") invariants.told(id, story);
    if (story.event === "leader-elected" || story.event === "candidate") this.#reached(story.event, id);
    if (story.event === "handler-failed") report("process-lives", `an actor of ${id} failed: ${story.error}`);
    if (story.event === "machine-failed") {
      report("process-lives", `the machine of ${id} failed at entry ${story.index}: ${story.error}`);
    }
  }

  #reached(point: TurningPoint, id: string): void {
    const due = this.#atTurningPoints.filter((one) => one.point === point);
    this.#atTurningPoints = this.#atTurningPoints.filter((one) => !due.includes(one));
    for (const { act } of due) act(id);
  }

  /** A node gave up on its disk, or was taken out, as it should; any other reason is a failure of its own. */
  #failed(place: Place, error: unknown): void {
    noteSpoilt(place);
    const hasNoticed = place.data === "rotten" && hasCode(error, "DATA_CORRUPT");
    const isRemoved = hasCode(error, "REMOVED");
    if (isOutdated(place, error)) this.#programs.update(place.id);
    else if (!isOfDisk(error) && !hasNoticed && !isRemoved) {
      this.#parts.report("process-lives", `${place.id}: ${String(error)}`);
    }
    this.kill(place.id);
    if (isRemoved) place.data = "retired";
  }

  #end(place: Place, notice: boolean): boolean {
    if (place.process === null) return false;
    place.process.kill(notice);
    place.process = null;
    place.node = null;
    place.raft = null;
    place.machine = null;
    place.restoring.length = 0;
    place.restored.length = 0;
    place.misapplies = false;
    place.log.ended();
    this.#parts.invariants.ended(place.id);
    this.#parts.onDown(place.id);
    return true;
  }

  #place(id: string): Place {
    const place = this.#places.get(id);
    if (place === undefined) throw new RangeError(`there is no ${id}`);
    return place;
  }
}
