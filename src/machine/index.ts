/** Replicated state machines. */

export { KeyValueMachine } from "./key-value.ts";
export type { ApplyContext, Replacement, StateMachine } from "./machine.ts";
export { Replica, type Snapshot } from "./replica.ts";
export { machinePieces } from "./replica-snapshot.ts";
