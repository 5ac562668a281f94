/** Every mutant there is. */

import { COMPARISON_MUTANTS } from "./comparison-mutants.ts";
import { ELECTION_MUTANTS } from "./election-mutants.ts";
import { MEMBERSHIP_MUTANTS } from "./membership-mutants.ts";
import type { Mutant } from "./mutant.ts";
import { NODE_MUTANTS } from "./node-mutants.ts";
import { READ_MUTANTS } from "./read-mutants.ts";
import { RECIPE_MUTANTS } from "./recipe-mutants.ts";
import { REPLICATION_MUTANTS } from "./replication-mutants.ts";
import { SESSION_MUTANTS } from "./session-mutants.ts";
import { SNAPSHOT_MUTANTS } from "./snapshot-mutants.ts";
import { STORAGE_MUTANTS } from "./storage-mutants.ts";
import { TRANSACTION_MUTANTS } from "./transaction-mutants.ts";
import { WATCH_MUTANTS } from "./watch-mutants.ts";

export const MUTANTS: readonly Mutant[] = [
  ...ELECTION_MUTANTS,
  ...REPLICATION_MUTANTS,
  ...READ_MUTANTS,
  ...SESSION_MUTANTS,
  ...TRANSACTION_MUTANTS,
  ...WATCH_MUTANTS,
  ...STORAGE_MUTANTS,
  ...SNAPSHOT_MUTANTS,
  ...COMPARISON_MUTANTS,
  ...MEMBERSHIP_MUTANTS,
  ...NODE_MUTANTS,
  ...RECIPE_MUTANTS,
];
