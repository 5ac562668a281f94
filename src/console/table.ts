/** Columns that line up, colours or not. */

import { stripVTControlCharacters } from "node:util";
import { colours } from "./colours.ts";

const widthOf = (text: string): number => stripVTControlCharacters(text).length;

/** The first row is the head. */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...rows.map((row) => widthOf(row[i] ?? ""))));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell + " ".repeat((widths[i] ?? 0) - widthOf(cell)))
      .join("  ")
      .trimEnd(),
  );
  const [head = "", ...body] = lines;
  return [colours.dim(head), ...body].join("\n");
}
