/**
 * Raft cores in memory, on a clock that the test moves and disks that the test may delay. `Server` drives one core as
 * a driver must; `Cluster` carries messages between several.
 */

import * as assert from "uvu/assert";
import {
  type AppendAccepted,
  type AppendRejected,
  type AppendRequest,
  createRaft,
  type Effects,
  type Entry,
  EntryKind,
  entryBytes,
  type HardState,
  type HeartbeatRequest,
  type HeartbeatResponse,
  Log,
  logIndex,
  type Message,
  type NodeId,
  type Outgoing,
  type Persist,
  type ProposalOutcome,
  type Raft,
  type RaftConfig,
  type RaftEvent,
  type RaftStory,
  type ReadOutcome,
  step,
  type TimeoutNow,
  term,
  type VoteRefusal,
  type VoteRequest,
  type VoteResponse,
} from "../../src/raft/index.ts";

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

export type Settings = Partial<Omit<RaftConfig, "id" | "voters">>;

export const DEFAULTS = {
  heartbeatMs: 20,
  electionTimeoutMinMs: 100,
  electionTimeoutMaxMs: 200,
  evidenceDelayMaxMs: 10,
  appendBytesMax: 1000,
  appendsInFlightMax: 4,
  appendBytesInFlightMax: 4000,
  logCacheBytesMax: 1_000_000,
} as const satisfies Settings;

/** A write on its way to the disk, and what may be sent only after it. */
interface Write {
  readonly persist: Persist;
  readonly messages: Outgoing[];
}

const STEPS_MAX = 10_000;

/** The first element; the test fails if there is none. */
export function first<T>(list: readonly T[]): T {
  const [element] = list;
  if (element === undefined) throw new Error("there is nothing");
  return element;
}

/** The one message that was sent. */
export function single(sent: readonly Outgoing[]): Message {
  assert.is(sent.length, 1, `one message was expected, not ${JSON.stringify(sent)}`);
  return first(sent).message;
}

type MessageOf<Type extends Message["type"]> = Extract<Message, { type: Type }>;

/** The messages of one type, of those sent to `to`, or to anybody. */
export function ofType<Type extends Message["type"]>(
  sent: readonly Outgoing[],
  type: Type,
  to?: NodeId,
): MessageOf<Type>[] {
  return sent
    .filter((outgoing) => to === undefined || outgoing.to === to)
    .map(({ message }) => message)
    .filter((message): message is MessageOf<Type> => message.type === type);
}

/** Whom a message of this type went to. */
export const receiversOf = (sent: readonly Outgoing[], type: Message["type"]): NodeId[] =>
  sent.filter(({ message }) => message.type === type).map(({ to }) => to);

/** One server: a core, its disk, its state machine, and the driver's duties between them. */
export class Server {
  readonly id: NodeId;
  readonly config: RaftConfig;
  readonly clock: Clock;
  /** What a crash leaves. */
  readonly disk: { hardState: HardState; entries: Entry[] };
  /** With a slow disk nothing is durable before `fsync()`. */
  diskIsSlow = false;
  /** With slow fetches nothing is read from the disk before `answerFetch()`. */
  fetchesAreSlow = false;
  /** Writes on their way to the disk, oldest first. */
  writes: Write[] = [];
  /** Answers to fetches, as the disk had them when asked. */
  fetched: Extract<RaftEvent, { type: "fetched" }>[] = [];
  outbox: Outgoing[] = [];
  /** What the state machine was given since the last start. */
  applied: Entry[] = [];
  story: RaftStory[] = [];
  proposals: ProposalOutcome[] = [];
  reads: ReadOutcome[] = [];
  deadlineMs = 0;
  #raft: Raft | null = null;
  #soon: RaftEvent[] = [];
  #seed: number;

  constructor(id: NodeId, voters: readonly NodeId[], clock: Clock, beginning: Beginning, settings: Settings, seed = 1) {
    const { log = [] } = beginning;
    this.id = id;
    this.clock = clock;
    this.config = { ...DEFAULTS, ...settings, id, voters };
    this.disk = {
      hardState: {
        term: term(beginning.term ?? log.at(-1) ?? 0),
        vote: beginning.vote ?? null,
        commitIndex: logIndex(beginning.commitIndex ?? 0),
      },
      entries: entriesOf(log),
    };
    this.#seed = seed;
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
    return Array.from({ length: log.lastIndex }, (_, i) => log.termAt(logIndex(i + 1)) ?? -1);
  }

