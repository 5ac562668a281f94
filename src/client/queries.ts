/** Questions about the state: those of one turn share a frame, and may be asked again as often as it takes. */

import type { ActorContext } from "../actor/index.ts";
import type { ClientEnvironment, Timer } from "../environment.ts";
import { type ConclaveError, hasCode, retryAfterMs } from "../errors.ts";
import { CLIENT_BATCH_BYTES_MAX, CLIENT_READS_MAX, CLIENT_WINDOW_BYTES_MAX } from "../limits.ts";
import { decodeList, encodeList } from "../machine/commands.ts";
import { List, type Place } from "../passing.ts";
import { askingNode, type Consistency, NODE_ACTOR, QUERIES_MAX } from "../protocol/asking-node.ts";
import { Call, type CallStart, Calls } from "./call.ts";
import { late, nonsense } from "./failures.ts";
import type { Horizon } from "./horizon.ts";
import type { Leadership, NodeRef } from "./leadership.ts";
import { ASK_TIMEOUT_MS, pauseMs, RETRY_DELAY_MS, type ReadOptions } from "./options.ts";
import { Sender } from "./sender.ts";

class Query extends Call<Uint8Array> {
  readonly bytes: Uint8Array;
  readonly consistency: Consistency;
  /** Where it stands in the queue, if it does. */
  queued: Place<Query> | null = null;
  /** Why it was last turned away, if the node that was asked will do later on. */
  refusal: ConclaveError | null = null;

  constructor(start: CallStart<Uint8Array>, bytes: Uint8Array, consistency: Consistency) {
    super(start);
    this.bytes = bytes;
    this.consistency = consistency;
  }
}

/** A message that is on its way. */
interface Sent {
  readonly batch: readonly Query[];
  place: Place<Sent> | null;
}

interface Question {
  readonly consistency: Consistency;
  readonly anywhere: boolean;
}

/** Queries to one node that were asked in one turn. */
interface Company {
  readonly queries: Query[];
  bytes: number;
  /** Each has its own deadline; the message has that of the most patient. */
  timeoutMs: number;
  /** Settled with all of them answered, or with why none is. */
  readonly answered: Promise<void>;
}

export interface QueriesOptions {
  readonly environment: ClientEnvironment;
  readonly context: ActorContext;
  readonly leadership: () => Leadership;
  /** No stale read is answered from before it. */
  readonly horizon: Horizon;
  readonly timeoutMs: number;
  readonly callsMax: number;
}

/** How long one node may take over a stale read before the next is asked. */
const STALE_ATTEMPT_MS = 500;

export class Queries {
  readonly #options: QueriesOptions;
  readonly #calls: Calls<Query>;
  readonly #sender: Sender;
  #queue = new List<Query>();
  /** Messages of linearizable queries that are on their way, and their bytes. */
  readonly #sent = new List<Sent>();
  #sentBytes = 0;
  /** What is about to leave for a node, by how it is asked and whom. */
  readonly #companies = new Map<string, Company>();
  /** Between the rounds of stale reads. */
  readonly #rests = new Set<Timer>();

