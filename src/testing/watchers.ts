/**
 * Clients that watch, and whether they saw what they should: the changes that the log has made, each once and in order.
 * What those are is found out from the commands and their results, not from what the machine remembers of them.
 */

import type { StateMachine } from "../machine/index.ts";
import {
  type Change,
  decodeCommand,
  decodeResult,
  type KeyValueCommand,
  type Value,
} from "../machine/key-value-protocol.ts";
import { decodeTransactionOutcome, type Operation, type TransactionCommand } from "../machine/key-value-transaction.ts";
import { Followers } from "./followers.ts";
import { listening } from "./listening.ts";
import type { Worker } from "./workload.ts";

/** What changes a key, be it a command or a part of one, and what it answers. */
type Changing = KeyValueCommand | Exclude<Operation, { readonly op: "get" }>;
interface Answer {
  readonly revision: number;
  readonly existed?: boolean;
  readonly swapped?: boolean;
  readonly value?: Value | number;
}

export class Watchers {
  readonly #followers: Followers<Change> = new Followers<Change>({
    isSame: (made, seen, { isWanted }) => isSame(this.#asShown(made, isWanted), seen),
    // What a transaction has changed is forgotten all at once.
    mayBegin: (revision) => this.#followers.at(revision - 1)?.more !== true,
  });
  readonly #store = new Map<string, Value>();

  /** The first watch that went wrong; null if none did. */
  get finding(): string | null {
    return this.#followers.finding;
  }

  /** How many changes have been made. */
  get revision(): number {
    return this.#followers.revision;
  }

  /** A replica whose changes are noted. */
  listenTo(machine: StateMachine): StateMachine {
    return listening(machine, (command, _context, result) => this.#note(decodeCommand(command), result));
  }

  /**
   * Begins a watch that goes on for as long as its client lives.
   *
   * @param fromRevision null to begin with what is new
   * @returns takes the revision of a change of such a key, made by a command that was given after this call
   */
  start(
    worker: Pick<Worker, "client" | "name" | "isGone">,
    prefix: string,
    fromRevision: number | null,
  ): (revision: number) => void {
    return this.#followers.start(worker, {
      what: `a watch of "${prefix}"`,
      isWanted: ({ key }) => key.startsWith(prefix),
      open: (from) => worker.client.watch(prefix, from === null ? {} : { fromRevision: from }),
      fromRevision,
    });
  }

  /** Waits until every watcher whose client lives has seen everything. */
  caughtUp(): Promise<void> {
    return this.#followers.caughtUp();
  }

  #note(command: KeyValueCommand | TransactionCommand, result: Uint8Array): void {
    const changes = this.#changesOf(command, result);
    // Only the first replica that gets so far has news.
    if (changes[0]?.revision !== this.#followers.revision + 1) return;
    for (const change of changes) {
      this.#followers.add(change);
      if (change.type === "put") this.#store.set(change.key, change.value);
      else this.#store.delete(change.key);
    }
  }

  /** What a command has changed, if it has changed anything. */
  #changesOf(command: KeyValueCommand | TransactionCommand, bytes: Uint8Array): Change[] {
    if (command.op !== "transaction") {
      const result = decodeResult(command.op, bytes);
      const change = "code" in result ? null : this.#changeOf(command, result);
      return change === null ? [] : [change];
    }
    const outcome = decodeTransactionOutcome(command, bytes);
    if ("code" in outcome) return [];
    const changes = (outcome.succeeded ? command.success : command.failure).flatMap((operation, i) => {
      const result = outcome.results[i] ?? null;
      const change = operation.op === "get" || result === null ? null : this.#changeOf(operation, result);
      return change === null ? [] : [change];
    });
    return changes.map((change, i) => (i + 1 < changes.length ? { ...change, more: true } : change));
  }

  #changeOf(operation: Changing, { revision, existed, swapped, value }: Answer): Change | null {
    const { key } = operation;
    if (operation.op === "delete") return existed === true ? { type: "delete", key, revision } : null;
    if (swapped === false) return null;
    if (operation.op === "increment") return { type: "put", key, value: String(value), revision };
    const { op, value: given } = operation;
    return { type: "put", key, value: op === "append" ? joined(this.#store.get(key), given) : given, revision };
  }

  /** With those of the prefix alone before one's eyes, there may be no more of its transaction. */
  #asShown({ more: _, ...change }: Change, isWanted: (change: Change) => boolean): Change {
    const at = (revision: number): Change | undefined => this.#followers.at(revision);
    for (let next = change.revision; at(next)?.more === true; next++) {
      const following = at(next + 1);
      if (following !== undefined && isWanted(following)) return { ...change, more: true };
    }
    return change;
  }
}

const isSame = (a: Change, b: Change): boolean =>
  a.type === b.type &&
  a.key === b.key &&
  a.revision === b.revision &&
  a.more === b.more &&
  (a.type !== "put" || b.type !== "put" || a.value === b.value);

/** Text only: nobody here writes bytes. */
const joined = (before: Value | undefined, more: Value): Value => `${before ?? ""}${more}`;
