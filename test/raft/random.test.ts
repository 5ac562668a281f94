/**
 * Everything that can go wrong, in random order, and after every step the properties of Figure 3 of the paper.
 *
 *     SEED=17 node test/raft/random.test.ts     one run again
 *     RUNS=5000 node test/raft/random.test.ts   more runs
 */

import * as process from "node:process";
import * as assert from "uvu/assert";
import { type Entry, logIndex, type NodeId } from "../../src/raft/index.ts";
import { majorityOf } from "../../src/raft/quorum.ts";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";
import { textOf } from "./messages.ts";
import { commandsOf, type Server, type Settings } from "./server.ts";

const test = suite("raft: random");

const STEPS = 500;
const { SEED, RUNS = "300" } = process.env;
const seeds = SEED === undefined ? Array.from({ length: Number(RUNS) }, (_, i) => i + 1) : [Number(SEED)];

/** Small bounds, so that every one of them is reached. */
const SETTINGS: Settings = { appendBytesMax: 120, appendsInFlightMax: 2, logCacheBytesMax: 150 };

/** Numbers below a bound, the same for the same seed (mulberry32). */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Watches a cluster from outside, and remembers what must stay true. */
class Checker {
  /** What was committed first at each index, and in which term. */
  readonly committed: { readonly term: number; readonly committedIn: number }[] = [];
  readonly leaders = new Map<number, NodeId>();
  readsServed = 0;
  readonly #cluster: Cluster;
  readonly #votes = new Map<string, NodeId>();
  readonly #applied: string[] = [];
  readonly #appliedSeen = new WeakMap<readonly Entry[], number>();
  /** What was committed when a read was asked for. */
  readonly #reads = new Map<number, number>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  readIsAsked(ticket: number): void {
    this.#reads.set(ticket, this.committed.length);
  }

  /** After every step. */
  check(): void {
    for (const server of this.#cluster.running) {
      this.#oneLeaderInATerm(server);
      this.#oneVoteInATerm(server);
      this.#committedIsDurable(server);
      this.#leaderIsComplete(server);
      this.#machinesAgree(server);
      this.#readsAreFresh(server);
    }
    this.#logsMatch();
  }

  #oneLeaderInATerm({ id, role, raft }: Server): void {
    if (role !== "leader") return;
    const other = this.leaders.get(raft.term) ?? id;
    assert.is(id, other, `Election Safety: ${other} and ${id} both lead term ${raft.term}`);
    this.leaders.set(raft.term, id);
  }

  /** As the others hear it, across crashes. */
  #oneVoteInATerm({ id, outbox }: Server): void {
    for (const { to, message } of outbox) {
      if (message.type !== "vote-response" || message.preVote || message.refusal !== null) continue;
      const key = `${id} in term ${message.term}`;
      const other = this.#votes.get(key) ?? to;
      assert.is(to, other, `${key} votes for ${other} and for ${to}`);
      this.#votes.set(key, to);
    }
  }

  #committedIsDurable({ raft }: Server): void {
    for (let index = this.committed.length + 1; index <= raft.commitIndex; index++) {
      const term = raft.log.termAt(logIndex(index)) ?? -1;
      const holders = this.#cluster.servers.filter(({ disk }) => disk.entries[index - 1]?.term === term);
      assert.ok(holders.length >= majorityOf(this.#cluster.ids.length), `entry ${index} is committed too early`);
      this.committed.push({ term, committedIn: raft.term });
    }
  }

  #leaderIsComplete({ id, role, raft }: Server): void {
    if (role !== "leader") return;
    this.committed.forEach(({ term, committedIn }, i) => {
      const complete = committedIn > raft.term || raft.log.termAt(logIndex(i + 1)) === term;
      assert.ok(complete, `Leader Completeness: ${id} leads term ${raft.term} without the committed entry ${i + 1}`);
    });
  }

  #machinesAgree({ id, applied }: Server): void {
    const seen = this.#appliedSeen.get(applied) ?? 0;
    applied.slice(seen).forEach((entry, i) => {
      const identity = `entry ${entry.index} of term ${entry.term}, "${textOf(entry)}"`;
      this.#applied[seen + i] ??= identity;
      assert.is(identity, this.#applied[seen + i], `State Machine Safety: ${id} applies another entry`);
    });
    this.#appliedSeen.set(applied, applied.length);
  }

  #readsAreFresh({ id, reads }: Server): void {
    for (const outcome of reads.splice(0)) {
      if (!("index" in outcome)) continue;
      this.readsServed++;
      const least = this.#reads.get(outcome.ticket) ?? 0;
      assert.ok(outcome.index >= least, `${id} serves a read at ${outcome.index} that has to see entry ${least}`);
    }
  }

  #logsMatch(): void {
    for (const one of this.#cluster.running) {
      for (const other of this.#cluster.running) {
        if (one.id >= other.id) continue;
        const sameAt = (index: number): boolean =>
          one.raft.log.termAt(logIndex(index)) === other.raft.log.termAt(logIndex(index));
        let index = Math.min(one.raft.log.lastIndex, other.raft.log.lastIndex);
        while (index > 0 && !sameAt(index)) index--;
        for (; index > 0; index--) {
          assert.ok(sameAt(index), `Log Matching: ${one.id} and ${other.id} differ at ${index}, and agree later`);
        }
      }
    }
  }
}

interface Told {
  readonly elections: number;
  readonly committed: number;
  readonly readsServed: number;
  readonly fetches: number;
}

