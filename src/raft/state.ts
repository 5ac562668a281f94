/** The state of one server. Only the functions of this folder change it. */

import { type Configuration, find, isVoter, NOBODY, voterSets, votersOf } from "./configuration.ts";
import type { Draft, Snapshot } from "./effects.ts";
import type { Log, Position } from "./log.ts";
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
  /**
   * `probe`: where the logs agree is unknown, so one AppendEntries at a time. `replicate`: it is known, so many.
   * `snapshot`: what it needs is not in the log any more, and it has been offered a snapshot.
   */
  mode: "probe" | "replicate" | "snapshot";
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
  /**
   * The snapshot that it was last offered, until it holds as much. What is drawn from it goes on after a lost link, and
   * does not begin anew because the leader has taken another one meanwhile.
   */
  offered: Position | null;
  offeredMs: number;
  /** How far the log went at the start of this round of catching up, and when that was (thesis, section 4.2.1). */
  target: LogIndex;
  targetMs: number;
  /** The last round took less than an election timeout: as a voter it would hold nobody up for longer. */
  keepsUp: boolean;
}

/** A follower, or a candidate of either kind, waits for this long before it asks for votes. */
interface Waiting {
  electionDeadlineMs: number;
}

export interface Follower extends Waiting {
  readonly name: "follower";
  readonly leader: NodeId | null;
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
  readsWaiting: Reader[];
  /** Reads that a round was sent for, oldest first. */
  readsConfirming: { readonly round: number; readonly index: LogIndex; readonly readers: readonly Reader[] }[];
  /** When rounds were sent that a quorum has not answered yet, oldest first. */
  roundsSent: { readonly round: number; readonly sentMs: number }[];
  /** Nobody else can be elected before this (thesis, section 6.4.1); -Infinity without leases. */
  leaseUntilMs: number;
  /** A server that was told to start an election may do so at any time, lease or no lease. */
  leaseForfeited: boolean;
  transfer: { readonly to: NodeId; readonly deadlineMs: number; ordered: boolean } | null;
  /** When to look for a follower that is to be preferred. */
  preferenceDeadlineMs: number;
}

/** Who waits for a read: a caller of this server, by ticket, or a follower that asked for its own callers. */
export type Reader = { readonly ticket: number } | { readonly from: NodeId; readonly id: number };

/** A configuration and where it came into the log. */
export interface Configured {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

export type Role = Follower | Candidate | Leader;

export interface Raft {
  readonly config: RaftConfig;
  readonly log: Log;
  /** The newest snapshot on this server's disk; until there is one, what the cluster started with. */
  snapshot: Snapshot;
  /** Who the members are and were, from the snapshot's point in the log on, oldest first. The last counts. */
  configurations: Configured[];
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
  /** When the leader was last heard from; -Infinity if never, or if the link to it is lost and no lease depends on it. */
  leaderHeardMs: number;
  /** Reads of this server's callers that it has asked the leader about, by the id of the question, oldest first. */
  readonly readsAsked: Map<number, { readonly tickets: readonly number[]; readonly askedMs: number }>;
  /** Those that have come since. */
  readsToAsk: number[];
  /** The id of the newest question. */
  readId: number;
  /** Entries up to here are known to be those of this term's leader. */
  agreedIndex: LogIndex;
  /** Servers that a link stands to. */
  readonly linked: Set<NodeId>;
  /** The clock reading of the current batch. */
  nowMs: number;
  /** State of the generator behind election timeouts. */
  randomState: number;
  /** Elections lost to a split vote since the last leader. */
  splitVotes: number;
  /** Stalls in a row after which it put off an election, to listen first. */
  stalls: number;
  /** This server saw its quorum lost and has not seen it regained. */
  quorumLost: boolean;

