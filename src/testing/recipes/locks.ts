/** Clients that lock, stand for elections and run what only one may run; and whether ever two hold the same. */

import type { Held, Observed } from "../../client/index.ts";
import { isPassing } from "../../client/recipes/patience.ts";
import { hasCode } from "../../errors.ts";
import { locks } from "../../machine/recipes/locks.ts";
import type { Worker } from "../workload.ts";
import { type NewExercise, rest } from "./exercise.ts";
import { type Holding, Holdings } from "./holdings.ts";
import { LockLog } from "./lock-log.ts";

/** Few, so that there is something to wait for. */
const LOCKS = ["a", "b"];
const SEMAPHORE = "s";
const PERMITS = 2;
const ELECTION = "e";
const SINGLETON = "r";
/** Some are shorter than it takes to elect a leader. */
const TTLS_MS = [200, 400, 800];
/** So many give up waiting. */
const IMPATIENT = 0.3;
const PATIENCE_MS_MAX = 1_500;
/** What is done while something is held: so many turns, so far apart, at most. */
const TURNS_MAX = 12;
const TURN_MS_MAX = 200;
const SHARE_OF_OBSERVERS = 0.3;

const permitsOf = (lock: string): number => (lock.startsWith("semaphore:") ? PERMITS : 1);

export const locksExercise: NewExercise = (stage) => {
  const log = new LockLog(stage, permitsOf);
  const holdings = new Holdings(stage, log);
  const known = new WeakSet<Worker["client"]>();
  /** What those who observe the election were told last. */
  const observers: { readonly isGone: () => boolean; last: Observed | null | undefined }[] = [];

  const use = async (worker: Worker, holding: Holding): Promise<void> => {
    const { dice, clock } = worker;
    for (let turns = dice.below(TURNS_MAX); turns > 0 && !holding.signal.aborted; turns--) {
      holdings.write(worker, holding);
      await rest(clock, dice.between(0, TURN_MS_MAX));
    }
  };

  const hold = async (worker: Worker, lock: string, held: Held | null): Promise<void> => {
    if (held === null) return;
    const holding = { name: lock, token: held.token, signal: held.signal };
    holdings.begin(worker, holding);
    await use(worker, holding);
    const released = held.release();
    holdings.end(worker, holding);
    await released;
  };

  const observe = async ({ client, name, isGone }: Worker): Promise<void> => {
    const lock = `election:${ELECTION}`;
    const observer: (typeof observers)[number] = { isGone, last: undefined };
    observers.push(observer);
    let next = log.toldOf(lock).length; // How it was when this began is the oldest that may come.
    for await (const observed of client.observe(ELECTION)) {
      const told = log.toldOf(lock);
      // After changes that are kept no more it may be told once more how it is.
      const at = told.findIndex((one, i) => i >= next - 1 && isSame(one, observed));
      if (at === -1) {
        stage.report("changes-exact", `${name} observes ${JSON.stringify(observed)} after ${next} of ${told.length}`);
      }
      next = at + 1;
      observer.last = observed;
    }
  };

  const work = async (worker: Worker): Promise<void> => {
    const { client, dice, clock } = worker;
    const ttlMs = dice.pick(TTLS_MS);
    const name = dice.pick(LOCKS);
    const end = new AbortController();
    const isImpatient = dice.chance(IMPATIENT);
    if (isImpatient) clock.setTimer(dice.between(0, PATIENCE_MS_MAX), () => end.abort());
    const options = isImpatient ? { ttlMs, signal: end.signal } : { ttlMs };
    const kind = dice.next();
    if (kind < 0.35) await hold(worker, `lock:${name}`, await client.lock(name, options));
    else if (kind < 0.5) await hold(worker, `lock:${name}`, await client.tryLock(name, options));
    else if (kind < 0.65) {
      const permit = await client.semaphore(SEMAPHORE, { ...options, permits: PERMITS });
      await hold(worker, `semaphore:${SEMAPHORE}`, permit);
    } else if (kind < 0.85) {
      const elected = await client.elect(ELECTION, { ...options, value: dice.below(1_000) });
      const proclaimed = dice.chance(0.5) ? elected.proclaim(dice.below(1_000)) : Promise.resolve();
      await Promise.all([hold(worker, `election:${ELECTION}`, elected), proclaimed]);
    } else {
      const lock = `election:${SINGLETON}`;
      await client.runOnLeader(
        SINGLETON,
        async ({ token, signal }) => {
          const holding = { name: lock, token, signal };
          holdings.begin(worker, holding);
          await use(worker, holding);
        },
        options,
      );
    }
  };

  return {
    work: async (worker) => {
      if (!known.has(worker.client)) {
        known.add(worker.client);
        if (worker.dice.chance(SHARE_OF_OBSERVERS)) {
          observe(worker).catch((error) => stage.report("changes-exact", `${worker.name} observes ${String(error)}`));
        }
      }
      try {
        await work(worker);
      } catch (error) {
        if (!isPassing(error) && !hasCode(error, "ABORTED", "LOST")) throw error;
      }
    },
    delicate: () => holdings.holders,
    leftovers: async ({ client }) => {
      for (const lock of log.names) {
        const { holders, waiting } = await client.of(locks).look(lock);
        if (holders.length + waiting > 0) return `${lock} is held by ${holders.length}, and ${waiting} wait`;
      }
      const late = observers.find(({ isGone, last }) => !isGone() && last !== null);
      return late === undefined ? null : `an observer takes ${JSON.stringify(late.last)} for elected`;
    },
  };
};

const isSame = (a: Observed | null, b: Observed | null): boolean => a?.token === b?.token && a?.value === b?.value;
