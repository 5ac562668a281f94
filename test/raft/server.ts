/**
 * One Raft core in memory, on a clock that the test moves and a disk that the test may delay, driven as a driver must:
 * persists are carried out in order, and what waits for them is withheld.
 */

import * as assert from "uvu/assert";
import {
  bootstrap,
  type ChangeOutcome,
  type Configuration,
  type Configured,
  configurationAt,
  createRaft,
  decodeConfiguration,
  type Effects,
  type Entry,
  EntryKind,
  entryBytes,
  type HardState,
  Log,
  logIndex,
  type Message,
  type NodeId,
  type Offer,
  type Outgoing,
  type Persist,
  type Position,
  type ProposalOutcome,
  type Raft,
  type RaftConfig,
  type RaftEvent,
  type RaftStory,
  type ReadOutcome,
  type Snapshot,
  step,
  term,
  type Wish,
  wantedSnapshots,
} from "../../src/raft/index.ts";
import { entriesOf, textOf, vote } from "./messages.ts";

export interface Clock {
  nowMs: number;
}

/** What the disk of a server held before the test began. */
export interface Beginning {
  /** The terms of the entries in its log, first to last, as the paper draws them. */
  readonly log?: readonly number[];
  /** By default the term of the last entry. */
  readonly term?: number;
  readonly vote?: NodeId | null;
  readonly commitIndex?: number;
}

export type Settings = Partial<Omit<RaftConfig, "id" | "incarnation">>;

export const DEFAULTS = {
  heartbeatMs: 20,
  electionTimeoutMinMs: 100,
  electionTimeoutMaxMs: 200,
  evidenceDelayMaxMs: 10,
  appendBytesMax: 1000,
  appendsInFlightMax: 4,
  appendBytesInFlightMax: 4000,
  logCacheBytesMax: 1_000_000,
  clockDriftMax: null,
} as const satisfies Settings;

/** What a server finds that is new to the cluster, and knows nobody. */
export const NOTHING: Snapshot = { index: logIndex(0), term: term(0), configuration: { members: [] } };

/** Where a server of a test is reached. */
export const urlOf = (id: NodeId): string => `ws://${id}`;

/** A write on its way to the disk, and what may be sent only after it. */
interface Write {
  readonly persist: Persist;
  readonly messages: Outgoing[];
}

/** Looks on: what a core was given, and what it decided, before any of it is carried out. */
export type Witness = (server: Server, events: readonly RaftEvent[], effects: Effects) => void;

/** Past this many a loop is taken for endless. */
export const STEPS_MAX = 10_000;

/** What a server is made of. */
export interface Making {
  readonly id: NodeId;
  /** Those that the cluster starts with; nobody at a server that joins it later. */
  readonly voters: readonly NodeId[];
  readonly clock: Clock;
  readonly beginning?: Beginning;
  readonly settings?: Settings;
  readonly seed?: number;
  /** A machine that has lost its disk has another one. */
  readonly incarnation?: string;
  /** How fast its clock runs, beside the one of the test. */
  readonly clockRate?: number;
  /** By default the cluster is in operation: every member has met every other one. */
  readonly isAdmitted?: boolean;
  readonly witness?: Witness;
}

/** One server: a core, its disk, its state machine, and the driver's duties between them. */
export class Server {
  readonly id: NodeId;
  readonly config: RaftConfig;
  readonly clock: Clock;
  readonly clockRate: number;
  /** Those that the cluster started with. */
  readonly voters: readonly NodeId[];
  /** What a crash leaves: the entries are those behind the base. The newest snapshot is the last. */
  readonly disk: { hardState: HardState; snapshots: Snapshot[]; base: Position; entries: Entry[] };
  isAdmitted: boolean;
  /** With a slow disk nothing is durable before `fsync()`. */
  diskIsSlow = false;
  /** With slow fetches nothing is read from the disk before `answerFetch()`. */
  fetchesAreSlow = false;
  /** A slow state machine applies nothing before `apply()`. */
  machineIsSlow = false;
  /** Writes on their way to the disk, oldest first. */
  writes: Write[] = [];
  /** Answers to fetches, as the disk had them when asked. */
  fetched: Extract<RaftEvent, { type: "fetched" }>[] = [];
  outbox: Outgoing[] = [];
  /** What the state machine was given since the last start. */
  applied: Entry[] = [];
  appliedIndex = 0;
  story: RaftStory[] = [];
  proposals: ProposalOutcome[] = [];
  changes: ChangeOutcome[] = [];
  reads: ReadOutcome[] = [];
  /** A snapshot that is needed and has not been drawn yet. */
  offer: Offer | null = null;
  /** Where the state machine was last restored from. */
  restored: Snapshot | null = null;
  /** By the clock of the test. */
  deadlineMs = 0;
  #raft: Raft | null = null;
  #soon: RaftEvent[] = [];
  #seed: number;
  readonly #witness: Witness;

