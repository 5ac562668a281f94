/** A whole cluster in a simulated world: machines, the processes on them, and everything that may be done to them. */

import { type DirectoryOptions, startDirectory } from "../directory/index.ts";
import { hasCode } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import type { StateMachine } from "../machine/index.ts";
import { type NodeProcessStory, startNode } from "../node/index.ts";
import type { Raft } from "../raft/index.ts";
import type { Dice } from "./dice.ts";
import { DurableLog } from "./durable-log.ts";
import { CLUSTER, DIRECTORY, Guests, PORT, urlOf } from "./guests.ts";
import type { Invariants, Report } from "./invariants.ts";
import { listening } from "./listening.ts";
import { type Crash, MemoryDisk, type Operation } from "./memory-disk.ts";
import type { SimulatedNetwork, Undo } from "./network.ts";
import { coldSegments, flipOne, identityOn, isGone, type Place } from "./place.ts";
import { CLOCK_RATE_MIN, diskless, Process } from "./process.ts";
import type { World } from "./world.ts";

/** What a process of the cluster has to tell. */
export type SimulatedStory = NodeProcessStory | Parameters<DirectoryOptions["tell"]>[0];

export interface ClusterParts {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly dice: Dice;
  readonly nodes: number;
  readonly invariants: Invariants;
  readonly report: Report;
  readonly machine: () => StateMachine;
  tell(process: string, story: SimulatedStory): void;
  /** A node's process has ended. */
  onDown(id: string): void;
}

/** After these a node has something to say that nobody else knows. */
export type TurningPoint = "candidate" | "leader-elected";

const SYNC_MS_MAX = 10;
/** So many lives are spent with a state machine that takes its time, and so much of it at most. */
const SLOW_MACHINES = 0.2;
const SLOW_APPLY_MS_MAX = 4;
export const TIMING = { heartbeatMs: 50, electionTimeoutMinMs: 300, electionTimeoutMaxMs: 600 };
/** A stall that any node notices, be its clock slow and its guard just about to look. */
const NOTICED_STALL_MS = (2 * TIMING.heartbeatMs) / CLOCK_RATE_MIN;
/** Small, so that segments rotate, entries leave memory, sessions expire, and clients find no room. */
const LIMITS: Limits = {
  ...DEFAULT_LIMITS,
  segmentBytesMax: 4_096,
  logCacheBytesMax: 2_048,
  appendBytesMax: 1_024,
  sessionTimeoutMs: 1_000,
  linkProposalsMax: 1,
  proposalWaitMsMax: 100,
};

/** What a process may end for. */
const isOfDisk = (error: unknown): boolean => hasCode(error, "DISK_FAILED") || hasCode(error, "DISK_FULL");

