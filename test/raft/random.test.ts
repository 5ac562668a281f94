/**
 * Everything that can go wrong, in random order, and after every step what must stay true: see checker.ts.
 *
 *     SEED=17 node test/raft/random.test.ts     one run again
 *     RUNS=5000 node test/raft/random.test.ts   more runs
 */

import * as process from "node:process";
import * as assert from "uvu/assert";
import { changed, left, promoted } from "../../src/raft/configuration.ts";
import {
  type Configuration,
  compactableThrough,
  configurationOf,
  type Member,
  memberNamed,
  type NodeId,
  type RaftEvent,
  type Wish,
} from "../../src/raft/index.ts";
import { suite } from "../support/suite.ts";
import { Checker } from "./checker.ts";
import { Cluster, incarnationOf } from "./cluster.ts";
import { haveMajorities } from "./majorities.ts";
import { commandsOf, durableConfiguration, type Server, type Settings, urlOf } from "./server.ts";

const test = suite("raft: random");

const STEPS = 1000;
const { SEED, RUNS = "300" } = process.env;
const seeds = SEED === undefined ? Array.from({ length: Number(RUNS) }, (_, i) => i + 1) : [Number(SEED)];

/** So many runs have everything happen to one of them. */
const RUNS_THAT_TELL_MIN = 200;

/** Small bounds, so that every one of them is reached. */
const SETTINGS: Settings = { appendBytesMax: 700, appendsInFlightMax: 2, logCacheBytesMax: 900 };
const CLOCK_DRIFT_MAX = 0.2;

/** Who a cluster may start with, and who may join it. */
const FOUNDERS = ["a", "b", "c", "d", "e"];
const NEWCOMERS = ["v", "w", "x", "y"];
const WISHES = ["add", "remove", "promote", "demote", "replace", "move", "prefer"] as const;

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

interface Told {
  readonly elections: number;
  readonly committed: number;
  readonly changes: number;
  readonly readsServed: number;
  readonly readsServedByFollowers: number;
  readonly readsServedUnderLease: number;
  readonly fetches: number;
  readonly snapshotsInstalled: number;
  readonly disksLost: number;
}

/** What may happen, and how often. */
type Happening = readonly [weight: number, happen: () => void];

/** One life of a cluster. */
class Life {
  readonly cluster: Cluster;
  readonly checker: Checker;
  ticket = 0;
  fetches = 0;
  disksLost = 0;
  readsServedUnderLease = 0;
  readonly #below: (bound: number) => number;
  readonly #usesLeases: boolean;
  readonly #happenings: readonly Happening[];

