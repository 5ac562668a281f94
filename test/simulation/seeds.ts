/**
 * Seeds that find a mistake that once was in the code, if it is made again. What a seed stands for changes with the
 * simulator: these were looked for again, with the mistake put back, when it last did. Each has a test of its own
 * elsewhere, too.
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
    seed: 192,
    profile: "divided",
    mistake: "a machine that lost its disk before a member had met it voted again under its old name",
  },
  {
    seed: 14,
    profile: "hostile",
    mistake: "a disk that could not be read as a node started ended it with an error without a code",
  },
  {
    seed: 2_828_213_028,
    profile: "hostile",
    mistake: "a client that had heard of a term that came to nothing never followed the leader of an older one",
  },
];
