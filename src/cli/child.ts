/** A command as a child of this process, on the same runtime. */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { ENTRY } from "./entry.ts";
import { SUPERVISED } from "./process.ts";

/** A child all of whose streams are pipes. */
export type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** What a runtime has to be told before the name of a file. */
export const runtimeArguments: readonly string[] = "Deno" in globalThis ? ["run", "--allow-all"] : [];

/**
 * What V8 is told where a server runs. Young objects get a quarter of the room that they have by default: that is 100 MiB
 * less, and collections of half the length, at the same throughput.
 */
const SERVER_V8_FLAG = "--max-semi-space-size=8";

/** The same for a server. Bun has another engine. */
const serverArguments: readonly string[] =
  "Deno" in globalThis
    ? [...runtimeArguments, `--v8-flags=${SERVER_V8_FLAG}`]
    : "Bun" in globalThis
      ? []
      : [SERVER_V8_FLAG];

/**
 * What the C library is told where a server runs: one arena for all threads. Each of its own would keep what was freed in
 * it, and few threads ever allocate at the same time.
 */
const SERVER_ENVIRONMENT = { MALLOC_ARENA_MAX: "1" } as const;

/** What a child has otherwise than this process. */
export interface Surroundings {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly isServer?: boolean;
}

/** Starts a command. The end of its standard input, which may be written to, tells it that this process is gone. */
export const spawnCommand = (
  command: string,
  args: readonly string[],
  { cwd, env, isServer }: Surroundings = {},
): Child =>
  spawn(process.execPath, [...(isServer === true ? serverArguments : runtimeArguments), ENTRY, command, ...args], {
    ...(cwd === undefined ? {} : { cwd }),
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...(isServer === true ? SERVER_ENVIRONMENT : {}), ...process.env, ...env, [SUPERVISED]: "1" },
  });

/** Not by the child's own `kill`: Deno takes any signal for its end, and sends it no other. */
export function send({ pid, exitCode, signalCode }: Child, signal: NodeJS.Signals): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended, and the news of that is on its way.
  }
}

/** Resolves when the process is gone and its output was read. */
export function ended(running: Child, act: () => void): Promise<void> {
  return new Promise((resolve) => {
    running.once("close", () => resolve());
    act();
  });
}
