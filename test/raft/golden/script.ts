/**
 * The form of a script: commands at the margin, what came of each indented beneath it, comments between. Regenerating
 * replaces what is indented and keeps the rest, so that a change of behaviour is read as a diff of these files.
 */

/** A command of a script and what it says came of it. */
export interface Step {
  readonly kind: "step";
  readonly line: number;
  readonly command: string;
  readonly outcome: readonly string[];
}

/** A comment or an empty line. */
interface Remark {
  readonly kind: "remark";
  readonly text: string;
}

export interface Script {
  readonly file: string;
  /** What the script shows, in its author's words: the first line. */
  readonly heading: string;
  readonly parts: readonly (Step | Remark)[];
}

/** A script that can't be read or played; the message leads to the place. */
export class ScriptError extends Error {
  constructor(file: string, line: number, reason: string, options?: ErrorOptions) {
    super(`${file}:${line}: ${reason}`, options);
    this.name = "ScriptError";
  }
}

const INDENT = "  ";

export function readScript(file: string, text: string): Script {
  const lines = text.replace(/\n$/, "").split("\n");
  const heading = /^# (\S.*)$/.exec(lines[0] ?? "")?.[1];
  if (heading === undefined) throw new ScriptError(file, 1, 'the first line has to be "# " and what the script shows');
  const parts: ((Step & { readonly outcome: string[] }) | Remark)[] = [];
  lines.forEach((text, i) => {
    const line = i + 1;
    if (text !== text.trimEnd()) throw new ScriptError(file, line, "there are blanks at the end of the line");
    if (text === "" || text.startsWith("#")) {
      parts.push({ kind: "remark", text });
    } else if (text.startsWith(INDENT)) {
      const above = parts.at(-1);
      if (above?.kind !== "step") throw new ScriptError(file, line, "an outcome has to stand right under its command");
      above.outcome.push(text.slice(INDENT.length));
    } else if (/^\s/.test(text)) {
      throw new ScriptError(file, line, "a command starts at the margin, an outcome after two blanks");
    } else {
      parts.push({ kind: "step", line, command: text, outcome: [] });
    }
  });
  return { file, heading, parts };
}

export const stepsOf = (script: Script): Step[] => script.parts.filter((part) => part.kind === "step");

/** The script's text with these outcomes, one for each of its steps, in place of those it has. */
export function writeScript(script: Script, outcomes: readonly (readonly string[])[]): string {
  const left = [...outcomes];
  const lines = script.parts.flatMap((part) => {
    if (part.kind === "remark") return [part.text];
    return [part.command, ...(left.shift() ?? []).map((line) => INDENT + line)];
  });
  return `${lines.join("\n")}\n`;
}
