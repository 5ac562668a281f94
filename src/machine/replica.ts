/**
 * The replicated state: a user's machine, and the sessions of its clients (thesis, 6.3). Sessions are what makes a
 * command that is retried take effect once, and the commands of one client take effect in its order. Everything here
 * follows from the log alone.
 */

import { messageOf } from "../errors.ts";
import { type Applied, type CommandBatch, decodePayload, type Outcome, type Payload } from "./commands.ts";
import type { StateMachine } from "./machine.ts";

interface Session {
  /** The number of the next command to apply. */
  next: number;
  /** Outcomes that the client may still ask for, by number. */
  readonly outcomes: Map<number, Outcome>;
}

/** A command that made the machine throw. */
type OnMachineFailure = (index: number, error: string) => void;

export class Replica {
  readonly #machine: StateMachine;
  readonly #onFailure: OnMachineFailure;
  readonly #sessions = new Map<number, Session>();
  #appliedIndex = 0;

  constructor(machine: StateMachine, onFailure: OnMachineFailure) {
    this.#machine = machine;
    this.#onFailure = onFailure;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  /** The open sessions, with the number of the next command of each. */
  *sessions(): Iterable<{ readonly id: number; readonly next: number }> {
    for (const [id, { next }] of this.#sessions) yield { id, next };
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
    if (index !== this.#appliedIndex + 1) throw new RangeError(`entry ${index} follows ${this.#appliedIndex}`);
    this.#appliedIndex = index;
    const decoded = payload === null ? null : this.#decode(index, payload);
    if (decoded === null) return null;
    switch (decoded.type) {
      case "commands":
        return this.#applyBatch(index, decoded);
      case "open-session":
        this.#sessions.set(index, { next: 1, outcomes: new Map() });
        return { type: "session-opened", session: index };
      case "expire-sessions": {
        const idle = decoded.sessions.filter(({ id, next }) => this.#sessions.get(id)?.next === next);
        for (const { id } of idle) this.#sessions.delete(id);
        return { type: "sessions-expired", count: idle.length };
      }
    }
  }

  query(query: Uint8Array): Uint8Array {
    return this.#machine.query(query);
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
    const session = this.#sessions.get(batch.session);
    if (session === undefined) return { type: "session-unknown" };
    for (const number of session.outcomes.keys()) {
      if (number >= batch.floor) break; // Numbers were added in ascending order.
      session.outcomes.delete(number);
    }
    // The client has given up on whatever is missing before its floor: it must not take effect later.
    if (session.next < batch.floor) session.next = batch.floor;
    const outcomes = batch.commands.map((command, i) => this.#applyOnce(index, session, batch.first + i, command));
    return { type: "outcomes", outcomes };
  }

  #applyOnce(index: number, session: Session, number: number, command: Uint8Array): Outcome {
    if (number > session.next) return { type: "gap" };
    if (number < session.next) return session.outcomes.get(number) ?? { type: "forgotten" };
    session.next++;
    const outcome = this.#run(index, command);
    session.outcomes.set(number, outcome);
    return outcome;
  }

  #run(index: number, command: Uint8Array): Outcome {
    try {
      const result = this.#machine.apply(command, { index });
      if (!(result instanceof Uint8Array)) throw new TypeError("the machine's result is no Uint8Array");
      return { type: "applied", result };
    } catch (error) {
      this.#onFailure(index, messageOf(error));
      return { type: "failed" };
    }
  }
}
