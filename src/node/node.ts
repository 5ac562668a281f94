/**
 * The node actor: one replica. It feeds what happens to the pure core, and carries out what the core decides: writes
 * to the log, messages to the other members, entries to the state machine, answers to clients.
 */

import type { ActorContext, Answer, Behaviour, Delivery, Peer, Sender } from "../actor/index.ts";
import { normalUrl } from "../actor/index.ts";
import type { Environment, Timer } from "../environment.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { decodeList, encodePayload } from "../machine/commands.ts";
import type { Replica } from "../machine/index.ts";
import {
  type Member,
  NODE_ACTOR,
  type NodeAnswer,
  type NodeMessage,
  type NodeStatus,
  nodeProtocol,
  QUERIES_MAX,
} from "../protocol/node.ts";
import {
  type Effects,
  type Entry,
  knownLeader,
  type LogIndex,
  type Outgoing,
  type Persist,
  type Raft,
  type RaftEvent,
  type RaftStory,
  step,
} from "../raft/index.ts";
import type { Wal } from "../storage/index.ts";
import { admit } from "./admission.ts";
import { Announcer, type AnnouncerStory } from "./announcer.ts";
import { Applier } from "./applier.ts";
import { notLeader, Proposals } from "./proposals.ts";
import { decodeMessage, encodeMessage } from "./raft-codec.ts";
import { Reads } from "./reads.ts";
import { SessionKeeper } from "./session-keeper.ts";
import { toEntry } from "./stored.ts";

/** What a node has to tell. */
export type NodeStory =
  | RaftStory
  | AnnouncerStory
  | { readonly event: "sessions-expired"; readonly count: number }
  /** A node whose disk is empty takes no part before the others, who are named, have all taken note of it. */
  | { readonly event: "newcomer"; readonly waitsFor: readonly string[] }
  | { readonly event: "admitted" }
  | { readonly event: "message-refused"; readonly from: string; readonly reason: string };

/** What comes back to the node from its own disk and timers. */
export type NodeEvent =
  | { readonly type: "start" }
  | { readonly type: "tick" }
  | { readonly type: "persisted"; readonly seq: number }
  | { readonly type: "fetched"; readonly to: string; readonly entries: readonly Entry[] }
  | { readonly type: "fetched-to-apply"; readonly entries: readonly Entry[] }
  | { readonly type: "continue" }
  | { readonly type: "expire-sessions" }
  | { readonly type: "admitted" }
  | { readonly type: "transfer" };

export interface NodeParts {
  readonly environment: Environment;
  readonly members: readonly Member[];
  readonly directories: readonly string[];
  readonly raft: Raft;
  readonly wal: Wal;
  readonly replica: Replica;
  readonly limits: Limits;
  readonly tell: (story: NodeStory) => void;
  /** Writes down, durably, that every other member has taken note of this node. */
  readonly admit: () => Promise<void>;
  /** The disk has failed: nothing more can be promised, and the process should end. */
  readonly onFatal: (error: ConclaveError) => void;
}

type NodeDelivery = Delivery<NodeMessage, NodeAnswer, NodeEvent>;
type NodeAnswerTo = Answer<NodeAnswer>;

export class NodeActor {
  readonly #parts: NodeParts;
  readonly #context: ActorContext<NodeEvent>;
  readonly #raft: Raft;
  readonly #announcer: Announcer;
  readonly #applier: Applier;
  readonly #proposals: Proposals;
  readonly #sessions: SessionKeeper;
  readonly #reads: Reads;
  readonly #peers = new Map<string, Peer>();
  /** Members that have taken note of this node, as long as that matters. */
  readonly #recognizedBy = new Set<string>();
  /** Messages that wait for what they promise to be durable. */
  #held: { readonly seq: number; readonly messages: readonly Outgoing[] }[] = [];
  #durableSeq = 0;
  /** Sessions that are proposed and not applied yet. */
  #opening = 0;
  #timer: { readonly atMs: number; readonly timer: Timer } | null = null;
  #sessionTimer: Timer | null = null;
  #wasLeader = false;
  #stopped = false;

