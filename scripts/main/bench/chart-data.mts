/** What a chart shows of results that were printed with `--json`. */

import * as v from "valibot";
import { THROUGHPUTS } from "../../../src/cli/bench/workloads.ts";
import { ConclaveError } from "../../../src/errors.ts";

/** A bar: its length, and how much farther a pale one behind it goes. */
export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly further: number | null;
}

/** Bars of one scale. */
export interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
  /** Between the numbers of a bar and of the one behind it: it is a part of that, or goes up to it. */
  readonly joint: "of" | "to";
}

export interface Chart {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const number = v.pipe(v.number(), v.finite(), v.minValue(0));
const figures = v.looseObject({
  connections: number,
  outstanding: number,
  ops: number,
  p50_ms: number,
  p99_ms: number,
});
const ceiling = v.record(v.string(), v.unknown());
const skipped = v.object({ skipped: v.string() });
const pauses = v.union([v.looseObject({ median_ms: number, max_ms: number }), skipped]);
const schema = v.looseObject({
  nodes: number,
  value_bytes: number,
  started: v.pipe(v.string(), v.isoTimestamp()),
  machine: v.looseObject({ runtime: v.string(), cpu: v.string(), cpus: number }),
  ceiling: v.optional(v.object({ before: ceiling, after: ceiling })),
  transfer: v.optional(pauses),
  failover: v.optional(pauses),
  growth: v.optional(v.looseObject({ at: v.array(v.looseObject({ commands: number, ops: number })) })),
});
type Printed = v.InferOutput<typeof schema>;

/** @throws ConclaveError `INVALID_ARGUMENT` if that is no output of `bench --json` */
export function chartOf(text: string): Chart {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), schema), text);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const where = v.getDotPath(issue) ?? "the top level";
    throw new ConclaveError("INVALID_ARGUMENT", `These are no results of bench --json: ${where}: ${issue.message}`);
  }
  const results = parsed.output;
  const { nodes, value_bytes, machine, started } = results;
  const title = `${nodes} nodes, values of ${value_bytes} bytes, ${machine.runtime}, ${machine.cpus} x ${machine.cpu}, ${started.slice(0, 10)}`;
  const panels = [throughput(results), oneCaller(results), held(results), growth(results)];
  return { title, panels: panels.filter(({ bars }) => bars.length > 0) };
}

/** The throughput workloads that were run. */
const measured = (results: Printed) =>
  THROUGHPUTS.flatMap(({ name }) => {
    const parsed = v.safeParse(figures, results[name]);
    return parsed.success ? [{ name, ...parsed.output }] : [];
  });

const isAlone = ({ connections, outstanding }: v.InferOutput<typeof figures>): boolean =>
  connections * outstanding === 1;

function throughput(results: Printed): Panel {
  const bars = measured(results)
    .filter((each) => !isAlone(each))
    .map(
      ({ name, connections, outstanding, ops }): Bar => ({
        label: `${name}, ${connections} x ${outstanding}`,
        value: ops,
        further: ceilingOps(results, name),
      }),
    );
  const behind = results.ceiling === undefined ? "" : "; behind it, the ceiling";
  return { title: `Operations a second, by connections x callers${behind}`, joint: "of", bars };
}

function ceilingOps({ ceiling: both }: Printed, name: string): number | null {
  const [before, after] = [both?.before[name], both?.after[name]].map((each) =>
    v.safeParse(v.looseObject({ ops: number }), each),
  );
  return before?.success && after?.success ? (before.output.ops + after.output.ops) / 2 : null;
}

function oneCaller(results: Printed): Panel {
  const bars = measured(results)
    .filter(isAlone)
    .map(({ name, p50_ms, p99_ms }): Bar => ({ label: name, value: p50_ms, further: p99_ms }));
  return { title: "One caller, milliseconds until the answer: median; behind it, 99 of 100", joint: "to", bars };
}

function held({ transfer, failover }: Printed): Panel {
  const bars = Object.entries({ "leader hands over": transfer, "leader is killed": failover }).flatMap(
    ([label, result]): Bar[] =>
      result === undefined || "skipped" in result || !("median_ms" in result)
        ? []
        : [{ label, value: Number(result.median_ms), further: Number(result.max_ms) }],
  );
  return { title: "A writer is held up, milliseconds: median; behind it, the longest", joint: "to", bars };
}

function growth({ growth: grown }: Printed): Panel {
  const bars = (grown?.at ?? []).map(
    ({ commands, ops }): Bar => ({
      label: `${commands.toLocaleString("en-US")} commands`,
      value: ops,
      further: null,
    }),
  );
  return { title: "Operations a second after so many commands", joint: "of", bars };
}
