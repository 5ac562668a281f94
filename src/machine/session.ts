/** What is remembered of a client (thesis, 6.3). */

import type { Outcome } from "./commands.ts";
import type { Tree } from "./tree.ts";

export interface Session {
  /** The number of the next command to apply. */
  next: number;
  /** Outcomes that the client may still ask for, by number, in ascending order. */
  readonly outcomes: Map<number, Outcome>;
  /** How many snapshots had been taken when it was made: each that came later may still have to tell it as it is. */
  readonly era: number;
}

/** By id, which is the index of the entry that opened it. Cheap to clone, for snapshots. */
export type Sessions = Tree<number, Session>;
