/** Requests to change the members, until the change is through, or given up. */

import type { Answer } from "../actor/index.ts";
import { ConclaveError, type ErrorCode } from "../errors.ts";
import type { LeaderView } from "../protocol/leader.ts";
import type { NodeAnswer } from "../protocol/node.ts";
import {
  type ChangeOutcome,
  type ChangeRefusal,
  isJoint,
  logIndex,
  newestOf,
  type ProposalRefusal,
  type Raft,
} from "../raft/index.ts";
import { notLeader } from "./proposals.ts";

/** More wait for nothing: one change is made at a time. */
const WAITING_MAX = 1_000;

export class Changes {
  readonly #raft: Raft;
  readonly #offered = new Map<number, Answer<NodeAnswer> | null>();
  #placed: { readonly index: number; readonly term: number; readonly answer: Answer<NodeAnswer> | null }[] = [];
  #lastTicket = 0;

  constructor(raft: Raft) {
    this.#raft = raft;
  }

  /** The ticket for a change; null for one that the node itself wants. @throws ConclaveError `BUSY` */
  offer(answer: Answer<NodeAnswer> | null): number {
    if (this.#offered.size + this.#placed.length >= WAITING_MAX) {
      throw new ConclaveError("BUSY", "Too many changes of the members wait.");
    }
    this.#offered.set(++this.#lastTicket, answer);
    return this.#lastTicket;
  }

  /** The core has begun it, or will not. */
  place(outcome: ChangeOutcome, view: LeaderView): void {
    const answer = this.#offered.get(outcome.ticket) ?? null;
    this.#offered.delete(outcome.ticket);
    if ("refusal" in outcome) answer?.fail(refused(outcome.refusal, view));
    else if (outcome.index === null) answer?.ok({ type: "done" });
    else this.#placed.push({ index: outcome.index, term: outcome.term, answer });
  }

  /** Answers those whose change is through: committed, and the way to it left behind. */
  settle(): void {
    if (this.#placed.length === 0) return;
    const { commitIndex, role, log } = this.#raft;
    const { index: newest, configuration } = newestOf(this.#raft);
    // A leader that was removed leads no more when that is through, and knows it all the same.
    const isThrough = newest <= commitIndex && !isJoint(configuration);
    const placed = this.#placed;
    this.#placed = [];
    for (const one of placed) {
      const { index, term, answer } = one;
      if (isThrough && index <= commitIndex && log.termAt(logIndex(index)) === term) answer?.ok({ type: "done" });
      else if (role.name === "leader") this.#placed.push(one);
      // Whoever leads now sees through what the log holds; whether it holds this is not known here.
      else answer?.fail(unknown());
    }
  }
}

const unknown = (): ConclaveError =>
  new ConclaveError("UNKNOWN_OUTCOME", "Leadership was lost before the change was through: ask for the members.");

const REASONS: Readonly<Record<Exclude<ChangeRefusal, { id: string }>["reason"], [ErrorCode, string]>> = {
  "not-ready": ["BUSY", "The leader is new and does not know yet what is committed."],
  "in-progress": ["CHANGE_IN_PROGRESS", "Another change of the members is under way."],
  "no-voters-left": ["INVALID_ARGUMENT", "Nobody would be left who may vote."],
};

const REASONS_OF_MEMBERS: Readonly<Record<Extract<ChangeRefusal, { id: string }>["reason"], string>> = {
  "unknown-member": "is no member",
  "member-exists": "is a member already",
  "not-a-learner": "is no learner",
  "not-a-voter": "is no voter",
};

function refused(refusal: ProposalRefusal | ChangeRefusal, view: LeaderView): ConclaveError {
  if (refusal === "not-leader") return notLeader(view);
  if (refusal === "transferring") return new ConclaveError("BUSY", "Leadership is being handed over.");
  if ("id" in refusal) {
    return new ConclaveError("INVALID_ARGUMENT", `${refusal.id} ${REASONS_OF_MEMBERS[refusal.reason]}.`);
  }
  const [code, message] = REASONS[refusal.reason];
  return new ConclaveError(code, message);
}
