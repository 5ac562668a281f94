/** Simulated runs in words: their traces, how they failed, and what many of them have seen. */

import { colours, inOneLine, logLine, onOneLine, visible } from "../../console/index.ts";
import { type Breach, INVARIANTS, type SimulationOptions, type TraceLine } from "../../testing/index.ts";
import type { Tally } from "./tally.ts";

const WHERE_TO_BREAK = /(.{60,90},) /g;

/** What a run is told from others by, and with which it can be had again. */
export type RunOptions = Pick<SimulationOptions, "seed" | "profile" | "nodes" | "events" | "faults">;

/** The one command that gives this run again. @param typed what a person types to simulate something */
export function commandOf({ seed, profile = "hostile", nodes, events, faults }: RunOptions, typed: string): string {
  const words = [typed, `--seed ${seed}`, `--profile ${profile}`];
  if (nodes !== undefined) words.push(`--nodes ${nodes}`);
  if (events !== undefined) words.push(`--events ${events}`);
  if (faults !== undefined) words.push(`--faults ${faults.length === 0 ? "none" : faults.join(",")}`);
  return words.join(" ");
}

/** A line of a trace, in the look of a terminal's log. */
export function traceText({ atMs, process, event }: TraceLine): string {
  const line = (text: string): string => logLine(virtualTime(atMs), process, text);
  switch (event.type) {
    case "event":
      return line(colours.dim(event.what));
    case "story":
      return line(inOneLine(event.story));
    case "fault":
      return `${colours.dim(virtualTime(atMs))} ${colours.red(`fault ${event.number}`.padEnd(9))} ${event.kind} ${onOneLine(event.detail)}`.trimEnd();
  }
}

/** A broken invariant: which, where, what came before it, and how to see it again. @param typed as for `commandOf` */
export function failureText(options: RunOptions, breach: Breach, recent: readonly TraceLine[], typed: string): string {
  const { invariant, detail, atMs, event } = breach;
  const { seed, profile = "hostile" } = options;
  return [
    ...recent.map(traceText),
    "",
    `${colours.red(`✘ ${invariant}`)}: ${INVARIANTS[invariant]}`,
    `  ${visible(detail).replaceAll("\n", "\n  ")}`,
    `  seed ${seed}, profile ${profile}, ${virtualTime(atMs)}, event ${grouped(event)}`,
    `  ${colours.bold(commandOf(options, typed))}`,
  ].join("\n");
}

/** One line while it goes on; the most important first, since a terminal may be narrow. */
export function progressText(tally: Tally, elapsedMs: number): string {
  const { seeds, faults, sights } = tally;
  const parts = [
    count(seeds, "seed"),
    `${grouped(speed(tally, elapsedMs))} events/s`,
    `${hours(tally)} virtual hours`,
    counts(sights),
    `${count(sum(faults), "fault")}: ${counts(faults)}`,
  ];
  return parts.join("; ");
}

/** What became of all the runs. */
export function summaryText(tally: Tally, elapsedMs: number): string {
  const { seeds, events, faults, sights } = tally;
  const rows = [
    ["seeds", grouped(seeds)],
    ["events", `${grouped(events)}, ${grouped(speed(tally, elapsedMs))} a second`],
    ["virtual", `${hours(tally)} hours`],
    ["faults", sum(faults) === 0 ? "none" : `${grouped(sum(faults))}: ${counts(faults)}`],
    ["seen", counts(sights)],
  ];
  return rows.map(([name = "", text = ""]) => `${colours.dim(name.padEnd(8))} ${wrapped(text)}`).join("\n");
}

/** Breaks a list where the screen may end; what follows stands below its beginning. */
const wrapped = (text: string): string => text.replace(WHERE_TO_BREAK, "$1\n         ");

/** `00:01:02.345`, as wide as the time of day in a log. */
export function virtualTime(atMs: number): string {
  const ms = Math.floor(atMs);
  const pad = (value: number, width = 2): string => String(value).padStart(width, "0");
  const [h, m, s] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, Math.floor(ms / 1_000) % 60];
  return `${pad(h)}:${pad(m)}:${pad(s)}.${pad(ms % 1_000, 3)}`;
}

export const speed = ({ events }: Tally, elapsedMs: number): number => Math.round((events * 1_000) / (elapsedMs || 1));

const hours = ({ virtualMs }: Tally): string => `${Number((virtualMs / 3_600_000).toPrecision(3))}`;
const sum = (each: Readonly<Record<string, number>>): number => Object.values(each).reduce((a, b) => a + b, 0);
const grouped = (value: number): string => value.toLocaleString("en-US");
const count = (value: number, one: string): string => `${grouped(value)} ${one}${value === 1 ? "" : "s"}`;

/** The most frequent first. */
const counts = (each: Readonly<Record<string, number>>): string =>
  Object.entries(each)
    .sort(([, a], [, b]) => b - a)
    .map(([name, value]) => `${inWords(name)} ${grouped(value)}`)
    .join(", ");

/** `torn tails` for `tornTails`. */
const inWords = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
