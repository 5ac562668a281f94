/** A terminal of so many columns, in memory: what a person would see of what was written. It is as high as it must be. */

import { PassThrough, Writable } from "node:stream";

export class Screen extends Writable {
  readonly isTTY = true;
  readonly columns: number;
  /** What the person types. */
  readonly keys = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => {} });
  #cells: string[][] = [[]];
  #row = 0;
  #column = 0;
  readonly #waiting = new Set<() => void>();

  constructor(columns: number) {
    super({ decodeStrings: false });
    this.columns = columns;
  }

  /** The rows, without the blanks at their ends. */
  get rows(): string[] {
    const rows = this.#cells.map((cells) =>
      Array.from(cells, (cell) => cell ?? " ")
        .join("")
        .trimEnd(),
    );
    while (rows.at(-1) === "") rows.pop();
    return rows;
  }

  /** Where the next character would go. */
  get cursor(): { readonly row: number; readonly column: number } {
    return { row: this.#row, column: this.#column };
  }

  type(text: string): void {
    this.keys.write(text);
  }

  /** Waits until the rows are these; a test that waits in vain shows what they are. */
  async shows(...expected: readonly string[]): Promise<void> {
    await this.until(() => this.rows.join("\n") === expected.join("\n"));
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  override _write(chunk: string | Buffer, _encoding: string, done: () => void): void {
    const text = String(chunk);
    const parts = /\p{Cc}\[(\d*)([A-Za-z])|([\s\S])/gu;
    for (const [, count = "", command, char = ""] of text.matchAll(parts)) {
      if (command === undefined) this.#put(char);
      else this.#obey(command, count === "" ? null : Number(count));
    }
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
    done();
  }

  #put(char: string): void {
    if (char === "\r") this.#column = 0;
    else if (char === "\n") this.#down();
    else {
      // As terminals do it: the last column is left only by the character after it.
      if (this.#column === this.columns) this.#down();
      const cells = this.#cells[this.#row] ?? [];
      while (cells.length < this.#column) cells.push(" ");
      cells[this.#column++] = char;
    }
  }

  #down(): void {
    this.#column = 0;
    this.#row++;
    if (this.#row === this.#cells.length) this.#cells.push([]);
  }

  #obey(command: string, count: number | null): void {
    const column = Math.min(this.#column, this.columns - 1);
    if (command === "A") this.#row = Math.max(0, this.#row - (count ?? 1));
    else if (command === "B") this.#row = Math.min(this.#cells.length - 1, this.#row + (count ?? 1));
    else if (command === "C") this.#column = Math.min(this.columns - 1, column + (count ?? 1));
    else if (command === "D") this.#column = Math.max(0, column - (count ?? 1));
    else if (command === "G") this.#column = (count ?? 1) - 1;
    else if (command === "J") {
      this.#cells.length = this.#row + 1;
      this.#cells[this.#row]?.splice(this.#column);
    } else if (command === "K") {
      if (count === 2) this.#cells[this.#row] = [];
      else this.#cells[this.#row]?.splice(this.#column);
    } else if (command !== "m") throw new Error(`this terminal does not know ESC [ ${count ?? ""} ${command}`);
  }
}
