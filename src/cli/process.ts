/** What every process of a cluster does alike: arguments, log lines, signals, the last word. */

import * as os from "node:os";
import { type ParseArgsConfig, parseArgs } from "node:util";
import { errorColours, formatLog, type LogFormat, logEntry, type Story } from "../console/index.ts";
import { ConclaveError, messageOf } from "../errors.ts";

type Options = NonNullable<ParseArgsConfig["options"]>;

/**
 * Reads what follows the name of a command; a mistake in it ends the process with a line, and --help with the usage.
 *
 * @param names what is needed besides options
 */
export function readArguments<const O extends Options>(
  usage: string,
  args: readonly string[],
  options: O,
  names: readonly string[] = [],
) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...options, help: { type: "boolean", short: "h" } },
      allowPositionals: names.length > 0,
    });
    if (!("help" in values && values.help === true)) {
      if (positionals.length !== names.length) throw new TypeError(`${names.join(" ")} is needed, and nothing else`);
      return { values, words: positionals };
    }
  } catch (error) {
    // The first sentence names the option; the others explain what can be put there, which --help does better.
    const [what] = messageOf(error).split(/[.\n]/);
    fail(new ConclaveError("INVALID_ARGUMENT", `${what}: --help shows what there is.`));
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

/**
 * How long one that was left alone may take for an orderly end. The launcher that an older Node hands over to is left
 * alone first and its children after it, and all of them together have two seconds.
 */
const ORPHAN_MS_MAX = 700;

/** Why a process is to stop. */
type StopReason = "SIGTERM" | "SIGHUP" | "SIGINT" | "orphaned";

/** The exit code of one that was stopped in the middle of its work; for a signal the shell's. */
export const stopCode = (reason: StopReason): number =>
  reason === "orphaned" ? 1 : 128 + os.constants.signals[reason];

/** Calls `stop` once: at SIGTERM, SIGHUP or Ctrl-C, or when the process that started this one is gone. */
export function onStop(stop: (reason: StopReason) => void): void {
  let stopping = false;
  const once = (reason: StopReason): void => {
    if (stopping) return;
    stopping = true;
    stop(reason);
  };
  const supervised = process.env[SUPERVISED] !== undefined;
  process.on("SIGTERM", () => once("SIGTERM"));
  process.on("SIGHUP", () => once("SIGHUP"));
  process.on("SIGINT", () => {
    if (!supervised) once("SIGINT");
  });
  // Whoever started this process is gone: an orderly end, but a quick one. The log is safe at any moment.
  const orphaned = (): void => {
    setTimeout(() => process.exit(1), ORPHAN_MS_MAX).unref();
    once("orphaned");
  };
  process.on("disconnect", orphaned);
  // It may have gone before anybody listened here. (Deno and Bun say false also where there never was a channel.)
  if (process.connected === false && !("Deno" in globalThis || "Bun" in globalThis)) orphaned();
  if (supervised) process.stdin.on("end", orphaned).on("error", orphaned).resume();
}

/** Runs a server until it is told to stop. The disk's failure ends it with exit code 1. */
export async function serve(
  tell: (story: Story) => void,
  start: () => Promise<{ close(): Promise<void> }>,
): Promise<void> {
  let close: (() => Promise<void>) | null = null;
  onStop((reason) => {
    // Until it serves there is nothing to take leave of, and its log is safe at any moment.
    if (close === null) process.exit(stopCode(reason));
    tell({ event: "stopping" });
    close().then(() => {
      tell({ event: "stopped" });
      process.exit(0);
    }, fail);
  });
  try {
    const running = await start();
    close = () => running.close();
  } catch (error) {
    if (process.env[SUPERVISED] !== undefined && error instanceof ConclaveError) {
      tell({ event: "failed", code: error.code, error: error.message });
      process.exit(1);
    }
    fail(error);
  }
}
