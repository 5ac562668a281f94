/** What can be typed: the commands of the REPL and of the one-shot client. */

import type { Client, NodeReport, ReadOptions } from "../client/index.ts";
import type { Clock, Disk } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import { type Arguments, readArguments, type Takes, usage, wholeNumber } from "./arguments.ts";
import { BACKUP_COMMANDS } from "./backup-commands.ts";
import { onOneLine } from "./clean.ts";
import { CLUSTER_COMMANDS } from "./cluster-commands.ts";
import { colourOf, colours } from "./colours.ts";
import { NODE_OPTION, nodeOption } from "./node-option.ts";
import { jsonEntry, leaderLine, revision, showValue } from "./show.ts";
import { table } from "./table.ts";
import { txn } from "./transaction.ts";
import { watch } from "./watch.ts";

/** What a command works with. */
export interface CommandContext {
  readonly client: Client;
  readonly clock: Clock;
  /** Where the files are that commands name. */
  readonly disk: Disk;
  /** The ids of the nodes that are configured. */
  readonly nodes: readonly string[];
  /** Is this process known to be paused? */
  readonly isPaused?: (id: string) => boolean;
  /** Shows lines to the person. */
  print(text: string): void;
  /** Tells a program what comes while a command goes on, for `--json`. */
  readonly emit?: (value: unknown) => void;
  /** Ends when the person no longer wants to wait. */
  readonly signal: AbortSignal;
}

export interface Command {
  readonly name: string;
  readonly usage: string;
  readonly help: string;
  readonly takes: Takes;
  /** @returns what a program would want, for `--json`; undefined if it has had everything */
  run(args: Arguments, context: CommandContext): Promise<unknown>;
}

const READ_OPTIONS = { "--stale": null, "--lease": null, ...NODE_OPTION };

async function readOptions(args: Arguments, context: CommandContext): Promise<ReadOptions> {
  const consistencies = (["stale", "lease"] as const).filter((one) => args.options.has(`--${one}`));
  if (consistencies.length > 1) throw usage("a read is either --stale or --lease");
  const [consistency] = consistencies;
  const node = await nodeOption(args, context);
  return { signal: context.signal, ...(consistency === undefined ? {} : { consistency }), ...node };
}

const put: Command = {
  name: "put",
  usage: "put KEY VALUE",
  help: "set a key",
  takes: { words: [2, 2] },
  run: async ({ words: [key = "", value = ""] }, { client, signal, print }) => {
    const result = await client.put(key, value, { signal });
    print(`ok ${revision(result.revision)}`);
    return result;
  },
};

const get: Command = {
  name: "get",
  usage: "get KEY [--stale | --lease] [--node ID]",
  help: "read a key; --stale takes what a node has, --lease the leader's word; --node asks that one",
  takes: { words: [1, 1], options: READ_OPTIONS },
  run: async (args, context) => {
    const { client, print } = context;
    const entry = await client.get(args.words[0] ?? "", await readOptions(args, context));
    print(entry === null ? colours.dim("(no such key)") : `${showValue(entry.value)} ${revision(entry.revision)}`);
    return entry === null ? null : jsonEntry(entry);
  },
};

const del: Command = {
  name: "del",
  usage: "del KEY",
  help: "remove a key",
  takes: { words: [1, 1] },
  run: async ({ words: [key = ""] }, { client, signal, print }) => {
    const result = await client.delete(key, { signal });
    print(result.existed ? `ok ${revision(result.revision)}` : colours.dim("(no such key)"));
    return result;
  },
};

const cas: Command = {
  name: "cas",
  usage: "cas KEY (EXPECTED | --revision N) VALUE",
  help: "set a key if it holds the expected value, or is at that revision (0: not there)",
  takes: { words: [2, 3], options: { "--revision": "a number" } },
  run: async ({ words, options }, { client, signal, print }) => {
    const byRevision = options.get("--revision");
    if (words.length !== (byRevision === undefined ? 3 : 2)) throw usage(`usage: ${cas.usage}`);
    const [key = "", second = "", third = ""] = words;
    const expected = byRevision === undefined ? { value: second } : { revision: wholeNumber(byRevision, "a revision") };
    const result = await client.cas(key, expected, byRevision === undefined ? third : second, { signal });
    if (result.swapped) print(`swapped ${revision(result.revision)}`);
    else print(`not swapped: ${await whatHolds(client, key, signal)}`);
    return result;
  },
};

/** The answer does not tell what stood in the way; what is there a moment later almost always does. */
async function whatHolds(client: Client, key: string, signal: AbortSignal): Promise<string> {
  const entry = await client.get(key, { signal }).catch(() => undefined);
  if (entry === undefined) return "the key holds something else, or is not there";
  return entry === null ? "there is no such key" : `the key holds something else ${revision(entry.revision)}`;
}

