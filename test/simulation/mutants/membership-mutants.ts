/** Mutants of who the members are, and of whose word counts. */

import type { Mutant } from "./mutant.ts";

export const MEMBERSHIP_MUTANTS: readonly Mutant[] = [
  {
    name: "configuration-not-rolled-back",
    rule: "A configuration goes with its entry when that is replaced (thesis, 4.1).",
    profile: "divided",
    edits: [{ file: "raft/append.ts", find: "rollBackTo(raft, draft, kept);", replace: "" }],
  },
  {
    name: "configuration-waits-for-commit",
    rule: "A server goes by the newest configuration in its log, committed or not (thesis, 4.1).",
    profile: "divided",
    edits: [
      {
        file: "raft/state.ts",
        find: "export const newestOf = ({ configurations, snapshot }: Raft): Configured => configurations.at(-1) ?? snapshot;",
        replace:
          "export const newestOf = ({ configurations, snapshot, commitIndex }: Raft): Configured => configurations.findLast((one) => one.index <= commitIndex) ?? snapshot;",
      },
    ],
  },
  {
    name: "new-majority-suffices",
    rule: "While a change is under way, everything needs a majority of the old members, too (thesis, 4.3).",
    profile: "divided",
    edits: [
      {
        file: "raft/configuration.ts",
        find: "return isJoint(configuration) ? [current, ids(members.filter(votesInOld))] : [current];",
        replace: "return [current];",
      },
    ],
  },
  {
    name: "change-in-one-step",
    rule: "Voters change by way of a joint configuration, however many do at once (thesis, 4.3).",
    profile: "hostile",
    caughtBy: ["quorums-overlap"],
    edits: [
      {
        file: "raft/membership.ts",
        find: "else draft.changes.push({ ticket, index: appendConfiguration(raft, draft, after), term });",
        replace: "else draft.changes.push({ ticket, index: appendConfiguration(raft, draft, left(after)), term });",
      },
      {
        file: "raft/membership.ts",
        find: "if (after !== configuration) appendConfiguration(raft, draft, after);",
        replace: "if (after !== configuration) appendConfiguration(raft, draft, left(after));",
      },
    ],
  },
  {
    name: "change-before-no-op",
    rule: "A leader changes the members once an entry of its own term is committed (thesis, 4.1, erratum of 2015).",
    profile: "divided",
    caughtBy: ["configuration-settled"],
    edits: [
      {
        file: "raft/membership.ts",
        find: "raft.commitIndex >= leader.firstIndex && newestOf(raft).index <= raft.commitIndex;",
        replace: "leader.firstIndex > 0 && newestOf(raft).index <= raft.commitIndex;",
      },
      {
        file: "node/members.ts",
        find: "if (commitIndex < role.firstIndex || index > commitIndex || isJoint(configuration)) return;",
        replace: "if (index > commitIndex || isJoint(configuration)) return;",
      },
    ],
  },
  {
    name: "change-on-change",
    rule: "A leader changes the members once the configuration before is committed (thesis, 4.1).",
    profile: "faulty",
    caughtBy: ["configuration-settled", "quorums-overlap"],
    edits: [
      {
        file: "raft/membership.ts",
        find: "raft.commitIndex >= leader.firstIndex && newestOf(raft).index <= raft.commitIndex;",
        replace: "raft.commitIndex >= leader.firstIndex;",
      },
    ],
  },
  {
    name: "learner-counted",
    rule: "A learner is sent the log, and its word counts for nothing (thesis, 4.2.1).",
    profile: "hostile",
    edits: [
      {
        file: "raft/configuration.ts",
        find: 'const votesInNew = ({ role }: Member): boolean => role === "voter" || role === "incoming";',
        replace:
          'const votesInNew = ({ role }: Member): boolean => role === "voter" || role === "incoming" || role === "learner";',
      },
    ],
  },
  {
    name: "wiped-answers-counted",
    rule: "What a machine says that has lost its disk does not count as the word of the one that had it (thesis, 4.1).",
    profile: "hostile",
    edits: [
      {
        file: "node/peers.ts",
        find: "return incarnation === null ? null : incarnation === hello.incarnation;",
        replace: "return incarnation === null ? null : true;",
      },
    ],
  },
  {
    name: "wiped-member-moves",
    rule: "A voter that has lost its disk is a learner until it has caught up again.",
    profile: "hostile",
    edits: [
      {
        file: "raft/configuration.ts",
        find: "const isSameDisk = member.incarnation === null || member.incarnation === incarnation;",
        replace: "const isSameDisk = member.id === id;",
      },
    ],
  },
  {
    name: "promoted-without-catching-up",
    rule: "A learner that does not keep up is not promoted: as a voter it would hold the others up (thesis, 4.2.1).",
    profile: "hostile",
    redundant:
      "it is a matter of how long commits may take, and of nothing that is promised here: whoever is promoted early " +
      "holds the joint configuration up until it has caught up",
    edits: [
      {
        file: "raft/membership.ts",
        find: "promoted(configuration, (id) => keepsUp(raft, leader, id))",
        replace: "promoted(configuration, (id) => raft.linked.has(id))",
      },
    ],
  },
  {
    name: "removed-leader-goes-on",
    rule: "A leader that is no member any more steps down once that is committed (thesis, 4.2.2).",
    profile: "faulty",
    caughtBy: ["removed-stays-out"],
    edits: [
      {
        file: "raft/membership.ts",
        find: "} else if (!isVoter(configuration, raft.config.id)) {\n    resign(raft, draft, leader);\n  }",
        replace: "}",
      },
    ],
  },
  {
    name: "stranger-not-heard",
    rule: "A node hears whoever keeps a link to it: its leader may be one that it does not know as a member yet.",
    profile: "faulty",
    caughtBy: ["comes-to-rest"],
    edits: [{ file: "node/node.ts", find: "this.#meet(sender.peer, events);", replace: "" }],
  },
];
