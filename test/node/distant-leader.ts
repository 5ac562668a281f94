/**
 * A program for `test/node/stall.test.ts`: in a process of its own n2 leads and n3 is there, and both are puppets. It
 * prints a line for every answer that n1 gives to its leader.
 *
 *     node distant-leader.ts CLUSTER URL-OF-N1 URL-OF-N2 URL-OF-N3 BYTES
 */

import { ActorSystem, type Peer } from "../../src/actor/index.ts";
import { realEnvironment } from "../../src/index.ts";
import { decodeMessage, encodeMessage } from "../../src/node/raft-codec.ts";
import { NODE_ACTOR, nodeProtocol } from "../../src/protocol/node.ts";
import { type Entry, EntryKind, logIndex, type Message, term } from "../../src/raft/index.ts";

const HEARTBEAT_MS = 50;
/** Newer than any that n1 may have begun by itself. */
const TERM = term(1_000);
/** All that a link puts into one message. */
const MESSAGE_BYTES = 8 * 1024 * 1024 - 64 * 1024;
const BUFFERED_BYTES_MAX = 32 * 1024 * 1024;

const [cluster = "", n1 = "", n2 = "", n3 = "", bytes = "0"] = process.argv.slice(2);

/** A member that n1 takes for what it says, and what it is told. */
function puppet(name: string, url: string, take: (message: Message) => void) {
  const system = new ActorSystem({ environment: realEnvironment, cluster, name, url, incarnation: `life of ${name}` });
  let peer: Peer | null = null;
  const real = system.ref(`${n1}/${NODE_ACTOR}`, nodeProtocol);
  system.spawn(NODE_ACTOR, nodeProtocol, (context) => {
    context.keepLink(n1);
    return (batch) => {
      for (const delivery of batch) {
        if (delivery.type === "link" && delivery.up) {
          peer = delivery.peer;
          real.tell({ type: "recognized" });
        }
        if (delivery.type !== "message" || delivery.message.type !== "raft") continue;
        take(decodeMessage(delivery.message.packed));
      }
    };
  });
  return (message: Message): void => {
    // More than that would break the link.
    if ((peer?.bufferedBytes ?? 0) < BUFFERED_BYTES_MAX) real.tell({ type: "raft", packed: encodeMessage(message) });
  };
}

const say = puppet("n2", n2, ({ type }) => {
  if (type === "heartbeat-response" || type === "append-rejected") console.log("answered");
});
puppet("n3", n3, () => {});

/** Entries that fit nowhere: n1 has to read all of them to learn that its leader lives. */
const append = (payloadBytes: number): Message => {
  const entry: Entry = {
    index: logIndex(1_000_001),
    term: TERM,
    kind: EntryKind.command,
    payload: new Uint8Array(payloadBytes),
  };
  const before = { prevLogIndex: logIndex(1_000_000), prevLogTerm: TERM, leaderCommit: logIndex(0) };
  return { type: "append-request", term: TERM, ...before, entries: [entry] };
};

const sign: Message =
  bytes === "0"
    ? { type: "heartbeat-request", term: TERM, round: 1, commitIndex: logIndex(0) }
    : append(Math.min(Number(bytes), MESSAGE_BYTES));
const everyMs = bytes === "0" ? HEARTBEAT_MS : 4 * HEARTBEAT_MS;
const beat = (): void => {
  say(sign);
  realEnvironment.clock.setTimer(everyMs, beat);
};
beat();