const incr: Command = {
  name: "incr",
  usage: "incr KEY [BY]",
  help: "add to a number",
  takes: { words: [1, 2] },
  run: async ({ words: [key = "", by = "1"] }, { client, signal, print }) => {
    const result = await client.increment(key, wholeNumber(by, "an increment"), { signal });
    print(`${result.value} ${revision(result.revision)}`);
    return result;
  },
};

const append: Command = {
  name: "append",
  usage: "append KEY TEXT",
  help: "add text at the end of a key",
  takes: { words: [2, 2] },
  run: async ({ words: [key = "", text = ""] }, { client, signal, print }) => {
    const result = await client.append(key, text, { signal });
    print(`${result.bytes} bytes ${revision(result.revision)}`);
    return result;
  },
};

const list: Command = {
  name: "list",
  usage: "list [PREFIX] [LIMIT] [--stale | --lease] [--node ID]",
  help: "show keys with a prefix, in order",
  takes: { words: [0, 2], options: READ_OPTIONS },
  run: async (args, context) => {
    const { client, print } = context;
    const [prefix = "", most] = args.words;
    const limit = most === undefined ? {} : { limit: wholeNumber(most, "a limit") };
    const page = await client.list(prefix, { ...(await readOptions(args, context)), ...limit });
    if (page.entries.length === 0) print(colours.dim("(no keys)"));
    else
      print(
        table([
          ["key", "revision", "value"],
          ...page.entries.map((e) => [onOneLine(e.key), String(e.revision), showValue(e.value)]),
        ]),
      );
    if (page.more) print(colours.dim("(there are more)"));
    return { ...page, entries: page.entries.map(jsonEntry) };
  },
};

const leader: Command = {
  name: "leader",
  usage: "leader",
  help: "who leads",
  takes: { words: [0, 0] },
  run: async (_args, { client, signal, print }) => {
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

const status: Command = {
  name: "status",
  usage: "status",
  help: "how every node sees itself",
  takes: { words: [0, 0] },
  run: async (_args, { client, print, isPaused = () => false }) => {
    const reports = await client.status();
    const rows = reports.map((report) => statusRow(report, isPaused(report.id ?? "")));
    print(table([["node", "role", "term", "last", "commit", "applied", "lag", "links"], ...rows]));
    return reports.map((report) =>
      "error" in report ? { id: report.id, url: report.url, error: report.error.code } : report,
    );
  },
};

function statusRow(report: NodeReport, paused: boolean): string[] {
  const label = colourOf(report.id ?? report.url)(report.id ?? report.url);
  if ("error" in report) {
    return [label, colours.red(paused ? "paused" : "unreachable"), "", "", "", "", "", colours.dim(report.url)];
  }
  const { role, term, lastIndex, commitIndex, appliedIndex, state, lagMs, links } = report;
  // The words make it plain without colours, too.
  const linked = Object.entries(links).map(([peer, up]) =>
    up ? colourOf(peer)(`${peer} up`) : colours.red(`${peer} down`),
  );
  const shownRole = role === "leader" ? colours.bold(role) : role;
  return [
    label,
    state === "sound" ? shownRole : `${shownRole}, ${colours.red(state)}`,
    String(term),
    String(lastIndex),
    String(commitIndex),
    String(appliedIndex),
    `${lagMs} ms`,
    linked.join(", "),
  ];
}

const BENCH_MAX = 10_000_000;
const BENCH_CALLERS = 100;

const bench: Command = {
  name: "bench",
  usage: "bench N",
  help: `put N values, ${BENCH_CALLERS} at a time, and say how fast that went`,
  takes: { words: [1, 1] },
  run: async ({ words: [count = ""] }, { client, clock, signal, print }) => {
    const total = wholeNumber(count, "N");
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
  txn,
  list,
  leader,
  status,
  watch,
  bench,
  ...CLUSTER_COMMANDS,
  ...BACKUP_COMMANDS,
];

/** The help text for a set of commands. */
export const helpText = (commands: readonly Command[]): string =>
  table([
    ["command", ""],
    ...commands.map(({ usage: line, help }) => [line, help]),
    ["help", "show this"],
    ["quit", "leave"],
  ]);

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
  return command.run(readArguments(command, args), context);
}

/** An error in one line. */
export const errorLine = (error: unknown): string =>
  error instanceof ConclaveError
    ? `${colours.red(error.code)} ${onOneLine(error.message)}`
    : colours.red(onOneLine(String(error)));
