/** Questions that wait for their answers. */

import { Alarm } from "../alarm.ts";
import type { Clock } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import { PassingMap } from "../passing.ts";
import type { AskOptions } from "./actor.ts";
import { type Codec, decodeError } from "./protocol.ts";

/** How the one who sends the question reports on it. */
export interface Settle<A> {
  ok(answer: A): void;
  fail(error: ConclaveError): void;
  /** The question travels over this; if that is lost, so is the question. */
  over(carrier: object): void;
}

interface Waiting {
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  carrier: object | null;
  decode(body: Uint8Array): void;
  fail(error: ConclaveError): void;
}

/** Those that end at about the same time are looked at together. */
const EXPIRY_EVERY_MS = 5;

const CORRELATION_MAX = 0xffff_ffff;

export class Asks {
  readonly #clock: Clock;
  readonly #alarm: Alarm;
  readonly #waiting = new PassingMap<number, Waiting>();
  #lastCorrelation = 0;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#alarm = new Alarm(clock, () => this.#expire());
  }

  /** @param codec null if answers come as they are, from an actor in this process */
  ask<A>(
    { timeoutMs, signal }: AskOptions,
    codec: Pick<Codec<A>, "decode"> | null,
    send: (correlation: number, settle: Settle<A>) => void,
  ): Promise<A> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new ConclaveError("CLOSED", "The actor system is closed."));
        return;
      }
      if (signal?.aborted === true) {
        reject(aborted(signal));
        return;
      }
      const correlation = this.#nextCorrelation();
      const end = (): boolean => {
        signal?.removeEventListener("abort", onAbort);
        return this.#waiting.delete(correlation);
      };
      const fail = (error: ConclaveError): void => {
        if (end()) reject(error);
      };
      const onAbort = (): void => fail(aborted(signal));
      signal?.addEventListener("abort", onAbort);
      const ok = (answer: A): void => {
        if (end()) resolve(answer);
      };
      const deadlineMs = this.#clock.nowMs() + timeoutMs;
      const waiting: Waiting = {
        deadlineMs,
        timeoutMs,
        carrier: null,
        fail,
        decode: (body) => {
          try {
            if (codec !== null) ok(codec.decode(body));
          } catch (cause) {
            fail(new ConclaveError("BAD_MESSAGE", "An answer could not be decoded.", { cause }));
          }
        },
      };
      this.#waiting.set(correlation, waiting);
      this.#alarm.setFor(deadlineMs);
      try {
        send(correlation, {
          ok,
          fail,
          over: (carrier) => {
            waiting.carrier = carrier;
          },
        });
      } catch (error) {
        if (end()) reject(error);
      }
    });
  }

  /** Only the link that carried the question may bring the answer. */
  answered(correlation: number, link: object, body: Uint8Array): void {
    const waiting = this.#waiting.get(correlation);
    if (waiting?.carrier === link) waiting.decode(body);
  }

  refused(correlation: number, link: object, body: Uint8Array): void {
    const waiting = this.#waiting.get(correlation);
    if (waiting?.carrier === link) waiting.fail(decodeError(body));
  }

  /** What waited for a link now travels over one. */
  moved(from: object, to: object): void {
    for (const waiting of this.#waiting.values()) {
      if (waiting.carrier === from) waiting.carrier = to;
    }
  }

  /** What these questions travelled over is gone. */
  lost(carrier: object, reason: string): void {
    for (const waiting of [...this.#waiting.values()]) {
      if (waiting.carrier === carrier) waiting.fail(new ConclaveError("UNREACHABLE", reason));
    }
  }

  closeAll(): void {
    this.#closed = true;
    this.#alarm.cancel();
    for (const waiting of [...this.#waiting.values()]) {
      waiting.fail(new ConclaveError("CLOSED", "The actor system was closed."));
    }
  }

  #expire(): void {
    const nowMs = this.#clock.nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { deadlineMs, timeoutMs, fail } of [...this.#waiting.values()]) {
      if (deadlineMs > nowMs) nextMs = Math.min(nextMs, deadlineMs);
      else fail(new ConclaveError("TIMEOUT", `No answer came within ${timeoutMs} ms.`));
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.#alarm.setFor(Math.max(nextMs, nowMs + EXPIRY_EVERY_MS));
  }

  #nextCorrelation(): number {
    do {
      this.#lastCorrelation = this.#lastCorrelation === CORRELATION_MAX ? 1 : this.#lastCorrelation + 1;
    } while (this.#waiting.has(this.#lastCorrelation));
    return this.#lastCorrelation;
  }
}

const aborted = (signal: AbortSignal | undefined): ConclaveError =>
  new ConclaveError("ABORTED", "The call was aborted.", { cause: signal?.reason });
