/** Transactions that clients give in a simulated world: on a pair of keys, of every kind, and some that can't be done. */

import type { Comparison, Transaction, TransactionOperation } from "../client/index.ts";
import type { Dice } from "./dice.ts";

/** Few, and apart from those of other commands: what a transaction touches together has to be checked together. */
export const PAIR = ["x", "y"] as const;

const OPERATIONS_MAX = 4;
/** So far back from the newest revision those lie that are compared with. */
const REVISIONS_BACK = 12;

/**
 * @param value to be put and appended
 * @param revision the newest there is, more or less
 */
export function drawTransaction(dice: Dice, value: string, revision: number): Transaction {
  const comparisons = Array.from({ length: dice.below(3) }, () => drawComparison(dice, value, revision));
  return { if: comparisons, then: drawOperations(dice, value), else: drawOperations(dice, value) };
}

function drawComparison(dice: Dice, value: string, revision: number): Comparison {
  const key = dice.pick(PAIR);
  const past = Math.max(0, revision - dice.below(REVISIONS_BACK));
  const kind = dice.below(6);
  if (kind === 0) return { key, exists: dice.chance(0.7) };
  if (kind === 1) return { key, revision: { lessThan: past + 1 } };
  if (kind === 2) return { key, revision: { greaterThan: past } };
  if (kind === 3) return { key, value: { greaterThan: value.slice(-1) } };
  return kind === 4 ? { key, value: { lessThan: value.slice(-1) } } : { key, revision: { not: past } };
}

/** A key is changed once, and looked at as often as may be. To much of what is put no number can be added. */
function drawOperations(dice: Dice, value: string): TransactionOperation[] {
  const changed = new Set<string>();
  return Array.from({ length: 1 + dice.below(OPERATIONS_MAX) }, (): TransactionOperation => {
    const key = dice.pick(PAIR);
    const kind = changed.has(key) ? 0 : dice.below(6);
    if (kind === 0) return { get: key };
    changed.add(key);
    if (kind === 1) return { put: key, value: dice.chance(0.5) ? value : `text ${value}` };
    if (kind === 2) return { append: key, value: `,${value}` };
    return kind === 3 ? { delete: key } : { increment: key, by: 1 + dice.below(5) };
  });
}