export class SimulatedCluster {
  readonly ids: readonly string[];
  readonly #parts: ClusterParts;
  readonly #places = new Map<string, Place>();
  /** Who else there is: clients, and whoever looks at the cluster or gives it orders. */
  readonly guests: Guests;
  #directory: Process | null = null;
  #canNotBegin = false;
  #atTurningPoints: { readonly point: TurningPoint; readonly act: (id: string) => void }[] = [];

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    this.guests = new Guests(parts);
    this.ids = Array.from({ length: parts.nodes }, (_, i) => `n${i + 1}`);
    for (const id of this.ids) {
      const empty = {
        memory: new MemoryDisk(),
        log: new DurableLog(),
        process: null,
        node: null,
        machine: null,
        raft: null,
      };
      this.#places.set(id, {
        id,
        ...empty,
        isStopping: false,
        isAdmitted: false,
        data: "sound",
        slowed: new Set(),
        filled: new Set(),
        applyMsMax: 0,
        lives: 0,
        onStarted: null,
      });
    }
  }

  /** Starts all that is not running. */
  startAll(): void {
    this.startDirectory();
    for (const id of this.ids) this.start(id);
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
      members: this.members,
      allowedOrigins: [],
      limits: LIMITS,
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

  get members(): { readonly id: string; readonly url: string }[] {
    return this.ids.map((id) => ({ id, url: urlOf(id) }));
  }

  /** Every machine there is: the nodes', the directory's, and the clients'. */
  get hosts(): readonly string[] {
    return [...this.ids, DIRECTORY, ...this.guests.clients.keys()];
  }

  /** The cores of the nodes that run, those that have lost their disks left out. */
  get cores(): ReadonlyMap<string, Raft> {
    const sound = [...this.#places.values()].filter((place) => !isGone(place));
    return new Map(sound.flatMap(({ id, raft }) => (raft === null ? [] : [[id, raft] as const])));
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

  /** A disk was lost before every node was known to every other: whoever is not yet will never be. */
  get canNotBegin(): boolean {
    return this.#canNotBegin;
  }

  /** Two nodes whose machines hold different state, in words; null if all that have not lost their disks agree. */
  differingState(): string | null {
    const sound = [...this.#places.values()].filter((place) => !isGone(place) && place.machine !== null);
    const [first, ...others] = sound.map(({ id, machine }) => ({ id, state: [...(machine?.snapshot() ?? [])].join() }));
    const other = others.find(({ state }) => state !== first?.state);
    return other === undefined ? null : `${other.id} holds another state than ${first?.id} after the same entries`;
  }

  /** Does the disk of every other node that has not lost it say that it has met this one, as it is? */
  isKnownToAll(id: string): boolean {
    const own = identityOn(this.#place(id).memory, id)?.incarnation;
    const others = [...this.#places.values()].filter((place) => place.id !== id && !isGone(place));
    return others.every(({ id: other, memory }) =>
      identityOn(memory, other)?.members.some(([name, incarnation]) => name === id && incarnation === own),
    );
  }

  isLost(id: string): boolean {
    return isGone(this.#place(id));
  }

  /** How many nodes have lost their disks for good. */
  get lost(): number {
    return this.ids.filter((id) => this.isLost(id)).length;
  }

  /** How many have, or will once they notice. */
  get doomed(): number {
    return [...this.#places.values()].filter(({ data }) => data !== "sound").length;
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

  slowDisk(id: string, syncMsMax: number): Undo {
    const { slowed } = this.#place(id);
    const own = { syncMsMax };
    slowed.add(own);
    return () => void slowed.delete(own);
  }

  /** There is room for so many more bytes, whatever happens to the machine. */
  fillDisk(id: string, roomBytes: number): Undo {
    const place = this.#place(id);
    const own = {};
    place.filled.add(own);
    place.memory.roomBytes = roomBytes;
    return () => {
      if (place.filled.delete(own) && place.filled.size === 0) place.memory.roomBytes = Number.POSITIVE_INFINITY;
    };
  }

  /** Lets disks be as fast as they were, have room, and not fail. */
  healDisks(): void {
    for (const { slowed, filled, memory } of this.#places.values()) {
      slowed.clear();
      filled.clear();
      memory.roomBytes = Number.POSITIVE_INFINITY;
      memory.forgetFaults();
    }
  }

  start(id: string): void {
    const place = this.#place(id);
    if (place.process !== null) return;
    const { world, network, dice, machine, invariants, report } = this.#parts;
    const process = new Process(world, network, dice.fork(), {
      host: id,
      memory: place.memory,
      disk: place.log.listenTo(place.memory),
      syncMsMax: () => Math.max(SYNC_MS_MAX, ...[...place.slowed].map(({ syncMsMax }) => syncMsMax)),
    });
    const own = machine();
    place.process = process;
    place.machine = own;
    place.isStopping = false;
    place.lives++;
    place.applyMsMax = dice.chance(SLOW_MACHINES) ? dice.between(0, SLOW_APPLY_MS_MAX) : 0;
    place.onStarted?.();
    place.onStarted = null;
    network.hostUp(id);
    startNode({
      environment: process.environment,
      cluster: CLUSTER,
      id,
      members: this.members,
      directories: [urlOf(DIRECTORY)],
      host: id,
      port: PORT,
      allowedOrigins: [],
      dataFolder: `/${id}`,
      machine: listening(own, (command, { index }, result) => {
        process.spend(dice.seldom(0, place.applyMsMax));
        invariants.applied(id, index, command, result);
      }),
      timing: TIMING,
      limits: LIMITS,
      tell: (story) => {
        if (process.isAlive) this.#told(id, story);
      },
      onStart: (raft) => {
        if (!process.isAlive) return;
        place.raft = raft;
        place.isAdmitted ||= raft.isAdmitted;
        if (place.data === "damaged") report("damage-noticed", `${id} has started`);
        if (!isGone(place)) invariants.started(id, raft, place.log);
      },
      onFatal: (error) => {
        if (process.isAlive) this.#failed(place, error);
      },
    }).then(
      (node) => {
        if (place.process === process) place.node = node;
      },
      (error) => {
        if (place.process !== process) return;
        if (place.data === "damaged" && hasCode(error, "DATA_CORRUPT")) {
          // What an operator does then: the machine comes back empty.
          this.crash(id, {});
          this.wipe(id);
        } else if (isOfDisk(error)) this.#failed(place, error);
        else report("process-lives", `${id} did not start: ${String(error)}`);
      },
    );
  }

  /** SIGKILL: the system lives on, closes the connections, and loses nothing that was written. */
  kill(id: string): boolean {
    const place = this.#place(id);
    if (!this.#end(place, true)) return false;
    place.memory = place.memory.kill();
    return true;
  }

  /** The whole machine stops, and with it what its disk had not made durable. */
  crash(id: string, left: Crash): boolean {
    const place = this.#place(id);
    if (!this.#end(place, false)) return false;
    this.#parts.network.hostDown(id);
    place.memory = place.memory.crash(left);
    return true;
  }

  /** What a crash of this node could leave: see `Crash`. */
  unsynced(id: string): { readonly bytes: number; readonly names: number } {
    const { memory } = this.#place(id);
    return { bytes: memory.unsyncedBytes, names: memory.unsyncedNames };
  }

  /** A machine that does not run loses its disk, and comes back empty under its old name. */
  wipe(id: string): void {
    const place = this.#place(id);
    this.#canNotBegin ||= [...this.#places.values()].some((one) => !one.isAdmitted && !isGone(one));
    place.memory = new MemoryDisk();
    place.log = new DurableLog();
    // One that nobody has met has promised nothing, and is as new as it says.
    const isMet = [...this.#places.values()].some(({ id: other, memory }) =>
      identityOn(memory, other)?.members.some(([name]) => name === id),
    );
    place.data = isMet ? "lost" : "sound";
  }

  /** Turns over a bit of what a machine that does not run has on its disk. False if all of it may be torn. */
  damage(id: string, dice: Dice): boolean {
    const place = this.#place(id);
    const { memory } = place;
    const files = [...coldSegments(memory), ...memory.paths().filter((path) => path.endsWith("/identity.json"))];
    if (!flipOne(memory, files, dice)) return false;
    place.data = "damaged";
    return true;
  }

  /** The same in the log of one that runs, and that reads it again only if it has to. */
  rot(id: string, dice: Dice): boolean {
    const place = this.#place(id);
    // While it starts it reads everything.
    if (place.node === null || place.data !== "sound") return false;
    if (!flipOne(place.memory, coldSegments(place.memory), dice)) return false;
    place.data = "rotten";
    return true;
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

  failNext(id: string, operation: Operation): void {
    this.#place(id).memory.failNext(operation, "EIO");
  }

  #told(id: string, story: NodeProcessStory): void {
    const { tell, invariants, report } = this.#parts;
    tell(id, story);
    if (story.event === "admitted") this.#place(id).isAdmitted = true;
    if (story.event === "leader-elected") invariants.told(id, story);
    if (story.event === "leader-elected" || story.event === "candidate") {
      const due = this.#atTurningPoints.filter(({ point }) => point === story.event);
      this.#atTurningPoints = this.#atTurningPoints.filter((one) => !due.includes(one));
      for (const { act } of due) act(id);
    }
    if (story.event === "pre-vote" && story.reason === "timer-ran-out") this.#checkHeard(id);
    if (story.event === "handler-failed") report("process-lives", `an actor of ${id} failed: ${story.error}`);
    if (story.event === "machine-failed") {
      report("process-lives", `the machine of ${id} failed at entry ${story.index}: ${story.error}`);
    }
    if (story.event === "leader-elected" && this.isLost(id)) {
      report("election-safety", `${id}, which has lost its disk, leads term ${story.term}`);
    }
  }

  /** Silence is none that lies unread in a socket, if it has been there for so long that a stall must have been noticed. */
  #checkHeard(id: string): void {
    const { network, report } = this.#parts;
    const { cores, leader } = this;
    const [own, other] = [cores.get(id), cores.get(leader ?? "")];
    if (leader === null || own === undefined || other === undefined || own.term > other.term) return;
    if (!network.isUnreadFor(leader, id, NOTICED_STALL_MS)) return;
    report("heard-first", `${id} asks for votes, and what ${leader} has sent in term ${other.term} lies unread`);
  }

  /** A node gave up on its disk, as it should; any other reason is a failure of its own. */
  #failed(place: Place, error: unknown): void {
    const hasNoticed = place.data === "rotten" && hasCode(error, "DATA_CORRUPT");
    if (!isOfDisk(error) && !hasNoticed) this.#parts.report("process-lives", `${place.id}: ${String(error)}`);
    this.kill(place.id);
  }

  #end(place: Place, notice: boolean): boolean {
    if (place.process === null) return false;
    place.process.kill(notice);
    place.process = null;
    place.node = null;
    place.raft = null;
    place.machine = null;
    place.log.ended();
    if (place.data === "rotten") place.data = "damaged";
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
