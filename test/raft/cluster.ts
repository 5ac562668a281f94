/** Several servers on one clock, and the links between them: a queue in each direction, for the test to deliver or lose. */

import * as assert from "uvu/assert";
import {
  configurationOf,
  isAnswer,
  type Member,
  type Message,
  memberNamed,
  type NodeId,
} from "../../src/raft/index.ts";
import {
  type Beginning,
  type Clock,
  DEFAULTS,
  type Making,
  Server,
  type Settings,
  STEPS_MAX,
  type Witness,
} from "./server.ts";

/** A message on its way, and which of the processes that ever bore the name of its sender has sent it. */
interface Letter {
  readonly message: Message;
  readonly incarnation: string;
}

export class Cluster {
  readonly clock: Clock = { nowMs: 0 };
  readonly #settings: Settings;
  readonly #seed: number;
  readonly #witness: Witness;
  readonly #servers = new Map<NodeId, Server>();
  /** How many disks have borne each name. */
  readonly #disks = new Map<NodeId, number>();
  readonly #queues = new Map<string, Letter[]>();
  readonly #cut = new Set<string>();
  readonly #muted = new Set<string>();

  constructor(
    ids: readonly NodeId[],
    beginnings: Record<NodeId, Beginning> = {},
    settings: Settings = {},
    seed = 1,
    witness: Witness = () => {},
    clockRateOf: (id: NodeId) => number = () => 1,
  ) {
    this.#settings = settings;
    this.#seed = seed;
    this.#witness = witness;
    for (const id of ids) {
      this.#make(id, { voters: ids, beginning: beginnings[id] ?? {}, clockRate: clockRateOf(id) });
    }
    for (const id of ids) this.#connect(id);
  }

  #make(id: NodeId, making: Omit<Making, "id" | "clock" | "settings" | "seed" | "witness" | "incarnation">): Server {
    const disks = (this.#disks.get(id) ?? 0) + 1;
    this.#disks.set(id, disks);
    const seed = this.#seed * 1000 + (this.#disks.size - 1) * 100 + (disks - 1) * 37;
    const server = new Server({
      ...making,
      id,
      clock: this.clock,
      settings: this.#settings,
      seed,
      incarnation: incarnationOf(id, disks),
      witness: this.#witness,
    });
    this.#servers.set(id, server);
    return server;
  }

