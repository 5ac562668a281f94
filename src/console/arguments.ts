/** What follows a command's name: words in order, and options among them. */

import { ConclaveError } from "../errors.ts";

/** What a command takes. */
export interface Takes {
  /** Its words, at least and at most. */
  readonly words: readonly [number, number];
  /** Its options by name, each with what its value is called, or null if it has none. */
  readonly options?: Readonly<Record<string, string | null>>;
}

export interface Arguments {
  readonly words: readonly string[];
  /** The options that were given; "" for those without a value. */
  readonly options: ReadonlyMap<string, string>;
}

export const usage = (text: string): ConclaveError => new ConclaveError("INVALID_ARGUMENT", text);

/** @throws ConclaveError `INVALID_ARGUMENT` */
export function wholeNumber(text: string, what: string): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value)) throw usage(`${what} is a whole number, not "${text}"`);
  return value;
}

/** After a bare `--` everything is a word, whatever it begins with. @throws ConclaveError `INVALID_ARGUMENT` */
export function readArguments(
  { name, usage: line, takes }: { readonly name: string; readonly usage: string; readonly takes: Takes },
  given: readonly string[],
): Arguments {
  const words: string[] = [];
  const options = new Map<string, string>();
  const end = given.indexOf("--");
  const before = end === -1 ? given : given.slice(0, end);
  for (let i = 0; i < before.length; i++) {
    const word = before[i] ?? "";
    const value = Object.hasOwn(takes.options ?? {}, word) ? takes.options?.[word] : undefined;
    if (!word.startsWith("--")) words.push(word);
    else if (value === undefined) throw usage(`${name} has no option ${word}; put -- before words that begin with --`);
    else if (value === null) options.set(word, "");
    else {
      const next = before[++i];
      if (next === undefined) throw usage(`${word} needs ${value}`);
      options.set(word, next);
    }
  }
  if (end !== -1) words.push(...given.slice(end + 1));
  const [least, most] = takes.words;
  if (words.length < least || words.length > most) throw usage(`usage: ${line}`);
  return { words, options };
}
