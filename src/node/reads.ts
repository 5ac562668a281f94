/** Questions about the state that wait until they may be answered. */

import type { Answer } from "../actor/index.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import { encodeList } from "../machine/commands.ts";
import type { Replica } from "../machine/index.ts";
import type { LeaderView } from "../protocol/leader.ts";
import type { NodeAnswer } from "../protocol/node.ts";
import type { ReadOutcome } from "../raft/index.ts";
import { notLeader } from "./proposals.ts";

interface Waiting {
  readonly queries: readonly Uint8Array[];
  readonly answer: Answer<NodeAnswer>;
}

export class Reads {
  readonly #replica: Replica;
  readonly #readsMax: number;
  /** By ticket, until the core has said from which index on they may be served. */
  readonly #asked = new Map<number, Waiting>();
  /** Those that wait for an index to be applied, lowest first. */
  readonly #confirmed: { readonly index: number; readonly read: Waiting }[] = [];
  #lastTicket = 0;

  constructor(replica: Replica, readsMax: number) {
    this.#replica = replica;
    this.#readsMax = readsMax;
  }

  /** The ticket for a linearizable read. @throws ConclaveError `BUSY` */
  ask(queries: readonly Uint8Array[], answer: Answer<NodeAnswer>): number {
    if (this.#asked.size + this.#confirmed.length >= this.#readsMax) {
      throw new ConclaveError("BUSY", "Too many reads wait on this node.");
    }
    this.#asked.set(++this.#lastTicket, { queries, answer });
    return this.#lastTicket;
  }

  /** Answers from the state as it is now. */
  serve(queries: readonly Uint8Array[], answer: Answer<NodeAnswer>): void {
    try {
      answer.ok({ type: "results", results: encodeList(queries.map((query) => this.#replica.query(query))) });
    } catch (error) {
      answer.fail(new ConclaveError("MACHINE_FAILED", `The state machine failed on a query: ${messageOf(error)}`));
    }
  }

  /** The core has spoken. */
  take(outcomes: readonly ReadOutcome[], view: LeaderView): void {
    for (const outcome of outcomes) {
      const read = this.#asked.get(outcome.ticket);
      if (read === undefined) continue;
      this.#asked.delete(outcome.ticket);
      if ("index" in outcome) this.#confirmed.push({ index: outcome.index, read });
      else read.answer.fail(notLeader(view));
    }
  }

  /** Serves what has waited for no more than has been applied; indices were confirmed in ascending order. */
  serveConfirmed(): void {
    const { appliedIndex } = this.#replica;
    const pending = this.#confirmed.findIndex(({ index }) => index > appliedIndex);
    const ready = this.#confirmed.splice(0, pending === -1 ? this.#confirmed.length : pending);
    for (const { read } of ready) this.serve(read.queries, read.answer);
  }
}
