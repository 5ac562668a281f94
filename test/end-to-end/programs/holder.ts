/** A program that holds a lock, and writes as long as it does: to the test, which is the store, by a line for each. */

import { readFile } from "node:fs/promises";
import { connect, type Held } from "../../../src/client/index.ts";
import { busyUntil, fail, obey, settingsOf, tell } from "./common.ts";

/** What it is started with. */
export interface HolderSettings {
  readonly nodes: readonly string[];
  readonly ttlMs: number;
}

const WRITE_EVERY_MS = 20;

const { nodes, ttlMs } = settingsOf<HolderSettings>();
const client = await connect({ nodes }).catch(fail);
/** A file that is to be there before a turn that has begun goes on. */
let gate: string | null = null;
/** No turn begins before this. */
let rest: PromiseWithResolvers<void> | null = null;

/** Works in one turn after the other: looks at the signal first, and writes if it has not fired. */
async function work(lock: Held): Promise<void> {
  while (!lock.signal.aborted) {
    if (gate !== null) standStill(lock, gate);
    gate = null;
    tell("write", { token: lock.token });
    await new Promise((resolve) => setTimeout(resolve, WRITE_EVERY_MS));
    if (rest !== null) tell("rests");
    await rest?.promise;
  }
  tell("leaves", { token: lock.token, reason: lock.signal.reason.code });
}

/** It has looked, and is about to write; every way to its next turn is open, and it takes none of them before that. */
function standStill(lock: Held, until: string): void {
  const look = (turn: string) => (): void => tell("looks", { turn, fired: lock.signal.aborted });
  setTimeout(look("a timer"), 0);
  setImmediate(look("an immediate"));
  process.stdin.once("data", look("a socket"));
  void readFile(import.meta.filename).then(look("a file"));
  tell("is-about-to-write");
  busyUntil(until);
}

obey({
  /** Waits for the lock, and then works. */
  async lock() {
    const lock = await client.lock("the books", { ttlMs });
    tell("holds", { token: lock.token });
    void work(lock);
    return lock.token;
  },
  standStill(until: string) {
    gate = until;
  },
  rest() {
    rest = Promise.withResolvers();
  },
  goOn() {
    rest?.resolve();
    rest = null;
  },
});
tell("ready");
