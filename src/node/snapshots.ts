/** Everything about snapshots on one node: taken, offered, drawn, restored from, and what goes away because of them. */

import type { Peer } from "../actor/index.ts";
import type { Clock } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import type { Replica } from "../machine/index.ts";
import type { NodeAnswer } from "../protocol/node.ts";
import type { Effects, LogIndex, Offer, Raft, RaftEvent, Snapshot } from "../raft/index.ts";
import { encodeOrigin, type SnapshotStore, type Wal } from "../storage/index.ts";
import type { Applier } from "./applier.ts";
import { Backups } from "./backups.ts";
import { SnapshotTransfer, type TransferStory } from "./snapshot-transfer.ts";
import { Snapshotter, type SnapshotterStory } from "./snapshotter.ts";

export type SnapshotStory =
  | SnapshotterStory
  | TransferStory
  /** The state is wrong, and the one of a snapshot takes its place. */
  | { readonly event: "state-replaced"; readonly index: number; readonly from: string };

/** What comes back from the disk, for the next batch. */
export type SnapshotEvent =
  | { readonly type: "snapshot-taken"; readonly snapshot: Snapshot }
  | { readonly type: "snapshot-received"; readonly snapshot: Snapshot }
  | { readonly type: "snapshot-lost"; readonly index: LogIndex }
  | { readonly type: "compact"; readonly index: LogIndex };

export interface SnapshotsParts {
  readonly clock: Clock;
  readonly raft: Raft;
  readonly replica: Replica;
  readonly applier: Applier;
  readonly wal: Wal;
  readonly store: SnapshotStore;
  readonly limits: Limits;
  /** The name of the cluster. */
  readonly cluster: string;
  /** The link to this client is to be watched. */
  watch(peer: Peer): void;
  /** Asks a node for the next part of a snapshot. @throws ConclaveError */
  ask(from: string, index: number, offset: number): Promise<NodeAnswer>;
  /** Puts it into the node's own mailbox. */
  post(event: SnapshotEvent): void;
  /** Is the state not known to be wrong; or is it right again, whether or not others may know yet? */
  isSound(): boolean;
  isRight(): boolean;
  /** The state is that of another node now, at that entry: there may be more to apply, and to answer. */
  onRestored(index: number): void;
  /** A snapshot that the state had to go on from can't be read. */
  onFatal(error: unknown): void;
  readonly tell: (story: SnapshotStory) => void;
}

/** How much of a snapshot goes over a link at once. */
const PART_BYTES_MAX = 512 * 1024;

export class Snapshots {
  readonly #parts: SnapshotsParts;
  readonly #snapshotter: Snapshotter;
  readonly #transfer: SnapshotTransfer;
  readonly backups: Backups;
  #hasNew = false;
  /** The core has let go of the log up to here; at the start, a life before may have ended before the disk did. */
  #compactTo: LogIndex | null;
  /** The state goes on from one snapshot after the other. */
  #restoring: Promise<void> = Promise.resolve();
  /** The one that is to take the place of a state that is wrong. */
  #replacement: Replacement | null = null;

