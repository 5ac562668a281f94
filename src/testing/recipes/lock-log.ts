/** Who holds which lock by the log. */

import type { Observed } from "../../client/index.ts";
import type { LockChange } from "../../machine/recipes/locks.ts";
import { Calls, type Stage } from "./exercise.ts";
import type { Grants } from "./holdings.ts";
import type { Deed } from "./log-ear.ts";

interface LockOfLog {
  /** By token. */
  readonly holders: Set<number>;
  /** What whoever observes it is told, one after the other; nobody holds it at first. */
  readonly told: (Observed | null)[];
}

export class LockLog implements Grants {
  readonly #stage: Stage;
  readonly #permitsOf: (lock: string) => number;
  readonly #locks = new Map<string, LockOfLog>();
  /** Which grant each token came with. */
  readonly #grants = new Map<number, number>();
  readonly #losses = new Calls();
  #newestToken = 0;
  #revision = 0;

  constructor(stage: Stage, permitsOf: (lock: string) => number) {
    this.#stage = stage;
    this.#permitsOf = permitsOf;
    stage.log.on("locks", (deed) => this.#note(deed));
  }

  isHolder(lock: string, token: number): boolean {
    return this.#locks.get(lock)?.holders.has(token) === true;
  }

  /** The how-manieth grant it was that gave out this token; 0 if none did. */
  grantOf(_lock: string, token: number): number {
    return this.#grants.get(token) ?? 0;
  }

  /** What whoever has observed a lock since the beginning was told. */
  toldOf(lock: string): readonly (Observed | null)[] {
    return this.#locks.get(lock)?.told ?? [null];
  }

  onLoss(act: (name: string) => void): void {
    this.#losses.add(act);
  }

  get names(): string[] {
    return [...this.#locks.keys()];
  }

  #note(deed: Deed): void {
    for (const { revision, topic, change } of deed.changes<LockChange>(this.#revision + 1)) {
      this.#revision = revision;
      this.#take(topic, change);
    }
  }

  #take(name: string, change: LockChange): void {
    const lock = this.#lock(name);
    const { token } = change;
    switch (change.type) {
      case "granted":
        this.#granted(name, lock, token);
        lock.told.push({ token, value: change.value });
        return;
      case "updated":
        lock.told.push({ token, value: change.value });
        return;
      case "released":
      case "expired":
        lock.holders.delete(token);
        this.#losses.all(name);
        lock.told.push(null);
        return;
    }
  }

  #granted(name: string, { holders }: LockOfLog, token: number): void {
    const { report } = this.#stage;
    if (token <= this.#newestToken) {
      report("tokens-grow", `${name} is granted with token ${token} after ${this.#newestToken}`);
    }
    this.#newestToken = token;
    this.#grants.set(token, this.#grants.size + 1);
    holders.add(token);
    const permits = this.#permitsOf(name);
    if (holders.size > permits) {
      report("permits-kept", `${name} is held with tokens ${[...holders].join(", ")}, and has ${permits} to give`);
    }
  }

  #lock(name: string): LockOfLog {
    const known = this.#locks.get(name);
    if (known !== undefined) return known;
    const lock: LockOfLog = { holders: new Set(), told: [null] };
    this.#locks.set(name, lock);
    return lock;
  }
}
