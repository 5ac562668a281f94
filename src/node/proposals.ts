/** Commands that were proposed here and wait for their entry to be applied. */

import type { Answer } from "../actor/index.ts";
import type { Clock } from "../environment.ts";
import { busy, ConclaveError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { type Applied, encodeOutcomes } from "../machine/commands.ts";
import { PassingMap } from "../passing.ts";
import type { LeaderView } from "../protocol/leader.ts";
import type { NodeAnswer } from "../protocol/node.ts";
import type { ProposalOutcome } from "../raft/index.ts";
import { Room, type Stay } from "./room.ts";

/** A hand-over is over sooner than this, or takes an election timeout to fail. */
const TRANSFER_RETRY_MS = 50;

interface Waiting {
  readonly stay: Stay;
  /** Null for what the node itself proposed. */
  readonly answer: Answer<NodeAnswer> | null;
}

interface Placed extends Waiting {
  readonly term: number;
}

export class Proposals {
  readonly #room: Room;
  /** Given to the core, place in the log not known yet. */
  readonly #offered = new PassingMap<number, Waiting>();
  readonly #placed = new PassingMap<number, Placed>();
  #lastTicket = 0;

  constructor(limits: Limits, clock: Clock) {
    this.#room = new Room({
      clock,
      what: "uncommitted commands",
      countMax: limits.proposalsMax,
      bytesMax: limits.proposalBytesMax,
      linkCountMax: limits.linkProposalsMax,
      linkBytesMax: limits.linkProposalBytesMax,
      waitMsMax: limits.proposalWaitMsMax,
    });
  }

  /** May another one be offered that came over this link? @throws ConclaveError `BUSY` */
  checkRoom(link: object | null): void {
    this.#room.check(link);
  }

  /** The ticket for a proposal. */
  offer(payload: Uint8Array, answer: Answer<NodeAnswer> | null, link: object | null): number {
    this.#lastTicket++;
    this.#offered.set(this.#lastTicket, { stay: this.#room.enter(link, payload.byteLength), answer });
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
    this.#room.giveUp(waiting.stay);
    waiting.answer?.fail(
      outcome.refusal === "not-leader"
        ? notLeader(view)
        : busy("Leadership is being handed over: try again in a moment.", TRANSFER_RETRY_MS),
    );
  }

  /** The entry at `index` was applied: if it is the one that was proposed, its proposer is answered. */
  applied(index: number, term: number, applied: Applied | null): void {
    const placed = this.#placed.get(index);
    if (placed === undefined) return;
    this.#placed.delete(index);
    this.#room.leave(placed.stay);
    if (placed.term !== term) placed.answer?.fail(unknownOutcome());
    else if (placed.answer !== null) answerWith(placed.answer, index, applied);
  }

  /** What becomes of all that waits here is for others to say. Followers ask for it in every turn: nothing may cost nothing. */
  abandon(why: ConclaveError | null = null): void {
    if (this.#placed.size === 0) return;
    const reason = why ?? unknownOutcome();
    for (const { answer, stay } of this.#placed.values()) {
      this.#room.giveUp(stay);
      answer?.fail(reason);
    }
    this.#placed.clear();
  }
}

function answerWith(answer: Answer<NodeAnswer>, index: number, applied: Applied | null): void {
  switch (applied?.type) {
    case "outcomes":
      answer.ok({ type: "outcomes", index, outcomes: encodeOutcomes(applied.outcomes) });
      return;
    case "session-opened":
      answer.ok({ type: "session", session: applied.session });
      return;
    case "session-unknown":
      answer.fail(sessionExpired());
      return;
    case "comparing":
      answer.ok({ type: "done" });
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
