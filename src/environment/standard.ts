/** Clock and randomness from what every JavaScript runtime has, browsers included. */

import { nanoid } from "nanoid";
import type { Clock, Random, Timer } from "../environment.ts";

/** Node, Deno and Bun run `setImmediate` after the poll for input; a browser has a message channel at best. */
const defer: (run: () => void) => void =
  typeof globalThis.setImmediate === "function"
    ? (run) => void globalThis.setImmediate(run)
    : (run) => void setTimeout(run, 0);

/** Runtimes take a longer delay for none at all. */
const TIMER_MS_MAX = 2 ** 31 - 1;

function setTimer(delayMs: number, fire: () => void): Timer {
  let handle: ReturnType<typeof setTimeout>;
  const wait = (leftMs: number): void => {
    const nowMs = Math.min(Math.max(0, Math.ceil(leftMs)), TIMER_MS_MAX);
    handle = setTimeout(() => (leftMs > nowMs ? wait(leftMs - nowMs) : fire()), nowMs);
  };
  wait(delayMs);
  return { cancel: () => clearTimeout(handle) };
}

export const standardClock: Clock = { nowMs: () => performance.now(), timeMs: () => Date.now(), setTimer, defer };

export const standardRandom: Random = {
  next: () => Math.random(),
  id: () => nanoid(),
};
