/** How a typed line falls into words. */

import { ConclaveError } from "../errors.ts";

/** @throws ConclaveError `INVALID_ARGUMENT` if a quote is not closed */
export function splitWords(line: string): string[] {
  const { words, quote } = wordsSoFar(line);
  if (quote === null) return words;
  throw new ConclaveError(
    "INVALID_ARGUMENT",
    `the quote ${quote} is not closed; for one that is a letter, type \\${quote}`,
  );
}

/**
 * Splits a line as a shell would: quotes keep spaces, a backslash keeps the next character. For a line that is not
 * finished, `quote` is the one that is open at its end.
 */
export function wordsSoFar(line: string): { readonly words: string[]; readonly quote: string | null } {
  const words: string[] = [];
  let word: string | null = null;
  let quote: string | null = null;
  for (let i = 0; i < line.length; i++) {
    const char = line[i] ?? "";
    if (char === "\\" && quote !== "'" && i + 1 < line.length) {
      word = (word ?? "") + line[++i];
    } else if (quote !== null) {
      if (char === quote) quote = null;
      else word += char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= "";
    } else if (char === " " || char === "\t") {
      if (word !== null) words.push(word);
      word = null;
    } else {
      word = (word ?? "") + char;
    }
  }
  if (word !== null) words.push(word);
  return { words, quote };
}
