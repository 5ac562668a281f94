/**
 * Scripts that a person can read, with what the core does beneath each command: see golden/README.md.
 *
 *     node test/raft/golden.test.ts                     compares
 *     GOLDEN=write node test/raft/golden.test.ts        writes what came of it into the scripts; read the diff
 *     SCRIPT=figure-8 node test/raft/golden.test.ts     only scripts whose name contains this
 */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import * as process from "node:process";
import * as assert from "uvu/assert";
import { lines as diffOfLines } from "uvu/diff";
import { suite } from "../support/suite.ts";
import { type Played, play } from "./golden/play.ts";
import { readScript, type Script, stepsOf, writeScript } from "./golden/script.ts";

const test = suite("raft: golden");

const FOLDER = path.join(import.meta.dirname, "golden");
const { GOLDEN, SCRIPT = "" } = process.env;
/** One difference leads to others: the first ones are enough to see what it is about. */
const DIFFERENCES_SHOWN_MAX = 3;
const DIFFERENCE_LINES_MAX = 40;

const shortened = (list: readonly string[], max: number): string =>
  [...list.slice(0, max), ...(list.length > max ? [`... and ${list.length - max} more`] : [])].join("\n");

/** Fails with the steps whose outcome is another than the script says. */
function compare(script: Script, { outcomes, failure }: Played): void {
  const different = stepsOf(script).flatMap(({ line, command, outcome: expected }, i) => {
    const actual = outcomes[i];
    if (actual === undefined || actual.join("\n") === expected.join("\n")) return [];
    const diff = diffOfLines(actual.join("\n"), expected.join("\n")).replaceAll("·", " ");
    return [`${script.file}:${line}: ${command}\n${shortened(diff.split("\n"), DIFFERENCE_LINES_MAX)}`];
  });
  if (different.length === 0 && failure === null) return;
  const name = path.basename(script.file, ".txt");
  const regenerate = `the core does otherwise; if that is right: GOLDEN=write SCRIPT=${name} node test/raft/golden.test.ts, and review the diff`;
  throw new assert.Assertion({
    message: failure?.message ?? regenerate,
    details: shortened(different, DIFFERENCES_SHOWN_MAX),
    generated: false,
    operator: "golden",
    expects: null,
    actual: null,
  });
}

const names = readdirSync(FOLDER).filter((name) => name.endsWith(".txt") && name.includes(SCRIPT));
for (const name of names.sort()) {
  const file = path.join(FOLDER, name);
  const text = readFileSync(file, "utf8");
  test(`${path.basename(name, ".txt")}: ${/^# (.*)/.exec(text)?.[1] ?? "(no heading)"}`, () => {
    const script = readScript(path.relative(process.cwd(), file), text);
    const played = play(script);
    if (GOLDEN !== "write") compare(script, played);
    else if (played.failure === null) writeFileSync(file, writeScript(script, played.outcomes));
    else throw played.failure;
  });
}

test.run();
