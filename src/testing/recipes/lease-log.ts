/** Which leases there are by the log. */

import type { LeaseChange } from "../../machine/recipes/leases.ts";
import { Calls, type Stage } from "./exercise.ts";
import type { Grants } from "./holdings.ts";
import type { Deed } from "./log-ear.ts";

/** A lease has no other name. */
export const LEASE = "lease";

export class LeaseLog implements Grants {
  readonly #stage: Stage;
  readonly #tokenOf = new Map<string, number>();
  /** In the order in which they were granted. */
  readonly #tokens: number[] = [];
  readonly #over = new Set<number>();
  /** The keys that are there, and on which lease. */
  readonly #keys = new Map<string, number>();
  readonly #losses = new Calls();
  #revision = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
    stage.log.on("leases", (deed) => this.#note(deed));
  }

  isHolder(name: string, token: number): boolean {
    return this.grantOf(name, token) > 0 && !this.#over.has(token);
  }

  grantOf(_name: string, token: number): number {
    return 1 + this.#tokens.indexOf(token);
  }

  onLoss(act: (name: string) => void): void {
    this.#losses.add(act);
  }

  #end(token: number): void {
    this.#over.add(token);
    this.#losses.all(LEASE);
  }

  #note(deed: Deed): void {
    const { timer, call, result } = deed;
    if (timer !== null) this.#end(this.#tokenOf.get(timer) ?? 0);
    const { owner = "" } = (call?.args ?? {}) as { readonly owner?: string };
    if (call?.name === "grant" && result?.type === "done") {
      this.#granted(owner, (result.value as { readonly token: number }).token);
    }
    if (call?.name === "revoke") this.#end(this.#tokenOf.get(owner) ?? 0);
    for (const { revision, change } of deed.changes<LeaseChange>(this.#revision + 1)) {
      this.#revision = revision;
      this.#take(change);
    }
  }

  #granted(owner: string, token: number): void {
    const newest = this.#tokens.at(-1) ?? 0;
    if (this.#tokenOf.get(owner) === token) return; // Who was not answered has asked again.
    if (token <= newest) this.#stage.report("tokens-grow", `a lease is granted with token ${token} after ${newest}`);
    this.#tokenOf.set(owner, token);
    this.#tokens.push(token);
  }

  #take(change: LeaseChange): void {
    const { key, token } = change;
    if (change.type === "put") {
      this.#keys.set(key, token);
      return;
    }
    if (this.#keys.get(key) !== token) {
      const detail = `"${key}" of lease ${token} goes, and it hangs on lease ${this.#keys.get(key)}`;
      this.#stage.report("changes-exact", detail);
    }
    this.#keys.delete(key);
  }
}
