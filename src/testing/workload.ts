/** What clients do in a simulated world, and what is made of the answers that they got. */

import type { CallOptions, Client, ReadOptions } from "../client/index.ts";
import type { Clock } from "../environment.ts";
import { ConclaveError, type ErrorCode, hasCode } from "../errors.ts";
import type { StateMachine } from "../machine/index.ts";
import { KeyValueMachine } from "../machine/index.ts";
import type { Dice } from "./dice.ts";
import { type Call, History, type Moment } from "./history.ts";
import type { Report } from "./invariants.ts";
import { type KeyValueOperation, type KeyValueResult, keyValueModel, sightsOf, storeSpan } from "./key-value-model.ts";
import { check } from "./linearizability.ts";
import { checkIssueOrder, checkRealTimeOrder, type Disorder, type Span } from "./order.ts";
import { Probes } from "./probes.ts";
import { UNEVEN } from "./process.ts";
import { RecordedClient } from "./recorded-client.ts";
import { drawTransaction, PAIR } from "./transactions.ts";
import { Watchers } from "./watchers.ts";

/**
 * Who works, and where.
 *
 * @example
 * ```ts
 * import type { Worker } from "conclave/testing";
 *
 * async function deposit({ client, dice }: Worker): Promise<void> {
 *   await client.increment(`accounts/${dice.pick(["ann", "bob"])}`, 1 + dice.below(10));
 * }
 * ```
 */
export interface Worker {
  readonly client: Client;
  /** The client's name, different for each that ever was. */
  readonly name: string;
  /** This worker's own source of chance. */
  readonly dice: Dice;
  /** The names of the nodes. */
  readonly nodes: readonly string[];
  /** The process that a node runs in now: another one after each start. */
  lifeOf(node: string): string;
  /** The client's process has ended. */
  isGone(): boolean;
  /** The clock of the client's process, for what is done there. */
  readonly clock: Clock;
  /** By how much, as a share, that clock may run slower than the one of a node. */
  readonly clockLag: number;
  /** For how long the client's process was held up so far. */
  stalledMs(): number;
  /** Calls `act` before each thing that happens in the client's process: in a turn of its own, as it were. */
  eachTurn(act: () => void): void;
}

/**
 * Clients of one kind.
 *
 * @example
 * ```ts
 * import { type Crew, keyValueWorkload, simulate } from "conclave/testing";
 *
 * const readers: Crew = {
 *   name: "reader",
 *   clients: 2,
 *   lines: 1,
 *   work: ({ client }) => client.get("a").then(() => {}, () => {}), // Many calls fail in such a world.
 * };
 * const workload = (nowMs: () => number) => ({ ...keyValueWorkload(nowMs), crews: [readers] });
 * console.log((await simulate({ seed: 42, events: 500, workload })).breach); // null
 * ```
 */
export interface Crew {
  /** What their names begin with. */
  readonly name: string;
  /** How many there are at a time. */
  readonly clients: number;
  /** How many pieces of work each of them has under way. */
  readonly lines: number;
  /** By how much, as a share, the clocks of most of them may run slower than those of the nodes; any by default. */
  readonly clockLagMax?: number;
  /** As `Workload.work`. */
  work(worker: Worker): Promise<void>;
}

/**
 * What is done with a state machine, and how the answers are judged.
 *
 * @example
 * ```ts
 * import { KeyValueMachine } from "conclave";
 * import { simulate, type Workload } from "conclave/testing";
 *
 * class Counting implements Workload {
 *   #added = 0;
 *   machine = (): KeyValueMachine => new KeyValueMachine();
 *   work: Workload["work"] = async ({ client }) => {
 *     await client.increment("sum").then(() => this.#added++, () => {}); // Many calls fail in such a world.
 *   };
 *   lookBack: Workload["lookBack"] = async ({ client }) => {
 *     const sum = await client.counter("sum").get();
 *     if (sum < this.#added) throw new Error(`of ${this.#added} there are ${sum} left`);
 *   };
 *   judge = (): void => {};
 * }
 * console.log((await simulate({ seed: 42, events: 500, workload: () => new Counting() })).breach); // null
 * ```
 */
