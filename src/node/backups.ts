/**
 * Copies of the replicated state for those who make backups. One is a snapshot like any other, which this node keeps for
 * as long as it is drawn; the bytes are taken part by part, as nodes take them from each other.
 */

import type { Answer, Peer } from "../actor/index.ts";
import type { Clock } from "../environment.ts";
import { busy, ConclaveError, messageOf } from "../errors.ts";
import type { Replica } from "../machine/index.ts";
import type { NodeAnswer } from "../protocol/node.ts";
import type { SnapshotInfo, SnapshotStore } from "../storage/index.ts";

export interface BackupsParts {
  readonly clock: Clock;
  readonly replica: Pick<Replica, "appliedIndex">;
  readonly store: Pick<SnapshotStore, "latest">;
  /** What stands before the snapshot in a backup. */
  readonly origin: Uint8Array;
  /** Takes a snapshot, of this moment at the earliest. @throws ConclaveError */
  take(): Promise<SnapshotInfo>;
  /** A part of a snapshot. @throws ConclaveError */
  serve(index: number, offset: number): Promise<NodeAnswer>;
  /** The link to this client is to be watched. */
  watch(peer: Peer): void;
}

/** So many may be made at a time. */
const BACKUPS_MAX = 2;
/** How soon there may be room for another. */
const RETRY_MS = 1_000;
/** How long it is kept for one who draws nothing of it: while the link stands, and after it was lost. */
const IDLE_MS_MAX = 600_000;
const UNLINKED_MS_MAX = 30_000;

/** One that is being drawn. */
interface Drawn {
  /** The process that draws it, whatever links it has. */
  readonly process: string | null;
  /** The link that it was last drawn over; null if that is lost. */
  peer: Peer | null;
  /** Null until it is taken. */
  index: number | null;
  isBeingRead: boolean;
  expiresMs: number;
}

export class Backups {
  readonly #parts: BackupsParts;
  readonly #drawn = new Set<Drawn>();

  constructor(parts: BackupsParts) {
    this.#parts = parts;
  }

  /** The snapshots that must stay. */
  get held(): number[] {
    return [...this.#drawn].flatMap(({ index }) => (index === null ? [] : [index]));
  }

  /** Somebody wants a copy of the state as it is now, or later. */
  begin(peer: Peer | null, answer: Answer<NodeAnswer>): void {
    const { store, replica, origin, take, watch } = this.#parts;
    const process = processOf(peer);
    // What the same process has drawn over a link that is lost, it would have gone on with.
    for (const drawn of this.#drawn) if (drawn.process === process && drawn.peer === null) this.#drawn.delete(drawn);
    this.tend();
    if (this.#drawn.size >= BACKUPS_MAX) {
      answer.fail(busy(`${BACKUPS_MAX} backups are being made already.`, RETRY_MS));
      return;
    }
    const drawn: Drawn = { process, peer, index: null, isBeingRead: false, expiresMs: this.#after(IDLE_MS_MAX) };
    this.#drawn.add(drawn);
    if (peer !== null) watch(peer);
    const { latest } = store;
    const isNew = latest !== null && latest.index >= replica.appliedIndex;
    (isNew ? Promise.resolve(latest) : take()).then(
      ({ index, bytes }) => {
        drawn.index = index;
        answer.ok({ type: "snapshot", index, total: bytes, origin });
      },
      (error: unknown) => {
        this.#drawn.delete(drawn);
        answer.fail(error instanceof ConclaveError ? error : new ConclaveError("DISK_FAILED", messageOf(error)));
      },
    );
  }

  /** The next part, for the one who draws it. @throws ConclaveError `COMPACTED`, `BUSY` */
  read(index: number, offset: number, peer: Peer | null, answer: Answer<NodeAnswer>): void {
    const drawn = this.#find(index, peer);
    if (drawn === undefined) {
      throw new ConclaveError("COMPACTED", `No snapshot of entry ${index} is kept for you: have a new one taken.`);
    }
    if (drawn.isBeingRead) throw busy("A part of it is being read already.", RETRY_MS);
    drawn.isBeingRead = true;
    drawn.expiresMs = this.#after(IDLE_MS_MAX);
    if (peer !== null && drawn.peer !== peer) this.#parts.watch(peer);
    drawn.peer = peer;
    this.#parts
      .serve(index, offset)
      .then(answer.ok, answer.fail)
      .finally(() => {
        drawn.isBeingRead = false;
      });
  }

  /** A node draws it, as nodes do. */
  touch(index: number, peer: Peer): void {
    const drawn = this.#find(index, peer);
    if (drawn !== undefined) drawn.expiresMs = this.#after(IDLE_MS_MAX);
  }

  /** The one who draws it has all of it, or wants no more. */
  release(index: number, peer: Peer): void {
    const drawn = this.#find(index, peer);
    if (drawn !== undefined) this.#drawn.delete(drawn);
  }

  linkLost(peer: Peer): void {
    for (const drawn of this.#drawn) {
      if (drawn.peer !== peer) continue;
      drawn.peer = null;
      drawn.expiresMs = this.#after(UNLINKED_MS_MAX);
    }
  }

  /** Lets go of what nobody has drawn for too long. */
  tend(): void {
    const nowMs = this.#parts.clock.nowMs();
    for (const drawn of this.#drawn) if (drawn.expiresMs <= nowMs) this.#drawn.delete(drawn);
  }

  #find(index: number, peer: Peer | null): Drawn | undefined {
    const process = processOf(peer);
    return [...this.#drawn].find((drawn) => drawn.index === index && drawn.process === process);
  }

  #after(ms: number): number {
    return this.#parts.clock.nowMs() + ms;
  }
}

const processOf = (peer: Peer | null): string | null => peer?.hello.process ?? null;
