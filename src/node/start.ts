/** A node as a process of its own: from the data directory to the open port, and back. */

import { type ActorStory, ActorSystem, normalUrl } from "../actor/index.ts";
import type { Disk, Environment, FolderLock } from "../environment.ts";
import { ConclaveError, hasCode, messageOf } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { CloseCode, type Hello, type Refusal } from "../link/index.ts";
import { Replica, type StateMachine } from "../machine/index.ts";
import { type Member, NODE_ACTOR, type NodeStatus, nodeProtocol } from "../protocol/node.ts";
import {
  type Configuration,
  configurationOf,
  createRaft,
  memberNamed,
  type Raft,
  type RaftConfig,
} from "../raft/index.ts";
import { enterLife, type Founder, Identity, RESERVE_BYTES, SnapshotStore, Wal } from "../storage/index.ts";
import { APPEND_HEADROOM_BYTES } from "./admission.ts";
import { type BegunAnewStory, beginAnew, beginning, checkBeginsAnew } from "./begin-anew.ts";
import { NodeActor, type NodeStory } from "./node.ts";
import { snapshotOf } from "./snapshot-transfer.ts";
import { Recovery } from "./stored.ts";

/**
 * How often a server shows signs of life, and how long the others wait for them.
 *
 * @example
 * ```ts
 * import type { Timing } from "conclave";
 *
 * const acrossContinents: Timing = { heartbeatMs: 200, electionTimeoutMinMs: 1_500, electionTimeoutMaxMs: 3_000 };
 * ```
 */
export interface Timing {
  readonly heartbeatMs: number;
  readonly electionTimeoutMinMs: number;
  readonly electionTimeoutMaxMs: number;
}

/**
 * What a node's process has to tell.
 *
 * @example
 * ```ts
 * import { join, type NodeProcessStory } from "conclave";
 *
 * const log = (story: NodeProcessStory): void => console.log(JSON.stringify(story));
 * await using node = await join({ id: "n1", peers: { n1: url }, dataDir: folder, tell: log });
 * ```
 */
export type NodeProcessStory =
  | NodeStory
  | ActorStory
  | BegunAnewStory
  | {
      readonly event: "recovered";
      readonly term: number;
      readonly lastIndex: number;
      readonly commitIndex: number;
      readonly snapshotIndex: number;
      readonly tornBytes: number;
    }
  /** Nothing is written until there is room again; what was acknowledged stays so. */
  | { readonly event: "disk-full" }
  | { readonly event: "disk-has-room" }
  | { readonly event: "machine-failed"; readonly index: number; readonly error: string };

/**
 * What `startNode` needs.
 *
 * @example
 * ```ts
 * import type { NodeOptions } from "conclave";
 *
 * const timing: NodeOptions["timing"] = { heartbeatMs: 100, electionTimeoutMinMs: 300, electionTimeoutMaxMs: 600 };
 * const onFatal: NodeOptions["onFatal"] = ({ code, message }) => {
 *   console.error(code, message);
 *   process.exitCode = 1;
 * };
 * ```
 */
export interface NodeOptions {
  readonly environment: Environment;
  readonly cluster: string;
  readonly id: string;
  /**
   * The members that the cluster begins with, this one included; the same for all of them, and used at the very first
   * start only. None for a node that joins a cluster.
   */
  readonly members: readonly (Member & { readonly priority?: number | undefined })[];
  /** Where this node is reached, if that is not where `members` has it. */
  readonly url?: string | undefined;
  /** Any members of a running cluster, by which a new node is taken in. */
  readonly join?: readonly string[] | undefined;
  /**
   * The majority is lost for good, and a new cluster is to be begun from this node's data alone: its `id`, so that this
   * happens to no node by mistake. What this node never got is lost with the others; what it has counts as committed. The
   * others must not be started with their data again, but can join anew. Once begun, it is refused.
   */
  readonly forceNewCluster?: string | undefined;
  readonly directories: readonly string[];
  /** Where this node listens. */
  readonly host: string;
  readonly port: number;
  readonly allowedOrigins: readonly string[];
  /** The folder of this node alone. */
  readonly dataFolder: string;
  readonly machine: StateMachine;
  readonly timing: Timing;
  readonly limits: Limits;
  /**
   * How much faster than another clock of the cluster a node's clock may run, as a share below 1, if leaders are to serve
   * reads under a lease. The same for all nodes. By default they are not, and failovers need not wait for leases.
   */
  readonly clockDriftMax?: number | null | undefined;
  readonly tell: (story: NodeProcessStory) => void;
  /** @internal Gets the state of the core before anything happens to it: for checkers, to look at only. */
  readonly onStart?: (raft: Raft) => void;
  /** The disk has failed, or the node was removed from its cluster; it has stopped, and its process should end. */
  readonly onFatal: (error: ConclaveError) => void;
}

