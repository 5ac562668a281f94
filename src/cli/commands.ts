/** The commands by name. Each is loaded when it is called: a node's process has no use for what simulates one. */

import type { Run } from "./call.ts";

/** A command of the command line. */
export interface Command {
  readonly name: string;
  /** What it does, in a line; null for what only other commands start. */
  readonly summary: string | null;
  readonly load: () => Promise<{ readonly run: Run }>;
}

/** In the order in which they are shown. */
export const COMMANDS: readonly Command[] = [
  {
    name: "start",
    summary: "a whole cluster on this machine, each part a process of its own, and a prompt to talk to it",
    load: () => import("./start.ts"),
  },
  { name: "node", summary: "one node of a cluster", load: () => import("./node.ts") },
  { name: "directory", summary: "one directory of a cluster", load: () => import("./directory.ts") },
  {
    name: "client",
    summary: "a prompt for a cluster that runs elsewhere, or one command, or commands from a pipe",
    load: () => import("./client.ts"),
  },
  {
    name: "simulate",
    summary: "whole clusters in virtual time, on seeds, with every invariant checked",
    load: () => import("./simulate.ts"),
  },
  {
    name: "bench",
    summary: "how fast a cluster of real processes is on this machine, and whether its answers are right",
    load: () => import("./bench.ts"),
  },
  {
    name: "inspect",
    summary: "what a node's folder or a backup holds, and where it is damaged",
    load: () => import("./inspect.ts"),
  },
  { name: "bench-load", summary: null, load: () => import("./bench/load/main.ts") },
  { name: "bench-ceiling", summary: null, load: () => import("./bench/ceiling-keeper.ts") },
];

/** Those for people. */
const SHOWN = COMMANDS.filter(({ summary }) => summary !== null);

/** Names and summaries in two columns. */
export function commandsText(): string {
  const width = Math.max(...SHOWN.map(({ name }) => name.length));
  return SHOWN.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`).join("\n");
}

/** The command that somebody may have meant; null if none is like it. */
export function nearestCommand(word: string): string | null {
  const [nearest] = SHOWN.map(({ name }) => ({ name, distance: distanceOf(word, name) })).sort(
    (a, b) => a.distance - b.distance,
  );
  // Half of it may be mistaken; beyond that it is another word.
  return nearest !== undefined && nearest.distance <= word.length / 2 ? nearest.name : null;
}

/** How many letters have to be put in, left out or replaced to make one word of the other. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (letter === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

/** The names of those for people. */
export const COMMAND_NAMES: readonly string[] = SHOWN.map(({ name }) => name);
