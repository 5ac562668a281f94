/** Mutants of linearizable reads. */

import type { Mutant } from "./mutant.ts";

export const READ_MUTANTS: readonly Mutant[] = [
  {
    name: "read-not-confirmed",
    rule: "A read is served once a majority has confirmed, after it was asked, who leads (thesis, 6.4, steps 2 and 3).",
    profile: "divided",
    edits: [{ file: "raft/reads.ts", find: "if (round > confirmed) return true;", replace: "" }],
  },
  {
    name: "read-before-no-op",
    rule: "A leader serves no read before an entry of its own term is committed (thesis, 6.4, step 1).",
    profile: "divided",
    edits: [{ file: "raft/reads.ts", find: "if (raft.commitIndex < role.firstIndex) return;", replace: "" }],
  },
  {
    name: "earlier-round-confirms-read",
    rule: "Only answers to heartbeats sent after a read was asked confirm it (thesis, 6.4, step 3).",
    profile: "divided",
    edits: [
      {
        file: "raft/step.ts",
        find: "if (message.round > follower.round && message.round <= role.round) follower.round = message.round;",
        replace: "follower.round = role.round;",
      },
    ],
  },
];
