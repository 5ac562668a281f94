/** Commands that were proposed here and wait for their entry to be applied. */

import type { Answer } from "../actor/index.ts";
import { ConclaveError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { type Applied, encodeOutcomes } from "../machine/commands.ts";
import type { LeaderView } from "../protocol/leader.ts";
import type { NodeAnswer } from "../protocol/node.ts";
import type { ProposalOutcome } from "../raft/index.ts";

interface Waiting {
  readonly bytes: number;
  /** Null for what the node itself proposed. */
  readonly answer: Answer<NodeAnswer> | null;
}

interface Placed extends Waiting {
  readonly term: number;
}

export class Proposals {
  readonly #limits: Limits;
  /** Given to the core, place in the log not known yet. */
  readonly #offered = new Map<number, Waiting>();
  readonly #placed = new Map<number, Placed>();
  #bytes = 0;
  #lastTicket = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get isFull(): boolean {
    const count = this.#offered.size + this.#placed.size;
    return count >= this.#limits.proposalsMax || this.#bytes >= this.#limits.proposalBytesMax;
  }

  /** The ticket for a proposal. */
  offer(payload: Uint8Array, answer: Answer<NodeAnswer> | null): number {
    const bytes = payload.byteLength;
    this.#lastTicket++;
    this.#bytes += bytes;
    this.#offered.set(this.#lastTicket, { bytes, answer });
    return this.#lastTicket;
  }

  /** The core has found a place for it, or none. */
  place(outcome: ProposalOutcome, view: LeaderView): void {
    const waiting = this.#offered.get(outcome.ticket);
    if (waiting === undefined) return;
    this.#offered.delete(outcome.ticket);
    if ("index" in outcome) {
      this.#placed.set(outcome.index, { ...waiting, term: outcome.term });
      return;
    }
    this.#bytes -= waiting.bytes;
    waiting.answer?.fail(
      outcome.refusal === "not-leader"
        ? notLeader(view)
        : new ConclaveError("BUSY", "Leadership is being handed over: try again in a moment."),
    );
  }

  /** The entry at `index` was applied: if it is the one that was proposed, its proposer is answered. */
  applied(index: number, term: number, applied: Applied | null): void {
    const placed = this.#placed.get(index);
    if (placed === undefined) return;
    this.#placed.delete(index);
    this.#bytes -= placed.bytes;
    if (placed.term !== term) placed.answer?.fail(unknownOutcome());
    else if (placed.answer !== null) answerWith(placed.answer, applied);
  }

  /** This node leads no more: whether what waits here will be committed is for others to say. */
  abandon(): void {
    for (const { answer, bytes } of this.#placed.values()) {
      this.#bytes -= bytes;
      answer?.fail(unknownOutcome());
    }
    this.#placed.clear();
  }
}

function answerWith(answer: Answer<NodeAnswer>, applied: Applied | null): void {
  switch (applied?.type) {
    case "outcomes":
      answer.ok({ type: "outcomes", outcomes: encodeOutcomes(applied.outcomes) });
      return;
    case "session-opened":
      answer.ok({ type: "session", session: applied.session });
      return;
    case "session-unknown":
      answer.fail(sessionExpired());
      return;
    default:
      answer.fail(new ConclaveError("BAD_MESSAGE", "The entry held nothing to answer."));
  }
}

export const notLeader = (view: LeaderView): ConclaveError =>
  new ConclaveError("NOT_LEADER", view.leader === null ? "No leader is known." : `${view.leader.id} leads.`, {
    details: { view },
  });

export const sessionExpired = (): ConclaveError =>
  new ConclaveError("SESSION_EXPIRED", "The session has ended: it was idle for too long.");

const unknownOutcome = (): ConclaveError =>
  new ConclaveError("UNKNOWN_OUTCOME", "Leadership was lost before the command was committed.");
