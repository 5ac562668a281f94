/** Nodes in programs of the user's own. */

export { type ClusterNode, type JoinOptions, join } from "./join.ts";
