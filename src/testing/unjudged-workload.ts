/** Clients that change what the cluster holds and read it, and make nothing of the answers, where those may be wrong. */

import { ConclaveError } from "../errors.ts";
import { KeyValueMachine } from "../machine/index.ts";
import { ACCOUNTS, bank } from "./recipes/bank.ts";
import { program } from "./recipes/program.ts";
import type { NewWorkload } from "./workload.ts";

const KEYS = ["a", "b", "c"];
/** What makes snapshots large enough to come in parts. */
const BULK_CHARACTERS = 500;
const CHANGES_BOUNDS = { countMax: 20, sizeMax: 64 * 1024 };
const PLEDGED_MS_MAX = 600;

export const unjudgedWorkload: NewWorkload = () => {
  let written = 0;
  const either = (call: Promise<unknown>): Promise<void> =>
    call.then(
      () => {},
      (error) => {
        if (!(error instanceof ConclaveError)) throw error; // The others are what happens in such a world.
      },
    );
  return {
    machine: () => program(new KeyValueMachine(CHANGES_BOUNDS)),
    work: ({ client, dice, nodes }) => {
      const key = dice.pick(KEYS);
      const options = { timeoutMs: dice.between(100, 2_000) };
      const kind = dice.next();
      if (kind < 0.2) return either(client.get(key, { ...options, node: dice.pick(nodes) }));
      if (kind < 0.3) return either(client.get(key, { ...options, consistency: "stale" }));
      if (kind < 0.4) return either(client.delete(key, options));
      if (kind < 0.6) return either(client.increment("counter", 1, options));
      if (kind < 0.7) return either(client.put(`bulk-${key}`, `${written++}`.repeat(BULK_CHARACTERS), options));
      if (kind < 0.85) return either(client.put(key, `${written++}`, options));
      const [from, to] = [dice.pick(ACCOUNTS), dice.pick(ACCOUNTS)];
      const forMs = dice.between(0, PLEDGED_MS_MAX);
      if (kind < 0.95) return either(client.of(bank).transfer({ from, to, amount: 1 }, options));
      return either(client.of(bank).pledge({ from, amount: 1, forMs }, options));
    },
    lookBack: async ({ client }) => void (await client.list("")),
    judge: () => {},
  };
};
