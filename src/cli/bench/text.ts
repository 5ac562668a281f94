/** Results for people. */

import { colours, table } from "../../console/index.ts";
import type { Results, Skipped, ThroughputResult } from "./results.ts";

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
  const parts = [
    colours.bold(head),
    throughputText(results),
    pausesText(results),
    idleText(results),
    crowdsText(results),
    growthText(results),
    skippedText(results),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

/** A table whose head stands over rows; nothing without rows. */
const tableOf = (head: readonly string[], rows: readonly (readonly string[])[], textColumns = 1): string =>
  rows.length === 0 ? "" : table(alignedRight([head, ...rows], textColumns));

function throughputText({ throughput }: Results): string {
  const isCompared = Object.values(throughput).some(({ ops_share }) => ops_share !== undefined);
  const rows = Object.entries(throughput).map(([name, result]) => throughputRow(name, result, isCompared));
  const head = ["workload", "callers", "ops/s", "p50 ms", "p99 ms"];
  if (isCompared) head.push("ops of ceiling", "p50 of ceiling");
  return tableOf(head, rows, 2);
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

const isMeasured = <Result extends object>(result: Result | Skipped | undefined): result is Result =>
  result !== undefined && !("skipped" in result);

function pausesText({ transfer, failover }: Results): string {
  const rows = Object.entries({ transfer, failover }).flatMap(([name, result]) => {
    if (!isMeasured(result)) return [];
    return [[name, `${result.pauses_ms.length}`, ms(result.median_ms), ms(result.max_ms)]];
  });
  return tableOf(["a caller's pause", "times", "median ms", "longest ms"], rows);
}

function idleText({ idle }: Results): string {
  if (idle === undefined) return "";
  const rows = idle.nodes.map(({ id, role, cpu_percent, rss_mib }) => [
    id,
    role,
    cpu_percent.toFixed(1),
    rss_mib.toFixed(0),
  ]);
  return tableOf([`idle for ${idle.seconds} s`, "role", "CPU %", "memory MiB"], rows, 2);
}

function crowdsText({ crowds }: Results): string {
  const rows = Object.values(crowds).flatMap((crowd) => {
    if (!isMeasured(crowd)) return [];
    const { clients, connect_seconds, node_kib_per_client, directory_kib_per_client, leader_change_ms } = crowd;
    return [
      [
        grouped(clients),
        connect_seconds.toFixed(1),
        node_kib_per_client.toFixed(1),
        directory_kib_per_client.toFixed(1),
        leader_change_ms === undefined ? "" : ms(leader_change_ms),
      ],
    ];
  });
  const head = ["idle clients", "connected s", "KiB each, leader", "KiB each, directory", "leader change ms"];
  return tableOf(head, rows, 0);
}

function growthText({ growth }: Results): string {
  if (growth === undefined) return "";
  const rows = growth.at.map(({ commands, ops, p50_ms, p99_ms, rss_mib }) => [
    grouped(commands),
    grouped(ops),
    ms(p50_ms),
    ms(p99_ms),
    rss_mib.map((mib) => mib.toFixed(0)).join(", "),
  ]);
  return tableOf(["commands", "ops/s", "p50 ms", "p99 ms", "memory MiB"], rows, 0);
}

function skippedText({ transfer, failover, crowds }: Results): string {
  return Object.entries({ transfer, failover, ...crowds })
    .flatMap(([name, result]) => (result !== undefined && "skipped" in result ? [`${name}: ${result.skipped}`] : []))
    .map((line) => colours.yellow(`skipped ${line}`))
    .join("\n");
}
