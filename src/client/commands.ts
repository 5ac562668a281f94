/**
 * Commands on their way to the leader: numbered within a session so that each takes effect once and in order, however
 * often it has to be sent (thesis, 6.3).
 */

import type { ClientEnvironment } from "../environment.ts";
import { ConclaveError, hasCode, messageOf } from "../errors.ts";
import { decodeOutcomes, encodePayload, type Outcome } from "../machine/commands.ts";
import { aborted, type Call, Calls, closed } from "./call.ts";
import type { Leader, Leadership } from "./leadership.ts";
import { ASK_TIMEOUT_MS, BATCH_BYTES_MAX, type CallOptions, RETRY_DELAY_MS, WINDOW_MAX } from "./options.ts";

interface Command extends Call<Uint8Array> {
  readonly bytes: Uint8Array;
  /** Its place in the session; 0 until it is first sent. */
  number: number;
  /** The sending whose answer is awaited; 0 if none is. */
  sending: number;
  /** Some earlier sending of it may have been committed. */
  unsure: boolean;
  /** Why it was last turned away, if it was. */
  refusal: ConclaveError | null;
}

export interface CommandsOptions {
  readonly environment: ClientEnvironment;
  readonly leadership: () => Leadership;
  readonly timeoutMs: number;
  readonly callsMax: number;
}

export class Commands {
  readonly #options: CommandsOptions;
  readonly #calls: Calls<Command>;
  #session: number | null = null;
  #opening = false;
  #nextNumber = 1;
  #lastSending = 0;
  /** Not sent yet, oldest first. */
  #queue = new Set<Command>();
  /** Sent and not settled, by number, in ascending order. */
  readonly #numbered = new Map<number, Command>();
  #scheduled = false;
  #retrying = false;
  #closed = false;

  constructor(options: CommandsOptions) {
    this.#options = options;
    this.#calls = new Calls<Command>(options.environment.clock, (command) => this.#expire(command));
  }

  /** The session, if one is open; nodes are told of it when a link comes up. */
  get session(): number | null {
    return this.#session;
  }

  /** Applies one command; resolves with the machine's result. */
  submit(bytes: Uint8Array, options: CallOptions): Promise<Uint8Array> {
    if (this.#closed) return Promise.reject(closed());
    if (this.#calls.size >= this.#options.callsMax) {
      return Promise.reject(new ConclaveError("BUSY", `${this.#options.callsMax} calls wait already.`));
    }
    const make = (base: Call<Uint8Array>): Command => {
      const command: Command = Object.assign(base, { bytes, number: 0, sending: 0, unsure: false, refusal: null });
      this.#queue.add(command);
      return command;
    };
    const answer = this.#calls.open(options, this.#options.timeoutMs, make, (command, signal) =>
      this.#giveUp(command, aborted(signal)),
    );
    this.wake();
    return answer;
  }

