/** The first word names the command; the rest is the command's own. */

import { readFileSync } from "node:fs";
import * as path from "node:path";
import { ConclaveError } from "../errors.ts";
import { COMMAND_NAMES, COMMANDS, commandsText, nearestCommand } from "./commands.ts";
import { PACKAGE_FOLDER, TYPED } from "./entry.ts";
import { fail } from "./process.ts";

const usage = (): string => `usage: conclave COMMAND [OPTIONS...]

${commandsText()}

  help COMMAND  the options of a command; the same as COMMAND --help
  --version     which version this is`;

/** Resolves once the command has begun; whatever it comes to, it ends the process itself. */
export async function runCommandLine(args: readonly string[]): Promise<void> {
  const [word = "help", ...rest] = args;
  if (word === "--version" || word === "-v") return console.log(version());
  if (word !== "help" && word !== "--help" && word !== "-h") return begin(word, rest);
  const [topic] = rest;
  if (topic === undefined) return console.log(usage());
  return COMMAND_NAMES.includes(topic) ? begin(topic, ["--help"]) : fail(unknown(topic));
}

/** Runs a command under the name of a script of the repository: `start-node` for `scripts/start-node.ts`. */
export const runAsScript = (command: string, script: string, args: readonly string[]): Promise<void> => {
  const name = path.basename(script, ".ts");
  return begin(command, args, { name, typed: `node scripts/${name}.ts` });
};

async function begin(
  name: string,
  args: readonly string[],
  called = { name: `conclave ${name}`, typed: `${TYPED} ${name}` },
): Promise<void> {
  const command = COMMANDS.find((known) => known.name === name);
  if (command === undefined) return fail(unknown(name));
  try {
    const { run } = await command.load();
    run({ ...called, args }).catch(fail);
  } catch (error) {
    fail(error);
  }
}

function unknown(word: string): ConclaveError {
  const nearest = nearestCommand(word);
  const instead =
    nearest !== null
      ? `is no command: did you mean ${nearest}?`
      : word.startsWith("-")
        ? "is no option of conclave itself: name a command first."
        : `is no command, as ${COMMAND_NAMES.join(", ")} are.`;
  return new ConclaveError("INVALID_ARGUMENT", `"${word}" ${instead} conclave --help shows what there is.`);
}

/** What the package says of itself. */
function version(): string {
  const file = path.join(PACKAGE_FOLDER, "package.json");
  const { version: text }: { readonly version: string } = JSON.parse(readFileSync(file, "utf8"));
  return text;
}
