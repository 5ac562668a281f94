/** The command that goes on until it is ended: it shows what changes, as it does. */

import type { Change, Client } from "../client/index.ts";
import { hasCode } from "../errors.ts";
import { usage, wholeNumber } from "./arguments.ts";
import { onOneLine } from "./clean.ts";
import type { Command, CommandContext } from "./commands.ts";
import { jsonEntry, leaderLine, revision, showValue } from "./show.ts";

export const watch: Command = {
  name: "watch",
  usage: "watch (leader | PREFIX [--keys] [--from REVISION])",
  help: "show every change of leader, or of keys with a prefix, until Ctrl-C",
  takes: { words: [1, 1], options: { "--keys": null, "--from": "a revision" } },
  run: async ({ words: [what = ""], options }, context) => {
    const from = options.get("--from");
    if (what === "leader" && options.size === 0) await watchLeader(context);
    else await watchKeys(what, from === undefined ? {} : { fromRevision: revisionIn(from) }, context);
    return undefined;
  },
};

function revisionIn(text: string): number {
  const value = wholeNumber(text, "a revision");
  if (value < 1) throw usage("a watch begins with a revision from 1 on");
  return value;
}

async function watchLeader({ client, signal, print, emit }: CommandContext): Promise<void> {
  const off = client.on("leader", (found) => {
    print(leaderLine(found));
    emit?.(found);
  });
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve());
  });
  off();
}

async function watchKeys(
  prefix: string,
  options: Parameters<Client["watch"]>[1],
  { client, signal, print, emit }: CommandContext,
): Promise<void> {
  try {
    for await (const change of client.watch(prefix, { ...options, signal })) {
      print(changeLine(change));
      emit?.(change.type === "put" ? jsonEntry(change) : change);
    }
  } catch (error) {
    if (!hasCode(error, "ABORTED")) throw error; // That is how it is meant to end.
  }
}

/** As the command looks that would do the same. */
const changeLine = (change: Change): string =>
  change.type === "put"
    ? `put ${onOneLine(change.key)} ${showValue(change.value)} ${revision(change.revision)}`
    : `del ${onOneLine(change.key)} ${revision(change.revision)}`;
