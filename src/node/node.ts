/**
 * The node actor: one replica. It feeds what happens to the pure core, and carries out what the core decides: writes
 * to the log, messages to the other members, entries to the state machine, answers to clients.
 */

import type { ActorContext, Behaviour, Delivery, Peer } from "../actor/index.ts";
import { normalUrl } from "../actor/index.ts";
import type { Environment, Timer } from "../environment.ts";
import { ConclaveError, hasCode, messageOf } from "../errors.ts";
import type { Limits } from "../limits.ts";
import type { Replica } from "../machine/index.ts";
import { NODE_ACTOR, type NodeAnswer, type NodeMessage, type NodeStatus, nodeProtocol } from "../protocol/node.ts";
import {
  type Configuration,
  canCampaign,
  configurationOf,
  type Effects,
  type Entry,
  isQuorum,
  knownLeader,
  type LogIndex,
  memberNamed,
  newestOf,
  type Persist,
  type Raft,
  type RaftEvent,
  type RaftStory,
  step,
} from "../raft/index.ts";
import type { SnapshotStore, Wal } from "../storage/index.ts";
import { Activator, type ActivatorStory } from "./activator.ts";
import { Announcer, type AnnouncerStory } from "./announcer.ts";
import { Applier } from "./applier.ts";
import { Clients } from "./clients.ts";
import { DiskRoom } from "./disk-room.ts";
import { Integrity, type IntegrityEvent, type IntegrityStory } from "./integrity.ts";
import { Joiner, type JoinerStory } from "./joiner.ts";
import { Members, type MembersStory } from "./members.ts";
import { Outbox } from "./outbox.ts";
import { Peers } from "./peers.ts";
import { Reception, type ReceptionStory } from "./reception.ts";
import { type SnapshotEvent, type SnapshotStory, Snapshots } from "./snapshots.ts";
import { StallGuard, type StallStory } from "./stall-guard.ts";
import { toEntry } from "./stored.ts";
import { LeaderTimekeeper } from "./timekeeper.ts";
import { Unwritten } from "./unwritten.ts";

/** What a node has to tell. */
export type NodeStory =
  | RaftStory
  | AnnouncerStory
  | MembersStory
  | JoinerStory
  | SnapshotStory
  | IntegrityStory
  | ActivatorStory
  | StallStory
  | ReceptionStory
  | { readonly event: "sessions-expired"; readonly count: number };

/** What comes back to the node from its own disk and timers. */
export type NodeEvent =
  | { readonly type: "start" }
  | { readonly type: "tick" }
  | { readonly type: "persisted"; readonly seq: number }
  | { readonly type: "fetched"; readonly to: string; readonly entries: readonly Entry[] }
  | { readonly type: "fetched-to-apply"; readonly entries: readonly Entry[] }
  | { readonly type: "continue" }
  | { readonly type: "housekeeping" }
  /** Timers of the state machine may have run out. */
  | { readonly type: "timers" }
  | { readonly type: "admitted" }
  | SnapshotEvent
  | IntegrityEvent
  /** The log's disk has become full, or has room again. */
  | { readonly type: "disk-full"; readonly isFull: boolean }
  | { readonly type: "transfer" };

export interface NodeParts {
  readonly environment: Environment;
  /** The name of the cluster. */
  readonly cluster: string;
  /** Where this node is reached. */
  readonly url: string;
  readonly directories: readonly string[];
  /** Members to be taken in by, if this node is to join a cluster. */
  readonly join: readonly string[];
  readonly raft: Raft;
  readonly wal: Wal;
  readonly store: SnapshotStore;
  readonly replica: Replica;
  readonly limits: Limits;
  /** It was taken out of its cluster before. */
  readonly isRemoved: boolean;
  /** The incarnation under which a member was first met. */
  readonly firstMet: (id: string) => string | null;
  readonly tell: (story: NodeStory) => void;
  /** Writes down, durably, that every founder has taken note of this node. */
  readonly admit: () => Promise<void>;
  /** Writes down, durably, that this node was taken out. */
  readonly leave: () => Promise<void>;
  /** The disk has failed, or the node was removed: nothing more can be promised, and the process should end. */
  readonly onFatal: (error: ConclaveError) => void;
}

