/** What can be typed: the commands of the REPL and of the one-shot client. */

import type { Client, KeyValueEntry, NodeReport, ReadOptions } from "../client/index.ts";
import type { Clock } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import { onOneLine, visible } from "./clean.ts";
import { colourOf, colours } from "./colours.ts";
import { table } from "./table.ts";

/** What a command works with. */
export interface CommandContext {
  readonly client: Client;
  readonly clock: Clock;
  /** Shows lines to the person. */
  print(text: string): void;
  /** Ends when the person no longer wants to wait. */
  readonly signal: AbortSignal;
}

export interface Command {
  readonly name: string;
  readonly usage: string;
  readonly help: string;
  /** @returns what a program would want, for `--json` */
  run(args: readonly string[], context: CommandContext): Promise<unknown>;
}

const STALE = "--stale";

/** Takes `--stale` and `--node ID` out of the arguments. */
function readOptions(args: readonly string[], signal: AbortSignal): { rest: string[]; options: ReadOptions } {
  const rest = [...args];
  const stale = rest.indexOf(STALE);
  if (stale !== -1) rest.splice(stale, 1);
  const node = rest.indexOf("--node");
  const [, id] = node === -1 ? [] : rest.splice(node, 2);
  if (node !== -1 && id === undefined) throw usage("--node needs the id of a node");
  if (stale === -1 && id === undefined) return { rest, options: { signal } };
  return { rest, options: { signal, consistency: "stale", ...(id === undefined ? {} : { node: id }) } };
}

const usage = (text: string): ConclaveError => new ConclaveError("INVALID_ARGUMENT", text);

/** Exactly so many arguments, or the usage line. */
function expectArgs(command: { readonly usage: string }, args: readonly string[], least: number, most = least): void {
  if (args.length < least || args.length > most) throw usage(`usage: ${command.usage}`);
}

function wholeNumber(text: string, what: string): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value)) throw usage(`${what} is a whole number, not "${text}"`);
  return value;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function showValue(value: KeyValueEntry["value"]): string {
  if (typeof value === "string") return visible(value);
  try {
    return visible(decoder.decode(value));
  } catch {
    return `<${value.byteLength} bytes>`;
  }
}

/** Values as JSON: bytes as base64, so that nothing is lost. */
const jsonEntry = (entry: KeyValueEntry): unknown =>
  typeof entry.value === "string"
    ? entry
    : { ...entry, value: { base64: Buffer.from(entry.value).toString("base64") } };

const revision = (value: number): string => colours.dim(`revision ${value}`);

const put: Command = {
  name: "put",
  usage: "put KEY VALUE",
  help: "set a key",
  run: async (args, { client, signal, print }) => {
    expectArgs(put, args, 2);
    const [key = "", value = ""] = args;
    const result = await client.put(key, value, { signal });
    print(`ok ${revision(result.revision)}`);
    return result;
  },
};

const get: Command = {
  name: "get",
  usage: "get KEY [--stale] [--node ID]",
  help: "read a key; --stale asks one node for what it has",
  run: async (args, { client, signal, print }) => {
    const { rest, options } = readOptions(args, signal);
    expectArgs(get, rest, 1);
    const entry = await client.get(rest[0] ?? "", options);
    print(entry === null ? colours.dim("(no such key)") : `${showValue(entry.value)} ${revision(entry.revision)}`);
    return entry === null ? null : jsonEntry(entry);
  },
};

const del: Command = {
  name: "del",
  usage: "del KEY",
  help: "remove a key",
  run: async (args, { client, signal, print }) => {
    expectArgs(del, args, 1);
    const result = await client.delete(args[0] ?? "", { signal });
    print(result.existed ? `ok ${revision(result.revision)}` : colours.dim("(no such key)"));
    return result;
  },
};

const cas: Command = {
  name: "cas",
  usage: "cas KEY (EXPECTED | --revision N) VALUE",
  help: "set a key if it holds the expected value, or is at that revision (0: not there)",
  run: async (args, { client, signal, print }) => {
    const byRevision = args[1] === "--revision";
    expectArgs(cas, args, byRevision ? 4 : 3);
    const [key = "", second = "", third = "", fourth = ""] = args;
    const expected = byRevision ? { revision: wholeNumber(third, "a revision") } : { value: second };
    const result = await client.cas(key, expected, byRevision ? fourth : third, { signal });
    print(result.swapped ? `swapped ${revision(result.revision)}` : "not swapped: the key holds something else");
    return result;
  },
};

const incr: Command = {
  name: "incr",
  usage: "incr KEY [BY]",
  help: "add to a number",
  run: async (args, { client, signal, print }) => {
    expectArgs(incr, args, 1, 2);
    const result = await client.increment(args[0] ?? "", wholeNumber(args[1] ?? "1", "an increment"), { signal });
    print(`${result.value} ${revision(result.revision)}`);
    return result;
  },
};

const append: Command = {
  name: "append",
  usage: "append KEY TEXT",
  help: "add text at the end of a key",
  run: async (args, { client, signal, print }) => {
    expectArgs(append, args, 2);
    const result = await client.append(args[0] ?? "", args[1] ?? "", { signal });
    print(`${result.bytes} bytes ${revision(result.revision)}`);
    return result;
  },
};

