/** A member whose strings the test holds: it speaks Raft with real nodes, and does what it is let. */

import type { ActorRef, ActorSystem } from "../../src/actor/index.ts";
import { decodeMessage, encodeMessage } from "../../src/node/raft-codec.ts";
import { NODE_ACTOR, nodeProtocol } from "../../src/protocol/node.ts";
import { logIndex, type Message } from "../../src/raft/index.ts";
import { Events } from "../support/network.ts";
import type { InProcess, NodeAnswer, NodeMessage } from "./in-process.ts";

export class Puppet {
  /** Votes for whoever asks. */
  grants = true;
  /** Acknowledges entries. */
  accepts = true;
  /** Answers heartbeats. */
  beats = true;
  readonly received = new Events<Message>();
  readonly system: ActorSystem;
  readonly real: ActorRef<NodeMessage, NodeAnswer>;

  /** The only real node is n1. */
  constructor(cluster: InProcess, id: string) {
    const url = cluster.urlOf(id);
    this.system = cluster.system(id, { url, incarnation: `life of ${id}` });
    this.real = cluster.ref(this.system, "n1");
    this.system.spawn(NODE_ACTOR, nodeProtocol, (context) => {
      context.keepLink(cluster.urlOf("n1"));
      return (batch) => {
        for (const delivery of batch) {
          if (delivery.type === "link" && delivery.up) this.real.tell({ type: "recognized" });
          if (delivery.type !== "message" || delivery.message.type !== "raft") continue;
          const message = decodeMessage(delivery.message.packed);
          const reply = this.#replyTo(message);
          if (reply !== null) this.say(reply);
          this.received.add(message);
        }
      };
    });
  }

  say(message: Message): void {
    this.real.tell({ type: "raft", packed: encodeMessage(message) });
  }

  #replyTo(message: Message): Message | null {
    const { term } = message;
    switch (message.type) {
      case "vote-request":
        return this.grants ? { type: "vote-response", term, preVote: message.preVote, refusal: null } : null;
      case "append-request": {
        const matchIndex = logIndex(message.prevLogIndex + message.entries.length);
        return this.accepts ? { type: "append-accepted", term, matchIndex } : null;
      }
      case "heartbeat-request":
        return this.beats ? { type: "heartbeat-response", term, round: message.round } : null;
      default:
        return null;
    }
  }
}
