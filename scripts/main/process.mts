/** What every process of a cluster does alike: arguments, log lines, signals, the last word. */

import { type ParseArgsConfig, parseArgs } from "node:util";
import { errorColours, formatLog, type LogFormat, logEntry, type Story } from "../../src/console/index.ts";
import { ConclaveError, messageOf } from "../../src/errors.ts";

type Options = NonNullable<ParseArgsConfig["options"]>;

/** Reads the command line; a mistake in it ends the process with a line and the usage. */
export function readArguments<const O extends Options>(usage: string, options: O, allowPositionals = false) {
  try {
    const { values, positionals } = parseArgs({ options: { ...options, help: { type: "boolean" } }, allowPositionals });
    if (!("help" in values && values.help === true)) return { values, positionals };
  } catch (error) {
    console.error(`${messageOf(error)}\n\n${usage}`);
    process.exit(1);
  }
  console.log(usage);
  return process.exit(0);
}

/** @throws ConclaveError `INVALID_ARGUMENT` */
export function logFormat(text: string | undefined): LogFormat {
  if (text === undefined || text === "pretty" || text === "json") return text ?? "pretty";
  throw new ConclaveError("INVALID_ARGUMENT", `--log is pretty or json, not "${text}".`);
}

// Whoever read the output may be gone: that is no reason to stop serving.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

/** Writes a process's stories to standard output. */
export const teller =
  (name: string, format: LogFormat) =>
  (story: Story): void =>
    void process.stdout.write(`${formatLog(format, logEntry(name, story))}\n`);

/** Ends the process with one line on standard error: what happened, to what, and what to do. */
export function fail(error: unknown): never {
  const code = error instanceof ConclaveError ? error.code : "INTERNAL";
  const detail =
    error instanceof ConclaveError ? error.message : error instanceof Error ? (error.stack ?? "") : String(error);
  process.stderr.write(`${errorColours.red(code)} ${detail}\n`);
  process.exit(1);
}

/**
 * Set by a launcher for its children: they leave Ctrl-C to it, and take the end of their standard input for its death.
 */
export const SUPERVISED = "CONCLAVE_SUPERVISED";

const ORPHAN_MS_MAX = 1_500;

/** Calls `stop` once: at SIGTERM, SIGHUP or Ctrl-C, or when the process that started this one is gone. */
export function onStop(stop: () => void): void {
  let stopping = false;
  const once = (): void => {
    if (!stopping) stop();
    stopping = true;
  };
  const supervised = process.env[SUPERVISED] !== undefined;
  process.on("SIGTERM", once);
  process.on("SIGHUP", once);
  process.on("SIGINT", () => {
    if (!supervised) once();
  });
  // Whoever started this process is gone: an orderly end, but within two seconds. The log is safe at any moment.
  const orphaned = (): void => {
    setTimeout(() => process.exit(1), ORPHAN_MS_MAX).unref();
    once();
  };
  process.on("disconnect", orphaned);
  if (supervised) process.stdin.on("end", orphaned).on("error", orphaned).resume();
}

/** Runs a server until it is told to stop. The disk's failure ends it with exit code 1. */
export async function serve(
  tell: (story: Story) => void,
  start: () => Promise<{ close(): Promise<void> }>,
): Promise<void> {
  const running = await start().catch((error) => {
    if (process.env[SUPERVISED] !== undefined && error instanceof ConclaveError) {
      tell({ event: "failed", code: error.code, error: error.message });
      process.exit(1);
    }
    return fail(error);
  });
  onStop(() => {
    tell({ event: "stopping" });
    running.close().then(() => {
      tell({ event: "stopped" });
      process.exit(0);
    }, fail);
  });
}
