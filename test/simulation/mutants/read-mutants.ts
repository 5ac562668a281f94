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
  {
    name: "lease-kept-across-transfer",
    rule: "A leader that has told another one to stand has no lease any more (thesis, 6.4.1).",
    profile: "divided",
    edits: [
      { file: "raft/transfer.ts", find: "leader.leaseForfeited = true;", replace: "leader.leaseForfeited = false;" },
    ],
  },
  {
    name: "lease-from-the-answer",
    rule: "A lease counts from when the heartbeat was sent, not from when it was answered (thesis, 6.4.1).",
    profile: "divided",
    edits: [
      {
        file: "raft/reads.ts",
        find: "sentMs = leader.roundsSent.shift()?.sentMs ?? sentMs;",
        replace: "sentMs = leader.roundsSent.shift() === undefined ? sentMs : raft.nowMs;",
      },
    ],
  },
  {
    name: "lease-not-respected",
    rule: "While a leader may hold a lease, nobody who has heard it lately elects another one, link or no link (thesis, 6.4.1).",
    profile: "hostile",
    rare:
      "followers have to lose their links to a leader that keeps its own, and elect another one before it sends again; " +
      "tests of the core do, in its leases, golden scripts and random runs",
    edits: [
      {
        file: "raft/election.ts",
        find: "return (isFollowing || usesLeases(raft)) && raft.nowMs - raft.leaderHeardMs <",
        replace: "return isFollowing && raft.nowMs - raft.leaderHeardMs <",
      },
      {
        file: "raft/election.ts",
        find: "if (!usesLeases(raft)) raft.leaderHeardMs = -Infinity;",
        replace: "raft.leaderHeardMs = -Infinity;",
      },
    ],
  },
  {
    name: "follower-does-not-ask",
    rule: "A follower asks the leader from which index on it may serve a read (thesis, end of 6.4).",
    profile: "faulty",
    caughtBy: ["linearizable"],
    edits: [
      {
        file: "raft/reads.ts",
        find: "    raft.readsToAsk.push(ticket);",
        replace: "    draft.reads.push({ ticket, index: raft.commitIndex });",
      },
    ],
  },
  {
    name: "answer-to-an-earlier-question",
    rule: "An answer about a read is the answer to the question that was asked for it, and to no earlier one.",
    profile: "faulty",
    caughtBy: ["linearizable", "process-lives"],
    edits: [
      {
        file: "raft/reads.ts",
        find: `  for (const ticket of raft.readsAsked.get(id)?.tickets ?? []) draft.reads.push({ ticket, index });
  raft.readsAsked.delete(id);`,
        replace: `  for (const { tickets } of raft.readsAsked.values()) for (const ticket of tickets) draft.reads.push({ ticket, index });
  if (id > 0) raft.readsAsked.clear();`,
      },
    ],
  },
];
