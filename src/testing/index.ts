/**
 * Tests for what runs on Conclave: `conclave/testing`. A cluster in memory for a program's own tests; and whole clusters in
 * one process, in virtual time, with everything going wrong that can, on a seed; a state machine of your own in them; and
 * checks of what its clients were told.
 *
 * @example
 * ```ts
 * import { testCluster } from "conclave/testing";
 *
 * await using cluster = await testCluster();
 * await cluster.client.put("greeting", "hello");
 * cluster.kill((await cluster.leader()).id);
 * console.log((await cluster.client.get("greeting"))?.value); // hello
 * ```
 */

export type { SimulatedStory } from "./cluster.ts";
export { Dice } from "./dice.ts";
export { type Call, History, type Moment, type OpenCall, type Outcome } from "./history.ts";
export { INVARIANTS, type Invariant, type Report, type Sights } from "./invariants.ts";
export {
  type KeyValueOperation,
  type KeyValueResult,
  keyValueModel,
  readSpan,
  storeSpan,
} from "./key-value-model.ts";
export type { KeyState, StoreState } from "./key-value-state.ts";
export { type CheckOptions, check, type Finding, type Known, type Model } from "./linearizability.ts";
export { type Crash, type Gate, MemoryDisk, type Operation } from "./memory-disk.ts";
export { checkIssueOrder, checkRealTimeOrder, type Disorder, type Span, type SpanOf } from "./order.ts";
export { recipesWorkload } from "./recipes/workload.ts";
export { RecordedClient } from "./recorded-client.ts";
export { type ShrinkOptions, type ShrinkProgress, type Shrunk, shrink } from "./shrink.ts";
export {
  type Breach,
  NODES_MIN,
  type Progress,
  type SimulationOptions,
  type SimulationResult,
  simulate,
  type TraceLine,
} from "./simulate.ts";
export { type TestCluster, type TestClusterOptions, testCluster } from "./test-cluster.ts";
export { type FaultKind, PROFILES, type Profile } from "./weather.ts";
export { type Crew, keyValueWorkload, type NewWorkload, type Scene, type Worker, type Workload } from "./workload.ts";
export type { What } from "./world.ts";
