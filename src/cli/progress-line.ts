/** Tells a person how far something has come. */

import * as readline from "node:readline";

/** A line on standard error that says how far it has come: rewritten on a terminal, a new one now and then elsewhere. */
export class ProgressLine {
  readonly #isSilent: boolean;
  readonly #isTerminal = process.stderr.isTTY === true;
  readonly #everyMs = this.#isTerminal ? 1_000 : 10_000;
  #shownMs = performance.now();
  #isShown = false;

  constructor({ isSilent = false }: { readonly isSilent?: boolean } = {}) {
    this.#isSilent = isSilent;
  }

  show(text: () => string): void {
    if (this.#isSilent || performance.now() - this.#shownMs < this.#everyMs) return;
    this.#shownMs = performance.now();
    this.clear();
    if (this.#isTerminal) process.stderr.write(text().slice(0, (process.stderr.columns || 80) - 1));
    else process.stderr.write(`${text()}\n`);
    this.#isShown = this.#isTerminal;
  }

  clear(): void {
    if (!this.#isShown) return;
    readline.clearLine(process.stderr, 0);
    readline.cursorTo(process.stderr, 0);
    this.#isShown = false;
  }
}
