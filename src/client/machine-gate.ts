/**
 * Before a machine is called for the first time, its client makes sure that the cluster uses it: a cluster that has just
 * been started, or gets a new version, takes a moment to. Calls wait here meanwhile, in their order.
 */

import type { ClientEnvironment } from "../environment.ts";
import { ConclaveError, hasCode } from "../errors.ts";
import { List, type Place } from "../passing.ts";
import { Call, type CallStart, Calls } from "./call.ts";
import { late } from "./failures.ts";
import { type CallOptions, RETRY_DELAY_MS } from "./options.ts";
import { pause } from "./pause.ts";

const RETRY_DELAY_MS_MAX = 250;
/** One look at the cluster may take so long before another one is tried. */
const PROBE_TIMEOUT_MS = 2_000;

class Waiting extends Call<void> {
  /** Where it stands among those that wait. */
  standing: Place<Waiting> | null = null;
}

export interface GateOptions {
  readonly environment: ClientEnvironment;
  readonly timeoutMs: number;
  readonly callsMax: number;
  /** Asks the cluster. @throws ConclaveError `MACHINE_INACTIVE` if it does not use the machine */
  probe(options: CallOptions & { readonly signal: AbortSignal }): Promise<unknown>;
}

export class MachineGate {
  readonly #options: GateOptions;
  readonly #calls: Calls<Waiting>;
  readonly #waiting = new List<Waiting>();
  readonly #closing = new AbortController();
  #isOpen = false;
  #isProbing = false;
  #refusal: ConclaveError | null = null;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#calls = new Calls<Waiting>({
      ...options,
      clock: options.environment.clock,
      giveUp: (call, reason) => {
        this.#leave(call);
        call.reject(reason === "expired" ? (this.#refusal ?? late(call.timeoutMs, {})) : reason);
      },
    });
  }

  /** Carries out a call once the machine is known to be there, in what is left of its time. */
  pass<T, Options extends CallOptions>(options: Options, run: (options: Options) => Promise<T>): Promise<T> {
    if (this.#isOpen) return run(options);
    const { clock } = this.#options.environment;
    let deadlineMs = 0;
    const wait = (start: CallStart<void>): Waiting => {
      const waiting = new Waiting(start);
      deadlineMs = waiting.deadlineMs;
      waiting.standing = this.#waiting.add(waiting);
      return waiting;
    };
    if (!this.#isProbing) void this.#probe();
    return this.#calls
      .open<void>(options, wait)
      .then(() => run({ ...options, timeoutMs: Math.max(0, deadlineMs - clock.nowMs()) }));
  }

  close(): void {
    this.#closing.abort();
    this.#calls.close();
  }

  async #probe(): Promise<void> {
    this.#isProbing = true;
    const { environment, probe } = this.#options;
    const { signal } = this.#closing;
    try {
      for (let delayMs = RETRY_DELAY_MS; ; delayMs = Math.min(delayMs * 2, RETRY_DELAY_MS_MAX)) {
        try {
          await probe({ timeoutMs: PROBE_TIMEOUT_MS, signal });
          this.#open();
          return;
        } catch (error) {
          this.#refusal = error instanceof ConclaveError ? error : null;
          if (this.#waiting.size === 0 || hasCode(error, "CLOSED")) return;
        }
        await pause(environment, delayMs * (0.5 + environment.random.next()), signal);
      }
    } catch {
      // Closed: those that waited have been told.
    } finally {
      this.#isProbing = false;
    }
  }

  /** Those that waited go first. */
  #open(): void {
    for (const call of [...this.#waiting]) {
      this.#leave(call);
      call.resolve();
    }
    queueMicrotask(() => {
      if (this.#waiting.size > 0) this.#open();
      else this.#isOpen = true;
    });
  }

  #leave(call: Waiting): void {
    if (call.standing !== null) this.#waiting.remove(call.standing);
    call.standing = null;
  }
}
