/**
 * A node whose state is not what the majority has come to. Its log is right: it goes on voting and appending. Its state is
 * of no use to anybody, nor are the snapshots of it: it answers nothing until it has the state of a node that has agreed
 * with the majority. That it must not trust its own is durable before it asks for another, and for as long as it takes;
 * wherever a crash comes, the next start goes on from there.
 */

import type { Clock, Timer } from "../environment.ts";
import { ConclaveError, hasCode, messageOf } from "../errors.ts";
import type { NodeAnswer, NodeMessage } from "../protocol/node.ts";
import { knownLeader, type LogIndex, logIndex, type Offer, type Raft, type RaftEvent } from "../raft/index.ts";
import type { SnapshotStore } from "../storage/index.ts";

export type DivergenceStory =
  /** `others`: those that agree on another state at that entry; none if it was found out before this start. */
  | { readonly event: "diverged"; readonly index: number; readonly others: readonly string[] }
  /** It is tried again. */
  | { readonly event: "repair-delayed"; readonly reason: string }
  | { readonly event: "repaired"; readonly index: number }
  /** Nothing had to be done: what has come since, or a new start, has made up for it. */
  | { readonly event: "agrees-again"; readonly index: number };

/** The state is that of a majority, and the disk says so, too. */
export interface DivergenceEvent {
  readonly type: "trusted";
  readonly index: number;
  /** It is this node's own all the same. */
  readonly isOwn: boolean;
  /** Which time it was that it was wrong. */
  readonly count: number;
  /** Snapshots that are gone. */
  readonly removed: readonly LogIndex[];
}

export interface DivergenceParts {
  readonly clock: Clock;
  readonly raft: Raft;
  readonly store: Pick<SnapshotStore, "distrustedAt" | "distrust" | "trust">;
  /** The members that are reached, the likeliest first. */
  lenders(): readonly string[];
  ask(id: string, message: NodeMessage, timeoutMs: number): Promise<NodeAnswer>;
  tellTo(id: string, message: NodeMessage): void;
  /** See `Snapshots.replaceBy`. */
  replaceBy(offer: Offer, isNeeded: () => boolean): Promise<boolean>;
  /** Puts it into the node's own mailbox. */
  post(event: DivergenceEvent): void;
  /** From here on nobody is to get anything of the state. */
  onFound(why: ConclaveError): void;
  /** Takes a snapshot of the state as it is now, and tells of which entry that is. @throws ConclaveError */
  takeSnapshot(): Promise<number>;
  readonly tell: (story: DivergenceStory) => void;
}

/** How long another node may take to take a snapshot, which it then keeps for as long. */
const LEND_MS_MAX = 600_000;
const COMPARE_MS_MAX = 5_000;
/** Between one try and the next, and once all have been tried: longer and longer. */
const RETRY_MS = 250;
const RETRY_MS_MAX = 10_000;
/** How long the log may take to come to where another's snapshot ends, and how often that is looked for. */
const COMMIT_MS_MAX = 10_000;
const COMMIT_LOOK_MS = 20;
/** A leader tries again after so many election timeouts. */
const HAND_OVER_TIMEOUTS = 4;

export class Divergence {
  readonly #parts: DivergenceParts;
  /** The entry at which it was found out; null if the state is as good as any. */
  #since: number | null = null;
  /** The state is right by now, and the disk does not say so yet. */
  #isSettled = false;
  /** How often a state was found to be wrong: each is repaired for itself. */
  #count = 0;
  /** What is written down is written one after the other. */
  #writing: Promise<unknown> = Promise.resolve();
  #handOverMs = Number.NEGATIVE_INFINITY;
  #lastReason = "";
  readonly #timers = new Set<Timer>();
  #stopped = false;

  constructor(parts: DivergenceParts) {
    this.#parts = parts;
    this.#since = parts.store.distrustedAt;
  }

  /** Is the state not known to be wrong? */
  get isSound(): boolean {
    return this.#since === null;
  }

  /** Is it right, whether or not the disk says so yet? Then it may be written down. */
  get isRight(): boolean {
    return this.#since === null || this.#isSettled;
  }

