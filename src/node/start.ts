/** A node as a process of its own: from the data directory to the open port, and back. */

import { type ActorStory, ActorSystem, normalUrl } from "../actor/index.ts";
import type { Disk, Environment, FolderLock } from "../environment.ts";
import { ConclaveError, hasCode, messageOf } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { CloseCode, type Hello, type Refusal } from "../link/index.ts";
import { Replica, type StateMachine } from "../machine/index.ts";
import { type Member, NODE_ACTOR, type NodeStatus, nodeProtocol } from "../protocol/node.ts";
import { createRaft, type Raft, type RaftConfig, type Recovered } from "../raft/index.ts";
import { Identity, Wal } from "../storage/index.ts";
import { APPEND_HEADROOM_BYTES } from "./admission.ts";
import { NodeActor, type NodeStory } from "./node.ts";
import { Recovery } from "./stored.ts";

/** How often a server shows signs of life, and how long the others wait for them. */
export interface Timing {
  readonly heartbeatMs: number;
  readonly electionTimeoutMinMs: number;
  readonly electionTimeoutMaxMs: number;
}

/** What a node's process has to tell. */
export type NodeProcessStory =
  | NodeStory
  | ActorStory
  | {
      readonly event: "recovered";
      readonly term: number;
      readonly lastIndex: number;
      readonly commitIndex: number;
      readonly tornBytes: number;
    }
  | { readonly event: "machine-failed"; readonly index: number; readonly error: string };

/** What `startNode` needs. */
export interface NodeOptions {
  readonly environment: Environment;
  readonly cluster: string;
  readonly id: string;
  /** All voting members, this one included. */
  readonly members: readonly Member[];
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
  readonly tell: (story: NodeProcessStory) => void;
  /** @internal Gets the state of the core before anything happens to it: for checkers, to look at only. */
  readonly onStart?: (raft: Raft) => void;
  /** The disk has failed; the node has stopped, and its process should end. */
  readonly onFatal: (error: ConclaveError) => void;
}

/** A node in this process. */
export interface RunningNode {
  status(): NodeStatus;
  /** Hands leadership over if it has it, takes leave of everyone, and closes the log. */
  close(): Promise<void>;
}

/** A wait this short makes a lost leader cost little, and this long keeps rivals apart. */
const EVIDENCE_DELAY_MAX_MS = 30;
const HANDOVER_POLL_MS = 2;

/**
 * @throws ConclaveError `DATA_LOCKED`, `DATA_FOREIGN`, `DATA_CORRUPT`, `DISK_FAILED`, `ADDRESS_IN_USE`
 */
