/**
 * How far into the log of the cluster a client has seen: what makes its stale reads show its own writes and never go
 * back, whichever nodes answer (session guarantees: Terry et al., 1994). A node that is behind that does not answer.
 */

export class Horizon {
  #index = 0;

  /** Nothing that this client has seen comes after this entry. */
  get index(): number {
    return this.#index;
  }

  /** A node has answered that had applied so much. */
  saw(index: number): void {
    if (index > this.#index) this.#index = index;
  }

  /**
   * A node has answered that was sure to have applied whatever was committed when it was asked: a read that is
   * linearizable, or a command. Has it not come as far as had been seen by then, what was seen belongs to another log:
   * the cluster was begun anew since, and what is known of the old one says nothing about it.
   *
   * @param askedAt the horizon at the time of the question
   */
  sawNewest(index: number, askedAt: number): void {
    if (index < askedAt) this.#index = index;
    else this.saw(index);
  }
}
