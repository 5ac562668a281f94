/** A whole cluster in a simulated world: machines, the processes on them, and everything that may be done to them. */

import { type ActorContext, type ActorStory, ActorSystem } from "../actor/index.ts";
import { Client } from "../client/client.ts";
import { type DirectoryOptions, startDirectory } from "../directory/index.ts";
import { hasCode } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import type { ApplyContext, StateMachine } from "../machine/index.ts";
import { type NodeProcessStory, type RunningNode, startNode } from "../node/index.ts";
import { CLIENT_ACTOR, clientProtocol } from "../protocol/client.ts";
import { DIRECTORY_ACTOR, directoryProtocol } from "../protocol/directory.ts";
import type { LeaderView } from "../protocol/leader.ts";
import { NODE_ACTOR, nodeProtocol } from "../protocol/node.ts";
import type { Raft } from "../raft/index.ts";
import type { Dice } from "./dice.ts";
import { DurableLog } from "./durable-log.ts";
import type { Invariants, Report } from "./invariants.ts";
import { type Crash, MemoryDisk } from "./memory-disk.ts";
import type { SimulatedNetwork } from "./network.ts";
import { diskless, Process } from "./process.ts";
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

/** One machine that runs a node, over all of the node's lives. */
interface Place {
  readonly id: string;
  memory: MemoryDisk;
  log: DurableLog;
  process: Process | null;
  node: RunningNode | null;
  machine: StateMachine | null;
  /** The state of its core, to look at. */
  raft: Raft | null;
  /** An orderly end is under way. */
  isStopping: boolean;
  /** Its disk was lost or damaged: it must not take part under its name any more. */
  isLost: boolean;
  /** A bit of its log was turned over: it must not even start. */
  isDamaged: boolean;
  syncMsMax: number;
  /** How often it was started. */
  lives: number;
  /** To be called when it is started next. */
  onStarted: (() => void) | null;
}

/** After these a node has something to say that nobody else knows. */
export type TurningPoint = "candidate" | "leader-elected";

interface Guest {
  readonly process: Process;
  readonly client: Client;
}

const CLUSTER = "simulated";
const PORT = 7000;
const DIRECTORY = "directory";
const SYNC_MS_MAX = 10;
export const TIMING = { heartbeatMs: 50, electionTimeoutMinMs: 300, electionTimeoutMaxMs: 600 };
/** Small, so that segments rotate, entries leave memory, and sessions expire. */
const LIMITS: Limits = {
  ...DEFAULT_LIMITS,
  segmentBytesMax: 4_096,
  logCacheBytesMax: 2_048,
  appendBytesMax: 1_024,
  sessionTimeoutMs: 1_000,
};

const urlOf = (host: string): string => `ws://${host}:${PORT}`;

export class SimulatedCluster {
  readonly ids: readonly string[];
  readonly #parts: ClusterParts;
  readonly #places = new Map<string, Place>();
  readonly #guests = new Map<string, Guest>();
  #directory: Process | null = null;
  #hasBegun = false;
  #atTurningPoints: { readonly point: TurningPoint; readonly act: (id: string) => void }[] = [];
  #directoryView: LeaderView | null = null;

