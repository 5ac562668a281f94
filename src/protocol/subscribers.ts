/** Those whom a directory, or a node, tells who leads. */

import type { Peer } from "../actor/index.ts";
import { CLIENT_ACTOR, clientProtocol } from "./client.ts";
import type { LeaderView } from "./leader.ts";

/** There may be thousands of them: to tell all in one turn would keep heartbeats waiting, and cost an election. */
const TOLD_PER_TURN_MAX = 100;

export class Subscribers {
  /** Each subscriber's process, with the name of its actor. */
  readonly #names = new Map<Peer, string>();
  readonly #continueLater: () => void;
  /** What is being told, and to whom it is yet to be; null if all have heard it. */
  #news: { readonly view: LeaderView; readonly untold: Iterator<readonly [Peer, string]> } | null = null;

  /** @param continueLater brings about a call of `run` in a later turn */
  constructor(continueLater: () => void) {
    this.#continueLater = continueLater;
  }

  add(peer: Peer, name: string): void {
    this.#names.set(peer, name === "" ? CLIENT_ACTOR : name);
  }

  remove(peer: Peer): void {
    this.#names.delete(peer);
  }

  /** Whoever has not heard what was to be told before hears only this. */
  tell(view: LeaderView): void {
    this.#news = { view, untold: this.#names.entries() };
    this.run();
  }

  /** Tells the next few. */
  run(): void {
    if (this.#news === null) return;
    const { view, untold } = this.#news;
    for (let told = 0; told < TOLD_PER_TURN_MAX; told++) {
      const next = untold.next();
      if (next.done === true) {
        this.#news = null;
        return;
      }
      const [peer, name] = next.value;
      peer.ref(name, clientProtocol).tell({ type: "leader", view });
    }
    this.#continueLater();
  }
}
