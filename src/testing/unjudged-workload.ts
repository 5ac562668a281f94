/** Clients that change the key-value store and read it, and make nothing of the answers, where those may be wrong. */

import { ConclaveError } from "../errors.ts";
import { KeyValueMachine } from "../machine/index.ts";
import type { NewWorkload } from "./workload.ts";

const KEYS = ["a", "b", "c"];
/** What makes snapshots large enough to come in parts. */
const BULK_CHARACTERS = 500;
const CHANGES_BOUNDS = { countMax: 20, sizeMax: 64 * 1024 };

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
    machine: () => new KeyValueMachine(CHANGES_BOUNDS),
    work: ({ client, dice, nodes }) => {
      const key = dice.pick(KEYS);
      const options = { timeoutMs: dice.between(100, 2_000) };
      const kind = dice.next();
      if (kind < 0.2) return either(client.get(key, { ...options, node: dice.pick(nodes) }));
      if (kind < 0.3) return either(client.get(key, { ...options, consistency: "stale" }));
      if (kind < 0.4) return either(client.delete(key, options));
      if (kind < 0.7) return either(client.increment("counter", 1, options));
      if (kind < 0.8) return either(client.put(`bulk-${key}`, `${written++}`.repeat(BULK_CHARACTERS), options));
      return either(client.put(key, `${written++}`, options));
    },
    lookBack: async ({ client }) => void (await client.list("")),
    judge: () => {},
  };
};
