/**
 * Which members have no room on their disks. As long as a quorum has room everything goes on; without one nothing could
 * be committed, and commands are refused before they get into the log, with a code that says why.
 */

import { ConclaveError } from "../errors.ts";
import { configurationOf, isQuorum, type Raft } from "../raft/index.ts";

export class DiskRoom {
  readonly #raft: Raft;
  readonly #full = new Set<string>();

  constructor(raft: Raft) {
    this.#raft = raft;
  }

  /** Is this node's own disk full? */
  get isFull(): boolean {
    return this.#full.has(this.#raft.config.id);
  }

  /** A member says so, of itself. */
  note(id: string, isFull: boolean): void {
    if (isFull) this.#full.add(id);
    else this.#full.delete(id);
  }

  /** @throws ConclaveError `DISK_FULL` if nothing can be written */
  check(): void {
    if (this.#full.size === 0) return;
    const configuration = configurationOf(this.#raft);
    if (isQuorum(configuration, (id) => !this.#full.has(id))) return;
    const names = configuration.members.flatMap(({ id }) => (this.#full.has(id) ? [id] : [])).join(", ");
    throw new ConclaveError(
      "DISK_FULL",
      `The disks of ${names} are full: nothing is written until there is room again.`,
    );
  }
}
