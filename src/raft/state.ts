/** The state of one server. Only the functions of this folder change it. */

import type { Draft } from "./effects.ts";
import type { Log } from "./log.ts";
import { type HardState, type LogIndex, logIndex, NO_INDEX, type NodeId, type RaftConfig, type Term } from "./types.ts";

interface InFlight {
  readonly lastIndex: LogIndex;
  readonly bytes: number;
  readonly sentMs: number;
}

/** What a leader knows of a follower (paper, Figure 2, nextIndex and matchIndex; the rest is flow control). */
export interface Progress {
  /** The highest entry known to be durable there. */
  match: LogIndex;
  /** The next entry to send. */
  next: LogIndex;
  /** `probe`: where the logs agree is unknown, so one AppendEntries at a time. `replicate`: it is known, so many. */
  mode: "probe" | "replicate";
  /** AppendEntries on their way, oldest first. */
  inFlight: InFlight[];
  inFlightBytes: number;
  /** Entries that it needs are being read from the disk. */
  fetching: boolean;
  /** When it was last heard from in this term. */
  heardMs: number;
  /** The newest heartbeat round it has answered. */
  round: number;
  /** It has once held everything the leader had. */
  caughtUp: boolean;
}

/** A follower, or a candidate of either kind, waits for this long before it asks for votes. */
interface Waiting {
  electionDeadlineMs: number;
}

export interface Follower extends Waiting {
  readonly name: "follower";
  readonly leader: NodeId | null;
  /** When the leader was last heard from; -Infinity if never or if the link to it is lost. */
  leaderHeardMs: number;
  /** Why the election deadline stands where it does. */
  evidence: "timer-ran-out" | "leader-link-lost" | "vote-split";
}

export interface Candidate extends Waiting {
  readonly name: "pre-candidate" | "candidate";
  readonly transfer: boolean;
  readonly votes: Map<NodeId, boolean>;
}

export interface Leader {
  readonly name: "leader";
  /** The no-op that opened the term: nothing is known to be committed before it is (thesis, section 6.4). */
  readonly firstIndex: LogIndex;
  readonly followers: Map<NodeId, Progress>;
  heartbeatDeadlineMs: number;
  quorumDeadlineMs: number;
  /** The newest round of heartbeats sent. */
  round: number;
  /** Reads that wait for a round to be sent for them. */
  readonly readsWaiting: number[];
  /** Reads that a round was sent for, oldest first. */
  readsConfirming: { readonly round: number; readonly index: LogIndex; readonly tickets: readonly number[] }[];
  transfer: { readonly to: NodeId; readonly deadlineMs: number; ordered: boolean } | null;
}

export type Role = Follower | Candidate | Leader;

export interface Raft {
  readonly config: RaftConfig;
  readonly log: Log;
  term: Term;
  vote: NodeId | null;
  commitIndex: LogIndex;
  appliedIndex: LogIndex;
  role: Role;
  /**
   * Every other server has taken note of this one. Until then it takes no part: it may have been here before, and have
   * lost with its disk what it had promised (a vote, an acknowledgement) to one that it has not met again yet.
   */
  isAdmitted: boolean;
  /** Servers that a link stands to. */
  readonly linked: Set<NodeId>;
  /** The clock reading of the current batch. */
  nowMs: number;
  /** State of the generator behind election timeouts. */
  randomState: number;
  /** Elections lost to a split vote since the last leader. */
  splitVotes: number;
  /** This server saw its quorum lost and has not seen it regained. */
  quorumLost: boolean;

  /** The first entry that no `Persist` has carried yet. */
  unpersistedFrom: LogIndex;
  /** The hard state as the newest `Persist` had it. */
  persistedState: HardState;
  /** Entries up to here are durable on this server. */
  durableIndex: LogIndex;
  /** The number of the newest `Persist`. */
  persistSeq: number;
  /** What was issued and is not known to be durable, oldest first. */
  persistsInFlight: { readonly seq: number; lastIndex: LogIndex }[];
}