/**
 * A node in this process.
 *
 * @example
 * ```ts
 * import type { RunningNode } from "conclave";
 *
 * const healthOf = (node: RunningNode): number => (node.status().role === "leader" ? 200 : 503);
 * ```
 */
export interface RunningNode {
  status(): NodeStatus;
  /** Hands leadership over if it has it, takes leave of everyone, and closes the log. */
  close(): Promise<void>;
}

/** A wait this short makes a lost leader cost little, and this long keeps rivals apart. */
const EVIDENCE_DELAY_MAX_MS = 30;
const HANDOVER_POLL_MS = 2;

/**
 * Starts a node of the parts that it is given. `join` gives it those that most programs want.
 *
 * @example
 * ```ts
 * import { DEFAULT_LIMITS, hostOf, KeyValueMachine, Machines, portOf, realEnvironment, startNode } from "conclave";
 *
 * const node = await startNode({
 *   environment: realEnvironment,
 *   cluster: "demo",
 *   id: "n1",
 *   members: [{ id: "n1", url }],
 *   directories: [],
 *   host: hostOf({ url }),
 *   port: portOf(url),
 *   allowedOrigins: [],
 *   dataFolder: folder,
 *   machine: new Machines(new KeyValueMachine(), [], { isGuarded: true }),
 *   timing: { heartbeatMs: 100, electionTimeoutMinMs: 300, electionTimeoutMaxMs: 600 },
 *   limits: DEFAULT_LIMITS,
 *   tell: () => {},
 *   onFatal: (error) => console.error(error.code),
 * });
 * await node.close();
 * ```
 *
 * @throws ConclaveError `DATA_LOCKED`, `DATA_FOREIGN`, `DATA_CORRUPT`, `DISK_FAILED`, `DISK_FULL`, `ADDRESS_IN_USE`,
 * `REMOVED`, `CONFIG_INVALID`, `INVALID_ARGUMENT` if a new cluster can't be begun
 */
