/** Questions about the state: those of one turn share a frame, and may be asked again as often as it takes. */

import type { ActorContext } from "../actor/index.ts";
import type { ClientEnvironment } from "../environment.ts";
import { ConclaveError, hasCode } from "../errors.ts";
import { decodeList, encodeList } from "../machine/commands.ts";
import { NODE_ACTOR, nodeProtocol } from "../protocol/node.ts";
import { aborted, type Call, Calls, closed } from "./call.ts";
import type { Leadership, NodeRef } from "./leadership.ts";
import { ASK_TIMEOUT_MS, BATCH_BYTES_MAX, RETRY_DELAY_MS, type ReadOptions } from "./options.ts";

interface Query extends Call<Uint8Array> {
  readonly bytes: Uint8Array;
}

export interface QueriesOptions {
  readonly environment: ClientEnvironment;
  readonly context: ActorContext;
  readonly leadership: () => Leadership;
  readonly timeoutMs: number;
  readonly callsMax: number;
}

/** How long one node may take over a stale read before the next is asked. */
const STALE_ATTEMPT_MS = 500;

export class Queries {
  readonly #options: QueriesOptions;
  readonly #calls: Calls<Query>;
  #queue = new Set<Query>();
  #scheduled = false;
  #retrying = false;
  #closed = false;

  constructor(options: QueriesOptions) {
    this.#options = options;
    this.#calls = new Calls<Query>(options.environment.clock, (query) => this.#expire(query));
  }

  ask(bytes: Uint8Array, options: ReadOptions): Promise<Uint8Array> {
    if (this.#closed) return Promise.reject(closed());
    if (this.#calls.size >= this.#options.callsMax) {
      return Promise.reject(new ConclaveError("BUSY", `${this.#options.callsMax} reads wait already.`));
    }
    const stale = options.consistency === "stale";
    const make = (base: Call<Uint8Array>): Query => {
      const query: Query = Object.assign(base, { bytes });
      if (stale) this.#askAnyone(query, options.node ?? null).catch((error) => query.reject(error));
      else this.#queue.add(query);
      return query;
    };
    const answer = this.#calls.open(options, this.#options.timeoutMs, make, (query, signal) =>
      this.#end(query, aborted(signal)),
    );
    if (!stale) this.wake();
    return answer;
  }

  wake(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#send();
    });
  }

  close(): void {
    this.#closed = true;
    this.#calls.rejectAll(closed());
    this.#queue.clear();
  }

  #send(): void {
    if (this.#options.leadership().leader === null || this.#closed) return;
    while (this.#queue.size > 0) this.#ask(this.#nextBatch());
  }

  #ask(batch: readonly Query[]): void {
    const leadership = this.#options.leadership();
    const { leader } = leadership;
    if (leader === null) {
      this.#again(batch, null);
      return;
    }
    answers(leader.node, "linearizable", batch, ASK_TIMEOUT_MS).then(
      (results) => settle(batch, results),
      (error) => {
        if (!hasCode(error, "BUSY") && !isFinal(error)) leadership.doubt(leader);
        this.#again(batch, error);
      },
    );
  }

  #nextBatch(): Query[] {
    const batch: Query[] = [];
    let bytes = 0;
    for (const query of this.#queue) {
      bytes += query.bytes.byteLength;
      if (bytes > BATCH_BYTES_MAX && batch.length > 0) break;
      this.#queue.delete(query);
      batch.push(query);
    }
    return batch;
  }

  /** Reads change nothing, so asking again is always safe. */
  #again(batch: readonly Query[], error: unknown): void {
    if (hasCode(error, "TOO_LARGE") && batch.length > 1) {
      // Each fits, all together do not: ask in halves.
      this.#ask(batch.slice(0, batch.length / 2));
      this.#ask(batch.slice(batch.length / 2));
      return;
    }
    if (isFinal(error)) {
      for (const query of batch) query.reject(error);
      return;
    }
    this.#queue = new Set([...batch.filter((query) => !query.isOver), ...this.#queue]);
    if (this.#retrying || this.#closed) return;
    this.#retrying = true;
    const { clock, random } = this.#options.environment;
    clock.setTimer(RETRY_DELAY_MS * (0.5 + random.next()), () => {
      this.#retrying = false;
      this.#send();
    });
  }

  /** One node after the other, beginning with the leader, whose link stands. */
  async #askAnyone(query: Query, wanted: string | null): Promise<void> {
    const { clock } = this.#options.environment;
    while (!query.isOver && !this.#closed) {
      for (const [url, name] of this.#candidates(wanted)) {
        const leftMs = query.deadlineMs - clock.nowMs();
        if (query.isOver || leftMs <= 0) break;
        const node = this.#options.context.ref(`${url}/${NODE_ACTOR}`, nodeProtocol);
        const attemptMs = wanted !== null && name === wanted ? leftMs : Math.min(leftMs, STALE_ATTEMPT_MS);
        try {
          settle([query], await answers(node, "stale", [query], attemptMs));
        } catch (error) {
          if (isFinal(error)) query.reject(error);
        }
        if (query.isOver) return;
      }
      await new Promise<void>((resolve) => void clock.setTimer(RETRY_DELAY_MS, resolve));
    }
  }

  #candidates(wanted: string | null): (readonly [string, string | null])[] {
    const { leader, nodes } = this.#options.leadership();
    const all = [...nodes];
    if (wanted !== null) return all.filter(([, name]) => name === wanted);
    return all.sort(([a], [b]) => Number(b === leader?.url) - Number(a === leader?.url));
  }

  #expire(query: Query): void {
    const { timeoutMs } = query;
    this.#end(
      query,
      this.#options.leadership().leader === null
        ? new ConclaveError("NO_LEADER", `No leader was found within ${timeoutMs} ms.`)
        : new ConclaveError("TIMEOUT", `No answer came within ${timeoutMs} ms.`),
    );
  }

  #end(query: Query, error: ConclaveError): void {
    this.#queue.delete(query);
    query.reject(error);
  }
}

async function answers(
  node: NodeRef,
  consistency: "linearizable" | "stale",
  batch: readonly Query[],
  timeoutMs: number,
): Promise<Uint8Array[]> {
  const queries = encodeList(batch.map(({ bytes }) => bytes));
  const answer = await node.ask({ type: "queries", consistency, queries }, { timeoutMs });
  const results = answer.type === "results" ? listed(answer.results) : null;
  if (results?.length === batch.length) return results;
  throw new ConclaveError("BAD_MESSAGE", "The node's answer makes no sense.");
}

function listed(bytes: Uint8Array): Uint8Array[] | null {
  try {
    return decodeList(bytes);
  } catch {
    return null;
  }
}

/** Asking again would get the same answer. */
const isFinal = (error: unknown): error is ConclaveError =>
  hasCode(error, "BAD_MESSAGE") || hasCode(error, "MACHINE_FAILED") || hasCode(error, "TOO_LARGE");

function settle(batch: readonly Query[], results: readonly Uint8Array[]): void {
  for (const [i, query] of batch.entries()) {
    const result = results[i];
    if (result !== undefined) query.resolve(result);
  }
}
