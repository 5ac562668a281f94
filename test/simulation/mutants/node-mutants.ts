/** Mutants of the actors around the core. */

import type { Mutant } from "./mutant.ts";

export const NODE_MUTANTS: readonly Mutant[] = [
  {
    name: "applied-before-commit",
    rule: "Only committed entries are applied (paper, Figure 2, rules for all servers).",
    profile: "hostile",
    edits: [
      {
        file: "node/node.ts",
        find: "this.#applier.commit(effects.commitIndex);",
        replace: "this.#applier.commit(this.#raft.log.lastIndex);",
      },
    ],
  },
  {
    name: "state-in-another-frame",
    rule: "Entries and the hard state that speaks of them reach the disk together, or neither does.",
    caughtBy: ["process-lives"],
    profile: "hostile",
    edits: [
      {
        file: "node/node.ts",
        find: "this.#parts.wal.append({ reset: null, entries, state: hardState }).then(",
        replace: `this.#parts.wal
      .append({ reset: null, entries: [], state: hardState })
      .then(() => this.#parts.wal.append({ reset: null, entries, state: null }))
      .then(`,
      },
    ],
  },
  {
    name: "held-messages-released",
    rule: "What a message promises is durable before it goes out (paper, Figure 2).",
    profile: "hostile",
    edits: [
      {
        file: "node/node.ts",
        find: "const due = this.#held.filter(({ seq }) => seq <= this.#durableSeq);\n    this.#held = this.#held.filter(({ seq }) => seq > this.#durableSeq);",
        replace: "const due = this.#held;\n    this.#held = [];",
      },
    ],
  },
  {
    name: "newcomer-takes-part",
    rule: "A node with an empty disk takes no part before every member has taken note of it.",
    profile: "divided",
    edits: [
      {
        file: "raft/step.ts",
        find: "if (raft.isAdmitted && isVoter(raft, event.from)) receive(",
        replace: "if (isVoter(raft, event.from)) receive(",
      },
    ],
  },
  {
    name: "newcomer-admitted-early",
    rule: "A node with an empty disk waits for every other member, not for a majority of them.",
    profile: "divided",
    caughtBy: ["admitted-first"],
    edits: [
      {
        file: "node/node.ts",
        find: "if (!this.#others.every((id) => this.#recognizedBy.has(id))) return;",
        replace: "if (this.#recognizedBy.size * 2 < this.#others.length) return;",
      },
    ],
  },
  {
    name: "elects-before-it-reads",
    rule: "A server whose timer fired late reads what its sockets hold before it calls for an election.",
    profile: "hostile",
    caughtBy: ["heard-first"],
    edits: [
      {
        file: "node/node.ts",
        find: 'const fire = (): void => clock.defer(() => this.#context.post({ type: "tick" }));',
        replace: 'const fire = (): void => this.#receive([{ type: "internal", event: { type: "tick" } }]);',
      },
      {
        file: "node/node.ts",
        find: 'this.#guard.wasHeldUp() ? [{ type: "stalled" }] : []',
        replace: "[]",
      },
    ],
  },
  {
    name: "stale-claim-accepted",
    rule: "A directory takes no claim of an older term than it knows.",
    profile: "divided",
    edits: [
      {
        file: "directory/directory.ts",
        find: "if (term < view.term) throw stale(",
        replace: "if (term < 0) throw stale(",
      },
    ],
  },
];
