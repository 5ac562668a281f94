/** What is remembered of a client (thesis, 6.3). */

import type { Outcome } from "./commands.ts";
import type { Tree } from "./tree.ts";

export interface Session {
  /** The number of the next command to apply. */
  next: number;
  /** Those of the last commands before the next one, as far back as the client may still ask for them. */
  outcomes: Outcome[];
  /** What those take, together. */
  outcomeBytes: number;
  /** How many snapshots had been taken when it was made: each that came later may still have to tell it as it is. */
  readonly era: number;
}

/** By id, which is the index of the entry that opened it. Cheap to clone, for snapshots. */
export type Sessions = Tree<number, Session>;

/** The number of the first command whose outcome is kept. */
export const firstKept = ({ next, outcomes }: Session): number => next - outcomes.length;

/** A session that was not used yet. */
export const newSession = (era: number): Session => ({ next: 1, outcomes: [], outcomeBytes: 0, era });

/**
 * A session whose client has so much left to hear takes no further commands from it: they are as if they had not come,
 * and come again once the client has heard. Results of ordinary size never add up to this.
 */
const OUTCOME_BYTES_MAX = 4 * 1024 * 1024;

export const hasRoom = ({ outcomeBytes }: Session): boolean => outcomeBytes < OUTCOME_BYTES_MAX;

/** Remembers how the next command ended. */
export function keep(session: Session, outcome: Outcome): void {
  session.outcomes.push(outcome);
  session.outcomeBytes += bytesOf(outcome);
}

/** The client waits for nothing before `floor`: what is missing there must not take effect later. */
export function raiseFloor(session: Session, floor: number): void {
  const first = firstKept(session);
  if (floor > first) {
    for (const heard of session.outcomes.splice(0, floor - first)) session.outcomeBytes -= bytesOf(heard);
  }
  if (floor > session.next) session.next = floor;
}

const bytesOf = (outcome: Outcome): number => (outcome.type === "applied" ? outcome.result.byteLength : 0);
