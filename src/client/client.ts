/** The client actor, and the key-value store as its user sees it. */

/// <reference lib="esnext.disposable" preserve="true" />

import { type ActorContext, ActorSystem, type Behaviour, normalUrl } from "../actor/index.ts";
import type { ClientEnvironment } from "../environment.ts";
import { ConclaveError, isErrorCode } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import { ANY_CLUSTER } from "../link/index.ts";
import type { AnyMachine, Machine } from "../machine/definition.ts";
import {
  type Change,
  decodeChanges,
  decodePage,
  decodeResult,
  type Expected,
  encodeCommand,
  encodeQuery,
  type KeyValueCommand,
  type KeyValueEntry,
  type KeyValuePage,
  type KeyValueQuery,
  type KeyValueResults,
  LIST_LIMIT_MAX,
  type Value,
} from "../machine/key-value-protocol.ts";
import {
  decodeTransactionOutcome,
  type TransactionCommand,
  type TransactionOutcome,
} from "../machine/key-value-transaction.ts";
import { askingNode, type MemberView, NODE_ACTOR, type NodeStatus } from "../protocol/asking-node.ts";
import { CLIENT_ACTOR, type ClientMessage, clientProtocol } from "../protocol/client.ts";
import type { MemberWish } from "../protocol/node.ts";
import { Admin } from "./admin.ts";
import { type BackupPart, Backups } from "./backups.ts";
import { Checks, checkBytes } from "./checks.ts";
import { Commands } from "./commands.ts";
import { asOurs, closed, invalid, nonsense, understood } from "./failures.ts";
import { Horizon } from "./horizon.ts";
import { type LeaderInfo, Leadership } from "./leadership.ts";
import { type MachineClient, type MachineDoors, machineClient } from "./machine-client.ts";
import type {
  BackupOptions,
  CallOptions,
  ConnectOptions,
  ReadOptions,
  RestoreOptions,
  WatchOptions,
} from "./options.ts";
import { Queries } from "./queries.ts";
import { type Counter, counter } from "./recipes/counter.ts";
import { Recipes } from "./recipes/recipes.ts";
import { type Settings, settings } from "./recipes/settings.ts";
import { Restorations } from "./restorations.ts";
import {
  type Transaction,
  type TransactionOperation,
  type TransactionResult,
  transactionCommand,
} from "./transactions.ts";
import { type Source, Watches } from "./watches.ts";

/**
 * What a node says of itself, or why it says nothing.
 *
 * @example
 * ```ts
 * import type { NodeReport } from "conclave/client";
 *
 * const inWords = (report: NodeReport): string =>
 *   "error" in report ? `${report.url} says nothing: ${report.error.code}` : `${report.id} is ${report.role}`;
 * for (const report of await client.status()) console.log(inWords(report));
 * ```
 */
export type NodeReport =
  | (NodeStatus & { readonly url: string })
  | { readonly id: string | null; readonly url: string; readonly error: ConclaveError };

/**
 * What `list` takes beside the prefix.
 *
 * @example
 * ```ts
 * import type { ListOptions } from "conclave/client";
 *
 * const options: ListOptions = { limit: 10, consistency: "stale" };
 * const { entries, more } = await client.list("jobs/", options);
 * ```
 */
export interface ListOptions extends ReadOptions {
  /** At most this many entries; default 100, at most 10,000. */
  readonly limit?: number;
  /** Only keys after this one, for the next page. */
  readonly after?: string;
}

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_CALLS_MAX = 100_000;
const DEFAULT_LIST_LIMIT = 100;
const STATUS_TIMEOUT_MS = 1_000;

/**
 * A connection to a cluster. Made by `connect`. Every method may be called at any time, as often as one likes.
 *
 * @example
 * ```ts
 * import type { Client } from "conclave/client";
 *
 * async function seen(client: Client, page: string): Promise<number> {
 *   return client.counter(`pages/${page}`).add();
 * }
 * console.log(await seen(client, "start")); // 1
 * ```
 */
