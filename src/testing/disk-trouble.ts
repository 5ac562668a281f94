/** What may happen to the disks of a simulated cluster, beside crashes. */

import type { Dice } from "./dice.ts";
import type { Operation } from "./memory-disk.ts";
import type { Undo } from "./network.ts";
import { coldSegments, flipOne, newestSnapshot, type Place } from "./place.ts";

export class DiskTrouble {
  readonly #placeOf: (id: string) => Place;

  constructor(placeOf: (id: string) => Place) {
    this.#placeOf = placeOf;
  }

  slow(id: string, syncMsMax: number): Undo {
    const { slowed } = this.#placeOf(id);
    const own = { syncMsMax };
    slowed.add(own);
    return () => void slowed.delete(own);
  }

  /** There is room for so many more bytes, whatever happens to the machine. */
  fill(id: string, roomBytes: number): Undo {
    const place = this.#placeOf(id);
    const own = {};
    place.filled.add(own);
    place.memory.roomBytes = roomBytes;
    return () => {
      if (place.filled.delete(own) && place.filled.size === 0) place.memory.roomBytes = Number.POSITIVE_INFINITY;
    };
  }

  /** Lets one be as fast as it was, have room, and not fail. */
  heal(id: string): void {
    const { slowed, filled, memory } = this.#placeOf(id);
    slowed.clear();
    filled.clear();
    memory.roomBytes = Number.POSITIVE_INFINITY;
    memory.forgetFaults();
  }

  failNext(id: string, operation: Operation): void {
    this.#placeOf(id).memory.failNext(operation, "EIO");
  }

  /** What a crash of the machine could leave: see `Crash`. */
  unsynced(id: string): { readonly bytes: number; readonly names: number } {
    const { memory } = this.#placeOf(id);
    return { bytes: memory.unsyncedBytes, names: memory.unsyncedNames };
  }

  /** Turns over a bit of what a machine that does not run has on its disk. False if all of it may be torn. */
  damage(id: string, dice: Dice): boolean {
    const place = this.#placeOf(id);
    const { memory } = place;
    const identity = memory.paths().filter((path) => path.endsWith("/identity.json"));
    const snapshots = dice.chance(0.5) ? newestSnapshot(memory) : [];
    place.bad = flipOne(memory, snapshots.length > 0 ? snapshots : [...coldSegments(memory), ...identity], dice);
    if (place.bad !== null) place.data = "damaged";
    return place.bad !== null;
  }

  /** The same on the disk of one that runs, and that reads it again only if it has to. */
  rot(id: string, dice: Dice): string | null {
    const place = this.#placeOf(id);
    // While it starts it reads everything.
    if (place.node === null || place.data !== "sound") return null;
    const { memory } = place;
    // What has come of a snapshot from another node is looked at again before more is added to it.
    const partial = memory.paths().filter((path) => path.endsWith(".part"));
    if (partial.length > 0) {
      place.spoilt = flipOne(memory, partial, dice);
      return place.spoilt?.path ?? null;
    }
    // One whose name is not durable yet was never seen whole by whoever looks at the disk.
    const whole = newestSnapshot(memory).filter((path) => memory.durableBytesOf(path) !== null);
    const snapshots = dice.chance(0.6) ? whole : [];
    place.bad = flipOne(memory, snapshots.length > 0 ? snapshots : coldSegments(memory), dice);
    if (place.bad !== null) place.data = "rotten";
    return place.bad?.path ?? null;
  }
}
