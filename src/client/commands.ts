/**
 * Commands on their way to the leader: numbered within a session so that each takes effect once and in order, however
 * often it has to be sent (thesis, 6.3).
 */

import type { ClientEnvironment } from "../environment.ts";
import { ConclaveError, hasCode, messageOf } from "../errors.ts";
import { CLIENT_BATCH_BYTES_MAX, CLIENT_WINDOW_BYTES_MAX, CLIENT_WINDOW_MAX } from "../limits.ts";
import { type CommandBatch, decodeOutcomes, encodeBatch, type Outcome } from "../machine/commands.ts";
import { List, type Place } from "../passing.ts";
import { Call, type CallStart, Calls } from "./call.ts";
import { asOurs, late, nonsense } from "./failures.ts";
import type { Horizon } from "./horizon.ts";
import type { Leader, Leadership } from "./leadership.ts";
import { ASK_TIMEOUT_MS, type CallOptions } from "./options.ts";
import { Sender } from "./sender.ts";

class Command extends Call<never> {
  readonly bytes: Uint8Array;
  readonly #read: (result: Uint8Array) => unknown;
  /** Its place in the session; 0 until it is first sent. */
  number = 0;
  /** Where it stands: before it is first sent in the queue, and then among those that are numbered. */
  standing: Place<Command> | null = null;
  /** The sending whose answer is awaited; 0 if none is. */
  sending = 0;
  /** Some earlier sending of it may have been committed. */
  unsure = false;
  /** Why it was last turned away, if it was. */
  refusal: ConclaveError | null = null;

  constructor(start: CallStart<never>, bytes: Uint8Array, read: (result: Uint8Array) => unknown) {
    super(start);
    this.bytes = bytes;
    this.#read = read;
  }

  /** It was applied, and this is the machine's result. */
  applied(result: Uint8Array): void {
    let value: unknown;
    try {
      value = this.#read(result);
    } catch (error) {
      this.reject(error instanceof ConclaveError ? error : unknownOutcome(messageOf(error), error));
      return;
    }
    this.resolve(value as never);
  }
}

export interface CommandsOptions {
  readonly environment: ClientEnvironment;
  /** Whom the commands are for. */
  readonly type: CommandBatch["type"];
  readonly leadership: () => Leadership;
  /** What has been acknowledged lies within it. */
  readonly horizon: Horizon;
  readonly timeoutMs: number;
  readonly callsMax: number;
}

export class Commands {
  readonly #options: CommandsOptions;
  readonly #calls: Calls<Command>;
  readonly #sender: Sender;
  #session: number | null = null;
  #opening = false;
  #nextNumber = 1;
  #lastSending = 0;
  /** Who wants what is not sent yet to stay so for a while. */
  #holds = 0;
  /** Not sent yet, oldest first. */
  #queue = new List<Command>();
  /** Sent and not settled, the lowest number first. */
  readonly #numbered = new List<Command>();
  #numberedBytes = 0;
  /** Some of those may have to be sent again. */
  #looksBack = false;
  /** So many of those go together at most, while some have answers that are too large for one message. */
  #togetherMax = Number.POSITIVE_INFINITY;

