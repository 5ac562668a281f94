/** Mutants of how replicas compare what they have come to, and of what follows. */

import type { Mutant } from "./mutant.ts";

export const COMPARISON_MUTANTS: readonly Mutant[] = [
  {
    name: "compared-later",
    rule: "Replicas compare the states that they have at one and the same entry.",
    profile: "faulty",
    caughtBy: ["replicas-agree"],
    edits: [
      {
        file: "node/comparisons.ts",
        find: "const pieces = replica.snapshot().pieces[Symbol.iterator]();",
        replace: "const pieces = (function* () { yield* replica.snapshot().pieces; })();",
      },
    ],
  },
  {
    name: "one-other-suffices",
    rule: "A state is wrong if a majority has come to another one, and not because somebody has.",
    profile: "parted",
    caughtBy: ["replicas-agree"],
    edits: [
      {
        file: "node/agreement.ts",
        find: "groups.find(([, nodes]) => isQuorum(configuration, (id) => nodes.includes(id)))",
        replace: "groups.find(([, nodes]) => groups.length > 1 || nodes.length > 1)",
      },
    ],
  },
  {
    name: "distrust-not-written",
    rule: "That a state is wrong is durable before another takes its place: a restart must not go on with it.",
    profile: "parted",
    caughtBy: ["replicas-agree"],
    edits: [
      {
        file: "node/divergence.ts",
        find: "if (store.distrustedAt === null) await this.#write(() => store.distrust(since));",
        replace: "",
      },
    ],
  },
  {
    name: "wrong-state-kept",
    rule: "Who has come to another state than a majority takes over the state of one that agrees with it.",
    profile: "parted",
    caughtBy: ["replicas-agree"],
    edits: [
      {
        file: "node/snapshots.ts",
        find: "this.#afterAnother(index, () => replica.replace(index, store.read(index)))",
        replace: "this.#afterAnother(index, () => Promise.resolve())",
      },
    ],
  },
  {
    name: "time-forgotten",
    rule: "The time that entries have brought is a part of the state, and comes back with it.",
    profile: "faulty",
    caughtBy: ["replicas-agree", "snapshot-exact", "state-machine-safety"],
    edits: [{ file: "machine/replica.ts", find: "      this.#timeMs = timeMs;\n", replace: "      void timeMs;\n" }],
  },
];
