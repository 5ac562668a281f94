/**
 * The replicated state: a user's machine, and the sessions of its clients (thesis, 6.3). Sessions are what makes a
 * command that is retried take effect once, and the commands of one client take effect in its order. Everything here
 * follows from the log alone.
 */

import { ConclaveError, messageOf } from "../errors.ts";
import {
  type Applied,
  type CommandBatch,
  decodePayload,
  type FiredTimer,
  type Outcome,
  type Payload,
} from "./commands.ts";
import type { ApplyContext, MachineTimer, MachineVersion, StateMachine, SupportedMachine, Timers } from "./machine.ts";
import { readHead, readMachine, STATE_FORM, snapshotPieces } from "./replica-snapshot.ts";
import { Restoration } from "./restoration.ts";
import { encodeStepResult } from "./restoration-steps.ts";
import { firstKept, hasRoom, keep, newSession, raiseFloor, type Session, type Sessions } from "./session.ts";
import { emptyTree } from "./tree.ts";

/** The replicated state at an index, and what it was then, however long the pieces are drawn. */
export interface Snapshot {
  readonly index: number;
  /** To be drawn once. Whoever wants no more of them just drops them. */
  readonly pieces: Iterable<Uint8Array>;
}

/** Whoever keeps the time for the machine's timers. */
export interface TimeKeeper extends Timers {
  /** What was told before means nothing any more: see `Replica.timers`. */
  startOver(): void;
}

const NOBODY: TimeKeeper = { set: () => {}, clear: () => {}, startOver: () => {} };

/** A command that made the machine throw. */
type OnMachineFailure = (index: number, error: string) => void;

export class Replica {
  readonly #machine: StateMachine;
  readonly #onFailure: OnMachineFailure;
  #sessions: Sessions = emptyTree();
  #restoration: Restoration;
  /** How many snapshots have been taken. */
  #era = 0;
  #appliedIndex = 0;
  /** The latest time that any entry brought. */
  #timeMs = 0;
  #isRestoring = false;
  #timeKeeper = NOBODY;

