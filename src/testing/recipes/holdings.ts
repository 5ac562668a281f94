/** What clients hold as far as they know, be it a lock, a job or a lease; and a store that goes by their tokens. */

import { DRIFT } from "../../client/recipes/kept-alive.ts";
import { hasCode } from "../../errors.ts";
import type { Worker } from "../workload.ts";
import type { Stage } from "./exercise.ts";

/** What somebody holds; it goes by its signal whether it does still. */
export interface Holding {
  /** What it is, by a name of its own. */
  readonly name: string;
  readonly token: number;
  readonly signal: AbortSignal;
}

/** Who holds what by the log. */
export interface Grants {
  isHolder(name: string, token: number): boolean;
  /** Of those who were granted that, the how-manieth got this token; 0 if nobody did. */
  grantOf(name: string, token: number): number;
  /** Has `act` called whenever somebody holds something no more by the log. */
  onLoss(act: (name: string) => void): void;
}

/** What is lost where shares are computed. */
const ROUNDING = 1e-9;
/** How long what is written may be on its way. */
const WAY_MS_MAX = 500;

export class Holdings {
  readonly #stage: Stage;
  readonly #grants: Grants;
  /** By the name of the client. */
  readonly #held = new Map<string, { readonly worker: Worker; readonly held: Set<Holding> }>();
  /** The newest token that the store has seen, by what was held. */
  readonly #written = new Map<string, number>();

  constructor(stage: Stage, grants: Grants) {
    this.#stage = stage;
    this.#grants = grants;
    grants.onLoss((name) => this.#giveTurns(name));
  }

  /** The names of the clients that hold something. */
  get holders(): string[] {
    return [...this.#held].flatMap(([client, { held }]) => (held.size > 0 ? [client] : []));
  }

  /** Somebody was told that it holds something. From now on it asks its signal in each of its turns. */
  begin(worker: Worker, holding: Holding): void {
    const { token, name } = holding;
    if (this.#grants.grantOf(name, token) === 0) {
      this.#stage.report("tokens-grow", `${worker.name} has ${name} with token ${token}, which was never granted`);
    }
    this.#stage.count("grants");
    this.#heldBy(worker).add(holding);
  }

  /** Somebody gives up what it holds, and must know of it at once. */
  end(worker: Worker, holding: Holding): void {
    if (!holding.signal.aborted) {
      this.#stage.report("hold-exclusive", `${worker.name} has given up ${holding.name}, and its signal has not fired`);
    }
    this.#heldBy(worker).delete(holding);
  }

  /** Writes something into a store outside of the cluster, which is told the token. */
  write({ dice }: Worker, { name, token }: Holding): void {
    this.#stage.later(dice.seldom(0, WAY_MS_MAX), () => this.#take(name, token));
  }

  #heldBy(worker: Worker): Set<Holding> {
    const known = this.#held.get(worker.name);
    if (known !== undefined) return known.held;
    const held = new Set<Holding>();
    this.#held.set(worker.name, { worker, held });
    worker.eachTurn(() => {
      for (const holding of held) {
        if (!holding.signal.aborted) this.#check(worker, holding);
        else {
          held.delete(holding);
          if (hasCode(holding.signal.reason, "LOST")) this.#stage.count("losses");
        }
      }
    });
    return held;
  }

  /** User code may have a turn at any moment: such as just then. */
  #giveTurns(name: string): void {
    for (const { worker, held } of this.#held.values()) {
      const isHolder = [...held].some((holding) => holding.name === name);
      if (isHolder && !worker.isGone()) worker.clock.setTimer(0, () => {});
    }
  }

  /** A holder whose clock is slower than is allowed for finds out too late, and has only its token to be stopped by. */
  #check({ name: client, clockLag }: Worker, { name, token }: Holding): void {
    if (clockLag > DRIFT + ROUNDING || this.#grants.isHolder(name, token)) return;
    const found = `${client} finds that it holds ${name} with token ${token}`;
    this.#stage.report("hold-exclusive", `${found}, which by the log it holds no more`);
  }

  #take(name: string, token: number): void {
    const newest = this.#written.get(name) ?? 0;
    const isLater = this.#grants.grantOf(name, token) >= this.#grants.grantOf(name, newest);
    if (token >= newest !== isLater) {
      const words = isLater ? "refuses a later holder's" : "takes an earlier holder's";
      this.#stage.report("tokens-grow", `after token ${newest} of ${name} the store ${words} token ${token}`);
    }
    if (token > newest) this.#written.set(name, token);
  }
}
