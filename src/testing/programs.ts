/** Which program a node runs: a cluster may begin with an older one, and is then updated node by node. */

import { decodePayload } from "../machine/commands.ts";
import type { MachineVersion, StateMachine } from "../machine/index.ts";
import { type Entry, EntryKind } from "../raft/index.ts";
import type { Dice } from "./dice.ts";
import type { World } from "./world.ts";

export interface ProgramsParts {
  readonly world: World;
  readonly dice: Dice;
  machine(): StateMachine;
  /** What nodes begin with; null if there is nothing older. */
  readonly older: (() => StateMachine) | null;
}

/** By then everybody who operates a node has updated it. */
const UPDATES_MS_MAX = 2_500;

export class Programs {
  readonly #parts: ProgramsParts;
  /** When nodes are updated that are not yet. */
  readonly #updatesMs = new Map<string, number>();

  constructor(parts: ProgramsParts) {
    this.#parts = parts;
  }

  /** A node that the cluster begins with. Calls `update` when it is time to start it anew. */
  begin(id: string, update: () => void): void {
    const { world, dice, older } = this.#parts;
    if (older === null) return;
    const atMs = dice.between(0, UPDATES_MS_MAX);
    this.#updatesMs.set(id, atMs);
    world.at(atMs, "work", null, update);
  }

  isOld(id: string): boolean {
    return this.#parts.world.nowMs < (this.#updatesMs.get(id) ?? 0);
  }

  /** From its next start on, a node has the newest program. */
  update(id: string): void {
    this.#updatesMs.delete(id);
  }

  machineOf(id: string): StateMachine {
    const { machine, older } = this.#parts;
    return older !== null && this.isOld(id) ? older() : machine();
  }
}

/** The machine that an entry brings into use; null if it brings none. */
export function activationIn({ kind, payload }: Entry): MachineVersion | null {
  if (kind !== EntryKind.command) return null;
  const decoded = decodePayload(payload);
  return decoded.type === "activate" ? decoded : null;
}

export const canRun = (machine: StateMachine, { name, version }: MachineVersion): boolean =>
  machine.supported?.().some((one) => one.name === name && one.versions.includes(version)) === true;
