/** The key-value store as a replicated state machine. */

import { messageOf } from "../errors.ts";
import { areEqual, extended, increased } from "./key-value-arithmetic.ts";
import {
  type ChangesPage,
  decodeCommand,
  decodeQuery,
  type Expected,
  encodeChanges,
  encodePage,
  encodeRejected,
  encodeResult,
  type KeyValueCommand,
  type KeyValueEntry,
  type KeyValuePage,
  type KeyValueQuery,
  LIST_LIMIT_MAX,
  type Value,
  valueBytes,
} from "./key-value-protocol.ts";
import {
  type KeyValueState,
  owned,
  readSnapshot,
  SnapshotReader,
  type Store,
  snapshotOf,
} from "./key-value-snapshot.ts";
import { encodeTransactionOutcome, type TransactionCommand } from "./key-value-transaction.ts";
import type { Replacement, StateMachine } from "./machine.ts";
import { CHANGES_BOUNDS, type ChangesBounds, RecentChanges } from "./recent-changes.ts";
import { TransactionPlan } from "./transaction-plan.ts";
import { emptyTree } from "./tree.ts";

/** A page ends once it holds this much, whatever its limit. */
const PAGE_BYTES_MAX = 2 * 1024 * 1024;
/** More changes than are ever lost with the nodes that had them. */
const REVISION_LEAP = 1_000_000;
/** Whoever has asked for changes that are not his, this many of them, is told so, and need not have them passed again. */
const PASSED_BY_MAX = 1_000;

/**
 * Keys with values, in order; see `key-value-protocol.ts` for what can be asked of it.
 *
 * @example
 * ```ts
 * import { KeyValueMachine } from "conclave";
 *
 * const store = new KeyValueMachine(); // What `startNode` takes for its machine.
 * console.log(store.isEmpty()); // true
 * ```
 */
export class KeyValueMachine implements StateMachine {
  readonly #bounds: ChangesBounds;
  #state: KeyValueState;

  /** @param bounds of what is kept for those who watch; others than these, on some replicas, would part them */
  constructor(bounds: ChangesBounds = CHANGES_BOUNDS) {
    this.#bounds = bounds;
    this.#state = { store: emptyTree(), changes: new RecentChanges(bounds) };
  }