  get durableTerms(): number[] {
    return this.disk.entries.map((entry) => entry.term);
  }

  /** The entry as the log in memory has it, or the disk if memory has let go of it. */
  entryAt(index: number): Entry {
    const cached = this.raft.log.slice(logIndex(index), 0, logIndex(index))?.[0];
    const entry = cached ?? this.disk.entries[index - 1];
    if (entry === undefined) throw new Error(`${this.id} has no entry ${index}`);
    return entry;
  }

  start(): void {
    const log = new Log();
    for (const entry of this.disk.entries) log.append(entry);
    // Neighbouring seeds give neighbouring first numbers: spread them.
    const seed = Math.imul(this.#seed++, 0x9e3779b1);
    this.#raft = createRaft(this.config, { hardState: this.disk.hardState, log }, this.clock.nowMs, seed);
    this.applied = [];
    this.step({ type: "tick" });
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
      const effects = step(this.raft, batch, this.clock.nowMs);
      assert.ok(this.raft.term >= term, "a term never goes back");
      assert.ok(effects.commitIndex >= commitIndex, "a commit index never goes back");
      assert.ok(effects.commitIndex <= this.raft.log.lastIndex, "a commit index never leaves the log");
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

  read(ticket: number): Outgoing[] {
    return this.step({ type: "read", ticket });
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
    this.reads.push(...effects.reads);
    this.deadlineMs = effects.deadlineMs;
    for (const outgoing of messages) this.#send(outgoing);
    if (persist !== null) this.writes.push({ persist, messages: [] });
    const newest = this.writes.at(-1);
    if (newest === undefined) for (const outgoing of messagesAfterPersist) this.#send(outgoing);
    else newest.messages.push(...messagesAfterPersist);
    for (const { to, from, through, bytesMax } of fetches) {
      let bytes = 0;
      const entries = this.disk.entries.slice(from - 1, through).filter((entry, i) => {
        bytes += entryBytes(entry);
        return i === 0 || bytes <= bytesMax;
      });
      (this.fetchesAreSlow ? this.fetched : this.#soon).push({ type: "fetched", to, entries });
    }
    if (commitIndex > this.applied.length) {
      while (this.applied.length < commitIndex) this.applied.push(this.entryAt(this.applied.length + 1));
      this.#soon.push({ type: "applied", index: commitIndex });
    }
  }

  #finishWrites(count: number): void {
    for (const { persist, messages } of this.writes.splice(0, count)) {
      const { entries, hardState } = persist;
      const from = entries[0]?.index;
      if (from !== undefined) {
        assert.ok(from <= this.disk.entries.length + 1, "a persist leaves no gap on the disk");
        this.disk.entries = [...this.disk.entries.slice(0, from - 1), ...entries];
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

/** Server "a", alone in the test, in a cluster with "b" and "c" whose words the test puts in their mouths. */
export function serverA(beginning: Beginning = {}, settings: Settings = {}, voters: readonly NodeId[] = ["a", "b", "c"]) {
  const server = new Server("a", voters, { nowMs: 0 }, beginning, settings);
  for (const peer of voters) if (peer !== "a") server.step({ type: "link-up", peer });
  return server;
}

/** Lets the server's election timer run out and its peers vote for it. The no-op of its term is on its way then. */
export function lead(server: Server): Outgoing[] {
  const peers = server.config.voters.filter((id) => id !== server.id);
  server.clock.nowMs += server.config.electionTimeoutMaxMs;
  server.tick();
  for (const peer of peers) server.receive(peer, vote({ term: server.raft.term + 1, preVote: true }));
  const sent = peers.flatMap((peer) => server.receive(peer, vote({ term: server.raft.term })));
  assert.is(server.role, "leader");
  return sent;
}

export class Cluster {
  readonly clock: Clock = { nowMs: 0 };
  readonly ids: readonly NodeId[];
  readonly #servers = new Map<NodeId, Server>();
  readonly #queues = new Map<string, Message[]>();
  readonly #cut = new Set<string>();
  readonly #muted = new Set<string>();

  constructor(ids: readonly NodeId[], beginnings: Record<NodeId, Beginning> = {}, settings: Settings = {}, seed = 1) {
    this.ids = ids;
    ids.forEach((id, i) => {
      this.#servers.set(id, new Server(id, ids, this.clock, beginnings[id] ?? {}, settings, seed * 1000 + i * 100));
    });
    for (const id of ids) this.#connect(id);
  }

  at(id: NodeId): Server {
    const server = this.#servers.get(id);
    if (server === undefined) throw new Error(`there is no server ${id}`);
    return server;
  }

  get servers(): Server[] {
    return [...this.#servers.values()];
  }

  get running(): Server[] {
    return this.servers.filter((server) => server.isRunning);
  }

  /** The leader of the highest term. */
  get leader(): Server | undefined {
    return this.running.filter(({ role }) => role === "leader").sort((a, b) => b.raft.term - a.raft.term)[0];
  }

  /** Messages that wait on the link between two servers, in one direction. */
  waiting(from: NodeId, to: NodeId): readonly Message[] {
    this.#collect();
    return this.#queues.get(`${from}>${to}`) ?? [];
  }

  /** The links on which something waits. */
  get busyLinks(): [from: NodeId, to: NodeId][] {
    this.#collect();
    return this.ids.flatMap((from) =>
      this.ids.filter((to) => this.waiting(from, to).length > 0).map((to): [NodeId, NodeId] => [from, to]),
    );
  }

  /** Delivers one message, the oldest by default; false if there is none. */
  deliver(from: NodeId, to: NodeId, position = 0): boolean {
    this.#collect();
    const [message] = this.#queues.get(`${from}>${to}`)?.splice(position, 1) ?? [];
    if (message === undefined) return false;
    if (this.at(to).isRunning) this.at(to).receive(from, message);
    return true;
  }

  /** Loses everything that waits on the way from one server to another. */
  drop(from: NodeId, to: NodeId): void {
    this.#collect();
    this.#queues.delete(`${from}>${to}`);
  }

  /** Delivers until nothing is on its way. */
  settle(): this {
    for (let rounds = 0; this.busyLinks.length > 0; rounds++) {
      assert.ok(rounds < STEPS_MAX, "the cluster never comes to rest");
      for (const [from, to] of this.busyLinks) while (this.deliver(from, to));
    }
    return this;
  }

  /** Lets time pass: every server wakes at its deadline, every message arrives at once. */
  advance(ms: number): this {
    const endMs = this.clock.nowMs + ms;
    this.settle();
    for (let wakes = 0; ; wakes++) {
      assert.ok(wakes < STEPS_MAX, "deadlines never lie in the future");
      const next = this.running.sort((a, b) => a.deadlineMs - b.deadlineMs)[0];
      if (next === undefined || next.deadlineMs > endMs) break;
      next.waitForDeadline();
      this.settle();
    }
    this.clock.nowMs = endMs;
    return this;
  }

  /** Whoever led before was silent for an election timeout, and this server's timer is the first to run out. */
  elect(id: NodeId): Server {
    const server = this.stand(id);
    this.settle();
    assert.is(server.role, "leader", `${id} leads`);
    return server;
  }

  /** Like `elect`, but its vote requests are still on their way. */
  stand(id: NodeId): Server {
    this.clock.nowMs += DEFAULTS.electionTimeoutMaxMs;
    this.at(id).tick();
    return this.at(id);
  }

  /** Cuts the cable between two servers; both notice. */
  cut(one: NodeId, other: NodeId): void {
    this.#cut.add(pair(one, other));
    this.#lose(one, other);
  }

  heal(one: NodeId, other: NodeId): void {
    if (!this.#cut.delete(pair(one, other))) return;
    this.#link(one, other);
  }

  /** From now on everything between two servers is lost, and nobody notices. */
  mute(one: NodeId, other: NodeId): void {
    this.#muted.add(pair(one, other));
    this.#collect();
    this.drop(one, other);
    this.drop(other, one);
  }

  unmute(one: NodeId, other: NodeId): void {
    this.#muted.delete(pair(one, other));
  }

  /** Nothing to or from this server arrives any more, and nobody notices. */
  isolate(id: NodeId): void {
    for (const other of this.#othersThan(id)) this.mute(id, other);
  }

  rejoin(id: NodeId): void {
    for (const other of this.#othersThan(id)) this.unmute(id, other);
  }

  crash(id: NodeId): void {
    this.#collect();
    this.at(id).crash();
    for (const other of this.#othersThan(id)) this.#lose(id, other);
  }

  restart(id: NodeId): void {
    this.at(id).restart();
    this.#connect(id);
  }

  #connect(id: NodeId): void {
    for (const other of this.#othersThan(id)) this.#link(id, other);
  }

  #othersThan(id: NodeId): NodeId[] {
    return this.ids.filter((other) => other !== id);
  }

  #link(one: NodeId, other: NodeId): void {
    if (this.#cut.has(pair(one, other)) || !this.at(one).isRunning || !this.at(other).isRunning) return;
    this.at(one).step({ type: "link-up", peer: other });
    this.at(other).step({ type: "link-up", peer: one });
  }

  #lose(one: NodeId, other: NodeId): void {
    this.drop(one, other);
    this.drop(other, one);
    if (this.at(one).isRunning) this.at(one).step({ type: "link-lost", peer: other });
    if (this.at(other).isRunning) this.at(other).step({ type: "link-lost", peer: one });
  }

  /** Moves what servers have sent onto the links. */
  #collect(): void {
    for (const { id, outbox } of this.servers) {
      for (const { to, message } of outbox.splice(0)) {
        const link = pair(id, to);
        if (this.#cut.has(link) || this.#muted.has(link) || !this.at(to).isRunning) continue;
        const queue = this.#queues.get(`${id}>${to}`);
        if (queue === undefined) this.#queues.set(`${id}>${to}`, [message]);
        else queue.push(message);
      }
    }
  }
}

const pair = (one: NodeId, other: NodeId): string => [one, other].sort().join("-");

/** Entries with these terms, the first of them at `from`. */
export const entriesOf = (terms: readonly number[], from = 1): Entry[] =>
  terms.map((value, i) => ({
    index: logIndex(from + i),
    term: term(value),
    kind: EntryKind.command,
    payload: new TextEncoder().encode(`entry ${from + i} of term ${value}`),
  }));

export const textOf = (entry: Entry): string => new TextDecoder().decode(entry.payload);

/** The commands that the state machine was given. */
export const commandsOf = (server: Server): string[] =>
  server.applied.filter(({ kind }) => kind === EntryKind.command).map(textOf);

export function voteRequest(fields: {
  readonly term: number;
  readonly last: readonly [index: number, term: number];
  readonly preVote?: boolean;
  readonly transfer?: boolean;
}): VoteRequest {
  const { preVote = false, transfer = false } = fields;
  const [lastLogIndex, lastLogTerm] = [logIndex(fields.last[0]), term(fields.last[1])];
  return { type: "vote-request", term: term(fields.term), preVote, transfer, lastLogIndex, lastLogTerm };
}

export function vote(fields: {
  readonly term: number;
  readonly preVote?: boolean;
  readonly refusal?: VoteRefusal | null;
}): VoteResponse {
  const { preVote = false, refusal = null } = fields;
  return { type: "vote-response", term: term(fields.term), preVote, refusal };
}

export function append(fields: {
  readonly term: number;
  readonly prev: readonly [index: number, term: number];
  /** The terms of the entries, which follow `prev`. */
  readonly entries?: readonly number[];
  readonly commit?: number;
}): AppendRequest {
  const [index, prevTerm] = fields.prev;
  return {
    type: "append-request",
    term: term(fields.term),
    prevLogIndex: logIndex(index),
    prevLogTerm: term(prevTerm),
    leaderCommit: logIndex(fields.commit ?? 0),
    entries: entriesOf(fields.entries ?? [], index + 1),
  };
}

export const accepted = (termValue: number, matchIndex: number): AppendAccepted => ({
  type: "append-accepted",
  term: term(termValue),
  matchIndex: logIndex(matchIndex),
});

export const rejected = (termValue: number, prevLogIndex: number, conflictIndex: number, conflictTerm = 0): AppendRejected => ({
  type: "append-rejected",
  term: term(termValue),
  prevLogIndex: logIndex(prevLogIndex),
  conflictTerm: term(conflictTerm),
  conflictIndex: logIndex(conflictIndex),
});

export const heartbeat = (termValue: number, round = 1, commitIndex = 0): HeartbeatRequest => ({
  type: "heartbeat-request",
  term: term(termValue),
  round,
  commitIndex: logIndex(commitIndex),
});

export const heartbeatResponse = (termValue: number, round: number): HeartbeatResponse => ({
  type: "heartbeat-response",
  term: term(termValue),
  round,
});

export const timeoutNow = (termValue: number): TimeoutNow => ({ type: "timeout-now", term: term(termValue) });
