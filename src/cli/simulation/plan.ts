/** What `simulate` is asked for on its command line. */

import { ConclaveError } from "../../errors.ts";
import { NODES_MIN, PROFILES, type Profile } from "../../testing/index.ts";
import { usageLines } from "../call.ts";
import type { RunOptions } from "./text.ts";

/** @param name as what it was called */
export const usage = (name: string): string => `${usageLines(
  name,
  "[--seed N] [--seeds N] [--minutes M] [--events N] [--nodes N] [--profile NAME]",
  "[--faults LIST] [--shrink] [--trace] [--json]",
)}

  --seed N        the first seed, and the only one unless told otherwise; a fresh one by default
  --seeds N       so many seeds, one after the other
  --minutes M     no new seed after so many minutes; 1 if neither --seed nor --seeds is given
  --events N      how many events things go wrong for, before all has to come to rest; default 10,000
  --nodes N       how many nodes; 3 or 5 by default, as the seed says
  --profile NAME  how bad it gets: calm, faulty, divided, parted or hostile; by default hostile for one seed, and each
                  in turn for several
  --faults LIST   of a seed's faults only those with these numbers: 3,17,40, or none
  --shrink        look for a run with fewer faults and events that breaks the same invariant
  --trace         print every event of one seed
  --json          print one object at the end

Exits with 1 if an invariant broke, and with 130 if it was interrupted.`;

/** For `parseArgs`. */
export const OPTIONS = {
  seed: { type: "string" },
  seeds: { type: "string" },
  minutes: { type: "string" },
  events: { type: "string" },
  nodes: { type: "string" },
  profile: { type: "string" },
  faults: { type: "string" },
  shrink: { type: "boolean" },
  trace: { type: "boolean" },
  json: { type: "boolean" },
} as const;

/** What `parseArgs` makes of them. */
export type Given = {
  readonly [Name in keyof typeof OPTIONS]?:
    | ((typeof OPTIONS)[Name]["type"] extends "boolean" ? boolean : string)
    | undefined;
};

/** Which seeds are to be run, and how. */
export interface Plan {
  /** Null for a fresh one. */
  readonly firstSeed: number | null;
  /** At most so many, one after the other. */
  readonly seedsMax: number;
  /** No new one is begun after so long. */
  readonly minutesMax: number;
  /** For one seed after the other, and again from the first. */
  readonly profiles: readonly Profile[];
  readonly run: Omit<RunOptions, "seed" | "profile">;
}

/** Seeds have 32 bits; after the last one comes the first. */
export const SEEDS_END = 2 ** 32;
const COUNT_MAX = 1e9;
const NODES_MAX = 9;
const MINUTES_DEFAULT = 1;

/** @throws ConclaveError `INVALID_ARGUMENT` */
export function readPlan(values: Given): Plan {
  const seed = wholeNumber("seed", values.seed, 0, SEEDS_END - 1);
  const seeds = wholeNumber("seeds", values.seeds, 1, COUNT_MAX);
  const minutes = readMinutes(values.minutes);
  const isOne = seed !== undefined && seeds === undefined && minutes === undefined;
  if (values.trace === true && !isOne) {
    throw invalid("--trace shows one run: it needs --seed, without --seeds and --minutes.");
  }
  if (values.trace === true && values.json === true) throw invalid("--trace and --json can't both have the output.");
  if (values.faults !== undefined && !isOne) {
    throw invalid("--faults are those of one run: it needs --seed, without --seeds and --minutes.");
  }
  const isOpenEnded = seed === undefined && seeds === undefined;
  return {
    firstSeed: seed ?? null,
    seedsMax: seeds ?? (isOne ? 1 : Number.POSITIVE_INFINITY),
    minutesMax: minutes ?? (isOpenEnded ? MINUTES_DEFAULT : Number.POSITIVE_INFINITY),
    profiles: readProfiles(values.profile, isOne),
    run: {
      ...given("events", wholeNumber("events", values.events, 1, COUNT_MAX)),
      ...given("nodes", wholeNumber("nodes", values.nodes, NODES_MIN, NODES_MAX)),
      ...given("faults", readFaults(values.faults)),
    },
  };
}

const invalid = (message: string): ConclaveError => new ConclaveError("INVALID_ARGUMENT", message);

function wholeNumber(name: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw invalid(`--${name} is a whole number from ${least} to ${most}, not "${text}".`);
}

function readMinutes(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (value > 0 && value <= COUNT_MAX) return value;
  throw invalid(`--minutes is a number above 0, not "${text}".`);
}

function readProfiles(text: string | undefined, isOne: boolean): readonly Profile[] {
  if (text === undefined) return isOne ? ["hostile"] : PROFILES;
  const profile = PROFILES.find((known) => known === text);
  if (profile !== undefined) return [profile];
  throw invalid(`--profile is one of ${PROFILES.join(", ")}, not "${text}".`);
}

function readFaults(text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  if (text === "none") return [];
  if (/^\d+(,\d+)*$/.test(text)) return text.split(",").map(Number);
  throw invalid(`--faults are numbers with commas between them, or none, not "${text}".`);
}

/** A property that is left out rather than undefined. */
const given = <Name extends string, Value>(name: Name, value: Value | undefined): { [Key in Name]?: Value } =>
  value === undefined ? {} : ({ [name]: value } as { [Key in Name]?: Value });
