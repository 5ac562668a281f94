/** The client of a configured cluster. */

import { type Client, type ConnectOptions, connect } from "../client/index.ts";
import type { Config } from "../config/index.ts";

/** Knows the nodes too: it finds the leader with every directory down. @param options what else it is to be told */
export const connectTo = (
  { cluster, directories, nodes, limits }: Config,
  options: Pick<ConnectOptions, "timeoutMs"> = {},
): Promise<Client> =>
  connect({
    ...options,
    cluster,
    directories: directories.map(({ url }) => url),
    nodes: nodes.map(({ url }) => url),
    keyBytesMax: limits.keyBytesMax,
    valueBytesMax: limits.valueBytesMax,
    messageBytesMax: limits.messageBytesMax,
  });