const list: Command = {
  name: "list",
  usage: "list [PREFIX] [LIMIT] [--stale] [--node ID]",
  help: "show keys with a prefix, in order",
  run: async (args, { client, signal, print }) => {
    const { rest, options } = readOptions(args, signal);
    expectArgs(list, rest, 0, 2);
    const limit = rest[1] === undefined ? {} : { limit: wholeNumber(rest[1], "a limit") };
    const page = await client.list(rest[0] ?? "", { ...options, ...limit });
    if (page.entries.length === 0) print(colours.dim("(no keys)"));
    else
      print(
        table([
          ["key", "revision", "value"],
          ...page.entries.map((e) => [onOneLine(e.key), String(e.revision), showValue(e.value)]),
        ]),
      );
    if (page.more) print(colours.dim("(there are more)"));
    return { entries: page.entries.map(jsonEntry), more: page.more };
  },
};

const leader: Command = {
  name: "leader",
  usage: "leader",
  help: "who leads",
  run: async (args, { client, signal, print }) => {
    expectArgs(leader, args, 0);
    if (client.leader === null) await firstLeader(client, signal);
    print(leaderLine(client.leader));
    return client.leader;
  },
};

const FIRST_LEADER_MS = 5_000;

function firstLeader(client: Client, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(FIRST_LEADER_MS)]);
    const off = client.on("leader", (found) => {
      if (found === null) return;
      off();
      resolve();
    });
    limit.addEventListener("abort", () => {
      off();
      reject(new ConclaveError("NO_LEADER", `No leader was found within ${FIRST_LEADER_MS} ms.`));
    });
  });
}

/** One line on who leads. */
export function leaderLine(found: Client["leader"]): string {
  if (found === null) return colours.dim("no leader is known");
  return `${colours.bold("leader")} ${colourOf(found.id)(found.id)} of term ${found.term} ${colours.dim(found.url)}`;
}

const status: Command = {
  name: "status",
  usage: "status",
  help: "how every node sees itself",
  run: async (args, { client, print }) => {
    expectArgs(status, args, 0);
    const reports = await client.status();
    print(table([["node", "role", "term", "last", "commit", "applied", "links"], ...reports.map(statusRow)]));
    return reports.map((report) =>
      "error" in report ? { id: report.id, url: report.url, error: report.error.code } : report,
    );
  },
};

function statusRow(report: NodeReport): string[] {
  const label = colourOf(report.id ?? report.url)(report.id ?? report.url);
  if ("error" in report) return [label, colours.red("unreachable"), "", "", "", "", colours.dim(report.url)];
  const { role, term, lastIndex, commitIndex, appliedIndex, links } = report;
  const linked = Object.entries(links).map(([peer, up]) => (up ? colourOf(peer)(peer) : colours.red(`${peer} down`)));
  const shownRole = role === "leader" ? colours.bold(role) : role;
  return [
    label,
    shownRole,
    String(term),
    String(lastIndex),
    String(commitIndex),
    String(appliedIndex),
    linked.join(" "),
  ];
}

const watch: Command = {
  name: "watch",
  usage: "watch leader",
  help: "show every change of leader until Ctrl-C",
  run: async (args, { client, signal, print }) => {
    if (args[0] !== "leader" || args.length > 1) throw usage(`usage: ${watch.usage}`);
    const off = client.on("leader", (found) => print(leaderLine(found)));
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve());
    });
    off();
    return null;
  },
};

const BENCH_MAX = 10_000_000;
const BENCH_CALLERS = 100;

const bench: Command = {
  name: "bench",
  usage: "bench N",
  help: `put N values, ${BENCH_CALLERS} at a time, and say how fast that went`,
  run: async (args, { client, clock, signal, print }) => {
    expectArgs(bench, args, 1);
    const total = wholeNumber(args[0] ?? "", "N");
    if (total < 1 || total > BENCH_MAX) throw usage(`N is from 1 to ${BENCH_MAX}`);
    const latencies = new Float64Array(total);
    let issued = 0;
    let done = 0;
    const startMs = clock.nowMs();
    const caller = async (): Promise<void> => {
      while (issued < total && !signal.aborted) {
        const key = `bench/${issued++ % 10_000}`;
        const atMs = clock.nowMs();
        await client.put(key, "x".repeat(64), { signal });
        latencies[done++] = clock.nowMs() - atMs;
      }
    };
    await Promise.all(Array.from({ length: Math.min(BENCH_CALLERS, total) }, caller));
    const seconds = (clock.nowMs() - startMs) / 1000;
    const sorted = latencies.subarray(0, done).sort();
    const at = (share: number): number =>
      Number((sorted[Math.min(done - 1, Math.floor(done * share))] ?? 0).toFixed(2));
    const result = { puts: done, ops: Math.round(done / seconds), p50_ms: at(0.5), p99_ms: at(0.99) };
    print(
      `${result.puts} puts, ${result.ops} a second; half within ${result.p50_ms} ms, 99 % within ${result.p99_ms} ms`,
    );
    return result;
  },
};

/** The commands that every client has. */
export const CLIENT_COMMANDS: readonly Command[] = [
  put,
  get,
  del,
  cas,
  incr,
  append,
  list,
  leader,
  status,
  watch,
  bench,
];

/** The help text for a set of commands. */
export const helpText = (commands: readonly Command[]): string =>
  table([["command", ""], ...commands.map(({ usage: line, help }) => [line, help])]);

/** Finds and runs what the words say. @throws ConclaveError */
export async function runWords(
  commands: readonly Command[],
  words: readonly string[],
  context: CommandContext,
): Promise<unknown> {
  const [name = "", ...args] = words;
  if (name === "help") {
    context.print(helpText(commands));
    return null;
  }
  const command = commands.find((candidate) => candidate.name === name);
  if (command === undefined) throw usage(`"${name}" is not a command; "help" lists them`);
  return command.run(args, context);
}

/** An error in one line. */
export const errorLine = (error: unknown): string =>
  error instanceof ConclaveError
    ? `${colours.red(error.code)} ${onOneLine(error.message)}`
    : colours.red(onOneLine(String(error)));
