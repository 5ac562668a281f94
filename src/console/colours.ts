/** Colours, where the terminal has them and its user wants them (no-color.org, force-color.org). */

import { Chalk, type ChalkInstance, chalkStderr, default as detected } from "chalk";

const refused = (process.env["NO_COLOR"] ?? "") !== "" && process.env["FORCE_COLOR"] === undefined;
const plain = new Chalk({ level: 0 });

export const colours: ChalkInstance = refused ? plain : detected;
export const errorColours: ChalkInstance = refused ? plain : chalkStderr;

/** Told apart also by those who confuse red and green; red itself is left to what went wrong. */
const PALETTE = ["cyan", "magenta", "yellow", "blue", "green", "cyanBright", "magentaBright", "blueBright"] as const;

const chosen = new Map<string, (typeof PALETTE)[number]>();

/** One colour per process, in the order in which they first appear. */
export function colourOf(name: string): (text: string) => string {
  const colour = chosen.get(name) ?? PALETTE[chosen.size % PALETTE.length] ?? "cyan";
  chosen.set(name, colour);
  return (text) => colours[colour](text);
}
