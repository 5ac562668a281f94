/** The core of a leader: commands go in, and come out committed once one of its two followers has them. */

import { bench, do_not_optimize, group } from "mitata";
import { bootstrap, createRaft, Log, logIndex, NO_TERM, type Raft, type RaftEvent, step, term } from "./index.ts";

const IDS = ["a", "b", "c"] as const;
const PAYLOAD = new Uint8Array(128);

interface Leader {
  readonly raft: Raft;
  nowMs: number;
}

function follower(): Raft {
  const config = {
    id: "a",
    incarnation: "a",
    heartbeatMs: 50,
    electionTimeoutMinMs: 300,
    electionTimeoutMaxMs: 600,
    evidenceDelayMaxMs: 10,
    appendBytesMax: 1024 * 1024,
    appendsInFlightMax: 64,
    appendBytesInFlightMax: 4 * 1024 * 1024,
    logCacheBytesMax: 1024 * 1024,
    clockDriftMax: null,
  };
  const members = IDS.map((id) => ({ id, url: `ws://${id}` }));
  const recovered = {
    hardState: { term: NO_TERM, vote: null, commitIndex: logIndex(0) },
    snapshot: { index: logIndex(0), term: NO_TERM, configuration: bootstrap(members) },
    log: new Log(),
    configurations: [],
    needsReset: false,
    isAdmitted: true,
  };
  return createRaft(config, recovered, 0, 1);
}

/** Elected by all. */
function elected(): Leader {
  const leader: Leader = { raft: follower(), nowMs: 600 };
  let events: RaftEvent[] = [{ type: "link-up", peer: "b" }, { type: "link-up", peer: "c" }, { type: "tick" }];
  while (leader.raft.role.name !== "leader") {
    const effects = step(leader.raft, events, leader.nowMs);
    events = effects.persist === null ? [] : [{ type: "persisted", seq: effects.persist.seq }];
    for (const { to, message } of [...effects.messages, ...effects.messagesAfterPersist]) {
      if (message.type === "vote-response") events.push({ type: "message", from: "a", message });
      if (message.type !== "vote-request") continue;
      const { preVote, term: asked } = message;
      events.push({
        type: "message",
        from: to,
        message: { type: "vote-response", term: asked, preVote, refusal: null },
      });
    }
    leader.nowMs++;
  }
  return leader;
}

/** One round: proposals, then what the disk and the followers say to it. */
function round({ raft, nowMs }: Leader, commands: number): void {
  const proposals = Array.from(
    { length: commands },
    (_, ticket) => ({ type: "propose", ticket, payload: PAYLOAD }) as const,
  );
  const { persist, messages } = step(raft, proposals, nowMs);
  const events: RaftEvent[] = persist === null ? [] : [{ type: "persisted", seq: persist.seq }];
  for (const { to, message } of messages) {
    if (message.type !== "append-request") continue;
    const matchIndex = logIndex(message.prevLogIndex + message.entries.length);
    events.push({ type: "message", from: to, message: { type: "append-accepted", term: term(raft.term), matchIndex } });
  }
  const { commitIndex } = step(raft, events, nowMs);
  step(raft, [{ type: "applied", index: commitIndex }], nowMs);
}

group("commit commands of 128 bytes with two followers", () => {
  for (const commands of [1, 100]) {
    bench(`${commands} in a round`, function* () {
      const leader = elected();
      yield () => do_not_optimize(round(leader, commands));
    });
  }
});
