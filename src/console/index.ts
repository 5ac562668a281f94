/** Everything a terminal shows. */

export { colourOf, colours, errorColours } from "./colours.ts";
export { CLIENT_COMMANDS, type Command, type CommandContext, errorLine, helpText, runWords } from "./commands.ts";
export { formatLog, type LogEntry, type LogFormat, logEntry, parseLog } from "./log.ts";
export type { Story } from "./story.ts";
export { type Repl, startRepl } from "./terminal.ts";
export { splitWords } from "./words.ts";
