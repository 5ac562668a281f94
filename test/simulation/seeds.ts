/**
 * Seeds that once found a mistake. What a seed stands for changes with the code, so that each mistake has a test of its
 * own elsewhere, too; but here nobody has to think of it for it to be looked for.
 */

import type { Profile } from "../../src/testing/index.ts";

interface Found {
  readonly seed: number;
  readonly profile: Profile;
  /** What was wrong then. */
  readonly mistake: string;
}

export const SEEDS_THAT_FOUND: readonly Found[] = [
  {
    seed: 42,
    profile: "hostile",
    mistake: "a machine that lost its disk before a member had met it voted again under its old name",
  },
];
