/** Commands about the cluster itself: who its members are, and who leads. */

import type { MemberView } from "../client/index.ts";
import { type Arguments, wholeNumber } from "./arguments.ts";
import { colourOf, colours } from "./colours.ts";
import type { Command, CommandContext } from "./commands.ts";
import { table } from "./table.ts";

/** What a role means, for one who does not know the words. */
function part({ role, promotion }: MemberView): string {
  switch (role) {
    case "voter":
      return "voter";
    case "learner": {
      if (promotion === null) return "learner";
      const { replaces } = promotion;
      return replaces === null ? "learner, votes once it keeps up" : `learner, takes the place of ${replaces}`;
    }
    case "incoming":
      return "becomes a voter";
    case "demoting":
      return "becomes a learner";
    case "leaving":
      return "leaves";
  }
}

async function showMembers({ client, signal, print }: CommandContext): Promise<unknown> {
  const members = await client.members({ signal });
  const rows = members.map((member) => [
    colourOf(member.id)(member.id),
    part(member),
    String(member.priority),
    colours.dim(member.url),
  ]);
  print(table([["member", "part", "priority", "url"], ...rows]));
  return members;
}

type Change = Parameters<CommandContext["client"]["change"]>[0][number];

/** A command that changes the members, and shows them afterwards. */
const changing = (
  name: string,
  words: readonly string[],
  help: string,
  wish: (args: Arguments) => Change,
  takes: Pick<Command["takes"], "options"> & { readonly usage?: string } = {},
): Command => ({
  name,
  usage: `${name} ${words.join(" ")}${takes.usage ?? ""}`,
  help,
  takes: { ...(takes.options === undefined ? {} : { options: takes.options }), words: [words.length, words.length] },
  run: async (args, context) => {
    await context.client.change([wish(args)], { signal: context.signal });
    return showMembers(context);
  },
});

const priorityOf = ({ options }: Arguments): number => wholeNumber(options.get("--priority") ?? "0", "a priority");

/** Commands about the cluster itself. */
export const CLUSTER_COMMANDS: readonly Command[] = [
  {
    name: "members",
    usage: "members",
    help: "who belongs to the cluster, and as what",
    takes: { words: [0, 0] },
    run: (_args, context) => showMembers(context),
  },
  {
    name: "compare",
    usage: "compare",
    help: "have the nodes compare their states, and repair one that is another than the majority's",
    takes: { words: [0, 0] },
    run: async (_args, { client, signal, print }) => {
      await client.compare({ signal });
      print("ok, they do; their logs and `status` tell what comes of it");
      return {};
    },
  },
  changing(
    "add",
    ["ID", "URL"],
    "take a node in; it votes once it keeps up, unless it is to be a --learner",
    (args) => {
      const [id = "", url = ""] = args.words;
      return { type: "add", id, url, votes: !args.options.has("--learner"), priority: priorityOf(args) };
    },
    { options: { "--learner": null, "--priority": "a number" }, usage: " [--learner] [--priority N]" },
  ),
  changing("remove", ["ID"], "take a member out, for good", ({ words: [id = ""] }) => ({ type: "remove", id })),
  changing("promote", ["ID"], "let a learner vote, once it keeps up", ({ words: [id = ""] }) => ({
    type: "promote",
    id,
  })),
  changing("demote", ["ID"], "make a voter a learner", ({ words: [id = ""] }) => ({ type: "demote", id })),
  changing(
    "replace",
    ["ID", "NEW-ID", "URL"],
    "take a node in, in the place of another one once it keeps up",
    ({ words: [id = "", by = "", url = ""] }) => ({ type: "replace", id, by, url }),
  ),
  changing(
    "prefer",
    ["ID", "PRIORITY"],
    "of members that could lead, prefer the one with the highest priority",
    ({ words: [id = "", priority = ""] }) => ({ type: "prefer", id, priority: wholeNumber(priority, "a priority") }),
  ),
  {
    name: "transfer",
    usage: "transfer [ID]",
    help: "hand leadership over, to that node or to the one that is furthest along",
    takes: { words: [0, 1] },
    run: async ({ words: [id = null] }, { client, signal, print }) => {
      await client.transfer(id, { signal });
      print(id === null ? "ok" : `ok, ${colourOf(id)(id)} takes over`);
      return { to: id };
    },
  },
];
