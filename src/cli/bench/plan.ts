/** What `bench` is asked for on its command line. */

import { ConclaveError } from "../../errors.ts";
import { usageLines } from "../call.ts";
import { VALUE_BYTES_MIN } from "./ledger.ts";
import { COMPARED, DEFAULT_WORKLOADS, WORKLOADS, workloadsNamed } from "./workloads.ts";

/** @param name as what it was called */
export const usage = (name: string): string => `${usageLines(
  name,
  "[--nodes 3] [--value 64] [--seconds 5] [--warm-up 5] [--only W1,W2] [--json]",
  "[--save FILE] [--ceiling FILE]",
)}

Starts a cluster of real processes in a temporary folder, which must be on a real disk (TMPDIR says where), loads it from a
process of its own, checks every answer, and shows how fast it was.

  --nodes N       how many nodes; default 3
  --value BYTES   how long the values are; default 64
  --seconds N     how long each throughput workload is measured; default 5
  --warm-up N     how many seconds each of them runs before that, so that what is measured is no longer being compiled;
                  default 5
  --only W1,W2    only these workloads, or groups of them, such as gets for gets-latency and the others
  --json          print one object at the end, with the field names of the ceiling
  --save FILE     write that object into a file, too; bench-chart draws it
  --ceiling FILE  the program that replicates and flushes without any consensus: it runs before and after the workloads
                  that it has, too (all that put), with as many nodes and values as long, and their figures are given as
                  a share of it

Throughput, connections x callers on each of them:
  latency             puts, 1 x 1
  callers             puts, 64 x 1
  pipelined           puts, 10 x 100
  gets-latency, gets-callers, gets-pipelined
                      linearizable gets
  stale-latency, stale-callers, stale-pipelined
                      stale gets, of any node
  large               pipelined, with values of 1 KiB
  nodes-3, nodes-5, nodes-7
                      pipelined, with so many nodes

Others, which take as long as they take:
  transfer            leadership is handed over ten times under a continuous writer: its longest pauses
  failover            the leader is killed ten times under a continuous writer, and comes back: its longest pauses
  idle                processor time and memory of each node over 20 s
  clients-1000        idle clients: memory that each costs the leader, and the time until all have seen another leader
  clients-10000       the same with ten times as many; only with --only
  growth              pipelined over 10,000 keys: speed and memory at 1, 2, 5 and 10 million commands; this takes some
                      minutes, whatever --seconds says; only with --only

Without --only all but the last two are run, in some four minutes; the ceiling takes two more. Every put is checked for
its revision, every get for its value, and in the end every key is read back: that takes a little longer than what is
measured.

Exits with 1 if an answer was wrong or anything failed, and with 130 if it was interrupted; then, too, nothing is left.`;

/** For `parseArgs`. */
export const OPTIONS = {
  nodes: { type: "string" },
  value: { type: "string" },
  seconds: { type: "string" },
  "warm-up": { type: "string" },
  only: { type: "string" },
  json: { type: "boolean" },
  save: { type: "string" },
  ceiling: { type: "string" },
} as const;

/** What `parseArgs` makes of them. */
export type Given = {
  readonly [Name in keyof typeof OPTIONS]?:
    | ((typeof OPTIONS)[Name]["type"] extends "boolean" ? boolean : string)
    | undefined;
};

/** What is to be measured, and how. */
export interface Plan {
  readonly nodes: number;
  readonly valueBytes: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** In the order in which they are run. */
  readonly workloads: readonly string[];
  /** A file; null if there is to be no comparison. */
  readonly ceiling: string | null;
}

const NODES_MAX = 31;
const VALUE_BYTES_MAX = 1024 * 1024;
const SECONDS_MAX = 3_600;

/** @throws ConclaveError `INVALID_ARGUMENT` */
export function readPlan(values: Given): Plan {
  const workloads = readWorkloads(values.only);
  if (values.ceiling !== undefined && !workloads.some((name) => COMPARED.includes(name))) {
    throw invalid(`--ceiling has nothing to compare with: it measures ${COMPARED.join(", ")}.`);
  }
  return {
    nodes: wholeNumber("nodes", values.nodes ?? "3", 1, NODES_MAX),
    valueBytes: wholeNumber("value", values.value ?? "64", VALUE_BYTES_MIN, VALUE_BYTES_MAX),
    seconds: readSeconds("seconds", values.seconds ?? "5", { mayBeZero: false }),
    warmUpSeconds: readSeconds("warm-up", values["warm-up"] ?? "5", { mayBeZero: true }),
    workloads,
    ceiling: values.ceiling ?? null,
  };
}

const invalid = (message: string): ConclaveError => new ConclaveError("INVALID_ARGUMENT", message);

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw invalid(`--${name} is a whole number from ${least} to ${most}, not "${text}".`);
}

function readSeconds(name: string, text: string, { mayBeZero }: { readonly mayBeZero: boolean }): number {
  const value = Number(text);
  const isZero = value === 0 && text.trim() !== "";
  if ((value > 0 && value <= SECONDS_MAX) || (mayBeZero && isZero)) return value;
  throw invalid(`--${name} is a number ${mayBeZero ? "from 0" : "above 0 and up"} to ${SECONDS_MAX}, not "${text}".`);
}

function readWorkloads(text: string | undefined): readonly string[] {
  if (text === undefined) return DEFAULT_WORKLOADS;
  const chosen = text.split(",").flatMap((name) => {
    const named = workloadsNamed(name.trim());
    if (named.length === 0) throw invalid(`--only knows no "${name}", only ${WORKLOADS.join(", ")}.`);
    return named;
  });
  return WORKLOADS.filter((name) => chosen.includes(name));
}
