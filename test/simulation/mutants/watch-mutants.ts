/** Mutants of watches, on both sides. */

import type { Mutant } from "./mutant.ts";

export const WATCH_MUTANTS: readonly Mutant[] = [
  {
    name: "watch-passes-one-by",
    rule: "A watch goes on with the first revision that was not looked at.",
    profile: "faulty",
    caughtBy: ["watch-exact"],
    edits: [
      {
        file: "machine/recent-changes.ts",
        find: "return { changes, nextRevision: revision };",
        replace: "return { changes, nextRevision: revision + 1 };",
      },
    ],
  },
  {
    name: "compacted-in-silence",
    rule: "A watch that has fallen behind what is kept is told so, and leaves nothing out in silence.",
    profile: "divided",
    caughtBy: ["watch-exact"],
    edits: [
      {
        file: "machine/key-value.ts",
        find: 'if (fromRevision < firstRevision) return { type: "compacted", firstRevision };\n    return { type: "changes", ...this.#changes.find(prefix, fromRevision, Math.min(limit, LIST_LIMIT_MAX)) };',
        replace:
          'return { type: "changes", ...this.#changes.find(prefix, Math.max(fromRevision, firstRevision), limit) };',
      },
    ],
  },
  {
    name: "watch-begins-in-the-past",
    rule: "A watch of what is new begins after all that was acknowledged before it: a linearizable read tells where.",
    profile: "hostile",
    caughtBy: ["watch-exact"],
    edits: [
      {
        file: "client/watches.ts",
        find: "{ signal: ended, timeoutMs: START_TIMEOUT_MS }",
        replace: '{ signal: ended, timeoutMs: START_TIMEOUT_MS, consistency: "stale" }',
      },
    ],
  },
];