export async function startNode(given: NodeOptions): Promise<RunningNode> {
  const options = { ...given, tell: harmless(given.tell) };
  const { environment, dataFolder, cluster, id } = options;
  const { disk } = environment;
  const lock = await takeFolder(disk, dataFolder);
  try {
    const identity = await Identity.open(environment, dataFolder, cluster, id);
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

async function startWith(options: NodeOptions, identity: Identity): Promise<RunningNode> {
  const { environment, dataFolder, limits } = options;
  const url = urlOf(options);
  const recovery = new Recovery(limits.logCacheBytesMax);
  const walOptions = { salt: identity.salt, segmentBytesMax: limits.segmentBytesMax };
  const wal = await Wal.open(environment.disk, dataFolder, walOptions, recovery);
  try {
    return await run(options, identity, url, wal, recovery.recovered);
  } catch (error) {
    await wal.close();
    throw error;
  }
}

async function run(
  options: NodeOptions,
  identity: Identity,
  url: string,
  wal: Wal,
  recovered: Omit<Recovered, "isAdmitted">,
): Promise<RunningNode> {
  const { environment, limits, tell, timing, cluster, id, host, port, allowedOrigins } = options;
  const { clock } = environment;
  const seed = Math.floor(environment.random.next() * 2 ** 32);
  const isAdmitted = identity.isAdmitted || options.members.length === 1;
  const raft = createRaft(raftConfig(options), { ...recovered, isAdmitted }, clock.nowMs(), seed);
  options.onStart?.(raft);
  const { hardState, log } = recovered;
  const { term, commitIndex } = hardState;
  tell({ event: "recovered", term, lastIndex: log.lastIndex, commitIndex, tornBytes: wal.tornBytes });

  const holder: { node: NodeActor | null; hasFailed: boolean } = { node: null, hasFailed: false };
  const onFatal = (error: ConclaveError): void => {
    if (holder.hasFailed) return;
    holder.hasFailed = true;
    holder.node?.stop();
    options.onFatal(error);
  };
  const replica = new Replica(options.machine, (index, error) => tell({ event: "machine-failed", index, error }));
  const system = new ActorSystem({
    environment,
    cluster,
    name: id,
    incarnation: identity.incarnation,
    url,
    linkLimits: { messageBytesMax: limits.messageBytesMax, sendBufferBytesMax: limits.sendBufferBytesMax },
    mailboxMax: limits.mailboxMax,
    verify: (remote) =>
      verify(options, identity, remote).catch((error) => {
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
  const parts = { ...options, onFatal, raft, wal, replica, admit: () => identity.admit() };
  system.spawn(NODE_ACTOR, nodeProtocol, (context) => {
    holder.node = new NodeActor(context, parts);
    return holder.node.behaviour;
  });
  const { node } = holder;
  if (node === null) throw new Error("the node actor was not created");

  /** Waits until another node leads, an election timeout has passed, or no majority is left to elect one. */
  const handOver = async (): Promise<void> => {
    const giveUpMs = clock.nowMs() + timing.electionTimeoutMaxMs;
    const isPossible = (): boolean => {
      const others = Object.values(node.status().links).filter(Boolean).length;
      return node.isLeader && others > 0 && others + 1 > options.members.length / 2 && clock.nowMs() < giveUpMs;
    };
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

function raftConfig({ id, members, timing, limits }: NodeOptions): RaftConfig {
  return {
    id,
    voters: members.map((member) => member.id),
    ...timing,
    evidenceDelayMaxMs: Math.min(EVIDENCE_DELAY_MAX_MS, timing.electionTimeoutMinMs / 2),
    appendBytesMax: Math.min(limits.appendBytesMax, limits.messageBytesMax - APPEND_HEADROOM_BYTES),
    appendsInFlightMax: limits.appendsInFlightMax,
    appendBytesInFlightMax: limits.sendBufferBytesMax / 2,
    logCacheBytesMax: limits.logCacheBytesMax,
  };
}

function urlOf({ members, id }: NodeOptions): string {
  const self = members.find((member) => member.id === id);
  if (self === undefined) {
    const known = members.map((member) => member.id).join(", ");
    throw new ConclaveError("CONFIG_INVALID", `No node "${id}" is configured, only ${known}.`);
  }
  return self.url;
}

/** A link is had with members as they were first met, with directories, and with clients, who listen nowhere. */
async function verify(options: NodeOptions, identity: Identity, remote: Hello): Promise<Refusal | null> {
  const { id, members, directories } = options;
  const refuse = (reason: string): Refusal => ({ code: CloseCode.wrongIdentity, reason });
  if (remote.name === id && remote.url !== null) return refuse(`${id} is this node itself, or another has its name`);
  const member = members.find(({ url }) => remote.url !== null && normalUrl(url) === remote.url);
  if (member === undefined) {
    const isDirectory = directories.some((url) => normalUrl(url) === remote.url);
    return remote.url === null || isDirectory ? null : refuse(`${remote.name} at ${remote.url} is not a member`);
  }
  if (member.id !== remote.name) return refuse(`${member.url} belongs to ${member.id}, not to ${remote.name}`);
  if (await identity.recognizes(remote.name, remote.incarnation)) return null;
  return refuse(`${remote.name} has lost the data it had, and can't vote again under its old name`);
}
