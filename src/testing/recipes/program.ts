/** The machines that simulated nodes run beside the key-value store, and that they ran before they were updated. */

import type { AnyMachine } from "../../machine/definition.ts";
import type { StateMachine } from "../../machine/index.ts";
import { Machines } from "../../machine/machines.ts";
import { RECIPES } from "../../machine/recipes/index.ts";
import { bank, oldBank } from "./bank.ts";

/** So few changes are kept that some who wait for one fall behind, and that snapshots stay small. */
const CHANGES_MAX = 20;

const withFewChanges = (machine: AnyMachine): AnyMachine =>
  machine.changes === undefined ? machine : { ...machine, changes: { ...machine.changes, countMax: CHANGES_MAX } };

const PROGRAM: readonly AnyMachine[] = [...RECIPES.map(withFewChanges), bank];
/** No recipes, and a machine in an older version. */
const OLD_PROGRAM: readonly AnyMachine[] = [oldBank];

/** @param root the machine that has no name */
export const program = (root: StateMachine): StateMachine => new Machines(root, PROGRAM, { isGuarded: false });
export const oldProgram = (root: StateMachine): StateMachine => new Machines(root, OLD_PROGRAM, { isGuarded: false });
