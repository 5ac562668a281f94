/** Mutants of elections: votes, terms, and the ways into and out of office. */

import type { Mutant } from "./mutant.ts";

export const ELECTION_MUTANTS: readonly Mutant[] = [
  {
    name: "vote-not-persisted",
    rule: "A vote is on the disk before it is given (paper, Figure 2, persistent state).",
    profile: "hostile",
    edits: [
      {
        file: "raft/step.ts",
        find: "const moved = term !== persistedState.term || vote !== persistedState.vote;",
        replace: "const moved = term !== persistedState.term;",
      },
    ],
  },
  {
    name: "vote-forgotten-on-restart",
    rule: "A restarted server knows whom it voted for (paper, Figure 2, persistent state).",
    profile: "hostile",
    edits: [{ file: "node/stored.ts", find: "vote: stored.vote", replace: "vote: null" }],
  },
  {
    name: "vote-before-fsync",
    rule: "The response to a vote request waits for the vote to be durable (paper, Figure 2).",
    profile: "hostile",
    edits: [
      {
        file: "raft/election.ts",
        find: `raft.role = newFollower(null, raft.nowMs + randomElectionTimeoutMs(raft));
  draft.messagesAfterPersist.push({ to: from, message: response });`,
        replace: `raft.role = newFollower(null, raft.nowMs + randomElectionTimeoutMs(raft));
  draft.messages.push({ to: from, message: response });`,
      },
    ],
  },
  {
    name: "two-votes-in-a-term",
    rule: "A server votes for at most one candidate in a term (paper, 5.2).",
    profile: "divided",
    edits: [
      {
        file: "raft/election.ts",
        find: "} else if (raft.vote !== null && raft.vote !== from) {",
        replace: '} else if (raft.role.name !== "follower") {',
      },
    ],
  },
  {
    name: "no-up-to-date-check",
    rule: "A vote goes only to a candidate whose log is at least as up-to-date (paper, 5.4.1).",
    profile: "divided",
    edits: [
      {
        file: "raft/election.ts",
        find: 'return isUpToDate(raft, request) ? null : "log-behind";',
        replace: "return null;",
      },
    ],
  },
  {
    name: "equal-terms-suffice",
    rule: "Of logs that end in the same term, the longer is more up-to-date (paper, 5.4.1).",
    profile: "divided",
    edits: [
      {
        file: "raft/election.ts",
        find: "return lastLogTerm > lastTerm ||",
        replace: "return lastLogTerm >= lastTerm ||",
      },
    ],
  },
  {
    name: "pre-vote-counts-as-vote",
    rule: "A pre-vote promises nothing, and only a vote counts as one (thesis, 9.6).",
    profile: "divided",
    edits: [
      {
        file: "raft/election.ts",
        find: `if (preVote !== (role.name === "pre-candidate")) return;
  const expected = preVote && refusal === null ? raft.term + 1 : raft.term;`,
        replace: `if (!preVote && role.name === "pre-candidate") return;
  const expected = role.name === "pre-candidate" && refusal === null ? raft.term + 1 : raft.term;`,
      },
    ],
  },
  {
    name: "lost-link-counts-as-vote",
    rule: "A candidate needs the votes of a majority; a server that can't be reached has not given one (paper, 5.2).",
    profile: "hostile",
    edits: [
      {
        file: "raft/election.ts",
        find: "silent.map((voter): [NodeId, boolean] => [voter, false])",
        replace: "silent.map((voter): [NodeId, boolean] => [voter, true])",
      },
    ],
  },
  {
    name: "majority-off-by-one",
    rule: "A majority is more than half (paper, 5.2).",
    profile: "hostile",
    edits: [{ file: "raft/quorum.ts", find: "Math.floor(count / 2) + 1", replace: "Math.floor(count / 2)" }],
  },
  {
    name: "term-not-adopted-from-reply",
    rule: "A reply with a higher term makes whoever gets it a follower of that term (paper, 5.1).",
    caughtBy: ["comes-to-rest"],
    profile: "divided",
    edits: [
      {
        file: "raft/step.ts",
        find: `refusal === null);
  return true;`,
        replace: `refusal === null);
  return message.type === "append-request" || message.type === "heartbeat-request" || message.type === "timeout-now";`,
      },
    ],
  },
  {
    name: "pre-vote-ignores-leader",
    rule: "Nobody grants a pre-vote while it hears a leader, so that a server that returns disturbs none (thesis, 9.6).",
    profile: "calm",
    caughtBy: ["undisturbed"],
    edits: [
      {
        file: "raft/election.ts",
        find: 'if (!request.transfer && leaderIsAlive(raft)) return "leader-is-alive";',
        replace: 'if (!request.transfer && !request.preVote && leaderIsAlive(raft)) return "leader-is-alive";',
      },
    ],
  },
  {
    name: "no-check-quorum",
    rule: "A leader that hears from no majority for an election timeout steps down (thesis, 6.2).",
    profile: "divided",
    edits: [
      {
        file: "raft/election.ts",
        find: "if (isQuorum(configurationOf(raft), isReached)) {\n    role.quorumDeadlineMs",
        replace: "if (isReached(id)) {\n    role.quorumDeadlineMs",
      },
    ],
  },
];
