/** The client of a configured cluster. */

import { type Client, connect } from "../../src/client/index.ts";
import type { Config } from "../../src/config/index.ts";

/** Knows the nodes too: it finds the leader with every directory down. */
export const connectTo = ({ cluster, directories, nodes, limits }: Config): Promise<Client> =>
  connect({
    cluster,
    directories: directories.map(({ url }) => url),
    nodes: nodes.map(({ url }) => url),
    keyBytesMax: limits.keyBytesMax,
    valueBytesMax: limits.valueBytesMax,
    messageBytesMax: limits.messageBytesMax,
  });
