/** The Raft algorithm as a pure state machine. Nothing in this folder imports anything outside of it. */

export {
  bootstrap,
  type ChangeRefusal,
  type Configuration,
  decodeConfiguration,
  encodeConfiguration,
  find as memberNamed,
  isJoint,
  isVoter,
  type Member,
  type MemberRole,
  memberOf,
  NOBODY,
  type Place,
  type Wish,
} from "./configuration.ts";
export type * from "./effects.ts";
export { Log, type Position } from "./log.ts";
export type * from "./messages.ts";
export { isAnswer } from "./messages.ts";
export { agreedByQuorum, isQuorum } from "./quorum.ts";
export { compactableThrough, wantedSnapshots } from "./snapshots.ts";
export {
  type Configured,
  canCampaign,
  configurationAt,
  configurationOf,
  createRaft,
  knownLeader,
  newestOf,
  type Raft,
  type Recovered,
} from "./state.ts";
export { step } from "./step.ts";
export * from "./types.ts";