  constructor(context: ActorContext<NodeEvent>, parts: NodeParts) {
    const { raft, replica, limits, environment, tell } = parts;
    const self = parts.members.find(({ id }) => id === raft.config.id);
    if (self === undefined) throw new RangeError(`${raft.config.id} is not a member`);
    this.#parts = parts;
    this.#context = context;
    this.#raft = raft;
    this.#proposals = new Proposals(limits);
    this.#sessions = new SessionKeeper(replica, limits.sessionTimeoutMs);
    const continueLater = (): void => context.post({ type: "continue" });
    this.#reads = new Reads({ clock: environment.clock, replica, limits, continueLater });
    this.#announcer = new Announcer(context, { ...self, directories: parts.directories.map(normalUrl), tell });
    this.#applier = new Applier({
      clock: environment.clock,
      log: raft.log,
      replica,
      fetch: (from, through, bytesMax) =>
        this.#fetch(from, through, bytesMax, (entries) => context.post({ type: "fetched-to-apply", entries })),
      continueLater,
      onApplied: (entry, applied) => {
        this.#proposals.applied(entry.index, entry.term, applied);
        if (applied?.type === "sessions-expired" && applied.count > 0) {
          tell({ event: "sessions-expired", count: applied.count });
        }
      },
    });
    context.post({ type: "start" });
  }

  get behaviour(): Behaviour<NodeMessage, NodeAnswer, NodeEvent> {
    return (batch) => this.#receive(batch);
  }

  get isLeader(): boolean {
    return this.#raft.role.name === "leader";
  }

  /** Asks the core to hand leadership over; whether it did shows in `isLeader`. */
  transfer(): void {
    this.#context.post({ type: "transfer" });
  }

  status(): NodeStatus {
    const { config, role, term, log, commitIndex } = this.#raft;
    const others = this.#parts.members.filter(({ id }) => id !== config.id);
    return {
      id: config.id,
      role: this.#raft.isAdmitted ? role.name : "newcomer",
      term,
      leader: knownLeader(this.#raft),
      lastIndex: log.lastIndex,
      commitIndex,
      appliedIndex: this.#applier.appliedIndex,
      sessions: this.#parts.replica.sessionCount,
      links: Object.fromEntries(others.map(({ id }) => [id, this.#peers.has(id)])),
    };
  }

  /** No timer fires and no disk write is waited for after this. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.timer.cancel();
    this.#sessionTimer?.cancel();
  }

  #receive(batch: readonly NodeDelivery[]): void {
    if (this.#stopped) return;
    const events: RaftEvent[] = [];
    for (const delivery of batch) {
      if (delivery.type === "internal") this.#takeOwn(delivery.event, events);
      else if (delivery.type === "link") this.#takeLink(delivery.up, delivery.url, delivery.peer, events);
      else this.#takeMessage(delivery.message, delivery.sender, delivery.answer, events);
    }
    events.push({ type: "applied", index: this.#applier.appliedIndex });
    try {
      this.#carryOut(step(this.#raft, events, this.#parts.environment.clock.nowMs()));
    } catch (error) {
      // The core may now be ahead of what was carried out, the disk above all: it must not go on as if it were not.
      this.#fail(new ConclaveError("ACTOR_FAILED", `The node failed: ${messageOf(error)}`, { cause: error }));
      throw error;
    }
  }

  #takeOwn(event: NodeEvent, events: RaftEvent[]): void {
    switch (event.type) {
      case "start":
        this.#start();
        return;
      case "persisted":
        this.#durableSeq = Math.max(this.#durableSeq, event.seq);
        events.push(event);
        this.#releaseHeld(events);
        return;
      case "fetched-to-apply":
        this.#applier.fetched(event.entries);
        return;
      case "continue":
        return; // What is left to apply and to answer goes on after every batch.
      case "tick":
        this.#timer = null;
        events.push(event);
        return;
      case "transfer":
        events.push({ type: "transfer", to: null });
        return;
      case "admitted":
        this.#parts.tell({ event: "admitted" });
        events.push(event);
        return;
      case "fetched":
        events.push(event);
        return;
      case "expire-sessions":
        this.#expireSessions(events);
        return;
    }
  }

  #start(): void {
    for (const { id, url } of this.#parts.members) if (id !== this.#raft.config.id) this.#context.keepLink(url);
    this.#announcer.start();
    this.#watchSessions();
    if (!this.#raft.isAdmitted) this.#parts.tell({ event: "newcomer", waitsFor: this.#others });
  }

  get #others(): string[] {
    return this.#parts.members.map(({ id }) => id).filter((id) => id !== this.#raft.config.id);
  }

  #takeLink(up: boolean, url: string | null, peer: Peer, events: RaftEvent[]): void {
    const { nowMs } = this.#parts.environment.clock;
    const member = this.#memberOf(peer);
    if (up) {
      if (member !== null) {
        this.#peers.set(member, peer);
        peer.ref(NODE_ACTOR, nodeProtocol).tell({ type: "recognized" });
        events.push({ type: "link-up", peer: member });
      } else if (url !== null) this.#announcer.linkUp(url);
      return;
    }
    this.#announcer.linkLost(url, peer);
    this.#sessions.linkLost(peer, nowMs());
    if (member === null || this.#peers.get(member) !== peer) return;
    this.#peers.delete(member);
    events.push({ type: "link-lost", peer: member });
  }

  /** The member at the other end: the handshake has checked that it is who it says. */
  #memberOf(peer: Peer): string | null {
    const { name, url } = peer.hello;
    if (url === null || name === this.#raft.config.id) return null;
    return this.#parts.members.some((member) => member.id === name && normalUrl(member.url) === url) ? name : null;
  }

  #takeMessage(message: NodeMessage, sender: Sender, answer: NodeAnswerTo | null, events: RaftEvent[]): void {
    if (message.type === "raft") {
      this.#takeRaft(message.packed, sender.peer, events);
      return;
    }
    if (message.type === "recognized") {
      this.#takeRecognition(sender.peer);
      return;
    }
    if (message.type === "keep-session") {
      if (sender.peer !== null) this.#holdSession(message.session, sender.peer);
      return;
    }
    if (answer === null) return; // The rest are questions; without anyone to answer there is nothing to do.
    try {
      this.#takeQuestion(message, sender, answer, events);
    } catch (error) {
      // Bytes that can't be decoded end here; nothing was proposed.
      answer.fail(error instanceof ConclaveError ? error : new ConclaveError("BAD_MESSAGE", messageOf(error)));
    }
  }

  #takeRaft(bytes: Uint8Array, peer: Peer | null, events: RaftEvent[]): void {
    const from = peer === null ? null : this.#memberOf(peer);
    // Only over the link that stands: an older process of that member has nothing more to say.
    if (from === null || this.#peers.get(from) !== peer) return;
    try {
      events.push({ type: "message", from, message: decodeMessage(bytes) });
    } catch (error) {
      this.#parts.tell({ event: "message-refused", from, reason: messageOf(error) });
    }
  }

  /** Only if nobody has met another one under its name can this node not have promised anything before. */
  #takeRecognition(peer: Peer | null): void {
    const from = peer === null ? null : this.#memberOf(peer);
    if (from === null || this.#raft.isAdmitted || this.#recognizedBy.has(from)) return;
    this.#recognizedBy.add(from);
    if (!this.#others.every((id) => this.#recognizedBy.has(id))) return;
    this.#parts.admit().then(
      () => this.#context.post({ type: "admitted" }),
      (error) => this.#fail(error),
    );
  }

  #takeQuestion(
    message: Exclude<NodeMessage, { type: "raft" | "keep-session" | "recognized" }>,
    sender: Sender,
    answer: NodeAnswerTo,
    events: RaftEvent[],
  ): void {
    switch (message.type) {
      case "commands":
        this.#takeBatch(message.batch, sender, answer, events);
        return;
      case "open-session":
        this.#openSession(answer, events);
        return;
      case "queries":
        this.#read(message.consistency === "stale", decodeList(message.queries, QUERIES_MAX), answer, events);
        return;
      case "subscribe":
        if (sender.peer !== null) this.#announcer.subscribe(sender.peer, sender.name);
        answer.ok({ type: "leader", view: this.#announcer.view });
        return;
      case "status":
        answer.ok({ type: "status", status: this.status() });
        return;
      case "transfer":
        if (!this.isLeader) throw notLeader(this.#announcer.view);
        events.push({ type: "transfer", to: message.to });
        answer.ok({ type: "done" });
        return;
    }
  }

  #takeBatch(batch: Uint8Array, sender: Sender, answer: NodeAnswerTo, events: RaftEvent[]): void {
    if (!this.isLeader) throw notLeader(this.#announcer.view);
    const session = admit(batch, this.#parts.replica, this.#parts.limits);
    if (this.#proposals.isFull) throw new ConclaveError("BUSY", "The leader holds too many uncommitted commands.");
    if (sender.peer !== null) this.#holdSession(session, sender.peer);
    this.#propose(batch, answer, events);
  }

  #openSession(answer: NodeAnswerTo, events: RaftEvent[]): void {
    const { replica, limits } = this.#parts;
    if (!this.isLeader) throw notLeader(this.#announcer.view);
    if (replica.sessionCount + this.#opening >= limits.sessionsMax || this.#proposals.isFull) {
      throw new ConclaveError("BUSY", `${replica.sessionCount} sessions are open, of ${limits.sessionsMax}.`);
    }
    this.#opening++;
    const counted: NodeAnswerTo = {
      ok: (opened) => {
        this.#opening--;
        answer.ok(opened);
      },
      fail: (error) => {
        this.#opening--;
        answer.fail(error);
      },
    };
    this.#propose(encodePayload({ type: "open-session" }), counted, events);
  }

  #propose(payload: Uint8Array, answer: NodeAnswerTo | null, events: RaftEvent[]): void {
    events.push({ type: "propose", ticket: this.#proposals.offer(payload, answer), payload });
  }

  #read(stale: boolean, queries: readonly Uint8Array[], answer: NodeAnswerTo, events: RaftEvent[]): void {
    // It has nothing of its own to show yet, and an empty state is not an old one.
    if (!this.#raft.isAdmitted) throw new ConclaveError("BUSY", "This node takes no part in its cluster yet.");
    if (stale) this.#reads.askStale(queries, answer);
    else events.push({ type: "read", ticket: this.#reads.ask(queries, answer) });
  }

  #holdSession(session: number, peer: Peer): void {
    if (!this.#sessions.hold(session, peer)) this.#context.watch(peer);
  }

  #watchSessions(): void {
    const { environment, limits } = this.#parts;
    this.#sessionTimer = environment.clock.setTimer(limits.sessionTimeoutMs / 4, () => {
      this.#context.post({ type: "expire-sessions" });
      this.#watchSessions();
    });
  }

  #expireSessions(events: RaftEvent[]): void {
    const sessions = this.#sessions.idle(this.#parts.environment.clock.nowMs());
    if (this.isLeader && sessions.length > 0)
      this.#propose(encodePayload({ type: "expire-sessions", sessions }), null, events);
  }

  #carryOut(effects: Effects): void {
    // First of all: from here on the core counts it as on its way.
    if (effects.persist !== null) this.#persist(effects.persist);
    for (const story of effects.story) this.#parts.tell(story);
    for (const outcome of effects.proposals) this.#proposals.place(outcome, this.#announcer.view);
    this.#noteRole(); // After the proposals have found their places: if leadership is lost already, they are abandoned.
    for (const { to, message } of effects.messages) this.#send(to, message);
    this.#hold(effects.messagesAfterPersist);
    for (const { to, from, through, bytesMax } of effects.fetches) {
      this.#fetch(from, through, bytesMax, (entries) => this.#context.post({ type: "fetched", to, entries }));
    }
    this.#reads.take(effects.reads, this.#announcer.view);
    this.#applier.commit(effects.commitIndex);
    this.#applier.run();
    this.#reads.run();
    this.#setTimer(effects.deadlineMs);
  }

  /** Tells whoever should know when leadership has come, gone or moved. */
  #noteRole(): void {
    const { term } = this.#raft;
    if (!this.isLeader) this.#proposals.abandon();
    if (!this.#wasLeader && this.isLeader) this.#sessions.restart();
    this.#wasLeader = this.isLeader;
    const leader = this.#parts.members.find(({ id }) => id === knownLeader(this.#raft));
    this.#announcer.update({ term, leader: leader === undefined ? null : { id: leader.id, url: leader.url } });
  }

  #send(to: string, message: Outgoing["message"]): void {
    this.#peers
      .get(to)
      ?.ref(NODE_ACTOR, nodeProtocol)
      .tell({ type: "raft", packed: encodeMessage(message) });
  }

  #persist({ seq, hardState, entries }: Persist): void {
    this.#parts.wal.append({ entries, state: hardState }).then(
      () => this.#context.post({ type: "persisted", seq }),
      (error) => this.#fail(error),
    );
  }

  #hold(messages: readonly Outgoing[]): void {
    if (messages.length === 0) return;
    this.#held.push({ seq: this.#raft.persistSeq, messages });
    if (this.#durableSeq < this.#raft.persistSeq) return;
    // What they promise is durable already. Those to this node itself come back as events, in the next batch.
    this.#context.post({ type: "persisted", seq: this.#durableSeq });
  }

  #releaseHeld(events: RaftEvent[]): void {
    const due = this.#held.filter(({ seq }) => seq <= this.#durableSeq);
    this.#held = this.#held.filter(({ seq }) => seq > this.#durableSeq);
    for (const { to, message } of due.flatMap(({ messages }) => messages)) {
      if (to === this.#raft.config.id) events.push({ type: "message", from: to, message });
      else this.#send(to, message);
    }
  }

  #fetch(from: LogIndex, through: LogIndex, bytesMax: number, done: (entries: readonly Entry[]) => void): void {
    const termAt = (index: number): number | null => this.#raft.log.termAt(index as LogIndex);
    this.#parts.wal.read(from, through, bytesMax, termAt).then(
      (stored) => done(stored.map(toEntry)),
      (error) => this.#fail(error),
    );
  }

  #fail(error: unknown): void {
    if (this.#stopped) return;
    this.stop();
    const fatal = error instanceof ConclaveError ? error : new ConclaveError("DISK_FAILED", messageOf(error));
    this.#parts.onFatal(fatal);
  }

  /** One timer for everything; it is only set anew if it would fire too late. */
  #setTimer(deadlineMs: number): void {
    if (this.#timer !== null && this.#timer.atMs <= deadlineMs) return;
    this.#timer?.timer.cancel();
    const { clock } = this.#parts.environment;
    // When the timer fires late, because the event loop was held up, what the sockets hold is read first.
    const fire = (): void => clock.defer(() => this.#context.post({ type: "tick" }));
    this.#timer = { atMs: deadlineMs, timer: clock.setTimer(deadlineMs - clock.nowMs(), fire) };
  }
}
