/** What is remembered of a client (thesis, 6.3). */

import type { Outcome } from "./commands.ts";
import type { Tree } from "./tree.ts";

export interface Session {
  /** The number of the next command to apply. */
  next: number;
  /** Those of the last commands before the next one, as far back as the client may still ask for them. */
  outcomes: Outcome[];
  /** How many snapshots had been taken when it was made: each that came later may still have to tell it as it is. */
  readonly era: number;
}

/** By id, which is the index of the entry that opened it. Cheap to clone, for snapshots. */
export type Sessions = Tree<number, Session>;

/** The number of the first command whose outcome is kept. */
export const firstKept = ({ next, outcomes }: Session): number => next - outcomes.length;

/** The client waits for nothing before `floor`: what is missing there must not take effect later. */
export function raiseFloor(session: Session, floor: number): void {
  const first = firstKept(session);
  if (floor > first) session.outcomes = session.outcomes.slice(floor - first);
  if (floor > session.next) session.next = floor;
}