  /** Something may be sent now. Calls made in the same turn share a batch. */
  wake(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#send();
    });
  }

  /** The leader is gone, or another one leads: what is on its way may or may not have arrived. */
  leaderLost(): void {
    for (const command of this.#numbered.values()) {
      if (command.sending !== 0) command.unsure = true;
      command.sending = 0;
    }
  }

  close(): void {
    this.#closed = true;
    for (const command of this.#numbered.values()) this.#giveUp(command, closed());
    this.#calls.rejectAll(closed());
    this.#queue.clear();
  }

  #send(): void {
    const { leader } = this.#options.leadership();
    if (leader === null || this.#closed) return;
    if (this.#queue.size === 0 && this.#numbered.size === 0) return;
    if (this.#session === null) {
      this.#openSession(leader);
      return;
    }
    for (let run = this.#nextRun(); run.length > 0; run = this.#nextRun()) this.#sendRun(leader, this.#session, run);
  }

  /** Commands with consecutive numbers that are to be sent next: first those sent before, then new ones. */
  #nextRun(): Command[] {
    const run: Command[] = [];
    let bytes = 0;
    const fits = (command: Command): boolean => {
      bytes += command.bytes.byteLength;
      return run.length === 0 || bytes <= BATCH_BYTES_MAX;
    };
    for (const command of this.#numbered.values()) {
      const last = run.at(-1);
      if (command.sending !== 0) {
        if (last !== undefined) return run;
      } else if (last !== undefined && (command.number !== last.number + 1 || !fits(command))) return run;
      else if (last !== undefined || fits(command)) run.push(command);
    }
    if (run.length > 0 && (run.at(-1)?.number ?? 0) + 1 !== this.#nextNumber) return run;
    for (const command of this.#queue) {
      if (this.#nextNumber - this.#floor() >= WINDOW_MAX || !fits(command)) break;
      command.number = this.#nextNumber++;
      this.#queue.delete(command);
      this.#numbered.set(command.number, command);
      run.push(command);
    }
    return run;
  }

  /** Below this number nothing is waited for any more. */
  #floor(): number {
    for (const number of this.#numbered.keys()) return number;
    return this.#nextNumber;
  }

  #sendRun(leader: Leader, session: number, run: readonly Command[]): void {
    const sending = ++this.#lastSending;
    for (const command of run) command.sending = sending;
    const failed = (error: unknown): void => {
      // Those that have been sent again since are not this sending's to speak of.
      const open = run.filter((command) => command.sending === sending);
      this.#failed(leader, session, open, error);
    };
    const batch = encodePayload({
      type: "commands",
      session,
      floor: this.#floor(),
      first: run[0]?.number ?? 0,
      commands: run.map(({ bytes }) => bytes),
    });
    leader.node
      .ask({ type: "commands", batch }, { timeoutMs: ASK_TIMEOUT_MS })
      .then((answer) => {
        if (answer.type !== "outcomes") throw new ConclaveError("BAD_MESSAGE", "The leader's answer makes no sense.");
        this.#settle(session, run, decodeOutcomes(answer.outcomes));
      })
      .catch(failed);
  }

  #settle(session: number, run: readonly Command[], outcomes: readonly Outcome[]): void {
    if (session !== this.#session) return;
    let gap = false;
    for (const [i, command] of run.entries()) {
      const outcome = outcomes[i];
      if (command.isOver || outcome === undefined) continue;
      command.sending = 0;
      switch (outcome.type) {
        case "applied":
          this.#end(command);
          command.resolve(outcome.result);
          break;
        case "gap":
          gap = true;
          break;
        case "forgotten":
          this.#end(command);
          command.reject(unknownOutcome("its result is no longer kept"));
          break;
        case "failed":
          this.#end(command);
          command.reject(new ConclaveError("MACHINE_FAILED", "The state machine failed on this command."));
          break;
      }
    }
    // What fills the gap was turned away, and is sent again along with what came after it.
    if (gap) this.#retryLater();
    else this.wake();
  }

  #failed(leader: Leader, session: number, open: readonly Command[], thrown: unknown): void {
    const error = thrown instanceof ConclaveError ? thrown : new ConclaveError("BAD_MESSAGE", messageOf(thrown));
    for (const command of open) {
      command.sending = 0;
      command.refusal = error;
    }
    switch (error.code) {
      case "NOT_LEADER":
        this.#options.leadership().doubt(leader);
        this.#retryLater();
        return;
      case "BUSY":
        this.#retryLater();
        return;
      case "SESSION_EXPIRED":
        this.#sessionExpired(session);
        return;
      case "UNKNOWN_OUTCOME":
      case "UNREACHABLE":
      case "TIMEOUT":
        for (const command of open) command.unsure = true;
        this.#options.leadership().doubt(leader);
        this.#retryLater();
        return;
      default:
        for (const command of open) this.#giveUp(command, error);
    }
  }

  #openSession(leader: Leader): void {
    if (this.#opening) return;
    this.#opening = true;
    leader.node
      .ask({ type: "open-session" }, { timeoutMs: ASK_TIMEOUT_MS })
      .then((answer) => {
        if (answer.type !== "session") throw new ConclaveError("BAD_MESSAGE", "The leader's answer makes no sense.");
        this.#opening = false;
        this.#session = answer.session;
        this.#nextNumber = 1;
        this.wake();
      })
      .catch((error) => {
        this.#opening = false;
        for (const command of this.#queue) command.refusal = error instanceof ConclaveError ? error : null;
        if (!hasCode(error, "BUSY")) this.#options.leadership().doubt(leader);
        this.#retryLater();
      });
  }

  /** The outcome of what was sent in the old session can't be learned any more; the rest moves to a new one. */
  #sessionExpired(session: number): void {
    if (session !== this.#session) return;
    this.#session = null;
    this.#nextNumber = 1;
    const again: Command[] = [];
    for (const command of [...this.#numbered.values()]) {
      this.#numbered.delete(command.number);
      command.number = 0;
      if (command.unsure || command.sending !== 0) command.reject(unknownOutcome("the session has expired"));
      else if (!command.isOver) again.push(command);
    }
    this.#queue = new Set([...again, ...this.#queue]);
    this.wake();
  }

  #retryLater(): void {
    if (this.#retrying || this.#closed) return;
    this.#retrying = true;
    const { clock, random } = this.#options.environment;
    clock.setTimer(RETRY_DELAY_MS * (0.5 + random.next()), () => {
      this.#retrying = false;
      this.#send();
    });
  }

  #expire(command: Command): void {
    const { refusal, timeoutMs } = command;
    if (refusal?.code === "BUSY") {
      this.#giveUp(command, refusal);
    } else if (this.#options.leadership().leader === null) {
      this.#giveUp(command, new ConclaveError("NO_LEADER", `No leader was found within ${timeoutMs} ms.`));
    } else {
      this.#giveUp(command, new ConclaveError("TIMEOUT", `The command was not sent within ${timeoutMs} ms.`));
    }
  }

  /** Ends a command early. If it may have been committed, that is what its caller has to know. */
  #giveUp(command: Command, reason: ConclaveError): void {
    const unsure = command.unsure || command.sending !== 0;
    this.#end(command);
    command.reject(unsure ? unknownOutcome(reason.message, reason) : reason);
    this.wake(); // The floor may have moved.
  }

  #end(command: Command): void {
    this.#queue.delete(command);
    if (this.#numbered.get(command.number) === command) this.#numbered.delete(command.number);
  }
}

const unknownOutcome = (why: string, cause?: unknown): ConclaveError =>
  new ConclaveError("UNKNOWN_OUTCOME", `The command may or may not have taken effect: ${why}`, { cause });
