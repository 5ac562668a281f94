/** Replicated state machines. */

export {
  type AnyMachine,
  type Changes,
  type CommandContext,
  changesOf,
  type Machine,
  type MachineOptions,
  machine,
  Rejection,
  type SnapshotForm,
  type StandardSchema,
  type Upgrade,
} from "./definition.ts";
export { Digest } from "./digest.ts";
export { KeyValueMachine } from "./key-value.ts";
export type {
  ApplyContext,
  MachineTimer,
  MachineVersion,
  Replacement,
  StateMachine,
  SupportedMachine,
  Timers,
} from "./machine.ts";
export { Machines } from "./machines.ts";
export { RECIPES } from "./recipes/index.ts";
export { Replica, type Snapshot, type TimeKeeper } from "./replica.ts";
export { machinePieces } from "./replica-snapshot.ts";