  /** A snapshot has made what the log held before void, and no `Persist` has said so yet. */
  reset: Position | null;
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
  readonly snapshot: Snapshot;
  /**
   * Everything behind the snapshot, and maybe what leads up to it. A crash may have left a log on the disk that ends
   * before the snapshot, or has another entry where it ends: that is void, on the disk as well, before anything is added.
   */
  readonly log: Log;
  /** The configurations in that log, oldest first. */
  readonly configurations: readonly Configured[];
  /** What the disk has of a log does not lead up to the snapshot: it has to be begun anew behind it. */
  readonly needsReset: boolean;
  /** Every other server has once taken note of this one. */
  readonly isAdmitted: boolean;
}

/**
 * A server that has just started: a follower without a leader.
 *
 * @param seed any 32-bit number; election timeouts follow from it
 */
export function createRaft(config: RaftConfig, recovered: Recovered, nowMs: number, seed: number): Raft {
  const { hardState, snapshot, log, configurations, needsReset } = recovered;
  if (log.base.index > snapshot.index) {
    throw new RangeError(`the log begins behind ${log.base.index}, and the snapshot ends at ${snapshot.index}`);
  }
  if (hardState.commitIndex > log.lastIndex) {
    throw new RangeError(`commit index ${hardState.commitIndex} is past the end of the log, ${log.lastIndex}`);
  }
  // A snapshot may have become durable before the term did in which it was offered. Nothing was promised in that term.
  const isOlder = hardState.term < snapshot.term;
  const raft: Raft = {
    config,
    log,
    snapshot,
    configurations: [{ index: snapshot.index, configuration: snapshot.configuration }, ...configurations],
    term: isOlder ? snapshot.term : hardState.term,
    vote: isOlder ? null : hardState.vote,
    // What is in a snapshot was committed, whether or not the log came to say so.
    commitIndex: Math.max(hardState.commitIndex, snapshot.index) as LogIndex,
    appliedIndex: snapshot.index,
    role: { name: "follower", leader: null, electionDeadlineMs: 0, evidence: "timer-ran-out" },
    isAdmitted: recovered.isAdmitted,
    // With leases, one that has just started may have heard the leader a moment ago, in its life before.
    leaderHeardMs: config.clockDriftMax === null ? -Infinity : nowMs,
    readsAsked: new Map(),
    readsToAsk: [],
    readId: 0,
    agreedIndex: NO_INDEX,
    linked: new Set(),
    nowMs,
    randomState: mixed(seed),
    splitVotes: 0,
    stalls: 0,
    quorumLost: false,
    reset: needsReset ? { index: snapshot.index, term: snapshot.term } : null,
    unpersistedFrom: logIndex(log.lastIndex + 1),
    persistedState: hardState,
    durableIndex: log.lastIndex,
    persistSeq: 0,
    persistsInFlight: [],
  };
  // A server that is its own majority has nobody to wait for, if that is final: until then another may still lead.
  const { index, configuration } = newestOf(raft);
  const isOnlyVoter = votersOf(configuration).every((voter) => voter === config.id);
  const isAlone = canCampaign(raft) && isOnlyVoter && index <= raft.commitIndex;
  raft.role = newFollower(null, nowMs + (isAlone ? 0 : randomElectionTimeoutMs(raft)));
  return raft;
}

export const newFollower = (leader: NodeId | null, electionDeadlineMs: number): Follower => ({
  name: "follower",
  leader,
  electionDeadlineMs,
  evidence: "timer-ran-out",
});

export const newDraft = (): Draft => ({
  messages: [],
  messagesAfterPersist: [],
  proposals: [],
  changes: [],
  reads: [],
  fetches: [],
  offer: null,
  restore: null,
  story: [],
});

/** The leader as far as this server knows. */
export function knownLeader(raft: Raft): NodeId | null {
  if (raft.role.name === "leader") return raft.config.id;
  return raft.role.name === "follower" ? raft.role.leader : null;
}

/** Who the members are: the newest configuration in the log counts, committed or not (thesis, section 4.1). */
export const configurationOf = (raft: Raft): Configuration => newestOf(raft).configuration;

export const newestOf = ({ configurations, snapshot }: Raft): Configured => configurations.at(-1) ?? snapshot;

/** Who the members were when the entry at `index` was the last; it must not lie before the snapshot. */
export const configurationAt = ({ configurations }: Raft, index: LogIndex): Configuration =>
  configurations.findLast((one) => one.index <= index)?.configuration ?? NOBODY;

/** The other members. */
export const peersOf = (raft: Raft): NodeId[] =>
  configurationOf(raft)
    .members.map(({ id }) => id)
    .filter((id) => id !== raft.config.id);

/** The others whose votes count. */
export const otherVotersOf = (raft: Raft): NodeId[] =>
  votersOf(configurationOf(raft)).filter((id) => id !== raft.config.id);

/** Those that may lead, once a change under way is through. */
export const heirsOf = (raft: Raft): NodeId[] =>
  (voterSets(configurationOf(raft))[0] ?? []).filter((id) => id !== raft.config.id);

/** Would this follower, as a voter or a leader, hold nobody up? One that has fallen silent is not known to. */
export function keepsUp(raft: Raft, leader: Leader, id: NodeId): boolean {
  const follower = leader.followers.get(id);
  if (follower === undefined) return false;
  return follower.keepsUp && raft.nowMs - follower.heardMs < raft.config.electionTimeoutMinMs;
}

/** Can nothing that this server has promised under its name be forgotten? */
export const canPromise = (raft: Raft): boolean =>
  raft.isAdmitted || find(configurationOf(raft), raft.config.id)?.incarnation === raft.config.incarnation;

/**
 * May this server stand for election? One whose newest configuration takes the vote from it may as long as that is not
 * known to be committed: it may be the only one to hold the entry, and then nobody else can be elected (thesis, 4.2.2).
 * A server that has taken the name of a voter is not that voter.
 */
export function canCampaign(raft: Raft): boolean {
  const { id, incarnation } = raft.config;
  const committed = raft.configurations.findLastIndex(({ index }) => index <= raft.commitIndex);
  return raft.configurations.slice(Math.max(committed, 0)).some(({ configuration }) => {
    const member = find(configuration, id);
    if (member === undefined || !isVoter(configuration, id)) return false;
    return member.incarnation === null ? raft.isAdmitted : member.incarnation === incarnation;
  });
}

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