/** What a server starts from: an empty disk, or what recovery found. */
export interface Recovered {
  readonly hardState: HardState;
  readonly log: Log;
  /** Every other server has once taken note of this one. */
  readonly isAdmitted: boolean;
}

/**
 * A server that has just started: a follower without a leader.
 *
 * @param seed any 32-bit number; election timeouts follow from it
 */
export function createRaft(config: RaftConfig, recovered: Recovered, nowMs: number, seed: number): Raft {
  const { hardState, log } = recovered;
  if (hardState.commitIndex > log.lastIndex) {
    throw new RangeError(`commit index ${hardState.commitIndex} is past the end of the log, ${log.lastIndex}`);
  }
  const raft: Raft = {
    config,
    log,
    term: hardState.term,
    vote: hardState.vote,
    commitIndex: hardState.commitIndex,
    appliedIndex: NO_INDEX,
    role: {
      name: "follower",
      leader: null,
      leaderHeardMs: -Infinity,
      electionDeadlineMs: 0,
      evidence: "timer-ran-out",
    },
    isAdmitted: recovered.isAdmitted,
    linked: new Set(),
    nowMs,
    randomState: mixed(seed),
    splitVotes: 0,
    quorumLost: false,
    unpersistedFrom: logIndex(log.lastIndex + 1),
    persistedState: hardState,
    durableIndex: log.lastIndex,
    persistSeq: 0,
    persistsInFlight: [],
  };
  // A server that is its own majority has nobody to wait for.
  const alone = config.voters.length === 1 && config.voters[0] === config.id;
  raft.role = newFollower(raft, null, nowMs + (alone ? 0 : randomElectionTimeoutMs(raft)));
  return raft;
}

export function newFollower(raft: Raft, leader: NodeId | null, electionDeadlineMs: number): Follower {
  const leaderHeardMs = leader === null ? -Infinity : raft.nowMs;
  return { name: "follower", leader, leaderHeardMs, electionDeadlineMs, evidence: "timer-ran-out" };
}

export const newDraft = (): Draft => ({
  messages: [],
  messagesAfterPersist: [],
  proposals: [],
  reads: [],
  fetches: [],
  story: [],
});

/** The leader as far as this server knows. */
export function knownLeader(raft: Raft): NodeId | null {
  if (raft.role.name === "leader") return raft.config.id;
  return raft.role.name === "follower" ? raft.role.leader : null;
}

/** The other servers of the configuration. */
export const peersOf = (raft: Raft): NodeId[] => raft.config.voters.filter((id) => id !== raft.config.id);

export const isVoter = (raft: Raft, id: NodeId): boolean => raft.config.voters.includes(id);

/** Neighbouring seeds must not give neighbouring timeouts (the finalizer of MurmurHash3); zero would give only zeros. */
function mixed(seed: number): number {
  let x = seed | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16) || 1;
}

/** The next pseudo-random number in [0, 1) (xorshift32): the core's only source of chance is its own state. */
export function random(raft: Raft): number {
  let x = raft.randomState;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  raft.randomState = x;
  return (x >>> 0) / 2 ** 32;
}

export function randomElectionTimeoutMs(raft: Raft): number {
  const { electionTimeoutMinMs, electionTimeoutMaxMs } = raft.config;
  return electionTimeoutMinMs + random(raft) * (electionTimeoutMaxMs - electionTimeoutMinMs);
}

/**
 * A short wait for when there is evidence that no leader is there: after a lost link, or a split vote. It doubles with
 * every vote that was split and never exceeds an election timeout, so that rivals do not meet for ever.
 */
export function randomEvidenceDelayMs(raft: Raft): number {
  const longestMs = raft.config.evidenceDelayMaxMs * 2 ** Math.min(raft.splitVotes, 10);
  return random(raft) * Math.min(longestMs, raft.config.electionTimeoutMaxMs);
}