  constructor(parts: ClusterParts) {
    this.#parts = parts;
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
        isLost: false,
        isDamaged: false,
        syncMsMax: SYNC_MS_MAX,
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

  /** Follows the directory as a subscriber does, for as long as the world goes on. */
  observe(): void {
    const process = new Process(this.#parts.world, this.#parts.network, this.#parts.dice.fork(), diskless("observer"));
    const system = this.#outsider(process, "observer");
    let life = "";
    let newestTerm = 0;
    const see = (view: LeaderView): void => {
      if (view.term < newestTerm) {
        this.#parts.report("directory-order", `it went from term ${newestTerm} back to ${view.term}`);
      }
      newestTerm = view.term;
      this.#directoryView = view;
    };
    system.spawn(CLIENT_ACTOR, clientProtocol, (context: ActorContext) => {
      context.keepLink(urlOf(DIRECTORY));
      const directory = context.ref(`${urlOf(DIRECTORY)}/${DIRECTORY_ACTOR}`, directoryProtocol);
      return (batch) => {
        for (const delivery of batch) {
          if (delivery.type === "message") see(delivery.message.view);
          if (delivery.type !== "link" || !delivery.up) continue;
          // Another process has all to learn anew, terms included.
          if (delivery.peer.hello.process !== life) newestTerm = 0;
          life = delivery.peer.hello.process;
          directory.ask({ type: "subscribe" }, { timeoutMs: 60_000 }).then(
            (answer) => answer.type === "leader" && see(answer.view),
            () => {},
          );
        }
      };
    });
  }

  /** The leader as the directory last pushed it. */
  get announced(): LeaderView | null {
    return this.#directoryView;
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
    return [...this.ids, DIRECTORY, ...this.#guests.keys()];
  }

  /** The cores of the nodes that run, those that have lost their disks left out. */
  get cores(): ReadonlyMap<string, Raft> {
    const sound = [...this.#places.values()].filter(({ isLost }) => !isLost);
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

  /** Every node has once been known to every other. */
  get hasBegun(): boolean {
    this.#hasBegun ||= [...this.#places.values()].every(({ raft }) => raft?.isAdmitted === true);
    return this.#hasBegun;
  }

  /** Two nodes whose machines hold different state, in words; null if all that have not lost their disks agree. */
  differingState(): string | null {
    const sound = [...this.#places.values()].filter(({ isLost, machine }) => !isLost && machine !== null);
    const [first, ...others] = sound.map(({ id, machine }) => ({ id, state: [...(machine?.snapshot() ?? [])].join() }));
    const other = others.find(({ state }) => state !== first?.state);
    return other === undefined ? null : `${other.id} holds another state than ${first?.id} after the same entries`;
  }

  isLost(id: string): boolean {
    return this.#place(id).isLost;
  }

  /** Nodes whose disk was lost for good. */
  get lost(): number {
    return this.ids.filter((id) => this.isLost(id)).length;
  }

  processOf(id: string): Process | null {
    return this.#place(id).process;
  }

  /** Calls `act` when the next node becomes a candidate, or the leader, before it has said a word. */
  once(point: TurningPoint, act: (id: string) => void): void {
    this.#atTurningPoints.push({ point, act });
  }

  /** Nobody waits for a turning point any more. */
  forgetTurningPoints(): void {
    this.#atTurningPoints = [];
  }

  /** Calls `act` when a node that is down is started. */
  onceStarted(id: string, act: () => void): void {
    this.#place(id).onStarted = act;
  }

  setSyncMsMax(id: string, mostMs: number): void {
    this.#place(id).syncMsMax = mostMs;
  }

  /** Lets disks be as fast as they were. */
  healDisks(): void {
    for (const place of this.#places.values()) place.syncMsMax = SYNC_MS_MAX;
  }

  start(id: string): void {
    const place = this.#place(id);
    if (place.process !== null) return;
    const { world, network, dice, machine, invariants, report } = this.#parts;
    const process = new Process(world, network, dice.fork(), {
      host: id,
      memory: place.memory,
      disk: place.log.listenTo(place.memory),
      syncMsMax: () => place.syncMsMax,
    });
    const own = machine();
    place.process = process;
    place.machine = own;
    place.isStopping = false;
    place.lives++;
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
      machine: watched(own, (index, position, command, result) =>
        invariants.applied(id, index, position, command, result),
      ),
      timing: TIMING,
      limits: LIMITS,
      tell: (story) => {
        if (process.isAlive) this.#told(id, story);
      },
      onStart: (raft) => {
        place.raft = raft;
        if (place.isDamaged) report("damage-noticed", `${id} has started`);
        if (!place.isLost) invariants.started(id, raft, place.log);
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
        if (place.isDamaged && hasCode(error, "DATA_CORRUPT")) {
          // What an operator does then: the machine comes back empty.
          this.crash(id, {});
          this.wipe(id);
        } else if (hasCode(error, "DISK_FAILED")) this.#failed(place, error);
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
    place.memory = new MemoryDisk();
    place.log = new DurableLog();
    place.isLost = true;
    place.isDamaged = false;
  }

  /** Turns over a bit of the log of a machine that does not run, where an intact frame follows. False if there is none. */
  damage(id: string, dice: Dice): boolean {
    const place = this.#place(id);
    const files = place.memory.paths().filter((path) => path.includes("/wal-"));
    // The last file may end in a frame that nothing shields; all others have a newer one behind them.
    const cold = files.slice(0, -1);
    if (cold.length === 0) return false;
    const path = dice.pick(cold);
    place.memory.flip(path, dice.below(place.memory.bytesOf(path).byteLength * 8));
    place.isDamaged = true;
    place.isLost = true;
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

  failNext(id: string, operation: "write" | "sync", code: "ENOSPC" | "EIO", bytesWritten: number): void {
    this.#place(id).memory.failNext(operation, code, bytesWritten);
  }

  /** Asks the leader to hand leadership over. */
  transfer(): boolean {
    const { leader } = this;
    const process = leader === null ? null : this.processOf(leader);
    if (leader === null || process === null) return false;
    const { world, network, dice } = this.#parts;
    const operator = new Process(world, network, dice.fork(), diskless("operator"));
    const system = this.#outsider(operator, "operator");
    const done = (): void => operator.kill(true);
    system
      .ref(`${urlOf(leader)}/${NODE_ACTOR}`, nodeProtocol)
      .ask({ type: "transfer", to: null }, { timeoutMs: 1_000 })
      .then(done, done);
    return true;
  }

  /** Actors of nobody's, whose failures are failures all the same. */
  #outsider({ environment }: Process, name: string): ActorSystem {
    const tell = (story: ActorStory): void => {
      if (story.event === "handler-failed") this.#parts.report("process-lives", `the ${name} failed: ${story.error}`);
    };
    return new ActorSystem({ environment, cluster: CLUSTER, name, tell });
  }

  /** Starts a client on a host of its own. */
  startClient(name: string, timeoutMs: number): Client {
    const { world, network, dice } = this.#parts;
    const process = new Process(world, network, dice.fork(), diskless(name));
    const client = new Client(
      { directories: [urlOf(DIRECTORY)], nodes: this.ids.map(urlOf), cluster: CLUSTER, timeoutMs },
      process.environment,
    );
    this.#guests.set(name, { process, client });
    return client;
  }

  /** A client's process ends without a word; calls that it had open are never answered. */
  killClient(name: string): void {
    this.#guests.get(name)?.process.kill(true);
    this.#guests.delete(name);
  }

  get clients(): ReadonlyMap<string, Client> {
    return new Map([...this.#guests].map(([name, { client }]) => [name, client]));
  }

  #told(id: string, story: NodeProcessStory): void {
    const { tell, invariants, report } = this.#parts;
    tell(id, story);
    if (story.event === "leader-elected") invariants.told(id, story);
    if (story.event === "leader-elected" || story.event === "candidate") {
      const due = this.#atTurningPoints.filter(({ point }) => point === story.event);
      this.#atTurningPoints = this.#atTurningPoints.filter((one) => !due.includes(one));
      for (const { act } of due) act(id);
    }
    if (story.event === "handler-failed") report("process-lives", `an actor of ${id} failed: ${story.error}`);
    if (story.event === "machine-failed") {
      report("process-lives", `the machine of ${id} failed at entry ${story.index}: ${story.error}`);
    }
    if (story.event === "leader-elected" && this.isLost(id)) {
      report("election-safety", `${id}, which has lost its disk, leads term ${story.term}`);
    }
  }

  /** A node gave up on its disk, as it should; any other reason is a failure of its own. */
  #failed(place: Place, error: unknown): void {
    if (!hasCode(error, "DISK_FAILED")) this.#parts.report("process-lives", `${place.id}: ${String(error)}`);
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

/** A machine that is listened to. */
function watched(
  machine: StateMachine,
  applied: (index: number, position: number, command: Uint8Array, result: Uint8Array) => void,
): StateMachine {
  let at = { index: 0, position: 0 };
  return {
    apply: (command: Uint8Array, context: ApplyContext) => {
      at = context.index === at.index ? { ...at, position: at.position + 1 } : { index: context.index, position: 0 };
      const result = machine.apply(command, context);
      applied(at.index, at.position, command, result);
      return result;
    },
    query: (query) => machine.query(query),
    snapshot: () => machine.snapshot(),
    restore: (pieces) => machine.restore(pieces),
  };
}
