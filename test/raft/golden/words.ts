/** The words of a line in a script: how many there may be, and what they stand for. */

/** There are too few words, too many or others. What would be right is for the one to say who takes them. */
export class Misfit extends Error {}

const misfit = (): Misfit => new Misfit("these are not the words it takes");

export function none(words: readonly string[]): void {
  if (words.length > 0) throw misfit();
}

export function one([word, ...rest]: readonly string[]): string {
  if (word === undefined || rest.length > 0) throw misfit();
  return word;
}

export function two([word, ...rest]: readonly string[]): [string, string] {
  if (word === undefined) throw misfit();
  return [word, one(rest)];
}

/** At least one. */
export function some([word, ...rest]: readonly string[]): [string, ...string[]] {
  if (word === undefined) throw misfit();
  return [word, ...rest];
}

/** The words between those that part them. */
export function split(parting: string, words: readonly string[]): [string, ...string[]][] {
  const at = words.indexOf(parting);
  if (at === -1) return [some(words)];
  return [some(words.slice(0, at)), ...split(parting, words.slice(at + 1))];
}

/** The words before and after another one. */
export function around(middle: string, words: readonly string[]): [before: string[], after: string[]] {
  const at = words.indexOf(middle);
  if (at === -1) throw misfit();
  return [words.slice(0, at), words.slice(at + 1)];
}

export function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`"${text}" is not a number`);
  return Number(text);
}

export function decimalNumber(text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new Error(`"${text}" is not a number`);
  return Number(text);
}

export function milliseconds(text: string): number {
  if (!text.endsWith("ms")) throw new Error(`"${text}" is not a time: write 50ms`);
  return wholeNumber(text.slice(0, -2));
}

/** Words of the form `key=value`, and bare words beside them: how a script writes down whatever has parts. */
export class Fields {
  readonly #values = new Map<string, string>();

  constructor(words: readonly string[]) {
    for (const word of words) {
      const [, key = "", value = ""] = /^([^=]+)(?:=(.+))?$/.exec(word) ?? [];
      if (key === "") throw new Error(`"${word}" is neither a word nor KEY=VALUE`);
      if (this.#values.has(key)) throw new Error(`"${key}" is there twice`);
      this.#values.set(key, value);
    }
  }

  /** Whether the bare word is there. */
  flag(key: string): boolean {
    const value = this.#take(key);
    if (value) throw new Error(`"${key}" takes no value`);
    return value !== undefined;
  }

  text(key: string): string | undefined {
    const value = this.#take(key);
    if (value === "") throw new Error(`"${key}" needs a value`);
    return value;
  }

  number(key: string): number | undefined {
    const value = this.text(key);
    return value === undefined ? undefined : wholeNumber(value);
  }

  list(key: string): string[] | undefined {
    return this.text(key)?.split(",");
  }

  /** What is left was misspelt, or doesn't belong here. */
  end(): void {
    const [key] = this.#values.keys();
    if (key !== undefined) throw new Error(`"${key}" does not belong here`);
  }

  #take(key: string): string | undefined {
    const value = this.#values.get(key);
    this.#values.delete(key);
    return value;
  }
}

/** The value of a field that has to be there. */
export function needed<T>(value: T | undefined, key: string): T {
  if (value === undefined) throw new Error(`"${key}" is missing`);
  return value;
}
