/** Mutants of transactions on the key-value store, and of what is remembered of them. */

import type { Mutant } from "./mutant.ts";

export const TRANSACTION_MUTANTS: readonly Mutant[] = [
  {
    name: "transaction-half-done",
    rule: "A transaction that can't be carried out to its end has changed nothing.",
    profile: "faulty",
    caughtBy: ["linearizable", "watch-exact"],
    edits: [
      {
        file: "machine/key-value.ts",
        find:
          'if ("code" in outcome) return encodeRejected(outcome);\n' +
          "    const answer = encodeTransactionOutcome(command, outcome);",
        replace:
          'const answer = "code" in outcome ? encodeRejected(outcome) : encodeTransactionOutcome(command, outcome);',
      },
    ],
  },
  {
    name: "one-comparison-is-enough",
    rule: "A transaction succeeds if all that it compares is so.",
    profile: "faulty",
    caughtBy: ["linearizable"],
    edits: [
      {
        file: "machine/transaction-plan.ts",
        find: "const succeeded = compare.every(",
        replace: "const succeeded = compare.length === 0 || compare.some(",
      },
    ],
  },
  {
    name: "operations-blind-to-one-another",
    rule: "An operation of a transaction sees what those before it have done.",
    profile: "faulty",
    caughtBy: ["linearizable"],
    edits: [
      {
        file: "machine/transaction-plan.ts",
        find: "return changed === undefined ? (this.#present.get(key) ?? null) : changed;",
        replace: "return this.#present.get(key) ?? null;",
      },
    ],
  },
  {
    name: "transaction-half-forgotten",
    rule: "Of a transaction that watches can go back to, they can go back to all.",
    profile: "divided",
    caughtBy: ["watch-exact"],
    edits: [
      {
        file: "machine/recent-changes.ts",
        find: " || this.#isCut)",
        replace: ")",
      },
    ],
  },
];
