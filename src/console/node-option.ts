/** The option that names a node to ask. */

import { type Arguments, usage } from "./arguments.ts";
import type { CommandContext } from "./commands.ts";

/** What a command takes that may be asked of one node. */
export const NODE_OPTION = { "--node": "the id of a node" } as const;

/**
 * The node that is asked for, if one is: a configured one, or one that has joined since.
 *
 * @throws ConclaveError INVALID_ARGUMENT if there is none of that name
 */
export async function nodeOption(
  { options }: Arguments,
  { client, nodes, signal }: Pick<CommandContext, "client" | "nodes" | "signal">,
): Promise<{ readonly node?: string }> {
  const node = options.get("--node");
  if (node === undefined) return {};
  if (nodes.includes(node)) return { node };
  const members = (await client.members({ signal })).map(({ id }) => id);
  if (!members.includes(node)) throw usage(`there is no node "${node}", only ${members.join(", ")}`);
  return { node };
}