export async function startNode(given: NodeOptions): Promise<RunningNode> {
  const options = { ...given, tell: harmless(given.tell) };
  const { environment, dataFolder: folder, cluster, id, forceNewCluster: wish } = options;
  const { disk } = environment;
  const lock = await takeFolder(disk, folder);
  try {
    if (wish !== undefined) await checkBeginsAnew(disk, folder, id, wish);
    const identity = await Identity.open(environment, folder, cluster, id, founders(options));
    if (identity.isRemoved) throw removed(id);
    if (wish !== undefined) options.tell(await beginAnew(options, identity, urlOf(options)));
    const { epoch, clusterSalt: salt } = identity;
    // The first life of a cluster, and none at all, begin with nothing.
    if (epoch !== null && epoch !== "") await enterLife({ disk, folder, salt }, epoch);
    const running = await startWith(options, identity);
    return {
      status: running.status,
      close: async () => {
        try {
          await running.close();
        } finally {
          await lock.release();
        }
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function takeFolder(disk: Disk, folder: string): Promise<FolderLock> {
  try {
    await disk.makeFolder(folder);
    return await disk.lock(folder);
  } catch (error) {
    if (error instanceof ConclaveError) throw error;
    throw new ConclaveError("DISK_FAILED", `The data folder ${folder} can't be used: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** What is told is for people to read: a replica must not fall over its own log. */
function harmless(tell: NodeOptions["tell"]): NodeOptions["tell"] {
  return (story) => {
    try {
      tell(story);
    } catch {
      // There is nowhere left to report it.
    }
  };
}

/** Those that the cluster begins with; a node that joins one begins none. */
const founders = ({ members, join = [] }: NodeOptions): Founder[] =>
  join.length > 0 ? [] : members.map(({ id, url, priority = 0 }) => ({ id, url: normalUrl(url), priority }));

/** What its own parts reach the actor by; there is none before it is spawned. */
interface NodeHolder {
  node: NodeActor | null;
  hasFailed: boolean;
}

async function startWith(options: NodeOptions, identity: Identity): Promise<RunningNode> {
  const { environment, dataFolder, limits } = options;
  const { disk, clock } = environment;
  const holder: NodeHolder = { node: null, hasFailed: false };
  const store = await SnapshotStore.open(disk, dataFolder, { salt: identity.clusterSalt });
  const snapshot = store.latest === null ? beginning(identity) : snapshotOf(store.latest);
  const recovery = new Recovery(snapshot, limits.logCacheBytesMax);
  const walOptions = {
    salt: identity.salt,
    reserveBytes: RESERVE_BYTES,
    segmentBytesMax: limits.segmentBytesMax,
    clock,
    onFull: (isFull: boolean) => {
      options.tell({ event: isFull ? "disk-full" : "disk-has-room" });
      holder.node?.diskFull(isFull);
    },
  };
  const wal = await Wal.open(disk, dataFolder, walOptions, recovery);
  try {
    return await run(options, identity, store, wal, recovery, holder);
  } catch (error) {
    await wal.close();
    throw error;
  }
}

async function run(
  options: NodeOptions,
  identity: Identity,
  store: SnapshotStore,
  wal: Wal,
  recovery: Recovery,
  holder: NodeHolder,
): Promise<RunningNode> {
  const { environment, limits, tell, timing, cluster, id, host, port, allowedOrigins } = options;
  const { clock } = environment;
  const url = urlOf(options);
  const { recovered } = recovery;
  const { hardState, log, snapshot } = recovered;
  const replica = new Replica(options.machine, (index, error) => tell({ event: "machine-failed", index, error }));
  if (snapshot.index > 0) await replica.restore(snapshot.index, store.read(snapshot.index));
  const seed = Math.floor(environment.random.next() * 2 ** 32);
  const isAdmitted = identity.isAdmitted || isAlone(snapshot.configuration, id);
  const raft = createRaft(raftConfig(options, identity), { ...recovered, isAdmitted }, clock.nowMs(), seed);
  options.onStart?.(raft);
  const { term, commitIndex } = hardState;
  tell({
    event: "recovered",
    term,
    lastIndex: log.lastIndex,
    commitIndex: Math.max(commitIndex, snapshot.index),
    snapshotIndex: snapshot.index,
    tornBytes: wal.tornBytes,
  });

  const onFatal = (error: ConclaveError): void => {
    if (holder.hasFailed) return;
    holder.hasFailed = true;
    holder.node?.stop();
    options.onFatal(error);
  };
  const system = new ActorSystem({
    environment,
    cluster,
    name: id,
    incarnation: identity.incarnation,
    epoch: identity.epoch,
    url,
    linkLimits: { messageBytesMax: limits.messageBytesMax, sendBufferBytesMax: limits.sendBufferBytesMax },
    mailboxMax: limits.mailboxMax,
    verify: (remote, isDialled) =>
      verify(options, identity, raft, remote, isDialled).catch((error) => {
        if (error instanceof ConclaveError) onFatal(error);
        throw error;
      }),
    tell,
  });
  try {
    await system.listen({ host, port, allowedOrigins, connectionsMax: limits.connectionsMax });
  } catch (error) {
    await system.close();
    if (!hasCode(error, "ADDRESS_IN_USE")) throw error;
    throw new ConclaveError("ADDRESS_IN_USE", `${id}: ${error.message}`, { cause: error });
  }
  const parts = {
    environment,
    cluster,
    url: normalUrl(url),
    directories: options.directories,
    join: (options.join ?? []).map(normalUrl),
    raft,
    wal,
    store,
    replica,
    limits,
    isRemoved: identity.isRemoved,
    firstMet: (member: string) => identity.incarnationOf(member),
    tell,
    admit: () => identity.admit(),
    leave: () => identity.leave(),
    onFatal,
  };
  system.spawn(NODE_ACTOR, nodeProtocol, (context) => {
    holder.node = new NodeActor(context, parts);
    return holder.node.behaviour;
  });
  const { node } = holder;
  if (node === null) throw new Error("the node actor was not created");

  /** Waits until another node leads, an election timeout has passed, or no majority is left to elect one. */
  const handOver = async (): Promise<void> => {
    const giveUpMs = clock.nowMs() + timing.electionTimeoutMaxMs;
    const isPossible = (): boolean => node.isLeader && node.hasQuorum && clock.nowMs() < giveUpMs;
    if (isPossible()) node.transfer();
    while (isPossible()) await new Promise<void>((resolve) => void clock.setTimer(HANDOVER_POLL_MS, resolve));
  };

  return {
    status: () => node.status(),
    close: async () => {
      await handOver();
      node.stop();
      await system.close();
      await wal.close();
    },
  };
}

/** A cluster of one has nobody to take note of it. */
const isAlone = ({ members }: Configuration, id: string): boolean => members.length === 1 && members[0]?.id === id;

function raftConfig({ id, timing, limits, clockDriftMax = null }: NodeOptions, { incarnation }: Identity): RaftConfig {
  return {
    id,
    incarnation,
    ...timing,
    evidenceDelayMaxMs: Math.min(EVIDENCE_DELAY_MAX_MS, timing.electionTimeoutMinMs / 2),
    appendBytesMax: Math.min(limits.appendBytesMax, limits.messageBytesMax - APPEND_HEADROOM_BYTES),
    appendsInFlightMax: limits.appendsInFlightMax,
    appendBytesInFlightMax: limits.appendBytesInFlightMax,
    logCacheBytesMax: limits.logCacheBytesMax,
    clockDriftMax,
  };
}

function urlOf({ members, id, url }: NodeOptions): string {
  const own = url ?? members.find((member) => member.id === id)?.url;
  if (own !== undefined) return own;
  const known = members.map((member) => member.id).join(", ");
  throw new ConclaveError("CONFIG_INVALID", `No node "${id}" is configured, only ${known}; give a new one its --url.`);
}

/**
 * A link is had with every process of the cluster, be it a member or not: one that is new wants to be taken in, and one
 * that this node has not heard of yet may lead. Whose word counts for what is decided later, by who the members are; so
 * those that the configuration has no incarnation of are remembered, durably, as they are met for the first time.
 */
async function verify(
  options: NodeOptions,
  identity: Identity,
  raft: Raft,
  remote: Hello,
  isDialled: boolean,
): Promise<Refusal | null> {
  const { id, directories } = options;
  const { name, url, epoch, incarnation } = remote;
  if (url === null || directories.some((directory) => normalUrl(directory) === url)) return null;
  if (name === id) {
    return { code: CloseCode.wrongIdentity, reason: `${id} is this node itself, or another has its name` };
  }
  if (epoch !== null) {
    if (identity.epoch === null && !isDialled) {
      // It joins those whom it was told to ask; some that it was among before may be of a life that is over.
      return { code: CloseCode.wrongCluster, reason: `${id} has yet to join its cluster` };
    }
    if (identity.epoch === null) await identity.enter(epoch);
    if (identity.epoch !== epoch) {
      const reason = "the cluster was begun anew, and one of the two is from before";
      return { code: CloseCode.wrongCluster, reason };
    }
  }
  if (memberNamed(configurationOf(raft), name)?.incarnation === null) await identity.recognizes(name, incarnation);
  return null;
}

const removed = (id: string): ConclaveError =>
  new ConclaveError(
    "REMOVED",
    `${id} was removed from its cluster. To bring it back, start it with an empty data directory, and --join.`,
  );