  get ids(): NodeId[] {
    return [...this.#servers.keys()];
  }

  /** A new server starts, which knows nobody; nobody has heard of it, but it is linked to all. */
  join(id: NodeId, clockRate = 1): Server {
    if (this.#servers.has(id)) throw new Error(`there is a server ${id} already`);
    const server = this.#make(id, { voters: [], isAdmitted: false, clockRate });
    this.#connect(id);
    return server;
  }

  /** A server goes, for good. */
  leave(id: NodeId): void {
    if (this.at(id).isRunning) this.crash(id);
    this.#servers.delete(id);
  }

  /**
   * A machine loses its disk and starts again, under its old name and from the same settings. The others have met the
   * one that it was, and do not admit it.
   */
  wipe(id: NodeId): Server {
    const { isRunning, voters, clockRate } = this.at(id);
    if (isRunning) this.crash(id);
    const server = this.#make(id, { voters, isAdmitted: false, clockRate });
    this.#connect(id);
    return server;
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
    return (this.#queues.get(`${from}>${to}`) ?? []).map(({ message }) => message);
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
    const [letter] = this.#queues.get(`${from}>${to}`)?.splice(position, 1) ?? [];
    if (letter === undefined) return false;
    this.#hand(from, to, letter);
    return true;
  }

  /** Takes the oldest message off a link, for the test to hand over; null if there is none, or it would be dropped. */
  take(from: NodeId, to: NodeId): Message | null {
    this.#collect();
    const letter = this.#queues.get(`${from}>${to}`)?.shift();
    return letter !== undefined && this.#isHeard(from, to, letter) ? letter.message : null;
  }

  /** Delivers the oldest message, and leaves it where it is; false if there is none. */
  repeat(from: NodeId, to: NodeId): boolean {
    this.#collect();
    const [letter] = this.#queues.get(`${from}>${to}`) ?? [];
    if (letter === undefined) return false;
    this.#hand(from, to, letter);
    return true;
  }

  #hand(from: NodeId, to: NodeId, letter: Letter): void {
    if (this.#isHeard(from, to, letter)) this.at(to).receive(from, letter.message);
  }

  /** Requests are handled whoever they come from, answers only from who they are thought to come from. */
  #isHeard(from: NodeId, to: NodeId, { message, incarnation }: Letter): boolean {
    const receiver = this.at(to);
    if (!receiver.isRunning) return false;
    return !isAnswer(message) || this.#incarnationAsKnownTo(receiver, from) === incarnation;
  }

  /** Is the process that this member stands for still there, be it down? */
  isAlive(member: Member): boolean {
    return this.#servers.get(member.id)?.config.incarnation === (member.incarnation ?? incarnationOf(member.id, 1));
  }

  /** By the configuration; what that does not say is known from the first meeting. */
  #incarnationAsKnownTo({ raft }: Server, id: NodeId): string | null {
    const member = memberNamed(configurationOf(raft), id);
    return member === undefined ? null : (member.incarnation ?? incarnationOf(id, 1));
  }

  /** Sends the oldest message that waits a second time; false if there is none. */
  duplicate(from: NodeId, to: NodeId): boolean {
    this.#collect();
    const queue = this.#queues.get(`${from}>${to}`);
    const [letter] = queue ?? [];
    if (letter === undefined) return false;
    queue?.push(letter);
    return true;
  }

  /** A server draws the snapshot that it was offered; false if it can't be had, or is not needed. */
  draw(id: NodeId): boolean {
    const { offer } = this.at(id);
    if (offer === null || !this.canDraw(id)) return false;
    const { from, snapshot: wanted } = offer;
    const snapshot = this.at(from).disk.snapshots.find(({ index }) => index === wanted.index);
    if (snapshot === undefined) {
      this.at(id).offer = null;
      return false;
    }
    assert.is(snapshot.term, wanted.term, `${from} has another snapshot than it has offered`);
    this.at(id).receiveSnapshot(snapshot);
    return true;
  }

  /** Has this server been offered a snapshot by one that it can reach? */
  canDraw(id: NodeId): boolean {
    const server = this.at(id);
    if (!server.isRunning || server.offer === null) return false;
    const { from } = server.offer;
    const link = pair(id, from);
    return this.#servers.get(from)?.isRunning === true && !this.#cut.has(link) && !this.#muted.has(link);
  }

  /** Loses everything that waits on the way from one server to another. */
  drop(from: NodeId, to: NodeId): void {
    this.#collect();
    this.#queues.delete(`${from}>${to}`);
  }

  /** Delivers until nothing is on its way, or nothing among these servers; what they are offered they draw. */
  settle(among: readonly NodeId[] = this.ids): this {
    const busy = () => this.busyLinks.filter(([from, to]) => among.includes(from) && among.includes(to));
    const drawers = () =>
      among.filter((id) => this.canDraw(id) && among.includes(this.#servers.get(id)?.offer?.from ?? ""));
    for (let rounds = 0; busy().length > 0 || drawers().length > 0; rounds++) {
      assert.ok(rounds < STEPS_MAX, "the cluster never comes to rest");
      for (const [from, to] of busy()) while (this.deliver(from, to));
      for (const id of drawers()) this.draw(id);
    }
    return this;
  }

  /** Lets time pass: every server wakes at its deadline, every message arrives at once. */
  advance(ms: number): this {
    this.settle();
    return this.#pass(ms, () => this.settle());
  }

  /** Lets time pass, and every server wakes at its deadline, while all messages wait on their links. */
  tick(ms: number): this {
    return this.#pass(ms, () => {});
  }

  #pass(ms: number, afterEachWake: () => void): this {
    const endMs = this.clock.nowMs + ms;
    for (let wakes = 0; ; wakes++) {
      assert.ok(wakes < STEPS_MAX, "deadlines never lie in the future");
      const next = this.running.sort((a, b) => a.deadlineMs - b.deadlineMs)[0];
      if (next === undefined || next.deadlineMs > endMs) break;
      next.waitForDeadline();
      afterEachWake();
    }
    this.clock.nowMs = endMs;
    return this;
  }

  /** Whoever led before was silent for an election timeout, and this server's timer is the first to run out. */
  elect(id: NodeId): Server {
    const server = this.stand(id);
    this.settle();
    assert.is(server.role, "leader", `${id} was not elected`);
    return server;
  }

  /** Like `elect`, but its vote requests are still on their way. */
  stand(id: NodeId): Server {
    this.clock.nowMs += DEFAULTS.electionTimeoutMaxMs;
    for (const { raft } of this.running) {
      if (raft.role.name !== "leader") raft.role.electionDeadlineMs = this.clock.nowMs + DEFAULTS.electionTimeoutMaxMs;
    }
    const candidate = this.at(id);
    if (candidate.raft.role.name !== "leader") candidate.raft.role.electionDeadlineMs = this.clock.nowMs;
    candidate.tick();
    return candidate;
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
    for (const { id, config, outbox } of this.servers) {
      for (const { to, message } of outbox.splice(0)) {
        const link = pair(id, to);
        if (this.#cut.has(link) || this.#muted.has(link) || this.#servers.get(to)?.isRunning !== true) continue;
        const letter = { message, incarnation: config.incarnation };
        const queue = this.#queues.get(`${id}>${to}`);
        if (queue === undefined) this.#queues.set(`${id}>${to}`, [letter]);
        else queue.push(letter);
      }
    }
  }
}

const pair = (one: NodeId, other: NodeId): string => [one, other].sort().join("-");

/** Of the disks that have borne a name, the first is called as in `Server`. */
export const incarnationOf = (id: NodeId, disks: number): string => `${id}-disk${disks === 1 ? "" : `-${disks}`}`;
