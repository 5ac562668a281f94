/**
 * Does the simulator notice when a rule is broken? Every mutant is hunted, from several starts, in a process of its own;
 * then the real code has to survive many times the seeds that the hardest of them took.
 *
 *     node test/simulation/mutants/run.ts [--only NAME] [--profile P] [--starts 5] [--seeds 500] [--events 10000] [--survive 200]
 *                                         [--survive-max N] [--markdown]
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import * as path from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { PROFILES, type Profile } from "../../../src/testing/weather.ts";
import type { Catch, Order } from "./hunt.ts";
import type { Mutant } from "./mutant.ts";
import { MUTANTS } from "./mutants.ts";

/** How one mutant fared. */
interface Finding {
  readonly mutant: Mutant;
  readonly catches: readonly Catch[];
}

interface Settings {
  readonly mutants: readonly Mutant[];
  /** In place of the mutants' own. */
  readonly profile: Profile | undefined;
  readonly starts: number;
  readonly seedsMax: number;
  readonly events: number;
  /** So many times the seeds of the hardest mutant the real code has to survive; 0 leaves it out. */
  readonly survive: number;
  readonly surviveMax: number;
  readonly markdown: boolean;
}

/** So far apart that no two hunts meet. */
const START_STEP = 1_000_000;
/** From where the real code is tried: other seeds than the mutants'. */
const REAL_START = 500_000_000;

/** @returns the exit code: 0 if every mutant was caught and the real code was not */
export async function runMutants(args: readonly string[]): Promise<number> {
  const settings = settingsOf(args);
  const findings: Finding[] = [];
  for (const mutant of settings.mutants) {
    const finding = await huntMutant(mutant, settings);
    findings.push(finding);
    console.log(inWords(finding));
  }
  if (settings.markdown) console.log(`\n${markdownOf(findings)}`);
  const missed = findings.filter((finding) => !isCaught(finding));
  for (const { mutant } of missed) console.log(`NOT CAUGHT: ${mutant.name}`);
  console.log(`${findings.length - missed.length} of ${findings.length} mutants caught`);
  const survives = settings.survive === 0 || (await realCodeSurvives(findings, settings));
  return missed.length === 0 && survives ? 0 : 1;
}

function settingsOf(args: readonly string[]): Settings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", multiple: true },
      part: { type: "string", default: "1/1" },
      profile: { type: "string" },
      starts: { type: "string", default: "5" },
      seeds: { type: "string", default: "500" },
      events: { type: "string", default: "10000" },
      survive: { type: "string", default: "200" },
      "survive-max": { type: "string", default: "Infinity" },
      markdown: { type: "boolean", default: false },
    },
  });
  const { only, markdown } = values;
  const profile = PROFILES.find((one) => one === values.profile);
  if (profile !== values.profile) throw new RangeError(`there is no profile ${values.profile}: ${PROFILES.join(", ")}`);
  const unknown = only?.find((name) => !MUTANTS.some((mutant) => mutant.name === name));
  if (unknown !== undefined) throw new RangeError(`there is no mutant ${unknown}`);
  const hunted = MUTANTS.filter(({ name, redundant, rare }) =>
    only === undefined ? redundant === undefined && rare === undefined : only.includes(name),
  );
  const [part = 1, parts = 1] = values.part.split("/").map(Number);
  return {
    // One part for each core: `--part 1/2` and `--part 2/2`.
    mutants: hunted.filter((_, i) => i % parts === part - 1),
    profile,
    starts: Number(values.starts),
    seedsMax: Number(values.seeds),
    events: Number(values.events),
    survive: Number(values.survive),
    surviveMax: Number(values["survive-max"]),
    markdown,
  };
}

async function huntMutant(given: Mutant, settings: Settings): Promise<Finding> {
  const { starts, seedsMax, events } = settings;
  const mutant = { ...given, profile: settings.profile ?? given.profile };
  const { name, profile } = mutant;
  const from = Array.from({ length: starts }, (_, i) => 1 + i * START_STEP);
  return { mutant, catches: await send({ mutant: name, profile, starts: from, seedsMax, events }) };
}

/** The seeds go to the profiles by what the hardest mutant of each has taken. */
async function realCodeSurvives(findings: readonly Finding[], settings: Settings): Promise<boolean> {
  const { survive, surviveMax, events } = settings;
  let survives = true;
  for (const profile of PROFILES) {
    const hardest = Math.max(0, ...findings.filter(({ mutant }) => mutant.profile === profile).map(medianOf));
    const seedsMax = Math.min(surviveMax, Math.ceil(survive * hardest));
    if (seedsMax === 0) continue;
    const [result] = await send({ mutant: null, profile, starts: [REAL_START], seedsMax, events });
    const breach = result?.breach ?? null;
    if (result === undefined || breach !== null) survives = false;
    const end =
      breach === null ? "and not caught" : `and CAUGHT: seed ${breach.seed}, ${breach.invariant}: ${breach.detail}`;
    console.log(`the real code, ${profile}: ${result?.seeds ?? 0} seeds, ${secondsOf(result?.ms ?? 0)}, ${end}`);
  }
  return survives;
}

/** One process, and what it reports. */
async function send(order: Order): Promise<Catch[]> {
  const child = spawn(process.execPath, [path.join(import.meta.dirname, "hunt.ts"), JSON.stringify(order)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  const catches: Catch[] = [];
  for await (const line of createInterface({ input: child.stdout })) catches.push(JSON.parse(line));
  const [code] = await ended;
  if (code === 0 && catches.length === order.starts.length) return catches;
  throw new Error(`the hunt for ${order.mutant ?? "the real code"} ended with code ${code}`);
}

function isCaught({ mutant: { caughtBy }, catches }: Finding): boolean {
  const expected: readonly string[] | undefined = caughtBy;
  return catches.every(({ breach }) => breach !== null && (expected?.includes(breach.invariant) ?? true));
}

function medianOf({ catches }: Finding): number {
  const seeds = catches.map((one) => one.seeds).sort((a, b) => a - b);
  const middle = seeds.length >> 1;
  const [low = 0, high = 0] = seeds.length % 2 === 0 ? seeds.slice(middle - 1) : [seeds[middle], seeds[middle]];
  return (low + high) / 2;
}

function invariantsOf({ catches }: Finding): string[] {
  return [...new Set(catches.map(({ breach }) => breach?.invariant ?? "none"))].sort();
}

const secondsOf = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

function inWords(finding: Finding): string {
  const { mutant, catches } = finding;
  const ms = catches.reduce((sum, one) => sum + one.ms, 0);
  const seeds = catches.map((one) => one.seeds).join(" ");
  const caughtBy = invariantsOf(finding).join(", ");
  return `${mutant.name.padEnd(32)} ${mutant.profile.padEnd(8)} median ${medianOf(finding)} (${seeds}) ${secondsOf(ms)}: ${caughtBy}`;
}

function markdownOf(findings: readonly Finding[]): string {
  const rows = findings.map((finding) => {
    const { name, rule, profile } = finding.mutant;
    return `| ${name} | ${rule} | ${profile} | ${medianOf(finding)} | ${invariantsOf(finding).join(", ")} |`;
  });
  return [
    "| mutant | the rule that it breaks | profile | seeds, median | caught by |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

if (import.meta.main) process.exitCode = await runMutants(process.argv.slice(2));
