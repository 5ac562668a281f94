/** Several servers on one clock, and the links between them: a queue in each direction, for the test to deliver or lose. */

import * as assert from "uvu/assert";
import type { Message, NodeId } from "../../src/raft/index.ts";
import { type Beginning, type Clock, DEFAULTS, Server, type Settings, STEPS_MAX, type Witness } from "./server.ts";

export class Cluster {
  readonly clock: Clock = { nowMs: 0 };
  readonly ids: readonly NodeId[];
  readonly #servers = new Map<NodeId, Server>();
  readonly #queues = new Map<string, Message[]>();
  readonly #cut = new Set<string>();
  readonly #muted = new Set<string>();

  constructor(
    ids: readonly NodeId[],
    beginnings: Record<NodeId, Beginning> = {},
    settings: Settings = {},
    seed = 1,
    witness?: Witness,
  ) {
    this.ids = ids;
    ids.forEach((id, i) => {
      const seedOfServer = seed * 1000 + i * 100;
      this.#servers.set(id, new Server(id, ids, this.clock, beginnings[id] ?? {}, settings, seedOfServer, witness));
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

  /** Sends the oldest message that waits a second time; false if there is none. */
  duplicate(from: NodeId, to: NodeId): boolean {
    const [message] = this.waiting(from, to);
    if (message === undefined) return false;
    this.#queues.get(`${from}>${to}`)?.push(message);
    return true;
  }

  /** Loses everything that waits on the way from one server to another. */
  drop(from: NodeId, to: NodeId): void {
    this.#collect();
    this.#queues.delete(`${from}>${to}`);
  }

  /** Delivers until nothing is on its way, or nothing among these servers. */
  settle(among: readonly NodeId[] = this.ids): this {
    const busy = () => this.busyLinks.filter(([from, to]) => among.includes(from) && among.includes(to));
    for (let rounds = 0; busy().length > 0; rounds++) {
      assert.ok(rounds < STEPS_MAX, "the cluster never comes to rest");
      for (const [from, to] of busy()) while (this.deliver(from, to));
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