export interface Workload {
  /** A new state machine, for each start of each node. */
  machine(): StateMachine;
  /** The same as an older program had it, if a cluster may begin with that and be updated node by node. */
  older?(): StateMachine;
  /** One piece of work, called again and again. It catches the errors that it expects; any other ends the run. */
  work(worker: Worker): Promise<void>;
  /** Who else is at work. */
  readonly crews?: readonly Crew[];
  /** The names of clients for whom it would be hard now to be held up, or slow. */
  delicate?(): readonly string[];
  /** One last look at everything, once all is well again: what it throws is a breach. */
  lookBack(worker: Worker): Promise<void>;
  /** Reports what the answers prove to be broken. Not asked in a parted world, where some of them may be wrong. */
  judge(report: Report): void;
}

/** Something was granted to a client; or its time ran out before it was given up; or a timer of a machine ran out. */
export type Counted = "grants" | "losses" | "timersRunOut";

/**
 * What a workload has around it.
 *
 * @example
 * ```ts
 * import { keyValueWorkload, type Scene, simulate } from "conclave/testing";
 *
 * const workload = (nowMs: () => number, { later, report }: Scene) => {
 *   later(600_000, () => report("workload", "ten minutes have passed, and it still goes on"));
 *   return keyValueWorkload(nowMs);
 * };
 * console.log((await simulate({ seed: 42, events: 500, workload })).breach); // null
 * ```
 */
export interface Scene {
  /** Ends the run: for what is found broken before it has come to rest. */
  readonly report: Report;
  /** Calls `act` later, whatever becomes of processes: for what is outside all of them. */
  later(delayMs: number, act: () => void): void;
  /** How fast the clock of a node may run; 1 is right. */
  readonly fastestClock: number;
  /** The nodes begin with an older program, if there is one. */
  readonly isUpdated: boolean;
  /** Others are at work beside those of the key-value store. */
  readonly isCrowded: boolean;
  /** Something has come about that is worth counting. */
  count(what: Counted): void;
  /** A source of chance for the workload as a whole. */
  readonly dice: Dice;
}

/**
 * A workload with its clock, and what is around it.
 *
 * @example
 * ```ts
 * import { keyValueWorkload, type NewWorkload, simulate } from "conclave/testing";
 *
 * const lateOnly: NewWorkload = (nowMs) => {
 *   const usual = keyValueWorkload(nowMs);
 *   return { ...usual, work: async (worker) => (nowMs() > 500 ? usual.work(worker) : undefined) };
 * };
 * console.log((await simulate({ seed: 42, events: 500, workload: lateOnly })).breach); // null
 * ```
 */
export type NewWorkload = (nowMs: () => number, scene: Scene) => Workload;

/** Every now and then nobody writes: a server that has missed nothing but a leader's voice has an equal log. */
const QUIET_EVERY_MS = 3_000;
const QUIET_FROM_MS = 2_000;
/** Few, so that what one client writes is what another reads. */
const KEYS = ["a", "b"];
/** So many commands and reads of single keys are of those that transactions have, too. */
const SHARE_OF_PAIR = 0.1;

/** So many reads are content with a lease, and so many ask a certain node. */
const SHARE_OF_LEASES = 0.7;
const SHARE_OF_FOLLOWERS = 0.3;
/** So many transactions are made of what was seen before. */
const SHARE_OF_SWAPS = 0.3;
/** What makes snapshots large enough to come in parts, and is never read. */
const BULKS = 6;
const BULK_REPEATS = 400;

/** With these a call may end while things go wrong, or a deadline is short. */
const EXPECTED: ReadonlySet<string> = new Set<ErrorCode>(["TIMEOUT", "UNKNOWN_OUTCOME", "CLOSED", "NO_LEADER", "BUSY"]);
/** For histories with many calls that were never answered: one in twenty thousand took millions of steps. */
const STEPS_MAX = 100_000_000;
/** Long enough for a node that is behind to catch up, or to say that it does not. */
const STALE_TIMEOUT_MS_MAX = 600;
/** So many lines of work are also a watch, of keys with one of these prefixes. */
const SHARE_OF_WATCHES = 0.4;
const PREFIXES = ["", ...KEYS, ...PAIR, "counter"];
/** Few, so that some who watch fall behind. */
const CHANGES_BOUNDS = { countMax: 20, sizeMax: 64 * 1024 };
/** How late the end of a call may come to light, apart from the client's clock being slow. */
const PUNCTUAL_MS = 1;

interface StaleRead {
  readonly key: string;
  readonly node: string;
}

/**
 * The commands and reads of the key-value store, on few keys, with deadlines long and short.
 *
 * @example
 * ```ts
 * import { keyValueWorkload, simulate } from "conclave/testing";
 *
 * console.log((await simulate({ seed: 42, events: 500, workload: keyValueWorkload })).breach); // null
 * ```
 */
