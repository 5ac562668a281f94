/** Clients that hold leases with keys on them, and others that watch the keys. */

import type { LeasedChange } from "../../client/index.ts";
import { isPassing } from "../../client/recipes/patience.ts";
import { hasCode } from "../../errors.ts";
import type { Worker } from "../workload.ts";
import { type NewExercise, rest } from "./exercise.ts";
import { Holdings } from "./holdings.ts";
import { LEASE, LeaseLog } from "./lease-log.ts";

/** Few, so that what hung on one lease comes to hang on another. */
const KEYS = ["keys/a", "keys/b"];
const PREFIX = "keys/";
const TTLS_MS = [200, 400, 800];
const TURNS_MAX = 8;
const TURN_MS_MAX = 200;
const SHARE_OF_WATCHERS = 0.3;
/** Who watches, and what it takes for there: keys, and the leases that they hang on. */
interface Watcher {
  readonly name: string;
  readonly isGone: () => boolean;
  keys: Map<string, number> | null;
}

export const leasesExercise: NewExercise = (stage) => {
  const holdings = new Holdings(stage, new LeaseLog(stage));
  const known = new WeakSet<Worker["client"]>();
  const watchers: Watcher[] = [];

  const see = (watcher: Watcher, change: LeasedChange): void => {
    if (change.type === "current") {
      watcher.keys = new Map(change.entries.map(({ key, token }) => [key, token]));
      return;
    }
    const { key, token, type } = change;
    const before = watcher.keys?.get(key);
    const isSound = type === "put" ? (before ?? 0) <= token : before === token;
    if (!isSound || watcher.keys === null) {
      stage.report("changes-exact", `${watcher.name} is told of ${JSON.stringify(change)}, and had lease ${before}`);
    }
    if (type === "put") watcher.keys?.set(key, token);
    else watcher.keys?.delete(key);
  };

  const watch = async ({ client, name, isGone }: Worker): Promise<void> => {
    const watcher: Watcher = { name, isGone, keys: null };
    watchers.push(watcher);
    for await (const change of client.leased.watch(PREFIX)) see(watcher, change);
  };

  const hold = async (worker: Worker): Promise<void> => {
    const { client, dice, clock } = worker;
    const lease = await client.lease({ ttlMs: dice.pick(TTLS_MS) });
    const holding = { name: LEASE, token: lease.token, signal: lease.signal };
    holdings.begin(worker, holding);
    const key = dice.pick(KEYS);
    try {
      for (let turns = dice.below(TURNS_MAX); turns > 0 && !lease.signal.aborted; turns--) {
        if (dice.chance(0.5)) await lease.put(key, dice.below(1_000));
        else if (dice.chance(0.2)) await lease.delete(key);
        holdings.write(worker, holding);
        await rest(clock, dice.between(0, TURN_MS_MAX));
      }
    } finally {
      const released = lease.release();
      holdings.end(worker, holding);
      await released;
    }
  };

  return {
    work: async (worker) => {
      if (!known.has(worker.client)) {
        known.add(worker.client);
        if (worker.dice.chance(SHARE_OF_WATCHERS)) {
          watch(worker).catch((error) => stage.report("changes-exact", `${worker.name} watches keys: ${error}`));
        }
      }
      try {
        await hold(worker);
      } catch (error) {
        if (!isPassing(error) && !hasCode(error, "LOST", "REJECTED")) throw error;
      }
    },
    delicate: () => holdings.holders,
    leftovers: async ({ client }) => {
      const [entry] = await client.leased.list(PREFIX);
      if (entry !== undefined) return `"${entry.key}" hangs on lease ${entry.token} still`;
      const late = watchers.find(({ isGone, keys }) => !isGone() && keys?.size !== 0);
      return late === undefined ? null : `${late.name} takes ${[...(late.keys ?? [])].join(", ")} for there`;
    },
  };
};
