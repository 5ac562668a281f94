/** Clock and randomness from what every JavaScript runtime has, browsers included. */

import { nanoid } from "nanoid";
import type { Clock, Random } from "../environment.ts";

/** Node, Deno and Bun run `setImmediate` after the poll for input; a browser has a message channel at best. */
const defer: (run: () => void) => void =
  typeof globalThis.setImmediate === "function"
    ? (run) => void globalThis.setImmediate(run)
    : (run) => void setTimeout(run, 0);

export const standardClock: Clock = {
  nowMs: () => performance.now(),
  setTimer: (delayMs, fire) => {
    const handle = setTimeout(fire, Math.max(0, Math.ceil(delayMs)));
    return { cancel: () => clearTimeout(handle) };
  },
  defer,
};

export const standardRandom: Random = {
  next: () => Math.random(),
  id: () => nanoid(),
};