  /** @throws ConclaveError `DIVERGED` */
  check(): void {
    if (this.#since !== null) throw divergedAt(this.#since);
  }

  /** Goes on with what a life before has found out. */
  start(): void {
    if (this.#since !== null) this.#begin(this.#since, []);
  }

  /** The state is wrong at that entry, or has been since before. */
  found(index: number, others: readonly string[]): void {
    if (this.#since !== null || this.#stopped) return;
    this.#since = index;
    this.#begin(index, others);
  }

  /** The state is that of a snapshot of another node. */
  replaced(index: number): void {
    if (this.#since === null || this.#stopped) return;
    this.#isSettled = true;
    void this.#settle(index, () => Promise.resolve(index));
  }

  /** The state is that of a majority at that entry. */
  agreed(index: number): void {
    if (this.#since === null || index < this.#since || this.#isSettled || this.#stopped) return;
    this.#isSettled = true;
    // A new start has come to another state than before, or what was wrong is there no more: older snapshots may have it.
    void this.#settle(index, this.#parts.takeSnapshot, true);
  }

  /** It counts from here on. */
  take({ index, isOwn, count, removed }: DivergenceEvent, events: RaftEvent[]): void {
    if (this.#since === null || count !== this.#count) return;
    this.#since = null;
    this.#isSettled = false;
    this.#lastReason = "";
    // Those who were offered one of them are to be offered another one.
    for (const lost of removed) events.push({ type: "snapshot-lost", index: lost });
    this.#parts.tell({ event: isOwn ? "agrees-again" : "repaired", index });
  }

  /** Who can't answer for its state had better not lead. */
  tend(events: RaftEvent[]): void {
    const { raft, clock } = this.#parts;
    if (this.#since === null || raft.role.name !== "leader") return;
    const nowMs = clock.nowMs();
    if (nowMs < this.#handOverMs) return;
    this.#handOverMs = nowMs + HAND_OVER_TIMEOUTS * raft.config.electionTimeoutMaxMs;
    events.push({ type: "transfer", to: null });
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers) timer.cancel();
  }

  #begin(index: number, others: readonly string[]): void {
    this.#parts.tell({ event: "diverged", index, others });
    this.#parts.onFound(divergedAt(index));
    const own = ++this.#count;
    // A leader may have sent its state meanwhile, because this node was behind.
    void this.#repair(index, () => this.#count === own && this.#since !== null && !this.#isSettled && !this.#stopped);
  }

  async #repair(since: number, isNeeded: () => boolean): Promise<void> {
    const { store, lenders } = this.#parts;
    let tries = 0;
    for (let round = 0; isNeeded(); tries++) {
      const ids = lenders();
      const id = ids[tries % Math.max(1, ids.length)];
      const isRoundOver = (tries + 1) % Math.max(1, ids.length) === 0;
      try {
        if (store.distrustedAt === null) await this.#write(() => store.distrust(since));
        if (id === undefined) throw new ConclaveError("UNREACHABLE", "No other member is reached.");
        if (await this.#drawFrom(id, since, isNeeded)) return;
      } catch (error) {
        // One that has yet to hear what the others have come to will lend its state in a moment.
        if (round > 0 || !hasCode(error, "BUSY")) this.#delayed(messageOf(error));
        if (isRoundOver && hasCode(error, "BUSY")) await this.#haveCompared();
      }
      if (isRoundOver) round++;
      await this.#pause(Math.min(RETRY_MS * 2 ** Math.min(round, 10), RETRY_MS_MAX));
    }
  }

  /** True once the state is that of another node. */
  async #drawFrom(id: string, since: number, isNeeded: () => boolean): Promise<boolean> {
    const { raft, ask, tellTo, replaceBy } = this.#parts;
    const answer = await ask(id, { type: "lend-snapshot", agreedAt: since }, LEND_MS_MAX);
    if (answer.type !== "snapshot") throw new ConclaveError("BAD_MESSAGE", `The answer of ${id} makes no sense.`);
    const index = logIndex(answer.index);
    try {
      for (let left = COMMIT_MS_MAX / COMMIT_LOOK_MS; raft.commitIndex < index && left > 0; left--) {
        await this.#pause(COMMIT_LOOK_MS);
      }
      const term = raft.commitIndex < index ? null : raft.log.termAt(index);
      if (term === null) throw new ConclaveError("BUSY", `The log does not lead on from entry ${index} of ${id}.`);
      return isNeeded() && (await replaceBy({ from: id, snapshot: { index, term } }, isNeeded));
    } finally {
      tellTo(id, { type: "release-snapshot", index });
    }
  }

  /** Nobody knows whether its state is that of a majority: they may have started again since they did. */
  async #haveCompared(): Promise<void> {
    const { raft, ask } = this.#parts;
    const leader = knownLeader(raft);
    if (leader === null || leader === raft.config.id) return;
    // If nothing comes of it, it is tried again.
    await ask(leader, { type: "compare" }, COMPARE_MS_MAX).catch(() => {});
  }

  /** @param snapshot the entry of a snapshot that is right, once there is one */
  async #settle(index: number, snapshot: () => Promise<number>, isOwn = false): Promise<void> {
    const { store, post } = this.#parts;
    const count = this.#count;
    while (!this.#stopped && this.#count === count) {
      try {
        const right = await snapshot();
        const removed = await this.#write(() => (this.#count === count ? store.trust(right) : Promise.resolve([])));
        post({ type: "trusted", index, isOwn, count, removed: removed.map(logIndex) });
        return;
      } catch (error) {
        this.#delayed(messageOf(error));
        await this.#pause(RETRY_MS);
      }
    }
  }

  #write<T>(write: () => Promise<T>): Promise<T> {
    const written = this.#writing.then(write);
    this.#writing = written.catch(() => {});
    return written;
  }

  #delayed(reason: string): void {
    if (this.#stopped || reason === this.#lastReason) return;
    this.#lastReason = reason;
    this.#parts.tell({ event: "repair-delayed", reason });
  }

  /** Ends after a while, or never if the node is stopped before. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stopped) return;
      const timer = this.#parts.clock.setTimer(ms, () => {
        this.#timers.delete(timer);
        resolve();
      });
      this.#timers.add(timer);
    });
  }
}

const divergedAt = (index: number): ConclaveError =>
  new ConclaveError(
    "DIVERGED",
    `At entry ${index} this node's state was another than the majority's: it answers nothing until it has theirs.`,
  );
