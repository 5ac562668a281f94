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
        find: "this.#parts.wal.append({ reset, entries, state: hardState }).then(",
        replace: `this.#parts.wal
      .append({ reset: null, entries: [], state: hardState })
      .then(() => this.#parts.wal.append({ reset, entries, state: null }))
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
        file: "node/outbox.ts",
        find: "const due = this.#held.filter(({ seq }) => seq <= this.#durableSeq);\n    if (due.length === 0) return;\n    this.#held = this.#held.filter(({ seq }) => seq > this.#durableSeq);",
        replace: "const due = this.#held;\n    this.#held = [];",
      },
    ],
  },
  {
    name: "newcomer-takes-part",
    rule: "A node with an empty disk gives no vote before every founder has taken note of it, or the log names it.",
    profile: "divided",
    edits: [
      {
        file: "raft/election.ts",
        find: "if (!canPromise(raft)) return; // It may have given its vote before, and have forgotten.",
        replace: "",
      },
    ],
  },
  {
    name: "newcomer-admitted-early",
    rule: "A node with an empty disk waits for every other founder, not for a majority of them.",
    profile: "divided",
    caughtBy: ["admitted-first"],
    edits: [
      {
        file: "node/members.ts",
        find: "if (this.others.every(({ id }) => this.#recognizedBy.has(id))) onRecognized();",
        replace: "if (this.#recognizedBy.size * 2 >= this.others.length) onRecognized();",
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
