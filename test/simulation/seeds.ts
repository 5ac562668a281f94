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
    seed: 1,
    profile: "divided",
    mistake: "a machine with an empty disk gave its vote before all had met it, who might have had another one from it",
  },
  {
    seed: 1,
    profile: "hostile",
    mistake: "a disk that could not be read as a node started ended it with an error without a code",
  },
  {
    seed: 1,
    profile: "faulty",
    mistake: "a node did not hear a leader that it did not know as a member yet",
  },
  {
    seed: 60,
    profile: "divided",
    mistake: "a snapshot that was finished while older ones were removed was removed with them, and then the log",
  },
  {
    seed: 60_744,
    profile: "hostile",
    mistake: "a learner was promoted before the log told its incarnation: as a voter it took no part, and was needed",
  },
  {
    seed: 11_888,
    profile: "hostile",
    mistake: "a machine that lost its disk never asked to be taken in, since all it was configured with were replaced",
  },
  {
    seed: 30_304,
    profile: "hostile",
    mistake: "a leader did not count on a member whose link it had before it knew that this is one, and never would",
  },
  {
    seed: 202_420,
    profile: "hostile",
    mistake: "a member that had moved took a change for made that told of it, and was never committed",
  },
  {
    seed: 10_988,
    profile: "hostile",
    mistake:
      "a machine that had lost its disk, and its place, was taken in as a new one, and stopped for good all the same",
  },
  {
    seed: 10_536,
    profile: "hostile",
    mistake: "a node that was killed before it removed old snapshots kept them for as long as it took no new one",
  },
  {
    seed: 20_034,
    profile: "parted",
    mistake: "the log that a snapshot from another node stands for stayed on the disk until the next one was taken",
  },
  {
    seed: 700_408,
    profile: "parted",
    mistake: "a state that a leader's snapshot had made right was replaced once more, by what was asked for before",
  },
  {
    seed: 2_000_124,
    profile: "hostile",
    mistake: "a snapshot of an entry before the first that says who the members are said that there were none",
  },
];
