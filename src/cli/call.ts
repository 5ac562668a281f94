/** How a command is called, and how it shows its use. */

/** One call of a command. */
export interface Call {
  /** What stands before its options where its use is shown: `conclave node`, or `start-node`. */
  readonly name: string;
  /** What a person types to run it again, but for options: `npx conclave simulate`, or `node scripts/simulate.ts`. */
  readonly typed: string;
  readonly args: readonly string[];
}

/** Begins a command; what goes wrong before it can end by itself is thrown. */
export type Run = (call: Call) => Promise<void>;

/** The first lines of a help text: the options, in lines that stand below each other. */
export function usageLines(name: string, ...lines: readonly string[]): string {
  const start = `usage: ${name} `;
  return start + lines.join(`\n${" ".repeat(start.length)}`);
}
