/**
 * What a client knows of the recipes' machines: their names, and those of what can be called. What they do is for nodes,
 * and a page that had it would load as much again.
 */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import type { AnyMachine } from "../../../src/machine/index.ts";

const isMachine = (value: unknown): value is AnyMachine =>
  typeof value === "object" && value !== null && "commands" in value && "version" in value;

const named = (functions: object = {}): Record<string, number> =>
  Object.fromEntries(Object.keys(functions).map((name) => [name, 0]));

/** Puts signatures in the place of machines, for as long as `work` takes. */
export async function withSignatures(folder: string, work: () => Promise<void>): Promise<void> {
  const before = new Map<string, string>();
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name);
    if (name === "index.js" || !name.endsWith(".js")) continue;
    const exported: Readonly<Record<string, unknown>> = await import(pathToFileURL(file).href);
    const machines = Object.entries(exported).filter(([, value]) => isMachine(value));
    if (machines.length === 0) continue;
    before.set(file, readFileSync(file, "utf8"));
    const lines = machines.map(([as, machine]) => {
      const { name: called, version, commands, queries, args } = machine as AnyMachine;
      if (args !== undefined) throw new Error(`${called} checks its arguments, which its signature does not`);
      const signature = { name: called, version, commands: named(commands), queries: named(queries) };
      return `export const ${as} = ${JSON.stringify(signature)};\n`;
    });
    writeFileSync(file, lines.join(""));
  }
  try {
    await work();
  } finally {
    for (const [file, text] of before) writeFileSync(file, text);
  }
}