  apply(bytes: Uint8Array): Uint8Array {
    let command: KeyValueCommand | TransactionCommand;
    try {
      command = decodeCommand(bytes);
    } catch (error) {
      return encodeRejected({ code: "INVALID_ARGUMENT", message: messageOf(error) });
    }
    switch (command.op) {
      case "put":
        return encodeResult("put", { revision: this.#set(command.key, command.value) });
      case "delete": {
        const existed = this.#store.delete(command.key);
        if (existed) this.#changes.delete(command.key);
        return encodeResult("delete", { existed, revision: this.#revision });
      }
      case "cas": {
        const swapped = matches(this.#store.get(command.key), command.expected);
        const revision = swapped ? this.#set(command.key, command.value) : this.#revision;
        return encodeResult("cas", { swapped, revision });
      }
      case "increment":
        return this.#increment(command.key, command.by);
      case "append":
        return this.#append(command.key, command.value, command.valueBytesMax);
      case "transaction":
        return this.#transact(command);
    }
  }

  query(bytes: Uint8Array): Uint8Array {
    const query = queryIn(bytes);
    switch (query?.op) {
      case "get": {
        const stored = this.#store.get(query.key);
        return encodePage(this.#page(stored === undefined ? [] : [stored], false));
      }
      case "list":
        return encodePage(this.#list(query.prefix, query.after, query.limit));
      case "changes":
        return encodeChanges(this.#find(query));
      case undefined:
        return encodePage(this.#page([], false));
    }
  }

  /** Changes are waited for; all else is answered at once. */
  poll(bytes: Uint8Array): Uint8Array | null {
    const query = queryIn(bytes);
    if (query?.op !== "changes") return this.query(bytes);
    const page = this.#find(query);
    const isNews =
      page.type === "compacted" || page.changes.length > 0 || page.nextRevision - query.fromRevision >= PASSED_BY_MAX;
    return isNews ? encodeChanges(page) : null;
  }

  snapshot(): Iterable<Uint8Array> {
    return snapshotOf(this.#state);
  }

  async restore(pieces: AsyncIterable<Uint8Array>): Promise<void> {
    this.#state = await readSnapshot(pieces, this.#bounds);
  }

  /** Who has watched changes that are lost is told so, and none of their revisions will come to mean another. */
  leap(): void {
    const changes = new RecentChanges(this.#bounds, this.#revision + REVISION_LEAP);
    this.#state = { store: this.#store, changes };
  }

  isEmpty(): boolean {
    return this.#store.size === 0;
  }

  replacement(): Replacement {
    const reader = new SnapshotReader(this.#bounds);
    return {
      add: (piece) => reader.add(piece),
      snapshot: () => reader.pieces(),
      finish: () => {
        const state = reader.finish();
        return () => this.#replace(state);
      },
    };
  }

  /**
   * A store that nothing was ever done with goes on as the other one, revisions and changes included. Where somebody may
   * have watched, what the other remembers is not what came next: the changes begin anew, behind the revisions of both.
   */
  #replace(state: KeyValueState): void {
    const own = this.#revision;
    const changes = new RecentChanges(this.#bounds, Math.max(own, state.changes.lastRevision) + 1);
    this.#state = own === 0 ? state : { store: state.store, changes };
  }

  get #store(): Store {
    return this.#state.store;
  }

  get #changes(): RecentChanges {
    return this.#state.changes;
  }

  /** It counts the changes of the whole store. */
  get #revision(): number {
    return this.#changes.lastRevision;
  }

  /** @param more another change of the same transaction follows */
  #set(key: string, given: Value, more = false): number {
    const change = this.#changes.put(key, owned(given), more);
    // What is stored is what has changed: one object for both, since each of them is kept.
    this.#store.set(key, change);
    return change.revision;
  }

  #find({ prefix, fromRevision, limit }: KeyValueQuery & { readonly op: "changes" }): ChangesPage {
    const { firstRevision } = this.#changes;
    if (fromRevision < firstRevision) return { type: "compacted", firstRevision };
    return { type: "changes", ...this.#changes.find(prefix, fromRevision, Math.min(limit, LIST_LIMIT_MAX)) };
  }

  #page(entries: readonly KeyValueEntry[], more: boolean): KeyValuePage {
    return { entries, more, revision: this.#revision };
  }

  #increment(key: string, by: number): Uint8Array {
    const sum = increased(key, this.#store.get(key)?.value, by);
    if (typeof sum !== "number") return encodeRejected(sum);
    return encodeResult("increment", { value: sum, revision: this.#set(key, String(sum)) });
  }

  #append(key: string, value: Value, valueBytesMax: number): Uint8Array {
    const grown = extended(key, this.#store.get(key)?.value, value, valueBytesMax);
    if ("code" in grown) return encodeRejected(grown);
    return encodeResult("append", { bytes: grown.bytes, revision: this.#set(key, grown.value) });
  }

  #transact(command: TransactionCommand): Uint8Array {
    const plan = new TransactionPlan(command, this.#store, this.#revision);
    const outcome = plan.make();
    if ("code" in outcome) return encodeRejected(outcome);
    const answer = encodeTransactionOutcome(command, outcome);
    for (const [i, { key, value }] of plan.changes.entries()) {
      const more = i + 1 < plan.changes.length;
      if (value !== null) this.#set(key, value, more);
      else if (this.#store.delete(key)) this.#changes.delete(key, more);
    }
    return answer;
  }

  #list(prefix: string, after: string, limit: number): KeyValuePage {
    const entries: KeyValueEntry[] = [];
    let bytes = 0;
    const start = after > prefix ? after : prefix;
    for (const [key, stored] of this.#store.entries(start)) {
      if (!key.startsWith(prefix)) break;
      if (key === after && after !== "") continue;
      if (entries.length >= Math.min(limit, LIST_LIMIT_MAX) || bytes >= PAGE_BYTES_MAX)
        return this.#page(entries, true);
      entries.push(stored);
      bytes += key.length + valueBytes(stored.value);
    }
    return this.#page(entries, false);
  }
}

function queryIn(bytes: Uint8Array): KeyValueQuery | null {
  try {
    return decodeQuery(bytes);
  } catch {
    return null;
  }
}

function matches(stored: KeyValueEntry | undefined, expected: Expected): boolean {
  if ("revision" in expected) return (stored?.revision ?? 0) === expected.revision;
  return stored !== undefined && areEqual(stored.value, expected.value);
}