export const keyValueWorkload = (nowMs: () => number): Workload => {
  const history = new History<KeyValueOperation, KeyValueResult>(nowMs);
  const staleReads = new History<StaleRead, KeyValueResult>(nowMs);
  const probes = new Probes();
  const watchers = new Watchers();
  let written = 0;
  /** The first call that did not end in time. */
  let late: string | null = null;
  /** Some lines of work are mostly reads: a write that waits for a leader would keep them from asking an old one. */
  const sharesOfReads = new WeakMap<Worker, number>();

  const readStale = async (worker: Worker, key: string, timeoutMs: number): Promise<void> => {
    const { client, name, dice, nodes } = worker;
    const node = dice.pick(nodes);
    const call = staleReads.begin(name, { key, node });
    try {
      call.end(await timed(worker, timeoutMs, () => client.get(key, { consistency: "stale", node, timeoutMs })));
    } catch (error) {
      call.nothing();
      throw error;
    }
  };

  /** A watch, and a write that it has to see. */
  const startWatch = async (worker: Worker, recorded: RecordedClient, timeoutMs: number): Promise<void> => {
    const { dice } = worker;
    const prefix = dice.pick(PREFIXES);
    const isOfNew = dice.chance(0.6);
    const owe = watchers.start(worker, prefix, isOfNew ? null : 1 + dice.below(watchers.revision + 1));
    const key = prefix === "" ? dice.pick(KEYS) : prefix;
    owe((await recorded.increment(`${key}/watched`, 1, { timeoutMs })).revision);
  };

  const timed = async <T>(worker: Worker, timeoutMs: number, call: () => Promise<T>): Promise<T> => {
    const { name, stalledMs } = worker;
    const [startedMs, stalledBeforeMs] = [nowMs(), stalledMs()];
    try {
      return await call();
    } finally {
      const tookMs = nowMs() - startedMs - (stalledMs() - stalledBeforeMs);
      if (tookMs > timeoutMs / UNEVEN.least + PUNCTUAL_MS) {
        late ??= `${name} waited for ${tookMs.toFixed(0)} ms for what had ${timeoutMs.toFixed(0)} ms`;
      }
    }
  };

  /** One that may do anything; or one that swaps what another one has seen, if that is still so. */
  const transact = async (
    worker: Worker,
    recorded: RecordedClient,
    value: string,
    options: CallOptions & { readonly timeoutMs: number },
  ): Promise<void> => {
    const { dice } = worker;
    const run = <T>(call: () => Promise<T>): Promise<T> => timed(worker, options.timeoutMs, call);
    if (dice.chance(SHARE_OF_SWAPS)) {
      const { results } = await run(() => recorded.transaction({ then: PAIR.map((key) => ({ get: key })) }, options));
      const seen = PAIR.map((key, i) => ({ key, revision: results[i]?.revision ?? 0 }));
      await run(() => recorded.transaction({ if: seen, then: PAIR.map((key) => ({ put: key, value })) }, options));
      return;
    }
    try {
      await run(() => recorded.transaction(drawTransaction(dice, value, watchers.revision), options));
    } catch (error) {
      if (!hasCode(error, "NOT_A_NUMBER")) throw error;
    }
  };

  return {
    machine: () => watchers.listenTo(probes.listenTo(new KeyValueMachine(CHANGES_BOUNDS))),
    work: async (worker) => {
      const { client, name, dice } = worker;
      const recorded = new RecordedClient(client, name, history);
      const key = dice.pick(dice.chance(SHARE_OF_PAIR) ? PAIR : KEYS);
      const value = `${++written}`;
      const options = { timeoutMs: dice.chance(0.2) ? dice.between(1, 100) : dice.between(500, 3_000) };
      const isNew = !sharesOfReads.has(worker);
      const shareOfReads = sharesOfReads.get(worker) ?? (dice.chance(0.4) ? 0.95 : 0);
      sharesOfReads.set(worker, shareOfReads);
      const inTime = <T>(call: () => Promise<T>): Promise<T> => timed(worker, options.timeoutMs, call);
      const isQuiet = nowMs() % QUIET_EVERY_MS > QUIET_FROM_MS;
      const kind = isQuiet || dice.chance(shareOfReads) ? 0 : dice.next();
      try {
        if (isNew && dice.chance(SHARE_OF_WATCHES)) {
          await inTime(() => startWatch(worker, recorded, options.timeoutMs));
        } else if (kind === 0 && dice.chance(0.5)) {
          await inTime(() => client.get(probes.next(), { ...options, ...wayToRead(worker) }));
        } else if (kind < 0.25) await inTime(() => recorded.get(key, { ...options, ...wayToRead(worker) }));
        else if (kind < 0.4) await readStale(worker, key, Math.min(options.timeoutMs, STALE_TIMEOUT_MS_MAX));
        else if (kind < 0.43)
          await inTime(() => client.put(`bulk/${dice.below(BULKS)}`, value.repeat(BULK_REPEATS), options));
        else if (kind < 0.52) await inTime(() => recorded.put(key, value, options));
        else if (kind < 0.64) await inTime(() => recorded.append(key, `,${value}`, options));
        else if (kind < 0.71) await inTime(() => recorded.increment("counter", dice.below(5) + 1, options));
        else if (kind < 0.83) {
          const entry = await inTime(() => recorded.get(key, options));
          const expected =
            dice.chance(0.5) || entry === null ? { revision: entry?.revision ?? 0 } : { value: entry.value };
          await inTime(() => recorded.cas(key, expected, value, options));
        } else if (kind < 0.95) await transact(worker, recorded, value, options);
        else await inTime(() => recorded.delete(key, options));
      } catch (error) {
        // How it ended is in the history; but nothing ends otherwise than this.
        if (!(error instanceof ConclaveError && EXPECTED.has(error.code))) throw error;
      }
    },
    lookBack: async ({ client, name }) => {
      const recorded = new RecordedClient(client, name, history);
      for (const key of [...KEYS, "counter"]) {
        await recorded.append(`last/${key}`, ".");
        await recorded.get(key);
      }
      await recorded.transaction({ then: PAIR.map((key) => ({ get: key })) });
      await watchers.caughtUp();
    },
    judge: (report) => {
      if (late !== null) report("deadline-kept", late);
      if (probes.finding !== null) report("linearizable", probes.finding);
      if (watchers.finding !== null) report("watch-exact", watchers.finding);
      const finding = check(keyValueModel, history.calls, { stepsMax: STEPS_MAX });
      // A history that is too hard to judge is no proof of anything.
      if (finding !== null) report("linearizable", `${finding.type}: ${finding.explanation}`);
      const commands = history.calls.filter(({ operation }) => operation.op !== "get");
      const issued = checkIssueOrder(commands, storeSpan);
      if (issued !== null) report("client-order", inWords(issued));
      const sights = [...history.calls, ...staleReads.calls].flatMap(sighted);
      const stale = checkRealTimeOrder(
        sights,
        ({ client, key }) => `${client}/${key}`,
        (_, { span }) => span,
      );
      if (stale !== null) report("stale-order", inWords(stale));
    },
  };
};

