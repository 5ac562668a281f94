/** A node's place among the members: when it has to speak up for it. */

import * as assert from "uvu/assert";
import { Members } from "../../src/node/members.ts";
import type { Peers } from "../../src/node/peers.ts";
import { bootstrap, type Configuration, createRaft, Log, logIndex, term } from "../../src/raft/index.ts";
import { suite } from "../support/suite.ts";

const test = suite("node: members");

const OLD = "ws://127.0.0.1:7101";
const NEW = "ws://127.0.0.1:7201";
const settled = (url: string): Configuration => ({
  members: bootstrap([
    { id: "n1", url },
    { id: "n2", url: "ws://127.0.0.1:7102" },
  ]).members.map((member) => ({ ...member, incarnation: member.id })),
});

/** A follower without a leader that is reached there; its log has named other addresses, an entry each. */
function follower(url: string, ...named: readonly string[]) {
  const raft = createRaft(
    {
      id: "n1",
      incarnation: "n1",
      heartbeatMs: 50,
      electionTimeoutMinMs: 300,
      electionTimeoutMaxMs: 600,
      evidenceDelayMaxMs: 30,
      appendBytesMax: 1_000,
      appendsInFlightMax: 1,
      appendBytesInFlightMax: 1_000,
      logCacheBytesMax: 1_000_000,
      clockDriftMax: null,
    },
    {
      hardState: { term: term(1), vote: null, commitIndex: logIndex(0) },
      snapshot: { index: logIndex(0), term: term(0), configuration: settled(OLD) },
      log: new Log(),
      configurations: named.map((one, i) => ({ index: logIndex(i + 1), configuration: settled(one) })),
      needsReset: false,
      isAdmitted: true,
    },
    0,
    1,
  );
  const members = new Members({
    raft,
    peers: {} as Peers,
    url,
    isJoining: false,
    isRemoved: false,
    view: () => ({ term: 1, leader: null }),
    firstMet: () => null,
    send: () => {},
    keepLink: () => () => {},
    tell: () => {},
    onRecognized: () => {},
    onRemoved: () => {},
  });
  return { raft, members };
}

test("a member that has moved says so, until it is written down for good", () => {
  assert.not(follower(OLD).members.hasToJoin);
  assert.ok(follower(NEW).members.hasToJoin);
  const { raft, members } = follower(NEW, NEW);
  raft.commitIndex = logIndex(1);
  assert.not(members.hasToJoin);
});

test("who has moved says so again if it knows nobody who leads, and what was written down may never be committed", () => {
  const { raft, members } = follower(NEW, NEW);
  assert.ok(members.hasToJoin);
  raft.role = { name: "follower", leader: "n2", electionDeadlineMs: 0, evidence: "timer-ran-out" };
  assert.not(members.hasToJoin, "the leader has it in its log");
});

test.run();
