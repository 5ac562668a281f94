/** One machine of a simulated cluster, and what its disk holds from one life to the next. */

import type { StateMachine } from "../machine/index.ts";
import type { RunningNode } from "../node/index.ts";
import type { Raft } from "../raft/index.ts";
import type { Dice } from "./dice.ts";
import type { DurableLog } from "./durable-log.ts";
import { MemoryDisk } from "./memory-disk.ts";
import type { Process } from "./process.ts";

/**
 * `rotten`: a bit was turned over while the node ran, which may go on until it notices, and must not start again.
 * `damaged`: it must not even start. `lost`: it comes back empty, and has to be taken in anew under its name. `retired`:
 * it was taken out of the cluster, and knows.
 */
type DataState = "sound" | "rotten" | "damaged" | "lost" | "retired";

/** One machine that runs a node, over all of the node's lives. */
export interface Place {
  readonly id: string;
  /** The cluster began with it. */
  readonly isFounder: boolean;
  /** It was told to join a cluster that had begun. */
  joins: boolean;
  port: number;
  memory: MemoryDisk;
  log: DurableLog;
  process: Process | null;
  node: RunningNode | null;
  machine: StateMachine | null;
  /** The state of its core, to look at. */
  raft: Raft | null;
  /** What it runs is older than what others may have. */
  isOld: boolean;
  /** An orderly end is under way. */
  isStopping: boolean;
  /** What has become of what was on its disk. */
  data: DataState;
  /** Which file has a bad bit, if one has. */
  bad: BadByte | null;
  /** The same of what had come of another node's snapshot: it may be a part of a whole one by now. */
  spoilt: BadByte | null;
  /** How often it has lost its disk. */
  wipes: number;
  /** It has lost none that another node had taken note of. */
  hasFirstDisk: boolean;
  /** How long a flush may take at most, for each reason that it is slow. */
  readonly slowed: Set<{ readonly syncMsMax: number }>;
  /** How long its state machine takes for a command at most. */
  applyMsMax: number;
  /** Why its disk is full. */
  readonly filled: Set<object>;
  /** How often it was started. */
  lives: number;
  /** The snapshots that its state is to go on from, oldest first. */
  readonly restoring: { readonly index: number; readonly isReplacement: boolean }[];
  /** What the states come to that it has started with. */
  readonly restored: number[];
  /** Its state machine is to apply the next command twice that makes a difference. */
  misapplies: boolean;
  /** To be called when it is started next. */
  onStarted: (() => void) | null;
}

export const newPlace = (id: string, port: number, log: DurableLog, isFounder: boolean): Place => ({
  id,
  isFounder,
  joins: !isFounder,
  port,
  memory: new MemoryDisk(),
  log,
  process: null,
  node: null,
  machine: null,
  raft: null,
  isOld: false,
  isStopping: false,
  data: "sound",
  bad: null,
  spoilt: null,
  wipes: 0,
  hasFirstDisk: true,
  slowed: new Set(),
  filled: new Set(),
  applyMsMax: 0,
  lives: 0,
  restoring: [],
  restored: [],
  misapplies: false,
  onStarted: null,
});

/** What its node has promised is not known to it any more. */
export const isGone = ({ data }: Place): boolean => data === "damaged" || data === "lost";

/** What is written down there of a node and of those that it has met; null if nothing is, or nothing that can be read. */
export function identityOn(
  memory: MemoryDisk,
  id: string,
): { incarnation: string; members: [string, string][] } | null {
  const bytes = memory.durableBytesOf(`/${id}/identity.json`);
  try {
    return bytes === null ? null : JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}

/** The last file may end in a frame that nothing shields; all others have a newer one behind them. */
export const coldSegments = (memory: MemoryDisk): string[] =>
  memory
    .paths()
    .filter((path) => path.includes("/wal-"))
    .slice(0, -1);

/** The newest snapshot: older ones are not read any more by who starts. */
export const newestSnapshot = (memory: MemoryDisk): string[] =>
  memory
    .paths()
    .filter((path) => path.endsWith(".snap"))
    .slice(-1);

/** A byte that is not as it was written. */
export interface BadByte {
  readonly path: string;
  readonly at: number;
  readonly value: number | undefined;
}

/** Turns a bit of one of these files over; null if there is none. */
export function flipOne(memory: MemoryDisk, files: readonly string[], dice: Dice): BadByte | null {
  if (files.length === 0) return null;
  const path = dice.pick(files);
  const bits = memory.bytesOf(path).byteLength * 8;
  if (bits === 0) return null;
  const bit = dice.below(bits);
  memory.flip(path, bit);
  const at = Math.floor(bit / 8);
  return { path, at, value: memory.bytesOf(path)[at] };
}

/** A bit that was turned over in what had come of a snapshot is bad from the moment on in which the snapshot is whole. */
export function noteSpoilt(place: Place): void {
  const { spoilt, memory } = place;
  if (spoilt === null || place.data !== "sound") return;
  const path = spoilt.path.replace(/-[^-/]*\.part$/, ".snap");
  if (!newestSnapshot(memory).includes(path) || memory.bytesOf(path)[spoilt.at] !== spoilt.value) return;
  place.bad = { ...spoilt, path };
  place.spoilt = null;
  place.data = "rotten";
}

/** Would a node that starts now read the bad byte? The file may have been replaced since, by a sound one of its name. */
export function isBadStill({ bad, memory }: Place): boolean {
  if (bad === null) return false;
  const read = bad.path.endsWith(".snap") ? newestSnapshot(memory) : memory.paths();
  return read.includes(bad.path) && memory.bytesOf(bad.path)[bad.at] === bad.value;
}

/** What a node's files take: those of its log, and its snapshots. */
export function takenBy(memory: MemoryDisk): { readonly log: number; readonly snapshots: readonly number[] } {
  const sizes = (isWanted: (path: string) => boolean): number[] =>
    memory
      .paths()
      .filter(isWanted)
      .map((path) => memory.bytesOf(path).byteLength);
  const log = sizes((path) => path.includes("/wal-")).reduce((sum, bytes) => sum + bytes, 0);
  return { log, snapshots: sizes((path) => path.includes(".snap") || path.endsWith(".part")) };
}
