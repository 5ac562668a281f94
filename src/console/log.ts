/** Log lines: for people, or as JSON for programs. */

import * as v from "valibot";
import { onOneLine } from "./clean.ts";
import { colourOf, colours } from "./colours.ts";
import { sentence } from "./sentences.ts";
import type { Story } from "./story.ts";

export type LogFormat = "pretty" | "json";

/** A story with its teller and its time. */
export interface LogEntry {
  /** ISO 8601, with milliseconds. */
  readonly time: string;
  /** The process that tells it. */
  readonly process: string;
  readonly story: Story;
}

const NAME_WIDTH = 9;

export const logEntry = (process: string, story: Story): LogEntry => ({
  time: new Date().toISOString(),
  process,
  story,
});

export function formatLog(format: LogFormat, { time, process, story }: LogEntry): string {
  if (format === "json") return JSON.stringify({ time, process, ...story });
  return logLine(localTime(new Date(time)), process, inOneLine(story));
}

/** A line as people read it: when, who and what. The text must be one line already. */
export const logLine = (clock: string, process: string, text: string): string =>
  `${colours.dim(clock)} ${colourOf(process)(process.padEnd(NAME_WIDTH))} ${text}`;

/** What a story tells, on one line whatever strangers have put into it. */
export const inOneLine = (story: Story): string => sentence(clean(story));

/** Peers name themselves and give reasons: none of that may forge a line. */
function clean(story: Story): Story {
  const fields = Object.entries(story).map(([key, value]) => [
    key,
    typeof value === "string" ? onOneLine(value) : value,
  ]);
  return Object.fromEntries(fields) as Story;
}

function localTime(date: Date): string {
  const pad = (value: number, width = 2): string => String(value).padStart(width, "0");
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

const jsonLineSchema = v.looseObject({ time: v.string(), process: v.string(), event: v.string() });

/** Reads a line that `formatLog` wrote as JSON; null for any other line. */
export function parseLog(line: string): LogEntry | null {
  try {
    const result = v.safeParse(jsonLineSchema, JSON.parse(line));
    if (!result.success) return null;
    const { time, process, ...story } = result.output;
    return { time, process, story: story as unknown as Story };
  } catch {
    return null;
  }
}
