/**
 * Questions about the state that may have to wait for their answers: parked until what has been applied answers them,
 * and looked at again, a slice at a time, whenever more has been.
 */

import type { Answer, Peer } from "../actor/index.ts";
import { Alarm } from "../alarm.ts";
import type { Clock } from "../environment.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import type { Limits } from "../limits.ts";
import type { Replica } from "../machine/index.ts";
import type { NodeAnswer } from "../protocol/node.ts";
import { ANSWER_HEADROOM_BYTES } from "./admission.ts";
import { TURN_MS_MAX } from "./applier.ts";

/** However long its asker would wait, a question is answered by then: that nothing is there yet. */
export const POLL_WAIT_MS_MAX = 60_000;
/** Questions that have waited long enough are answered together, and no more often than this. */
const EXPIRY_EVERY_MS = 50;

export interface PollsOptions {
  readonly clock: Clock;
  readonly replica: Replica;
  readonly limits: Pick<Limits, "pollsMax" | "readBytesMax" | "messageBytesMax">;
  /** A node that knows of no leader for this long may be cut off from all that is new. */
  readonly leaderTimeoutMs: number;
  /** Calls `run` again in a later turn. */
  continueLater(): void;
}

/** A question as it comes in. */
export interface Question {
  /** Of the asker's choice: another one for each question that it has open. */
  readonly id: number;
  readonly waitMs: number;
  readonly query: Uint8Array;
}

interface Poll extends Question {
  readonly peer: Peer | null;
  readonly answer: Answer<NodeAnswer>;
  readonly deadlineMs: number;
  /** What had been applied when it was last looked at. */
  seenIndex: number;
}

export class Polls {
  readonly #options: PollsOptions;
  /** To be looked at, whatever has been applied: those that are new, and those that have waited long enough. */
  readonly #due = new Set<Poll>();
  /** Those that wait; the ones that were looked at last stand last. */
  readonly #parked = new Set<Poll>();
  readonly #byPeer = new Map<Peer | null, Map<number, Poll>>();
  #bytes = 0;
  readonly #alarm: Alarm;
  #leaderLostMs: number | null = null;

  constructor(options: PollsOptions) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock, () => this.#expire());
  }

  /** @throws ConclaveError `BUSY`, `BAD_MESSAGE` */
  ask(question: Question, peer: Peer | null, answer: Answer<NodeAnswer>): void {
    const { clock, limits } = this.#options;
    const { id, query, waitMs } = question;
    if (this.#due.size + this.#parked.size >= limits.pollsMax || this.#bytes >= limits.readBytesMax) {
      throw new ConclaveError("BUSY", "Too many questions wait on this node.");
    }
    const ofPeer = this.#byPeer.get(peer) ?? new Map<number, Poll>();
    if (ofPeer.has(id)) throw new ConclaveError("BAD_MESSAGE", `Question ${id} waits already.`);
    const deadlineMs = clock.nowMs() + Math.min(waitMs, POLL_WAIT_MS_MAX);
    const poll = { ...question, peer, answer, deadlineMs, seenIndex: -1 };
    this.#byPeer.set(peer, ofPeer.set(id, poll));
    this.#bytes += query.byteLength;
    this.#due.add(poll);
  }

  /** Its asker wants no answer any more. */
  end(id: number, peer: Peer | null): void {
    const poll = this.#byPeer.get(peer)?.get(id);
    if (poll !== undefined) this.#remove(poll);
  }

  /** Nobody is left to answer. */
  linkLost(peer: Peer): void {
    for (const poll of this.#byPeer.get(peer)?.values() ?? []) this.#remove(poll);
  }

  /** Whoever waits waits for nothing. */
  refuse(why: ConclaveError): void {
    for (const poll of [...this.#due, ...this.#parked]) this.#fail(poll, why);
  }

  stop(): void {
    this.#alarm.cancel();
  }

  /** Answers, for as long as a turn may take, what can be answered by now. */
  run(hasLeader: boolean): void {
    const { clock, continueLater } = this.#options;
    const startMs = clock.nowMs();
    if (hasLeader) this.#leaderLostMs = null;
    else this.#leaderLostMs ??= startMs;
    for (const poll of this.#toLookAt()) {
      this.#look(poll);
      if (clock.nowMs() < startMs + TURN_MS_MAX) continue;
      continueLater();
      return;
    }
  }

  get #isCutOff(): boolean {
    const { clock, leaderTimeoutMs } = this.#options;
    return this.#leaderLostMs !== null && clock.nowMs() - this.#leaderLostMs > leaderTimeoutMs;
  }

  *#toLookAt(): Iterable<Poll> {
    yield* this.#due;
    const { appliedIndex } = this.#options.replica;
    for (const poll of this.#parked) {
      // Those that come after it were looked at later, some of them in this very turn.
      if (poll.seenIndex >= appliedIndex && !this.#isCutOff) return;
      yield poll;
    }
  }

  /** Answers a question, or parks it. */
  #look(poll: Poll): void {
    const { clock, replica, limits } = this.#options;
    if (this.#isCutOff) {
      this.#fail(poll, new ConclaveError("NO_LEADER", "This node knows of no leader, and may miss what is new."));
      return;
    }
    let result: Uint8Array | null;
    try {
      result = replica.poll(poll.query);
    } catch (error) {
      const failure = `The state machine failed on a question: ${messageOf(error)}`;
      this.#fail(poll, error instanceof ConclaveError ? error : new ConclaveError("MACHINE_FAILED", failure));
      return;
    }
    if (result === null && clock.nowMs() < poll.deadlineMs) {
      this.#park(poll);
    } else if (result !== null && result.byteLength > limits.messageBytesMax - ANSWER_HEADROOM_BYTES) {
      const tooLarge = "What was asked for does not fit into one message: ask for less at a time.";
      this.#fail(poll, new ConclaveError("ANSWER_TOO_LARGE", tooLarge));
    } else {
      this.#remove(poll);
      poll.answer.ok({ type: "polled", result });
    }
  }

  #park(poll: Poll): void {
    poll.seenIndex = this.#options.replica.appliedIndex;
    this.#due.delete(poll);
    this.#parked.delete(poll);
    this.#parked.add(poll);
    this.#watch(poll.deadlineMs);
  }

  #fail(poll: Poll, error: ConclaveError): void {
    this.#remove(poll);
    poll.answer.fail(error);
  }

  #remove(poll: Poll): void {
    this.#due.delete(poll);
    this.#parked.delete(poll);
    this.#bytes -= poll.query.byteLength;
    const ofPeer = this.#byPeer.get(poll.peer);
    ofPeer?.delete(poll.id);
    if (ofPeer?.size === 0) this.#byPeer.delete(poll.peer);
  }

  /** Several that end at about the same time are looked at together. */
  #watch(deadlineMs: number): void {
    this.#alarm.setFor(Math.max(deadlineMs, this.#options.clock.nowMs() + EXPIRY_EVERY_MS));
  }

  #expire(): void {
    const nowMs = this.#options.clock.nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const poll of this.#parked) {
      if (poll.deadlineMs > nowMs) nextMs = Math.min(nextMs, poll.deadlineMs);
      else {
        this.#parked.delete(poll);
        this.#due.add(poll);
      }
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#watch(nextMs);
    if (this.#due.size > 0) this.#options.continueLater();
  }
}