export class Client extends Recipes {
  readonly #checks: Checks;
  readonly #environment: ClientEnvironment;
  readonly #system: ActorSystem;
  readonly #leadership: Leadership;
  readonly #commands: Commands;
  readonly #queries: Queries;
  readonly #admin: Admin;
  readonly #watches: Watches;
  readonly #backups: Backups;
  readonly #restorations: Restorations;
  readonly #newId: () => string;
  /** What the clients of single machines go through. */
  readonly #doors: MachineDoors;
  readonly #machines = new Map<object, ReturnType<typeof machineClient>>();
  readonly #listeners = new Set<(leader: LeaderInfo | null) => void>();
  #closed = false;
  #closing: Promise<void> | null = null;

  /** @internal use `connect` */
  constructor(options: ConnectOptions, environment: ClientEnvironment) {
    super(environment);
    const { directories = [], nodes = [] } = options;
    if (directories.length + nodes.length === 0) {
      throw invalid("Name at least one directory or one node to connect to.");
    }
    this.#checks = new Checks(options);
    this.#environment = environment;
    this.#system = new ActorSystem({
      environment,
      cluster: options.cluster ?? ANY_CLUSTER,
      name: CLIENT_ACTOR,
      linkLimits: { messageBytesMax: options.messageBytesMax ?? DEFAULT_LIMITS.messageBytesMax },
    });
    const shared = {
      environment,
      timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      callsMax: options.callsMax ?? DEFAULT_CALLS_MAX,
      leadership: () => this.#leadership,
      horizon: new Horizon(),
    };
    this.#commands = new Commands({ ...shared, type: "commands" });
    this.#restorations = new Restorations(shared);
    this.#admin = new Admin(shared);
    const spawned = this.#spawn();
    this.#queries = new Queries({ ...shared, context: spawned });
    this.#backups = new Backups({ ...shared, context: spawned });
    this.#watches = new Watches({
      ...shared,
      context: spawned,
      queries: this.#queries,
      holdCommands: (until) => this.#commands.holdUntil(until),
    });
    this.#doors = {
      ...shared,
      command: (bytes, read, callOptions) => this.#commands.submit(bytes, read, callOptions),
      query: (bytes, readOptions) => this.#queries.ask(bytes, readOptions),
      watch: (source, watchOptions) => this.#watches.open(source, watchOptions),
    };
    this.#newId = () => environment.random.id();
    this.#leadership = new Leadership({
      environment,
      context: spawned,
      directories,
      nodes,
      ownNode: options.ownNode ?? null,
      isIdle: () => [...this.#allCommands, this.#queries, this.#admin].every(({ isIdle }) => isIdle),
      onReady: (leader) => {
        for (const commands of this.#allCommands) {
          if (commands.session !== null) leader.node.tell({ type: "keep-session", session: commands.session });
          commands.leaderFound();
        }
        this.#queries.leaderFound();
      },
      onLost: () => {
        for (const commands of this.#allCommands) commands.leaderLost();
        this.#queries.leaderLost();
      },
      onChange: (leader) => {
        for (const listener of [...this.#listeners]) call(listener, leader);
      },
    });
    this.#leadership.start();
  }

  /**
   * The leader as far as this client knows, kept up to date by push. Null if none is known: not yet, or because the last
   * one is gone or no longer acts as one.
   *
   * @example
   * ```ts
   * await client.get("greeting");
   * if (client.leader !== null) console.log(`${client.leader.id} leads in term ${client.leader.term}`);
   * ```
   */
  get leader(): LeaderInfo | null {
    return this.#leadership.known;
  }

  /**
   * Calls the listener on every change of leader, and at once with the present one if it is known.
   *
   * @example
   * ```ts
   * const end = client.on("leader", (leader) => console.log("the leader is", leader?.id));
   * await client.get("greeting");
   * end();
   * ```
   *
   * @returns a function that ends the subscription
   */
  on(_event: "leader", listener: (leader: LeaderInfo | null) => void): () => void {
    this.#listeners.add(listener);
    if (this.leader !== null) call(listener, this.leader);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Sets a key.
   *
   * @example
   * ```ts
   * await client.put("greeting", "hello");
   * await client.put("photo", Uint8Array.of(0xff, 0xd8));
   * ```
   *
   * @throws ConclaveError see `ERROR_CODES`
   */
  put(key: string, value: Value, options: CallOptions = {}): Promise<KeyValueResults["put"]> {
    return this.#run({ op: "put", key, value }, options);
  }

  /**
   * Removes a key.
   *
   * @example
   * ```ts
   * await client.put("draft", "...");
   * const { existed } = await client.delete("draft");
   * console.log(existed); // true
   * ```
   */
  delete(key: string, options: CallOptions = {}): Promise<KeyValueResults["delete"]> {
    return this.#run({ op: "delete", key }, options);
  }

  /**
   * Compare-and-swap: sets a key if it holds the expected value, or is at the expected revision (0: not there).
   * Whether it did is in `swapped`.
   *
   * @example
   * ```ts
   * const seen = await client.get("config");
   * const { swapped } = await client.cas("config", { revision: seen?.revision ?? 0 }, "v2");
   * if (!swapped) console.log("somebody else was faster");
   * ```
   */
  cas(key: string, expected: Expected, value: Value, options: CallOptions = {}): Promise<KeyValueResults["cas"]> {
    return this.#run({ op: "cas", key, expected, value }, options);
  }

  /**
   * Adds to a number; a key that is not there counts as 0.
   *
   * @example
   * ```ts
   * await client.put("stock/7", "10");
   * console.log((await client.increment("stock/7", -1)).value); // 9
   * ```
   *
   * @throws ConclaveError `NOT_A_NUMBER`
   */
  increment(key: string, by = 1, options: CallOptions = {}): Promise<KeyValueResults["increment"]> {
    return this.#run({ op: "increment", key, by }, options);
  }

  /**
   * Adds text to text, or bytes to bytes, at the end.
   *
   * @example
   * ```ts
   * await client.put("log", "a");
   * console.log((await client.append("log", ",b")).bytes); // 3
   * ```
   *
   * @throws ConclaveError `WRONG_TYPE`, `TOO_LARGE`
   */
  append(key: string, value: Value, options: CallOptions = {}): Promise<KeyValueResults["append"]> {
    return this.#run({ op: "append", key, value, valueBytesMax: this.#checks.valueBytesMax }, options);
  }

  /**
   * Several keys at once: compares, and then does one thing or the other, all of it in one step of the whole store. What
   * is compared is the state before; each operation sees what those before it have done. If one of them can't be carried
   * out, nothing is changed at all. A key may be changed only once.
   *
   * Each change has a revision of its own, one after the other. `results` has one for each operation that was done.
   *
   * @example
   * ```ts
   * const { succeeded, results } = await client.transaction({
   *   if: [{ key: "leader", exists: false }, { key: "epoch", revision: { lessThan: 1_000_000 } }],
   *   then: [{ put: "leader", value: "me" }, { increment: "epoch" }],
   *   else: [{ get: "leader" }],
   * });
   * if (succeeded) console.log(results[1].value);
   * else console.log(results[0]?.value, "was faster");
   * ```
   *
   * @throws ConclaveError `INVALID_ARGUMENT`, `TOO_LARGE`, `ANSWER_TOO_LARGE` if what it reads is too large, `NOT_A_NUMBER`,
   * `WRONG_TYPE`; and as every call
   */
  transaction<
    const Then extends readonly TransactionOperation[] = readonly [],
    const Else extends readonly TransactionOperation[] = readonly [],
  >(transaction: Transaction<Then, Else>, options: CallOptions = {}): Promise<TransactionResult<Then, Else>> {
    let command: TransactionCommand;
    let bytes: Uint8Array;
    try {
      command = transactionCommand(transaction, this.#checks);
      bytes = encodeCommand(command);
      this.#checks.transaction(bytes);
    } catch (error) {
      return Promise.reject(error);
    }
    const read = (answer: Uint8Array): TransactionOutcome =>
      doneIn(understood("UNKNOWN_OUTCOME", () => decodeTransactionOutcome(command, answer)));
    // The results are those of the operations that were encoded: one for each, of its kind.
    return this.#commands.submit(bytes, read as (answer: Uint8Array) => TransactionResult<Then, Else>, options);
  }

  /**
   * Reads a key; null if it is not there. Linearizable unless told otherwise.
   *
   * @example
   * ```ts
   * await client.put("greeting", "hello");
   * console.log((await client.get("greeting"))?.value); // hello
   * const nearby = await client.get("greeting", { consistency: "stale" });
   * ```
   */
  async get(key: string, options: ReadOptions = {}): Promise<KeyValueEntry | null> {
    this.#checks.key(key);
    const { entries } = await this.#ask({ op: "get", key }, options);
    return entries[0] ?? null;
  }

  /**
   * Lists keys with a prefix, in order, a page at a time. Linearizable unless told otherwise.
   *
   * @example
   * ```ts
   * await client.put("colours/blue", "#00f");
   * for (const { key, value } of (await client.list("colours/")).entries) console.log(key, value); // colours/blue #00f
   * ```
   */
  async list(prefix: string, options: ListOptions = {}): Promise<KeyValuePage> {
    const { limit = DEFAULT_LIST_LIMIT, after = "" } = options;
    if (!Number.isInteger(limit) || limit < 1 || limit > LIST_LIMIT_MAX) {
      throw invalid(`A limit is a whole number from 1 to ${LIST_LIMIT_MAX}.`);
    }
    this.#checks.key(prefix);
    this.#checks.key(after);
    return this.#ask({ op: "list", prefix, after, limit }, options);
  }

  /**
   * Every change of keys with a prefix, from a revision on, in order and once, whatever becomes of nodes and leaders
   * meanwhile. To be read with `for await`, at whatever pace: the cluster holds the changes, not this client. It goes
   * on until the loop is left, or fails with `ABORTED`, `CLOSED`, or with `COMPACTED` if its reader has fallen so far
   * behind that the cluster does not remember what came next; the `firstRevision` in the error's details is what it
   * still does.
   *
   * What a transaction has changed comes together, and all but the last of it says that there is `more`.
   *
   * Without `fromRevision` it begins with what is new: no command that this client gives after the call is missed. To
   * begin where a list ended, or where another watch did, pass the revision after it.
   *
   * @example
   * ```ts
   * const { entries, revision } = await client.list("prices/");
   * await client.put("prices/tea", "3");
   * for await (const change of client.watch("prices/", { fromRevision: revision + 1 })) {
   *   console.log(change.key, change.type); // prices/tea put
   *   break;
   * }
   * ```
   *
   * @throws ConclaveError `INVALID_ARGUMENT`, `TOO_LARGE`
   */
  watch(prefix: string, options: WatchOptions = {}): AsyncIterableIterator<Change> {
    const { fromRevision = 1 } = options;
    this.#checks.key(prefix);
    if (!Number.isSafeInteger(fromRevision) || fromRevision < 1) {
      throw invalid("A watch begins with a revision from 1 on.");
    }
    const source: Source<Change> = {
      newestQuery: encodeQuery({ op: "get", key: "" }),
      newest: (answer) => decodePage(answer).revision,
      query: (from, limit) => encodeQuery({ op: "changes", prefix, fromRevision: from, limit }),
      read: decodeChanges,
    };
    return this.#watches.open(source, options);
  }

  /**
   * A key that is added to, as a number: `increment` in other words.
   *
   * @example
   * ```ts
   * const visits = await client.counter("visits").add();
   * ```
   */
  counter(key: string): Counter {
    return counter(this, key);
  }

  /**
   * Keys with a prefix as settings: values of their own types, kept as JSON, and watched as a whole.
   *
   * @example
   * ```ts
   * const settings = client.settings<{ theme: string; pageSize: number }>("app/");
   * await settings.set("pageSize", 50);
   * for await (const change of settings.watch()) {
   *   if (change.type === "current") console.log(change.values.pageSize); // 50
   *   break;
   * }
   * ```
   */
  settings<T = Readonly<Record<string, unknown>>>(prefix: string): Settings<T> {
    return settings(this, this.#environment, prefix);
  }

  /**
   * The machine of that name, which the nodes of the cluster run beside others, as an object with its commands and queries
   * for methods, and `changes` for what it emits. Arguments and results have the types of the definition.
   *
   * @example
   * ```ts
   * import { machine } from "conclave";
   * import { testCluster } from "conclave/testing";
   *
   * const tally = machine({
   *   name: "tally",
   *   version: 1,
   *   state: () => ({ sum: 0 }),
   *   commands: { add: (state, by: number) => (state.sum += by) },
   *   queries: { sum: (state) => state.sum },
   * });
   * await using cluster = await testCluster({ machines: [tally] });
   * await cluster.client.of(tally).add(2);
   * console.log(await cluster.client.of(tally).sum()); // 2
   * ```
   */
  override of<State, Emitted, C, Q, A>(machine: Machine<State, Emitted, C, Q, A>): MachineClient<C, Q, A, Emitted> {
    const made = this.#machines.get(machine) ?? machineClient(machine as AnyMachine, this.#doors);
    this.#machines.set(machine, made);
    if (this.#closed) made.close();
    return made.methods as MachineClient<C, Q, A, Emitted>;
  }

  /**
   * For a state machine of your own: has it apply a command, once, and returns its result. The key-value store takes
   * only commands of its own language.
   *
   * @example
   * ```ts
   * import type { StateMachine } from "conclave";
   * import { testCluster } from "conclave/testing";
   *
   * class Latest implements StateMachine {
   *   #latest = new Uint8Array();
   *   apply = (command: Uint8Array): Uint8Array => (this.#latest = command.slice());
   *   query = (): Uint8Array => this.#latest;
   *   snapshot = (): Uint8Array[] => [this.#latest];
   *   restore = async (pieces: AsyncIterable<Uint8Array>): Promise<void> => {
   *     for await (const piece of pieces) this.#latest = piece.slice();
   *   };
   * }
   * await using cluster = await testCluster({ machine: () => new Latest() });
   * console.log(await cluster.client.command(Uint8Array.of(7))); // Uint8Array(1) [ 7 ]
   * ```
   */
  async command(command: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    checkBytes("command", command);
    return this.#commands.submit(command, (result) => result, options);
  }

  /**
   * Asks a state machine of your own. Linearizable unless told otherwise.
   *
   * @example
   * ```ts
   * const question = new TextEncoder().encode("how many?"); // Only a machine of one's own knows what this means.
   * const ask = (): Promise<Uint8Array> => client.query(question, { consistency: "stale" });
   * ```
   */
  async query(query: Uint8Array, options: ReadOptions = {}): Promise<Uint8Array> {
    checkBytes("query", query);
    return this.#queries.ask(query, options);
  }

  /**
   * A name that nobody else has: for who asks, where the same thing may be asked twice.
   *
   * @example
   * ```ts
   * const owner = client.newId();
   * await client.cas("owner", { revision: 0 }, owner);
   * ```
   */
  newId(): string {
    return this.#newId();
  }

  /**
   * Asks every member how it sees itself, or, if no leader tells within a second who they are, every node that is known.
   * One that does not answer within a second is reported so.
   *
   * @example
   * ```ts
   * for (const report of await client.status()) {
   *   if ("error" in report) console.log(report.url, report.error.code);
   *   else console.log(report.id, report.role, report.commitIndex);
   * }
   * ```
   */
  async status(): Promise<NodeReport[]> {
    if (this.#closed) throw closed();
    const reports = (await this.#nodesToAsk()).map(async ([url, id]): Promise<NodeReport> => {
      try {
        const node = this.#system.ref(`${url}/${NODE_ACTOR}`, askingNode);
        const answer = await node.ask({ type: "status" }, { timeoutMs: STATUS_TIMEOUT_MS });
        if (answer.type !== "status") throw nonsense();
        return { ...answer.status, url };
      } catch (error) {
        return { id, url, error: asOurs(error) };
      }
    });
    return (await Promise.all(reports)).sort((a, b) => (a.id ?? a.url).localeCompare(b.id ?? b.url));
  }

  async #nodesToAsk(): Promise<(readonly [url: string, id: string | null])[]> {
    const members = await this.members({ timeoutMs: STATUS_TIMEOUT_MS }).catch(() => null);
    return members?.map(({ id, url }) => [normalUrl(url), id] as const) ?? [...this.#leadership.nodes];
  }

  /**
   * The members of the cluster, as its leader has them.
   *
   * @example
   * ```ts
   * console.log((await client.members()).map(({ id }) => id).join(" ")); // n1 n2 n3
   * ```
   */
  async members(options: CallOptions = {}): Promise<readonly MemberView[]> {
    const answer = await this.#admin.ask({ type: "members" }, options);
    if (answer.type !== "members") throw nonsense();
    this.#leadership.learnMembers(answer.members);
    return answer.members;
  }

  /**
   * Has the nodes compare what their states have come to, as they do by themselves from time to time. Resolves when they
   * begin; what comes of it is in their logs, and in `status`: one that is found to be wrong is repaired.
   *
   * @example
   * ```ts
   * await cluster.client.compare();
   * ```
   */
  async compare(options: CallOptions = {}): Promise<void> {
    await this.#admin.ask({ type: "compare" }, options);
  }

  /**
   * Changes the members: everything that is wished for at once, by joint consensus (thesis, section 4.3). Resolves once
   * the change is committed. A new member is then a learner; it becomes a voter, or takes another one's place, by itself
   * once it keeps up.
   *
   * @example
   * ```ts
   * await cluster.client.change([{ type: "demote", id: "n3" }]);
   * const [, , last] = await cluster.client.members();
   * console.log(last?.role); // learner
   * ```
   *
   * @throws ConclaveError `CHANGE_IN_PROGRESS`, `INVALID_ARGUMENT`, `UNKNOWN_OUTCOME`, or as every call
   */
  async change(wishes: readonly MemberWish[], options: CallOptions = {}): Promise<void> {
    await this.#admin.ask({ type: "change", wishes: [...wishes] }, options);
  }

  /**
   * Hands leadership over (thesis, section 3.10): to the node of that id, or to whichever is furthest along.
   *
   * @example
   * ```ts
   * await cluster.client.put("greeting", "hello");
   * await cluster.client.transfer("n3");
   * console.log((await cluster.leader()).id); // n3
   * ```
   *
   * @throws ConclaveError `TRANSFER_FAILED` if the other did not take over within an election timeout
   */
  async transfer(to: string | null = null, options: CallOptions = {}): Promise<void> {
    await this.#admin.ask({ type: "transfer", to }, options);
  }

  /**
   * A copy of all that the cluster holds, as it is at one moment after the call, and no acknowledged command before the
   * call is missing. Its parts, one after the other, make up a file that `conclave` reads (`restoreBackup`); a part whose
   * offset is 0 begins that file, anew if the node that gave the parts before is gone. It is drawn at the reader's pace.
   *
   * @example
   * ```ts
   * let bytes = 0;
   * for await (const part of client.backup()) bytes = part.offset + part.bytes.byteLength;
   * console.log(`the backup takes ${bytes} bytes`);
   * ```
   *
   * @throws ConclaveError `BUSY` if too many backups are being made, `DISK_FULL` if there is no room for the snapshot,
   * `TIMEOUT`, `NO_LEADER`, `ABORTED`, `CLOSED`
   */
  backup(options: BackupOptions = {}): AsyncIterable<BackupPart> {
    return this.#backups.draw(options);
  }

  /**
   * Replaces what the state machine holds by the pieces of another one's snapshot: all at once, and on every replica,
   * those that join later included. `restoreBackup` of `conclave` finds the pieces in a backup.
   *
   * @example
   * ```ts
   * import { realEnvironment, restoreBackup, saveBackup } from "conclave";
   * import { testCluster } from "conclave/testing";
   *
   * const { disk } = realEnvironment;
   * await client.put("greeting", "hello");
   * await saveBackup(disk, `${folder}/demo.backup`, client);
   * await using empty = await testCluster();
   * await restoreBackup(disk, `${folder}/demo.backup`, empty.client); // It calls restore.
   * ```
   *
   * @throws ConclaveError `NOT_EMPTY`, `RESTORE_ABANDONED`, `DATA_CORRUPT` if the machine does not know these pieces;
   * whatever reading the pieces ends in; and as every call. Except for `UNKNOWN_OUTCOME`, nothing was changed
   */
  restore(pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, options: RestoreOptions = {}): Promise<void> {
    return this.#closed ? Promise.reject(closed()) : this.#restorations.restore(pieces, options);
  }

  /**
   * Gives up what is held of locks, leases, jobs and the like, and ends every open call with `CLOSED`, or `UNKNOWN_OUTCOME`
   * if it was sent, and every link.
   *
   * @example
   * ```ts
   * import { connect } from "conclave/client";
   *
   * const own = await connect({ nodes: ["ws://10.0.0.1:7101"] });
   * await own.close();
   * ```
   */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  /**
   * As `close`, at the end of the block that the client is for.
   *
   * @example
   * ```ts
   * import { connect } from "conclave/client";
   *
   * await using own = await connect({ nodes: ["ws://10.0.0.1:7101"] });
   * ```
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #end(): Promise<void> {
    const released = this.releaseHeld();
    if (released !== null) await released;
    this.#closed = true;
    this.#commands.close();
    this.#queries.close();
    this.#admin.close();
    this.#watches.close();
    for (const { close } of this.#machines.values()) close();
    this.#backups.close();
    this.#restorations.close();
    this.#leadership.close();
    this.#listeners.clear();
    await this.#system.close();
  }

  get #allCommands(): readonly Commands[] {
    return [this.#commands, ...this.#restorations.open];
  }

  #spawn(): ActorContext {
    const holder: { context: ActorContext | null } = { context: null };
    const behaviour: Behaviour<ClientMessage, never> = (batch) => {
      for (const delivery of batch) {
        if (delivery.type === "message") this.#leadership.learn(delivery.message.view, delivery.sender.peer);
        else if (delivery.type === "link" && delivery.up && delivery.url !== null) {
          this.#leadership.linkUp(delivery.url, delivery.peer);
        } else if (delivery.type === "link") this.#leadership.linkLost(delivery.url);
      }
    };
    this.#system.spawn(CLIENT_ACTOR, clientProtocol, (context) => {
      holder.context = context;
      return behaviour;
    });
    if (holder.context === null) throw new Error("the client actor was not created");
    return holder.context;
  }

  #run<C extends KeyValueCommand>(command: C, options: CallOptions): Promise<KeyValueResults[C["op"]]> {
    let bytes: Uint8Array;
    try {
      this.#checks.command(command);
      bytes = encodeCommand(command);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#commands.submit(bytes, RESULT_READERS[command.op] as ResultReader<C["op"]>, options);
  }

  async #ask(query: KeyValueQuery, options: ReadOptions): Promise<KeyValuePage> {
    const bytes = await this.#queries.ask(encodeQuery(query), options);
    return understood("BAD_MESSAGE", () => decodePage(bytes));
  }
}

type ResultReader<Op extends keyof KeyValueResults> = (bytes: Uint8Array) => KeyValueResults[Op];

const resultReader =
  <Op extends keyof KeyValueResults>(op: Op): ResultReader<Op> =>
  (bytes) =>
    doneIn(understood("UNKNOWN_OUTCOME", () => decodeResult<Op>(op, bytes)));

/** @throws ConclaveError if the machine has rejected the command */
function doneIn<Done extends object>(result: Done | { readonly code: string; readonly message: string }): Done {
  if (!("code" in result)) return result;
  throw new ConclaveError(isErrorCode(result.code) ? result.code : "MACHINE_FAILED", result.message);
}

/** One for all calls of an operation: those who call often would have one each. */
const RESULT_READERS: { readonly [Op in keyof KeyValueResults]: ResultReader<Op> } = {
  put: resultReader("put"),
  delete: resultReader("delete"),
  cas: resultReader("cas"),
  increment: resultReader("increment"),
  append: resultReader("append"),
};

/** A listener that throws is its owner's problem, reported where uncaught errors are, and must not stop the others. */
function call(listener: (leader: LeaderInfo | null) => void, leader: LeaderInfo | null): void {
  try {
    listener(leader);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
