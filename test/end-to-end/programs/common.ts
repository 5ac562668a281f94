/** What the programs of these tests share: they tell what happens, a line of JSON each, and do what the test asks for. */

import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { ConclaveError } from "../../../src/index.ts";

/** What the test has started this program with. */
export const settingsOf = <T>(): T => JSON.parse(process.argv.at(-1) ?? "");

/** Written at once, even by a process that does nothing else for long. */
export const tell = (event: string, fields: object = {}): void => console.log(JSON.stringify({ event, ...fields }));

/** What a program does when the test asks for it, by name. */
export type Doings = Readonly<Record<string, (args: never) => unknown>>;

interface Request {
  readonly call: number;
  readonly name: string;
  readonly args: unknown;
}

/** Does what is asked for on standard input, and ends at its end: then the test is gone. */
export function obey(doings: Doings): void {
  const answer = async ({ call, name, args }: Request): Promise<void> => {
    try {
      tell("answer", { call, value: await doings[name]?.(args as never) });
    } catch (error) {
      tell("answer", { call, error: codeOf(error) });
    }
  };
  createInterface({ input: process.stdin })
    .on("line", (line) => void answer(JSON.parse(line)))
    .on("close", () => process.exit(1));
}

/** Nobody that is still there lets a program wait so long. */
const BUSY_MS_MAX = 30_000;

/** Works, and does nothing else, until a file is there. A program that is busy does not notice that the test is gone. */
export function busyUntil(file: string, work: () => void = () => {}): void {
  const startMs = performance.now();
  while (!existsSync(file)) {
    work();
    if (performance.now() > startMs + BUSY_MS_MAX) process.exit(1);
  }
}

export const codeOf = (error: unknown): string => (error instanceof ConclaveError ? error.code : String(error));

/** The end of a program that can't go on: what happened, and what to do. */
export function fail(error: unknown): never {
  console.error(error instanceof ConclaveError ? `${error.code} ${error.message}` : error);
  process.exit(1);
}