  constructor(machine: StateMachine, onFailure: OnMachineFailure) {
    this.#machine = machine;
    this.#restoration = new Restoration(machine);
    this.#onFailure = onFailure;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  /** Whom to tell of the machine's timers. */
  keepTimeBy(timeKeeper: TimeKeeper): void {
    this.#timeKeeper = timeKeeper;
  }

  /** The machine's timers as they are set. */
  timers(): Iterable<MachineTimer> {
    return this.#machine.timers?.() ?? [];
  }

  /** The machines with names that this program can run. */
  get supported(): readonly SupportedMachine[] {
    return this.#machine.supported?.() ?? [];
  }

  /** @throws what would stop every node if that machine were brought into use now */
  rehearse(machine: MachineVersion): void {
    this.#machine.rehearse?.(machine);
  }

  /** Snapshots of different forms can't be compared. */
  get snapshotForm(): string {
    return `${STATE_FORM}.${this.#machine.snapshotForm ?? 0}`;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** The open sessions, with the number of the next command of each. */
  *sessions(): Iterable<{ readonly id: number; readonly next: number }> {
    for (const [id, { next }] of this.#sessions.entries()) yield { id, next };
  }

  hasSession(id: number): boolean {
    return this.#sessions.has(id);
  }

  /**
   * Applies the entry at `index`, which must follow the last one applied.
   *
   * @param payload null for an entry that holds no command
   */
  apply(index: number, payload: Uint8Array | null): Applied | null {
    this.#checkWhole();
    if (index !== this.#appliedIndex + 1) throw new RangeError(`entry ${index} follows ${this.#appliedIndex}`);
    this.#appliedIndex = index;
    const decoded = payload === null ? null : this.#decode(index, payload);
    if (decoded === null) return null;
    switch (decoded.type) {
      case "commands":
      case "restoration":
        return this.#applyBatch(index, decoded);
      case "open-session":
        this.#sessions.set(index, newSession(this.#era));
        return { type: "session-opened", session: index };
      case "expire-sessions": {
        const idle = decoded.sessions.filter(({ id, next }) => this.#sessions.get(id)?.next === next);
        for (const { id } of idle) {
          this.#sessions.delete(id);
          this.#restoration.sessionEnded(id);
        }
        return { type: "sessions-expired", count: idle.length };
      }
      case "fire-timers":
        this.#passTime(decoded.timeMs);
        for (const [position, timer] of decoded.timers.entries()) this.#fire(this.#contextOf(index, position), timer);
        return { type: "timers-fired" };
      case "activate":
        this.#machine.activate?.(decoded, this.#contextOf(index, 0));
        return { type: "activated" };
      case "compare":
        return { type: "comparing" };
    }
  }

  query(query: Uint8Array): Uint8Array {
    return this.#machine.query(query);
  }

  /** Null if there is nothing to answer yet. @throws ConclaveError `BAD_MESSAGE` if the machine takes no such questions */
  poll(query: Uint8Array): Uint8Array | null {
    if (this.#machine.poll !== undefined) return this.#machine.poll(query);
    throw new ConclaveError("BAD_MESSAGE", "This state machine takes no questions that wait for their answers.");
  }

  /**
   * What was applied after this state elsewhere is lost: it goes on as that of a later entry, so that no index comes to
   * stand for another session than one that some client still has.
   */
  leap(index: number): void {
    this.#checkWhole();
    if (index <= this.#appliedIndex) throw new RangeError(`entry ${this.#appliedIndex} is applied, ${index} is past`);
    this.#machine.leap?.();
    this.#appliedIndex = index;
  }

  /** The state as it is now. The same log gives the same bytes on every replica. */
  snapshot(): Snapshot {
    this.#checkWhole();
    this.#era++;
    const index = this.#appliedIndex;
    const parts = {
      timeMs: this.#timeMs,
      sessions: this.#sessions.clone(),
      restoration: this.#restoration.snapshot(),
      machine: this.#machine.snapshot(),
    };
    return { index, pieces: snapshotPieces(index, parts) };
  }

  /**
   * Replaces everything, index included, by what `snapshot` gave; nothing is applied until that is done. Should it
   * fail, all is as it was: the state and the index that it belongs to are never apart.
   *
   * @throws RangeError, or whatever the machine throws, if the pieces are not that snapshot, or can't be read
   */
  restore(index: number, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    if (index >= this.#appliedIndex) return this.replace(index, pieces);
    return Promise.reject(new RangeError(`entry ${this.#appliedIndex} is applied, ${index} is past`));
  }

  /** The same for a state that is wrong: the one in its place may be of an earlier entry. @throws like `restore` */
  async replace(index: number, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    this.#checkWhole();
    this.#isRestoring = true;
    const iterator = pieces[Symbol.asyncIterator]();
    try {
      const restoration = new Restoration(this.#machine);
      const { timeMs, sessions } = await readHead(iterator, restoration);
      await this.#machine.restore(readMachine(iterator, index));
      this.#sessions = sessions;
      this.#restoration = restoration;
      this.#appliedIndex = index;
      this.#timeMs = timeMs;
      this.#timeKeeper.startOver();
    } finally {
      this.#isRestoring = false;
      await iterator.return?.();
    }
  }

  /** Between the machine's state and the rest of it there is a moment in which they do not belong together. */
  #checkWhole(): void {
    if (this.#isRestoring) throw new RangeError("a snapshot is being restored");
  }

  /** A leader checks what it proposes; should nonsense be in the log all the same, every replica skips it alike. */
  #decode(index: number, payload: Uint8Array): Payload | null {
    try {
      return decodePayload(payload);
    } catch (error) {
      this.#onFailure(index, messageOf(error));
      return null;
    }
  }

  #applyBatch(index: number, batch: CommandBatch): Applied {
    const session = this.#own(batch.session);
    if (session === undefined) return { type: "session-unknown" };
    this.#passTime(batch.timeMs ?? 0);
    raiseFloor(session, batch.floor);
    let number = batch.first;
    const outcomes: Outcome[] = [];
    for (const [position, command] of batch.commands.entries()) {
      if (number === session.next && hasRoom(session)) {
        session.next++;
        const isStep = batch.type === "restoration";
        const context = this.#contextOf(index, position);
        keep(session, isStep ? this.#takeStep(batch.session, command) : this.#run(context, command));
      }
      outcomes.push(outcomeOf(session, number++));
    }
    return { type: "outcomes", outcomes };
  }

  /** A session that may be changed: a copy, if a snapshot may still have to tell it as it is. */
  #own(id: number): Session | undefined {
    const session = this.#sessions.get(id);
    if (session === undefined || session.era === this.#era) return session;
    const own = { ...session, outcomes: [...session.outcomes], era: this.#era };
    this.#sessions.set(id, own);
    return own;
  }

  #takeStep(session: number, step: Uint8Array): Outcome {
    const result = encodeStepResult(this.#restoration.apply(session, step));
    this.#timeKeeper.startOver(); // It may have been the last step, and the state may be another one.
    return { type: "applied", result };
  }

  /** Whose clock is behind those before it does not turn time back. */
  #passTime(timeMs: number): void {
    this.#timeMs = Math.max(this.#timeMs, timeMs);
  }

  #contextOf(index: number, position: number): ApplyContext {
    return { index, position, timeMs: this.#timeMs, timers: this.#timeKeeper };
  }

  #fire(context: ApplyContext, { id, generation }: FiredTimer): void {
    try {
      this.#machine.fire?.(id, generation, context);
    } catch (error) {
      this.#onFailure(context.index, messageOf(error));
    }
  }

  #run(context: ApplyContext, command: Uint8Array): Outcome {
    try {
      const result = this.#machine.apply(command, context);
      if (!(result instanceof Uint8Array)) throw new TypeError("the machine's result is no Uint8Array");
      return { type: "applied", result };
    } catch (error) {
      this.#onFailure(context.index, messageOf(error));
      return { type: "failed" };
    }
  }
}

/** What has become of a command. */
function outcomeOf(session: Session, number: number): Outcome {
  if (number >= session.next) return { type: "gap" };
  return session.outcomes[number - firstKept(session)] ?? { type: "forgotten" };
}
