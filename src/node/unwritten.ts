/**
 * What this node's own disk has not made durable. The others may commit without it: a leader whose disk hangs would go
 * on taking commands, and hold them all in memory.
 */

import type { Clock } from "../environment.ts";
import type { Limits } from "../limits.ts";
import { type Entry, entryBytes } from "../raft/index.ts";
import { Room, type Stay } from "./room.ts";

export class Unwritten {
  readonly #room: Room;
  /** On their way to the disk, in order. */
  readonly #writes: { readonly seq: number; readonly stay: Stay }[] = [];

  constructor(limits: Pick<Limits, "proposalBytesMax">, clock: Clock) {
    const unbounded = Number.POSITIVE_INFINITY;
    this.#room = new Room({
      clock,
      what: "writes to the leader's disk",
      countMax: unbounded,
      bytesMax: limits.proposalBytesMax,
      linkCountMax: unbounded,
      linkBytesMax: unbounded,
      waitMsMax: unbounded, // Nobody waits for this disk alone.
    });
  }

  /** @throws ConclaveError `BUSY` if the disk has enough to do */
  check(): void {
    this.#room.check(null);
  }

  writing(seq: number, entries: readonly Entry[]): void {
    const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
    this.#writes.push({ seq, stay: this.#room.enter(null, bytes) });
  }

  /** This write, and all before it, are durable. */
  written(seq: number): void {
    for (let oldest = this.#writes[0]; oldest !== undefined && oldest.seq <= seq; oldest = this.#writes[0]) {
      this.#writes.shift();
      this.#room.leave(oldest.stay);
    }
  }
}
