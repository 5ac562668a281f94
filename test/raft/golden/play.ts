/** Plays a script on the real core. */

import { COMMANDS, type Command } from "./commands.ts";
import { type Script, ScriptError, type Step, stepsOf } from "./script.ts";
import { Misfit } from "./words.ts";
import { World } from "./world.ts";

/** Before a command: tells only its answers, and what has become of whom. */
const QUIETLY = "quietly";

export interface Played {
  /** What came of each step, up to the one that could not be played. */
  readonly outcomes: readonly (readonly string[])[];
  readonly failure: ScriptError | null;
}

export function play(script: Script): Played {
  const world = new World();
  const outcomes: string[][] = [];
  for (const step of stepsOf(script)) {
    try {
      outcomes.push(outcomeOf(world, step));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const failure = new ScriptError(script.file, step.line, `${step.command}: ${reason}`, { cause: error });
      return { outcomes, failure };
    }
  }
  return { outcomes, failure: null };
}

function outcomeOf(world: World, step: Step): string[] {
  const words = step.command.split(" ");
  const isQuiet = words[0] === QUIETLY;
  const [name = "", ...rest] = isQuiet ? words.slice(1) : words;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw new Error(`there is no command "${name}"`);
  try {
    return perform(world, isQuiet ? { ...command, detail: "answers" } : command, rest);
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    throw new Error(`${error.message}: ${name} ${command.takes} (${command.does})`, { cause: error });
  }
}

function perform(world: World, command: Command, words: readonly string[]): string[] {
  const { detail = "steps", isTimed = false } = command;
  const before = new Set(world.census());
  world.transcript.begin(detail, isTimed ? world.nowMs : null);
  command.run(world, words);
  if (detail !== "steps") world.transcript.say(...world.census().filter((line) => !before.has(line)));
  return world.transcript.end();
}
