/** Replicated state machines. */

export { KeyValueMachine } from "./key-value.ts";
export type { ApplyContext, StateMachine } from "./machine.ts";
export { Replica, type Snapshot } from "./replica.ts";