  constructor(parts: SnapshotsParts) {
    const { raft, store, limits, cluster, post, ask, tell } = parts;
    this.#parts = parts;
    this.#compactTo = raft.log.base.index;
    this.#snapshotter = new Snapshotter({
      ...parts,
      isSound: parts.isRight,
      held: () => this.backups.held,
      logBytesMax: limits.logBytesMax,
      onTaken: (snapshot) => post({ type: "snapshot-taken", snapshot }),
      onCompactable: (index) => post({ type: "compact", index }),
    });
    this.#transfer = new SnapshotTransfer({
      store,
      incarnation: raft.config.incarnation,
      partBytesMax: Math.min(PART_BYTES_MAX, limits.messageBytesMax / 2),
      ask,
      isWanted: (index) => index > raft.commitIndex || index === this.#replacement?.offer.snapshot.index,
      tell,
      onReceived: (snapshot) => post({ type: "snapshot-received", snapshot }),
      onDamaged: (index) => post({ type: "snapshot-lost", index: index as LogIndex }),
    });
    this.backups = new Backups({
      ...parts,
      origin: encodeOrigin(cluster),
      take: () => this.#snapshotter.next(),
      serve: (index, offset) => this.serve(index, offset),
    });
  }

  /** Passes on to the core what has come from the disk. */
  note(event: SnapshotEvent, events: RaftEvent[]): void {
    events.push(event);
    const replacement = this.#replacement;
    if (event.type === "snapshot-received" && event.snapshot.index === replacement?.offer.snapshot.index) {
      replacement.isHere = true;
    }
    if (event.type === "snapshot-lost") this.#snapshotter.force();
    else if (event.type === "compact") this.#compactTo = event.index;
    else this.#hasNew = true;
  }

  /**
   * A part of a snapshot for another node.
   *
   * @throws ConclaveError `COMPACTED`, `DISK_FAILED`, `INVALID_ARGUMENT`; `DIVERGED` if it may hold what is wrong
   */
  async serve(index: number, offset: number): Promise<NodeAnswer> {
    if (!this.#parts.isSound()) throw new ConclaveError("DIVERGED", "What the snapshots of this node hold is wrong.");
    return this.#transfer.serve(index, offset);
  }

  /** The state is wrong, and so may be all that is being made of it. */
  discard(why: ConclaveError): void {
    this.#snapshotter.discard(why);
  }

  /** Takes one that is no older than this moment, and tells of which entry it is. @throws ConclaveError */
  async take(): Promise<number> {
    return (await this.#snapshotter.next()).index;
  }

  /**
   * Draws a snapshot whose state is to take the place of a wrong one, whatever that has come to. The log must go on from
   * its entry, which is committed.
   *
   * @param isNeeded asked once it is here: another one may have come first, and what is right must not go back
   * @returns whether it has; once that is settled
   */
  async replaceBy(offer: Offer, isNeeded: () => boolean): Promise<boolean> {
    await this.#snapshotter.settled(); // A snapshot of the wrong state must not come after it.
    return new Promise((resolve) => {
      const replacement = { offer, isNeeded, isHere: false, end: resolve };
      this.#replacement = replacement;
      this.#transfer.draw(offer, (received) => {
        if (received) return;
        if (this.#replacement === replacement) this.#replacement = null;
        resolve(false);
      });
    });
  }

  /** Carries out what the core has decided; before anything else is applied. */
  carryOut({ offer, restore }: Effects): void {
    if (offer !== null) this.#transfer.draw(offer);
    if (restore !== null) this.#restore(restore);
    if (this.#replacement?.isHere === true) this.#replace(this.#replacement);
  }

  /** What the core has let go of leaves the disk; what it could let go of, and what is to be taken, is begun. */
  tend(): void {
    if (this.#parts.applier.isPaused) return; // What is being restored from must not go away under it.
    if (this.#compactTo !== null) void this.#snapshotter.compact(this.#compactTo);
    this.#compactTo = null;
    if (this.#hasNew) this.#snapshotter.propose();
    this.#hasNew = false;
    this.#snapshotter.tend();
  }

  /** Looks whether more of the log can go: whoever needed it may have it by now. */
  keepHouse(): void {
    this.backups.tend();
    this.#snapshotter.propose();
  }

  stop(): void {
    this.#snapshotter.stop();
    this.#transfer.stop();
  }

  /** The state goes on from the snapshot. Until that is read, nothing is applied. */
  #restore({ index }: Snapshot): void {
    const { replica, store } = this.#parts;
    void this.#afterAnother(index, () => replica.restore(index, store.read(index)));
  }

  /** The same, although the state may have come further: it was wrong. */
  #replace({ offer, isNeeded, end }: Replacement): void {
    const { raft, replica, store, tell } = this.#parts;
    const { from, snapshot } = offer;
    const { index } = snapshot;
    this.#replacement = null;
    // A newer one has come since, and the log may go on behind that.
    if (!isNeeded() || raft.snapshot.index > index) {
      end(false);
      return;
    }
    tell({ event: "state-replaced", index, from });
    void this.#afterAnother(index, () => replica.replace(index, store.read(index))).then(() => end(true));
  }

  #afterAnother(index: LogIndex, restore: () => Promise<void>): Promise<void> {
    const { applier, raft, onRestored, onFatal } = this.#parts;
    applier.pause();
    this.#restoring = this.#restoring.then(restore).then(() => {
      this.#compactTo = raft.log.base.index; // The core has let go of what is before it; the disk has not.
      applier.resume();
      onRestored(index);
    }, onFatal);
    return this.#restoring;
  }
}

/** A snapshot of another node that is to take the place of a wrong state. */
interface Replacement {
  readonly offer: Offer;
  isNeeded(): boolean;
  /** It is durable here. */
  isHere: boolean;
  /** To be told whether it has come about. */
  readonly end: (isDone: boolean) => void;
}
