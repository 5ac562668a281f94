/** What can go wrong, and how often it does in which profile. */

/**
 * How bad it gets. In a calm world nothing happens to a leader or between it and a majority. In a divided one disks keep
 * what they have, and the network falls apart for long enough that leaders are elected while others still lead. In a
 * parted one state machines come to another state than they should, one at a time, and the nodes have to find that out:
 * what clients were told before they did is not judged.
 *
 * @example
 * ```ts
 * import { type Profile, simulate } from "conclave/testing";
 *
 * const profile: Profile = "calm";
 * console.log((await simulate({ seed: 42, profile, events: 500 })).breach); // null
 * ```
 */
export type Profile = "calm" | "faulty" | "divided" | "parted" | "hostile";

/**
 * All of them, the mildest first.
 *
 * @example
 * ```ts
 * import { PROFILES } from "conclave/testing";
 *
 * console.log(PROFILES.join(" ")); // calm faulty divided parted hostile
 * ```
 */
export const PROFILES: readonly Profile[] = ["calm", "faulty", "divided", "parted", "hostile"];

/** Everything that goes wrong. What waits for its moment is counted when it is prepared. */
export const FAULTS = [
  "kill",
  "crash",
  /** A crash, and another one soon after the restart. */
  "relapse",
  /** A crash while a snapshot is written or received, or old segments are removed. */
  "snapshot-crash",
  "stop",
  "wipe",
  "damage",
  /** A bit of what the disk of a running machine holds is turned over. */
  "rot",
  "stall",
  "cut-off",
  "cut-one-way",
  /** It does not hear the leader, who hears it. */
  "deaf",
  /** Two nodes can't reach each other. */
  "apart",
  /**
   * The next leader is cut off as it is elected, before its first entry leaves it (paper, Figure 8), or the next candidate,
   * alone in its new term.
   */
  "coup",
  /**
   * The leader is out of touch until another is a candidate. That one is then cut off, alone in its new term, and the
   * leader is back in time.
   */
  "false-alarm",
  /** The leader is cut off together with some of the clients, who go on asking it. */
  "left-behind",
  /** The leader hands over, and is cut off with some of the clients as soon as its heir stands. */
  "deposed",
  /** The others have heard the leader a moment ago when they are killed; and back, they are asked for their votes. */
  "forgetful",
  "partition",
  "slow-link",
  "reset",
  "half-open",
  "slow-disk",
  "failing-disk",
  "full-disk",
  "directory-crash",
  "client-crash",
  "client-stall",
  /** What some client sends, or is sent, takes its time. */
  "slow-client",
  "transfer",
  /** Somebody changes the members, or who leads them. */
  "reconfigure",
  /** A node is down, and reached elsewhere when it is back. */
  "move",
  /** A state machine applies a command twice. */
  "misapply",
] as const;

/**
 * Something that goes wrong.
 *
 * @example
 * ```ts
 * import { type FaultKind, simulate } from "conclave/testing";
 *
 * const { faultCounts } = await simulate({ seed: 42, events: 500 });
 * const timesOf = (kind: FaultKind): number => faultCounts[kind] ?? 0;
 * console.log(`${timesOf("crash")} crashes, ${timesOf("partition")} partitions`);
 * ```
 */
export type FaultKind = (typeof FAULTS)[number];

/** What goes wrong in a profile, how often and for how long. */
export interface Weather {
  /** How far apart faults are, on average. */
  readonly everyMs: number;
  /** How long what is down, cut or slow stays so, at most. */
  readonly lastsMsMax: number;
  /** Most of it short, or all lengths alike. */
  readonly lasts: "seldom" | "between";
  /** What goes wrong before anything else, if it is always the same. */
  readonly first?: FaultKind;
  /** What goes wrong after everything else, when all was well again. */
  readonly last?: FaultKind;
  /** How often each kind comes, in relation to the others. */
  readonly weights: Partial<Record<FaultKind, number>>;
}

/** The weather of each profile. */
export const WEATHER: Readonly<Record<Profile, Weather>> = {
  calm: {
    everyMs: 250,
    lastsMsMax: 1_500,
    lasts: "between",
    weights: {
      kill: 2,
      crash: 1,
      "cut-off": 4,
      deaf: 4,
      "client-crash": 1,
      "client-stall": 3,
      "slow-client": 4,
      "directory-crash": 1,
    },
  },
  faulty: {
    everyMs: 400,
    lastsMsMax: 1_500,
    lasts: "seldom",
    weights: {
      kill: 4,
      crash: 3,
      stop: 2,
      stall: 2,
      "cut-off": 3,
      partition: 2,
      "slow-link": 2,
      reset: 2,
      "slow-disk": 2,
      "directory-crash": 1,
      "client-crash": 1,
      "client-stall": 2,
      "slow-client": 2,
      transfer: 2,
      reconfigure: 5,
      move: 0.5,
    },
  },
  divided: {
    everyMs: 400,
    lastsMsMax: 1_200,
    lasts: "between",
    first: "apart", // So that not all have met when the first leader is elected.
    last: "false-alarm", // Whoever was alone in a newer term must find its way back, and no later election helps it.
    weights: {
      kill: 1,
      crash: 1,
      relapse: 2,
      "snapshot-crash": 1,
      wipe: 0.7,
      stall: 1,
      "cut-off": 2,
      "cut-one-way": 2,
      deaf: 1,
      apart: 1,
      coup: 6,
      "false-alarm": 1,
      "left-behind": 14,
      deposed: 5,
      forgetful: 2,
      partition: 2,
      "slow-link": 2,
      reset: 2,
      "slow-disk": 3,
      "client-crash": 0.3,
      "client-stall": 0.5,
      "slow-client": 0.5,
      transfer: 1,
      reconfigure: 3,
      move: 0.2,
    },
  },
  parted: {
    everyMs: 300,
    lastsMsMax: 1_500,
    lasts: "seldom",
    first: "misapply",
    weights: {
      misapply: 8,
      kill: 3,
      crash: 3,
      relapse: 1,
      "snapshot-crash": 2,
      stop: 2,
      stall: 1,
      "cut-off": 2,
      partition: 2,
      "slow-link": 2,
      reset: 2,
      "slow-disk": 2,
      "failing-disk": 1,
      "full-disk": 0.5,
      transfer: 2,
      reconfigure: 2,
    },
  },
  hostile: {
    everyMs: 120,
    lastsMsMax: 2_500,
    lasts: "seldom",
    weights: {
      kill: 4,
      crash: 4,
      relapse: 1,
      "snapshot-crash": 1.5,
      stop: 2,
      wipe: 0.5,
      damage: 0.4,
      rot: 0.6,
      stall: 3,
      "cut-off": 3,
      "cut-one-way": 3,
      deaf: 1,
      coup: 1,
      deposed: 0.5,
      forgetful: 0.5,
      partition: 3,
      "slow-link": 3,
      reset: 3,
      "half-open": 3,
      "slow-disk": 3,
      "failing-disk": 1,
      "full-disk": 1,
      "directory-crash": 1,
      "client-crash": 1,
      "client-stall": 3,
      "slow-client": 3,
      transfer: 2,
      reconfigure: 5,
      move: 0.5,
    },
  },
};
