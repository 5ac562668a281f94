/** Everything a terminal shows. */

export { onOneLine, visible } from "./clean.ts";
export { colourOf, colours, errorColours } from "./colours.ts";
export { CLIENT_COMMANDS, type Command, type CommandContext, errorLine, helpText, runWords } from "./commands.ts";
export { formatLog, inOneLine, type LogEntry, type LogFormat, logEntry, logLine, parseLog } from "./log.ts";
export type { Story } from "./story.ts";
export { table } from "./table.ts";
export { type Repl, startRepl } from "./terminal.ts";
export { splitWords } from "./words.ts";
