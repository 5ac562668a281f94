/** Reads `cluster.config.json`. Every mistake in it ends in one line that names file, path and remedy. */

import { readFile } from "node:fs/promises";
import * as path from "node:path";
import * as v from "valibot";
import { ConclaveError, messageOf } from "../errors.ts";
import { type Config, configSchema, problemOf } from "./schema.ts";

/**
 * Reads a configuration from a file, checks it, and fills in defaults.
 *
 * @example
 * ```ts
 * import { writeFile } from "node:fs/promises";
 * import { readConfig } from "conclave";
 *
 * const nodes = [{ id: "n1", url: "ws://10.0.0.1:7101" }];
 * const directories = [{ url: "ws://10.0.0.1:7000" }];
 * await writeFile(`${folder}/demo.json`, JSON.stringify({ cluster: "demo", nodes, directories }));
 * console.log((await readConfig(`${folder}/demo.json`)).heartbeatMs); // 100
 * ```
 *
 * @throws ConclaveError `CONFIG_INVALID`
 */
export async function readConfig(file: string): Promise<Config> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw invalid(path.resolve(file), whyUnread(error));
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw invalid(file, `this is not JSON: ${messageOf(error)}`);
  }
  return parseConfig(json, file);
}

function whyUnread(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : null;
  if (code === "ENOENT") return "there is no such file: create it, or name another with --config";
  if (code === "EISDIR") return "this is a folder: name the file in it with --config";
  return `this can't be read: ${messageOf(error)}`;
}

/**
 * Checks a configuration and fills in defaults.
 *
 * @example
 * ```ts
 * import { ConclaveError, parseConfig } from "conclave";
 *
 * try {
 *   parseConfig({ cluster: "demo", directories: [], nodes: [] }, "demo.json");
 * } catch (error) {
 *   if (error instanceof ConclaveError) console.log(error.code); // CONFIG_INVALID
 * }
 * ```
 *
 * @param source what to call it in an error
 * @throws ConclaveError `CONFIG_INVALID`
 */
export function parseConfig(json: unknown, source: string): Config {
  const result = v.safeParse(configSchema, json);
  if (!result.success) {
    const [issue] = result.issues;
    throw invalid(source, `${pathOf(issue)}: ${remedyFor(issue)}`);
  }
  const problem = problemOf(result.output);
  if (problem !== null) throw invalid(source, `${problem.path}: ${problem.remedy}`);
  return result.output;
}

type Issue = v.InferIssue<typeof configSchema>;

function pathOf(issue: Issue): string {
  const keys = (issue.path ?? []).map(({ key }) => key);
  const text = keys.reduce<string>((path, key) => {
    if (typeof key === "number") return `${path}[${key}]`;
    return path === "" ? String(key) : `${path}.${String(key)}`;
  }, "");
  return text === "" ? "the top level" : text;
}

function remedyFor(issue: Issue): string {
  if (issue.kind === "validation") return `${issue.message}, not ${issue.received}`;
  if (issue.expected === "never") return "this key is not known: remove it, or check its spelling";
  if (issue.received === "undefined") return "this is missing: add it";
  return `${issue.expected ?? "something else"} is needed, not ${issue.received}`;
}

const invalid = (file: string, problem: string): ConclaveError =>
  new ConclaveError("CONFIG_INVALID", `${file}: ${problem}`);

/**
 * The port of an address such as ws://127.0.0.1:7101.
 *
 * @example
 * ```ts
 * import { portOf } from "conclave";
 *
 * console.log(portOf("ws://10.0.0.1:7101"), portOf("wss://conclave.example.org")); // 7101 443
 * ```
 */
export const portOf = (url: string): number => Number(new URL(url).port) || (url.startsWith("wss:") ? 443 : 80);

/**
 * The host to bind: the one given, or the address's own.
 *
 * @example
 * ```ts
 * import { hostOf } from "conclave";
 *
 * console.log(hostOf({ url: "ws://10.0.0.1:7101" })); // 10.0.0.1
 * console.log(hostOf({ url: "ws://10.0.0.1:7101", host: "0.0.0.0" })); // 0.0.0.0
 * ```
 */
export const hostOf = ({ url, host }: { readonly url: string; readonly host?: string | undefined }): string =>
  host ?? new URL(url).hostname.replace(/^\[|\]$/g, "");
