/** Why a benchmark came to nothing, in one line. */

/** `WRONG_ANSWER`: the store has said what can't be. `FAILED`: something that has to run does not. Or a load's own code. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export const wrongAnswer = (message: string): Failure => new Failure("WRONG_ANSWER", message);
export const failed = (message: string): Failure => new Failure("FAILED", message);
/** Ctrl-C has reached a child that could not leave it to the benchmark yet; the benchmark may hear of it later. */
export const interrupted = (): Failure => new Failure("INTERRUPTED", "The benchmark was interrupted.");
