/** One machine of a simulated cluster, and what its disk holds from one life to the next. */

import type { StateMachine } from "../machine/index.ts";
import type { RunningNode } from "../node/index.ts";
import type { Raft } from "../raft/index.ts";
import type { Dice } from "./dice.ts";
import type { DurableLog } from "./durable-log.ts";
import type { MemoryDisk } from "./memory-disk.ts";
import type { Process } from "./process.ts";

/**
 * `rotten`: a bit was turned over while the node ran, which may go on until it notices, and must not start again.
 * `damaged`: it must not even start. `lost`: it comes back empty, and must not take part under its name any more.
 */
type DataState = "sound" | "rotten" | "damaged" | "lost";

/** One machine that runs a node, over all of the node's lives. */
export interface Place {
  readonly id: string;
  memory: MemoryDisk;
  log: DurableLog;
  process: Process | null;
  node: RunningNode | null;
  machine: StateMachine | null;
  /** The state of its core, to look at. */
  raft: Raft | null;
  /** An orderly end is under way. */
  isStopping: boolean;
  /** It was once known to every other. */
  isAdmitted: boolean;
  /** What has become of what was on its disk. */
  data: DataState;
  /** How long a flush may take at most, for each reason that it is slow. */
  readonly slowed: Set<{ readonly syncMsMax: number }>;
  /** How long its state machine takes for a command at most. */
  applyMsMax: number;
  /** Why its disk is full. */
  readonly filled: Set<object>;
  /** How often it was started. */
  lives: number;
  /** To be called when it is started next. */
  onStarted: (() => void) | null;
}

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

export function flipOne(memory: MemoryDisk, files: readonly string[], dice: Dice): boolean {
  if (files.length === 0) return false;
  const path = dice.pick(files);
  memory.flip(path, dice.below(memory.bytesOf(path).byteLength * 8));
  return true;
}
