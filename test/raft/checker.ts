/** Watches a cluster from outside, and remembers what must stay true (paper, Figure 3; thesis, chapters 4 and 6). */

import * as assert from "uvu/assert";
import {
  type Configuration,
  type Configured,
  configurationAt,
  type Effects,
  type Entry,
  logIndex,
  NOBODY,
  type NodeId,
  type RaftEvent,
} from "../../src/raft/index.ts";
import { type Cluster, incarnationOf } from "./cluster.ts";
import { alwaysMeet, haveMajorities } from "./majorities.ts";
import { textOf } from "./messages.ts";
import { durableConfiguration, type Server } from "./server.ts";

interface Question {
  readonly server: NodeId;
  /** What was committed anywhere when it was asked. */
  readonly least: number;
}

export class Checker {
  /** What was committed first at each index, and in which term. */
  readonly committed: { readonly term: number; readonly committedIn: number }[] = [];
  /** The configurations among it, oldest first. */
  readonly configurations: Configured[];
  readonly leaders = new Map<number, string>();
  readsServed = 0;
  readsServedByFollowers = 0;
  readonly #cluster: Cluster;
  readonly #votes = new Map<string, NodeId>();
  readonly #applied: string[] = [];
  readonly #appliedSeen = new WeakMap<readonly Entry[], number>();
  readonly #questions = new Map<number, Question>();
  /** Where the newest configuration of each process stood at the end of its last step. */
  readonly #newest = new Map<string, number>();
  readonly #met = new Set<string>();
  /** Every process that ever was, by its incarnation. */
  readonly #processes = new Map<string, Server>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    const [first] = cluster.servers;
    if (first === undefined) throw new Error("there is nobody");
    this.configurations = [{ index: logIndex(0), configuration: durableConfiguration(first) }];
  }

  readIsAsked({ id }: Server, ticket: number): void {
    this.#questions.set(ticket, { server: id, least: this.committed.length });
  }

  /** A process that dies answers nothing any more. */
  dies(id: NodeId): void {
    for (const [ticket, { server }] of this.#questions) if (server === id) this.#questions.delete(ticket);
  }

  /** Tickets of reads whose fate nobody has been told. */
  get unanswered(): number[] {
    return [...this.#questions.keys()];
  }

  /** Within every step, before anything that it decided is carried out; see `Witness`. */
  witness(server: Server, _events: readonly RaftEvent[], effects: Effects): void {
    const { raft, config, role } = server;
    this.#processes.set(config.incarnation, server);
    if (role === "leader") {
      const other = this.leaders.get(raft.term) ?? config.incarnation;
      assert.is(
        config.incarnation,
        other,
        `Election Safety: ${other} and ${config.incarnation} lead term ${raft.term}`,
      );
      this.leaders.set(raft.term, config.incarnation);
    }
    assert.ok(raft.term >= raft.log.lastTerm, `${server.id} holds an entry of a term that it has not come to yet`);
    this.#quorumsMeet(server);
    this.#committedIsDurable(server, effects.commitIndex);
    this.#newest.set(config.incarnation, raft.configurations.at(-1)?.index ?? 0);
  }

  /** One configuration leads to the next only where neither could decide without the other (thesis, 4.1 and 4.3). */
  #quorumsMeet({ raft }: Server): void {
    raft.configurations.forEach(({ configuration }, i) => {
      const before = raft.configurations[i - 1]?.configuration;
      if (before === undefined || before.members.length === 0) return;
      const pair = JSON.stringify([before, configuration]);
      if (this.#met.has(pair)) return;
      this.#met.add(pair);
      assert.ok(alwaysMeet(before, configuration), `quorums that do not meet: ${pair}`);
    });
  }

  #committedIsDurable(server: Server, commitIndex: number): void {
    const { raft, config } = server;
    if (commitIndex <= this.committed.length) return;
    // A step may commit under one configuration, and bring in the next one.
    const since = Math.min(this.#newest.get(config.incarnation) ?? Infinity, raft.configurations.at(-1)?.index ?? 0);
    const inForce = raft.configurations.filter(({ index }) => index >= since);
    for (let index = this.committed.length + 1; index <= commitIndex; index++) {
      const term = raft.log.termAt(logIndex(index)) ?? -1;
      const isEnough = inForce.some(({ configuration }) =>
        haveMajorities(configuration, (id) => this.#holds(configuration, id, index, term)),
      );
      assert.ok(isEnough, `${server.id} commits entry ${index} too early`);
      this.committed.push({ term, committedIn: raft.term });
      this.configurations.push(...raft.configurations.filter((configured) => configured.index === index));
    }
  }

  /**
   * Has this member, and not one that only has its name, the entry on its disk? It may have lost that disk since it said
   * so: then it has no say in elections any more.
   */
  #holds({ members }: Configuration, id: NodeId, index: number, term: number): boolean {
    const member = members.find((one) => one.id === id);
    const server = member === undefined ? undefined : this.#processes.get(member.incarnation ?? incarnationOf(id, 1));
    if (server === undefined) return false;
    const { base, entries } = server.durable;
    return index <= base.index || entries[index - base.index - 1]?.term === term;
  }

  /** After every step. */
  check(): void {
    for (const server of this.#cluster.servers) this.#snapshotsAreRight(server);
    for (const server of this.#cluster.running) {
      this.#oneVoteInATerm(server);
      this.#leaderIsComplete(server);
      this.#machinesAgree(server);
      this.#membersAreRight(server);
      this.#readsAreFresh(server);
    }
    this.#logsMatch();
  }

  /** As the others hear it, across crashes. */
  #oneVoteInATerm({ config, outbox }: Server): void {
    for (const { to, message } of outbox) {
      if (message.type !== "vote-response" || message.preVote || message.refusal !== null) continue;
      const key = `${config.incarnation} in term ${message.term}`;
      const other = this.#votes.get(key) ?? to;
      assert.is(to, other, `${key} votes for ${other} and for ${to}`);
      this.#votes.set(key, to);
    }
  }

  #leaderIsComplete({ id, role, raft }: Server): void {
    if (role !== "leader") return;
    const { log, term } = raft;
    this.committed.forEach((entry, i) => {
      const index = logIndex(i + 1);
      const complete = entry.committedIn > term || index < log.base.index || log.termAt(index) === entry.term;
      assert.ok(complete, `Leader Completeness: ${id} leads term ${term} without the committed entry ${index}`);
    });
  }

  #machinesAgree({ id, applied }: Server): void {
    const seen = this.#appliedSeen.get(applied) ?? 0;
    for (const entry of applied.slice(seen)) {
      const identity = `entry ${entry.index} of term ${entry.term}, "${textOf(entry)}"`;
      this.#applied[entry.index] ??= identity;
      assert.is(identity, this.#applied[entry.index], `State Machine Safety: ${id} applies another entry`);
    }
    this.#appliedSeen.set(applied, applied.length);
  }

  #configurationAt(index: number): Configuration | undefined {
    return this.configurations.findLast((one) => one.index <= index)?.configuration;
  }

  /** A snapshot stands for committed entries, and says who the members were (paper, section 7; thesis, 5.1). */
  #snapshotsAreRight({ id, disk }: Server): void {
    for (const { index, term, configuration } of disk.snapshots) {
      if (index === 0) continue;
      assert.is(term, this.committed[index - 1]?.term, `${id} has a snapshot of entry ${index}`);
      this.#isRight(id, index, configuration);
    }
  }

  #membersAreRight({ id, raft }: Server): void {
    const { commitIndex, snapshot } = raft;
    if (commitIndex >= snapshot.index) this.#isRight(id, commitIndex, configurationAt(raft, commitIndex));
  }

  #isRight(id: NodeId, index: number, configuration: Configuration): void {
    // A server that has joined knows nobody before the first entry that tells it who the members are.
    if (configuration.members.length === 0) return;
    assert.equal(configuration, this.#configurationAt(index) ?? NOBODY, `${id} on the members at entry ${index}`);
  }

  #readsAreFresh({ id, reads, role }: Server): void {
    for (const outcome of reads.splice(0)) {
      const question = this.#questions.get(outcome.ticket);
      assert.is(question?.server, id, `${id} answers read ${outcome.ticket}, which it has not been asked`);
      this.#questions.delete(outcome.ticket);
      if (!("index" in outcome)) continue;
      this.readsServed++;
      if (role === "follower") this.readsServedByFollowers++;
      const least = question?.least ?? 0;
      assert.ok(outcome.index >= least, `${id} serves a read at ${outcome.index} that has to see entry ${least}`);
    }
  }

  #logsMatch(): void {
    for (const one of this.#cluster.running) {
      for (const other of this.#cluster.running) {
        if (one.id >= other.id) continue;
        const first = Math.max(one.raft.log.base.index, other.raft.log.base.index);
        const sameAt = (index: number): boolean =>
          one.raft.log.termAt(logIndex(index)) === other.raft.log.termAt(logIndex(index));
        let index = Math.min(one.raft.log.lastIndex, other.raft.log.lastIndex);
        while (index >= first && !sameAt(index)) index--;
        for (; index >= first; index--) {
          assert.ok(sameAt(index), `Log Matching: ${one.id} and ${other.id} differ at ${index}, and agree later`);
        }
      }
    }
  }
}