/** One life of a cluster. Throws at the first step after which something is wrong. */
function live(seed: number): Told {
  const below = randomFrom(seed);
  const ids = ["a", "b", "c", "d", "e"].slice(0, seed % 2 === 0 ? 3 : 5);
  const cluster = new Cluster(ids, {}, SETTINGS, seed);
  const checker = new Checker(cluster);
  const pick = <T>(list: readonly T[]): T | undefined => list[below(list.length || 1)];
  const anyId = (): NodeId => pick(ids) ?? "a";
  const twoIds = (): [NodeId, NodeId] => {
    const one = below(ids.length);
    return [ids[one] ?? "a", ids[(one + 1 + below(ids.length - 1)) % ids.length] ?? "b"];
  };
  let ticket = 0;
  let fetches = 0;

  /** What may happen, and how often. */
  const happenings: [weight: number, happen: () => void][] = [
    [90, () => deliver((from, to) => cluster.deliver(from, to))],
    [3, () => deliver((from, to) => cluster.deliver(from, to, below(cluster.waiting(from, to).length)))],
    [3, () => deliver((from, to) => cluster.drop(from, to))],
    [3, () => deliver((from, to) => repeat(from, to))],
    [10, () => wake(pick(cluster.running))],
    [2, () => wake(earliest())],
    [15, () => pick(cluster.running)?.fsync(1)],
    [4, () => pick(cluster.running)?.answerFetch()],
    [8, () => propose(cluster.leader ?? pick(cluster.running))],
    [2, () => propose(pick(cluster.running))],
    [4, () => read(pick(cluster.running.filter(({ role }) => role === "leader")))],
    [1, () => cluster.crash(anyId())],
    [4, () => restart(pick(cluster.servers.filter(({ isRunning }) => !isRunning)))],
    [1, () => cluster.cut(...twoIds())],
    [2, () => cluster.heal(...twoIds())],
    [1, () => cluster.isolate(anyId())],
    [2, () => cluster.rejoin(anyId())],
    [1, () => cluster.leader?.step({ type: "transfer", to: null })],
    [2, () => slowDown(cluster.at(anyId()))],
  ];

  function deliver(how: (from: NodeId, to: NodeId) => void): void {
    const link = pick(cluster.busyLinks);
    if (link !== undefined) how(...link);
  }
  function repeat(from: NodeId, to: NodeId): void {
    const message = cluster.waiting(from, to)[0];
    if (message !== undefined && cluster.at(to).isRunning) cluster.at(to).receive(from, message);
  }
  function earliest(): Server | undefined {
    return [...cluster.running].sort((a, b) => a.deadlineMs - b.deadlineMs)[0];
  }
  function wake(server: Server | undefined): void {
    if (below(3) === 0) cluster.clock.nowMs += below(40);
    else server?.waitForDeadline();
  }
  function propose(server: Server | undefined): void {
    server?.propose(`command ${++ticket}`, ticket);
  }
  function read(server: Server | undefined): void {
    if (server === undefined) return;
    checker.readIsAsked(++ticket);
    server.read(ticket);
  }
  function restart(server: Server | undefined): void {
    if (server !== undefined) cluster.restart(server.id);
  }
  function slowDown(server: Server): void {
    server.diskIsSlow = below(3) > 0;
    server.fetchesAreSlow = below(3) > 0;
  }

  const weights = happenings.reduce((sum, [weight]) => sum + weight, 0);
  for (let i = 0; i < STEPS; i++) {
    let at = below(weights);
    const chosen = happenings.find(([weight]) => {
      at -= weight;
      return at < 0;
    });
    chosen?.[1]();
    checker.check();
    fetches += cluster.running.reduce((sum, { fetched }) => sum + fetched.length, 0);
  }
  recover(cluster, checker);
  const { leaders, committed, readsServed } = checker;
  return { elections: leaders.size, committed: committed.length, readsServed, fetches };
}

/** When all faults are over there is one leader, and everybody comes to hold and apply the same. */
function recover(cluster: Cluster, checker: Checker): void {
  for (const server of cluster.servers) {
    server.diskIsSlow = false;
    server.fetchesAreSlow = false;
    if (!server.isRunning) cluster.restart(server.id);
    server.fsync();
    while (server.fetched.length > 0) server.answerFetch();
    for (const other of cluster.ids) cluster.heal(server.id, other);
    cluster.rejoin(server.id);
  }
  cluster.advance(2000);
  checker.check();
  const { leader } = cluster;
  assert.ok(leader !== undefined, "there is a leader when all faults are over");
  leader?.propose("the end");
  cluster.advance(500);
  checker.check();
  for (const server of cluster.servers) {
    assert.equal(commandsOf(server).at(-1), "the end", `${server.id} catches up when all faults are over`);
    assert.equal(server.disk.entries, leader?.disk.entries, server.id);
  }
}

test(`Figure 3 holds in ${seeds.length} runs of ${STEPS} random steps, and all recover when the faults are over`, () => {
  const told: Told[] = [];
  for (const seed of seeds) {
    try {
      told.push(live(seed));
    } catch (error) {
      console.log(`Reproduce with: SEED=${seed} node test/raft/random.test.ts`);
      throw error;
    }
  }
  if (SEED !== undefined) return;
  // The runs are not idle ones.
  const average = (of: keyof Told): number => told.reduce((sum, run) => sum + run[of], 0) / told.length;
  const averages = { elections: average("elections"), committed: average("committed") };
  assert.ok(averages.elections >= 2 && averages.committed >= 5, JSON.stringify(averages));
  assert.ok(told.some(({ readsServed }) => readsServed > 0));
  assert.ok(told.some(({ fetches }) => fetches > 0));
});

test.run();