  constructor(options: CommandsOptions) {
    this.#options = options;
    this.#calls = new Calls<Command>({
      ...options,
      clock: options.environment.clock,
      giveUp: (command, reason) => this.#giveUp(command, reason === "expired" ? this.#lateness(command) : reason),
    });
    this.#sender = new Sender(options.environment, () => this.#send());
  }

  /** The session, if one is open; nodes are told of it when a link comes up. */
  get session(): number | null {
    return this.#session;
  }

  /**
   * Applies one command; resolves with what is read from the machine's result.
   *
   * @param read may throw a ConclaveError for a result that is a refusal; anything else is a result that can't be read
   */
  submit<T>(bytes: Uint8Array, read: (result: Uint8Array) => T, options: CallOptions): Promise<T> {
    this.#sender.wake();
    return this.#calls.open<T>(options, (start: CallStart<never>): Command => {
      const command = new Command(start, bytes, read);
      command.standing = this.#queue.add(command);
      return command;
    });
  }

  /** A leader is there to send to. */
  leaderFound(): void {
    this.#sender.startAfresh();
  }

  /** What has not been sent yet waits until the promise is settled. */
  holdUntil(settled: Promise<unknown>): void {
    this.#holds++;
    const release = (): void => {
      this.#holds--;
      this.#sender.wake();
    };
    settled.then(release, release);
  }

  /** The leader is gone, or another one leads: what is on its way may or may not have arrived. */
  leaderLost(): void {
    for (const command of this.#numbered) {
      if (command.sending !== 0) command.unsure = true;
      command.sending = 0;
    }
    this.#looksBack = true;
  }

  /** Nobody waits for anything. */
  get isIdle(): boolean {
    return this.#calls.isIdle;
  }

  close(): void {
    this.#sender.stop();
    this.#calls.close();
  }

  #send(): void {
    if (this.#queue.size === 0 && this.#numbered.size === 0) return;
    const leader = this.#options.leadership().wanted();
    if (leader === null) return;
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
      return run.length === 0 || (bytes <= CLIENT_BATCH_BYTES_MAX && run.length < this.#togetherMax);
    };
    for (const command of this.#looksBack ? this.#numbered : []) {
      const last = run.at(-1);
      if (command.sending !== 0) {
        if (last !== undefined) return run;
      } else if (last !== undefined && (command.number !== last.number + 1 || !fits(command))) return run;
      else if (last !== undefined || fits(command)) run.push(command);
    }
    if (run.length === 0) {
      this.#looksBack = false;
      this.#togetherMax = Number.POSITIVE_INFINITY;
    } else if ((run.at(-1)?.number ?? 0) + 1 !== this.#nextNumber) return run;
    if (this.#holds > 0) return run;
    for (let command = this.#queue.first; command !== undefined; command = this.#queue.first) {
      if (this.#isWindowFull || !fits(command)) break;
      this.#leave(command);
      command.number = this.#nextNumber++;
      command.standing = this.#numbered.add(command);
      this.#numberedBytes += command.bytes.byteLength;
      run.push(command);
    }
    return run;
  }

  /** So much waits for its answer that a leader would have no room for more of one client. */
  get #isWindowFull(): boolean {
    return this.#nextNumber - this.#floor() >= CLIENT_WINDOW_MAX || this.#numberedBytes >= CLIENT_WINDOW_BYTES_MAX;
  }

  /** Below this number nothing is waited for any more. */
  #floor(): number {
    return this.#numbered.first?.number ?? this.#nextNumber;
  }

  #sendRun(leader: Leader, session: number, run: readonly Command[]): void {
    const sending = ++this.#lastSending;
    const { horizon } = this.#options;
    const askedAt = horizon.index;
    for (const command of run) command.sending = sending;
    const failed = (error: unknown): void => {
      // Those that have been sent again since are not this sending's to speak of.
      const open = run.filter((command) => command.sending === sending);
      this.#failed(leader, session, open, error);
    };
    const batch = encodeBatch({
      type: this.#options.type,
      session,
      floor: this.#floor(),
      first: run[0]?.number ?? 0,
      commands: run.map(({ bytes }) => bytes),
    });
    leader.node
      .ask({ type: "commands", batch }, { timeoutMs: ASK_TIMEOUT_MS })
      .then((answer) => {
        if (answer.type !== "outcomes") throw nonsense();
        const outcomes = decodeOutcomes(answer.outcomes);
        horizon.sawNewest(answer.index, askedAt);
        this.#settle(session, run, outcomes);
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
          this.#leave(command);
          command.applied(outcome.result);
          break;
        case "gap":
          gap = true;
          break;
        case "forgotten":
          this.#leave(command);
          command.reject(unknownOutcome("its result is no longer kept"));
          break;
        case "failed":
          this.#leave(command);
          command.reject(new ConclaveError("MACHINE_FAILED", "The state machine failed on this command."));
          break;
      }
    }
    // What fills the gap was turned away, and is sent again along with what came after it.
    if (gap) this.#lookBack();
    else this.#sender.wake();
  }

  #failed(leader: Leader, session: number, open: readonly Command[], thrown: unknown): void {
    const error = asOurs(thrown);
    for (const command of open) {
      command.sending = 0;
      command.refusal = error;
    }
    switch (error.code) {
      case "NOT_LEADER":
      case "DIVERGED": // It is about to hand over, and has taken nothing in.
      case "UNKNOWN_ACTOR": // The process is there, and its node is not yet.
        this.#options.leadership().doubt(leader);
        this.#lookBack();
        return;
      case "BUSY":
        this.#lookBack(error);
        return;
      case "SESSION_EXPIRED":
        this.#sessionExpired(session);
        return;
      case "UNKNOWN_OUTCOME":
      case "UNREACHABLE":
      case "TIMEOUT":
        for (const command of open) command.unsure = true;
        this.#options.leadership().doubt(leader);
        this.#lookBack();
        return;
      case "TOO_LARGE":
        for (const command of open) this.#giveUp(command, error);
        return;
      case "ANSWER_TOO_LARGE":
        // They were applied, and to ask again for what came of them does nothing else: for half of it at a time.
        for (const command of open) command.unsure = true;
        if (open.length === 1) for (const command of open) this.#giveUp(command, error);
        else {
          this.#togetherMax = Math.ceil(open.length / 2);
          this.#lookBack();
        }
        return;
      default:
        // It may have come after the commit: what the answer said, and why it can't be read, is no proof of failure.
        for (const command of open) command.unsure = true;
        for (const command of open) this.#giveUp(command, error);
    }
  }

  #openSession(leader: Leader): void {
    if (this.#opening) return;
    this.#opening = true;
    leader.node
      .ask({ type: "open-session" }, { timeoutMs: ASK_TIMEOUT_MS })
      .then((answer) => {
        if (answer.type !== "session") throw nonsense();
        this.#opening = false;
        this.#session = answer.session;
        this.#nextNumber = 1;
        this.#sender.wake();
      })
      .catch((error) => {
        this.#opening = false;
        for (const command of this.#queue) command.refusal = error instanceof ConclaveError ? error : null;
        if (!hasCode(error, "BUSY")) this.#options.leadership().doubt(leader);
        this.#sender.retryLater(error);
      });
  }

  /** The outcome of what was sent in the old session can't be learned any more; the rest moves to a new one. */
  #sessionExpired(session: number): void {
    if (session !== this.#session) return;
    this.#session = null;
    this.#nextNumber = 1;
    const again: Command[] = [];
    for (const command of [...this.#numbered]) {
      this.#leave(command);
      command.number = 0;
      if (command.unsure || command.sending !== 0) command.reject(unknownOutcome("the session has expired"));
      else if (!command.isOver) again.push(command);
    }
    // Each by itself: there may be more of them than a function takes arguments.
    const later = [...this.#queue];
    this.#queue = new List();
    for (const command of [...again, ...later]) command.standing = this.#queue.add(command);
    this.#sender.wake();
  }

  /** Why a command was not done in time. */
  #lateness({ refusal, timeoutMs }: Command): ConclaveError {
    const last = refusal ?? this.#sender.refusal;
    if (last?.code === "BUSY") return last;
    return late(timeoutMs, this.#options.leadership().leader);
  }

  /** Ends a command early. If it may have been committed, that is what its caller has to know. */
  #giveUp(command: Command, reason: ConclaveError): void {
    const unsure = command.unsure || command.sending !== 0;
    this.#leave(command);
    command.reject(unsure ? unknownOutcome(reason.message, reason) : reason);
    this.#sender.wake(); // The floor may have moved.
  }

  /** What was sent, and is not known to have arrived, is sent again in a moment. */
  #lookBack(refusal: ConclaveError | null = null): void {
    this.#looksBack = true;
    this.#sender.retryLater(refusal);
  }

  /** It stands nowhere any more. */
  #leave(command: Command): void {
    const { standing, number } = command;
    command.standing = null;
    if (standing === null) return;
    if (number === 0) this.#queue.remove(standing);
    else if (this.#numbered.remove(standing)) this.#numberedBytes -= command.bytes.byteLength;
  }
}

const unknownOutcome = (why: string, cause?: unknown): ConclaveError =>
  new ConclaveError("UNKNOWN_OUTCOME", `The command may or may not have taken effect: ${why}`, { cause });