/** All ways but one to read give nothing that is old: from the leader or any node, under a lease or not. */
function wayToRead({ dice, nodes }: Worker): Pick<ReadOptions, "consistency" | "node"> {
  const consistency = dice.chance(SHARE_OF_LEASES) ? "lease" : "linearizable";
  return dice.chance(SHARE_OF_FOLLOWERS) ? { consistency, node: dice.pick(nodes) } : { consistency };
}

/** What a client was told of a key, or asked a node for that may be behind. */
interface Sight {
  readonly client: string;
  readonly key: string;
  readonly by: KeyValueOperation | StaleRead;
}

/**
 * A stale read has to show what its client has seen, be it by a read or a command. Others are judged elsewhere. Each
 * history numbers its moments for itself: of two, the clock tells what was first.
 */
function sighted({
  client,
  operation: by,
  begin,
  outcome,
}: Call<KeyValueOperation | StaleRead, KeyValueResult>): Call<Sight, { readonly span: Span }>[] {
  if (outcome === null) return [];
  const byClock = (moment: Moment): Moment => ({ ...moment, order: moment.atMs ?? moment.order });
  const end = byClock(outcome.end);
  const isStale = !("op" in by);
  return sightsOf(isStale ? { op: "get", key: by.key } : by, outcome.result).map(([key, left]) => {
    const span = { found: isStale ? left : Number.POSITIVE_INFINITY, left };
    return { client, operation: { client, key, by }, begin: byClock(begin), outcome: { result: { span }, end } };
  });
}

function inWords<Operation, Result>({ earlier, later }: Disorder<Operation, Result>): string {
  const words = ({ client, operation, outcome }: Call<Operation, Result>): string =>
    `${client}: ${JSON.stringify(operation)} -> ${JSON.stringify(outcome?.result)}`;
  return `${words(later)}, though before it\n${words(earlier)}`;
}
