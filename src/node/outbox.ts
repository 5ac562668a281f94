/** The core's messages on their way out: at once, or as soon as what they promise is durable. */

import { NODE_ACTOR, nodeProtocol } from "../protocol/node.ts";
import type { Outgoing, Raft, RaftEvent } from "../raft/index.ts";
import type { Peers } from "./peers.ts";
import { encodeMessage } from "./raft-codec.ts";

export class Outbox {
  readonly #raft: Raft;
  readonly #peers: Peers;
  /** Messages that wait for what they promise to be durable. */
  #held: { readonly seq: number; readonly messages: readonly Outgoing[] }[] = [];
  #durableSeq = 0;
  /** Those to this node itself, which are durable. */
  readonly #own: Outgoing[] = [];

  constructor(raft: Raft, peers: Peers) {
    this.#raft = raft;
    this.#peers = peers;
  }

  /** The number of the newest write that is durable. */
  get durableSeq(): number {
    return this.#durableSeq;
  }

  send({ to, message }: Outgoing): void {
    const peer = this.#peers.get(to);
    if (peer === null) return;
    // The core sends again what is not acknowledged in time. To a follower that reads slowly it is still on its way, and
    // would pile up there until the link breaks; later on the core will find that it was not sent.
    const isClogged = peer.bufferedBytes >= 2 * this.#raft.config.appendBytesInFlightMax;
    if (message.type === "append-request" && isClogged) return;
    peer.ref(NODE_ACTOR, nodeProtocol).tell({ type: "raft", packed: encodeMessage(message) });
  }

  /** Keeps messages until every write so far is durable. True if that is so already: they are due for `release`. */
  hold(messages: readonly Outgoing[]): boolean {
    if (messages.length === 0) return false;
    this.#held.push({ seq: this.#raft.persistSeq, messages });
    return this.#durableSeq >= this.#raft.persistSeq;
  }

  /** Everything up to write `seq` is durable: what waited for it, and is for others, goes out. */
  durable(seq: number): void {
    this.#durableSeq = Math.max(this.#durableSeq, seq);
    const due = this.#held.filter(({ seq }) => seq <= this.#durableSeq);
    if (due.length === 0) return;
    this.#held = this.#held.filter(({ seq }) => seq > this.#durableSeq);
    for (const outgoing of due.flatMap(({ messages }) => messages)) {
      if (outgoing.to === this.#raft.config.id) this.#own.push(outgoing);
      else this.send(outgoing);
    }
  }

  /** The same, and what is for this node itself comes back in. */
  release(seq: number, events: RaftEvent[]): void {
    this.durable(seq);
    for (const { to, message } of this.#own.splice(0)) events.push({ type: "message", from: to, message });
  }
}