type NodeDelivery = Delivery<NodeMessage, NodeAnswer, NodeEvent>;

/** How long another node may take to answer a question of this one. */
const ASK_TIMEOUT_MS = 5_000;

export class NodeActor {
  readonly #parts: NodeParts;
  readonly #context: ActorContext<NodeEvent>;
  readonly #raft: Raft;
  readonly #peers: Peers;
  readonly #members: Members;
  readonly #joiner: Joiner;
  readonly #announcer: Announcer;
  readonly #applier: Applier;
  readonly #clients: Clients;
  readonly #timekeeper: LeaderTimekeeper;
  readonly #activator: Activator;
  readonly #room: DiskRoom;
  readonly #unwritten: Unwritten;
  readonly #guard: StallGuard;
  readonly #outbox: Outbox;
  readonly #snapshots: Snapshots;
  readonly #integrity: Integrity;
  readonly #reception: Reception;
  readonly #directories: readonly string[];
  #timer: { readonly atMs: number; readonly timer: Timer } | null = null;
  #housekeeping: Timer | null = null;
  #farewell: Timer | null = null;
  #configuration: Configuration;
  #wasLeader = false;
  /** What there is to apply waits for the next turn. */
  #isApplyingLater = false;
  #stopped = false;

  constructor(context: ActorContext<NodeEvent>, parts: NodeParts) {
    const { raft, replica, limits, environment, tell, url, wal, store } = parts;
    const { clock } = environment;
    const { id, incarnation, electionTimeoutMinMs, electionTimeoutMaxMs, heartbeatMs: everyMs } = raft.config;
    this.#parts = parts;
    this.#context = context;
    this.#raft = raft;
    this.#configuration = configurationOf(raft);
    this.#directories = parts.directories.map(normalUrl);
    this.#guard = new StallGuard({ clock, everyMs, worthTellingMs: electionTimeoutMinMs / 2, tell });
    const continueLater = (): void => context.post({ type: "continue" });
    this.#peers = new Peers({ id, configuration: () => configurationOf(raft), firstMet: parts.firstMet });
    this.#integrity = new Integrity({
      clock,
      raft,
      replica,
      store,
      peers: this.#peers,
      logBytesMax: limits.logBytesMax,
      ask: (to, message, timeoutMs) => this.#askPeer(to, message, timeoutMs),
      replaceBy: (offer, isNeeded) => this.#snapshots.replaceBy(offer, isNeeded),
      takeSnapshot: () => {
        continueLater();
        return this.#snapshots.take();
      },
      post: (event) => context.post(event),
      onDiverged: (why) => {
        this.#clients.refuse(why);
        this.#snapshots.discard(why);
        continueLater();
      },
      tell,
    });
    const { divergence } = this.#integrity;
    this.#clients = new Clients({
      clock,
      raft,
      replica,
      limits,
      divergence,
      view: () => this.#announcer.view,
      checkDisks: () => {
        this.#room.check();
        this.#unwritten.check();
      },
      canShow: () => this.#roleName() !== "newcomer",
      watch: (peer) => context.watch(peer),
      continueLater,
    });
    this.#announcer = new Announcer(context, { clock, id, url, directories: this.#directories, tell, continueLater });
    this.#room = new DiskRoom(raft);
    this.#unwritten = new Unwritten(limits, clock);
    this.#outbox = new Outbox(raft, this.#peers);
    this.#activator = new Activator({ raft, replica, peers: this.#peers, tell });
    this.#timekeeper = new LeaderTimekeeper(clock, replica, () => context.post({ type: "timers" }));
    replica.keepTimeBy(this.#timekeeper);
    this.#members = new Members({
      raft,
      peers: this.#peers,
      url,
      isJoining: parts.join.length > 0,
      isRemoved: parts.isRemoved,
      view: () => this.#announcer.view,
      firstMet: parts.firstMet,
      send: (peer, message) => void peer.ref(NODE_ACTOR, nodeProtocol).tell(message),
      keepLink: (to) => context.keepLink(to),
      tell,
      onRecognized: () => {
        parts.admit().then(
          () => context.post({ type: "admitted" }),
          (error) => this.#fail(error),
        );
      },
      onRemoved: () => this.#leave(),
    });
    this.#joiner = new Joiner({
      clock,
      retryMs: electionTimeoutMaxMs,
      isNeeded: () => !this.#stopped && this.#members.hasToJoin,
      candidates: () => {
        const { leader } = this.#announcer.view;
        const others = this.#peers.all.flatMap(({ hello }) => (hello.url === null ? [] : [hello.url]));
        // One that was away for long may know nobody else who is left.
        const registered = this.#announcer.lookAround();
        const all = [...(leader === null ? [] : [leader.url]), ...parts.join, ...others, ...registered];
        return all.filter((one) => one !== url);
      },
      ask: (to) => {
        const ref = context.ref(`${to}/${NODE_ACTOR}`, nodeProtocol);
        const { wasMember } = this.#members;
        return ref.ask({ type: "join", id, url, incarnation, wasMember }, { timeoutMs: ASK_TIMEOUT_MS });
      },
      tell,
    });
    this.#applier = new Applier({
      clock,
      log: raft.log,
      replica,
      fetch: (from, through, bytesMax) =>
        this.#fetch(from, through, bytesMax, (entries) => context.post({ type: "fetched-to-apply", entries })),
      continueLater,
      onApplied: (entry, applied) => {
        this.#clients.applied(entry, applied);
        this.#integrity.applied(entry, applied);
        if (applied?.type === "sessions-expired" && applied.count > 0) {
          tell({ event: "sessions-expired", count: applied.count });
        }
        if (applied?.type === "activated") this.#activator.look();
      },
    });
    this.#snapshots = new Snapshots({
      clock,
      raft,
      replica,
      applier: this.#applier,
      wal,
      store,
      limits,
      cluster: parts.cluster,
      watch: (peer) => context.watch(peer),
      ask: (from, index, offset) => this.#askPeer(from, { type: "read-snapshot", index, offset }),
      post: (event) => context.post(event),
      isSound: () => divergence.isSound,
      isRight: () => divergence.isRight,
      onRestored: (index) => {
        this.#integrity.restored(index);
        continueLater();
      },
      onFatal: (error) => this.#fail(error),
      tell,
    });
    this.#reception = new Reception({
      peers: this.#peers,
      members: this.#members,
      clients: this.#clients,
      snapshots: this.#snapshots,
      announcer: this.#announcer,
      room: this.#room,
      activator: this.#activator,
      comparisons: this.#integrity.comparisons,
      status: () => this.status(),
      tell,
    });
    context.post({ type: "start" });
  }

  get behaviour(): Behaviour<NodeMessage, NodeAnswer, NodeEvent> {
    return (batch) => this.#receive(batch);
  }

  get isLeader(): boolean {
    return this.#raft.role.name === "leader";
  }

  /** Is a quorum of the members reached? */
  get hasQuorum(): boolean {
    const { id } = this.#raft.config;
    return isQuorum(configurationOf(this.#raft), (member) => member === id || this.#peers.isLinked(member));
  }

  /** The log's disk has become full, or has room again. */
  diskFull(isFull: boolean): void {
    this.#context.post({ type: "disk-full", isFull });
  }

  /** Asks the core to hand leadership over; whether it did shows in `isLeader`. */
  transfer(): void {
    this.#context.post({ type: "transfer" });
  }

  status(): NodeStatus {
    const { config, term, log, commitIndex, snapshot } = this.#raft;
    return {
      id: config.id,
      role: this.#roleName(),
      term,
      leader: knownLeader(this.#raft),
      lastIndex: log.lastIndex,
      commitIndex,
      appliedIndex: this.#applier.appliedIndex,
      snapshotIndex: snapshot.index,
      sessions: this.#parts.replica.sessionCount,
      state: this.#integrity.state,
      lagMs: Math.round(this.#guard.lagMs),
      links: Object.fromEntries(this.#members.others.map(({ id }) => [id, this.#peers.isLinked(id)])),
    };
  }

  #roleName(): NodeStatus["role"] {
    const { name } = this.#raft.role;
    if (name !== "follower" || canCampaign(this.#raft)) return name;
    const { own } = this.#members;
    return own?.role === "learner" && own.incarnation === this.#raft.config.incarnation ? "learner" : "newcomer";
  }

  /** No timer fires and no disk write is waited for after this. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.timer.cancel();
    this.#housekeeping?.cancel();
    this.#farewell?.cancel();
    this.#guard.stop();
    this.#joiner.stop();
    this.#clients.stop();
    this.#timekeeper.stop();
    this.#announcer.stop();
    this.#snapshots.stop();
    this.#integrity.stop();
  }

  #receive(batch: readonly NodeDelivery[]): void {
    if (this.#stopped) return;
    const events: RaftEvent[] = this.#guard.wasHeldUp() ? [{ type: "stalled" }] : [];
    for (const delivery of batch) {
      if (delivery.type === "internal") this.#takeOwn(delivery.event, events);
      else if (delivery.type === "link") this.#takeLink(delivery.up, delivery.url, delivery.peer, events);
      else {
        const { message, sender, answer } = delivery;
        if (sender.peer !== null) this.#meet(sender.peer, events);
        this.#reception.take(message, sender, answer, events);
      }
    }
    this.#peers.reconcile(events);
    this.#members.tend(this.#nowMs, events);
    this.#integrity.divergence.tend(events);
    if (this.isLeader && this.#integrity.divergence.isSound) {
      for (const machine of this.#activator.due()) this.#clients.propose({ type: "activate", ...machine }, events);
      if (this.#integrity.comparisons.due()) this.#clients.propose({ type: "compare" }, events);
    }
    events.push({ type: "applied", index: this.#applier.appliedIndex });
    try {
      this.#carryOut(step(this.#raft, events, this.#nowMs));
    } catch (error) {
      // The core may now be ahead of what was carried out, the disk above all: it must not go on as if it were not.
      const failure = `The node failed: ${messageOf(error)}`;
      const isKnown = hasCode(error, "MACHINE_MISSING", "MACHINE_FAILED");
      this.#fail(isKnown ? error : new ConclaveError("ACTOR_FAILED", failure, { cause: error }));
      throw error;
    }
  }

  get #nowMs(): number {
    return this.#parts.environment.clock.nowMs();
  }

  #takeOwn(event: NodeEvent, events: RaftEvent[]): void {
    switch (event.type) {
      case "start":
        this.#members.start(this.#nowMs);
        this.#announcer.start();
        this.#guard.start();
        this.#integrity.divergence.start();
        this.#keepHouse();
        return;
      case "persisted":
        this.#unwritten.written(event.seq);
        events.push(event);
        this.#outbox.release(event.seq, events);
        return;
      case "fetched-to-apply":
        this.#applier.fetched(event.entries);
        return;
      case "timers": {
        const timers = this.#timekeeper.due();
        const timeMs = this.#parts.environment.clock.timeMs();
        if (timers.length > 0 && this.#integrity.divergence.isSound)
          this.#clients.propose({ type: "fire-timers", timeMs, timers }, events);
        return;
      }
      case "continue":
        return; // What is left to apply, to answer and to tell goes on after every batch.
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
      case "snapshot-taken":
      case "snapshot-received":
      case "snapshot-lost":
      case "compact":
        this.#snapshots.note(event, events);
        return;
      case "digested":
      case "trusted":
        this.#integrity.take(event, events);
        return;
      case "fetched":
        events.push(event);
        return;
      case "disk-full":
        this.#noteRoom(event.isFull, events);
        return;
      case "housekeeping":
        this.#clients.expireSessions(events);
        this.#activator.startOver();
        this.#snapshots.keepHouse();
        this.#integrity.keepHouse();
        return;
    }
  }

  #takeLink(up: boolean, url: string | null, peer: Peer, events: RaftEvent[]): void {
    if (up) {
      if (this.#isNode(peer)) this.#welcome(peer, events);
      else if (url !== null) this.#announcer.linkUp(url);
      return;
    }
    this.#announcer.linkLost(url, peer);
    this.#clients.linkLost(peer);
    this.#snapshots.backups.linkLost(peer);
    if (!this.#peers.remove(peer)) return;
    this.#peers.reconcile(events);
    this.#room.note(peer.hello.name, false);
  }

  /**
   * Links are kept to the members, and others keep links to this node: the leader of a cluster that it has yet to join,
   * or that has changed while it was down; one that was taken out and does not know; one that is reached elsewhere now.
   */
  #meet(peer: Peer, events: RaftEvent[]): void {
    if (!this.#isNode(peer) || this.#peers.knows(peer)) return;
    this.#context.watch(peer);
    this.#welcome(peer, events);
  }

  #welcome(peer: Peer, events: RaftEvent[]): void {
    this.#peers.add(peer);
    this.#peers.reconcile(events);
    this.#members.greet(peer);
    this.#activator.greet(peer);
    this.#integrity.comparisons.greet(peer);
    if (this.#room.isFull) peer.ref(NODE_ACTOR, nodeProtocol).tell({ type: "disk-full", isFull: true });
  }

  /** While it can't write it had better not lead; and whoever leads should know whom not to count on. */
  #noteRoom(isFull: boolean, events: RaftEvent[]): void {
    this.#room.note(this.#raft.config.id, isFull);
    for (const peer of this.#peers.all) peer.ref(NODE_ACTOR, nodeProtocol).tell({ type: "disk-full", isFull });
    if (isFull && this.isLeader) events.push({ type: "transfer", to: null });
  }

  /** Clients listen nowhere, and directories where it is known. */
  #isNode({ hello: { name, url } }: Peer): boolean {
    return url !== null && name !== this.#raft.config.id && !this.#directories.includes(url);
  }

  #keepHouse(): void {
    const { environment, limits } = this.#parts;
    this.#housekeeping = environment.clock.setTimer(limits.sessionTimeoutMs / 4, () => {
      this.#context.post({ type: "housekeeping" });
      this.#keepHouse();
    });
  }

  #carryOut(effects: Effects): void {
    // First of all: from here on the core counts it as on its way.
    if (effects.persist !== null) this.#persist(effects.persist);
    for (const story of effects.story) this.#parts.tell(story);
    this.#clients.place(effects);
    for (const outcome of effects.changes) this.#members.changes.place(outcome, this.#announcer.view);
    this.#noteMembers(effects.story);
    this.#noteLeadership();
    this.#clients.noteRole(effects.story); // After the proposals have found their places: if leadership is lost already, they are abandoned.
    this.#announce();
    this.#members.changes.settle();
    for (const outgoing of effects.messages) this.#outbox.send(outgoing);
    // What they promise may be durable already. Those to this node itself come back as events, in the next batch.
    if (this.#outbox.hold(effects.messagesAfterPersist)) {
      this.#context.post({ type: "persisted", seq: this.#outbox.durableSeq });
    }
    for (const { to, from, through, bytesMax } of effects.fetches) {
      this.#fetch(from, through, bytesMax, (entries) => this.#context.post({ type: "fetched", to, entries }));
    }
    this.#snapshots.carryOut(effects);
    this.#clients.takeReads(effects);
    this.#applier.commit(effects.commitIndex);
    this.#apply(effects.persist !== null);
    this.#clients.run();
    this.#snapshots.tend();
    this.#joiner.wake();
    this.#setTimer(effects.deadlineMs);
  }

  /** On a follower the disk comes first, for which the whole cluster waits; but not twice in a row. */
  #apply(isWriting: boolean): void {
    this.#isApplyingLater = isWriting && !this.isLeader && !this.#isApplyingLater;
    if (this.#isApplyingLater) this.#context.post({ type: "continue" });
    else this.#applier.run();
  }

  #noteLeadership(): void {
    if (this.isLeader === this.#wasLeader) return;
    this.#wasLeader = this.isLeader;
    this.#timekeeper.lead(this.isLeader);
    this.#activator.startOver();
    this.#integrity.comparisons.startOver();
    if (this.isLeader) this.#context.post({ type: "continue" }); // What there is to activate is proposed with the next batch.
  }

  /** The members may be others than before: so may be whom to keep links to, and what those that stand mean. */
  #noteMembers(story: readonly RaftStory[]): void {
    const configuration = configurationOf(this.#raft);
    const hasChanged = configuration !== this.#configuration;
    if (hasChanged || story.some(({ event }) => event === "configuration")) this.#members.keepLinks();
    if (!hasChanged) return;
    this.#configuration = configuration;
    this.#activator.look();
    for (const peer of this.#peers.all) this.#members.greet(peer);
    this.#context.post({ type: "continue" }); // What the links mean now is for the next batch.
  }

  /** Tells whoever should know when leadership has come, gone or moved, and the members have changed. */
  #announce(): void {
    const { term, commitIndex } = this.#raft;
    const { index, configuration } = newestOf(this.#raft);
    const isCertain = index > 0 && index <= commitIndex;
    if (isCertain && this.#members.own !== undefined) this.#announcer.updateMembers(index, configuration.members);
    const leader = knownLeader(this.#raft);
    const url = leader === null ? null : this.#urlOf(leader);
    this.#announcer.run();
    this.#announcer.update({ term, leader: leader === null || url === null ? null : { id: leader, url } });
  }

  #urlOf(id: string): string | null {
    if (id === this.#raft.config.id) return this.#parts.url;
    return this.#peers.get(id)?.hello.url ?? memberNamed(configurationOf(this.#raft), id)?.url ?? null;
  }

  async #askPeer(id: string, message: NodeMessage, timeoutMs = ASK_TIMEOUT_MS): Promise<NodeAnswer> {
    const peer = this.#peers.get(id);
    if (peer === null) throw new ConclaveError("UNREACHABLE", `There is no link to ${id}.`);
    return peer.ref(NODE_ACTOR, nodeProtocol).ask(message, { timeoutMs });
  }

  /** The members go on without this node. What it still has to say, such as who is to lead, gets a moment to go out. */
  #leave(): void {
    const { leave, environment } = this.#parts;
    const { id } = this.#raft.config;
    leave().then(
      () => {
        this.#farewell = environment.clock.setTimer(this.#raft.config.electionTimeoutMinMs, () => {
          const message = `${id} was removed from the cluster. To bring it back, start it as a new node: with an empty data directory, and --join.`;
          this.#fail(new ConclaveError("REMOVED", message));
        });
      },
      (error) => this.#fail(error),
    );
  }

  #persist({ seq, reset, hardState, entries }: Persist): void {
    this.#unwritten.writing(seq, entries);
    this.#parts.wal.append({ reset, entries, state: hardState }).then(
      () => {
        if (!this.#stopped) this.#outbox.durable(seq); // At once: others wait for it.
        this.#context.post({ type: "persisted", seq });
      },
      (error) => this.#fail(error),
    );
  }

  #fetch(from: LogIndex, through: LogIndex, bytesMax: number, done: (entries: readonly Entry[]) => void): void {
    const termAt = (index: number): number | null => this.#raft.log.termAt(index as LogIndex);
    this.#parts.wal.read(from, through, bytesMax, termAt).then(
      (stored) => done(stored.map(toEntry)),
      // A snapshot stands for them now: whoever asked for them finds out.
      (error) => (hasCode(error, "COMPACTED") ? done([]) : this.#fail(error)),
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
