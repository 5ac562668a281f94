/** What a user's replicated state machine has to be. */

/** Where in the log a command stands: the same on every replica. */
export interface ApplyContext {
  readonly index: number;
}

/** A state on its way into a machine, piece by piece, beside the one that the machine has. */
export interface Replacement {
  /**
   * Takes the next piece of what `snapshot` gave elsewhere. It is applied like a command: the same on every replica, and
   * in no more time than a command may take. What is kept of the piece has to be copied.
   *
   * @throws if it is no such piece
   */
  add(piece: Uint8Array): void;
  /** What was added so far, as pieces that make the same of a new replacement; as it is at the call, like a snapshot. */
  snapshot(): Iterable<Uint8Array>;
  /**
   * Puts it in the place of the machine's state, all at once.
   *
   * @throws if the pieces are not all there; then the machine's state stays as it was
   */
  commit(): void;
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
  /**
   * Answers a question that may have to wait for what it asks about; null if it has to: then it is asked again after
   * more was applied. A machine without this method takes no such questions.
   */
  poll?(query: Uint8Array): Uint8Array | null;
  /**
   * The whole state, in pieces of bounded size. It is as it was at the call: the pieces are drawn one by one while
   * `apply` goes on, and no more of them than are wanted. The same state gives the same pieces on every replica.
   */
  snapshot(): Iterable<Uint8Array>;
  /**
   * Replaces the state by one that `snapshot` gave, once all of its pieces have come. They are read from the disk one by
   * one as they are asked for; should they end in an error, the old state stays as it was.
   *
   * @throws if the pieces are not what `snapshot` gave, or can't be read
   */
  restore(pieces: AsyncIterable<Uint8Array>): Promise<void>;
  /**
   * Begins to take in a state from a backup, which comes through the log as commands do. A machine without this method
   * can't be restored from a backup.
   */
  replacement?(): Replacement;
  /** Is there nothing in it that a backup would replace? A machine without this method is never taken for empty. */
  isEmpty?(): boolean;
}
