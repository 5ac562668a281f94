/** How what the store holds, and who leads, looks on a terminal and in JSON. */

import type { Client, Value } from "../client/index.ts";
import { visible } from "./clean.ts";
import { colourOf, colours } from "./colours.ts";

const decoder = new TextDecoder("utf-8", { fatal: true });

export function showValue(value: Value): string {
  if (typeof value === "string") return visible(value);
  try {
    return visible(decoder.decode(value));
  } catch {
    return `<${value.byteLength} bytes>`;
  }
}

/** Values as JSON: bytes as base64, so that nothing is lost. */
export const jsonEntry = <Entry extends { readonly value: Value }>(entry: Entry): unknown =>
  typeof entry.value === "string"
    ? entry
    : { ...entry, value: { base64: Buffer.from(entry.value).toString("base64") } };

export const revision = (value: number): string => colours.dim(`revision ${value}`);

/** One line on who leads. */
export function leaderLine(found: Client["leader"]): string {
  if (found === null) return colours.dim("no leader is known");
  return `${colours.bold("leader")} ${colourOf(found.id)(found.id)} of term ${found.term} ${colours.dim(found.url)}`;
}

export const sizeText = (bytes: number): string =>
  bytes < 2 ** 20 ? `${(bytes / 2 ** 10).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
