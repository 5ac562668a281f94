/** Results for people. */

import { colours, table } from "../../../src/console/index.ts";
import type { Results, ThroughputResult } from "./results.mts";

const grouped = (value: number): string => value.toLocaleString("en-US");
const ms = (value: number): string => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);

/** Numbers of a column end below each other. */
function alignedRight(rows: readonly (readonly string[])[], from: number): string[][] {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? [];
  return rows.map((row) => row.map((cell, i) => (i < from ? cell : cell.padStart(widths[i] ?? 0))));
}

/** All that was measured. */
export function resultsText(results: Results): string {
  const { nodes, value_bytes, machine } = results;
  const head = `${nodes} nodes, values of ${value_bytes} bytes, ${machine.runtime}, ${machine.cpus} x ${machine.cpu}`;
  return [colours.bold(head), throughputText(results)].filter((part) => part !== "").join("\n\n");
}

function throughputText({ throughput, ceiling }: Results): string {
  const rows = Object.entries(throughput).map(([name, result]) => throughputRow(name, result, ceiling !== undefined));
  if (rows.length === 0) return "";
  const head = ["workload", "callers", "ops/s", "p50 ms", "p99 ms"];
  if (ceiling !== undefined) head.push("ops of ceiling", "p50 of ceiling");
  return table(alignedRight([head, ...rows], 2));
}

function throughputRow(name: string, result: ThroughputResult, isCompared: boolean): string[] {
  const { connections, outstanding, ops, p50_ms, p99_ms, ops_share, p50_multiple } = result;
  const row = [name, `${connections} x ${outstanding}`, grouped(ops), ms(p50_ms), ms(p99_ms)];
  if (!isCompared) return row;
  return [
    ...row,
    ops_share === undefined ? "" : `${(100 * ops_share).toFixed(0)} %`,
    p50_multiple === undefined ? "" : `${p50_multiple.toFixed(2)} x`,
  ];
}