  constructor(options: QueriesOptions) {
    this.#options = options;
    this.#calls = new Calls<Query>({
      ...options,
      clock: options.environment.clock,
      giveUp: (query, reason) => {
        this.#leave(query);
        query.reject(reason === "expired" ? this.#lateness(query) : reason);
      },
    });
    this.#sender = new Sender(options.environment, () => this.#send());
  }

  ask(bytes: Uint8Array, options: ReadOptions): Promise<Uint8Array> {
    this.#sender.wake();
    return this.#calls.open(options, (start: CallStart<Uint8Array>): Query => {
      const { consistency = "linearizable", node = null } = options;
      const query = new Query(start, bytes, consistency);
      if (consistency !== "stale" && node === null) this.#enqueue(query);
      else this.#askAnyone(query, node).catch((error) => query.reject(error));
      return query;
    });
  }

  /** A leader is there to ask. */
  leaderFound(): void {
    this.#sender.startAfresh();
  }

  /** The leader is gone, or another one leads: what it was asked, the next one is, without waiting for the link to break. */
  leaderLost(): void {
    const batches = [...this.#sent];
    for (const sent of batches) {
      if (sent.place !== null) this.#sent.remove(sent.place);
      for (const { bytes } of sent.batch) this.#sentBytes -= bytes.byteLength;
    }
    this.#enqueueFirst(batches.flatMap(({ batch }) => batch));
  }

  /** Nobody waits for anything. */
  get isIdle(): boolean {
    return this.#calls.isIdle;
  }

  close(): void {
    this.#sender.stop();
    this.#calls.close();
    for (const rest of this.#rests) rest.cancel();
  }

  #send(): void {
    if (this.#queue.size === 0 || this.#options.leadership().wanted() === null) return;
    while (this.#queue.size > 0 && this.#sent.size < CLIENT_READS_MAX && this.#sentBytes < CLIENT_WINDOW_BYTES_MAX) {
      void this.#ask(this.#nextBatch());
    }
  }

  #lateness({ refusal, timeoutMs }: Query): ConclaveError {
    return refusal ?? this.#sender.refusal ?? late(timeoutMs, this.#options.leadership().leader);
  }

  async #ask(given: readonly Query[]): Promise<void> {
    const batch = given.filter(({ isOver }) => !isOver);
    const leadership = this.#options.leadership();
    const { leader } = leadership;
    if (batch.length === 0) return;
    if (leader === null) {
      await this.#again(batch, null);
      return;
    }
    const bytes = batch.reduce((sum, query) => sum + query.bytes.byteLength, 0);
    this.#sentBytes += bytes;
    const sent: Sent = { batch, place: null };
    sent.place = this.#sent.add(sent);
    const ended = (): boolean => {
      if (sent.place === null || !this.#sent.remove(sent.place)) return false;
      this.#sentBytes -= bytes;
      return true;
    };
    const question = { consistency: batch[0]?.consistency ?? "linearizable", anywhere: false } as const;
    return this.#answers(leader.node, question, batch, ASK_TIMEOUT_MS).then(
      (results) => {
        ended();
        settle(batch, results);
        this.#sender.wake(); // There is room for what the window held back.
      },
      async (error) => {
        if (!ended()) return; // They were asked again, of another leader.
        if (!hasCode(error, "BUSY") && !isFinal(error)) leadership.doubt(leader);
        await this.#again(batch, error);
      },
    );
  }

  #nextBatch(): Query[] {
    const batch: Query[] = [];
    let bytes = 0;
    for (let query = this.#queue.first; query !== undefined; query = this.#queue.first) {
      bytes += query.bytes.byteLength;
      if (batch[0] !== undefined && batch[0].consistency !== query.consistency) break;
      if (batch.length === QUERIES_MAX || (bytes > CLIENT_BATCH_BYTES_MAX && batch.length > 0)) break;
      this.#leave(query);
      batch.push(query);
    }
    return batch;
  }

  #enqueue(query: Query): void {
    query.queued = this.#queue.add(query);
  }

  #leave(query: Query): void {
    if (query.queued !== null) this.#queue.remove(query.queued);
    query.queued = null;
  }

  /** Reads change nothing, so asking again is always safe. */
  async #again(batch: readonly Query[], error: unknown): Promise<void> {
    if (isShared(error) && batch.length > 1) {
      // Each may do, all together do not: ask in halves, one after the other so that the answers find room on the link.
      await this.#ask(batch.slice(0, batch.length / 2));
      await this.#ask(batch.slice(batch.length / 2));
      return;
    }
    if (isFinal(error)) {
      for (const query of batch) query.reject(error);
      this.#sender.wake();
      return;
    }
    for (const query of batch) query.refusal = isRefusal(error) ? error : null;
    this.#enqueueFirst(batch);
    this.#sender.retryLater(error);
  }

  #enqueueFirst(queries: readonly Query[]): void {
    const later = [...this.#queue];
    this.#queue = new List();
    for (const query of queries) if (!query.isOver) this.#enqueue(query);
    for (const query of later) this.#enqueue(query);
  }

  /** One node after the other, beginning with the leader, whose link stands. */
  async #askAnyone(query: Query, wanted: string | null): Promise<void> {
    const { clock, random } = this.#options.environment;
    let isBehind = false;
    while (!query.isOver) {
      // What was seen may be of a log that is no more, if the cluster was begun anew. A linearizable read is as new as
      // anything seen, whatever node it waits for, and it tells.
      const consistency = isBehind ? "linearizable" : query.consistency;
      isBehind = false;
      let askedMs = Number.POSITIVE_INFINITY;
      let refusal: ConclaveError | null = null;
      for (const [url, name] of this.#options.leadership().candidates(wanted)) {
        const leftMs = query.deadlineMs - clock.nowMs();
        if (query.isOver || leftMs <= 0) break;
        const attemptMs = wanted !== null && name === wanted ? leftMs : Math.min(leftMs, STALE_ATTEMPT_MS);
        try {
          await this.#askInCompany(url, consistency, query, attemptMs);
        } catch (error) {
          if (isFinal(error)) query.reject(error);
          if (isRefusal(error)) refusal = query.refusal = error;
          isBehind ||= hasCode(error, "BUSY") && "appliedIndex" in error.details;
          askedMs = Math.min(askedMs, retryAfterMs(error) ?? Number.POSITIVE_INFINITY);
        }
        if (query.isOver) return;
      }
      // What a round before this one met with is past, unless this one was cut short and could not tell.
      if (clock.nowMs() < query.deadlineMs) query.refusal = refusal;
      const waitMs = Number.isFinite(askedMs) ? pauseMs(askedMs, random) : RETRY_DELAY_MS;
      await this.#rest(Math.min(waitMs, Math.max(RETRY_DELAY_MS, query.deadlineMs - clock.nowMs())));
    }
  }

  /** Asks a node, together with what else it is asked in this turn. */
  async #askInCompany(url: string, consistency: Consistency, query: Query, timeoutMs: number): Promise<void> {
    const node = this.#options.context.ref(`${url}/${NODE_ACTOR}`, askingNode);
    const question: Question = { consistency, anywhere: true };
    const key = `${consistency} ${url}`;
    const present = this.#companies.get(key);
    const company = present !== undefined && hasRoom(present, query) ? present : this.#gather(key, node, question);
    company.queries.push(query);
    company.bytes += query.bytes.byteLength;
    company.timeoutMs = Math.max(company.timeoutMs, timeoutMs);
    try {
      await company.answered;
    } catch (error) {
      if (!isShared(error) || company.queries.length === 1) throw error;
      settle([query], await this.#answers(node, question, [query], timeoutMs));
    }
  }

  /** Those who come in this turn leave at its end. */
  #gather(key: string, node: NodeRef, question: Question): Company {
    const queries: Query[] = [];
    const leave = async (): Promise<void> => {
      if (this.#companies.get(key) === company) this.#companies.delete(key);
      settle(queries, await this.#answers(node, question, queries, company.timeoutMs));
    };
    const company: Company = { queries, bytes: 0, timeoutMs: 0, answered: Promise.resolve().then(leave) };
    this.#companies.set(key, company);
    return company;
  }

  /** Asks a node, and notes how far what it shows has come. */
  async #answers(
    node: NodeRef,
    { consistency, anywhere }: Question,
    batch: readonly Query[],
    timeoutMs: number,
  ): Promise<Uint8Array[]> {
    const { horizon } = this.#options;
    const askedAt = horizon.index;
    const minIndex = consistency === "stale" ? askedAt : 0;
    const queries = encodeList(batch.map(({ bytes }) => bytes));
    const answer = await node.ask({ type: "queries", consistency, anywhere, minIndex, queries }, { timeoutMs });
    const results = answer.type === "results" ? listed(answer.results) : null;
    if (answer.type !== "results" || results?.length !== batch.length) {
      throw nonsense();
    }
    // A lease is as good as the clocks are: it is no proof of what is newest.
    if (consistency === "linearizable") horizon.sawNewest(answer.index, askedAt);
    else horizon.saw(answer.index);
    return results;
  }

  /** Ends after a while, or never if the client is closed before. */
  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.environment.clock.setTimer(ms, () => {
        this.#rests.delete(timer);
        resolve();
      });
      this.#rests.add(timer);
    });
  }
}

function listed(bytes: Uint8Array): Uint8Array[] | null {
  try {
    return decodeList(bytes, QUERIES_MAX);
  } catch {
    return null;
  }
}

/** Asking again would get the same answer. */
export const isFinal = (error: unknown): error is ConclaveError =>
  hasCode(error, "BAD_MESSAGE", "MACHINE_FAILED", "TOO_LARGE", "ANSWER_TOO_LARGE");

/** It passes, and says more than that no answer came in time. */
const isRefusal = (error: unknown): error is ConclaveError => hasCode(error, "BUSY", "DIVERGED");

/** What one of a batch has met with, and each for itself may not. */
const isShared = (error: unknown): boolean => hasCode(error, "ANSWER_TOO_LARGE", "MACHINE_FAILED");

const hasRoom = ({ queries, bytes }: Company, query: Query): boolean =>
  queries.length < QUERIES_MAX && bytes + query.bytes.byteLength <= CLIENT_BATCH_BYTES_MAX;

function settle(batch: readonly Query[], results: readonly Uint8Array[]): void {
  for (const [i, query] of batch.entries()) {
    const result = results[i];
    if (result !== undefined) query.resolve(result);
  }
}
