/** Questions to the leader about the cluster itself: who its members are, and who is to lead. One at a time each. */

import type { ClientEnvironment } from "../environment.ts";
import { ConclaveError, type ErrorCode, hasCode } from "../errors.ts";
import type { NodeAnswer, NodeMessage } from "../protocol/node.ts";
import { Call, type CallStart, Calls } from "./call.ts";
import { asOurs, late } from "./failures.ts";
import type { Leader, Leadership } from "./leadership.ts";
import { type CallOptions, RETRY_DELAY_MS } from "./options.ts";

type Question = Extract<NodeMessage, { type: "members" | "compare" | "change" | "transfer" }>;

/** Nothing has come of it. */
const TURNED_AWAY: readonly ErrorCode[] = ["NOT_LEADER", "UNKNOWN_ACTOR", "BUSY", "DIVERGED"];

class Request extends Call<NodeAnswer> {
  readonly question: Question;
  /** It was sent, and what came of it is not known. */
  isSent = false;

  constructor(start: CallStart<NodeAnswer>, question: Question) {
    super(start);
    this.question = question;
  }
}

export interface AdminOptions {
  readonly environment: ClientEnvironment;
  readonly leadership: () => Leadership;
  readonly timeoutMs: number;
  readonly callsMax: number;
}

export class Admin {
  readonly #options: AdminOptions;
  readonly #calls: Calls<Request>;

  constructor(options: AdminOptions) {
    this.#options = options;
    this.#calls = new Calls<Request>({
      ...options,
      clock: options.environment.clock,
      giveUp: (request, reason) => {
        const why = reason === "expired" ? late(request.timeoutMs, options.leadership().leader) : reason;
        request.reject(request.isSent ? unknownOutcome(why) : why);
      },
    });
  }

  ask(question: Question, options: CallOptions): Promise<NodeAnswer> {
    return this.#calls.open(options, (start: CallStart<NodeAnswer>): Request => {
      const request = new Request(start, question);
      this.#send(request).catch((error) => request.reject(error));
      return request;
    });
  }

  /** Nobody waits for anything. */
  get isIdle(): boolean {
    return this.#calls.isIdle;
  }

  close(): void {
    this.#calls.close();
  }

  async #send(request: Request): Promise<void> {
    while (!request.isOver) {
      const leader = this.#options.leadership().wanted();
      if (leader === null || !(await this.#isDone(leader, request))) await this.#pause();
    }
  }

  /** False if it is to be asked again: nothing has come of it. */
  async #isDone(leader: Leader, request: Request): Promise<boolean> {
    const { question } = request;
    const leftMs = request.deadlineMs - this.#options.environment.clock.nowMs();
    request.isSent = question.type === "change" || question.type === "transfer";
    try {
      request.resolve(await leader.node.ask(question, { timeoutMs: Math.max(0, leftMs) }));
      return true;
    } catch (error) {
      if (hasCode(error, ...TURNED_AWAY)) {
        request.isSent = false;
        if (!hasCode(error, "BUSY")) this.#options.leadership().doubt(leader);
        return false;
      }
      const isUnknown = hasCode(error, "UNKNOWN_OUTCOME") && !request.isSent;
      const isLost = hasCode(error, "UNREACHABLE", "TIMEOUT") || isUnknown;
      if (isLost) this.#options.leadership().doubt(leader);
      if (isLost && !request.isSent) return false;
      request.reject(isLost ? unknownOutcome(error) : asOurs(error));
      return true;
    }
  }

  #pause(): Promise<void> {
    const { clock } = this.#options.environment;
    return new Promise((resolve) => void clock.setTimer(RETRY_DELAY_MS, resolve));
  }
}

const unknownOutcome = (cause: ConclaveError): ConclaveError =>
  new ConclaveError("UNKNOWN_OUTCOME", `It may or may not have been done: ${cause.message} Ask for the members.`, {
    cause,
  });
