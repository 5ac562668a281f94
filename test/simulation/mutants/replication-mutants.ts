/** Mutants of log replication and commitment. */

import type { Mutant } from "./mutant.ts";

export const REPLICATION_MUTANTS: readonly Mutant[] = [
  {
    name: "append-before-fsync",
    rule: "A follower acknowledges entries once they are durable (paper, Figure 2, AppendEntries).",
    profile: "hostile",
    edits: [
      {
        file: "raft/replication.ts",
        find: "draft.messagesAfterPersist.push({ to: from, message: accepted });",
        replace: "draft.messages.push({ to: from, message: accepted });",
      },
    ],
  },
  {
    name: "leader-counts-unflushed",
    rule: "A leader counts itself for an entry once its own disk holds it (thesis, 10.2.1).",
    profile: "hostile",
    edits: [
      {
        file: "raft/replication.ts",
        find: "voter === raft.config.id ? raft.durableIndex",
        replace: "voter === raft.config.id ? raft.log.lastIndex",
      },
    ],
  },
  {
    name: "earlier-term-committed",
    rule: "A leader commits by counting only entries of its own term (paper, 5.4.2 and Figure 8).",
    profile: "divided",
    edits: [
      {
        file: "raft/replication.ts",
        find: "if (agreed > raft.commitIndex && raft.log.termAt(agreed) === raft.term) raft.commitIndex = agreed;",
        replace: "if (agreed > raft.commitIndex) raft.commitIndex = agreed;",
      },
    ],
  },
  {
    name: "no-previous-entry-check",
    rule: "A follower takes entries only behind the one that they follow in the leader's log (paper, 5.3).",
    profile: "divided",
    edits: [
      {
        file: "raft/replication.ts",
        find: "if (prevLogIndex >= log.base.index && prevTerm !== request.prevLogTerm) {",
        replace: "if (prevLogIndex >= log.base.index && prevTerm === null) {",
      },
    ],
  },
  {
    name: "matching-entries-removed",
    rule: "Only an entry that conflicts is removed, with those after it (paper, Figure 2, AppendEntries 3).",
    profile: "hostile",
    edits: [
      {
        file: "raft/replication.ts",
        find: `if (first === undefined || first.index <= raft.commitIndex) return; // No leader would: committed entries are final.
    for (const entry of entries.slice(fresh)) overwrite(raft, draft, entry);
  }`,
        replace: `if (first === undefined) return;
  }
  for (const entry of entries) if (entry.index > log.base.index) overwrite(raft, draft, entry);`,
      },
    ],
  },
  {
    name: "commit-without-minimum",
    rule: "A follower commits the lesser of the leader's commit index and its last new entry (paper, Figure 2, AppendEntries 5).",
    caughtBy: ["commit-monotonic", "process-lives"],
    profile: "hostile",
    edits: [
      {
        file: "raft/replication.ts",
        find: "const commitIndex = Math.min(leaderCommit, matchIndex) as LogIndex;",
        replace: "const commitIndex = leaderCommit;",
      },
    ],
  },
  {
    name: "commit-past-last-new-entry",
    rule: "The last new entry is the last that was sent, not the last of the log: the rest may be another leader's (5.3).",
    profile: "divided",
    edits: [
      {
        file: "raft/replication.ts",
        find: "followCommit(raft, request.leaderCommit, matchIndex);",
        replace: "followCommit(raft, request.leaderCommit, log.lastIndex);",
      },
    ],
  },
  {
    name: "heartbeat-commit-past-match",
    rule: "A heartbeat tells a follower to commit no more than it is known to hold (thesis, 6.4; paper, 5.3).",
    profile: "divided",
    rare:
      "a follower with entries of a deposed leader has to hear a heartbeat before the request that would replace them; " +
      "the golden scripts of the leader's rules have it",
    edits: [
      {
        file: "raft/reads.ts",
        find: "commitIndex: Math.min(raft.commitIndex, follower.match) as LogIndex,",
        replace: "commitIndex: raft.commitIndex,",
      },
    ],
  },
  {
    name: "more-acknowledged-than-received",
    rule: "An acknowledgement covers what the request held, and no more (paper, Figure 2, matchIndex).",
    profile: "divided",
    edits: [
      {
        file: "raft/replication.ts",
        find: "const matchIndex = logIndex(prevLogIndex + entries.length);",
        replace: "const matchIndex = log.lastIndex;",
      },
    ],
  },
  {
    name: "match-goes-back",
    rule: "An older acknowledgement does not take back what a newer one has said (paper, Figure 2, matchIndex).",
    profile: "hostile",
    redundant:
      "a match that is too low makes the leader wait for acknowledgements that it has had: it may commit later, never " +
      "too early, since a commit index only grows; and those of one link come in the order of the disk, as matches do",
    edits: [
      {
        file: "raft/replication.ts",
        find: "if (matchIndex > follower.match) follower.match = matchIndex;",
        replace: "follower.match = matchIndex;",
      },
    ],
  },
];
