/**
 * Clients that watch, and whether they saw what they should: the changes that the log has made, each once and in order.
 * What those are is found out from the commands and their results, not from what the machine remembers of them.
 */

import { hasCode } from "../errors.ts";
import type { StateMachine } from "../machine/index.ts";
import {
  type Change,
  decodeCommand,
  decodeResult,
  type KeyValueCommand,
  type Value,
} from "../machine/key-value-protocol.ts";
import { decodeTransactionOutcome, type Operation, type TransactionCommand } from "../machine/key-value-transaction.ts";
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

/** Who watches what, and how far he has come. */
interface Watcher {
  readonly name: string;
  readonly prefix: string;
  readonly isGone: () => boolean;
  /** Before the watch was asked for, so many changes had been made anywhere. */
  readonly before: number;
  /** The first revision that he has not seen, nor passed by; null until that is known. */
  next: number | null;
  /** The first change that he has seen, if he did not say where to begin. */
  first: number | null;
  /** A change that he must see, if he did not say where to begin. */
  owed: number | null;
}

export class Watchers {
  /** All that was ever changed: the change of revision 1 comes first. */
  readonly #log: Change[] = [];
  readonly #store = new Map<string, Value>();
  readonly #watchers: Watcher[] = [];
  #finding: string | null = null;
  #whenSeen: () => void = () => {};

  /** The first watch that went wrong; null if none did. */
  get finding(): string | null {
    return this.#finding;
  }

  /** How many changes have been made. */
  get revision(): number {
    return this.#log.length;
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
  start({ client, name, isGone }: Worker, prefix: string, fromRevision: number | null): (revision: number) => void {
    const before = this.#log.length;
    const watcher: Watcher = { name, prefix, isGone, before, next: fromRevision, first: null, owed: null };
    this.#watchers.push(watcher);
    const watch = (from: number | null): AsyncIterable<Change> =>
      client.watch(prefix, from === null ? {} : { fromRevision: from });
    const read = async (changes: AsyncIterable<Change>): Promise<void> => {
      try {
        for await (const change of changes) this.#see(watcher, change);
      } catch (error) {
        if (hasCode(error, "CLOSED")) return;
        if (!hasCode(error, "COMPACTED")) throw error;
        this.#skip(watcher, Number(error.details["firstRevision"]));
        await read(watch(watcher.next));
      }
    };
    read(watch(fromRevision)).catch((error) => this.#fail(watcher, `fails: ${String(error)}`));
    return (revision) => {
      if (fromRevision === null) watcher.owed ??= revision;
      this.#checkBeginning(watcher);
    };
  }

  /** Waits until every watcher whose client lives has seen everything. */
  async caughtUp(): Promise<void> {
    const isSo = (): boolean => this.#watchers.every((watcher) => watcher.isGone() || this.#hasSeenAll(watcher));
    await new Promise<void>((resolve) => {
      this.#whenSeen = () => {
        if (this.#finding !== null || isSo()) resolve();
      };
      this.#whenSeen();
    });
  }

  #note(command: KeyValueCommand | TransactionCommand, result: Uint8Array): void {
    const changes = this.#changesOf(command, result);
    // Only the first replica that gets so far has news.
    if (changes[0]?.revision !== this.#log.length + 1) return;
    for (const change of changes) {
      this.#log.push(change);
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

  #see(watcher: Watcher, change: Change): void {
    const { revision } = change;
    const made = this.#log[revision - 1];
    if (made === undefined || !isSame(this.#asShown(made, watcher.prefix), change)) {
      this.#fail(watcher, `sees ${JSON.stringify(change)}, and made was ${JSON.stringify(made)}`);
    }
    if (!change.key.startsWith(watcher.prefix)) this.#fail(watcher, `sees a change of "${change.key}"`);
    if (watcher.next === null) {
      watcher.first = revision;
      this.#checkBeginning(watcher);
    } else if (revision < watcher.next) this.#fail(watcher, `sees ${revision} after ${watcher.next - 1}`);
    else {
      const missed = this.#first(watcher.prefix, watcher.next);
      if (missed !== revision) this.#fail(watcher, `sees ${revision}, and not ${missed} before it`);
    }
    watcher.next = revision + 1;
    this.#whenSeen();
  }

  /** With those of the prefix alone before one's eyes, there may be no more of its transaction. */
  #asShown({ more: _, ...change }: Change, prefix: string): Change {
    for (let next = change.revision; this.#log[next - 1]?.more === true; next++) {
      if (this.#log[next]?.key.startsWith(prefix) === true) return { ...change, more: true };
    }
    return change;
  }

  /** A watcher is told that what he should see next is kept no more. */
  #skip(watcher: Watcher, firstRevision: number): void {
    const { next } = watcher;
    const isPast = firstRevision > (next ?? watcher.before) && firstRevision <= this.#log.length + 1;
    // What a transaction has changed is forgotten all at once.
    const isSound = isPast && this.#log[firstRevision - 2]?.more !== true;
    if (!isSound) this.#fail(watcher, `is sent on from ${next} to ${firstRevision} of ${this.#log.length}`);
    watcher.next = firstRevision;
    this.#whenSeen();
  }

  /** A watch that begins with what is new gives nothing that was old when it was asked for, and nothing too new. */
  #checkBeginning(watcher: Watcher): void {
    const { first, owed, before } = watcher;
    if (first === null) return;
    if (first <= before) this.#fail(watcher, `begins with ${first}, and ${before} was past`);
    if (owed !== null && first > owed) this.#fail(watcher, `begins with ${first}, and not with ${owed} before it`);
  }

  #hasSeenAll({ prefix, next, owed }: Watcher): boolean {
    return next === null ? owed === null : this.#first(prefix, next) === null;
  }

  /** The first change of such a key from a revision on. */
  #first(prefix: string, from: number): number | null {
    const found = this.#log.findIndex(({ key, revision }) => revision >= from && key.startsWith(prefix));
    return found === -1 ? null : found + 1;
  }

  #fail({ name, prefix }: Watcher, detail: string): void {
    this.#finding ??= `a watch of "${prefix}" by ${name} ${detail}`;
    this.#whenSeen();
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
