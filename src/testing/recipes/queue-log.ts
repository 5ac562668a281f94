/** What is in a queue, and in whose hands, by the log. */

import { keyOf } from "../../machine/recipes/checks.ts";
import type { GivenJob } from "../../machine/recipes/queue-state.ts";
import { Calls, type Stage } from "./exercise.ts";
import type { Grants } from "./holdings.ts";
import type { Deed } from "./log-ear.ts";

/** What commands of queues are given, as far as they have it. */
interface Args {
  readonly id?: string;
  readonly token?: number;
}

interface Status {
  readonly ready: number;
  readonly delayed: number;
  readonly taken: number;
  readonly dead: number;
}

export const jobName = (id: string): string => `job ${id}`;

export class QueueLog implements Grants {
  readonly #stage: Stage;
  readonly #queue: string;
  readonly #pushed = new Set<string>();
  /** How jobs have come to their end: acknowledged by the one with this token, or discarded. */
  readonly #ended = new Map<string, number | "discarded">();
  /** The tokens with which each job was given out, as far as those who have it have heard of it. */
  readonly #tokens = new Map<string, number[]>();
  /** Those with which nobody has it any more: it was given back, or not acknowledged in time. */
  readonly #over = new Set<number>();
  readonly #losses = new Calls();

  constructor(stage: Stage, queue: string) {
    this.#stage = stage;
    this.#queue = queue;
    stage.log.on("queues", (deed) => this.#note(deed));
  }

  isHolder(name: string, token: number): boolean {
    return this.#tokens.get(name)?.at(-1) === token && !this.#over.has(token);
  }

  grantOf(name: string, token: number): number {
    return 1 + (this.#tokens.get(name)?.indexOf(token) ?? -1);
  }

  onLoss(act: (name: string) => void): void {
    this.#losses.add(act);
  }

  /** How many jobs have not come to their end. */
  get open(): number {
    return this.#pushed.size - this.#ended.size;
  }

  #note({ timer, call, result, ask }: Deed): void {
    const jobTimer = `job ${keyOf(this.#queue, "")}`;
    // It was not acknowledged in time; or nobody has it, and its delay is over.
    if (timer?.startsWith(jobTimer) === true) this.#lose(timer.slice(jobTimer.length));
    if (call !== null && result?.type === "done") this.#done(call.name, (call.args ?? {}) as Args, result.value);
    const { ready, delayed, taken, dead } = ask("look", this.#queue) as Status;
    const there = ready + delayed + taken + dead;
    if (there === this.open) return;
    this.#report(`there are ${there}, and ${this.open} of ${this.#pushed.size} have not come to their end`);
  }

  #done(command: string, { id = "", token = 0 }: Args, value: unknown): void {
    if (command === "take" || command === "renew") {
      const job = (value as { readonly job: GivenJob | null } | null)?.job ?? null;
      if (job !== null) this.#given(job);
    }
    if (value !== true) return;
    if (command === "push") {
      if (this.#pushed.has(id)) this.#report(`job ${id} is added twice`);
      this.#pushed.add(id);
    }
    if (command === "ack") {
      const newest = this.#tokens.get(jobName(id))?.at(-1) ?? 0;
      if (newest > token) this.#report(`job ${id} is acknowledged by ${token}, and ${newest} has it`);
      this.#end(id, token);
    }
    if (command === "nack") this.#lose(id);
    if (command === "discard") this.#end(id, "discarded");
  }

  #given({ id, token }: GivenJob): void {
    const name = jobName(id);
    const tokens = this.#tokens.get(name) ?? [];
    this.#tokens.set(name, tokens);
    const newest = tokens.at(-1) ?? 0;
    if (token < newest) this.#stage.report("tokens-grow", `${name} is given with token ${token} after ${newest}`);
    if (this.#ended.has(id)) this.#report(`${name} is given out, and it has come to its end`);
    if (token <= newest) return;
    tokens.push(token);
    this.#losses.all(name);
  }

  #lose(id: string): void {
    const name = jobName(id);
    this.#over.add(this.#tokens.get(name)?.at(-1) ?? 0);
    this.#losses.all(name);
  }

  /** Who was not answered may ask again, and is told the same. */
  #end(id: string, by: number | "discarded"): void {
    const before = this.#ended.get(id);
    if (before !== undefined && before !== by)
      this.#report(`job ${id} comes to an end by ${by}, and before by ${before}`);
    if (!this.#pushed.has(id)) this.#report(`job ${id} comes to an end, and was never added`);
    this.#ended.set(id, by);
  }

  #report(detail: string): void {
    this.#stage.report("jobs-kept", `of ${this.#queue}: ${detail}`);
  }
}