  constructor(making: Making) {
    const { id, voters, clock, beginning = {}, settings = {}, seed = 1, incarnation = `${id}-disk` } = making;
    const { log = [] } = beginning;
    this.id = id;
    this.clock = clock;
    this.clockRate = making.clockRate ?? 1;
    this.voters = voters;
    this.isAdmitted = making.isAdmitted ?? true;
    this.config = { ...DEFAULTS, ...settings, id, incarnation };
    const configuration = bootstrap(voters.map((voter) => ({ id: voter, url: urlOf(voter) })));
    this.disk = {
      hardState: {
        term: term(beginning.term ?? log.at(-1) ?? 0),
        vote: beginning.vote ?? null,
        commitIndex: logIndex(beginning.commitIndex ?? 0),
      },
      snapshots: [{ ...NOTHING, configuration }],
      base: NOTHING,
      entries: entriesOf(log),
    };
    this.#seed = seed;
    this.#witness = making.witness ?? (() => {});
    this.start();
  }

  get isRunning(): boolean {
    return this.#raft !== null;
  }

  get raft(): Raft {
    if (this.#raft === null) throw new Error(`${this.id} has crashed`);
    return this.#raft;
  }

  get role(): string {
    return this.raft.role.name;
  }

  /** The terms of the log in memory, as the paper draws them. */
  get terms(): number[] {
    const { log } = this.raft;
    const { index } = log.base;
    return Array.from({ length: log.lastIndex - index }, (_, i) => log.termAt(logIndex(index + i + 1)) ?? -1);
  }

  get durableTerms(): number[] {
    return this.durable.entries.map((entry) => entry.term);
  }

  /** The newest snapshot on the disk. */
  get snapshot(): Snapshot {
    return this.disk.snapshots.at(-1) ?? NOTHING;
  }

  /** The log as a start would find it: one that does not lead up to the newest snapshot is void. */
  get durable(): { readonly base: Position; readonly entries: readonly Entry[] } {
    const { snapshot } = this;
    const { base, entries } = this.disk;
    const found = snapshot.index === base.index ? base.term : entries[snapshot.index - base.index - 1]?.term;
    return found === snapshot.term ? { base, entries } : { base: positionOf(snapshot), entries: [] };
  }

  /** The entry as the log in memory has it, or the disk if memory has let go of it. */
  entryAt(index: number): Entry {
    const cached = this.raft.log.slice(logIndex(index), 0, logIndex(index))?.[0];
    const entry = cached ?? this.disk.entries[index - this.disk.base.index - 1];
    if (entry === undefined) throw new Error(`${this.id} has no entry ${index}`);
    return entry;
  }

  start(): void {
    const { snapshot, durable } = this;
    const { hardState } = this.disk;
    this.disk.base = durable.base;
    this.disk.entries = [...durable.entries];
    const log = new Log(positionOf(durable.base));
    for (const entry of durable.entries) log.append(entry);
    const configurations = configurationsIn(durable.entries).filter(({ index }) => index > snapshot.index);
    // Neighbouring seeds give neighbouring first numbers: spread them.
    const seed = Math.imul(this.#seed++, 0x9e3779b1);
    const { isAdmitted } = this;
    // What did not lead up to the snapshot has gone from the disk already, as it was read.
    const recovered = { hardState, snapshot, log, configurations, isAdmitted, needsReset: false };
    this.#raft = createRaft(this.config, recovered, this.#nowMs(), seed);
    this.applied = [];
    this.appliedIndex = snapshot.index;
    this.restored = null;
    this.offer = null;
    this.step({ type: "tick" });
  }

  /** What this server's own clock says. */
  #nowMs(): number {
    return this.clock.nowMs * this.clockRate;
  }

  /** The process dies: whatever was not durable, sent or applied is gone. */
  crash(): void {
    this.#raft = null;
    this.writes = [];
    this.fetched = [];
    this.outbox = [];
  }

  restart(): void {
    if (this.isRunning) this.crash();
    this.start();
  }

  /** Feeds a batch of events, and what follows from it on this machine alone; returns what was sent. */
  step(...events: readonly RaftEvent[]): Outgoing[] {
    const sentBefore = this.outbox.length;
    let batch: readonly RaftEvent[] = events;
    for (let steps = 0; batch.length > 0; steps++) {
      assert.ok(steps < STEPS_MAX, `${this.id} never comes to rest`);
      const { term, commitIndex } = this.raft;
      this.#soon = [];
      const effects = step(this.raft, batch, this.#nowMs());
      assert.ok(this.raft.term >= term, "a term never goes back");
      assert.ok(effects.commitIndex >= commitIndex, "a commit index never goes back");
      assert.ok(effects.commitIndex <= this.raft.log.lastIndex, "a commit index never leaves the log");
      this.#witness(this, batch, effects);
      this.#carryOut(effects);
      if (!this.diskIsSlow) this.#finishWrites(this.writes.length);
      batch = this.#soon;
    }
    return this.outbox.slice(sentBefore);
  }

  receive(from: NodeId, ...messages: readonly Message[]): Outgoing[] {
    return this.step(...messages.map((message): RaftEvent => ({ type: "message", from, message })));
  }

  tick(): Outgoing[] {
    return this.step({ type: "tick" });
  }

  /** Moves the clock to this server's own deadline and tells it the time. */
  waitForDeadline(): Outgoing[] {
    this.clock.nowMs = Math.max(this.clock.nowMs, this.deadlineMs);
    return this.tick();
  }

  propose(text: string, ticket = 0): Outgoing[] {
    return this.step({ type: "propose", ticket, payload: new TextEncoder().encode(text) });
  }

  read(ticket: number, lease = false): Outgoing[] {
    return this.step({ type: "read", ticket, lease });
  }

  change(...wishes: readonly Wish[]): Outgoing[] {
    return this.step({ type: "change", ticket: 0, wishes });
  }

  /** Takes a snapshot of what was applied, and keeps the log. */
  takeSnapshot(): Outgoing[] {
    const index = logIndex(this.appliedIndex);
    if (index <= this.snapshot.index) return [];
    const snapshot = { index, term: this.#termAt(index), configuration: configurationAt(this.raft, index) };
    this.disk.snapshots.push(snapshot);
    return this.step({ type: "snapshot-taken", snapshot });
  }

  /** Lets go of the log up to an entry; by default of all that the newest snapshot stands for. */
  compact(through: number = this.snapshot.index): Outgoing[] {
    const index = logIndex(through);
    if (index <= this.disk.base.index) return this.step({ type: "compact", index });
    const base = { index, term: this.#termAt(index) };
    const sent = this.step({ type: "compact", index });
    this.disk.entries = this.disk.entries.filter((entry) => entry.index > index);
    this.disk.base = base;
    return sent;
  }

  /** The whole of a snapshot has come, and is durable. */
  receiveSnapshot(snapshot: Snapshot): Outgoing[] {
    this.offer = null;
    if (snapshot.index > this.snapshot.index) this.disk.snapshots.push(snapshot);
    return this.step({ type: "snapshot-received", snapshot });
  }

  /** A slow state machine applies what is committed. */
  apply(): Outgoing[] {
    return this.#applyThrough(this.raft.commitIndex) ? this.step(...this.#soon.splice(0)) : [];
  }

  #applyThrough(commitIndex: number): boolean {
    if (commitIndex <= this.appliedIndex) return false;
    while (this.appliedIndex < commitIndex) this.applied.push(this.entryAt(++this.appliedIndex));
    this.#soon.push({ type: "applied", index: logIndex(commitIndex) });
    return true;
  }

  #termAt(index: number): Snapshot["term"] {
    const found = this.raft.log.termAt(logIndex(index)) ?? this.disk.entries[index - this.disk.base.index - 1]?.term;
    if (found === undefined) throw new Error(`${this.id} does not know the term of entry ${index}`);
    return found;
  }

  /** Makes the oldest writes durable (all by default) and returns what could be sent then. */
  fsync(count = this.writes.length): Outgoing[] {
    const sentBefore = this.outbox.length;
    this.#soon = [];
    this.#finishWrites(count);
    if (this.#soon.length > 0) this.step(...this.#soon);
    return this.outbox.slice(sentBefore);
  }

  answerFetch(): Outgoing[] {
    const answer = this.fetched.shift();
    return answer === undefined ? [] : this.step(answer);
  }

  #carryOut(effects: Effects): void {
    const { persist, messages, messagesAfterPersist, commitIndex, fetches } = effects;
    this.story.push(...effects.story);
    this.proposals.push(...effects.proposals);
    this.changes.push(...effects.changes);
    this.reads.push(...effects.reads);
    this.offer = effects.offer ?? this.offer;
    if (effects.restore !== null) {
      this.restored = effects.restore;
      this.appliedIndex = effects.restore.index;
      this.#soon.push({ type: "applied", index: effects.restore.index });
    }
    // A moment more where the division may have taken one away.
    this.deadlineMs = this.clockRate === 1 ? effects.deadlineMs : effects.deadlineMs / this.clockRate + 1e-6;
    for (const outgoing of messages) this.#send(outgoing);
    if (persist !== null) this.writes.push({ persist, messages: [] });
    const newest = this.writes.at(-1);
    if (newest === undefined) for (const outgoing of messagesAfterPersist) this.#send(outgoing);
    else newest.messages.push(...messagesAfterPersist);
    for (const { to, from, through, bytesMax } of fetches) {
      let bytes = 0;
      const base = this.disk.base.index;
      const entries = this.disk.entries.slice(from - base - 1, through - base).filter((entry, i) => {
        bytes += entryBytes(entry);
        return i === 0 || bytes <= bytesMax;
      });
      (this.fetchesAreSlow ? this.fetched : this.#soon).push({ type: "fetched", to, entries });
    }
    if (!this.machineIsSlow) this.#applyThrough(commitIndex);
    const wanted = wantedSnapshots(this.raft);
    this.disk.snapshots = this.disk.snapshots.filter(({ index }) => wanted.includes(index));
  }

  #finishWrites(count: number): void {
    for (const { persist, messages } of this.writes.splice(0, count)) {
      const { reset, hardState } = persist;
      if (reset !== null) {
        this.disk.entries = [];
        this.disk.base = reset;
      }
      const base = this.disk.base.index;
      // The log may have been compacted since.
      const entries = persist.entries.filter((entry) => entry.index > base);
      const from = entries[0]?.index;
      if (from !== undefined) {
        assert.ok(from <= base + this.disk.entries.length + 1, "a persist leaves no gap on the disk");
        this.disk.entries = [...this.disk.entries.slice(0, from - base - 1), ...entries];
      }
      if (hardState !== null) this.disk.hardState = hardState;
      this.#soon.push({ type: "persisted", seq: persist.seq });
      for (const outgoing of messages) this.#send(outgoing);
    }
  }

  #send(outgoing: Outgoing): void {
    if (outgoing.to !== this.id) this.outbox.push(outgoing);
    else this.#soon.push({ type: "message", from: this.id, message: outgoing.message });
  }
}

const positionOf = ({ index, term }: Position): Position => ({ index, term });

/** The configurations among these entries. */
export const configurationsIn = (entries: readonly Entry[]): Configured[] =>
  entries
    .filter(({ kind }) => kind === EntryKind.configuration)
    .map(({ index, payload }) => ({ index, configuration: decodeConfiguration(payload) }));

/** Who the members are, as a start would find it. */
export function durableConfiguration({ snapshot, durable }: Server): Configuration {
  const behind = configurationsIn(durable.entries).filter(({ index }) => index > snapshot.index);
  return behind.at(-1)?.configuration ?? snapshot.configuration;
}

/** Server "a", alone in the test, in a cluster with "b" and "c" whose words the test puts in their mouths. */
export function serverA(
  beginning: Beginning = {},
  settings: Settings = {},
  voters: readonly NodeId[] = ["a", "b", "c"],
) {
  const server = new Server({ id: "a", voters, clock: { nowMs: 0 }, beginning, settings });
  for (const peer of voters) if (peer !== "a") server.step({ type: "link-up", peer });
  return server;
}

/** Lets the server's election timer run out and its peers vote for it. The no-op of its term is on its way then. */
export function lead(server: Server): Outgoing[] {
  const peers = server.voters.filter((id) => id !== server.id);
  server.clock.nowMs += server.config.electionTimeoutMaxMs;
  server.tick();
  for (const peer of peers) server.receive(peer, vote({ term: server.raft.term + 1, preVote: true }));
  const sent = peers.flatMap((peer) => server.receive(peer, vote({ term: server.raft.term })));
  assert.is(server.role, "leader");
  return sent;
}

/** The commands that the state machine was given. */
export const commandsOf = (server: Server): string[] =>
  server.applied.filter(({ kind }) => kind === EntryKind.command).map(textOf);