  constructor(seed: number) {
    const below = randomFrom(seed);
    this.#below = below;
    const ids = FOUNDERS.slice(0, [5, 3, 3, 1][seed % 4]);
    this.#usesLeases = seed % 3 !== 0;
    let checker: Checker | null = null;
    this.cluster = new Cluster(
      ids,
      {},
      { ...SETTINGS, clockDriftMax: this.#usesLeases ? CLOCK_DRIFT_MAX : null },
      seed,
      (...step) => checker?.witness(...step),
      () => this.#clockRate(),
    );
    this.checker = checker = new Checker(this.cluster);
    const { cluster } = this;
    this.#happenings = this.#dealTroubles([
      [120, () => this.#goOn()],
      [10, () => this.#deliverAll(this.#anyRunning())],
      [3, () => this.#onBusyLink((from, to) => cluster.deliver(from, to, below(cluster.waiting(from, to).length)))],
      [3, () => this.#onBusyLink((from, to) => cluster.drop(from, to))],
      [3, () => this.#onBusyLink((from, to) => cluster.repeat(from, to))],
      [10, () => this.#inOneBatch(this.#anyRunning())],
      [2, () => this.#wake(this.#anyRunning())],
      [5, () => this.#wake(this.#earliest())],
      [4, () => this.#calmDown()],
      [15, () => this.#anyRunning()?.fsync(1)],
      [4, () => this.#anyRunning()?.answerFetch()],
      [8, () => this.#anyRunning()?.apply()],
      [8, () => this.#feed(this.#leader, this.#proposal())],
      [2, () => this.#feed(this.#anyRunning(), this.#proposal())],
      [4, () => this.#read(this.#leader)],
      [4, () => this.#read(this.#anyRunning())],
      [2, () => this.#crash(this.#anyRunning())],
      [8, () => this.#restart(this.#pick(cluster.servers.filter(({ isRunning }) => !isRunning)))],
      [2, () => cluster.cut(...this.#twoIds())],
      [5, () => cluster.heal(...this.#twoIds())],
      [2, () => cluster.isolate(this.#anyId())],
      [1, () => this.#cutOff(this.#leader)],
      [1, () => this.#succeed(this.#leader)],
      [6, () => cluster.rejoin(this.#anyId())],
      [2, () => this.#leader?.step({ type: "transfer", to: null })],
      [2, () => this.#slowDown(cluster.at(this.#anyId()))],
      [6, () => this.#anyRunning()?.takeSnapshot()],
      [6, () => this.#compact(this.#anyRunning())],
      [12, () => this.#draw(this.#pick(cluster.ids.filter((id) => cluster.canDraw(id))))],
      [1, () => this.#loseSnapshot(this.#leader)],
      [5, () => this.#change(this.#leader)],
      [1, () => this.#join()],
      [1, () => this.#leave(this.#anyId())],
      [1, () => this.#wipe(this.#anyId())],
    ]);
  }

  /** Each life has its own troubles: some things never happen to it, and others again and again. */
  #dealTroubles(all: readonly Happening[]): Happening[] {
    return all.map(([weight, happen]) => [weight * (weight > 20 ? 1 : ([0, 1, 1, 4][this.#below(4)] ?? 1)), happen]);
  }

  run(): Told {
    const weights = this.#happenings.reduce((sum, [weight]) => sum + weight, 0);
    for (let i = 0; i < STEPS; i++) {
      let at = this.#below(weights);
      const chosen = this.#happenings.find(([weight]) => {
        at -= weight;
        return at < 0;
      });
      chosen?.[1]();
      this.checker.check();
      this.fetches += this.cluster.running.reduce((sum, { fetched }) => sum + fetched.length, 0);
    }
    this.#recover();
    const { leaders, committed, configurations, readsServed, readsServedByFollowers } = this.checker;
    const { fetches, disksLost, readsServedUnderLease } = this;
    const installed = this.cluster.servers.map(
      ({ story }) => story.filter(({ event }) => event === "snapshot-installed").length,
    );
    return {
      elections: leaders.size,
      committed: committed.length,
      changes: configurations.length - 1,
      readsServed,
      readsServedByFollowers,
      readsServedUnderLease,
      fetches,
      snapshotsInstalled: installed.reduce((sum, count) => sum + count, 0),
      disksLost,
    };
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[this.#below(list.length || 1)];
  }
  get #leader(): Server | undefined {
    return this.#pick(this.cluster.running.filter(({ role }) => role === "leader"));
  }
  #anyRunning(): Server | undefined {
    return this.#pick(this.cluster.running);
  }
  #anyId(): NodeId {
    return this.#pick(this.cluster.ids) ?? "a";
  }
  #twoIds(): [NodeId, NodeId] {
    return [this.#anyId(), this.#anyId()];
  }
  #clockRate(): number {
    return this.#usesLeases ? 1 + (CLOCK_DRIFT_MAX * this.#below(11)) / 10 : 1;
  }
  #earliest(): Server | undefined {
    return this.cluster.running.sort((a, b) => a.deadlineMs - b.deadlineMs)[0];
  }

  #onBusyLink(act: (from: NodeId, to: NodeId) => void): void {
    const link = this.#pick(this.cluster.busyLinks);
    if (link !== undefined) act(...link);
  }
  /** The next message arrives; if there is none, time passes until there is. */
  #goOn(): void {
    if (this.cluster.busyLinks.length === 0) this.#earliest()?.waitForDeadline();
    else this.#onBusyLink((from, to) => this.cluster.deliver(from, to));
  }
  /** Whatever waits for a server, and what it has to say to that, arrives. */
  #deliverAll(server: Server | undefined): void {
    if (server === undefined) return;
    for (const other of this.cluster.ids) while (this.cluster.deliver(other, server.id));
    for (const other of this.cluster.ids) while (this.cluster.deliver(server.id, other));
  }
  #wake(server: Server | undefined): void {
    if (this.#below(3) === 0) this.cluster.clock.nowMs += this.#below(40);
    else server?.waitForDeadline();
  }
  #feed(server: Server | undefined, ...events: readonly RaftEvent[]): void {
    if (server === undefined) return;
    for (const event of events) if (event.type === "read") this.checker.readIsAsked(server, event.ticket);
    server.step(...events);
  }
  #proposal(): RaftEvent {
    const ticket = ++this.ticket;
    return { type: "propose", ticket, payload: new TextEncoder().encode(`command ${ticket}`) };
  }
  #question(): RaftEvent {
    return { type: "read", ticket: ++this.ticket, lease: this.#below(2) === 0 };
  }
  #read(server: Server | undefined): void {
    const question = this.#question();
    this.#feed(server, question);
    const isServed = server?.reads.some((outcome) => "index" in outcome && outcome.ticket === this.ticket) ?? false;
    if (isServed && (server?.voters.length ?? 0) > 1) this.readsServedUnderLease++;
  }

  /** Several messages arrive at once, and callers come in between. */
  #inOneBatch(server: Server | undefined): void {
    if (server === undefined) return;
    const events: RaftEvent[] = [];
    for (let i = this.#below(6); i >= 0; i--) {
      const from = this.#anyId();
      const what = this.#below(8);
      if (what === 0) events.push(this.#proposal());
      else if (what === 1) events.push(this.#question());
      else if (what === 2) events.push(...this.#anyChange(server));
      else {
        const message = from === server.id ? null : this.cluster.take(from, server.id);
        if (message !== null) events.push({ type: "message", from, message });
      }
    }
    if (events.length > 0) this.#feed(server, ...events);
  }

  /** A leader loses all its links, and need not notice at once that it can't lead any more. */
  #cutOff(server: Server | undefined): void {
    for (const other of this.cluster.ids)
      if (server !== undefined && other !== server.id) this.cluster.cut(server.id, other);
  }
  /** Whoever can replaces a leader that is cut off, and takes a command; then the old one is asked. */
  #succeed(old: Server | undefined): void {
    this.#cutOff(old);
    const others = this.cluster.ids.filter((id) => id !== old?.id);
    for (let i = this.#below(6); i >= 0; i--) {
      this.#pick(
        this.cluster.running.filter((server) => server !== old && server.role !== "leader"),
      )?.waitForDeadline();
      this.cluster.settle(others);
    }
    this.#feed(this.#leader, this.#proposal());
    this.cluster.settle(others);
    this.#read(old);
  }
  #crash(server: Server | undefined): void {
    if (server === undefined) return;
    this.checker.dies(server.id);
    this.cluster.crash(server.id);
  }
  #restart(server: Server | undefined): void {
    if (server !== undefined) this.cluster.restart(server.id);
  }
  #slowDown(server: Server): void {
    server.diskIsSlow = this.#below(3) > 0;
    server.fetchesAreSlow = this.#below(3) > 0;
    server.machineIsSlow = this.#below(3) > 0;
  }

  #compact(server: Server | undefined): void {
    if (server === undefined) return;
    // A driver that runs out of room does not wait for every follower.
    const { snapshot, appliedIndex } = server.raft;
    const isShort = this.#below(2) === 0;
    server.compact(isShort ? Math.min(snapshot.index, appliedIndex) : compactableThrough(server.raft));
  }
  #draw(id: NodeId | undefined): void {
    if (id !== undefined) this.cluster.draw(id);
  }
  #loseSnapshot(server: Server | undefined): void {
    const snapshot = this.#pick(server?.disk.snapshots ?? []);
    if (snapshot !== undefined) server?.step({ type: "snapshot-lost", index: snapshot.index });
  }

  #change(server: Server | undefined): void {
    if (server !== undefined) this.#feed(server, ...this.#anyChange(server));
  }

  /** Any change that leaves enough servers: those that have lost their disks have no say any more. */
  #anyChange(server: Server): RaftEvent[] {
    const before = configurationOf(server.raft);
    const wishes = Array.from({ length: 1 + this.#below(2) }, () => this.#wish(before)).flat();
    if (wishes.length === 0) return [];
    const after = changed(before, wishes);
    if (!("reason" in after) && !this.#isViable(after)) return [];
    return [{ type: "change", ticket: ++this.ticket, wishes }];
  }

  #wish({ members }: Configuration): Wish[] {
    const member = this.#pick(members);
    const newcomer = this.#pick(this.cluster.servers.filter((one) => !members.some(({ id }) => id === one.id)));
    const type = WISHES[this.#below(WISHES.length)];
    if (type === undefined || member === undefined) return [];
    const { id } = member;
    if (type === "add" || type === "replace") {
      if (newcomer === undefined) return [];
      const place = { url: urlOf(newcomer.id), incarnation: newcomer.config.incarnation };
      const add: Wish = { type: "add", id: newcomer.id, votes: this.#below(3) > 0, priority: 0, ...place };
      return [type === "add" ? add : { type, id, by: newcomer.id, ...place }];
    }
    if (type === "move") return this.#moveOf(member);
    return [type === "prefer" ? { type, id, priority: this.#below(3) } : { type, id }];
  }

  /** A driver notes who it has met first before it notes that the disk is another one. */
  #moveOf({ id, incarnation }: Member): Wish[] {
    const server = this.cluster.servers.find((one) => one.id === id);
    if (server === undefined) return [{ type: "remove", id }];
    const known = incarnation === null ? incarnationOf(id, 1) : server.config.incarnation;
    return [{ type: "move", id, url: urlOf(id), incarnation: known }];
  }

  #join(): void {
    const id = this.#pick(NEWCOMERS.filter((newcomer) => !this.cluster.ids.includes(newcomer)));
    if (id !== undefined) this.cluster.join(id, this.#clockRate());
  }

  /** One that is no member any more, for anybody. */
  #leave(id: NodeId): void {
    if (this.#inForce().some((configuration) => memberNamed(configuration, id) !== undefined)) return;
    this.checker.dies(id);
    this.cluster.leave(id);
  }

  /** A disk is lost, if the others can do without it. */
  #wipe(id: NodeId): void {
    const suffices = this.#inForce().every((configuration) => this.#isViable(configuration, id));
    if (!suffices) return;
    this.checker.dies(id);
    this.cluster.wipe(id);
    this.disksLost++;
  }

  /** Who the members are, in the eyes of everybody. */
  #inForce(): Configuration[] {
    return this.cluster.servers
      .map((server) => (server.isRunning ? configurationOf(server.raft) : durableConfiguration(server)))
      .filter(({ members }) => members.length > 0);
  }

  /** Are there enough servers for this configuration, and for those that follow from it? */
  #isViable(configuration: Configuration, lost: NodeId | null = null): boolean {
    const after = left(configuration);
    return [configuration, after, promoted(after, () => true), left(promoted(after, () => true))].every((one) =>
      haveMajorities(one, (id) => {
        const member = memberNamed(one, id);
        return id !== lost && member !== undefined && this.cluster.isAlive(member);
      }),
    );
  }

  /** All faults are over, for now; but for the disks that are lost. */
  #calmDown(): void {
    const { cluster } = this;
    for (const server of cluster.servers) {
      server.diskIsSlow = false;
      server.fetchesAreSlow = false;
      server.machineIsSlow = false;
      if (!server.isRunning) cluster.restart(server.id);
      server.fsync();
      server.apply();
      while (server.fetched.length > 0) server.answerFetch();
      for (const other of cluster.ids) cluster.heal(server.id, other);
      cluster.rejoin(server.id);
    }
  }

  /** When all faults are over there is one leader, and all members come to hold and apply the same. */
  #recover(): void {
    const { cluster, checker } = this;
    this.#calmDown();
    cluster.advance(3000);
    checker.check();
    this.#replaceDisks();
    const { leader } = cluster;
    if (leader === undefined) throw new Error("there is no leader when all faults are over");
    this.#feed(leader, { type: "propose", ticket: 0, payload: new TextEncoder().encode("the end") });
    cluster.advance(1000);
    checker.check();
    for (const { id } of configurationOf(leader.raft).members.filter(({ id }) => cluster.ids.includes(id))) {
      const member = cluster.at(id);
      assert.equal(commandsOf(member).at(-1), "the end", `${id} catches up when all faults are over`);
      assert.is(member.raft.log.lastIndex, leader.raft.log.lastIndex, id);
      assert.is(member.durable.entries.at(-1)?.term, leader.raft.log.lastTerm, id);
    }
    assert.equal(checker.unanswered, [], "every read is answered in the end");
  }

  /** The operator has the machines that lost their disks taken in again. */
  #replaceDisks(): void {
    for (let round = 0; round < 30; round++) {
      const { leader } = this.cluster;
      if (leader === undefined) return;
      const lost = configurationOf(leader.raft).members.find((member) => !this.cluster.isAlive(member));
      if (lost === undefined) return;
      leader.change(...this.#moveOf(lost));
      this.cluster.advance(300);
      this.checker.check();
    }
  }
}

test(`all holds in ${seeds.length} runs of ${STEPS} random steps, and all recover when the faults are over`, () => {
  const told: Told[] = [];
  for (const seed of seeds) {
    try {
      told.push(new Life(seed).run());
    } catch (error) {
      console.log(`Reproduce with: SEED=${seed} node test/raft/random.test.ts`);
      throw error;
    }
  }
  const average = (of: keyof Told): number => told.reduce((sum, run) => sum + run[of], 0) / told.length;
  if (SEED !== undefined || process.env["TELL"] !== undefined) {
    const keys = Object.keys(told[0] ?? {}) as (keyof Told)[];
    console.log(Object.fromEntries(keys.map((key) => [key, average(key)])));
  }
  if (seeds.length < RUNS_THAT_TELL_MIN) return;
  // The runs are not idle ones.
  assert.ok(average("elections") >= 2 && average("committed") >= 5 && average("changes") >= 1);
  for (const key of [
    "readsServed",
    "readsServedByFollowers",
    "readsServedUnderLease",
    "fetches",
    "snapshotsInstalled",
    "disksLost",
  ] as const) {
    assert.ok(
      told.some((run) => run[key] > 0),
      key,
    );
  }
});

test.run();
