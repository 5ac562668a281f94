/** The node: one replica of the log and of the state that it drives. */

export type { Member } from "../protocol/node.ts";
export { type NodeOptions, type NodeProcessStory, type RunningNode, startNode, type Timing } from "./start.ts";
