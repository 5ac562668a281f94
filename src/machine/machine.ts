/** What a user's replicated state machine has to be. */

/** Where in the log a command stands: the same on every replica. */
export interface ApplyContext {
  readonly index: number;
}

/**
 * State that a log of commands drives. Every replica applies the same commands in the same order and must come to the
 * same state: no clock, no randomness, no I/O in `apply`. Commands, queries and results are bytes that only the
 * machine and its clients understand.
 */
export interface StateMachine {
  /**
   * Applies one command and returns its result. Must not throw: a command that can't be carried out is a result too.
   */
  apply(command: Uint8Array, context: ApplyContext): Uint8Array;
  /** Answers a question about the state without changing it. */
  query(query: Uint8Array): Uint8Array;
  /** The whole state, in pieces of bounded size; it must stay as it was at the call while `apply` goes on. */
  snapshot(): Iterable<Uint8Array>;
  /** Replaces the state by one that `snapshot` gave. @throws if the pieces are not that */
  restore(pieces: Iterable<Uint8Array>): void;
}
