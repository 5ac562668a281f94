/** Ordered maps that are cheap to clone: clones share what neither has changed since. */

import type sortedBTree from "sorted-btree";
import { EmptyBTree } from "sorted-btree";

export type Tree<Key, Value> = sortedBTree.default<Key, Value>;

/** The runtimes do not agree on what the package's default export is; a clone of nothing is a new tree on all. */
export const emptyTree = <Key, Value>(): Tree<Key, Value> => EmptyBTree.clone();
