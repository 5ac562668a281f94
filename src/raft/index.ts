/** The Raft algorithm as a pure state machine. Nothing in this folder imports anything outside of it. */

export type * from "./effects.ts";
export { Log } from "./log.ts";
export type * from "./messages.ts";
export { createRaft, knownLeader, type Raft, type Recovered } from "./state.ts";
export { step } from "./step.ts";
export * from "./types.ts";
