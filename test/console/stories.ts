/** One of each story, for the tests of the log. The type sees to it that none is forgotten. */

import type { Story } from "../../src/console/index.ts";
import { bootstrap, logIndex, term } from "../../src/raft/index.ts";

type Stories = { readonly [Event in Story["event"]]: Extract<Story, { readonly event: Event }> };

const at = { term: term(3) };
const members = bootstrap([{ id: "n1", url: "ws://127.0.0.1:7101" }]);

const EACH: Stories = {
  listening: { event: "listening", url: "ws://127.0.0.1:7101" },
  recovered: { event: "recovered", term: 2, lastIndex: 9, commitIndex: 8, snapshotIndex: 5, tornBytes: 17 },
  "begun-anew": {
    event: "begun-anew",
    epoch: "e2",
    others: ["n2", "n3"],
    lastTerm: 4,
    lastIndex: 123,
    commitIndex: 120,
    term: 1_000_004,
    index: 1_000_123,
  },
  "link-up": { event: "link-up", peer: "n2" },
  "link-lost": { event: "link-lost", peer: "n2", code: 1006, reason: "code 1006" },
  "link-refused": { event: "link-refused", peer: "n2", code: 4003, reason: "n2 has lost the data it had" },
  "protocol-broken": { event: "protocol-broken", peer: "n2", code: 1002, reason: "not a frame" },
  "message-refused": { event: "message-refused", from: "n2", reason: "the bytes end too early" },
  newcomer: { event: "newcomer", waitsFor: ["n2", "n3"] },
  admitted: { event: "admitted" },
  "handler-failed": { event: "handler-failed", actor: "node", error: "it broke", count: 2 },
  "mailbox-full": { event: "mailbox-full", actor: "node", refused: 1 },
  "machine-failed": { event: "machine-failed", index: 4, error: "it broke" },
  "pre-vote": { event: "pre-vote", ...at, reason: "leader-link-lost" },
  candidate: { event: "candidate", ...at, transfer: true },
  "vote-sent": { event: "vote-sent", ...at, to: "n2", preVote: true, refusal: "log-behind" },
  "vote-received": { event: "vote-received", ...at, from: "n2", preVote: false, refusal: null },
  "leader-elected": { event: "leader-elected", ...at, votes: ["n1", "n2"] },
  "stepped-down": { event: "stepped-down", ...at, reason: "quorum-lost" },
  following: { event: "following", ...at, leader: "n2" },
  "follower-caught-up": { event: "follower-caught-up", ...at, follower: "n2", index: logIndex(12) },
  "quorum-lost": { event: "quorum-lost", ...at, reachable: ["n1"] },
  "quorum-regained": { event: "quorum-regained", ...at },
  "transfer-started": { event: "transfer-started", ...at, to: "n2" },
  "transfer-failed": { event: "transfer-failed", ...at, to: null },
  configuration: { event: "configuration", ...at, index: logIndex(7), configuration: members, committed: true },
  "configuration-rolled-back": { event: "configuration-rolled-back", ...at, index: logIndex(7) },
  "snapshot-offered": { event: "snapshot-offered", ...at, to: "n2", index: logIndex(7) },
  "snapshot-drawn": { event: "snapshot-drawn", from: "n2", index: 7, resumedAt: 4096 },
  "snapshot-interrupted": { event: "snapshot-interrupted", from: "n2", index: 7, reason: "the link was lost" },
  "snapshot-installed": { event: "snapshot-installed", ...at, index: logIndex(7) },
  "snapshot-damaged": { event: "snapshot-damaged", index: 7, reason: "a bit is wrong" },
  "snapshot-taken": { event: "snapshot-taken", index: 7, bytes: 1_234_567, tookMs: 89 },
  "snapshot-failed": { event: "snapshot-failed", reason: "no space is left" },
  compacted: { event: "compacted", through: 7, logBytes: 1_234_567 },
  joining: { event: "joining", through: "ws://127.0.0.1:7102" },
  "join-refused": { event: "join-refused", by: "ws://127.0.0.1:7102", reason: "the name is taken" },
  unrecognized: { event: "unrecognized", by: "n2" },
  removed: { event: "removed" },
  "disk-full": { event: "disk-full" },
  "disk-has-room": { event: "disk-has-room" },
  registered: { event: "registered", directory: "ws://127.0.0.1:7000" },
  "claim-refused": { event: "claim-refused", directory: "ws://127.0.0.1:7000", reason: "term 4 is known" },
  "member-registered": { event: "member-registered", name: "n1", url: "ws://127.0.0.1:7101" },
  "member-gone": { event: "member-gone", name: "n1" },
  "leader-announced": { event: "leader-announced", term: 3, leader: "n1" },
  "leader-resigned": { event: "leader-resigned", term: 3, leader: "n1" },
  stalled: { event: "stalled", lagMs: 1_500, count: 3 },
  "sessions-expired": { event: "sessions-expired", count: 2 },
  "child-started": { event: "child-started", child: "n1", pid: 42 },
  "child-exited": { event: "child-exited", child: "n1", how: "was killed by SIGKILL", expected: false },
  failed: { event: "failed", code: "DISK_FAILED", error: "no space is left" },
  stopping: { event: "stopping" },
  stopped: { event: "stopped" },
};

export const STORIES: readonly Story[] = Object.values(EACH);
